"""Two digits that bounce in a box, each on a colour plane of its own."""

import dataclasses

import numpy as np
import tensorflow_datasets as tfds

from tfdecomp.data.building import builder_base, digit_builder
from tfdecomp.simulation.digits import moving_digits


@dataclasses.dataclass
class MovingDigitsConfig(digit_builder.DigitConfig):
    """A set of videos of two digits.

    Args:
        speed: Of a digit, per frame; 1 is the way from wall to wall.
        speed_range: Instead of `speed`: `(low, high)`, drawn per digit.
    """

    num_frames: int = 20
    max_objects: int = moving_digits.NUM_DIGITS
    speed: float = 0.1
    speed_range: tuple | None = None

    def __post_init__(self):
        super().__post_init__()
        if self.speed_range is not None:
            self.speed_range = tuple(self.speed_range)
        if self.max_objects != moving_digits.NUM_DIGITS:
            raise ValueError(
                f"there are two digits: max_objects must be 2, not "
                f"{self.max_objects}"
            )
        if self.extra_splits:
            raise ValueError(
                f"extra_splits is {self.extra_splits}, but there are train, "
                "validation and test only"
            )
        self.look()  # checks the rest

    def look(self):
        """The `MovingDigits` that these fields describe."""
        return moving_digits.MovingDigits(
            num_frames=self.num_frames,
            size=self.height,
            cell=self.cell,
            speed=self.speed,
            speed_range=self.speed_range,
            pool_size=self.pool_size,
            pool_split=self.pool_split,
            channels=self.channels,
        )


_PUBLISHED = {"num_train": 50_000, "num_validation": 512, "num_test": 2_048}
_CONFIGS = {
    "digits": {**_PUBLISHED, "digit_source": "digits"},
    "strokes": {**_PUBLISHED, "digit_source": "strokes"},
    "mnist": {**_PUBLISHED, **digit_builder.MNIST},
}
# The same movements, but no split shows a digit of another one.
_CONFIGS |= {
    f"{name}_disjoint": {**fields, "pool_split": "disjoint", "stream": name}
    for name, fields in _CONFIGS.items()
}
# Not only directions but speeds are random, around that of the others.
_CONFIGS |= {
    f"{name}_speeds": {
        **_CONFIGS[name],
        "speed_range": (0.0, 0.2),
        "stream": name,
    }
    for name in ("digits", "strokes", "mnist")
}
_CONFIGS["digits_quick"] = {
    "num_train": 4_000,
    "num_validation": 200,
    "num_test": 400,
    "height": 32,
    "width": 32,
    "cell": 14,
    "pool_split": "disjoint",
}
# The same scenes without the colours that give the digits away.
_CONFIGS |= {
    f"{name}_gray": {**_CONFIGS[name], "channels": 1, "stream": name}
    for name in ("digits", "strokes", "mnist")
}
_CONFIGS["gray_quick"] = {
    **_CONFIGS["digits_quick"],
    "channels": 1,
    "stream": "digits_quick",
    "num_train": 10_000,
}


class Builder(digit_builder.DigitBuilder):
    """Two digits, red and green or both grey, that bounce off the edges."""

    name = "tfdecomp_moving_digits"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    DEFAULT_BUILDER_CONFIG_NAME = "digits"
    BUILDER_CONFIGS = builder_base.with_tiny(MovingDigitsConfig, _CONFIGS)
    SIMULATOR = moving_digits

    def factors(self):
        return {
            "position": ("TK", (2,), np.float32),
            "velocity": ("TK", (2,), np.float32),
            "label": ("K", (), np.int32),
            "source_index": ("K", (), np.int32),
        }

    def extra_metadata(self):
        return {"has_ignore": True}
