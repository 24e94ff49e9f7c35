"""Prepared datasets by name, without the code that made them."""

import contextlib
import dataclasses
import fnmatch

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging

from tfdecomp.data import errors, naming

CYCLE_LENGTH = 16  # shards read in turn; part of what fixes the order
_ALWAYS = ("object_ids", "num_objects", "example_id", "index", "frame_index")
# Any of these flags of the metadata says that the label is known.
_NEEDS = {
    "segmentation": ("has_segmentation",),
    "boxes": ("has_boxes",),
    "visibility": ("has_segmentation", "has_boxes"),
    "visible_fraction": ("has_visible_fraction",),
    "entities": ("has_entities",),
}
_TIME_LABELS = (
    "segmentation",
    "entities",
    "boxes",
    "visibility",
    "visible_fraction",
    "frame_index",
    "actions",
    "rewards",
)


@dataclasses.dataclass
class Source:
    """What is known of a dataset before any of its records is read.

    Args:
        label: Its full name.
        metadata: Metadata as stored with it.
        features: Name, such as `factors/position`, to `(shape, dtype)`.
        builder: The TFDS builder.

    Examples:
        >>> from tfdecomp.data.reader import Source
        >>> features = {"video": ((20, 64, 64, 3), "uint8")}
        >>> Source("a", {}, features, builder=None).video_shape
        (20, 64, 64, 3)
    """

    label: str
    metadata: dict
    features: dict
    builder: object

    @property
    def video_shape(self):
        """`(T, H, W, C)` as stored."""
        return self.features["video"][0]

    @property
    def encoding(self):
        """How pixels are stored."""
        return self.metadata["config"]["encoding"]

    @property
    def labels(self):
        """Names of the labels that the set has."""
        known = [name for name in _ALWAYS if name in self.features]
        for name, flags in _NEEDS.items():
            there = any(self.metadata.get(flag, False) for flag in flags)
            if name in self.features and there:
                known.append(name)
        more = ("actions", "rewards", "crop_offset")
        known += [n for n in more if n in self.features]
        factors = self.metadata.get("factor_names") or []
        return known + [f"factors/{name}" for name in factors]

    def resolve(self, label):
        """The stored name of a label; `position` is `factors/position`.

        Raises:
            ValueError: If the set does not have it.
        """
        for name in (label, f"factors/{label}"):
            if name in self.labels:
                return name
        raise ValueError(
            f"{self.label} has no label {label!r}; it has "
            f"{', '.join(self.labels)}"
        )

    def has_time(self, name):
        """Whether the first axis of a stored label is time."""
        factor = name.removeprefix("factors/")
        if factor != name:
            return factor in (self.metadata.get("time_factors") or [])
        return name in _TIME_LABELS

    def num_examples(self, split):
        """Size of a split or a slice of one, or of several joined by `+`.

        Raises:
            ValueError: If there is no such split.
        """
        splits = self.builder.info.splits
        for part in str(split).split("+"):
            base = part.split("[")[0].strip()
            if base not in splits:
                raise ValueError(
                    f"{self.label} has no split {base!r}; it has "
                    f"{', '.join(splits) or 'none'}"
                )
        return splits[split].num_examples

    def matching_splits(self, pattern):
        """Splits that a pattern (as of file names) names, with their sizes.

        Args:
            pattern: Such as `"test_n*"`.

        Returns:
            Name to size; of a set that has not been prepared to the size that
            it would have.

        Raises:
            ValueError: If there is no such split.
        """
        sizes = {n: s.num_examples for n, s in self.builder.info.splits.items()}
        if not sizes:
            sizes = self.builder.builder_config.split_sizes()
        found = {n: s for n, s in sizes.items() if fnmatch.fnmatch(n, pattern)}
        if not found:
            raise ValueError(
                f"{self.label} has no split {pattern!r}; it has "
                f"{', '.join(sizes) or 'none'}"
            )
        return found

    def read(self, split, names, input_context=None):
        """Records of a split, pixels still encoded.

        Args:
            split: Split or slice of one, as TFDS writes them.
            names: What to parse, `video` included.
            input_context: Which part of the files to read.

        Returns:
            `tf.data.Dataset` of flat dictionaries.
        """
        tree = {}
        for name in names:
            *parents, leaf = name.split("/")
            node = tree
            for parent in parents:
                node = node.setdefault(parent, {})
            node[leaf] = True
        skip = {
            name: tfds.decode.SkipDecoding()
            for name in names
            if name in ("video", "segmentation", "entities")
        }
        # TFDS refuses to read from several files where the order matters.
        ordered = self.builder.info.disable_shuffling
        cycle_length = 1 if ordered else CYCLE_LENGTH
        config = tfds.ReadConfig(
            try_autocache=False,
            interleave_cycle_length=cycle_length,
            input_context=input_context,
            skip_prefetch=True,
        )
        with _without_deprecations():
            dataset = self.builder.as_dataset(
                split=split,
                # The order on disk is a fixed shuffle already; epochs differ
                # by the buffer behind this, entered at any epoch.
                shuffle_files=False,
                decoders=tfds.decode.PartialDecoding(tree, decoders=skip),
                read_config=config,
            )
        return dataset.map(flatten)

    def signature(self, names):
        """Element spec of `read`."""
        spec = {}
        for name in names:
            shape, dtype = self.features[name]
            if name in ("video", "segmentation", "entities"):
                shape, dtype = (), tf.string
            spec[name] = tf.TensorSpec(shape, dtype)
        return spec


