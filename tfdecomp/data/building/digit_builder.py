"""What the builders of scenes of digits share: banks, pools, MNIST's files.

Importing this module does not import TensorFlow.
"""

import dataclasses
import functools

from tfdecomp.data import errors, naming
from tfdecomp.data.building import builder_base
from tfdecomp.data.formats import mnist_files
from tfdecomp.simulation.digits import digit_banks

MNIST = {"digit_source": "mnist", "source": builder_base.DOWNLOADED}


@dataclasses.dataclass
class DigitConfig(builder_base.Config):
    """A set of scenes of digits.

    Args:
        digit_source: `"mnist"`, `"digits"` or `"strokes"`, see `digit_banks`.
        pool_size: Digits that are shown, the first ones of the bank; 0: all.
        pool_split: `"shared"`: all splits show the same ones. `"heldout"`: the
            tests show the others. `"disjoint"`: each split has its own.
        cell: Side of the square that a digit is scaled to.

    Examples:
        >>> from tfdecomp.data.building.digit_builder import DigitConfig
        >>> DigitConfig(name="small", num_train=100).digit_source
        'digits'
    """

    digit_source: str = "digits"
    pool_size: int = 0
    pool_split: str = "shared"
    cell: int = 28

    def __post_init__(self):
        super().__post_init__()
        self._check_source()
        if self.height != self.width:
            raise ValueError(
                "frames are square: height and width must be equal, not "
                f"{self.height} and {self.width}"
            )

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
        """What the fields describe, as the simulator has it."""
        raise NotImplementedError


class DigitBuilder(builder_base.DecompositionBuilder, skip_registration=True):
    """Base of the builders of scenes of digits.

    A builder names its simulator and the config that needs no file.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.building.digit_builder import DigitBuilder
        >>> issubclass(builders.builder_cls("moving_digits"), DigitBuilder)
        True
    """

    MANUAL_DOWNLOAD_INSTRUCTIONS = mnist_files.LAYOUT
    SIMULATOR = None  # module with `generate(look, load, split, ...)`

    _files = None  # where MNIST was found

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
            self.SIMULATOR.generate,
            config.look(),
            load,
            seed=config.seed,
            stream=config.stream,
            fresh=fresh,
        )

    def makes_anew(self):
        return True  # of MNIST where its files are

    def check_inputs(self, dl_manager):
        config = self.builder_config
        if config.digit_source == "mnist":
            dataset = f"{self.name}/{config.name}"
            default = f"{self.name}/{self.DEFAULT_BUILDER_CONFIG_NAME}"
            self._files = mnist_files.locate(
                dl_manager,
                dataset=dataset,
                stand_in=naming.short_name(default),
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
