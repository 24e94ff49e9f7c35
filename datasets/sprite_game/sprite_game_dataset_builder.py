"""Episodes of a game with sprites, generated, cut into short clips."""

import dataclasses
import functools

import numpy as np
import tensorflow_datasets as tfds

from tfdecomp.data.building import builder_base, episode_clips
from tfdecomp.simulation.sprites import sprite_game


@dataclasses.dataclass
class SpriteGameConfig(builder_base.Config):
    """A set of clips.

    Args:
        episode_frames: Frames of an episode.
        window: Side of the random windows; 0: whole frames.
        num_windows: Windows of each clip.
        density: Share of the possible first frames at which a clip begins.
        max_shots: Shots of an episode.
    """

    num_frames: int = 8
    max_objects: int = 50
    episode_frames: int = 64
    window: int = 72
    num_windows: int = 8
    density: float = 0.5
    max_shots: int = 9

    def __post_init__(self):
        super().__post_init__()
        size = (self.window,) * 2 if self.window else sprite_game.SIZE
        for name, found, expected in (
            ("height and width", (self.height, self.width), size),
            ("channels", self.channels, 3),
            ("max_objects", self.max_objects, self.look().max_objects),
        ):
            if found != expected:
                raise ValueError(f"{name} is {found}, expected {expected}")
        if not self.rule().count(self.episode_frames):
            raise ValueError(
                f"num_frames is {self.num_frames}, more than the "
                f"{self.episode_frames} frames of an episode"
            )
        if self.extra_splits:
            raise ValueError(
                f"extra_splits is {self.extra_splits}, but there are train, "
                "validation and test only"
            )

    def look(self):
        """The `SpriteGame` that these fields describe."""
        return sprite_game.SpriteGame(
            num_frames=self.episode_frames, max_shots=self.max_shots
        )

    def rule(self):
        """The `ClipRule` that these fields describe."""
        return episode_clips.ClipRule(
            num_frames=self.num_frames,
            window=self.window,
            num_windows=self.num_windows,
            density=self.density,
        )


# Of each episode there are 28 clips with eight windows, or eight clips of
# whole frames. Tests do not depend on what a model is trained on.
_CONFIGS = {
    "crops": {
        "num_train": 300 * 224,
        "num_validation": 5 * 224,
        "height": 72,
        "width": 72,
        "block_size": 224,
        "stream": "game",
    },
    "full": {
        "num_validation": 8 * 8,
        "num_test": 32 * 8,
        "height": sprite_game.SIZE[0],
        "width": sprite_game.SIZE[1],
        "window": 0,
        "block_size": 8,
        "stream": "game",
    },
}


class Builder(builder_base.DecompositionBuilder):
    """A block of sprites that marches, and a shooter."""

    name = "tfdecomp_sprite_game"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    DEFAULT_BUILDER_CONFIG_NAME = "crops"
    OPTIONAL = ()
    BUILDER_CONFIGS = builder_base.with_tiny(SpriteGameConfig, _CONFIGS)

    def factors(self):
        return {
            "position": ("TK", (2,), np.float32),
            "velocity": ("TK", (2,), np.float32),
            "kind": ("K", (), np.int32),
            "color": ("K", (3,), np.float32),
        }

    def extra_metadata(self):
        names = {name: n for n, name in enumerate(sprite_game.KINDS, 1)}
        return {"value_names": {"kind": names}}

    def make_block(self, config, fresh=False):
        return functools.partial(
            episode_clips.generate,
            config.rule(),
            functools.partial(sprite_game.generate, config.look()),
            config.episode_frames,
            sprite_game.SIZE,
            sprite_game.DATASET,
            seed=config.seed,
            stream=config.stream,
            fresh=fresh,
        )