@contextlib.contextmanager
def _without_deprecations():
    """Hides what TFDS warns itself of, many times over."""

    def keep(record):
        return "dtype` is deprecated" not in record.getMessage()

    logger = logging.get_absl_logger()
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)


def flatten(tree, prefix=""):
    """Nested dictionary as a flat one with names such as `factors/mass`.

    Examples:
        >>> from tfdecomp.data.reader import flatten
        >>> flatten({"video": 0, "factors": {"mass": 1}})
        {'video': 0, 'factors/mass': 1}
    """
    flat = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{name}/"))
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def open_source(name, data_dir=None, prepared=True):
    """Finds a dataset.

    Args:
        name: Such as `"bouncing_balls/color4"`, with or without the prefix.
        data_dir: Where prepared data are; by default as TFDS has it.
        prepared: Whether it must have been prepared. If not, a registered
            builder will do.

    Raises:
        MissingFileError: If it has not been prepared.
        LayoutError: If its schema is not the present one.

    Examples:
        >>> from tfdecomp import builders  # knows sets that are not prepared
        >>> from tfdecomp.data.reader import open_source
        >>> source = open_source("bouncing_balls/color4", prepared=False)
        >>> source.video_shape
        (51, 64, 64, 3)
    """
    full = naming.full_name(name)
    try:
        builder = tfds.core.read_only_builder.builder_from_files(
            full, data_dir=data_dir
        )
    except tfds.core.registered.DatasetNotFoundError as error:
        if not prepared:
            return from_builder(_registered(full, data_dir))
        short = naming.short_name(name)
        where = data_dir or tfds.core.constants.get_default_data_dir()
        raise errors.MissingFileError(
            f"it has not been prepared in {where}",
            dataset=full,
            path=str(where),
            expected="prepared data",
            found="none",
            hint=f"run 'python -m tfdecomp.prepare {short}"
            + (f" --data_dir={data_dir}'" if data_dir else "'"),
        ) from error
    return from_builder(builder)


def _registered(full, data_dir):
    try:
        return tfds.builder(full, data_dir=data_dir)
    except ValueError as error:  # unknown name or unknown config
        raise errors.MissingFileError(
            "it has neither been prepared nor registered",
            dataset=full,
            expected="a dataset",
            found="none",
            hint="import tfdecomp.builders first, or prepare the set",
        ) from error


def from_builder(builder):
    """`Source` of a builder, whether it has been prepared or not.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.reader import from_builder
        >>> source = from_builder(builders.make("tetrominoes/quick14"))
        >>> source.label, source.video_shape
        ('tfdecomp_tetrominoes/quick14', (1, 14, 14, 3))
    """
    label = f"{builder.name}/{builder.builder_config.name}"
    metadata = dict(builder.info.metadata or {})
    naming.check_schema(metadata, label)
    features = {
        name: (tuple(info.shape), np.dtype(info.np_dtype))
        for name, info in flatten(
            builder.info.features.get_tensor_info()
        ).items()
    }
    return Source(label, metadata, features, builder)
