"""Makes the picture of the README.

python datasets/scattered_shapes/make_files.py
"""

import pathlib

from tfdecomp import builders
from tfdecomp.data.video import video_io
from tfdecomp.visualization import palette, sheets

FOLDER = pathlib.Path(__file__).resolve().parent
ROWS = {
    "full10": "validation",
    "crop10": "validation",
    "full30": "validation",
    "quick": "test",
    "quick_more": "test",
}
INDEX = 8


def main():
    """Writes `scattered_shapes.png`."""
    video_io.write_png(FOLDER / "scattered_shapes.png", picture())


def picture():
    """The frames of a video of each config, and labels."""
    rows = {}
    for name, split in ROWS.items():
        builder = builders.make(f"scattered_shapes/{name}")
        make = builder.make_block(builder.builder_config)
        (example,) = make(split, INDEX, INDEX + 1)
        rows[name] = example["video"]
        if "labels" not in rows:
            rows["labels"] = palette.paint_ids(example["segmentation"])
    return sheets.sheet(rows, cell=120)


if __name__ == "__main__":
    main()
