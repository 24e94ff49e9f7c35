"""Makes the picture of the README and the miniature original files.

python datasets/scattered_digits/make_files.py
"""

import gzip
import pathlib
import struct

from tfdecomp import builders
from tfdecomp.data import mnist_files, video_io
from tfdecomp.simulation import digit_banks
from tfdecomp.visualization import palette, sheets

FOLDER = pathlib.Path(__file__).resolve().parent
ROWS = ("digits_6", "digits_12", "strokes_6")
INDEX = 5  # of the validation split
SIZES = (60, 20)  # training and test part of the miniature


def main():
    """Writes `scattered_digits.png` and the files of `dummy_data/`."""
    video_io.write_png(FOLDER / "scattered_digits.png", picture())
    write_originals(FOLDER / "dummy_data")


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


def write_originals(folder):
    """Writes files as MNIST's, but with a few drawn digits."""
    bank = digit_banks.Offline("strokes")()
    cuts = (slice(0, SIZES[0]), slice(SIZES[0], sum(SIZES)))
    arrays = [
        array[cut] for cut in cuts for array in (bank.images, bank.labels)
    ]
    for name, array in zip(mnist_files.FILES, arrays):
        magic = 2048 + array.ndim
        head = struct.pack(f">{1 + array.ndim}I", magic, *array.shape)
        data = gzip.compress(head + array.astype("u1").tobytes(), 9, mtime=0)
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
