"""Makes the picture of the README.

python datasets/street/make_files.py
"""

import pathlib

from tfdecomp import builders
from tfdecomp.data.video import video_io
from tfdecomp.visualization import palette, sheets

FOLDER = pathlib.Path(__file__).resolve().parent
FRAMES = slice(0, 18, 3)


def main():
    """Writes `street.png`."""
    video_io.write_png(FOLDER / "street.png", picture())


def picture():
    """Frames of two videos, of one in both sizes, and the labels."""
    rows = {}
    for name, index in (("street64", 0), ("street64", 1), ("street128", 1)):
        builder = builders.make(f"street/{name}")
        make = builder.make_block(builder.builder_config)
        (example,) = make("test", index, index + 1)
        rows[f"{name}, clip {index}"] = example["video"][FRAMES]
    rows["labels"] = palette.paint_ids(example["segmentation"][FRAMES])
    return sheets.sheet(rows, cell=128)


if __name__ == "__main__":
    main()
