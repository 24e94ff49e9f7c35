"""Images of small shapes, that cover each other or do not, generated."""

import dataclasses
import functools

import numpy as np
import tensorflow_datasets as tfds

from tfdecomp.data.building import builder_base
from tfdecomp.simulation.sprites import lavae_sprites, multi_dsprites

_STYLES = {
    "iodine": multi_dsprites.generate,
    "lavae": lavae_sprites.generate,
}


@dataclasses.dataclass
class MultiDspritesConfig(builder_base.Config):
    """A set of images of sprites.

    Args:
        style: `"iodine"`: any size, turn and colour, overlapping, see
            `multi_dsprites.Sprites`. `"lavae"`: a few of each, apart, see
            `lavae_sprites.LavaeSprites`.
        num_sprites: Possible numbers of sprites; drawn uniformly per image, or
            with `"lavae"` one after the other.
        background: `"black"`, `"gray"`: of random brightness, or `"color"`.
    """

    max_objects: int = 5
    style: str = "iodine"
    num_sprites: tuple = (2, 3, 4, 5)
    background: str = "gray"

    def __post_init__(self):
        super().__post_init__()
        self.num_sprites = tuple(self.num_sprites)
        if self.style not in _STYLES:
            raise ValueError(
                f"style is one of {list(_STYLES)}, not {self.style!r}"
            )
        if self.height != self.width:
            raise ValueError(
                "frames are square: height and width must be equal, not "
                f"{self.height} and {self.width}"
            )
        if self.num_frames != 1:
            raise ValueError(
                f"these are images: num_frames must be 1, not {self.num_frames}"
            )
        self.look()  # checks the rest

    def look(self):
        """The `Sprites` or `LavaeSprites` that these fields describe."""
        if self.style == "lavae":
            if (self.channels, self.background) != (3, "black"):
                raise ValueError(
                    "style 'lavae' is in colour on black: channels must be 3 "
                    f"and background 'black', not {self.channels} and "
                    f"{self.background!r}"
                )
            return lavae_sprites.LavaeSprites(
                size=self.height,
                num_sprites=self.num_sprites,
                max_objects=self.max_objects,
            )
        return multi_dsprites.Sprites(
            size=self.height,
            num_sprites=self.num_sprites,
            max_objects=self.max_objects,
            channels=self.channels,
            background=self.background,
        )


_PUBLISHED = {
    "num_train": 60_000,
    "num_validation": 1_000,
    "num_test": 320,
    "extra_splits": {"test_large": 10_000},
}
_QUICK = {"num_train": 20_000, "num_validation": 320, "num_test": 320}
_CONFIGS = {
    "iodine_gray": _PUBLISHED,
    "iodine_bin": {
        **_PUBLISHED,
        "channels": 1,
        "background": "black",
        "num_sprites": (2, 3),
        "max_objects": 3,
    },
    "colored": {
        **_PUBLISHED,
        "background": "color",
        "num_sprites": (1, 2, 3, 4),
        "max_objects": 4,
    },
    "lavae": {
        "num_train": 190_000,
        "num_test": 10_000,
        "extra_splits": {lavae_sprites.CROWD: 10_000},
        "style": "lavae",
        "background": "black",
        "num_sprites": (0, 1, 2, 3),
        "max_objects": 7,
    },
    "quick_gray": {
        **_QUICK,
        "height": 32,
        "width": 32,
        "num_sprites": (2, 3, 4),
        "max_objects": 4,
    },
}


class Builder(builder_base.DecompositionBuilder):
    """Sprites of any size, turn and colour on a plain background."""

    name = "tfdecomp_multi_dsprites"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    DEFAULT_BUILDER_CONFIG_NAME = "iodine_gray"
    BUILDER_CONFIGS = builder_base.with_tiny(MultiDspritesConfig, _CONFIGS)

    def factors(self):
        factors = {
            "shape": ("K", (), np.int32),
            "scale": ("K", (), np.float32),
            "orientation": ("K", (), np.float32),
            "position": ("TK", (2,), np.float32),
        }
        if self.builder_config.channels == 3:
            factors["color"] = ("K", (3,), np.float32)
        return factors

    def make_block(self, config, fresh=False):
        return functools.partial(
            _STYLES[config.style],
            config.look(),
            seed=config.seed,
            stream=config.stream,
            fresh=fresh,
        )
