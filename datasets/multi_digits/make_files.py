"""Makes the picture of the README and the miniature original files.

python datasets/multi_digits/make_files.py
"""

import gzip
import pathlib
import struct

from tfdecomp import builders
from tfdecomp.data import mnist_files, video_io
from tfdecomp.simulation import digit_banks
from tfdecomp.visualization import sheets

FOLDER = pathlib.Path(__file__).resolve().parent
ROWS = {
    "digits_1k": "test",
    "strokes_1k": "test",
    "digits_quick": "test",
    "test7": "test7",  # of digits_1k
}
COLUMNS = 8
SIZES = (60, 20)  # training and test part of the miniature


def main():
    """Writes `multi_digits.png` and the files of `dummy_data/`."""
    examples = {name: first(name, split) for name, split in ROWS.items()}
    picture = sheets.of_examples(examples, cell=128)
    video_io.write_png(FOLDER / "multi_digits.png", picture)
    write_originals(FOLDER / "dummy_data")


def first(name, split):
    """The first examples of a split of a config."""
    name = "digits_1k" if split == name else name
    builder = builders.make(f"multi_digits/{name}")
    make = builder.make_block(builder.builder_config)
    return make(split, 0, COLUMNS)


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
