"""Makes the picture of the README.

python datasets/raycast/make_files.py
"""

import pathlib

import numpy as np

from tfdecomp import builders
from tfdecomp.data.video import video_io
from tfdecomp.visualization import palette, sheets

FOLDER = pathlib.Path(__file__).resolve().parent
COLUMNS, CELL = 6, 128
PLAIN = ("clevr_like", "room", "room_six_objects", "room_identical_color")
LABELLED = ("clevr_like", "room_six_objects")


def main():
    """Writes `raycast.png`."""
    video_io.write_png(FOLDER / "raycast.png", picture())


def picture():
    """The first test pictures of some configs, some labels, and films."""
    rows = {}
    for name in PLAIN:
        examples = _examples(name, COLUMNS)
        rows[name] = np.concatenate([e["video"] for e in examples])
        if name in LABELLED:
            ids = np.concatenate([e["segmentation"] for e in examples])
            rows[f"labels of {name}"] = palette.paint_ids(ids)
    for name in ("room_sequence", "clevrer_like_slices345"):
        (film,) = _examples(name, 1)
        frames = np.linspace(0, len(film["video"]) - 1, COLUMNS).astype(int)
        rows[name] = film["video"][frames]
    return sheets.sheet(rows, cell=CELL)


def _examples(name, count):
    builder = builders.make(f"raycast/{name}")
    return builder.make_block(builder.builder_config)("test", 0, count)


if __name__ == "__main__":
    main()
