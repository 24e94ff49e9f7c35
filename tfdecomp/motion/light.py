"""How much light a frame has, beside others of the same fixed camera.

Light that changes is one number for a frame, its gain. Where it changes here
and not there, as under a cloud that passes, it is one for each of some cells
that the frame is cut into, and smooth in between.

Grey levels are 0 to 255 throughout.
"""

import numpy as np
from scipy import ndimage

STEP = 12**-0.5  # deviation that rounding to whole grey levels causes
SIGMA = 1.4826  # deviation of a normal in units of its median deviation
PIXELS = 2**14  # looked at to learn about light and colours
_CELLS = 6  # along the longer side, in which light is told apart
_JUMP = 0.2  # of the light, from a cell to the next, that is no shadow's
_UNEVEN = 0.25  # share of the cells whose light goes its own way
_DARK = 8.0  # grey levels of what is too dark to tell the light
_SEEN = 2.0  # grey levels of a step; a dark ground has rounding for light


def gain_of(frame, picture, reach=None):
    """How much more light a frame has than a picture of the same pixels.

    Least squares over the pixels that one gain explains, so that objects do
    not count.

    Args:
        frame: `[..., C]`.
        picture: `[..., C]`.
        reach: `[...]` how far background pixels are from the picture; by
            default as the middle half of the pixels tells.
    """
    return Gauge(picture, reach)(frame)


class Gauge:
    """`gain_of` for many frames beside one picture.

    Args:
        picture: As there.
        reach: The same.
    """

    def __init__(self, picture, reach=None):
        lit = picture > np.maximum(8.0, 0.25 * picture.mean())
        self._places = np.flatnonzero(lit)
        self._picture, self._known = picture, picture[lit]
        self._reach = None
        if reach is not None:
            reach = np.broadcast_to(reach[..., None], picture.shape)
            self._reach = reach[lit]

    def __call__(self, frame):
        """The gain of a frame `[..., C]`."""
        if len(self._places) < 16:
            return 1.0
        known = self._known
        seen = np.ravel(frame)[self._places].astype(np.float32)
        gain = float(np.median(seen / known))
        if gain <= 0:
            return 1.0
        for _ in range(2):
            near = np.abs(seen - gain * known) <= self._near(frame, gain)
            if np.count_nonzero(near) < 16:
                return gain
            some = known[near]
            gain = float(np.dot(seen[near], some) / np.dot(some, some))
        return gain

    def _near(self, frame, gain):
        """How far pixels of the ground are from the picture in this light."""
        if self._reach is not None:
            return self._reach * max(1.0, gain)
        off = np.abs(np.asarray(frame, np.float32) - gain * self._picture)
        return 3 * SIGMA * max(np.median(off), STEP)


def gains_of(sample):
    """`[N]` float32 light of each frame, 1 in the middle one."""
    middle = np.median(sample, 0)
    gains = list(map(Gauge(middle), sample))
    middle = np.median(sample / np.reshape(gains, (-1, 1, 1)), 0)
    gains = np.array(list(map(Gauge(middle), sample)), np.float32)
    return gains / np.median(gains)


def one_light(gains):
    """Frames without those of a light that the most do not have."""
    near = np.abs(np.log2(np.maximum(gains, 1e-3))) < 0.5
    return near if near.sum() >= 3 else np.ones_like(near)


def light_steps(levels):
    """Frames whose light is suddenly another than that of the one before.

    Args:
        levels: `[T]` mean grey level of each frame.

    Returns:
        `[M]` int64 numbers of the first frames in the new light. What lasts
        for fewer than three frames, or comes slowly, or cannot be seen, is
        none.
    """
    levels = np.maximum(np.asarray(levels, np.float64), 1.0)
    if len(levels) < 6:
        return np.zeros(0, np.int64)
    steps = np.abs(np.diff(np.log(levels)))
    usual = max(SIGMA * np.median(steps), 1e-3)
    (candidates,) = np.nonzero(steps > max(0.05, 8 * usual))
    found = []
    for t in candidates + 1:
        before, after = levels[max(0, t - 3) : t], levels[t : t + 3]
        old, new = np.median(before), np.median(after)
        size = np.abs(np.log(new / old))
        lasts = len(after) == 3 and size > 0.5 * steps[t - 1]
        is_new = not found or t - found[-1] >= 3
        if lasts and is_new and np.abs(new - old) >= _SEEN:
            found.append(t)
    return np.array(found, np.int64)


def step_of(size):
    """Every how many pixels to look, along both axes, to see `PIXELS`."""
    return max(1, int((np.prod(size) / PIXELS) ** 0.5))


