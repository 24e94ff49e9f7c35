"""What a video says about its own objects: how large, how fast, how steady.

Gates come from here. None of them is a number of pixels.
"""

import dataclasses

import numpy as np
from scipy import optimize

from tfdecomp.motion.detections import Detections

START_SCORE = 0.5  # starts a track
KEEP_SCORE = 0.2  # continues one
BLOB = 1.45  # times the bulk of one object: holds more than one
SIZE_JUMP = 1.8  # of the area from frame to frame: something else
SAMPLED_FRAMES = 3000
FEW = 20  # steps tell nothing
SLIGHT = 0.4  # of the pixels of the smallest one: a piece of an object
CROWD = 4  # of whom the median one shows what all do
SPANS = (1, 2, 4, 8, 16, 32, 64)  # frames over which a prediction is judged


@dataclasses.dataclass
class Scale:
    """The units of a video.

    Attributes:
        size: Side of a typical object, pixels.
        area: Pixels that differ from the background inside one; 0 if nobody
            counted them.
        step: Median error of a place predicted one frame ahead, pixels.
        reach: Error that next to no prediction exceeds, pixels.
        stride: Median distance from frame to frame, pixels.
        leap: Distance that next to none exceeds.
        momentum: Share of its velocity that an object keeps in a frame.
        spreads: `[len(SPANS)]` median errors of predictions that far ahead.
        tempo: `[T]`, from 1 up: how much faster than the fastest is usually
            all of them move on from a frame; empty where nobody looked.

    `tempo` is not to be changed in place: its sums are kept.
    """

    size: float
    area: float
    step: float
    reach: float
    stride: float
    leap: float
    momentum: float
    spreads: np.ndarray
    tempo: np.ndarray = dataclasses.field(default_factory=lambda: np.ones(0))

    def __post_init__(self):
        squares = np.cumsum(np.square(self.tempo))
        self._until = np.concatenate([[0.0], squares])

    def spread(self, span):
        """Typical error of a prediction `span` frames ahead, pixels."""
        span = np.asarray(span, np.float64)
        inside = np.exp(
            np.interp(np.log(span), np.log(SPANS), np.log(self.spreads))
        )
        # Past the last span that was judged, it wanders.
        return inside * np.sqrt(np.maximum(1.0, span / SPANS[-1]))

    def pace(self, first, last):
        """`[k]` factors on errors of predictions from `first` to `last`.

        Animals that are startled dart all at once; what is usual over the
        video says nothing about those frames.
        """
        if not len(self.tempo):
            return np.ones(np.shape(first))
        first, last = np.asarray(first), np.asarray(last)
        total = self._until[last] - self._until[first]
        mean = total / np.maximum(last - first, 1)
        return np.sqrt(np.maximum(mean, 1.0))

    def travel(self, span):
        """Frames' worth of velocity that is left after `span` frames."""
        kept = self.momentum
        return kept * (1 - kept ** np.asarray(span, float)) / (1 - kept)


