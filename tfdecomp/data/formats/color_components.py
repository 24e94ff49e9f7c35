"""Pseudo boxes: connected components of every exact colour, linked in time.

They stand in for annotations where a video shows things of few colours before
black, such as a game, and nothing else is known of it.

References:
    Crawford and Pineau, Exploiting Spatial Invariance for Scalable
    Unsupervised Object Tracking. AAAI 2020: the rule by which its authors
    annotate Atari games.
"""

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

# Neighbours are above, below, left and right, in the same frame.
_CROSS = np.zeros((3, 3, 3), bool)
_CROSS[1] = ndimage.generate_binary_structure(2, 1)


def tracks(video) -> np.ndarray:
    """Boxes of what has one colour other than black.

    In every frame the pixels of each exact colour are dilated once with an
    elliptic kernel of 2x2, `[[0, 1], [1, 1]]`: by one pixel down and one to
    the right. Objects are their connected components, with four neighbours.
    Those of one colour in two frames, one behind the other, are matched so
    that their centroids move as little as possible in sum, however far. The
    others begin a track; one that ends is never taken up again.

    Args:
        video: `[T, H, W, 3]` uint8.

    Returns:
        `[T, N, 4]` float32 boxes of the `N` tracks, tight around the dilated
        pixels within the frame, in pixel edges `(ymin, xmin, ymax, xmax)`;
        zeros where a track has none. Tracks are in the order of their colours
        `(r, g, b)`, then of their first frames, then of rows.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.formats.color_components import tracks
        >>> video = np.zeros([1, 4, 4, 3], np.uint8)
        >>> video[0, 1, 2] = [255, 0, 0]  # dilated down and to the right
        >>> tracks(video)
        array([[[1., 2., 3., 4.]]], dtype=float32)
    """
    codes = video.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    colors = np.unique(codes[codes > 0])
    numbers = np.where(codes > 0, np.searchsorted(colors, codes) + 1, 0)
    boxes = [np.zeros((len(video), 0, 4), np.float32)]
    # Each colour is looked at where it is, not everywhere.
    for number, (times, *sides) in enumerate(ndimage.find_objects(numbers), 1):
        rows, columns = (slice(s.start, s.stop + 1) for s in sides)
        lit = _dilate(numbers[times, rows, columns] == number)
        frames, found, centroids = _components(lit)
        ids = _link(frames, centroids)
        corner = rows.start, columns.start, rows.start, columns.start
        part = np.zeros((len(video), ids.max() + 1, 4), np.float32)
        part[times.start + frames, ids] = found + corner
        boxes.append(part)
    return np.concatenate(boxes, 1)


def _dilate(lit):
    """Pixels `[T, h, w]`, those below them and those to the right of them."""
    out = lit.copy()
    out[:, 1:] |= lit[:, :-1]
    out[:, :, 1:] |= lit[:, :, :-1]
    return out


def _components(lit):
    """Frames `[N]`, boxes `[N, 4]` and centroids `[N, 2]`, by frames."""
    labels, count = ndimage.label(lit, _CROSS)
    edges = [
        (time.start, y.start, x.start, y.stop, x.stop)
        for time, y, x in ndimage.find_objects(labels)
    ]
    frames, *box = np.array(edges).T
    places = np.nonzero(labels)
    number = labels[places] - 1
    # Much faster than ndimage.center_of_mass.
    sums = [np.bincount(number, p, count) for p in places[1:]]
    centroids = np.stack(sums, -1) / np.bincount(number)[:, None]
    return frames, np.stack(box, -1), centroids


def _link(frames, centroids):
    """Tracks `[N]`, from 0, of components of one colour."""
    ids = np.full(len(frames), -1)
    count, before = 0, np.zeros(0, int)
    for time in range(frames[-1] + 1):
        here = np.flatnonzero(frames == time)
        steps = centroids[here][:, None] - centroids[before]
        cost = np.linalg.norm(steps, axis=-1)
        now, then = linear_sum_assignment(cost)
        ids[here[now]] = ids[before[then]]
        new = here[ids[here] < 0]
        ids[new] = count + np.arange(len(new))
        count, before = count + len(new), here
    return ids
