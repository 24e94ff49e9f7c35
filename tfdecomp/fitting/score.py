"""How well a model follows what moves, without labels.

    score = covered (1 - empty) (1 - doubled) (1 - restarts)

covered: share of what moves whose middle lies in a box; empty: share of the
boxes on nothing; doubled: share of the boxes that lie on another one's object;
restarts: share of the boxes whose number no box had in the frame before.
"""

import dataclasses
import time

import numpy as np

_DOUBLED = 0.5  # intersection over the smaller box
_REACH = 0.1  # of an object's length that its middle may be off a box


@dataclasses.dataclass(frozen=True)
class Score:
    """See the module; `rate` is frames per second."""

    covered: float
    empty: float
    doubled: float
    restarts: float
    rate: float

    @property
    def total(self):
        """One number, 1 at best."""
        kept = (1 - self.empty) * (1 - self.doubled) * (1 - self.restarts)
        return self.covered * kept


def score(stream, view, runs, should_stop=None) -> Score:
    """Scores a model on runs of frames.

    Args:
        stream: A `prediction.stream.Stream` with `boxes`, `presence` and
            `track_ids`.
        view: The `View`, with its scene.
        runs: `[M, R, h, w, 3]` uint8, frames at the view's size.
        should_stop: Called before every run; true ends the scoring.

    Raises:
        KeyboardInterrupt: If it was stopped.
    """
    counts = dict.fromkeys(
        ("things", "covered", "boxes", "empty", "doubled", "restarts"), 0
    )
    seconds = frames = 0
    for number, run in enumerate(runs):
        if should_stop is not None and should_stop():
            raise KeyboardInterrupt
        seen = [_see(view, frame) for frame in run]
        stream.restart()
        begin = time.perf_counter()
        outputs = stream(np.stack([picture for picture, _ in seen]))
        if number or len(runs) == 1:  # the first one is traced
            seconds += time.perf_counter() - begin
            frames += len(run)
        before = set()
        for t, (_, blobs) in enumerate(seen):
            present = outputs["presence"][t] > 0.5
            present[0] = False
            boxes = outputs["boxes"][t][present]
            ids = set(outputs["track_ids"][t][present].tolist())
            _count(counts, boxes, blobs, view.scene.length)
            if t:
                counts["restarts"] += len(ids - before)
            before = ids
    boxes = max(1, counts["boxes"])
    return Score(
        covered=counts["covered"] / max(1, counts["things"]),
        empty=counts["empty"] / boxes,
        doubled=counts["doubled"] / boxes,
        restarts=min(1.0, counts["restarts"] / boxes),
        rate=frames / seconds if seconds else float("nan"),
    )


def _see(view, frame):
    scene = view.scene
    difference = scene.difference(frame)
    picture = scene.picture(difference) if view.shows_difference else frame
    return picture, scene.blobs(difference)


def _count(counts, boxes, blobs, length):
    reach = _REACH * length
    centres = blobs.centres
    inside = (
        (centres[:, None] >= boxes[None, :, :2] - reach)
        & (centres[:, None] <= boxes[None, :, 2:] + reach)
    ).all(-1)
    counts["things"] += len(centres)
    counts["covered"] += int(inside.any(1).sum())
    counts["boxes"] += len(boxes)
    lit = blobs.labels > 0
    for top, left, bottom, right in boxes:
        rows = slice(max(0, int(top)), max(0, int(np.ceil(bottom))))
        columns = slice(max(0, int(left)), max(0, int(np.ceil(right))))
        part = lit[rows, columns]
        counts["empty"] += not part.any()
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    area = np.clip(boxes[:, 2:] - boxes[:, :2], 1e-6, None).prod(-1)
    share = shared / np.minimum(area[:, None], area)
    np.fill_diagonal(share, 0)
    counts["doubled"] += int((np.triu(share) > _DOUBLED).any(0).sum())
