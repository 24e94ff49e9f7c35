"""Blobs of consecutive frames that are one thing, and where nothing passes."""

import dataclasses

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from tfdecomp.motion.background import grown

_GATE = 2.0  # own lengths that a thing moves between two frames at most
_ALIKE = 3.0  # times that its area changes at most
_SMALL = 0.05  # of the frame that something like a clock covers at most


@dataclasses.dataclass
class Trail:
    """One thing in consecutive frames.

    Attributes:
        frames: `[n]` their numbers in the run.
        numbers: `[n]` its blob in each.
        centres: `[n, 2]`.
        areas: `[n]`.
        axes: `[n, 2]`.
        is_cut: `[n]` bool, whether the frame's edge cuts it off.
    """

    frames: np.ndarray
    numbers: np.ndarray
    centres: np.ndarray
    areas: np.ndarray
    axes: np.ndarray
    is_cut: np.ndarray

    @property
    def steps(self):
        """`[n - 1]` pixels between one frame and the next."""
        return np.linalg.norm(np.diff(self.centres, axis=0), axis=1)

    @property
    def travels(self):
        """Whether it gets somewhere, little by little.

        What flickers jumps to and fro, or once; noise does not get far.
        """
        if len(self.frames) < 4:
            return False
        steps = self.steps
        path = steps.sum()
        net = np.linalg.norm(self.centres[-1] - self.centres[0])
        far = max(1.5, 0.1 * np.median(self.axes[:, 1]))
        return bool(
            net >= far and net >= 0.6 * path and steps.max() <= 0.6 * path
        )


def trails(found) -> list:
    """Links the `Blobs` of consecutive frames to `Trail`s.

    Pairs move least in sum. Neither may move more than two of their own
    lengths or become another size altogether.
    """
    running, done = [], []
    for t, blobs in enumerate(found):
        pairs = _pairs(found[t - 1], blobs) if t else {}
        following = []
        for number in range(len(blobs)):
            trail = []
            if number in pairs:
                trail = running[pairs[number]]
                running[pairs[number]] = None
            following.append([*trail, (t, number)])
        done += [trail for trail in running if trail]
        running = following
    return [_trail(found, places) for places in done + running]


def _pairs(before, after):
    """`{blob after: blob before}`."""
    if not len(before) or not len(after):
        return {}
    steps = before.centres[:, None] - after.centres
    cost = np.linalg.norm(steps, axis=-1)
    lengths = np.maximum(before.axes[:, 0][:, None], after.axes[:, 0])
    ratio = before.areas[:, None] / after.areas
    apart = (cost > _GATE * lengths) | (np.abs(np.log(ratio)) > np.log(_ALIKE))
    cost = np.where(apart, 1e6, cost)
    rows, columns = linear_sum_assignment(cost)
    good = cost[rows, columns] < 1e6
    return dict(zip(columns[good].tolist(), rows[good].tolist()))


def _trail(found, places):
    frames, numbers = np.array(places).T
    blobs = [found[t] for t in frames]
    boxes = np.stack([b.boxes[i] for b, i in zip(blobs, numbers)])
    height, width = blobs[0].labels.shape
    return Trail(
        frames,
        numbers,
        np.stack([b.centres[i] for b, i in zip(blobs, numbers)]),
        np.array([b.areas[i] for b, i in zip(blobs, numbers)]),
        np.stack([b.axes[i] for b, i in zip(blobs, numbers)]),
        is_cut(boxes, (height, width)),
    )


def is_cut(boxes, size):
    """`[n]` whether boxes touch the edge of a frame `(H, W)`."""
    return (boxes[:, :2] <= 0).any(1) | (boxes[:, 2:] >= size).any(1)


@dataclasses.dataclass
class Changes:
    """Where runs of frames change, and where something travels through.

    Attributes:
        changed: `[M, H, W]` bool, per run, pixels that were foreground in
            some frames and not in others.
        passed: `[H, W]` number of runs in which what travelled was here.
    """

    changed: np.ndarray
    passed: np.ndarray


def changes(masks, found, trails):
    """`(changed [H, W], passed [H, W])` of one run.

    Args:
        masks: `[R, H, W]` bool foreground.
        found: `R` `Blobs`.
        trails: Their `Trail`s.
    """
    changed = masks.any(0) & ~masks.all(0)
    passed = np.zeros_like(changed)
    for trail in trails:
        if trail.travels:
            for t, number in zip(trail.frames, trail.numbers):
                passed |= found[t].labels == number + 1
    return changed, passed


def flicker(changes, present, width, solid):
    """Places that keep changing although nothing passes through.

    A clock, a lamp, leaves. Not: an animal that twitches in its nest, as it
    is as large there as what travels elsewhere.

    Args:
        changes: `Changes`.
        present: `[H, W]` share of scattered frames with foreground.
        width: Of a typical object.
        solid: `[H, W]` bool, where something as large as what travels was in
            scattered frames.

    Returns:
        `[H, W]` bool.
    """
    number = len(changes.changed)
    result = np.zeros(present.shape, bool)
    if number < 4:
        return result
    reach = max(2, int(width / 4 + 0.5))
    often = changes.changed.sum(0)
    # What flickers seems to travel now and then.
    passed = solid | (changes.passed > often / 3)
    passed = grown(passed, 2 * reach)
    candidates = ((often > 0) | (present > 0.1)) & ~passed
    labels, count = ndimage.label(grown(candidates, reach) & ~passed)
    for i, box in enumerate(ndimage.find_objects(labels), 1):
        here = labels[box] == i
        if here.sum() > _SMALL * present.size:
            continue
        pixels = (changes.changed[:, *box] & here).sum((1, 2))
        thirds = [part.any() for part in np.array_split(pixels > 1, 3)]
        often = (pixels > 1).mean() >= 0.25
        if often and all(thirds) and present[box][here].max() > 0.1:
            result[box] |= here
    return result
