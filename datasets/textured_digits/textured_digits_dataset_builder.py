"""Textured digits before textured ground, which no colour tells apart."""

import dataclasses

import numpy as np
import tensorflow_datasets as tfds

from tfdecomp.data.building import builder_base, digit_builder
from tfdecomp.simulation.digits import textured_digits


@dataclasses.dataclass
class TexturedDigitsConfig(digit_builder.DigitConfig):
    """A set of pictures of digits.

    Args:
        num_digits: Digits of each picture, 1 or 2.
        shift: Pixels that two digits are moved by, up and to the left and
            down and to the right.
        texture_seed: Seed of the phases of the textures.
    """

    height: int = 28
    width: int = 28
    channels: int = 1
    max_objects: int = 2
    pool_split: str = "disjoint"
    num_digits: int = 1
    shift: int = 2
    texture_seed: int = 0

    def __post_init__(self):
        super().__post_init__()
        if (self.num_frames, self.channels) != (1, 1):
            raise ValueError(
                "these are grey images: num_frames and channels must be 1, "
                f"not {self.num_frames} and {self.channels}"
            )
        if self.extra_splits:
            raise ValueError(
                f"extra_splits is {self.extra_splits}, but there are train, "
                "validation and test only"
            )
        self.look()  # checks the rest

    def look(self):
        """The `TexturedDigits` that these fields describe."""
        return textured_digits.TexturedDigits(
            size=self.height,
            cell=self.cell,
            num_digits=self.num_digits,
            shift=self.shift,
            max_objects=self.max_objects,
            texture_seed=self.texture_seed,
            pool_size=self.pool_size,
            pool_split=self.pool_split,
        )


_SOURCES = {
    # The training part alone, cut into three.
    "mnist": {**digit_builder.MNIST, "pool_size": 60_000},
    # Without the margin that the others' pictures have.
    "digits": {"digit_source": "digits", "cell": 20},
    "strokes": {"digit_source": "strokes"},
}
_SIZES = {"num_train": 50_000, "num_validation": 10_000, "num_test": 10_000}
_CONFIGS = {
    f"{source}_{count}": {
        **_SIZES,
        **fields,
        "num_digits": count,
        "stream": source,
    }
    for source, fields in _SOURCES.items()
    for count in (1, 2)
}


class Builder(digit_builder.DigitBuilder):
    """One or two textured digits before textured ground."""

    name = "tfdecomp_textured_digits"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    DEFAULT_BUILDER_CONFIG_NAME = "digits_1"
    BUILDER_CONFIGS = builder_base.with_tiny(TexturedDigitsConfig, _CONFIGS)
    SIMULATOR = textured_digits

    def factors(self):
        return {
            "position": ("TK", (2,), np.float32),
            "label": ("K", (), np.int32),
            "source_index": ("K", (), np.int32),
            "texture": ("K", (), np.int32),
        }