def intersections(boxes, others):
    """`[n, m]` areas that boxes `[n, 4]` share with others `[m, 4]`."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.prod(np.maximum(high - low, 0.0), -1)


def extents(boxes):
    """`[n]` areas of boxes."""
    return np.prod(boxes[:, 2:] - boxes[:, :2], -1)


def bulks(detections: Detections, scale: Scale):
    """`[n]` how many typical objects fit into each."""
    bulk = extents(detections.boxes) / scale.size**2
    if scale.area <= 0:
        return bulk
    counted = detections.areas > 0
    return np.where(counted, detections.areas / scale.area, bulk)


def measure(frames: list[Detections]) -> Scale:
    """Reads the units off confident detections whose match is plain.

    Args:
        frames: One `Detections` per frame.
    """
    chosen = _sample(len(frames))
    sure = [d.scores >= START_SCORE for d in frames]
    sides = [frames[t].sides[sure[t]] for t in chosen]
    sides = np.concatenate(sides) if sides else np.zeros((0, 2))
    size = float(np.median(np.sqrt(np.prod(sides, -1)))) if len(sides) else 1.0
    areas = [frames[t].areas[sure[t]] for t in chosen]
    areas = np.concatenate(areas) if areas else np.zeros(0)
    areas = areas[areas > 0]
    area = float(np.median(areas)) if len(areas) else 0.0
    first, second = _plain_steps(frames, sure, chosen)
    momentum, errors = _momentum(first, second)
    if len(errors) < FEW:  # too few to tell: an object crosses itself at most
        step, reach = 0.1 * size, size
    else:
        step = max(float(np.median(errors)), 1e-3 * size)
        reach = 2 * float(np.quantile(errors, 0.98))
        reach = max(reach, 4 * step, 0.25 * size)
    stride, leap = _strides(second, step, reach)
    spreads = step * np.sqrt(np.asarray(SPANS, float)) + 0.02 * size
    return Scale(size, area, step, reach, stride, leap, momentum, spreads)


def pixels_of_one(frames: list[Detections], num_objects):
    """Pixels of single objects, where so many are seen that none holds two.

    Args:
        frames: Cleaned `Detections`, one per frame.
        num_objects: How many there are.

    Returns:
        `[m, num_objects]`, ascending, of the frames in which the largest is
        least; `m` is 0 if never so many are seen, or nobody counted.
    """
    rows = [
        np.sort(found.areas)
        for found in frames
        if len(found) == num_objects and (found.areas > 0).all()
    ]
    areas = np.array(rows).reshape(-1, num_objects)
    # A box that holds two beside a piece of one would count as two.
    return areas[np.argsort(areas[:, -1])[: max(len(areas) // 10, FEW)]]


def tempo(frames: list[Detections], scale: Scale):
    """`[T]` how much faster than usual all move on from each frame.

    Args:
        frames: One `Detections` per frame, one detection per object.
        scale: Of the video.

    Returns:
        1 where the median object moves no further than predictions usually
        miss, at the most; else the ratio of both.
    """
    result = np.ones(len(frames))
    places = [d.centres[d.scores >= START_SCORE] for d in frames]
    for time, (here, there) in enumerate(zip(places, places[1:])):
        if min(len(here), len(there)) < CROWD:
            continue
        away = np.hypot(*(here[:, None] - there[None]).transpose(2, 0, 1))
        step = np.median(away[optimize.linear_sum_assignment(away)])
        result[time] = max(1.0, step / (0.5 * scale.reach))
    return result


def _strides(steps, step, reach):
    """Usual and longest distances in a frame, for want of a velocity."""
    if len(steps) < FEW:
        return step, reach
    length = np.linalg.norm(steps, axis=-1)
    longest = 2 * float(np.quantile(length, 0.98))
    return float(np.median(length)), max(longest, reach)


def _sample(count):
    if count <= SAMPLED_FRAMES:
        return np.arange(count)
    # In runs of eight, since steps are taken between neighbours.
    runs = np.linspace(0, count - 8, SAMPLED_FRAMES // 8).astype(int)
    return np.unique(runs[:, None] + np.arange(8))


def _plain_steps(frames, sure, chosen):
    """Pairs of steps `[k, 2]` of one object in a row, no rival near."""
    first, second, links = [], [], {}
    for frame in chosen:
        if frame + 1 >= len(frames):
            break
        here = frames[frame].centres[sure[frame]]
        there = frames[frame + 1].centres[sure[frame + 1]]
        now = _plain_match(here, there)
        before = links if links.get("frame") == frame else {"next": {}}
        for i, j in now:
            earlier = before["next"].get(i)
            if earlier is not None:
                first.append(here[i] - earlier)
                second.append(there[j] - here[i])
        links = {"frame": frame + 1, "next": {j: here[i] for i, j in now}}
    return np.array(first).reshape(-1, 2), np.array(second).reshape(-1, 2)


def _plain_match(here, there):
    if not len(here) or not len(there):
        return []
    distance = np.hypot(*(here[:, None] - there[None]).transpose(2, 0, 1))
    to, back = distance.argmin(1), distance.argmin(0)
    i = np.flatnonzero(back[to] == np.arange(len(here)))
    j = to[i]
    # Each is the other's nearest, so rivals are the second ones.
    nearest = np.full(len(i), np.inf)
    if len(there) > 1:
        nearest = np.partition(distance[i], 1, 1)[:, 1]
    if len(here) > 1:
        columns = np.partition(distance[:, j], 1, 0)[1]
        nearest = np.minimum(nearest, columns)
    plain = nearest > 3 * distance[i, j]
    return list(zip(i[plain].tolist(), j[plain].tolist()))


def _momentum(first, second):
    """Share of velocity kept, and errors of predictions made with it."""
    if len(first) < FEW:
        return 0.5, np.zeros(0)
    # Large steps are flickers of boxes as often as motion: bounded.
    bound = 5 * np.median(np.abs(np.concatenate([first, second])), 0) + 1e-9
    a, b = np.clip(first, -bound, bound), np.clip(second, -bound, bound)
    kept = float(np.clip((a * b).sum() / max((a * a).sum(), 1e-12), 0.0, 0.95))
    return kept, np.linalg.norm(second - kept * first, axis=-1)
