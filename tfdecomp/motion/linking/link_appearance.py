"""How differently two tracklets look, in units that decide.

Axes are those along which tracklets that exist side by side differ most,
relative to how one tracklet changes along its own length. Where individuals
look alike no axis is left, and looks say nothing.
"""

import numpy as np

from tfdecomp.motion.medians import median

AXES = 6
MOST = 5.0  # no look is trusted further than that
PAIRS = 2000


def describe(tracklets):
    """`[n, D]` looks of halves: their mean features and sizes.

    Returns:
        Two arrays, of first and last halves; of short tracklets both are of
        the whole.
    """
    halves = []
    for piece in tracklets:
        middle = max(1, len(piece) // 2)
        first, last = slice(0, middle), slice(len(piece) - middle, None)
        halves.append([_look(piece, first), _look(piece, last)])
    looks = np.array(halves, np.float64)
    return looks[:, 0], looks[:, 1]


def _look(piece, part):
    sides = piece.boxes[part, 2:] - piece.boxes[part, :2]
    sizes = [np.log(median(sides[:, 0] * sides[:, 1]))]
    if piece.counted:
        sizes.append(np.log1p(max(median(piece.areas[part]), 0.0)))
    features = piece.features[part].mean(0) if piece.features.size else []
    return np.nan_to_num(np.concatenate([sizes, features]))


def _frame_by_frame(piece, most):
    """`[k, D]` the looks of each of its first frames."""
    sides = piece.boxes[:most, 2:] - piece.boxes[:most, :2]
    looks = [np.log(sides[:, :1] * sides[:, 1:])]
    if piece.counted:
        looks.append(np.log1p(np.maximum(piece.areas[:most, None], 0.0)))
    if piece.features.size:
        looks.append(piece.features[:most])
    return np.nan_to_num(np.concatenate(looks, 1))


def axes(tracklets, looks):
    """`[D, k]` projection to axes of unit spread and `[k]` their weights."""
    first, last = looks
    long = np.array([len(t) >= 6 for t in tracklets])
    pairs = _side_by_side(tracklets, np.flatnonzero(long))
    if long.sum() < 4 or len(pairs) < 2:
        return np.zeros((first.shape[1], 0)), np.zeros(0)
    change = (last - first)[long]
    mean = 0.5 * (first + last)
    between = mean[pairs[:, 0]] - mean[pairs[:, 1]]
    unit = np.sqrt((change**2).mean(0)) + 1e-6
    change, between = change / unit, between / unit
    within = change.T @ change / len(change)
    size = len(within)
    within += 0.2 * np.trace(within) / size * np.eye(size) + 1e-9 * np.eye(size)
    across = between.T @ between / len(between)
    root = np.linalg.cholesky(np.linalg.inv(within))
    ratio, vectors = np.linalg.eigh(root.T @ across @ root)
    best = np.argsort(ratio)[::-1][:AXES]
    # 2 is what chance gives: a difference of two like draws.
    weights = np.clip(1 - 2.0 / np.maximum(ratio[best], 1e-9), 0.0, 1.0)
    used = weights > 0.5
    return (root @ vectors[:, best[used]]) / unit[:, None], weights[used]


def _side_by_side(tracklets, chosen):
    """Pairs `[k, 2]` of tracklets that share a frame."""
    pairs = []
    spans = [(tracklets[i].first, tracklets[i].last) for i in chosen]
    for a in range(len(chosen)):
        for b in range(a + 1, min(len(chosen), a + 20)):
            if spans[b][0] <= spans[a][1] and spans[a][0] <= spans[b][1]:
                pairs.append((chosen[a], chosen[b]))
        if len(pairs) >= PAIRS:
            break
    return np.array(pairs, np.int64).reshape(-1, 2)


class Looks:
    """Costs of taking two tracklets for one object.

    Args:
        tracklets: Those of a video.
        halves: What `describe` said of them, if it was asked already.
    """

    def __init__(self, tracklets, halves=None):
        if halves is None:
            halves = describe(tracklets)
        projection, self.weights = axes(tracklets, halves)
        self.first = halves[0] @ projection
        self.last = halves[1] @ projection
        self.noise = _noise(tracklets, projection)

    def cost(self, i, j):
        """Of `i`'s end going on as `j`'s start, arrays of numbers `[k]`."""
        # Looks of a single frame are worth less than the mean of many.
        spread = 1.0 + self.noise[i] + self.noise[j]
        off = (self.last[i] - self.first[j]) ** 2 / spread @ self.weights
        # One looks a little unlike itself, too.
        return _bounded(off) - _bounded(self.weights.sum())


def _bounded(off):
    return MOST * off / (off + 2 * MOST)


def _noise(tracklets, projection):
    """`[n, k]` variances of tracklets' means, from frame to frame's change."""
    count = projection.shape[1]
    if not count:
        return np.zeros((len(tracklets), 0))
    changes = []
    for piece in sorted(tracklets, key=len, reverse=True)[:50]:
        looks = _frame_by_frame(piece, 40)
        changes.append(np.diff(looks @ projection, axis=0))
    variance = 0.5 * (np.concatenate(changes) ** 2).mean(0)
    length = np.array([max(1, len(t) // 2) for t in tracklets])
    return variance / length[:, None]
