"""Makes the picture of the README.

python datasets/tetrominoes/make_files.py
"""

import pathlib

from tfdecomp import builders
from tfdecomp.data.video import video_io
from tfdecomp.visualization import sheets

FOLDER = pathlib.Path(__file__).resolve().parent
CONFIGS = ("paper17", "flat", "ambiguous", "quick14")
COLUMNS = 8


def main():
    """Writes `tetrominoes.png`."""
    examples = {name: first(name) for name in CONFIGS}
    picture = sheets.of_examples(examples)
    video_io.write_png(FOLDER / "tetrominoes.png", picture)


def first(name):
    """The first test examples of a config."""
    builder = builders.make(f"tetrominoes/{name}")
    make = builder.make_block(builder.builder_config)
    return make("test", 0, COLUMNS)


if __name__ == "__main__":
    main()