def local_light(frames, gains, noise):
    """Whether light changes here and not there, and how.

    Args:
        frames: `[N, H, W, C]` uint8.
        gains: `[N]` light of each.
        noise: Deviation of a typical pixel.

    Returns:
        `(cells, [N, a, b])` as `Background.cells` and `cell_light`.
    """
    step = step_of(frames.shape[1:3])
    some = frames[:, step // 2 :: step, step // 2 :: step]
    some = some / gains[:, None, None, None]
    size = some.shape[1:3]
    # No threshold yet; where light varies, noise is what is left besides.
    reach = np.full(size, max(6.0 * noise, 6.0), np.float32)
    picture = np.median(some, 0)
    if np.median(picture.mean(-1)) <= _DARK:
        return 0, None  # what is bright there are objects, as in fluorescence
    for _ in range(2):
        light = np.stack([cell_light(f, picture, reach) for f in some])
        even = [f / smooth_light(g, size) for f, g in zip(some, light)]
        picture = np.median(even, 0)
    levels = _cell_means(picture.mean(-1), light.shape[1:])
    low, high = np.quantile(light, (0.1, 0.9), axis=0)
    left = np.median(np.abs(even - picture).max(-1), 0)
    usual = SIGMA * max(float(np.median(left)), STEP)
    if np.mean((high - low) * levels > 3 * usual) < _UNEVEN:
        return 0, None
    return _CELLS, light


def cell_light(frame, picture, reach, cells=_CELLS):
    """`[a, b]` light of each cell of a frame, 1 as in the picture.

    A cell says nothing of it unless most of its pixels are those of the
    ground in one light; then its neighbours do.

    Args:
        frame: `[h, w, C]`.
        picture: `[h, w, C]` the background.
        reach: `[h, w]` how far its pixels are from it.
        cells: Along the longer side.
    """
    ground = picture.mean(-1)
    seen = frame.mean(-1, dtype=np.float32)
    lit = ground > max(_DARK, 0.25 * ground.mean())
    rows, columns = _cuts(ground.shape, cells)
    light = np.full((len(rows) - 1, len(columns) - 1), np.nan)
    for i, j in np.ndindex(light.shape):
        part = np.s_[rows[i] : rows[i + 1], columns[j] : columns[j + 1]]
        on = lit[part]
        if on.sum() < 8:
            continue
        shown, behind = seen[part][on], ground[part][on]
        ratio = float(np.median(shown / behind))
        near = np.maximum(reach[part][on], 0.5 * _JUMP * ratio * behind)
        near = np.abs(shown - ratio * behind) <= near
        if ratio > 0.2 and near.mean() > 0.6:
            light[i, j] = ratio
    return _filled_in(light)


def smooth_light(light, size, rows=slice(None)):
    """`[h, W, 1]` float32, which goes on straight between cells' middles."""
    matrices = []
    for count, length in zip(light.shape, size):
        place = (np.arange(length) + 0.5) * count / length - 0.5
        low = np.clip(np.floor(place).astype(int), 0, count - 2)
        matrix = np.zeros((length, count), np.float32)
        matrix[np.arange(length), low] = 1 - (place - low)
        matrix[np.arange(length), low + 1] = place - low
        matrices.append(matrix)
    down, across = matrices
    smooth = down[rows] @ light.astype(np.float32) @ across.T
    return np.maximum(smooth, 0.1)[..., None]


def _filled_in(light):
    """Cells without a number take the nearest one's, as do single ones.

    Shadows have soft borders; a cell that is far from its neighbours is full
    of something else.
    """
    known = np.isfinite(light)
    if not known.any():
        return np.ones_like(light)
    places = ndimage.distance_transform_edt(
        ~known, return_distances=False, return_indices=True
    )
    light = light[tuple(places)]
    around = ndimage.median_filter(light, 3, mode="nearest")
    return np.where(np.abs(light - around) > _JUMP, around, light)


def _cuts(size, cells=_CELLS):
    """Edges of cells along both axes, about square."""
    side = max(size) / cells
    return [
        np.linspace(0, length, max(2, round(length / side)) + 1).astype(int)
        for length in size
    ]


def _cell_means(values, shape):
    rows, columns = (
        np.linspace(0, length, count + 1).astype(int)
        for length, count in zip(values.shape, shape)
    )
    sums = np.add.reduceat(values, rows[:-1], 0)
    sums = np.add.reduceat(sums, columns[:-1], 1)
    return sums / np.outer(np.diff(rows), np.diff(columns))
