"""What the published multi-object TFRecords hold, file by file."""

import dataclasses

import numpy as np

BASE_URL = "https://storage.googleapis.com/multi-object-datasets/"
INSTRUCTIONS = """\
Expected files, from https://github.com/google-deepmind/multi_object_datasets,
unchanged (GZIP-compressed TFRecords), in the manual folder, with or without
their folders:
  clevr_with_masks/clevr_with_masks_train.tfrecords              10.5 GB
  multi_dsprites/multi_dsprites_binarized.tfrecords              0.5-1 GB
  multi_dsprites/multi_dsprites_colored_on_grayscale.tfrecords   0.5-1 GB
  multi_dsprites/multi_dsprites_colored_on_colored.tfrecords     0.5-1 GB
  tetrominoes/tetrominoes_train.tfrecords                        0.3 GB
  objects_room/objects_room_train.tfrecords                      7 GB
  objects_room/objects_room_test_empty_room.tfrecords            6-8 MB
  objects_room/objects_room_test_six_objects.tfrecords           6-8 MB
  objects_room/objects_room_test_identical_color.tfrecords       6-8 MB
Pixels are lists of one-byte strings; masks have one entry per entity, the
background first. A file that is not there is downloaded."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """The records of one file.

    Args:
        name: Name of the variant.
        file: Path below `BASE_URL`.
        entities: `E`, the background included.
        height: `H`.
        width: `W`.
        channels: `C`.
        entity_axis: Axis of the entities in the mask.
        background: Entities below this number are background.
        floats: Feature to the number of floats per entity.
        codes: Features of one byte per entity.

    Examples:
        >>> from tfdecomp.data.formats.multi_object import multi_object_layouts
        >>> sizes = {"entities": 4, "height": 35, "width": 35}
        >>> layout = multi_object_layouts.Layout("a", "a.tfrecords", **sizes)
        >>> layout.image_shape, layout.mask_shape, layout.slots
        ((35, 35, 3), (4, 35, 35, 1), 3)
    """

    name: str
    file: str
    entities: int
    height: int
    width: int
    channels: int = 3
    entity_axis: int = 0
    background: int = 1
    floats: dict = dataclasses.field(default_factory=dict)
    codes: tuple = ()

    @property
    def image_shape(self):
        """`(H, W, C)`."""
        return self.height, self.width, self.channels

    @property
    def mask_shape(self):
        """Shape of the mask, with `E` where the file has it."""
        shape = [self.height, self.width, 1]
        shape.insert(self.entity_axis, self.entities)
        return tuple(shape)

    @property
    def slots(self):
        """Objects that a record can have."""
        return self.entities - self.background

    def expected(self):
        """Feature to `(kind, number of values)`."""
        return {
            "image": ("bytes", int(np.prod(self.image_shape))),
            "mask": ("bytes", int(np.prod(self.mask_shape))),
            **{n: ("bytes", self.entities) for n in self.codes},
            **{n: ("float", self.entities * k) for n, k in self.floats.items()},
        }


def _each(names, **wider):
    return {**dict.fromkeys(names.split(), 1), **wider}


def _sprites(name, entities, channels=3):
    floats = _each("x y shape orientation scale visibility", color=channels)
    file = f"multi_dsprites/multi_dsprites_{name}.tfrecords"
    return Layout(
        f"multi_dsprites_{name}", file, entities, 64, 64, channels, 2, 1, floats
    )


def _room(name, entities):
    file = f"objects_room/objects_room_{name}.tfrecords"
    return Layout(f"objects_room_{name}", file, entities, 64, 64, background=4)


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout(
            "clevr_with_masks",
            "clevr_with_masks/clevr_with_masks_train.tfrecords",
            11,
            240,
            320,
            floats=_each("x y z rotation visibility", pixel_coords=3),
            codes=("size", "material", "shape", "color"),
        ),
        _sprites("binarized", 4, channels=1),
        _sprites("colored_on_grayscale", 6),
        _sprites("colored_on_colored", 5),
        Layout(
            "tetrominoes",
            "tetrominoes/tetrominoes_train.tfrecords",
            4,
            35,
            35,
            floats=_each("x y shape visibility", color=3),
        ),
        _room("train", 7),
        _room("test_empty_room", 4),
        _room("test_six_objects", 10),
        _room("test_identical_color", 10),
    )
}


def similar(found):
    """Names of the variants that a record's features would fit.

    Args:
        found: Feature to `(kind, number of values)`.

    Examples:
        >>> from tfdecomp.data.formats.multi_object import multi_object_layouts
        >>> layout = multi_object_layouts.LAYOUTS["tetrominoes"]
        >>> multi_object_layouts.similar(layout.expected())
        ['tetrominoes']
    """
    return [
        layout.name
        for layout in LAYOUTS.values()
        if all(found.get(n) == want for n, want in layout.expected().items())
    ]
