"""Makes the picture of the README and the miniature original files.

python datasets/scattered_digits/make_files.py
"""

import pathlib

from tfdecomp import builders
from tfdecomp.data.formats import mnist_files
from tfdecomp.data.video import video_io
from tfdecomp.visualization import palette, sheets

FOLDER = pathlib.Path(__file__).resolve().parent
ROWS = ("digits_6", "digits_12", "strokes_6")
INDEX = 5  # of the validation split


def main():
    """Writes `scattered_digits.png` and the files of `dummy_data/`."""
    video_io.write_png(FOLDER / "scattered_digits.png", picture())
    mnist_files.write_miniature(FOLDER / "dummy_data")


def picture():
    """The frames of a video of each config, and labels."""
    rows = {}
    for name in ROWS:
        builder = builders.make(f"scattered_digits/{name}")
        make = builder.make_block(builder.builder_config)
        (example,) = make("validation", INDEX, INDEX + 1)
        rows[name] = example["video"]
        if "labels" not in rows:
            rows["labels"] = palette.paint_ids(example["segmentation"])
    return sheets.sheet(rows, cell=144)


if __name__ == "__main__":
    main()
