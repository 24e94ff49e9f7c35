"""Animals and cars before a background that was taken away, generated."""

import dataclasses
import functools

import numpy as np
import tensorflow_datasets as tfds

from tfdecomp.data.building import builder_base
from tfdecomp.simulation.fixed_camera import moving_things


@dataclasses.dataclass
class MovingThingsConfig(builder_base.Config):
    """A set of difference pictures of things that move.

    Args:
        num_objects: `(least, most)` things in and around the frame.
        noise: Largest deviation of a pixel's noise, of full brightness.
    """

    num_frames: int = 8
    height: int = 64
    width: int = 64
    max_objects: int = 8
    block_size: int = 16
    num_objects: tuple = (1, 8)
    noise: float = 0.06

    def __post_init__(self):
        super().__post_init__()
        self.num_objects = tuple(self.num_objects)
        if self.height != self.width or self.channels != 3:
            raise ValueError(
                "frames are square and have 3 channels, not "
                f"{self.height}x{self.width}x{self.channels}"
            )
        if self.num_objects[1] != self.max_objects:
            raise ValueError(
                f"max_objects is {self.max_objects}, but num_objects allows "
                f"{self.num_objects[1]}"
            )
        self.look()  # checks the rest

    def look(self):
        """The `MovingThings` that these fields describe."""
        return moving_things.MovingThings(
            num_frames=self.num_frames,
            size=self.height,
            num_objects=self.num_objects,
            noise=self.noise,
        )


_CONFIGS = {
    "mixed64": {
        "num_train": 12_000,
        "num_validation": 200,
        "num_test": 500,
        "stream": "mixed",
    },
}


class Builder(builder_base.DecompositionBuilder):
    """Fish, flies, mice, worms, cars and balls that chase and touch."""

    name = "tfdecomp_moving_things"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    DEFAULT_BUILDER_CONFIG_NAME = "mixed64"
    BUILDER_CONFIGS = builder_base.with_tiny(MovingThingsConfig, _CONFIGS)

    def factors(self):
        return {
            "position": ("TK", (2,), np.float32),
            "kind": ("K", (), np.int32),
        }

    def extra_metadata(self):
        names = {name: n for n, name in enumerate(moving_things.KINDS, 1)}
        return {"value_names": {"kind": names}}

    def make_block(self, config, fresh=False):
        return functools.partial(
            moving_things.generate,
            config.look(),
            seed=config.seed,
            stream=config.stream,
            fresh=fresh,
        )
