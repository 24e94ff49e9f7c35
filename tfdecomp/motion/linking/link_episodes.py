"""Stretches of a video that deserve a look."""

import numpy as np

from tfdecomp.motion.detections import FILLED
from tfdecomp.motion.linking.link_measure import extents, intersections

DOUBTFUL = 0.3
JUMP = 1.0  # of the own size, beyond what is usual
JOINED = 3  # frames between two stretches that are one


def episodes(linked, detections):
    """Doubtful frames, for a report.

    Args:
        linked: What `link` returned.
        detections: What it was given.

    Returns:
        `[{"first", "last", "ids", "kind", "doubt"}]` in the order of `first`:
        frames, those concerned, `"crossing"` (two meet and may have been
        swapped), `"vanishing"` (somebody is not seen) or `"jump"` (a place
        that no motion leads to), and the largest doubt.
    """
    del detections
    runs = []
    open_ = {}
    before = {}
    steps = _usual_step(linked)
    for time, frame in enumerate(linked):
        for number, key in enumerate(frame.ids.tolist()):
            box = frame.boxes[number]
            kind = _kind(frame, number, box, before.get(key), steps)
            before[key] = box
            if kind is None:
                continue
            run = open_.get((key, kind))
            if run is None or run["last"] < time - JOINED:
                run = {"first": time, "last": time, "ids": {key}}
                run |= {"kind": kind, "doubt": 0.0}
                open_[key, kind] = run
                runs.append(run)
            run["last"] = time
            run["doubt"] = max(run["doubt"], float(frame.doubts[number]))
    return _together(runs)


def _usual_step(linked):
    steps = []
    for one, two in zip(linked, linked[1:]):
        shared, i, j = np.intersect1d(one.ids, two.ids, return_indices=True)
        if len(shared):
            gap = one.boxes[i] - two.boxes[j]
            steps.append(np.linalg.norm(gap[:, :2] + gap[:, 2:], axis=-1) / 2)
    return float(np.quantile(np.concatenate(steps), 0.99)) if steps else 0.0


def _kind(frame, number, box, before, usual):
    if before is not None:
        moved = np.linalg.norm((box - before)[:2] + (box - before)[2:]) / 2
        size = np.sqrt(max(extents(box[None])[0], 1e-9))
        if moved > 2 * usual + JUMP * size:
            return "jump"
    if frame.doubts[number] < DOUBTFUL:
        return None
    shared = intersections(box[None], frame.boxes)[0]
    shared[number] = 0.0
    if shared.any():
        return "crossing"
    return "vanishing" if frame.sources[number] == FILLED else "crossing"


def _together(runs):
    """Crossings that share frames and are of the same kind become one."""
    result = []
    for run in sorted(runs, key=lambda r: (r["first"], min(r["ids"]))):
        last = next(
            (
                r
                for r in reversed(result)
                if r["kind"] == run["kind"] == "crossing"
                and run["first"] <= r["last"]
            ),
            None,
        )
        if last is None:
            result.append(run)
            continue
        last["last"] = max(last["last"], run["last"])
        last["ids"] |= run["ids"]
        last["doubt"] = max(last["doubt"], run["doubt"])
    return [{**r, "ids": sorted(r["ids"])} for r in result]
