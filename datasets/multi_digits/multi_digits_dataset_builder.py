"""Images of a few white digits in cells that never overlap."""

import dataclasses

import numpy as np
import tensorflow_datasets as tfds

from tfdecomp.data.building import builder_base, digit_builder
from tfdecomp.simulation.digits import multi_digits


@dataclasses.dataclass
class MultiDigitsConfig(digit_builder.DigitConfig):
    """A set of images of digits.

    Extra splits are named `test0`, `test1`, ... after the number of digits in
    each of their images.

    Args:
        num_digits: Numbers of digits; the images have one after the other.
    """

    channels: int = 1
    max_objects: int = 7
    pool_size: int = 1000
    cell: int = 15
    num_digits: tuple = (0, 1, 2, 3)

    def __post_init__(self):
        super().__post_init__()
        self.num_digits = tuple(self.num_digits)
        if (self.num_frames, self.channels) != (1, 1):
            raise ValueError(
                "these are white images: num_frames and channels must be 1, "
                f"not {self.num_frames} and {self.channels}"
            )
        look = self.look()  # checks the rest
        for split in self.extra_splits or {}:
            count = multi_digits.fixed_count(split)
            if count is None:
                raise ValueError(
                    f"extra_splits has {split!r}, but its names are 'test' "
                    "and a number of digits, such as 'test7'"
                )
            look.check_count(count)

    def look(self):
        """The `MultiDigits` that these fields describe."""
        return multi_digits.MultiDigits(
            size=self.height,
            cell=self.cell,
            num_digits=self.num_digits,
            max_objects=self.max_objects,
            pool_size=self.pool_size,
            pool_split=self.pool_split,
        )


_PUBLISHED = {
    "num_train": 190_000,
    "num_test": 10_000,
    "extra_splits": {"test7": 10_000},
}
_MNIST = {**_PUBLISHED, **digit_builder.MNIST}
_QUICK = {
    "num_train": 50_000,
    "num_validation": 512,
    "num_test": 2_000,
    "extra_splits": {"test7": 1_000},
    "height": 36,
    "width": 36,
    "cell": 8,
}
_CONFIGS = {
    "digits_1k": _PUBLISHED,
    "strokes_1k": {**_PUBLISHED, "digit_source": "strokes"},
    "digits_quick": _QUICK,
    "mnist_1k": _MNIST,
    "mnist_10k": {**_MNIST, "pool_size": 10_000},
}
# The same scenes, but the tests show digits outside the pool.
_CONFIGS |= {
    f"{name}_heldout": {
        **_CONFIGS[name],
        "pool_split": "heldout",
        "stream": name,
    }
    for name in ("digits_1k", "digits_quick", "mnist_1k", "mnist_10k")
}


class Builder(digit_builder.DigitBuilder):
    """White digits in cells that never overlap, on black."""

    name = "tfdecomp_multi_digits"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    DEFAULT_BUILDER_CONFIG_NAME = "digits_1k"
    BUILDER_CONFIGS = builder_base.with_tiny(MultiDigitsConfig, _CONFIGS)
    SIMULATOR = multi_digits

    def factors(self):
        return {
            "position": ("TK", (2,), np.float32),
            "label": ("K", (), np.int32),
            "source_index": ("K", (), np.int32),
        }
