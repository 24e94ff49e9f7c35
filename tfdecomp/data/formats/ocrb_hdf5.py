"""Reads the videos of the object-centric representation benchmark."""

import re

import h5py
import numpy as np

from tfdecomp.data import errors
from tfdecomp.data.formats import hdf5, manual
from tfdecomp.data.formats import ocrb_annotations as annotations_lib

SPLITS = {"train": "train", "validation": "val", "test": "test"}
LAYOUT = """\
Expected files, from the page that the README of GitHub
ecker-lab/object-centric-representation-benchmark names, unchanged, in the
manual folder:
  vmds.hdf5, spmot.hdf5 or vor.hdf5
      data sets train, val and test, uint8, [N, T, 64, 64, 3] or
      [N, T, 3, 64, 64] with T at least 10; vmds.hdf5 also has groups of
      further test sets of this kind
  vmds_test.json, spmot_test.json or vor_test.json
      for the configs with labels; a list over videos of lists over frames of
      {"ids": [int], "masks": [text], "num_bg": int}, where a mask is "start
      length start length ...", starts counted from 1, row by row, and the
      last num_bg masks are background"""

MAX_BLOCK = 512  # videos held in memory at once
_MOST_FRAMES = 1000  # more are videos on the axis of the frames


class OcrbFile(hdf5.Hdf5File):
    """One original file, and what is known of the objects in it.

    Args:
        path: The file.
        dataset: Name of the dataset, for messages.
        annotations: Split to path of its annotations. Without any all splits
            are read, else those alone.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.formats.ocrb_hdf5 import OcrbFile
        >>> folder = builders.folder() / "ocrb" / "dummy_data"
        >>> file = OcrbFile(folder / "vmds.hdf5", dataset="a")
        >>> file.check(builders.make("ocrb/vmds").builder_config)
        {'train': 3, 'validation': 2, 'test': 2, 'test_testsets_...': 2}
    """

    SAMPLE_AXIS = 0

    def __init__(self, path, dataset, annotations=None):
        super().__init__(path, dataset, LAYOUT)
        self.annotations = {
            split: annotations_lib.Annotations(file, dataset, LAYOUT)
            for split, file in (annotations or {}).items()
        }
        self.keys = {}  # split to the place in the file
        self.chunk = 1

    def check(self, config):
        """Checks layout and shapes of everything that the config needs.

        Returns:
            Split to number of videos.
        """
        sizes, limits = {}, config.split_sizes()
        with self.open() as file:
            self.keys = self._splits(file)
            for split, key in self.keys.items():
                count = self._check_videos(file[key], config)
                if split in self.annotations:
                    self.annotations[split].check(
                        count, config.num_frames, config.max_objects
                    )
                sizes[split] = min(limits.get(split, count), count)
            chunks = [file[key].chunks or (1,) for key in self.keys.values()]
            self.chunk = max(chunk[0] for chunk in chunks)
        return sizes

    def _splits(self, file):
        """Split to key, of those that the config needs."""
        known = {
            split: self.member(file, key, "key").name.strip("/")
            for split, key in SPLITS.items()
        }
        for group in file.values():
            if isinstance(group, h5py.Group):
                known |= {split_name(name): name for name in _arrays(group)}
        if not self.annotations:
            return known
        unknown = sorted(set(self.annotations) - set(known))
        if unknown:
            raise self.error(
                f"annotations are given for the split {unknown[0]!r}, but "
                f"{self.path} has {list(known)}",
                list(known),
                unknown,
            )
        return {split: known[split] for split in self.annotations}

    def _check_videos(self, data, config):
        """Checks one array of videos and returns their number."""
        size = (config.height, config.width)
        expected = ("N", f"at least {config.num_frames}", *size, 3)
        shape = getattr(data, "shape", None)  # a group has none
        what = f"{data.name} in {self.path} has shape {shape}"
        if shape is None or len(shape) != 5:
            raise self.error(f"{what}, expected {expected}", expected, shape)
        if data.dtype != np.uint8:
            raise self.error(
                f"{data.name} in {self.path} is {data.dtype}, expected uint8",
                "uint8",
                str(data.dtype),
            )
        count, frames = data.shape[:2]
        if not config.num_frames <= frames <= _MOST_FRAMES:
            raise self.error(
                f"{what}, expected {expected}; the sample must be the first "
                "axis, time the second",
                expected,
                data.shape,
            )
        if data.shape[2:] not in ((*size, 3), (3, *size)):
            wrong = (
                errors.ResolutionError
                if 3 in (data.shape[2], data.shape[4])
                else errors.LayoutError
            )
            raise self.error(
                f"{what}, expected {expected}, or the 3 channels before the "
                "rows",
                expected,
                data.shape,
                wrong,
            )
        return count

    def metadata(self):
        """What the files say about themselves, for the dataset's metadata."""
        paths = [self.path, *(a.path for a in self.annotations.values())]
        return {
            "source_files": [manual.describe(path) for path in paths],
            "source_keys": self.keys,
        }

    def block_size(self, wanted):
        """Number of videos to read at once: whole chunks of the file."""
        if self.chunk > MAX_BLOCK:
            return wanted
        return -(-wanted // self.chunk) * self.chunk

    def block(self, config, split, start, stop):
        """Reads the videos `start`, ..., `stop - 1` of a split."""
        with self.open() as file:
            videos = self.read(file, self.keys[split], start, stop)
        videos = videos[:, : config.num_frames]
        if videos.shape[2:] == (3, config.height, config.width):
            videos = np.moveaxis(videos, 2, 4)
        return [
            self._example(config, split, start + n, video)
            for n, video in enumerate(videos)
        ]

    def _example(self, config, split, number, video):
        example = {"video": np.ascontiguousarray(video)}
        if split not in self.annotations:
            return example
        segmentation, entities, count = self.annotations[split].labels(
            number, config.num_frames, video.shape[1:3], config.max_objects
        )
        boxes, visibility = manual.modal_boxes(segmentation, config.max_objects)
        return {
            **example,
            "segmentation": segmentation[..., None],
            "entities": entities[..., None],
            "boxes": boxes,
            "visibility": visibility,
            "num_objects": count,
        }


def _arrays(group):
    """Names of all arrays in a group and in the groups within it."""
    names = []
    group.visititems(
        lambda _, item: (
            names.append(item.name.strip("/"))
            if isinstance(item, h5py.Dataset)
            else None
        )
    )
    return names


def split_name(key):
    """Name of the split of a further test set.

    Args:
        key: Where it is in the file, such as `"testsets/vmds_test_occ"`.

    Returns:
        Such as `"test_testsets_vmds_test_occ"`.

    Examples:
        >>> from tfdecomp.data.formats.ocrb_hdf5 import split_name
        >>> split_name("testsets/vmds_test_occ")
        'test_testsets_vmds_test_occ'
    """
    return "test_" + re.sub(r"\W+", "_", key)
