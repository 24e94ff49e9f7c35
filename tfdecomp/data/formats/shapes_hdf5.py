"""Reads the HDF5 file of binary shapes of neural expectation maximization."""

import numpy as np

from tfdecomp.data import schema
from tfdecomp.data.formats import hdf5, manual

FILE = "shapes.h5"
LAYOUT = """\
Expected file, from the repository page of NEM (neural expectation
maximization), unchanged, in the manual folder:
  shapes.h5   groups training, validation, test, each with features and groups
or, as an older version of it has them:
  shapes.h5   groups train_multi, train_single, test, each with default and
              groups
All arrays are [1, N, 28, 28, 1]; features (or default) are 0 or 1, groups 0
for background and 1, 2, 3 for the shapes; lit pixels of several shapes have
group 0."""

# Split to group, and the key of the pictures, by layout.
NEW = (
    {"train": "training", "validation": "validation", "test": "test"},
    "features",
)
OLD = (
    {"train": "train_multi", "test": "test", "single": "train_single"},
    "default",
)
MAX_BLOCK = 4096  # images held in memory at once


class ShapesFile(hdf5.Hdf5File):
    """One original file.

    Args:
        path: The file.
        dataset: Name of the dataset, for messages.
        size: Side of the frames.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.formats.shapes_hdf5 import ShapesFile
        >>> folder = builders.folder() / "shapes" / "dummy_data"
        >>> file = ShapesFile(folder / "shapes.h5", dataset="a", size=28)
        >>> file.check(builders.make("shapes/h5").builder_config)
        {'train': 5, 'validation': 3, 'test': 2}
    """

    def __init__(self, path, dataset, size):
        super().__init__(path, dataset, LAYOUT, items="images")
        self.size = size
        self.chunk = 1
        self.groups, self.pictures = NEW

    def check(self, config):
        """Checks layout and shapes of everything that is going to be read.

        Returns:
            Split to number of images.
        """
        sizes, limits = {}, config.split_sizes()
        with self.open() as file:
            if any(name.startswith("train_") for name in file):
                self.groups, self.pictures = OLD
            for split, name in self.groups.items():
                group = self.member(file, name, "group")
                count = self.check_shapes(
                    group,
                    (self.pictures, "groups"),
                    1,
                    (self.size, self.size, 1),
                )
                sizes[split] = min(limits.get(split, count), count)
            first = file[self.groups["train"]][self.pictures]
            self.chunk = (first.chunks or (1, 1))[1]
        return sizes

    def metadata(self):
        """What the file says about itself, for the dataset's metadata."""
        return {"source_files": [manual.describe(self.path)]}

    def block_size(self, wanted):
        """Number of images to read at once: whole chunks of the file."""
        if self.chunk > MAX_BLOCK:
            return wanted
        return -(-wanted // self.chunk) * self.chunk

    def block(self, config, split, start, stop):
        """Reads the images `start`, ..., `stop - 1` of a split."""
        with self.open() as file:
            group = file[self.groups[split]]
            lit, ids = (
                self.read(group, name, start, stop)
                for name in (self.pictures, "groups")
            )
        where = f"of group {self.groups[split]!r} in {self.path}"
        return [
            self._example(
                config, lit[:, n], ids[:, n], f"image {start + n} {where}"
            )
            for n in range(stop - start)
        ]

    def _example(self, config, lit, ids, where):
        """Example of one image, `lit` and `ids` `[1, H, W, 1]`."""
        self._check_values(
            where, self.pictures, "0 or 1", (lit != 0) & (lit != 1)
        )
        whole = (ids >= 0) & (ids <= config.max_objects) & (ids == np.rint(ids))
        self._check_values(
            where, "groups", f"one of 0 to {config.max_objects}", ~whole
        )
        lit, ids = lit > 0.5, ids.astype(np.uint8)
        known = np.setdiff1d(np.unique(ids), [0])
        # Slots are filled from the first one, whatever ids the file uses.
        table = np.zeros(256, np.uint8)
        table[known] = np.arange(1, len(known) + 1)
        segmentation = table[ids]
        segmentation[lit & (ids == 0)] = schema.IGNORE_ID
        boxes, visibility = manual.modal_boxes(
            segmentation[..., 0], config.max_objects
        )
        return {
            "video": np.where(lit, 255, 0).astype(np.uint8),
            "segmentation": segmentation,
            "boxes": boxes,
            "visibility": visibility,
            "visible_fraction": np.zeros(visibility.shape, np.float32),
            "num_objects": len(known),
        }

    def _check_values(self, where, name, expected, bad):
        count = np.count_nonzero(bad)
        if count:
            raise self.error(
                f"{where} has {count} pixels of {name} that are not {expected}",
                expected,
                f"{count} other pixels",
            )
