"""Makes the picture of the README.

python datasets/sprite_game/make_files.py
"""

import pathlib

from tfdecomp import builders
from tfdecomp.data.video import video_io
from tfdecomp.visualization import palette, sheets

FOLDER = pathlib.Path(__file__).resolve().parent


def main():
    """Writes `sprite_game.png`."""
    video_io.write_png(FOLDER / "sprite_game.png", picture())


def picture():
    """Two clips of whole frames, labels, and windows."""
    rows = {}
    for name, split, index in (
        ("full", "test", 1),
        ("full", "test", 12),
        ("crops", "validation", 3),
        ("crops", "validation", 300),
    ):
        builder = builders.make(f"sprite_game/{name}")
        make = builder.make_block(builder.builder_config)
        (example,) = make(split, index, index + 1)
        rows[f"{name}, {index}"] = example["video"][::2]
        if "labels" not in rows:
            rows["labels"] = palette.paint_ids(example["segmentation"][::2])
    return sheets.sheet(rows, cell=216)


if __name__ == "__main__":
    main()
