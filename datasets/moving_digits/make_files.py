"""Makes the picture of the README and the miniature original files.

python datasets/moving_digits/make_files.py
"""

import pathlib

from tfdecomp import builders
from tfdecomp.data.formats import mnist_files
from tfdecomp.data.video import video_io
from tfdecomp.visualization import palette, sheets

FOLDER = pathlib.Path(__file__).resolve().parent
ROWS = ("digits", "strokes", "digits_quick")
FRAMES = range(0, 20, 2)
INDEX = 4  # of the test split


def main():
    """Writes `moving_digits.png` and the files of `dummy_data/`."""
    video_io.write_png(FOLDER / "moving_digits.png", picture())
    mnist_files.write_miniature(FOLDER / "dummy_data")


def picture():
    """Every second frame of a video of each config, and labels."""
    rows = {}
    for name in ROWS:
        builder = builders.make(f"moving_digits/{name}")
        make = builder.make_block(builder.builder_config)
        (example,) = make("test", INDEX, INDEX + 1)
        rows[name] = example["video"][FRAMES]
        if "labels" not in rows:
            ids = example["segmentation"][FRAMES]
            rows["labels"] = palette.paint_ids(ids)
    return sheets.sheet(rows, cell=128)


if __name__ == "__main__":
    main()
