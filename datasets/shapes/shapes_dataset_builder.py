"""Binary images of overlapping shapes: generated, or from the original file."""

import dataclasses
import functools

import numpy as np
import tensorflow_datasets as tfds

from tfdecomp.data.building import builder_base
from tfdecomp.data.formats import manual, shapes_hdf5
from tfdecomp.simulation.sprites import shapes


@dataclasses.dataclass
class ShapesConfig(builder_base.Config):
    """A set of images of shapes.

    Args:
        num_shapes: Shapes per image; the split `single` has one.
    """

    height: int = 28
    width: int = 28
    channels: int = 1
    max_objects: int = 3
    num_shapes: int = 3

    def __post_init__(self):
        super().__post_init__()
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
        self.look()  # checks the rest

    def look(self):
        """The `Shapes` that these fields describe."""
        return shapes.Shapes(
            size=self.height,
            num_shapes=self.num_shapes,
            max_objects=self.max_objects,
        )


_SPLITS = {"num_test": 10_000, "extra_splits": {shapes.SINGLE: 10_000}}
_CONFIGS = {
    "shapes28": {**_SPLITS, "num_train": 60_000},
    "shapes20": {**_SPLITS, "num_train": 50_000, "height": 20, "width": 20},
}


class Builder(builder_base.DecompositionBuilder):
    """Three white squares and triangles; where they overlap is not labelled."""

    name = "tfdecomp_shapes"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    DEFAULT_BUILDER_CONFIG_NAME = "shapes28"
    BUILDER_CONFIGS = builder_base.with_tiny(ShapesConfig, _CONFIGS)
    MANUAL_CONFIGS = (
        ShapesConfig(name="h5", source=builder_base.MANUAL, box_kind="modal"),
    )
    MANUAL_DOWNLOAD_INSTRUCTIONS = shapes_hdf5.LAYOUT

    def factors(self):
        if self.builder_config.source == builder_base.MANUAL:
            return {}
        return {
            "shape": ("K", (), np.int32),
            "position": ("TK", (2,), np.float32),
            "corner": ("K", (2,), np.float32),
        }

    def extra_metadata(self):
        generated = self.builder_config.source == builder_base.GENERATED
        return {"has_ignore": True, "has_visible_fraction": generated}

    def make_block(self, config, fresh=False):
        if config.source == builder_base.MANUAL:
            return functools.partial(
                self._file.block, builder_base.plain(config)
            )
        return functools.partial(
            shapes.generate,
            config.look(),
            seed=config.seed,
            stream=config.stream,
            fresh=fresh,
        )

    def block_size(self):
        config = self.builder_config
        if config.source == builder_base.MANUAL:
            return self._file.block_size(config.block_size)
        return config.block_size

    def check_inputs(self, dl_manager):
        config = self.builder_config
        if config.source == builder_base.GENERATED:
            return config.split_sizes()
        dataset = f"{self.name}/{config.name}"
        path = manual.manual_file(
            dl_manager,
            shapes_hdf5.FILE,
            dataset=dataset,
            layout=shapes_hdf5.LAYOUT,
            stand_in="shapes/shapes28",
        )
        self._file = shapes_hdf5.ShapesFile(path, dataset, config.height)
        sizes = self._file.check(config)
        self.info.metadata.update(self._file.metadata())
        return sizes
