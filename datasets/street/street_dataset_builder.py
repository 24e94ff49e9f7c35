"""A street from above, generated: cars in lanes and walkers beside them."""

import dataclasses
import functools

import numpy as np
import tensorflow_datasets as tfds

from tfdecomp.data.building import builder_base
from tfdecomp.simulation.fixed_camera import street


@dataclasses.dataclass
class StreetConfig(builder_base.Config):
    """A set of videos of a street.

    Args:
        num_cars: `(least, most)` cars, drawn uniformly per video.
        num_walkers: The same of walkers.
    """

    num_frames: int = 20
    max_objects: int = 12
    block_size: int = 16
    num_cars: tuple = (1, 6)
    num_walkers: tuple = (0, 6)

    def __post_init__(self):
        super().__post_init__()
        self.num_cars = tuple(self.num_cars)
        self.num_walkers = tuple(self.num_walkers)
        if self.height != self.width:
            raise ValueError(
                "frames are square: height and width must be equal, not "
                f"{self.height} and {self.width}"
            )
        if self.channels != 3:
            raise ValueError(
                f"these are videos in colour: channels must be 3, not "
                f"{self.channels}"
            )
        most = self.look().max_objects  # checks the rest
        if most != self.max_objects:
            raise ValueError(
                f"max_objects is {self.max_objects}, but there are up to "
                f"{most} cars and walkers"
            )

    def look(self):
        """The `Street` that these fields describe."""
        return street.Street(
            num_frames=self.num_frames,
            size=self.height,
            num_cars=self.num_cars,
            num_walkers=self.num_walkers,
        )


_SIZES = {"num_train": 5_000, "num_validation": 200, "num_test": 500}
_CONFIGS = {
    "street64": {**_SIZES, "stream": "street"},
    "street128": {
        **_SIZES,
        "num_train": 2_000,
        "stream": "street",
        "height": 128,
        "width": 128,
    },
}


class Builder(builder_base.DecompositionBuilder):
    """Cars and walkers on a textured ground in changing light."""

    name = "tfdecomp_street"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    DEFAULT_BUILDER_CONFIG_NAME = "street64"
    BUILDER_CONFIGS = builder_base.with_tiny(StreetConfig, _CONFIGS)

    def factors(self):
        return {
            "position": ("TK", (2,), np.float32),
            "velocity": ("TK", (2,), np.float32),
            "kind": ("K", (), np.int32),
            "lane": ("K", (), np.int32),
            "color": ("K", (3,), np.float32),
        }

    def extra_metadata(self):
        names = {name: n for n, name in enumerate(street.KINDS, 1)}
        return {"value_names": {"kind": names}}

    def make_block(self, config, fresh=False):
        return functools.partial(
            street.generate,
            config.look(),
            seed=config.seed,
            stream=config.stream,
            fresh=fresh,
        )
