"""Coloured shapes that are scattered over a frame and cover each other."""

import dataclasses
import functools

import numpy as np
import tensorflow_datasets as tfds

from tfdecomp.data.building import builder_base
from tfdecomp.simulation import scattered
from tfdecomp.simulation.sprites import scattered_shapes


@dataclasses.dataclass
class ScatteredShapesConfig(builder_base.Config):
    """A set of videos of shapes.

    Extra splits are named `test_n01`, `validation_n01`, ... after the number
    of shapes in each of their videos.

    Args:
        num_objects: `(least, most)` shapes; drawn uniformly per video.
        speed: Of a shape, in pixels per frame.
        max_overlap: How much of a shape's rectangle those before it may cover
            in the first frame, in pixels.
        shape_size: Side of a shape in the mean.
        scene_size: Side of the scenes of which the videos are square windows;
            0: that of the frame.
        num_windows: Windows of one scene, consecutive examples.
    """

    num_frames: int = 8
    height: int = 96
    width: int = 96
    max_objects: int = 35
    num_objects: tuple = (1, 10)
    speed: float = 5.0
    max_overlap: float = 98.0
    shape_size: int = 14
    scene_size: int = 0
    num_windows: int = 1

    def __post_init__(self):
        super().__post_init__()
        self.num_objects = tuple(self.num_objects)
        if self.height != self.width:
            raise ValueError(
                "frames are square: height and width must be equal, not "
                f"{self.height} and {self.width}"
            )
        if self.channels != scattered.CHANNELS:
            raise ValueError(
                f"these are videos in colour: channels must be 3, not "
                f"{self.channels}"
            )
        look = self.look()  # checks the rest
        look.scatter.check_splits(self.extra_splits or {})

    def look(self):
        """The `ScatteredShapes` that these fields describe."""
        return scattered_shapes.ScatteredShapes(
            scatter=scattered.Scatter(
                num_frames=self.num_frames,
                size=self.scene_size or self.height,
                num_objects=self.num_objects,
                max_objects=self.max_objects,
                speed=self.speed,
                max_overlap=self.max_overlap,
                window=self.height if self.scene_size else 0,
                num_windows=self.num_windows,
            ),
            shape_size=self.shape_size,
        )


_SCENES, _WINDOWS = 60_000, 4
_CONFIGS = {}
# All have the scenes of one stream. The tests do not depend on what a model is
# trained on, and the windows are cut from the scenes of the whole frames.
for most in (10, 20, 30):
    shared = {
        "num_validation": 1_000,
        "num_objects": (most - 9, most),
        "stream": "full",
    }
    _CONFIGS[f"full{most}"] = {
        **shared,
        "num_train": _SCENES,
        "extra_splits": {f"test_n{n:02d}": 1_008 for n in range(1, 36)},
    }
    _CONFIGS[f"crop{most}"] = {
        **shared,
        "num_train": _SCENES * _WINDOWS,
        "height": 60,
        "width": 60,
        "scene_size": 96,
        "num_windows": _WINDOWS,
    }
_QUICK = {
    "num_test": 1_000,
    "height": 48,
    "width": 48,
    "max_objects": 12,
    "speed": 3.0,
    "shape_size": 12,
}
_CONFIGS["quick"] = {
    **_QUICK,
    "num_train": 10_000,
    "num_validation": 500,
    "num_objects": (1, 6),
}
_CONFIGS["quick_more"] = {**_QUICK, "num_objects": (7, 12)}


class Builder(builder_base.DecompositionBuilder):
    """Coloured shapes that bounce off the frame and cover each other."""

    name = "tfdecomp_scattered_shapes"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    DEFAULT_BUILDER_CONFIG_NAME = "full10"
    BUILDER_CONFIGS = builder_base.with_tiny(ScatteredShapesConfig, _CONFIGS)

    @property
    def OPTIONAL(self):
        place = ("crop_offset",) if self.builder_config.scene_size else ()
        return ("visible_fraction", *place)

    def factors(self):
        return {
            "position": ("TK", (2,), np.float32),
            "velocity": ("TK", (2,), np.float32),
            "shape": ("K", (), np.int32),
            "color": ("K", (3,), np.float32),
        }

    def extra_metadata(self):
        names = scattered_shapes.SHAPES
        return {
            "value_names": {
                "shape": {name: n for n, name in enumerate(names, 1)},
                "color": {
                    name: tuple(np.float32(np.array(rgb) / 255).tolist())
                    for name, rgb in scattered_shapes.COLORS.items()
                },
            }
        }

    def make_block(self, config, fresh=False):
        return functools.partial(
            scattered_shapes.generate,
            config.look(),
            seed=config.seed,
            stream=config.stream,
            fresh=fresh,
        )
