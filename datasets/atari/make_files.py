"""Makes the picture of the README and the miniature files for tests.

python datasets/atari/make_files.py
"""

import pathlib

import numpy as np

from tfdecomp import builders
from tfdecomp.data.formats import atari_episodes
from tfdecomp.data.video import video_io
from tfdecomp.simulation.sprites import sprite_game
from tfdecomp.visualization import sheets

FOLDER = pathlib.Path(__file__).resolve().parent
EPISODES = {"SpaceInvaders": (210, 18), "Carnival": (250, 9)}


def main():
    """Writes `atari.png` and the files of `dummy_data/`."""
    dummy = FOLDER / "dummy_data"
    for game, (height, frames) in EPISODES.items():
        write_episodes(dummy / game, 3, frames, height)
    video_io.write_png(FOLDER / "atari.png", picture(dummy))


def picture(folder):
    """A clip of whole frames and two of windows of a miniature episode."""
    rows = {}
    for name, split, places in (
        ("space_invaders_full", "test", (0,)),
        ("carnival_full", "test", (0,)),
        ("space_invaders_crops", "validation", (0, 11)),
    ):
        builder = builders.make(f"atari/{name}")
        config = builder.builder_config
        episodes = atari_episodes.AtariEpisodes(
            folder, name, config, config.rule()
        )
        for place in places:
            (example,) = episodes.block(split, place, place + 1)
            label = f"{name.replace('_', ' ')}, {place}"
            rows[label] = example["video"][::2]
    return sheets.sheet(rows, cell=216)


def write_episodes(folder, count, frames, height, width=160):
    """Writes episodes as the script of the README does.

    Args:
        folder: Folder of the game.
        count: Episodes.
        frames: Frames of each.
        height: Rows; those of the generated game are at the top.
        width: Columns, at most those of the generated game.
    """
    folder.mkdir(parents=True, exist_ok=True)
    look = sprite_game.SpriteGame(num_frames=frames)
    episodes = sprite_game.generate(
        look, "train", 0, count, seed=7, stream=f"dummy {folder.name}"
    )
    for number, episode in enumerate(episodes):
        rng = np.random.default_rng(number)
        video = np.zeros((frames, height, width, 3), np.uint8)
        rows = min(height, episode["video"].shape[1])
        video[:, :rows] = episode["video"][:, :rows, :width]
        np.savez_compressed(
            folder / f"episode_{number:05d}.npz",
            frames=video,
            actions=rng.integers(0, 6, frames).astype(np.int32),
            rewards=rng.choice([0, 10], frames).astype(np.float32),
        )


if __name__ == "__main__":
    main()
