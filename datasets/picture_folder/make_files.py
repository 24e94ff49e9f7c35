"""Makes the picture of the README and the tiny pictures for tests.

python datasets/picture_folder/make_files.py
"""

import pathlib

import numpy as np

from tfdecomp.data.building import picture_folder
from tfdecomp.data.video import video_io, video_sampling
from tfdecomp.visualization import sheets

FOLDER = pathlib.Path(__file__).resolve().parent
COLUMNS = 6


def main():
    """Writes `picture_folder.png` and the files of `dummy_data/`."""
    for number in range(10):
        path = FOLDER / "dummy_data" / f"fruit {number + 1}.png"
        # Landscapes and portraits, as cameras make them.
        shape = (36, 48) if number % 2 else (48, 36)
        video_io.write_png(path, still_life(*shape, number) // 16 * 16)
    video_io.write_png(FOLDER / "picture_folder.png", picture())


def picture():
    """The pictures of `dummy_data/`, taken in each of three ways."""
    rows = {}
    for name in ("none", "center", "pad"):
        look = video_sampling.Look(64, 64, crop=name)
        settings = picture_folder.Settings(look, test_share=0.0)
        found = picture_folder.PictureFolder(FOLDER / "dummy_data", settings)
        taken = [picture for _, picture in found.pictures("train")]
        rows[name] = np.stack(taken[:COLUMNS])
    return sheets.sheet(rows, cell=128)


def still_life(height, width, seed):
    """A few discs of several colours on a table.

    Args:
        height: Rows.
        width: Columns.
        seed: Seed.

    Returns:
        `[height, width, 3]` uint8.
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    still = np.full((height, width, 3), (196, 180, 150), np.uint8)
    still[: height // 3] = (120, 130, 150)
    for _ in range(rng.integers(2, 5)):
        middle = rng.uniform(0.3, 0.8, 2) * (height, width)
        radius = rng.uniform(0.08, 0.18) * (height + width) / 2
        away = np.hypot(rows - middle[0], columns - middle[1])
        still[away < radius] = rng.integers(40, 256, 3)
    return still


if __name__ == "__main__":
    main()
