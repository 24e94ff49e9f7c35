"""Two digits that bounce in a box, each on a colour plane of its own."""

import dataclasses
import functools

import numpy as np
import tensorflow_datasets as tfds

from tfdecomp.data import builder_base, errors, mnist_files
from tfdecomp.simulation import digit_banks, moving_digits


@dataclasses.dataclass
class MovingDigitsConfig(builder_base.Config):
    """A set of videos of two digits.

    Args:
        digit_source: `"mnist"`, `"digits"` or `"strokes"`, see `digit_banks`.
        pool_size: Digits that are shown, the first ones of the bank; 0: all.
        pool_split: `"shared"`: all splits show the same ones. `"heldout"`: the
            test shows the others. `"disjoint"`: each split has its own.
        cell: Side of the square that a digit is scaled to.
        speed: Of a digit, per frame; 1 is the way from wall to wall.
        speed_range: Instead of `speed`: `(low, high)`, drawn per digit.
    """

    num_frames: int = 20
    max_objects: int = moving_digits.NUM_DIGITS
    digit_source: str = "digits"
    pool_size: int = 0
    pool_split: str = "shared"
    cell: int = 28
    speed: float = 0.1
    speed_range: tuple | None = None

    def __post_init__(self):
        super().__post_init__()
        if self.speed_range is not None:
            self.speed_range = tuple(self.speed_range)
        self._check_source()
        if self.height != self.width:
            raise ValueError(
                "frames are square: height and width must be equal, not "
                f"{self.height} and {self.width}"
            )
        planes = (moving_digits.NUM_DIGITS, moving_digits.CHANNELS)
        if (self.max_objects, self.channels) != planes:
            raise ValueError(
                "there are two digits on planes of their own: max_objects and "
                f"channels must be 2 and 3, not {self.max_objects} and "
                f"{self.channels}"
            )
        if self.extra_splits:
            raise ValueError(
                f"extra_splits is {self.extra_splits}, but there are train, "
                "validation and test only"
            )
        self.look()  # checks the rest

    def _check_source(self):
        if self.digit_source not in digit_banks.SIZES:
            raise ValueError(
                f"digit_source is one of {list(digit_banks.SIZES)}, not "
                f"{self.digit_source!r}"
            )
        files = self.digit_source == "mnist"
        wanted = builder_base.DOWNLOADED if files else builder_base.GENERATED
        if self.source != wanted:
            raise ValueError(
                f"digit_source {self.digit_source!r} needs source = "
                f"{wanted!r}, not {self.source!r}"
            )
        size = digit_banks.SIZES[self.digit_source]
        if self.pool_size > size:
            raise ValueError(
                f"{self.pool_size:,} digits asked, {self.digit_source!r} has "
                f"{size:,}"
            )
        # Only MNIST has a test part of its own.
        whole = self.pool_size in (0, size) and not files
        if whole and self.pool_split == "heldout":
            raise ValueError(
                f"all {size:,} digits of {self.digit_source!r} are in the "
                "pool and none is held out; give a smaller pool_size"
            )

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
        )


_PUBLISHED = {"num_train": 50_000, "num_validation": 512, "num_test": 2_048}
_CONFIGS = {
    "digits": {**_PUBLISHED, "digit_source": "digits"},
    "strokes": {**_PUBLISHED, "digit_source": "strokes"},
    "mnist": {
        **_PUBLISHED,
        "digit_source": "mnist",
        "source": builder_base.DOWNLOADED,
    },
}
# The same movements, but no split shows a digit of another one.
_CONFIGS |= {
    f"{name}_disjoint": {**fields, "pool_split": "disjoint", "stream": name}
    for name, fields in _CONFIGS.items()
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


class Builder(builder_base.DecompositionBuilder):
    """A red and a green digit that bounce off the frame's edges."""

    name = "tfdecomp_moving_digits"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    DEFAULT_BUILDER_CONFIG_NAME = "digits"
    BUILDER_CONFIGS = builder_base.with_tiny(MovingDigitsConfig, _CONFIGS)
    MANUAL_DOWNLOAD_INSTRUCTIONS = mnist_files.LAYOUT

    _files = None  # where MNIST was found

    def factors(self):
        return {
            "position": ("TK", (2,), np.float32),
            "velocity": ("TK", (2,), np.float32),
            "label": ("K", (), np.int32),
            "source_index": ("K", (), np.int32),
        }

    def extra_metadata(self):
        return {"has_ignore": True}

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
            moving_digits.generate,
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
                stand_in="moving_digits/digits",
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
