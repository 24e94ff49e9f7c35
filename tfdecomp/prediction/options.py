"""What may be asked of a decomposition, checked once for all who ask."""

import dataclasses
import difflib
import math
import numbers
import os

import numpy as np

from tfdecomp.data.video import levels
from tfdecomp.prediction.files import kinds
from tfdecomp.prediction.fit import CROPS
from tfdecomp.prediction.footage import SOURCE_FPS, Footage

LINKS = ("model", "online", "motion", "offline")
PRECISIONS = ("auto", "float32", "bfloat16")
_MOST_OBJECTS = 1000  # each is a slot, with a mask of its own
_MOST_REFINEMENTS = 1000
SEEDS = 0, 2**31 - 1  # they are int32; a larger one would equal another
_MOST_COUNT = 10**9
_RATES = 1e-6, 1e5  # Hz: from a frame in eleven days to the fastest cameras
MOST_BYTES = 2**31  # of all slots at once
# Bytes of a pixel of a slot: while it is decoded, with the gradients of a
# refinement, as measured of the shipped models, rounded down; and of what
# comes out, a mask and a picture, as tensors and as arrays.
_WORKING, _KEPT = 200, 32
_TRACKING = (
    "size",
    "region",
    "min_area",
    "max_area",
    "objects",
    "object_size",
)
# Whole numbers with their ranges; those that may be None are left out then.
_WHOLE = {
    "num_slots": (1, _MOST_COUNT),
    "num_refinements": (1, _MOST_REFINEMENTS),
    "seed": SEEDS,
    "chunk": (1, _MOST_COUNT),
    "num_future": (0, _MOST_COUNT),
    "objects": (1, _MOST_OBJECTS),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """How a video is decomposed.

    Args:
        fps: Frames per second to keep; None: every frame.
        source_fps: Frames per second of folders and arrays.
        range: Values shown as black and white where pictures have more than
            eight bits: `"auto"`, `"full"` or `(low, high)`, see
            `data.video.levels.choose`.
        fit: How frames become the model's size, see `Fit`.
        num_slots: `K`, if not the model's.
        num_refinements: `R`, if not the model's.
        seed: Seed of the samples, below `2**31`.
        chunk: Frames that the model gets at once, at most; changes memory
            and speed, not the result. Fewer where frames are large.
        num_future: Frames to predict after the last one.
        size: At which size the model sees frames: `"native"`, `(h, w)` or a
            factor; None: its own, or for models that follow what moves, one
            at which objects are as large as they know them.
        region: Where to look: `(ymin, xmin, ymax, xmax)` in pixels, the
            path of a picture that is black elsewhere, or what
            `regions.kept` made of one.
        min_area: Least pixels of an object.
        max_area: Most pixels of one.
        objects: How many objects there are, none born and none lost.
        object_size: Length of an object in pixels.
        link: Who decides identities: the `"model"`; `"online"`: matching
            frame by frame; `"motion"`: over the whole video; `"offline"`: the
            same, and by what animals look like where their number is known.
            None: offline for models that follow what moves, else the model.
            The model alone knows nothing of the six options before this one.
        write: What is written into a folder: `"all"`, or names of
            `files.kinds.FILES`; the rest is not computed.
        precision: Numbers that the model computes with: `"float32"`,
            `"bfloat16"`, or `"auto"`, see `storage.precision`; None: as it was
            loaded.

    Raises:
        ValueError: If a number is none or out of range, or a word unknown.
    """

    fps: float | None = None
    source_fps: float = SOURCE_FPS
    range: str | tuple = levels.AUTO
    fit: str = "letterbox"
    num_slots: int | None = None
    num_refinements: int | None = None
    seed: int = 0
    chunk: int = 32
    num_future: int = 0
    size: str | float | tuple | None = None
    region: str | tuple | list | None = None
    min_area: float | None = None
    max_area: float | None = None
    objects: int | None = None
    object_size: float | None = None
    link: str | None = None
    write: str | tuple | list = kinds.ALL
    precision: str | None = None

    def __post_init__(self):
        for name, (low, high) in _WHOLE.items():
            self._set(name, whole, low, high)
        for name in ("fps", "source_fps"):
            self._set(name, real, *_RATES)
        for name in ("min_area", "max_area", "object_size"):
            self._set(name, real, 0, _MOST_COUNT)
        if None not in (self.min_area, self.max_area):
            _check_order(self.min_area, self.max_area)
        _check_word("fit", self.fit, tuple(CROPS))
        if self.link is not None:
            _check_word("link", self.link, LINKS)
        if self.precision is not None:
            _check_word("precision", self.precision, PRECISIONS)
        object.__setattr__(self, "write", kinds.chosen(self.write))
        object.__setattr__(self, "range", _range(self.range))
        object.__setattr__(self, "size", _size(self.size))
        object.__setattr__(self, "region", _region(self.region))
        self._check_link()

    def _set(self, name, check, low, high):
        """Keeps a number as Python has it; None only where that is usual."""
        value = getattr(self, name)
        if value is None and _DEFAULTS[name] is None:
            return
        object.__setattr__(self, name, check(name, value, low, high))

    def _check_link(self):
        asked = self._asked()
        if self.link == "model" and asked:
            raise ValueError(
                "link='model' leaves identities to the model, in one pass over "
                "frames of its own size, which knows no "
                f"{' and no '.join(asked)}; leave these out, or take "
                "link='online' or link='offline'"
            )

    def footage(self, source) -> Footage:
        """Opens a video, which is then shown as these options say.

        Args:
            source: As for `prediction.footage.Footage`.

        Raises:
            DatasetInputError: If it cannot be read.
        """
        return Footage(source, self.fps, self.source_fps, self.range)

    @property
    def asks_for_tracks(self):
        """Whether anything is asked for that needs a second pass."""
        return bool(self._asked()) or self.link in LINKS[1:]

    def _asked(self):
        """Names of what was said that needs a second pass."""
        return [name for name in _TRACKING if getattr(self, name) is not None]


_DEFAULTS = {field.name: field.default for field in dataclasses.fields(Options)}


def check_names(given):
    """Raises `ValueError` if one of the names is that of no option."""
    for name in given:
        if name not in _DEFAULTS:
            near = difflib.get_close_matches(str(name), _DEFAULTS, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(
                f"there is no option {name!r}; {hint}Options: "
                f"{', '.join(_DEFAULTS)}"
            )


def check_calls(**given):
    """Raises `ValueError` unless all are functions, or None."""
    for name, value in given.items():
        if value is not None and not callable(value):
            raise ValueError(
                f"{name} must be a function to call, got {_shown(value)}"
            )


def whole(name, value, low, high) -> int:
    """A whole number in a range.

    Raises:
        ValueError: If it is none, or out of range.
    """
    is_whole = _is_number(value) and (
        isinstance(value, numbers.Integral) or float(value).is_integer()
    )
    if not (is_whole and low <= value <= high):
        kind = "a positive number" if low == 1 else f"a number from {low}"
        raise ValueError(
            f"{name} must be {kind} without fraction, at most {high}, got "
            f"{_shown(value)}"
        )
    return int(value)


def real(name, value, low, high) -> float | int:
    """A positive finite number in a range; NumPy's become Python's.

    Raises:
        ValueError: If it is none, or out of range.
    """
    if not (_is_number(value) and low <= value <= high and value > 0):
        least = f"at least {low:g} and " if low else ""
        raise ValueError(
            f"{name} must be a positive number, {least}at most {high:g}, got "
            f"{_shown(value)}"
        )
    return _plain(value)


def check_slots(num_slots, size, num_frames=1, working=_WORKING):
    """Refuses more slots than memory holds.

    Args:
        num_slots: `K`; None, the model's own, is never refused.
        size: `(h, w)` of what the model sees at once.
        num_frames: How many frames come out at once.
        working: Bytes that a pixel of a slot takes while a frame is decoded.

    Raises:
        ValueError: If they would need more than `MOST_BYTES`; says how much.
    """
    if num_slots is not None:
        pixels = num_slots * math.prod(size)
        needed = pixels * (working + _KEPT * num_frames)
        _check_memory(needed, "num_slots", num_slots, "the masks and pictures")


def check_future(num_future, num_slots, size):
    """Refuses more predicted frames than memory holds; the same."""
    needed = num_future * frame_bytes(num_slots, size)
    _check_memory(needed, "num_future", num_future, "the predicted frames")


def frame_bytes(num_slots, size):
    """Bytes of what a model gives for one frame, about."""
    return _KEPT * num_slots * math.prod(size)


def _check_memory(needed, name, value, what):
    if needed > MOST_BYTES:
        raise ValueError(
            f"{name}={value} would need at least {_gib(needed)} for {what}, "
            f"more than {_gib(MOST_BYTES)}; lower {name}"
        )


def _gib(count):
    return f"{count / 2**30:,.1f} GiB"


def _check_order(low, high):
    if low > high:
        raise ValueError(
            f"min_area is {low:g} and max_area {high:g}: no object is both at "
            "least and at most as large; swap them, or leave one out"
        )


def _check_word(name, value, known):
    if not (isinstance(value, str) and value in known):
        raise ValueError(
            f"{name} must be one of {', '.join(known)}, got {_shown(value)}"
        )


def _range(wanted):
    """`"auto"`, `"full"` or `(low, high)`."""
    if isinstance(wanted, np.ndarray):
        wanted = wanted.tolist()
    if wanted is None or isinstance(wanted, str):
        return levels.parse(wanted)
    is_pair = isinstance(wanted, (list, tuple)) and len(wanted) == 2
    if not is_pair or not all(map(_is_number, wanted)):
        raise ValueError(
            "range must be 'auto', 'full' or two values (low, high), got "
            f"{_shown(wanted)}"
        )
    return levels.parse(tuple(map(_plain, wanted)))


def _size(size):
    """`"native"`, `(h, w)`, a factor or None."""
    if size is None or (isinstance(size, str) and size == "native"):
        return size
    if isinstance(size, np.ndarray):
        size = tuple(size.tolist()) if size.ndim else size.item()
    has_sides = isinstance(size, (list, tuple))
    sides = size if has_sides else [size]
    if len(sides) != (2 if has_sides else 1) or not all(
        _is_number(side) and 0 < side < 1e6 for side in sides
    ):
        raise ValueError(
            "size must be 'native', two positive sides (height, width) or a "
            f"positive factor, got {_shown(size)}"
        )
    sides = [_plain(side) for side in sides]
    return type(size)(sides) if has_sides else sides[0]


def _plain(number):
    """A number as Python has it, which JSON can hold."""
    is_int = isinstance(number, numbers.Integral)
    return int(number) if is_int else float(number)


def _region(region):
    """A path or a list; what they say is for `regions.read` to judge."""
    if region is None or isinstance(region, (str, os.PathLike)):
        return region
    if isinstance(region, np.ndarray):
        region = region.tolist()
    if not isinstance(region, (list, tuple)):
        raise ValueError(
            "region must be four numbers (ymin, xmin, ymax, xmax) or the path "
            f"of a picture, got {_shown(region)}"
        )
    if all(_is_number(value) for value in region):
        return type(region)(_plain(value) for value in region)
    return region


def _is_number(value):
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # larger than any float
        return False


def _shown(value):
    """A value in a message, however long it is."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of thousands of digits
        return f"one of the type {type(value).__name__}"
    if " at 0x" in text:  # a place in memory says nothing
        return f"an object of the type {type(value).__name__}"
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}..."
