"""White digits that are scattered over a frame and pass through each other."""

import dataclasses

import numpy as np
import tensorflow_datasets as tfds

from tfdecomp.data.building import builder_base, digit_builder
from tfdecomp.simulation import scattered
from tfdecomp.simulation.digits import scattered_digits


@dataclasses.dataclass
class ScatteredDigitsConfig(digit_builder.DigitConfig):
    """A set of videos of digits.

    Extra splits are named `test_n01`, `validation_n01`, ... after the number
    of digits in each of their videos.

    Args:
        num_objects: `(least, most)` digits; drawn uniformly per video.
        speed: Of a digit, in pixels per frame.
        max_overlap: How much of a digit's rectangle those before it may cover
            in the first frame, in pixels.
    """

    num_frames: int = 8
    height: int = 48
    width: int = 48
    max_objects: int = 12
    pool_split: str = "disjoint"
    cell: int = 14
    num_objects: tuple = (1, 6)
    speed: float = 2.0
    max_overlap: float = 98.0

    def __post_init__(self):
        super().__post_init__()
        self.num_objects = tuple(self.num_objects)
        if self.channels != scattered.CHANNELS:
            raise ValueError(
                f"these are videos in colour: channels must be 3, not "
                f"{self.channels}"
            )
        look = self.look()  # checks the rest
        look.scatter.check_splits(self.extra_splits or {})

    def look(self):
        """The `ScatteredDigits` that these fields describe."""
        return scattered_digits.ScatteredDigits(
            scatter=scattered.Scatter(
                num_frames=self.num_frames,
                size=self.height,
                num_objects=self.num_objects,
                max_objects=self.max_objects,
                speed=self.speed,
                max_overlap=self.max_overlap,
            ),
            cell=self.cell,
            pool_size=self.pool_size,
            pool_split=self.pool_split,
        )


_SOURCES = {
    # The training part alone, cut into three, as in the paper.
    "mnist": {**digit_builder.MNIST, "pool_size": 60_000},
    "digits": {"digit_source": "digits"},
    "strokes": {"digit_source": "strokes"},
}
# The tests of a bank do not depend on what a model is trained on.
_CONFIGS = {
    f"{source}_{most}": {
        **fields,
        "num_train": 60_000,
        "num_validation": 1_000,
        "extra_splits": {f"test_n{n:02d}": 1_000 for n in range(1, 13)},
        "num_objects": (1, most),
        "stream": source,
    }
    for source, fields in _SOURCES.items()
    for most in (6, 12)
}
_QUICK = {"num_train": 10_000, "num_validation": 500, "num_test": 1_000}
_CONFIGS["digits_quick"] = {**_QUICK, "num_objects": (1, 6)}
# The two digits at most that SQAIR was published with.
_CONFIGS["mnist_2"] = {
    **_SOURCES["mnist"],
    "num_frames": 10,
    "height": 50,
    "width": 50,
    "cell": 28,
    "num_train": 60_000,
    "num_test": 10_000,
    "num_objects": (0, 2),
    "max_objects": 2,
    "max_overlap": 0.0,
}
# Few and small: SQAIR takes them one after the other.
_CONFIGS["digits_3_quick"] = {
    **_QUICK,
    "height": 32,
    "width": 32,
    "cell": 10,
    "num_objects": (1, 3),
    "max_objects": 3,
    "max_overlap": 0.0,
}
_CONFIGS["digits_quick_more"] = {"num_test": 1_000, "num_objects": (7, 12)}


class Builder(digit_builder.DigitBuilder):
    """White digits that bounce off the frame and pass through each other."""

    name = "tfdecomp_scattered_digits"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    DEFAULT_BUILDER_CONFIG_NAME = "digits_6"
    BUILDER_CONFIGS = builder_base.with_tiny(ScatteredDigitsConfig, _CONFIGS)
    SIMULATOR = scattered_digits

    def factors(self):
        return {
            "position": ("TK", (2,), np.float32),
            "velocity": ("TK", (2,), np.float32),
            "label": ("K", (), np.int32),
            "source_index": ("K", (), np.int32),
        }
