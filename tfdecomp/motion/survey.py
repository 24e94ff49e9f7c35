"""What a video shows, measured before anything is chosen.

How large the objects are, how many, how fast, how far they stand out from the
ground, and what makes the video unfit.
"""

import dataclasses

import numpy as np
from scipy import ndimage

from tfdecomp.motion import background as background_lib
from tfdecomp.motion import blobs as blobs_lib
from tfdecomp.motion import camera, light, sightings

SHARES = (0.1, 0.5, 0.9, 0.97)  # quantiles of sizes in `Survey`

_LOOKED_AT = 60  # scattered frames in which objects are sought
# Share of an object's contrast below which there are shadows, reflections and
# what compression leaves around it.
_NO_GROUND = 128  # grey levels
_FAINTEST = 5.0  # grey levels from the ground that can be seen
_FAINT = 0.15
_SPECK = 0.15  # of a typical object's area, what is none
_ALL = 0.4  # share of the frame that moves where all of it does
_FEW_FRAMES = 10
_PAIRS = 12  # of frames in which the camera's movement is sought
_MOVED = 0.5  # pixels that are no trembling of the picture
_SEVERAL = 3  # parts of nine that do not move by chance at once


@dataclasses.dataclass
class Samples:
    """Frames of a video.

    Attributes:
        scattered: `[N, H, W, C]` uint8 from all over the video, in order.
        runs: `[R, H, W, C]` each, consecutive frames; without them nothing
            is said of speeds and of what flickers.
    """

    scattered: np.ndarray
    runs: tuple | list | np.ndarray = ()

    def __post_init__(self):
        size = self.scattered.shape[1:]
        others = {run.shape[1:] for run in self.runs} - {size}
        if self.scattered.ndim != 4 or others:
            raise ValueError(
                "scattered frames are [N, H, W, C] and each run [R, H, W, C] "
                f"of the same size, got {self.scattered.shape} and "
                f"{[run.shape for run in self.runs]}"
            )


@dataclasses.dataclass
class Survey:
    """What a video shows, in pixels and grey levels of the frames surveyed.

    Attributes:
        background: The `Background`; its threshold is far enough below the
            objects' contrast, too.
        gain: Difference from the background of a typical object.
        length: `[4]` of objects, at the quantiles `SHARES` of all seen.
        width: `[4]` likewise.
        area: `[4]` pixels likewise.
        min_area: Least pixels of an object.
        max_area: Most pixels of a blob, of several objects that touch.
        count: Objects seen in a frame, the median.
        count_high: The same, 95%.
        num_objects: How many there are, those that touch others among them;
            where they come and go, in a frame with many.
        speed: `(median, 95%)` pixels from frame to frame; 0 without runs.
        share: Of the frame that objects cover, on average.
        travels: Share of what is seen in runs that gets somewhere.
        light_drifts: Whether frames differ in light.
        ignore: `[H, W]` bool, places that change although nothing passes
            through, such as a clock.
        region: `[H, W]` bool, where was looked; None: everywhere.
        problems: `(kind, sentence)` each, of the kinds "camera_moves",
            "nothing_moves", "everything_moves", "light_steps", "too_short".
    """

    background: background_lib.Background
    gain: float
    length: np.ndarray
    width: np.ndarray
    area: np.ndarray
    min_area: float
    max_area: float
    count: float
    count_high: float
    num_objects: int
    speed: tuple[float, float]
    share: float
    travels: float
    light_drifts: bool
    ignore: np.ndarray
    region: np.ndarray | None
    problems: list

    @property
    def threshold(self):
        """`[H, W]` difference above which a pixel may be an object's."""
        return self.background.threshold()


def survey(
    samples,
    *,
    background=None,
    levels=None,
    region=None,
    object_size=None,
    num_objects=None,
    min_area=None,
    max_area=None,
) -> Survey:
    """Measures a video.

    Args:
        samples: `Samples`, or scattered frames `[N, H, W, C]` alone.
        background: Their `background.estimate`, where it is known.
        levels: Mean grey level of every frame, `[T]`, or one such array for
            each of several videos, for light that is switched; by default
            those of the scattered frames.
        region: `[H, W]` bool, where objects may be; by default everywhere.
        object_size: Their length in pixels, where it is known.
        num_objects: How many there are, where it is known.
        min_area: Least pixels of an object, where it is known.
        max_area: Most pixels.
    """
    if not isinstance(samples, Samples):
        samples = Samples(np.asarray(samples))
    if background is None:
        background = background_lib.estimate(samples.scattered)
    look = _Look(samples, background, region)
    look.measure_contrast()
    blobs = look.at_scattered()
    look.width = _typical_width(blobs, object_size)
    look.follow_runs()
    known = _Known(object_size, num_objects, min_area, max_area)
    blobs = look.at_scattered()
    areas = _areas(blobs, look.trails, known)
    look.ignore = look.flickering(blobs, areas)
    blobs = look.at_scattered(*areas)
    return _report(look, blobs, areas, known, levels)


