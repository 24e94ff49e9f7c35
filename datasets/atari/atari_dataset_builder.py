"""Clips of recorded Atari games, from converted files."""

import dataclasses

import tensorflow_datasets as tfds

from tfdecomp.data.building import builder_base, episode_clips, estimates
from tfdecomp.data.formats import atari_episodes, atari_play, manual


@dataclasses.dataclass
class AtariConfig(builder_base.Config):
    """Clips of one game.

    Args:
        game: Folder of its episodes.
        source_height: Rows of the recorded frames.
        source_width: Columns of the recorded frames.
        first_row: First row that is used.
        last_row: Last row that is used; None: the last one there is.
        window: Side of the random windows; 0: whole frames.
        num_windows: Windows of each clip.
        density: Share of the possible first frames at which a clip begins.
        held_out_share: Share of the episodes that is the validation split and
            again the test split, at least one each.
        held_out_episodes: Their number, in place of the share.
        pseudo_boxes: Whether there are boxes: those of the connected
            components of each exact colour, `color_components.tracks`. Nobody
            has checked them; without them there are none.
        max_objects: `K`, tracks that a clip can have. A clip with more is an
            error, unless there are no boxes.
        splits: Splits to make.
        stand_in: Generated set that shows something alike.
    """

    source: str = builder_base.MANUAL
    num_frames: int = 8
    max_objects: int = 254
    game: str = "SpaceInvaders"
    source_height: int = 210
    source_width: int = 160
    first_row: int = 0
    last_row: int | None = None
    window: int = 72
    num_windows: int = 8
    density: float = 0.5
    held_out_share: float = 0.05
    held_out_episodes: int | None = None
    pseudo_boxes: bool = True
    splits: tuple = ("train", "validation")
    stand_in: str = "sprite_game/crops"

    def __post_init__(self):
        if self.last_row is None:
            self.last_row = self.source_height - 1
        self.splits = tuple(self.splits)
        self.box_kind = "pseudo" if self.pseudo_boxes else "none"
        if not 0 <= self.first_row <= self.last_row < self.source_height:
            raise ValueError(
                f"rows {self.first_row} to {self.last_row} are not within the "
                f"{self.source_height} rows of a frame"
            )
        rows = self.last_row - self.first_row + 1
        self.height, self.width = (
            (self.window, self.window)
            if self.window
            else (rows, self.source_width)
        )
        super().__post_init__()
        if self.window > min(rows, self.source_width):
            raise ValueError(
                f"window is {self.window}, more than the {rows}x"
                f"{self.source_width} pixels of a frame"
            )
        for name, allowed in (
            ("source", builder_base.MANUAL),
            ("channels", 3),
        ):
            if getattr(self, name) != allowed:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}, expected {allowed!r}"
                )
        if not 0 < self.held_out_share < 0.5:
            raise ValueError(
                f"held_out_share is {self.held_out_share}, expected a share "
                "above 0 and below a half"
            )
        if self.held_out_episodes is not None and self.held_out_episodes < 1:
            raise ValueError(
                f"held_out_episodes is {self.held_out_episodes}, expected at "
                "least 1, or null for a share"
            )
        unknown = set(self.splits) - {"train", "validation", "test"}
        if unknown or not self.splits:
            raise ValueError(
                f"splits is {self.splits}, expected some of train, validation "
                "and test"
            )
        if self.split_sizes():
            raise ValueError(
                "the number of clips follows from the episodes: leave out "
                "num_train, num_validation, num_test and extra_splits"
            )
        self.rule()  # checks the rest

    def rule(self):
        """The `ClipRule` that these fields describe."""
        return episode_clips.ClipRule(
            num_frames=self.num_frames,
            window=self.window,
            num_windows=self.num_windows,
            density=self.density,
        )


_HIGH = {"source_height": 250}
_GAMES = {
    "space_invaders": {"game": "SpaceInvaders", "last_row": 194},
    "asteroids": {"game": "Asteroids"},
    "carnival": {
        **_HIGH,
        "game": "Carnival",
        "first_row": 30,
        "last_row": 214,
    },
    "wizard_of_wor": {**_HIGH, "game": "WizardOfWor"},
}
_KINDS = {
    "crops": {},
    "full": {
        "window": 0,
        "splits": ("validation", "test"),
        "block_size": 8,
        "stand_in": "sprite_game/full",
    },
}


class Builder(builder_base.DecompositionBuilder):
    """Somebody plays an old game; its colours say what may be a thing."""

    name = "tfdecomp_atari"
    VERSION = tfds.core.Version("2.0.0")
    RELEASE_NOTES = {
        "2.0.0": "Pseudo boxes from colours, in 254 slots.",
        "1.0.0": "First version.",
    }
    HAS_LABELS = False
    OPTIONAL = ("actions", "rewards", "crop_offset")
    DEFAULT_BUILDER_CONFIG_NAME = "space_invaders_crops"
    BUILDER_CONFIGS = [
        AtariConfig(name=f"{game}_{kind}", **fields, **more)
        for game, fields in _GAMES.items()
        for kind, more in _KINDS.items()
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = atari_episodes.LAYOUT
    HOMEPAGE = "https://github.com/e2crawfo/atari_rollouts"

    def extra_metadata(self):
        return {"has_boxes": self.builder_config.pseudo_boxes}

    def record(self, folder, episodes=None, on_progress=None):
        config = self.builder_config
        is_ours = config.name in self.builder_configs
        return atari_play.record(
            folder,
            estimates.label(self),
            config,
            episodes,
            on_progress=on_progress,
            base=config.name if is_ours else None,
        )

    def make_block(self, config, fresh=False):
        return self._episodes.block

    def check_inputs(self, dl_manager):
        config = self.builder_config
        folder, _ = manual.listing(dl_manager)
        self._episodes = atari_episodes.AtariEpisodes(
            str(folder),
            estimates.label(self),
            builder_base.plain(config),
            config.rule(),
        )
        self.info.metadata.update(self._episodes.metadata())
        return self._episodes.sizes()
