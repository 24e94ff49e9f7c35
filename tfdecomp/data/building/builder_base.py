"""What all dataset builders share: configs, the feature factory, examples.

Importing this module does not import TensorFlow.
"""

import concurrent.futures
import dataclasses
import functools
import itertools
import multiprocessing
import types

import numpy as np
import tensorflow_datasets as tfds

from tfdecomp.data import naming
from tfdecomp.data.schema import complete

GENERATED, DOWNLOADED, MANUAL = "generated", "downloaded", "manual"
_TINY = {"num_train": 64, "num_validation": 16, "num_test": 16}


@dataclasses.dataclass
class Config(tfds.core.BuilderConfig):
    """Fields that every config has.

    Args:
        seed: Seed of all examples.
        source: Where the data come from: `"generated"`, `"downloaded"` or
            `"manual"`. A builder never replaces one by another.
        stream: Generated configs with the same stream and seed show the same
            scenes. By default the name of the config.
        num_train: Examples of the split; 0: there is no such split.
        num_validation: The same.
        num_test: The same.
        extra_splits: Further splits, name to number of examples.
        num_frames: `T`.
        height: `H`.
        width: `W`.
        channels: `C`.
        max_objects: `K`, slots of every label.
        encoding: How pixels are stored: `"zlib"` or `"bytes"`.
        box_kind: `"amodal"`: boxes of whole objects, `"modal"`: of what is
            seen of them, or `"pseudo"`: of what a rule takes for objects.
        block_size: Examples made at once. Does not change the content.
        workers: Processes that make examples. Does not change the content.
        use_beam: Whether Beam runs the generation.

    Examples:
        >>> from tfdecomp.data.building.builder_base import Config
        >>> Config(name="small", num_train=100, num_test=20).split_sizes()
        {'train': 100, 'test': 20}
    """

    seed: int = 0
    source: str = GENERATED
    stream: str = ""
    num_train: int = 0
    num_validation: int = 0
    num_test: int = 0
    extra_splits: dict | None = None
    num_frames: int = 1
    height: int = 64
    width: int = 64
    channels: int = 3
    max_objects: int = 4
    encoding: str = "zlib"
    box_kind: str = "amodal"
    block_size: int = 64
    workers: int = 1
    use_beam: bool = False

    def __post_init__(self):
        self.stream = self.stream or self.name
        for name, allowed in (
            ("source", (GENERATED, DOWNLOADED, MANUAL)),
            ("encoding", ("zlib", "bytes")),
            ("channels", (1, 3)),
        ):
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(
                    f"{name} is one of {list(allowed)}, not {value!r}"
                )
        for name in ("num_frames", "height", "width", "block_size", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"{name} must be at least 1, not {getattr(self, name)}"
                )
        if not 1 <= self.max_objects <= 254:
            raise ValueError(
                f"max_objects must be in 1..254, not {self.max_objects}"
            )
        taken = {"train", "validation", "test", "all"}
        if taken & set(self.extra_splits or ()):
            raise ValueError(
                f"extra_splits is {self.extra_splits}, but its names must not "
                f"be one of {sorted(taken)}; train, validation and test have "
                "fields of their own"
            )

    def split_sizes(self):
        """Sizes of the splits, those with no example left out."""
        sizes = {
            "train": self.num_train,
            "validation": self.num_validation,
            "test": self.num_test,
            **(self.extra_splits or {}),
        }
        return {split: size for split, size in sizes.items() if size}

    def fields(self):
        """All fields as a dictionary that JSON can hold."""
        fields = dataclasses.asdict(self)
        fields["version"] = self.version and str(self.version)
        return fields


def with_tiny(config_cls, fields):
    """Configs, each with a `_tiny` sibling: its first few examples.

    Args:
        config_cls: Class of the configs.
        fields: Name to fields of each config.

    Returns:
        A list of `config_cls`, the siblings behind.

    Examples:
        >>> from tfdecomp.data.building.builder_base import Config, with_tiny
        >>> configs = with_tiny(Config, {"small": {"num_train": 1000}})
        >>> [(config.name, config.num_train) for config in configs]
        [('small', 1000), ('small_tiny', 64)]
    """
    configs = {**fields}
    for name, values in fields.items():
        configs[f"{name}_tiny"] = {
            **values,
            **{key: size for key, size in _TINY.items() if key in values},
            "stream": values.get("stream", name),
        }
        extra = values.get("extra_splits")
        if extra:
            tiny = dict.fromkeys(extra, _TINY["num_test"])
            configs[f"{name}_tiny"]["extra_splits"] = tiny
    return [config_cls(name=name, **configs[name]) for name in configs]


