"""Reads the published multi-object TFRecords: CLEVR, Multi-dSprites and more.

A file can only be read from its start, so `record_files.RecordFile` hands out
records in order, and `Decoder` turns any of them into an example, in any
process.
"""

import dataclasses
import itertools

import numpy as np

from tfdecomp.data import errors, sampling, schema
from tfdecomp.data.formats import manual
from tfdecomp.data.formats.multi_object import (
    multi_object_factors,
    multi_object_layouts,
    record_files,
    wire,
)

# Rows and columns of CLEVR's window: as the published readers cut it, and
# the true centre.
CROPS = {
    "none": None,
    "reference": (29, 64, 192, 192),
    "center": (24, 64, 192, 192),
}


@dataclasses.dataclass(frozen=True)
class Source:
    """A file that has been looked into.

    Args:
        records: Its `RecordFile`.
        decoder: The `Decoder` of its records.

    Examples:
        >>> from tfdecomp.data.formats.multi_object import multi_object_records
        >>> from tfdecomp.data.formats.multi_object import record_files
        >>> decoder = multi_object_records.Decoder("a", "a", "tetrominoes", 0)
        >>> records = record_files.RecordFile("a", dataset="a")
        >>> source = multi_object_records.Source(records, decoder)
        >>> source.decoder.layout.image_shape
        (35, 35, 3)
    """

    records: record_files.RecordFile
    decoder: "Decoder"


def open_source(path, dataset, variant, config):
    """Checks the first records of a file.

    Args:
        path: The file.
        dataset: Name of the dataset, for messages.
        variant: Name of the expected layout.
        config: Fields of the config.

    Returns:
        A `Source`.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.formats.multi_object import multi_object_records
        >>> config = builders.make("multi_object/tetrominoes").builder_config
        >>> folder = builders.folder() / "multi_object" / "dummy_data"
        >>> file = folder / "tetrominoes_train.tfrecords", "a", "tetrominoes"
        >>> multi_object_records.open_source(*file, config).decoder.scales
        {}
    """
    records = record_files.RecordFile(path, dataset)
    decoder = Decoder(str(path), dataset, variant, config)
    scenes = [
        decoder.scene(record, number)
        for number, record in enumerate(
            itertools.islice(
                records.read(0), multi_object_factors.scenes_needed(variant)
            )
        )
    ]
    scales = multi_object_factors.probe(scenes, decoder.layout)
    decoder = dataclasses.replace(decoder, scales=scales)
    decoder.example(scenes[0], 0)
    return Source(records, decoder)


