"""Makes the picture of the README and the miniature original files.

python datasets/multi_digits/make_files.py
"""

import pathlib

from tfdecomp import builders
from tfdecomp.data.formats import mnist_files
from tfdecomp.data.video import video_io
from tfdecomp.visualization import sheets

FOLDER = pathlib.Path(__file__).resolve().parent
ROWS = {
    "digits_1k": "test",
    "strokes_1k": "test",
    "digits_quick": "test",
    "test7": "test7",  # of digits_1k
}
COLUMNS = 8


def main():
    """Writes `multi_digits.png` and the files of `dummy_data/`."""
    examples = {name: first(name, split) for name, split in ROWS.items()}
    picture = sheets.of_examples(examples, cell=128)
    video_io.write_png(FOLDER / "multi_digits.png", picture)
    mnist_files.write_miniature(FOLDER / "dummy_data")


def first(name, split):
    """The first examples of a split of a config."""
    name = "digits_1k" if split == name else name
    builder = builders.make(f"multi_digits/{name}")
    make = builder.make_block(builder.builder_config)
    return make(split, 0, COLUMNS)


if __name__ == "__main__":
    main()
