"""Makes the picture of the README.

python datasets/multi_dsprites/make_files.py
"""

import pathlib

from tfdecomp import builders
from tfdecomp.data.video import video_io
from tfdecomp.visualization import sheets

FOLDER = pathlib.Path(__file__).resolve().parent
CONFIGS = ("iodine_gray", "iodine_bin", "colored", "lavae", "quick_gray")
COLUMNS = 8


def main():
    """Writes `multi_dsprites.png`."""
    examples = {name: first(name) for name in CONFIGS}
    picture = sheets.of_examples(examples, cell=128)
    video_io.write_png(FOLDER / "multi_dsprites.png", picture)


def first(name):
    """The first test examples of a config."""
    builder = builders.make(f"multi_dsprites/{name}")
    make = builder.make_block(builder.builder_config)
    return make("test", 0, COLUMNS)


if __name__ == "__main__":
    main()
