"""Makes the picture of the README.

python datasets/tetrominoes/make_files.py
"""

import pathlib

import numpy as np

from tfdecomp import builders
from tfdecomp.data import video_io
from tfdecomp.visualization import palette, sheets

FOLDER = pathlib.Path(__file__).resolve().parent
COLUMNS = 8


def main():
    """Writes `tetrominoes.png`."""
    video_io.write_png(FOLDER / "tetrominoes.png", picture())


def picture():
    """The first test images of some configs, and labels of the first one."""
    rows = {}
    for name in ("paper17", "flat", "ambiguous", "quick14"):
        builder = builders.make(f"tetrominoes/{name}")
        make = builder.make_block(builder.builder_config)
        examples = make("test", 0, COLUMNS)
        rows[name] = np.concatenate([e["video"] for e in examples])
        if name == "paper17":
            ids = np.concatenate([e["segmentation"] for e in examples])
            rows["labels"] = palette.paint_ids(ids)
    return sheets.sheet(rows)


if __name__ == "__main__":
    main()
