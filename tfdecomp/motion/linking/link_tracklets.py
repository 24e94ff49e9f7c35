"""Pieces of tracks that leave no room for doubt.

A piece ends wherever another match came close, a neighbour vanished or
appeared within touch, or the box changed its size at once.
"""

import dataclasses

import numpy as np

from tfdecomp.motion.detections import Detections
from tfdecomp.motion.linking import link_fast
from tfdecomp.motion.linking.link_measure import (
    SIZE_JUMP,
    SPANS,
    START_SCORE,
    Scale,
    extents,
    intersections,
)
from tfdecomp.motion.medians import median

PLAIN = 3.0  # times as far is the nearest rival of a far match
ENDS = 5  # frames that a velocity is fitted to


@dataclasses.dataclass(eq=False)
class Tracklet:
    """One object in consecutive frames.

    Attributes:
        first: Its first frame.
        boxes: `[L, 4]`.
        sources: `[L]` numbers of the detections.
        scores: `[L]`.
        areas: `[L]`.
        features: `[L, D]`.
    """

    first: int
    boxes: np.ndarray
    sources: np.ndarray
    scores: np.ndarray
    areas: np.ndarray
    features: np.ndarray

    def __post_init__(self):
        centres = 0.5 * (self.boxes[:, :2] + self.boxes[:, 2:])
        self.last = self.first + len(self.boxes) - 1
        self.centres = centres
        self.size = float(np.sqrt(median(extents(self.boxes))))
        self.area = float(median(self.areas))
        self.start, self.start_velocity = _end(centres[:ENDS][::-1])
        self.start_velocity = -self.start_velocity
        self.end, self.end_velocity = _end(centres[-ENDS:])

    def __len__(self):
        return len(self.boxes)

    @property
    def is_sure(self):
        """Whether it may start a track."""
        return self.scores.max() >= START_SCORE and (
            self.area > 0 or not self.counted
        )

    counted = False  # whether pixels were counted in this video

    def part(self, low, high):
        """Its frames `[low, high)`, counted from its first."""
        fields = ("boxes", "sources", "scores", "areas", "features")
        cut = {n: getattr(self, n)[low:high] for n in fields}
        piece = Tracklet(self.first + low, **cut)
        piece.counted = self.counted
        return piece


def _end(centres):
    """Last place, and velocity by least squares over these `[k, 2]`."""
    if len(centres) < 2:
        return centres[-1], np.zeros(2)
    time = np.arange(len(centres)) - (len(centres) - 1) / 2
    return centres[-1], time @ centres / (time @ time)


def build(
    frames: list[Detections], scale: Scale, far: float = 0.0
) -> list[Tracklet]:
    """Cuts detections into tracklets.

    Args:
        frames: One `Detections` per frame.
        scale: Of this video.
        far: Sizes that a match may span where no rival is near, however
            slow all are otherwise.

    Returns:
        Tracklets, in the order of their first frames.
    """
    done, open_, before = [], [], None
    for time, found in enumerate(frames):
        boxes = found.boxes
        pairs = {}
        if len(open_) and len(boxes):
            pace = float(scale.pace(time - 1, time))
            pairs = _matches(before, boxes, scale, far, pace)
        velocity = np.zeros((len(boxes), 2))
        now = []
        for j in range(len(boxes)):
            i = pairs.get(j)
            run = (time, []) if i is None else open_[i]
            run[1].append(j)
            now.append(run)
            if i is not None:
                step = _centre(boxes[j]) - _centre(before[0][i])
                old = before[1][i]
                new = len(run[1]) == 2
                velocity[j] = step if new else 0.5 * (step + old)
        kept = set(pairs.values())
        done += [run for i, run in enumerate(open_) if i not in kept]
        fresh = np.array([len(run[1]) < 2 for run in now], bool)
        open_, before = now, (boxes, velocity, fresh)
    done += open_
    done.sort(key=lambda run: (run[0], run[1][0]))
    pieces = [_tracklet(frames, *run, scale) for run in done]
    groups = link_fast.chain(pieces, scale)
    if not groups:
        return pieces
    used = {number for group in groups for number in group}
    kept = [piece for number, piece in enumerate(pieces) if number not in used]
    for group in groups:
        sources = [source for n in group for source in done[n][1]]
        kept.append(_tracklet(frames, done[group[0]][0], sources, scale))
    return sorted(kept, key=lambda piece: (piece.first, piece.sources[0]))


