"""Boxes that are parts of one object: they travel together in one blob."""

import numpy as np
from scipy import ndimage

from tfdecomp.motion.linking.link_fill import NONE
from tfdecomp.motion.linking.link_measure import Scale

LOOKS = 16  # common frames in which a pair is looked at
COMMON = 0.5  # of the shorter life
MOSTLY = 0.6  # of the looks
STIFF = 0.2  # sizes that the way from one to the other may vary by
COVERED = 0.4  # of the union's area, by one blob
BEYOND = 0.2  # sides that this blob may reach beyond the union


def join_parts(tracks, lives, foreground, scale: Scale):
    """Makes one track of those that are parts of one object.

    Args:
        tracks: `Tracks`; changed.
        lives: `[(column, first, last)]` of them.
        foreground: `t -> (mask, scale)`.
        scale: Of the video.

    Returns:
        The lives that are left.
    """
    root = list(range(len(lives)))
    for i in range(len(lives)):
        for j in range(i + 1, len(lives)):
            if lives[j][1] > lives[i][2]:
                break  # they are in the order of their first frames
            if _one_object(tracks, lives[i], lives[j], foreground, scale):
                root[j] = root[i]
    left = []
    for number, life in enumerate(lives):
        if root[number] == number:
            left.append(life)
    for number, life in enumerate(lives):
        whole = root[number]
        if whole != number:
            owner = lives[whole]
            _absorb(tracks, owner, life)
            longer = (owner[0], owner[1], max(owner[2], life[2]))
            left[left.index(owner)] = lives[whole] = longer
    return left


def _one_object(tracks, one, two, foreground, scale):
    first, last = max(one[1], two[1]), min(one[2], two[2])
    shorter = min(one[2] - one[1], two[2] - two[1]) + 1
    if last - first + 1 < max(3, COMMON * shorter):
        return False
    rows = slice(first, last + 1)
    seen = tracks.sources[rows, one[0]] >= 0
    seen &= tracks.sources[rows, two[0]] >= 0
    times = first + np.flatnonzero(seen)
    if len(times) < 3:
        return False
    looks = np.linspace(0, len(times) - 1, min(LOOKS, len(times)))
    times = times[np.unique(looks.astype(int))]
    boxes = tracks.boxes[times[:, None], [one[0], two[0]]]
    near = _adjacent(boxes, 0.1 * scale.size)
    if near.mean() < MOSTLY or not _stiff(boxes, scale):
        return False
    inside = [_in_one_blob(*pair) for pair in _pixels(boxes, times, foreground)]
    return float(np.mean(near & np.array(inside))) >= MOSTLY


def _adjacent(boxes, margin):
    """`[n]` whether the two boxes of `[n, 2, 4]` meet."""
    low = np.maximum(boxes[:, 0, :2], boxes[:, 1, :2])
    high = np.minimum(boxes[:, 0, 2:], boxes[:, 1, 2:])
    return (high - low > -margin).all(-1)


def _stiff(boxes, scale):
    """Whether the two move, and keep their places towards each other."""
    centres = 0.5 * (boxes[..., :2] + boxes[..., 2:])
    sides = np.sqrt(np.prod(boxes[..., 2:] - boxes[..., :2], -1)).mean(1)
    apart = (centres[:, 1] - centres[:, 0]) / sides[:, None]
    moved = np.linalg.norm(np.ptp(centres.mean(1), 0)) > scale.size
    return moved and float(apart.std(0).max()) < STIFF


def _pixels(boxes, times, foreground):
    for pair, time in zip(boxes, times):
        mask, unit = foreground(int(time))
        yield pair / unit, mask


def _in_one_blob(pair, mask):
    """Whether one blob covers both boxes, and is not much larger."""
    low, high = pair[:, :2].min(0), pair[:, 2:].max(0)
    side = np.maximum(high - low, 1)
    top = np.floor(np.maximum(low - side, 0)).astype(int)
    end = np.ceil(high + side).astype(int)
    crop = mask[top[0] : end[0], top[1] : end[1]]
    if not crop.any():
        return False
    label, _ = ndimage.label(crop, np.ones((3, 3)))
    pair = pair - np.concatenate([top, top])
    best = []
    for box in pair:
        rows = [
            slice(int(max(box[k], 0)), int(np.ceil(box[k + 2])))
            for k in range(2)
        ]
        counts = np.bincount(label[tuple(rows)].ravel(), minlength=2)[1:]
        best.append(counts.argmax() + 1 if counts.any() else 0)
    if best[0] != best[1] or not best[0]:
        return False
    y, x = np.nonzero(label == best[0])
    blob = np.array([y.min(), x.min(), y.max() + 1, x.max() + 1])
    union = np.concatenate([low - top, high - top])
    beyond = np.concatenate([union[:2] - blob[:2], blob[2:] - union[2:]])
    fits = (beyond <= BEYOND * np.tile(side, 2) + 1).all()
    return bool(fits and len(y) >= COVERED * side.prod())


def _absorb(tracks, owner, part):
    """Adds one track's boxes to another's, and takes it away."""
    rows = slice(part[1], part[2] + 1)
    boxes, sources = tracks.boxes, tracks.sources
    mine, its = boxes[rows, owner[0]], boxes[rows, part[0]]
    at = np.arange(part[1], part[2] + 1)
    both = (at >= owner[1]) & (at <= owner[2])
    union = np.concatenate(
        [np.minimum(mine, its)[:, :2], np.maximum(mine, its)[:, 2:]], 1
    )
    boxes[rows, owner[0]] = np.where(both[:, None], union, its)
    here, there = sources[rows, owner[0]], sources[rows, part[0]]
    keep = both & ((here >= 0) | (there < 0))
    sources[rows, owner[0]] = np.where(keep, here, there)
    doubts = tracks.doubts[rows, owner[0]]
    other = tracks.doubts[rows, part[0]]
    tracks.doubts[rows, owner[0]] = np.where(both, doubts, other)
    tracks.ids[rows, owner[0]] = tracks.ids[owner[1], owner[0]]
    sources[rows, part[0]] = NONE
