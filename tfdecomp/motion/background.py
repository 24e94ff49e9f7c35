"""The picture behind what moves, from frames of a fixed camera.

    background of a pixel = the value that it has when no object covers it

The median finds it where objects cover a pixel less than half the time. An
animal that rests in one place for most of a video covers it longer, and then
the median is the animal. Two things tell them apart: elsewhere in the frame,
where objects only pass, they are all darker than the ground or all brighter;
and the ground goes on at the rim of what was covered, while an object ends
there.

Grey levels are 0 to 255 throughout.
"""

import dataclasses

import numpy as np
from scipy import ndimage

from tfdecomp.motion import light as light_lib
from tfdecomp.motion import passing
from tfdecomp.motion.light import PIXELS, SIGMA, STEP

_BAND = 2**24  # numbers that estimate works on at a time
_BRIEF = 0.25  # share of the time that an object at most takes to pass
_LITTLE = 0.3  # share of the time in which hardly anything passes
_APART = 4.0  # deviations between two modes; one normal cut in two has 2.7


@dataclasses.dataclass
class Background:
    """What a fixed camera sees where nothing covers the ground.

    Attributes:
        picture: `[H, W, C]` float32.
        noise: `[H, W]` float32, robust deviation of `difference` where the
            background shows.
        polarity: -1 where objects are darker than the ground, 1 where they
            are brighter, 0 where they are both or this is not known.
        tail: Deviations that the noise keeps within in nearly all of as many
            frames as were sampled: about 2.5 for a normal, more for
            compression, which is quiet and then jumps.
        cells: Cells along the longer side whose light is told apart; 0 where
            it is the same all over the frame.
    """

    picture: np.ndarray
    noise: np.ndarray
    polarity: int = 0
    tail: float = 2.5
    cells: int = 0

    def __post_init__(self):
        self.picture = np.ascontiguousarray(self.picture, np.float32)
        self.noise = np.ascontiguousarray(self.noise, np.float32)
        if self.picture.ndim != 3 or self.noise.shape != self.size:
            raise ValueError(
                "picture is [H, W, C] and noise [H, W], got "
                f"{self.picture.shape} and {self.noise.shape}"
            )
        self._planes = np.ascontiguousarray(np.moveaxis(self.picture, -1, 0))

    @property
    def size(self):
        """`(H, W)`."""
        return self.picture.shape[:2]

    def difference(self, frames, gain=1.0):
        """How far pixels are from the background, in grey levels.

        Args:
            frames: `[..., H, W, C]` uint8, or float of the same levels.
            gain: How much more light they have, see `gain_of`; where light is
                told apart, that is found besides.

        Returns:
            `[..., H, W]` float32, the largest of the channels.
        """
        if self.cells:
            lit = np.multiply(frames, 1 / gain, dtype=np.float32)
            return _difference(self.evenly_lit(lit), self._planes, 1.0)
        return self._plain_difference(frames, gain)

    def _plain_difference(self, frames, gain):
        if frames.shape[-3:] != self.picture.shape:
            raise ValueError(
                f"frames are [..., H, W, C] with {self.picture.shape} as the "
                f"background's, got {frames.shape}"
            )
        return _difference(frames, self._planes, gain)

    def evenly_lit(self, frames):
        """Frames as they would be if light had changed alike everywhere.

        Args:
            frames: `[..., H, W, C]` in the light of the background, but for
                places.

        Returns:
            The same, float32.
        """
        step = light_lib.step_of(self.size)
        some = slice(step // 2, None, step), slice(step // 2, None, step)
        picture, reach = self.picture[some], self.threshold()[some]
        flat = frames.reshape(-1, *self.picture.shape)
        lit = np.empty(flat.shape, np.float32)
        for frame, result in zip(flat, lit):
            light = light_lib.cell_light(
                frame[some], picture, reach, self.cells
            )
            np.divide(
                frame, light_lib.smooth_light(light, self.size), out=result
            )
        return lit.reshape(frames.shape)

    def threshold(self, sensitivity=1.0):
        """`[H, W]` float32 difference above which a pixel may be foreground.

        It is low enough for faint borders of objects. Half as much again is
        certain, see `blobs.find`.

        Args:
            sensitivity: Above 1 finds more, and more of the noise with it.
        """
        return np.float32(self._deviations / sensitivity) * self.noise

    @property
    def _deviations(self):
        # Somewhat beyond what the sampled frames had, as there are many
        # more; a normal is beyond 3.5 once in 2,000 times.
        return max(3.5, 1.4 * self.tail)

    def with_least(self, level):
        """The background with a threshold of at least this grey level."""
        noise = np.maximum(self.noise, level / self._deviations)
        return dataclasses.replace(self, noise=noise)

    def crop(self, box):
        """The background inside `(ymin, xmin, ymax, xmax)`, whole pixels."""
        top, left, bottom, right = map(int, box)
        return dataclasses.replace(
            self,
            picture=self.picture[top:bottom, left:right],
            noise=self.noise[top:bottom, left:right],
            cells=0,  # a part does not show enough of the light
        )


def _difference(frames, planes, gain):
    """`[..., H, W]` largest distance of frames from `planes` `[C, H, W]`."""
    result = _distance(frames[..., 0], planes[0], gain)
    for channel in range(1, len(planes)):
        other = _distance(frames[..., channel], planes[channel], gain)
        np.maximum(result, other, out=result)
    return result


def _distance(values, plane, gain):
    if gain != 1:
        values = np.multiply(values, 1 / gain, dtype=np.float32)
    result = np.subtract(values, plane, dtype=np.float32)
    return np.abs(result, out=result)


def estimate(frames) -> Background:
    """The background of sampled frames.

    Args:
        frames: `[N, H, W, C]` uint8, best 40 to 120 of them, from all over the
            video. Frames may differ in how much light there is.

    Returns:
        A `Background` in the light of the middle frame of those sampled.

    Raises:
        ValueError: If there are no frames, or they are not uint8 pictures.
    """
    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.dtype != np.uint8 or not frames.size:
        raise ValueError(
            "the background is estimated from frames [N, H, W, C] of uint8, "
            f"got {frames.shape} of {frames.dtype}"
        )
    if len(frames) < 3:
        return _of_two(frames)
    sample = _some_pixels(frames)
    gains = light_lib.gains_of(sample)
    chosen = light_lib.one_light(gains)
    gains = gains[chosen]
    colour = _colour(sample[chosen] / gains[:, None, None])
    cells, light = light_lib.local_light(frames[chosen], gains, colour.noise)
    sample = _Sample(frames, chosen, gains, light if cells else None)
    modes = _all_modes(sample, colour)
    if not colour.polarity:
        _prefer_what_goes_on(modes)
    _forget_what_passes(sample, modes)
    noise, tail = _measured(modes)
    return Background(modes.picture, noise, colour.polarity, tail, cells)


@dataclasses.dataclass
class _Sample:
    """Sampled frames, in one light.

    Attributes:
        frames: `[M, H, W, C]` uint8, of which some are used.
        chosen: Which, `[M]` bool or their numbers; all at once they would
            take as much memory again.
        gains: `[N]` light of each that is used.
        light: `[N, ...]` light of its cells, None where it is even.
    """

    frames: np.ndarray
    chosen: np.ndarray
    gains: np.ndarray
    light: np.ndarray | None

    @property
    def bands(self):
        """Slices of rows that are worked on at a time."""
        height, width, channels = self.frames.shape[1:]
        rows = max(1, _BAND // (len(self.gains) * width * channels))
        return [slice(y, min(y + rows, height)) for y in range(0, height, rows)]

    def rows(self, rows):
        """`[N, h, W, C]` float32."""
        frames = self.frames[self.chosen, rows]
        band = frames / self.gains[:, None, None, None]
        if self.light is not None:
            size = self.frames.shape[1:3]
            band /= np.stack(
                [light_lib.smooth_light(one, size, rows) for one in self.light]
            )
        return band


def _some_pixels(frames):
    """`[N, P, C]` float32, pixels on an even grid."""
    _, height, width, channels = frames.shape
    step = max(1, int((height * width / PIXELS) ** 0.5))
    some = frames[:, step // 2 :: step, step // 2 :: step]
    return some.reshape(len(frames), -1, channels).astype(np.float32)


@dataclasses.dataclass
class _Colour:
    """What objects look like beside the ground.

    Attributes:
        axis: `[C]` direction in which they differ from it, of length 1,
            towards what is brighter.
        side: -1, 0 or 1: on which side of the ground they are on the axis.
        polarity: `side`, if the axis is one of brightness.
        noise: Deviation of a typical pixel along the axis.
    """

    axis: np.ndarray
    side: int
    polarity: int
    noise: float


def _colour(sample):
    """What passes over the pixels `[N, P, C]` looks like: a `_Colour`."""
    channels = sample.shape[-1]
    middle = np.median(sample, 0)
    rest = sample - middle
    size = _difference(sample, middle.T, 1.0)
    noise = np.maximum(SIGMA * np.median(size, 0), STEP)
    noise = np.maximum(noise, np.median(noise))
    passing = rest[size > 6 * noise]
    grey = np.full(channels, channels**-0.5, np.float32)
    if len(passing) < 8:
        return _Colour(grey, 0, 0, float(np.median(noise)))
    axis = np.linalg.eigh(passing.T @ passing)[1][:, -1]
    axis = np.where(axis @ grey < 0, -axis, axis).astype(np.float32)
    along = rest @ axis
    level = np.quantile(np.abs(passing @ axis), 0.9)
    far = np.maximum(6 * noise, 0.3 * level)
    votes = []
    for side in (-1, 1):
        share = (side * along > far).mean(0)
        votes.append(np.sum((share > 0) & (share <= _BRIEF)))
    side = 0
    if sum(votes) >= 8 and max(votes) >= 0.75 * sum(votes):
        side = int(np.sign(votes[1] - votes[0]))
    is_grey = axis @ grey > 0.7
    return _Colour(axis, side, side * int(is_grey), float(np.median(noise)))


@dataclasses.dataclass
class _Modes:
    """What pixels show most of the time, and what else for a while.

    Attributes:
        picture: `[H, W, C]`.
        noise: `[H, W]` robust deviation from the picture.
        low: `[H, W]` distance from it that is not exceeded in `_LITTLE` of
            the time.
        peak: `[H, W]` largest distance from it, without other modes.
        other: `[H, W, C]` the other mode, where there is one.
        share: `[H, W]` of the time that it shows, or 0.
    """

    picture: np.ndarray
    noise: np.ndarray
    low: np.ndarray
    peak: np.ndarray
    other: np.ndarray
    share: np.ndarray

    def __iter__(self):
        return (getattr(self, f.name) for f in dataclasses.fields(self))


def _all_modes(sample, colour):
    """`_Modes` of a `_Sample`."""
    parts = [list(_modes(sample.rows(b), colour)) for b in sample.bands]
    return _Modes(*(np.concatenate(part) for part in zip(*parts)))


def _modes(band, colour):
    """`_Modes` of some rows `[N, h, W, C]`."""
    shape, channels = band.shape[1:3], band.shape[3]
    band = band.reshape(len(band), -1, channels)
    along = band @ colour.axis
    cut, upper_share, is_double = _split(along, colour.noise)
    take_upper = upper_share >= 0.5
    if colour.side:
        take_upper = np.full_like(take_upper, colour.side < 0)
    members = ~is_double | ((along >= cut) == take_upper)
    (picture,) = _quantiles(band, members, [0.5])
    size = _difference(band, picture.T, 1.0)
    noise, low = _deviation(size, members)
    peak = np.where(members, size, 0).max(0)
    other = np.zeros_like(picture)
    double = np.flatnonzero(is_double)
    other[double] = _quantiles(band[:, double], ~members[:, double], [0.5])[0]
    share = np.where(is_double, 1 - members.mean(0), 0)
    parts = picture, noise, low, peak, other, share
    return _Modes(*(p.reshape(*shape, *p.shape[1:]) for p in parts))


def _split(along, noise):
    """Cuts the values of each pixel in two where that parts them best.

    Args:
        along: `[N, P]`.
        noise: A typical pixel's.

    Returns:
        `(cut [P], share of those not below it [P], whether these are two
        modes [P])`. Neither has so few samples that noise could make it.
    """
    number = len(along)
    least = max(2 if number > 4 else 1, int(np.ceil(0.08 * number)))
    ordered = np.sort(along, 0)
    middle = ordered[(number - 1) // 2 : number // 2 + 1].mean(0)
    values = ordered - middle
    below = np.arange(1, number, dtype=np.float32)[:, None]
    above = number - below
    sums, squares = np.cumsum(values, 0), np.cumsum(values**2, 0)
    low = sums[:-1] / below
    high = (sums[-1] - sums[:-1]) / above
    spread = below * above * (high - low) ** 2
    spread[: least - 1] = spread[number - least :] = -1
    at = np.argmax(spread, 0)[None]

    def there(array):
        return np.take_along_axis(array, at, 0)[0]

    below, above = at[0] + 1, number - at[0] - 1
    low, high, first = there(low), there(high), there(squares)
    inside = first / below - low**2
    inside += (squares[-1] - first) / above - high**2
    deviation = np.sqrt(np.maximum(0.5 * inside, 0) + STEP**2)
    is_double = (high - low > _APART * deviation) & (high - low > 6 * noise)
    return there(ordered[1:]), above / number, is_double


def _deviation(size, members):
    """`[P]` robust deviation of distances `[N, P]` of members, and low ones."""
    shares = [_LITTLE, 0.5, 0.8]
    low, middle, large = _quantiles(size[..., None], members, shares)[..., 0]
    middle = np.maximum(SIGMA * middle, STEP)
    # Compressed video is still most of the time, and then it jumps. More than
    # thrice the middle may be objects that pass.
    deviation = np.clip(large / 1.28, middle, 3 * middle)
    return deviation, np.maximum(low, 0.5 * STEP)


def _forget_what_passes(sample, modes):
    """Measures noise anew from what does not pass, in place."""
    expected = passing.expected_noise(modes.picture, modes.noise, modes.low)
    height = len(expected)
    for rows in sample.bands:
        wide = slice(
            max(0, rows.start - passing.MARGIN),
            min(height, rows.stop + passing.MARGIN),
        )
        band = sample.rows(wide)
        planes = np.moveaxis(modes.picture[wide], -1, 0)
        size = _difference(band, planes, 1.0)
        passed = passing.passes(size, expected[wide])
        inner = slice(rows.start - wide.start, rows.stop - wide.start)
        band, size, passed = band[:, inner], size[:, inner], passed[:, inner]
        busy = passed.any(0)
        if not busy.any():
            continue
        size = size[:, busy]
        member = ~passed[:, busy]
        double = modes.share[rows][busy] > 0
        if double.any():
            other = modes.other[rows][busy][double]
            two = np.flatnonzero(busy)[double]
            shown = band.reshape(len(band), -1, band.shape[-1])[:, two]
            other = _difference(shown, other.T, 1.0)
            member[:, double] &= size[:, double] <= other
        member[:, ~member.any(0)] = True
        modes.noise[rows][busy], _ = _deviation(size, member)


def _quantiles(values, members, shares):
    """`[M, P, C]` quantiles over those of `[N, P, C]` that are members."""
    if members.all():
        values, count = (
            np.sort(values, 0),
            np.full(members.shape[1], len(values)),
        )
    else:
        values = np.where(members[..., None], values, np.inf)
        values.sort(0)
        count = members.sum(0)
    result = []
    for share in shares:
        place = share * np.maximum(count - 1, 0)
        below = np.floor(place).astype(int)
        both = np.stack([below, np.minimum(below + 1, count - 1)])
        both = np.take_along_axis(values, both[..., None], 0)
        part = np.float32(place - below)[:, None]
        result.append(both[0] + part * (both[1] - both[0]))
    return np.stack(result)


def _prefer_what_goes_on(modes):
    """Takes the other mode where the ground around goes on in it, in place."""
    tried = modes.share >= 0.2
    if not tried.any() or tried.all():
        return
    around = _around(modes.picture, modes.share > 0)
    of_this = _smooth(np.abs(modes.picture - around).max(-1), tried)
    of_other = _smooth(np.abs(modes.other - around).max(-1), tried)
    apart = np.abs(modes.picture - modes.other).max(-1)
    better = tried & (of_other < 0.25 * apart) & (of_this > 0.75 * apart)
    left = modes.picture[better]
    modes.picture[better] = modes.other[better]
    modes.other[better] = left
    modes.share[better] = 1 - modes.share[better]
    modes.peak[better] = modes.noise[better]


def _around(picture, hidden):
    """`[H, W, C]` picture with hidden places as the nearest shown ones."""
    shown = ~ndimage.binary_dilation(hidden, iterations=2)
    if not shown.any():
        return picture
    calm = ndimage.median_filter(picture, size=(5, 5, 1))
    places = ndimage.distance_transform_edt(
        ~shown, return_distances=False, return_indices=True
    )
    return np.where(hidden[..., None], calm[tuple(places)], picture)


def _smooth(values, where):
    """Means over neighbours among those pixels."""
    total = ndimage.uniform_filter(np.where(where, values, 0), 5)
    share = ndimage.uniform_filter(where.astype(np.float32), 5)
    return total / np.maximum(share, 0.01)


def _measured(modes):
    """`(noise [H, W], tail)` with floors that the sample itself has."""
    # A pixel's own deviation is uncertain, and 0 where it was rounded away.
    around = ndimage.uniform_filter(modes.noise, 7)
    noise = np.maximum(np.maximum(modes.noise, around), STEP)
    # Objects pass over some pixels, often over most: a low quantile.
    return noise, float(np.quantile(modes.peak / noise, 0.25))


def _of_two(frames):
    """Background of one or two frames: what goes on around it is taken."""
    first, last = frames[0].astype(np.float32), frames[-1].astype(np.float32)
    last /= light_lib.gain_of(last, first)
    picture = 0.5 * (first + last)
    apart = np.abs(first - last).max(-1)
    # The difference of two has root 2 their deviation.
    around = 2**-0.5 * SIGMA * ndimage.median_filter(apart, 15)
    noise = np.maximum(np.maximum(around, np.median(around)), STEP)
    hidden = grown(ndimage.binary_opening(apart > 6 * noise), 2)
    hidden &= apart > 3 * noise
    if hidden.any() and not hidden.all():
        around = _around(picture, hidden)
        firsts = _smooth(np.abs(first - around).max(-1), hidden)
        lasts = _smooth(np.abs(last - around).max(-1), hidden)
        best = np.where((firsts < lasts)[..., None], first, last)
        picture = np.where(hidden[..., None], best, picture)
    return Background(picture, noise)


def grown(mask, radius):
    """`[H, W]` mask with all within some pixels of it, in an octagon."""
    mask = mask.copy()
    for turn in range(radius):
        before = mask.copy()
        mask[1:] |= before[:-1]
        mask[:-1] |= before[1:]
        if turn % 2:  # squares and crosses in turn
            before = mask.copy()
        mask[:, 1:] |= before[:, :-1]
        mask[:, :-1] |= before[:, 1:]
    return mask


def as_picture(difference, threshold, gain):
    """A difference as a grey picture: black ground, bright objects.

    Args:
        difference: `[..., H, W]` grey levels, from `Background.difference`.
        threshold: `[H, W]` or a number: what is below is black.
        gain: Difference of a typical object, which is white.

    Returns:
        `[..., H, W]` uint8.
    """
    room = np.maximum(gain - threshold, 1.0)
    share = (difference - threshold) / room
    return (np.clip(share, 0, 1) * 255 + 0.5).astype(np.uint8)