def _centre(box):
    return 0.5 * (box[:2] + box[2:])


def _tracklet(frames, first, sources, scale):
    rows = [(frames[first + k], s) for k, s in enumerate(sources)]
    piece = Tracklet(
        first,
        np.array([d.boxes[s] for d, s in rows]),
        np.array(sources, np.int64),
        np.array([d.scores[s] for d, s in rows]),
        np.array([d.areas[s] for d, s in rows]),
        np.array([d.features[s] for d, s in rows], np.float32),
    )
    piece.counted = scale.area > 0
    return piece


def _matches(before, boxes, scale, far, pace):
    """`{new: old}` of matches that nothing else comes near."""
    old, velocity, fresh = before
    shift = scale.momentum * velocity
    ahead = old + np.concatenate([shift, shift], -1)
    gap = 0.5 * (
        (ahead[:, None, :2] + ahead[:, None, 2:])
        - (boxes[None, :, :2] + boxes[None, :, 2:])
    )
    away = np.hypot(gap[..., 0], gap[..., 1])
    to, back = away.argmin(1), away.argmin(0)
    mutual = np.flatnonzero(back[to] == np.arange(len(old)))
    near = away[mutual, to[mutual]]
    rival = np.full(len(mutual), np.inf)
    if away.shape[1] > 1:
        rival = np.partition(away[mutual], 1, 1)[:, 1]
    if away.shape[0] > 1:
        columns = np.partition(away[:, to[mutual]], 1, 0)[1]
        rival = np.minimum(rival, columns)
    growth = extents(boxes)[to[mutual]] / extents(old)[mutual]
    # Where one is going is not known of one that was just seen.
    reach = pace * np.where(fresh[mutual], scale.leap, scale.reach)
    # All may dart at once, and still nobody else can be meant.
    plain = (near <= far * scale.size) & (rival >= PLAIN * near)
    good = (
        ((near <= reach) | plain)
        & (rival >= 2 * near + 2 * scale.step)
        & (growth < SIZE_JUMP)
        & (growth > 1 / SIZE_JUMP)
    )
    pairs = dict(zip(to[mutual][good].tolist(), mutual[good].tolist()))
    if len(pairs) < len(old) or len(pairs) < len(boxes):
        pairs = _without_touched(pairs, ahead, boxes, scale)
    return pairs


def _without_touched(pairs, ahead, boxes, scale):
    """Leaves out matches beside which another object came or went.

    One that vanishes within touch may be covered by its neighbour, and what
    goes on may be either of them.
    """
    margin = 0.1 * scale.size * np.array([-1, -1, 1, 1])
    gone = np.setdiff1d(np.arange(len(ahead)), list(pairs.values()))
    come = np.setdiff1d(np.arange(len(boxes)), list(pairs))
    beside_gone = intersections(ahead[gone] + margin, ahead + margin).any(0)
    beside_come = intersections(boxes[come] + margin, boxes + margin).any(0)
    return {
        j: i for j, i in pairs.items() if not (beside_gone[i] or beside_come[j])
    }


def judged(tracklets: list[Tracklet], scale: Scale) -> Scale:
    """The scale with errors of predictions as tracklets show them."""
    spreads, floor = [], 0.0
    long = sorted(tracklets, key=len, reverse=True)[:400]
    for number, span in enumerate(SPANS):
        errors = [_errors(t, span, scale) for t in long if len(t) > span + ENDS]
        errors = np.concatenate(errors) if errors else np.zeros(0)
        if len(errors) >= 20:
            here = float(np.median(errors))
        elif number:
            here = floor * np.sqrt(2.0)
        else:
            here = scale.step
        floor = max(here, floor, 0.02 * scale.size)
        spreads.append(floor)
    return dataclasses.replace(scale, spreads=np.array(spreads))


def _errors(tracklet, span, scale):
    """Distances between places `span` ahead and where they were expected."""
    places = tracklet.centres[-2000:]
    velocity = (places[ENDS - 1 :] - places[: len(places) - ENDS + 1]) / (
        ENDS - 1
    )
    ahead = places[ENDS - 1 :] + velocity * scale.travel(span)
    return np.linalg.norm(ahead[:-span] - places[ENDS - 1 + span :], axis=-1)
