"""Balls that bounce in a box: simulated, or read from the original files."""

import dataclasses
import functools

import numpy as np
import tensorflow_datasets as tfds

from tfdecomp.data.building import builder_base
from tfdecomp.data.formats import manual, rnem_hdf5
from tfdecomp.simulation import palettes
from tfdecomp.simulation.balls import ball_physics, bouncing_balls

_WORLD_FIELDS = [f.name for f in dataclasses.fields(ball_physics.BallWorld)]


@dataclasses.dataclass
class BallsConfig(builder_base.Config):
    """A set of ball videos; lengths in units of the box.

    Args:
        num_balls: Possible numbers of balls, drawn uniformly per video.
        box: Side of the box.
        radius_light: Radius of a light ball.
        radius_heavy: Radius of a heavy ball.
        mass_light: Mass of a light ball.
        mass_heavy: Mass of a heavy ball.
        heavy_probability: Probability that a ball is heavy.
        speed: Units per frame, see `speed_rule`.
        speed_rule: `"rms"` or `"joint"`, see `ball_physics.BallWorld`.
        substeps: Steps of the simulation per frame.
        num_colours: Palette entries in use.
        assign: `"ball"`, `"rank"` or `"random"`, see
            `bouncing_balls.BallVideo`.
        channel_order: `"rgb"` or `"bgr"`.
        antialias: Whether edges are soft.
        profile: `"disc"` or `"legacy"`.
        file_name: Original file, for manual configs.
        splits: Splits of a manual config.
        label_tolerance: Share of a video's lit pixels that may be without a
            label in an original file; they become "ignore".
    """

    num_frames: int = 51
    num_balls: tuple = (4,)
    box: float = 10.0
    radius_light: float = 0.9
    radius_heavy: float = 1.125
    mass_light: float = 1.0
    mass_heavy: float = 6.0
    heavy_probability: float = 0.5
    speed: float = 0.25
    speed_rule: str = "rms"
    substeps: int = 20
    num_colours: int = 8
    assign: str = "ball"
    channel_order: str = "rgb"
    antialias: bool = False
    profile: str = "disc"
    file_name: str = ""
    splits: tuple = ("train", "validation", "test")
    label_tolerance: float = 0.001

    def __post_init__(self):
        super().__post_init__()
        self.num_balls = tuple(self.num_balls)
        self.splits = tuple(self.splits)
        if self.height != self.width:
            raise ValueError(
                "the box is square: height and width must be equal, not "
                f"{self.height} and {self.width}"
            )
        self.look()  # checks the rest

    def look(self):
        """The `BallVideo` that these fields describe."""
        world = ball_physics.BallWorld(
            **{name: getattr(self, name) for name in _WORLD_FIELDS}
        )
        return bouncing_balls.BallVideo(
            world,
            num_frames=self.num_frames,
            size=self.height,
            max_objects=self.max_objects,
            channels=self.channels,
            num_colours=self.num_colours,
            assign=self.assign,
            channel_order=self.channel_order,
            antialias=self.antialias,
            profile=self.profile,
        )