def features(config, factors, optional=(), has_labels=True):
    """The feature dictionary of the common schema.

    Args:
        config: A `Config`.
        factors: Name to `(axes, shape, dtype)` of each factor: `"TK"` or
            `"K"`, the shape behind these axes, and the type.
        optional: Which of `visible_fraction`, `entities`, `crop_offset`,
            `actions` and `rewards` there are.
        has_labels: Whether the segmentation is known. If not, its filler
            takes no room.

    Returns:
        A `tfds.features.FeaturesDict`.

    Examples:
        >>> from tfdecomp.data.building.builder_base import Config, features
        >>> config = Config(name="small", num_frames=20, channels=1)
        >>> features(config, factors={})["video"].shape
        (20, 64, 64, 1)
    """
    t, h, w = config.num_frames, config.height, config.width
    k = config.max_objects
    pixels = functools.partial(
        tfds.features.Tensor, dtype=np.uint8, encoding=config.encoding
    )
    # One compressed string per label is smaller than a list of numbers.
    packed = functools.partial(tfds.features.Tensor, encoding="zlib")
    tree = {
        "video": pixels(shape=(t, h, w, config.channels)),
        "segmentation": pixels(shape=(t, h, w, 1))
        if has_labels
        else packed(shape=(t, h, w, 1), dtype=np.uint8),
        "boxes": packed(shape=(t, k, 4), dtype=np.float32),
        "visibility": packed(shape=(t, k), dtype=np.uint8),
        "object_ids": packed(shape=(k,), dtype=np.int32),
        "num_objects": tfds.features.Scalar(np.int32),
        "example_id": tfds.features.Text(),
        "index": tfds.features.Scalar(np.int64),
        "frame_index": packed(shape=(t,), dtype=np.int32),
    }
    if "visible_fraction" in optional:
        tree["visible_fraction"] = packed(shape=(t, k), dtype=np.float32)
    if "entities" in optional:
        tree["entities"] = pixels(shape=(t, h, w, 1))
    if "crop_offset" in optional:
        tree["crop_offset"] = tfds.features.Tensor(shape=(2,), dtype=np.int32)
    if "actions" in optional:
        tree["actions"] = packed(shape=(t,), dtype=np.int32)
    if "rewards" in optional:
        tree["rewards"] = packed(shape=(t,), dtype=np.float32)
    if factors:
        lead = {"TK": (t, k), "K": (k,)}
        tree["factors"] = {
            name: packed(shape=lead[axes] + shape, dtype=dtype)
            for name, (axes, shape, dtype) in factors.items()
        }
    return tfds.features.FeaturesDict(tree)