@dataclasses.dataclass
class _Known:
    length: float | None
    number: int | None
    min_area: float | None
    max_area: float | None


class _Look:
    """Frames of a video and what has been found in them so far."""

    def __init__(self, samples, background, region):
        self.samples = samples
        self.background = background
        self.region = region
        self.ignore = np.zeros(self.background.size, bool)
        self.gain, self.width = 0.0, None
        self.trails, self.changes = [], None
        chosen = np.linspace(0, len(samples.scattered) - 1, _LOOKED_AT)
        self.chosen = samples.scattered[np.unique(chosen.round().astype(int))]
        self.gains = [self.light_of(frame) for frame in self.chosen]

    @property
    def where(self):
        inside = ~self.ignore
        return inside if self.region is None else inside & self.region

    def light_of(self, frame):
        step = max(1, min(frame.shape[:2]) // 64)
        some = slice(step // 2, None, step), slice(step // 2, None, step)
        reach = self.background.threshold()[some]
        return light.gain_of(frame[some], self.background.picture[some], reach)

    def difference(self, frame, gain=None):
        gain = self.light_of(frame) if gain is None else gain
        return self.background.difference(frame, gain)

    def find(self, difference, min_area=1, max_area=None):
        return blobs_lib.find(
            difference,
            self.background.threshold(),
            min_area=min_area,
            max_area=max_area,
            width=self.width,
            region=self.where,
        )

    def at_scattered(self, min_area=1, max_area=None):
        """`Blobs` of the chosen frames."""
        return [
            self.find(self.difference(frame, gain), min_area, max_area)
            for frame, gain in zip(self.chosen, self.gains)
        ]

    def measure_contrast(self):
        """Sets `gain`, and a threshold well below it."""
        levels, masses = [], []
        for frame, gain in zip(self.chosen, self.gains):
            difference = self.difference(frame, gain)
            blobs = self.find(difference, min_area=4)
            mass = blobs.areas * blobs.levels
            for i in np.argsort(-mass)[:40]:
                inside = difference[blobs.labels == i + 1]
                levels.append(np.quantile(inside, 0.75))
                masses.append(mass[i])
        self.gain = _quantile(levels, 0.5, masses)
        if levels:
            least = _FAINT * self.gain
            self.background = self.background.with_least(least)

    def moving(self, *frames):
        """`[H, W]` bool, what moves in some of them; None where most does.

        A camera that moves leaves no ground to tell it from.
        """
        threshold = self.background.threshold()
        moves = np.zeros(threshold.shape, bool)
        for frame in frames:
            moves |= self.difference(frame) > threshold
        moves = background_lib.grown(ndimage.binary_fill_holes(moves), 2)
        return None if moves.mean() > 0.5 else moves

    def light_drifts(self):
        """Whether the ground varies as much by light as by noise."""
        spread = np.ptp(np.quantile(self.gains, [0.05, 0.95]))
        bright = np.quantile(self.background.picture, 0.9)
        return bool(spread * bright > np.median(self.background.noise))

    def follow_runs(self):
        """Sets `trails` and `changes`."""
        changed, passed = [], np.zeros(self.ignore.shape, int)
        threshold = self.background.threshold()
        for run in self.samples.runs:
            found, masks = [], []
            for frame in run:
                difference = self.difference(frame)
                found.append(self.find(difference, min_area=4))
                masks.append((difference > threshold) & self.where)
            trails = sightings.trails(found)
            here, through = sightings.changes(np.stack(masks), found, trails)
            changed.append(here)
            passed += through
            self.trails += trails
        changed = np.reshape(changed, (-1, *passed.shape)).astype(bool)
        self.changes = sightings.Changes(changed, passed)

    def flickering(self, blobs, areas):
        """`[H, W]` see `sightings.flicker`."""
        narrow = [t.axes[:, 1] for t in self.trails if t.travels]
        if not narrow:
            return self.ignore
        narrow = float(np.median(np.concatenate(narrow)))
        present = np.zeros(self.ignore.shape, np.float32)
        solid = np.zeros(self.ignore.shape, bool)
        threshold = self.background.threshold()
        for frame, picture, gain in zip(blobs, self.chosen, self.gains):
            present += self.difference(picture, gain) > threshold
            large = frame.areas >= 2 * areas[0]
            large &= frame.axes[:, 1] >= 0.6 * narrow
            solid |= np.append(False, large)[frame.labels]
        return sightings.flicker(
            self.changes, present / len(blobs), narrow, solid
        )


def _quantile(values, share, weights=None):
    """Weighted quantile; 0 of nothing."""
    values = np.asarray(values, np.float64)
    if not len(values):
        return 0.0
    if weights is None:
        return float(np.quantile(values, share))
    order = np.argsort(values)
    total = np.cumsum(np.asarray(weights, np.float64)[order])
    place = np.searchsorted(total, share * total[-1])
    return float(values[order][min(place, len(values) - 1)])


def _together(blobs, field):
    return np.concatenate([getattr(b, field) for b in blobs])


def _typical_width(blobs, object_size):
    """Width of the narrower ones of what differs from the background."""
    areas = _together(blobs, "areas")
    axes = _together(blobs, "axes")
    mass = areas * _together(blobs, "levels")
    if object_size:
        near = np.abs(np.log(axes[:, 0] / object_size)) < np.log(2)
        if near.any():
            mass = mass * near
    return _quantile(axes[:, 1], 0.2, mass)


def _areas(blobs, trails, known):
    """`(min_area, max_area)` of what counts as an object."""
    areas = _together(blobs, "areas").astype(np.float64)
    mass = areas * _together(blobs, "levels")
    lengths = _together(blobs, "axes")[:, 0]
    moving = [t.areas[~t.is_cut] for t in trails if t.travels]
    moving = np.concatenate(moving) if moving else np.zeros(0)
    typical = _quantile(areas, 0.5, mass)
    least = _SPECK * typical
    if known.length:
        near = np.abs(np.log(lengths / known.length)) < np.log(1.6)
        if near.any():
            least = 0.25 * np.median(areas[near])
    elif known.number:
        ranked = [
            np.sort(b.areas)[-known.number]
            for b in blobs
            if len(b) >= known.number
        ]
        if ranked:
            least = 0.4 * np.quantile(ranked, 0.75)
    elif len(moving) >= 20:
        # By length, as pieces of what compression leaves behind travel too.
        least = min(least, 0.4 * _quantile(moving, 0.05, moving**0.5))
    least = max(2.0, least) if known.min_area is None else known.min_area
    if known.max_area is not None:
        return least, known.max_area
    largest = _quantile(areas[areas >= least], 0.97)
    half = 0.5 * blobs[0].labels.size
    return least, float(min(max(6 * largest, least), half))


def _report(look, blobs, areas, known, levels):
    size = look.ignore.shape
    boxes = _together(blobs, "boxes")
    whole = ~sightings.is_cut(boxes, size)
    if not whole.any():
        whole[:] = True
    axes, pixels = _together(blobs, "axes"), _together(blobs, "areas")
    sizes = [
        np.array([_quantile(values[whole], share) for share in SHARES])
        for values in (axes[:, 0], axes[:, 1], pixels)
    ]
    if not len(pixels):
        sizes = _guesses(size, known)
    counts = np.array([len(b) for b in blobs])
    covered = np.array([b.areas.sum() for b in blobs])
    lasting = [t for t in look.trails if len(t.frames) > 2]
    lasting = [t for t in lasting if np.median(t.areas) >= areas[0]]
    lasting = [t for t in lasting if not _inside(t, look.ignore)]
    travelling = [t for t in lasting if t.travels]
    steps = np.concatenate([t.steps for t in travelling or lasting] or [[]])
    result = Survey(
        look.background,
        look.gain or 255.0,
        *sizes,
        *map(float, areas),
        float(np.median(counts)),
        float(np.quantile(counts, 0.95)),
        known.number or _number(counts, covered, pixels[whole]),
        (_quantile(steps, 0.5), _quantile(steps, 0.95)),
        float(covered.mean() / look.where.sum()),
        len(travelling) / max(1, len(lasting)),
        look.light_drifts(),
        look.ignore,
        look.region,
        [],
    )
    result.problems = _problems(look, result, levels)
    return result


def _inside(trail, mask):
    y, x = trail.centres[len(trail.frames) // 2].astype(int)
    return bool(mask[y, x])


def _guesses(size, known):
    """Sizes where nothing was seen to measure."""
    length = np.full(4, known.length or 0.05 * max(size))
    return [length, 0.5 * length, 0.4 * length**2]


def _number(counts, covered, areas):
    """How many objects there are, although some touch others."""
    high = int(np.ceil(np.quantile(counts, 0.8)))
    if not len(areas) or not high:
        return high
    low, single, large = np.quantile(areas, [0.1, 0.5, 0.9])
    # Where all are about as large, their pixels count them.
    if large < 4 * low:
        high = max(high, round(float(np.median(covered) / single)))
    return high


def _problems(look, found, levels):
    scattered = look.samples.scattered
    problems = []
    if len(scattered) < _FEW_FRAMES:
        problems.append(
            (
                "too_short",
                f"there are only {len(scattered)} frames to look at; the "
                "ground shows only where objects have moved away, so bring a "
                f"video of at least {_FEW_FRAMES} frames",
            )
        )
    moved = _camera(look) or _camera_in_parts(look)
    if moved:
        problems.append(
            (
                "camera_moves",
                f"the camera moves, by {moved:.1f} pixels and more; what "
                "moves is found as what differs from the picture of a fixed "
                "camera, so fix it to a stand or stabilise the video first",
            )
        )
    lasting = look.trails and found.travels
    is_busy = not moved and _busy(look) > _ALL
    # A speck of noise in one frame of twenty gets nowhere, and what an encoder
    # changes in a still picture is fainter than anything that is seen.
    seen = found.count > 0 or lasting or found.count_high >= 1
    if not is_busy and (not seen or found.gain < _FAINTEST):
        problems.append(
            (
                "nothing_moves",
                "nothing moves that stands out from the noise of "
                f"{np.median(look.background.noise):.1f} grey levels; show a "
                "part of the video in which something does, or a region",
            )
        )
    if is_busy:
        problems.append(
            (
                "everything_moves",
                f"{_busy(look):.0%} of the frame moves in a typical frame, so "
                "there is no ground to tell objects from; mark the region "
                "where they are, or light it evenly",
            )
        )
    return problems + _light(look, levels)


def _busy(look):
    """Share of the pixels that move in a typical frame.

    Where nothing could stand out of the noise, there is no ground either.
    """
    threshold, where = look.background.threshold(), look.where
    lost = threshold > _NO_GROUND
    shares = [
        (lost | (look.difference(frame, gain) > threshold))[where].mean()
        for frame, gain in zip(look.chosen[::4], look.gains[::4])
    ]
    return float(np.median(shares))


def _camera(look):
    """Pixels that the camera moves, 0 where it is fixed."""
    runs, scattered = look.samples.runs, look.samples.scattered
    near = [(run[i], run[-1]) for run in runs for i in (0, -2)]
    far = list(zip(scattered[:-1], scattered[1:]))
    result = 0.0
    for pairs in (near, far):
        chosen = np.linspace(0, len(pairs) - 1, min(_PAIRS, len(pairs)))
        chosen = [pairs[int(i)] for i in np.unique(chosen)]
        shifts = [
            np.hypot(*camera.shift(*pair, look.moving(*pair)))
            for pair in chosen
        ]
        if shifts and np.mean(np.array(shifts) > _MOVED) > 0.25:
            result = max(result, np.median([s for s in shifts if s > _MOVED]))
    return result


def _camera_in_parts(look):
    """The same of a camera that drives or zooms: its view grows."""
    moved = [0.0]
    for run in look.samples.runs:
        pair = run[0], run[-1]
        parts = np.hypot(*camera.shifts(*pair, look.moving(*pair)).T)
        parts = parts[parts > _MOVED]
        moved.append(np.median(parts) if len(parts) >= _SEVERAL else 0.0)
    if np.mean(np.array(moved) > 0) <= 0.25:
        return 0.0
    return float(np.median([one for one in moved if one]))


def _light(look, levels):
    if levels is None:
        grey = look.samples.scattered.mean((1, 2, 3))
        steps, unit = light.light_steps(grey), "sampled frame"
    else:
        several = levels if isinstance(levels, (list, tuple)) else [levels]
        if np.ndim(several[0]) == 0:
            several = [several]
        steps = [light.light_steps(level) for level in several]
        steps, unit = np.concatenate(steps), "frame"
    if not len(steps):
        return []
    places = ", ".join(map(str, steps[:5])) + (
        ", ..." if steps[5:].size else ""
    )
    return [
        (
            "light_steps",
            f"the light is switched at {unit} {places}; objects are found "
            "from the light that most frames have, so cut the video there",
        )
    ]
