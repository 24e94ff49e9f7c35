"""Makes the picture of the README and the miniature original files.

python datasets/textured_digits/make_files.py
"""

import pathlib

from tfdecomp import builders
from tfdecomp.data.formats import mnist_files
from tfdecomp.data.video import video_io
from tfdecomp.visualization import sheets

FOLDER = pathlib.Path(__file__).resolve().parent
ROWS = ("digits_1", "digits_2", "strokes_1", "strokes_2")
COLUMNS = 8


def main():
    """Writes `textured_digits.png` and the files of `dummy_data/`."""
    picture = sheets.of_examples({n: first(n) for n in ROWS}, cell=128)
    video_io.write_png(FOLDER / "textured_digits.png", picture)
    mnist_files.write_miniature(FOLDER / "dummy_data")


def first(name):
    """The first examples of the test of a config."""
    builder = builders.make(f"textured_digits/{name}")
    make = builder.make_block(builder.builder_config)
    return make("test", 0, COLUMNS)


if __name__ == "__main__":
    main()