class DecompositionBuilder(
    tfds.core.GeneratorBasedBuilder, skip_registration=True
):
    """Base of all builders of the package.

    A builder names its configs, its factors and how a block of examples comes
    into being; the schema, metadata, splits, blocks, processes and Beam are
    handled here.

    `BUILDER_CONFIGS` lists what `tfds build` makes when no config is named;
    `MANUAL_CONFIGS` those that need files from the user, found by name only.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.building.builder_base import DecompositionBuilder
        >>> builder = builders.make("tetrominoes/quick14")
        >>> isinstance(builder, DecompositionBuilder)
        True
    """

    MANUAL_CONFIGS: tuple = ()
    HOMEPAGE = None
    OPTIONAL = ("visible_fraction",)
    HAS_LABELS = True  # segmentation and boxes
    KEEP_ORDER = False  # on the disk, for sets whose order means something

    # A method of builders that can make the files which they read, for
    # `prepare --record`: `record(folder, episodes=None, on_progress=None)`
    # keeps those in the manual folder, makes the others, each under its name
    # only when it is whole, calls `on_progress(done, total)` and returns how
    # many it made. None: there is no such way.
    record = None
    # Called with (split, number of examples done), e.g. by a progress bar.
    on_progress = None
    # Overrides the number of processes of the config.
    workers = None

    @tfds.core.utils.classproperty
    @classmethod
    def builder_configs(cls):
        """Configs by name, those that need files from the user included."""
        configs = [*cls.BUILDER_CONFIGS, *cls.MANUAL_CONFIGS]
        named = {config.name: config for config in configs}
        if len(named) < len(configs):
            raise ValueError(f"two configs of {cls.name} share a name")
        return named

    def factors(self):
        """Name to `(axes, shape, dtype)` of each factor, see `features`."""
        return {}

    def make_block(self, config, fresh=False):
        """A picklable function `(split, start, stop) -> list of examples`.

        Args:
            config: A config of this builder.
            fresh: Whether the examples must differ from the stored ones of
                the same split and seed; generated sets only.
        """
        raise NotImplementedError

    def makes_anew(self):
        """Whether there can be examples beyond the stored ones."""
        return self.builder_config.source == GENERATED

    def block_size(self):
        """Examples made at once."""
        return self.builder_config.block_size

    def check_inputs(self, dl_manager):
        """Checks, before anything is written, that the input is there.

        Returns:
            Split to number of examples.
        """
        del dl_manager
        return self.builder_config.split_sizes()

    def extra_metadata(self):
        """Entries of the metadata beyond those that all sets have."""
        return {}

    def _info(self):
        config = self.builder_config
        factors = self.factors()
        metadata = {
            "schema_version": naming.SCHEMA_VERSION,
            "seed": config.seed,
            "source": config.source,
            "config": config.fields(),
            "generator_version": str(self.VERSION),
            "max_objects": config.max_objects,
            "has_segmentation": self.HAS_LABELS,
            "has_boxes": self.HAS_LABELS,
            "has_ignore": False,
            "box_kind": config.box_kind,
            "has_visible_fraction": "visible_fraction" in self.OPTIONAL,
            "factor_names": sorted(factors),
            "time_factors": sorted(
                name for name, (axes, *_) in factors.items() if axes == "TK"
            ),
            **self.extra_metadata(),
        }
        return self.dataset_info_from_configs(
            features=features(config, factors, self.OPTIONAL, self.HAS_LABELS),
            metadata=tfds.core.MetadataDict(metadata),
            disable_shuffling=self.KEEP_ORDER,
            homepage=self.HOMEPAGE,
        )

    def _split_generators(self, dl_manager):
        sizes = self.check_inputs(dl_manager)
        return {
            split: self._generate_examples(split, 0, size)
            for split, size in sizes.items()
        }

    def _generate_examples(self, split, start, stop):
        config = self.builder_config
        make = functools.partial(
            make_complete, self.make_block(config), plain(config), split
        )
        ranges = block_ranges(start, stop, self.block_size())
        return self._map(split, make, ranges)

    def _map(self, split, make, ranges):
        """All that `make` returns of pairs of arguments, as Beam or here."""
        if self.builder_config.use_beam:
            beam = tfds.core.lazy_imports.apache_beam
            return (
                beam.Create(ranges) | beam.Reshuffle() | beam.FlatMapTuple(make)
            )
        return self._in_process(split, make, ranges)

    def _in_process(self, split, make, ranges):
        workers = self.workers or self.builder_config.workers
        blocks = map_blocks(make, ranges, workers)
        for done, example in enumerate(itertools.chain.from_iterable(blocks)):
            yield example
            if self.on_progress is not None:
                self.on_progress(split, done + 1)


def plain(config):
    """The fields of a config as an object that any process can unpickle.

    Examples:
        >>> from tfdecomp.data.building.builder_base import Config, plain
        >>> plain(Config(name="small", num_frames=5)).num_frames
        5
    """
    return types.SimpleNamespace(**config.fields())


def make_complete(make, config, split, start, stop):
    """Keys and full examples of one block.

    Examples:
        >>> from tfdecomp.data.building.builder_base import (
        ...     Config,
        ...     make_complete,
        ... )
        >>> def make(split, start, stop):
        ...     return [{"num_objects": 2} for _ in range(start, stop)]
        >>> made = make_complete(make, Config(name="small"), "train", 3, 5)
        >>> [index for index, example in made]
        [3, 4]
    """
    return [
        (index, complete(raw, config, split, index))
        for index, raw in zip(range(start, stop), make(split, start, stop))
    ]


def block_ranges(start, stop, size):
    """Cuts `start, ..., stop - 1` into `(begin, end)` of at most `size`.

    Examples:
        >>> from tfdecomp.data.building.builder_base import block_ranges
        >>> block_ranges(0, 10, size=4)
        [(0, 4), (4, 8), (8, 10)]
    """
    return [
        (begin, min(begin + size, stop)) for begin in range(start, stop, size)
    ]


def map_blocks(make, ranges, workers=1):
    """Yields `make(begin, end)` of each range, in the order of the ranges.

    Args:
        make: The function; picklable if `workers > 1`.
        ranges: List of `(begin, end)`.
        workers: Number of processes; 1: this one.

    Yields:
        What `make` returns.

    Examples:
        >>> from tfdecomp.data.building.builder_base import map_blocks
        >>> list(map_blocks(range, [(0, 4), (4, 6)]))
        [range(0, 4), range(4, 6)]
    """
    if workers == 1:
        for begin, end in ranges:
            yield make(begin, end)
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, context) as pool:
        waiting = []
        # No more than a few finished blocks are held in memory.
        for begin, end in ranges:
            waiting.append(pool.submit(make, begin, end))
            if len(waiting) > 2 * workers:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()
