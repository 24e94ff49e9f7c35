"""Makes the picture of the README.

python datasets/moving_things/make_files.py
"""

import pathlib

from tfdecomp import builders
from tfdecomp.data.video import video_io
from tfdecomp.visualization import palette, sheets

FOLDER = pathlib.Path(__file__).resolve().parent
CLIPS = {"fish": 5, "mice": 1, "worms": 6, "flies": 30}
FRAMES = slice(0, 8, 2)


def main():
    """Writes `moving_things.png`."""
    video_io.write_png(FOLDER / "moving_things.png", picture())


def picture():
    """Every other frame of four videos, each above its labels."""
    builder = builders.make("moving_things/mixed64")
    make = builder.make_block(builder.builder_config)
    rows = {}
    for name, index in CLIPS.items():
        (example,) = make("test", index, index + 1)
        rows[f"{name}, clip {index}"] = example["video"][FRAMES]
        ids = example["segmentation"][FRAMES]
        rows[f"labels of {index}"] = palette.paint_ids(ids)
    return sheets.sheet(rows, cell=128)


if __name__ == "__main__":
    main()
