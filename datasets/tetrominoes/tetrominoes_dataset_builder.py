"""Images of three coloured tetrominoes on black, generated."""

import dataclasses
import functools

import numpy as np
import tensorflow_datasets as tfds

from tfdecomp.data.building import builder_base
from tfdecomp.simulation.sprites import tetrominoes


@dataclasses.dataclass
class TetrominoesConfig(builder_base.Config):
    """A set of images of tetrominoes.

    Args:
        block: Side of a block in pixels.
        bevel: Whether blocks have light and dark edges, as in the published
            file, or are flat.
        shape_set: `"paper17"` or `"all19"`, see `tetrominoes.SHAPE_SETS`.
        num_pieces: Pieces per image.
        ambiguous: Whether the pieces of an image share a colour and touch so
            that other pieces could cover the same pixels.
    """

    height: int = 35
    width: int = 35
    max_objects: int = 3
    block: int = 5
    bevel: bool = True
    shape_set: str = "paper17"
    num_pieces: int = 3
    ambiguous: bool = False

    def __post_init__(self):
        super().__post_init__()
        if self.height != self.width:
            raise ValueError(
                "frames are square: height and width must be equal, not "
                f"{self.height} and {self.width}"
            )
        if (self.num_frames, self.channels) != (1, 3):
            raise ValueError(
                "these are colour images: num_frames must be 1 and channels "
                f"3, not {self.num_frames} and {self.channels}"
            )
        self.look()  # checks the rest

    def look(self):
        """The `Tetrominoes` that these fields describe."""
        return tetrominoes.Tetrominoes(
            size=self.height,
            block=self.block,
            bevel=self.bevel,
            shape_set=self.shape_set,
            num_pieces=self.num_pieces,
            max_objects=self.max_objects,
            ambiguous=self.ambiguous,
        )


_PUBLISHED = {
    "num_train": 60_000,
    "num_validation": 1_000,
    "num_test": 320,
    "extra_splits": {"test_large": 10_000},
}
_QUICK = {
    "num_train": 20_000,
    "num_validation": 320,
    "num_test": 320,
    "bevel": False,
}
_AMBIGUOUS = {"num_test": 320, "ambiguous": True}
_CONFIGS = {
    "paper17": _PUBLISHED,
    "all19": {**_PUBLISHED, "shape_set": "all19"},
    "flat": {**_PUBLISHED, "bevel": False, "stream": "paper17"},
    "ambiguous": _AMBIGUOUS,
    "quick": _QUICK,
    "quick28": {**_QUICK, "block": 4, "height": 28, "width": 28},
    "quick21": {**_QUICK, "block": 3, "height": 21, "width": 21},
    "quick14": {**_QUICK, "block": 2, "height": 14, "width": 14},
}
_CONFIGS |= {
    f"ambiguous{7 * block}": {
        **_AMBIGUOUS,
        "bevel": False,
        "block": block,
        "height": 7 * block,
        "width": 7 * block,
    }
    for block in (4, 3, 2)
}


class Builder(builder_base.DecompositionBuilder):
    """Three tetrominoes of one of six colours each, that do not overlap."""

    name = "tfdecomp_tetrominoes"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    DEFAULT_BUILDER_CONFIG_NAME = "paper17"
    BUILDER_CONFIGS = builder_base.with_tiny(TetrominoesConfig, _CONFIGS)

    def factors(self):
        factors = {
            "shape": ("K", (), np.int32),
            "color": ("K", (3,), np.float32),
            "position": ("TK", (2,), np.float32),
            "corner": ("K", (2,), np.float32),
        }
        if self.builder_config.ambiguous:
            factors["num_covers"] = ("K", (), np.int32)
        return factors

    def extra_metadata(self):
        colours = tetrominoes.COLOURS.tolist()
        return {
            "palette": (255 * tetrominoes.COLOURS).tolist(),
            "value_names": {
                "color": dict(zip(tetrominoes.COLOUR_NAMES, colours))
            },
        }

    def make_block(self, config, fresh=False):
        return functools.partial(
            tetrominoes.generate,
            config.look(),
            seed=config.seed,
            stream=config.stream,
            fresh=fresh,
        )