_PUBLISHED = {"num_train": 50_000, "num_validation": 1_000, "num_test": 10_000}
_TEST_ONLY = {"num_test": 10_000}
_BALLS4 = {"stream": "balls4"}
_BALLS678 = {"stream": "balls678", "num_balls": (6, 7, 8), "max_objects": 8}
_WHITE = {"channels": 1}
_QUICK = {
    "num_frames": 12,
    "num_train": 8_000,
    "num_validation": 200,
    "num_test": 200,
    "radius_light": 1.5,
    "radius_heavy": 1.6,
    "speed": 0.3,
    "assign": "random",
    "antialias": True,
}
_COLOR3 = {**_QUICK, "num_balls": (3,), "max_objects": 3, "stream": "quick3"}
_COLOR2 = {**_QUICK, "num_balls": (2,), "max_objects": 2, "stream": "quick2"}
# Whole pixels, so that frames are binary.
_BINARY_QUICK = {
    **_WHITE,
    "num_frames": 20,
    "height": 24,
    "width": 24,
    "radius_light": 1.2,
    "radius_heavy": 1.32,
    "speed": 0.3,
}
_BINARY3 = {**_BINARY_QUICK, "num_balls": (3,), "max_objects": 3}
_GENERATED = {
    "binary4": {**_BALLS4, **_PUBLISHED, **_WHITE},
    "color4": {**_BALLS4, **_PUBLISHED},
    "binary678": {**_BALLS678, **_TEST_ONLY, **_WHITE},
    "color678_pal4": {**_BALLS678, **_TEST_ONLY, "num_colours": 4},
    "color678_pal8": {**_BALLS678, **_TEST_ONLY},
    "color3_quick": {**_COLOR3, "height": 20, "width": 20},
    "color3_quick32": {**_COLOR3, "height": 32, "width": 32},
    "color2_quick": {**_COLOR2, "height": 20, "width": 20},
    "binary3_quick": {
        **_BINARY3,
        "stream": "binary3",
        "num_train": 8_000,
        "num_validation": 200,
        "num_test": 200,
    },
    "binary4_quick_more": {
        **_BINARY_QUICK,
        "stream": "binary4",
        "num_test": 200,
    },
    # 800 units, radius 60, velocities of -20 to 20 units each way: in boxes of
    # 10 units, an rms speed of sqrt(2 * 140) / 80.
    "ddpae4": {
        **_WHITE,
        "stream": "ddpae4",
        "num_frames": 60,
        "height": 128,
        "width": 128,
        "radius_light": 0.75,
        "radius_heavy": 0.75,
        "mass_heavy": 1.0,
        "speed": 0.209,
        "num_train": 50_000,
        "num_validation": 500,
        "num_test": 2_000,
    },
}
_FILE4 = {**_BALLS4, "file_name": "balls4mass64.h5"}
_FILE678 = {
    **_BALLS678,
    "file_name": "balls678mass64.h5",
    "splits": ("test",),
}
_MANUAL = {
    "h5_binary4": {**_FILE4, **_WHITE},
    "h5_color4": _FILE4,
    "h5_binary678": {**_FILE678, **_WHITE},
    "h5_color678_pal4": {**_FILE678, "num_colours": 4},
    "h5_color678_pal8": _FILE678,
}


class Builder(builder_base.DecompositionBuilder):
    """Balls that bounce in a box and collide, with everything known."""

    name = "tfdecomp_bouncing_balls"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    DEFAULT_BUILDER_CONFIG_NAME = "color4"
    BUILDER_CONFIGS = builder_base.with_tiny(BallsConfig, _GENERATED)
    MANUAL_CONFIGS = tuple(
        BallsConfig(
            name=name,
            source=builder_base.MANUAL,
            box_kind="modal",
            **fields,
        )
        for name, fields in _MANUAL.items()
    )
    MANUAL_DOWNLOAD_INSTRUCTIONS = rnem_hdf5.LAYOUT

    def factors(self):
        config = self.builder_config
        factors = {
            "position": ("TK", (2,), np.float32),
            "velocity": ("TK", (2,), np.float32),
        }
        if config.source == builder_base.GENERATED:
            factors["radius"] = ("K", (), np.float32)
            factors["mass"] = ("K", (), np.float32)
            factors["collision"] = ("TK", (), np.uint8)
        if config.channels == 3:
            factors["palette_index"] = ("K", (), np.int32)
            factors["color"] = ("K", (3,), np.float32)
        return factors

    def extra_metadata(self):
        config = self.builder_config
        manual = config.source == builder_base.MANUAL
        palette = palettes.lookup(np.arange(1, 9), config.channel_order)
        return {
            "palette": palette.tolist() if config.channels == 3 else None,
            "has_ignore": manual,
            "has_visible_fraction": not manual,
        }

    def make_block(self, config, fresh=False):
        # Nothing here refers to this module: processes that make examples
        # know the installed package only.
        if config.source == builder_base.MANUAL:
            return functools.partial(
                self._file.block, builder_base.plain(config)
            )
        return functools.partial(
            bouncing_balls.generate,
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
        path = manual.manual_file(
            dl_manager,
            config.file_name,
            dataset=f"{self.name}/{config.name}",
            layout=rnem_hdf5.LAYOUT,
            stand_in=f"bouncing_balls/{config.name.removeprefix('h5_')}",
        )
        self._file = rnem_hdf5.BallsFile(
            path, f"{self.name}/{config.name}", config.num_frames, config.height
        )
        sizes = self._file.check(config)
        self.info.metadata.update(self._file.metadata(config))
        return sizes