@dataclasses.dataclass(frozen=True)
class Decoder:
    """Turns records of one file into examples.

    Args:
        path: The file, for messages.
        dataset: Name of the dataset, for messages.
        variant: Name of the file's layout.
        config: Fields of the config.
        scales: What `multi_object_factors.probe` read off the file.

    Examples:
        >>> from tfdecomp.data.formats.multi_object import multi_object_records
        >>> name = "clevr_with_masks"
        >>> decoder = multi_object_records.Decoder("a", "a", name, config=None)
        >>> decoder.layout.image_shape
        (240, 320, 3)
    """

    path: str
    dataset: str
    variant: str
    config: object
    scales: dict = dataclasses.field(default_factory=dict)

    @property
    def layout(self):
        """The `Layout` of the file."""
        return multi_object_layouts.LAYOUTS[self.variant]

    def block(self, split, start, first, records):
        """Examples of consecutive records.

        Args:
            split: Name of the split.
            start: Number of the split's first record.
            first: Number of the first one of these records.
            records: Bytes of each.

        Returns:
            A list of `(index, example)`, without those that the config's
            `train_objects` leaves out.
        """
        limits = None
        if split in ("train", "train_full"):
            limits = self.config.train_objects
        low, high = limits or (0, np.inf)
        examples = []
        for n, record in enumerate(records):
            scene = self.scene(record, first + n)
            if low <= len(scene["objects"]) <= high:
                raw = self.example(scene, first + n)
                index = first + n - start
                done = schema.complete(raw, self.config, split, index)
                examples.append((index, done))
        return examples

    def scene(self, record, number):
        """The content of a record, entities as they are.

        Args:
            record: Bytes.
            number: Number of the record, for messages.

        Returns:
            Dictionary of `image` `[H, W, C]`, `owner` `[H, W]` uint8 (entity,
            255: none or several), `objects` (numbers of the entities that are
            there and no background) and the other features `[E]` or `[E, n]`.

        Raises:
            LayoutError: If features or their sizes are others.
            ResolutionError: If the image has another size.
            AnnotationError: If the masks contradict themselves.
        """
        where = f"record {number} of {self.path}"
        scene = self._parse(record, where)
        mask = scene.pop("mask")
        bad = np.count_nonzero((mask != 0) & (mask != 255))
        if bad:
            raise self._error(
                errors.AnnotationError,
                f"{where} has {bad} values of mask that are neither 0 nor 255",
                "0 and 255",
                f"{bad} others",
            )
        masks = np.moveaxis(mask[..., 0], self.layout.entity_axis, 0) > 0
        there = self._there(scene, masks, where)
        scene["objects"] = np.flatnonzero(there)[
            np.flatnonzero(there) >= self.layout.background
        ]
        scene["owner"] = self._owner(masks, there, where)
        return scene

    def example(self, scene, number):
        """An example of the common schema out of a `scene`."""
        config, objects = self.config, scene["objects"]
        if len(objects) > config.max_objects:
            raise self._error(
                errors.LayoutError,
                f"record {number} of {self.path} has {len(objects)} objects, "
                f"but max_objects is {config.max_objects}; set max_objects to "
                f"{self.layout.slots}",
                config.max_objects,
                len(objects),
            )
        image, owner = self._framed(scene["image"], scene["owner"])
        # Slots are filled from the first one, whatever the entities' numbers.
        table = np.zeros(256, np.uint8)
        table[objects] = np.arange(1, len(objects) + 1)
        table[schema.IGNORE_ID] = schema.IGNORE_ID
        segmentation = table[owner][None]
        boxes, visibility = manual.modal_boxes(segmentation, config.max_objects)
        raw = {
            "video": image[None],
            "segmentation": segmentation[..., None],
            "boxes": boxes,
            "visibility": visibility,
            "num_objects": len(objects),
        }
        if self.layout.background > 1:
            raw["entities"] = owner[None, ..., None]
        factors = multi_object_factors.make(
            scene, self.layout, config.max_objects, boxes, self.scales
        )
        if factors:
            raw["factors"] = self._moved(factors, len(objects))
        return raw

    def _parse(self, record, where):
        """Feature to array of its published shape."""
        try:
            lists = wire.parse_example(record)
        except (ValueError, KeyError) as bad:
            raise self._error(
                errors.LayoutError,
                f"{where} is no tf.train.Example ({bad})",
                "a tf.train.Example",
                str(bad),
            ) from bad
        layout = self.layout
        arrays = {}
        for name, (kind, count) in layout.expected().items():
            found, values = lists.get(name, (None, b""))
            array = None
            if found == kind == "bytes":
                array = wire.byte_values(values)
            elif found == kind == "float":
                array = wire.float_values(values)
            if array is None or len(array) != count:
                raise self._schema_error(name, kind, count, lists, where)
            arrays[name] = array
        arrays["image"] = arrays["image"].reshape(layout.image_shape)
        arrays["mask"] = arrays["mask"].reshape(layout.mask_shape)
        for name, width in layout.floats.items():
            if width > 1:
                arrays[name] = arrays[name].reshape(-1, width)
        return arrays

    def _schema_error(self, name, kind, count, lists, where):
        """What is wrong with a feature, and which file this could be."""
        found = {
            key: (k, wire.count_values(k, values))
            for key, (k, values) in lists.items()
        }
        likely = multi_object_layouts.similar(found)
        looks = f"; this looks like {' or '.join(likely)}" if likely else ""
        expected = f"{count:,} values of type {kind}"
        if name not in found:
            problem = (
                f"{where} has no feature {name!r}; found {sorted(found)}{looks}"
            )
            return self._error(errors.LayoutError, problem, name, sorted(found))
        has = "{1:,} values of type {0}".format(*found[name])
        if found[name] == (kind, count):
            has += ", not all of one byte"
        shape = self.layout.mask_shape if name == "mask" else ""
        shape = self.layout.image_shape if name == "image" else shape
        shape = f" ({' x '.join(map(str, shape))})" if shape else ""
        problem = (
            f"feature {name!r} of {where} has {has}, expected {expected}"
            f"{shape} for {self.variant}{looks}"
        )
        resolution = name == "image" and found[name][0] == kind and not likely
        cls = errors.ResolutionError if resolution else errors.LayoutError
        return self._error(cls, problem, expected, has)

    def _there(self, scene, masks, where):
        """`[E]` bool: which entities a scene has."""
        visibility = scene.get("visibility")
        if visibility is None:
            return masks.any((1, 2))
        if not np.isin(visibility, (0, 1)).all():
            raise self._error(
                errors.AnnotationError,
                f"{where} has visibility {visibility.tolist()}, expected 0 "
                "and 1",
                "0 and 1",
                visibility.tolist(),
            )
        return visibility > 0.5

    def _owner(self, masks, there, where):
        """`[H, W]` uint8: the entity that each pixel belongs to."""
        owner = masks.argmax(0).astype(np.uint8)
        # Entities that are not there own nothing; background parts always may.
        real = there | (np.arange(len(there)) < self.layout.background)
        wrong = (masks.sum(0) != 1) | ~real[owner]
        count = np.count_nonzero(wrong)
        if count > self.config.label_tolerance * wrong.size:
            raise self._error(
                errors.AnnotationError,
                f"{where} has {count} pixels that do not belong to exactly "
                "one of the entities that visibility names, more than "
                f"{self.config.label_tolerance:.1%}",
                "one entity for every pixel",
                f"{count} pixels without",
            )
        owner[wrong] = schema.IGNORE_ID
        return owner

    def _framed(self, image, owner):
        config, window = self.config, CROPS[self.config.crop]
        if window is not None:
            top, left, height, width = window
            image = image[top : top + height, left : left + width]
            owner = owner[top : top + height, left : left + width]
        size = config.height, config.width
        return (
            sampling.resize_bilinear(image, *size),
            sampling.resize_nearest(owner, *size),
        )

    def _moved(self, factors, count):
        """Positions in the frames that come out; padding rows stay 0."""
        window = CROPS[self.config.crop]
        top, left, height, width = window or (
            (0, 0, self.layout.height, self.layout.width)
        )
        scale = self.config.height / height, self.config.width / width
        for name in ("position", "corner"):
            # Tetrominoes' positions come from boxes of the final frames.
            if name in factors and not (
                name == "position" and self.variant == "tetrominoes"
            ):
                rows = factors[name][..., :count, :]
                rows[...] = (rows - (top, left)) * scale
        return factors

    def _error(self, kind, problem, expected, found):
        return record_files.error(
            kind, problem, self.path, self.dataset, expected, found
        )
