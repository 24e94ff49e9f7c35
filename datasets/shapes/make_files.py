"""Makes the picture of the README and the miniature original file.

python datasets/shapes/make_files.py
"""

import pathlib

import h5py
import numpy as np

from tfdecomp import builders
from tfdecomp.data.formats import shapes_hdf5
from tfdecomp.data.video import video_io
from tfdecomp.simulation.sprites import shapes
from tfdecomp.visualization import sheets

FOLDER = pathlib.Path(__file__).resolve().parent
COLUMNS = 8


def main():
    """Writes `shapes.png` and the file of `dummy_data/`."""
    examples = {
        "shapes28": first("shapes28", "test"),
        "shapes20": first("shapes20", "test"),
        "single": first("shapes28", shapes.SINGLE),
    }
    picture = sheets.of_examples(examples, cell=84)
    video_io.write_png(FOLDER / "shapes.png", picture)
    write_original(
        FOLDER / "dummy_data" / shapes_hdf5.FILE,
        {"training": 5, "validation": 3, "test": 2},
    )


def first(name, split):
    """The first examples of a config."""
    builder = builders.make(f"shapes/{name}")
    make = builder.make_block(builder.builder_config)
    return make(split, 0, COLUMNS)


def write_original(path, groups, pictures="features"):
    """Writes a file as that of neural expectation maximization, but smaller.

    Args:
        path: The file.
        groups: Name of each group to its number of images.
        pictures: Name of the pictures in it.
    """
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, count in groups.items():
            split = "single" if name == "train_single" else "test"
            examples = shapes.generate(
                shapes.Shapes(),
                split,
                0,
                count,
                seed=7,
                stream=f"dummy {name}",
            )
            lit = np.stack([e["video"] for e in examples], 1) > 0
            ids = np.stack([e["segmentation"] for e in examples], 1)
            arrays = {pictures: lit, "groups": np.where(ids == 255, 0, ids)}
            for key, array in arrays.items():
                file.create_dataset(
                    f"{name}/{key}",
                    data=array.astype(np.float32),
                    chunks=(1, 1, *array.shape[2:]),
                    compression="gzip",
                    compression_opts=9,
                    track_times=False,
                )


if __name__ == "__main__":
    main()
