"""Images of a few white digits in cells that never overlap."""

import dataclasses
import functools

import numpy as np
import tensorflow_datasets as tfds

from tfdecomp.data import builder_base, errors, mnist_files
from tfdecomp.simulation import digit_banks, multi_digits


@dataclasses.dataclass
class MultiDigitsConfig(builder_base.Config):
    """A set of images of digits.

    Extra splits are named `test0`, `test1`, ... after the number of digits in
    each of their images.

    Args:
        digit_source: `"mnist"`, `"digits"` or `"strokes"`, see `digit_banks`.
        pool_size: Digits that are shown, the first ones of the bank; 0: all.
        pool_split: `"shared"`: all splits show the same ones. `"heldout"`: the
            tests show the others. `"disjoint"`: each split has its own.
        cell: Side of the square that a digit is scaled to.
        num_digits: Numbers of digits; the images have one after the other.
    """

    channels: int = 1
    max_objects: int = 7
    digit_source: str = "digits"
    pool_size: int = 1000
    pool_split: str = "shared"
    cell: int = 15
    num_digits: tuple = (0, 1, 2, 3)

    def __post_init__(self):
        super().__post_init__()
        self.num_digits = tuple(self.num_digits)
        if self.digit_source not in digit_banks.SIZES:
            raise ValueError(
                f"digit_source is one of {list(digit_banks.SIZES)}, not "
                f"{self.digit_source!r}"
            )
        wanted = (
            builder_base.DOWNLOADED
            if self.digit_source == "mnist"
            else builder_base.GENERATED
        )
        if self.source != wanted:
            raise ValueError(
                f"digit_source {self.digit_source!r} needs source = "
                f"{wanted!r}, not {self.source!r}"
            )
        if self.height != self.width:
            raise ValueError(
                "frames are square: height and width must be equal, not "
                f"{self.height} and {self.width}"
            )
        if (self.num_frames, self.channels) != (1, 1):
            raise ValueError(
                "these are white images: num_frames and channels must be 1, "
                f"not {self.num_frames} and {self.channels}"
            )
        size = digit_banks.SIZES[self.digit_source]
        if self.pool_size > size:
            raise ValueError(
                f"{self.pool_size:,} digits asked, {self.digit_source!r} has "
                f"{size:,}"
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
_MNIST = {
    **_PUBLISHED,
    "digit_source": "mnist",
    "source": builder_base.DOWNLOADED,
}
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


class Builder(builder_base.DecompositionBuilder):
    """White digits in cells that never overlap, on black."""

    name = "tfdecomp_multi_digits"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    DEFAULT_BUILDER_CONFIG_NAME = "digits_1k"
    BUILDER_CONFIGS = builder_base.with_tiny(MultiDigitsConfig, _CONFIGS)
    MANUAL_DOWNLOAD_INSTRUCTIONS = mnist_files.LAYOUT

    _files = None  # where MNIST was found

    def factors(self):
        return {
            "position": ("TK", (2,), np.float32),
            "label": ("K", (), np.int32),
            "source_index": ("K", (), np.int32),
        }

    def make_block(self, config, fresh=False):
        if config.digit_source != "mnist":
            load = digit_banks.Offline(config.digit_source)
        elif self._files is not None:
            load = self._files
        else:
            raise errors.MissingFileError(
                "MNIST is looked for when the set is prepared, not before",
                dataset=f"{self.name}/{config.name}",
                expected=list(mnist_files.FILES),
                hint=mnist_files.LAYOUT,
            )
        return functools.partial(
            multi_digits.generate,
            config.look(),
            load,
            seed=config.seed,
            stream=config.stream,
            fresh=fresh,
        )

    def check_inputs(self, dl_manager):
        config = self.builder_config
        if config.digit_source == "mnist":
            dataset = f"{self.name}/{config.name}"
            self._files = mnist_files.locate(
                dl_manager,
                dataset=dataset,
                stand_in="multi_digits/digits_1k",
            )
            self._check_pool(self._files(), dataset)
            self.info.metadata["source_files"] = self._files.describe()
        return config.split_sizes()

    def _check_pool(self, bank, dataset):
        config = self.builder_config
        try:
            digit_banks.pools(bank, config.pool_split, config.pool_size)
        except ValueError as error:
            raise errors.LayoutError(
                str(error),
                dataset=dataset,
                path=self._files.paths[0],
                expected=config.pool_size,
                found=bank.num_train,
                hint=mnist_files.LAYOUT,
            ) from error
