"""Reads the HDF5 files of R-NEM's bouncing balls."""

import numpy as np

from tfdecomp.data import errors, schema
from tfdecomp.data.formats import hdf5, manual
from tfdecomp.simulation import palettes

LAYOUT = """\
Expected files, from the repository page of R-NEM (relational neural
expectation maximization), unchanged, in the manual folder:
  balls4mass64.h5     groups training, validation, test
  balls678mass64.h5   group test
Members of each group: features and groups, [51, N, 64, 64, 1] with time as
the first axis; features are 0 or 1, groups 0 for background and 1, 2, ... for
the balls. positions and velocities, [51, N, K, 2], are used if present."""

GROUPS = {"train": "training", "validation": "validation", "test": "test"}
MAX_BLOCK = 512  # videos held in memory at once
BOX = 10.0  # side of the simulator's box in its own units


class BallsFile(hdf5.Hdf5File):
    """One original file.

    Args:
        path: The file.
        dataset: Name of the dataset, for messages.
        num_frames: Frames that each video must have.
        size: Side of the frames.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.formats.rnem_hdf5 import BallsFile
        >>> folder = builders.folder() / "bouncing_balls" / "dummy_data"
        >>> path = folder / "balls4mass64.h5"
        >>> file = BallsFile(path, dataset="a", num_frames=51, size=64)
        >>> file.check(builders.make("bouncing_balls/h5_color4").builder_config)
        {'train': 3, 'validation': 2, 'test': 2}
    """

    def __init__(self, path, dataset, num_frames, size):
        super().__init__(path, dataset, LAYOUT)
        self.num_frames = num_frames
        self.size = size
        self.chunk = 1
        self.transform = None  # of positions: (scale, swap axes), or None

    def check(self, config):
        """Checks layout and shapes of everything that the config needs.

        Returns:
            Split to number of videos.
        """
        sizes = {}
        limits = config.split_sizes()
        with self.open() as file:
            for split in config.splits:
                group = self.member(file, GROUPS[split], "group")
                count = self.check_shapes(
                    group,
                    ("features", "groups"),
                    self.num_frames,
                    (self.size, self.size, 1),
                )
                sizes[split] = min(limits.get(split, count), count)
            first = file[GROUPS[config.splits[0]]]
            self.chunk = (first["features"].chunks or (1, 1))[1]
            self.transform = _position_transform(
                first, config.max_objects, self.size
            )
        return sizes

    def metadata(self, config):
        """What the file says about itself, for the dataset's metadata."""
        names = ["color", "palette_index"] if config.channels == 3 else []
        if self.transform is not None:
            names += ["position", "velocity"]
        return {
            "factor_names": sorted(names),
            "source_files": [manual.describe(self.path)],
        }

    def block_size(self, wanted):
        """Number of videos to read at once: whole chunks of the file."""
        if self.chunk > MAX_BLOCK:
            return wanted
        return -(-wanted // self.chunk) * self.chunk

    def block(self, config, split, start, stop):
        """Reads the videos `start`, ..., `stop - 1` of a split."""
        with self.open() as file:
            group = file[GROUPS[split]]
            arrays = {
                name: self.read(group, name, start, stop)
                for name in ("features", "groups")
            }
            if self.transform is not None:
                for name in ("positions", "velocities"):
                    arrays[name] = self.read(group, name, start, stop)
        examples = []
        for n in range(stop - start):
            where = f"video {start + n} of group {GROUPS[split]!r}"
            one = {name: array[:, n] for name, array in arrays.items()}
            examples.append(self._example(config, one, where))
        return examples

    def _example(self, config, arrays, where):
        lit, ids = self._checked(config, arrays, where)
        known = np.setdiff1d(np.unique(ids), [0, schema.IGNORE_ID])
        if len(known) > config.max_objects:
            raise self.error(
                f"{where} in {self.path} has {len(known)} balls, expected at "
                f"most {config.max_objects}",
                config.max_objects,
                len(known),
            )
        # Slots are filled from the first one, whatever ids the file uses.
        table = np.zeros(256, np.uint8)
        table[known] = np.arange(1, len(known) + 1)
        table[schema.IGNORE_ID] = schema.IGNORE_ID
        segmentation = table[ids]
        boxes, visibility = manual.modal_boxes(
            segmentation[..., 0], config.max_objects
        )
        example = {
            "segmentation": segmentation,
            "boxes": boxes,
            "visibility": visibility,
            "visible_fraction": np.zeros(visibility.shape, np.float32),
            "num_objects": len(known),
            "factors": self._factors(config, arrays, known, where),
        }
        example["video"] = self._video(config, lit, segmentation, example)
        return example

    def _checked(self, config, arrays, where):
        """`(lit, ids)` of one video, both `[T, H, W, 1]`."""
        features = np.asarray(arrays["features"])
        bad = np.count_nonzero((features != 0) & (features != 1))
        if bad:
            raise self.error(
                f"{where} in {self.path} has {bad} pixels of features that "
                "are neither 0 nor 1",
                "values 0 and 1",
                f"{bad} other pixels",
            )
        groups = np.asarray(arrays["groups"])
        bad = np.count_nonzero(
            (groups != np.rint(groups)) | (groups < 0) | (groups > 254)
        )
        if bad:
            raise self.error(
                f"{where} in {self.path} has {bad} pixels of groups that are "
                "not whole numbers in 0..254",
                "whole numbers",
                f"{bad} other pixels",
            )
        lit, ids = features > 0.5, groups.astype(np.uint8)
        orphans = lit & (ids == 0)
        count = np.count_nonzero(orphans)
        if count > config.label_tolerance * np.count_nonzero(lit):
            raise self.error(
                f"{where} in {self.path} has {count} lit pixels that belong "
                f"to no ball, more than {config.label_tolerance:.1%}",
                "a group for every lit pixel",
                f"{count} pixels without",
                errors.AnnotationError,
            )
        ids[orphans] = schema.IGNORE_ID
        return lit, ids

    def _factors(self, config, arrays, known, where):
        shape = (config.num_frames, config.max_objects, 2)
        factors = {
            "position": np.zeros(shape, np.float32),
            "velocity": np.zeros(shape, np.float32),
        }
        if self.transform is not None:
            scale, swap = self.transform
            rows = known.astype(int) - 1
            for name, key in (
                ("position", "positions"),
                ("velocity", "velocities"),
            ):
                balls = arrays[key].shape[1]
                if rows.max(initial=0) >= balls:
                    raise self.error(
                        f"{where} in {self.path} has a ball {rows.max() + 1}, "
                        f"but {key} of {balls} balls only",
                        f"ids up to {balls}",
                        int(rows.max() + 1),
                        errors.AnnotationError,
                    )
                values = arrays[key][:, rows] * scale
                values = values[..., ::-1] if swap else values
                factors[name][:, : len(known)] = values
        if config.channels == 3:
            slots = np.arange(config.max_objects)
            entries = slots % config.num_colours + 1
            entries = np.where(slots < len(known), entries, 0)
            colours = palettes.lookup(entries, config.channel_order)
            factors["palette_index"] = entries.astype(np.int32)
            factors["color"] = (colours / 255).astype(np.float32)
        return factors

    def _video(self, config, lit, segmentation, example):
        if config.channels == 1:
            return np.where(lit, 255, 0).astype(np.uint8)
        table = np.zeros(256, int)
        entries = example["factors"]["palette_index"]
        table[1 : 1 + len(entries)] = entries
        return palettes.lookup(
            table[segmentation[..., 0]], config.channel_order
        )


def _position_transform(group, max_objects, size):
    """How the file's positions become `(y, x)` in pixels.

    The unit and the order of the axes are not documented, so they are read
    off the first videos: the right ones put positions on the balls.

    Returns:
        `(scale, swap)`, or None if there are no usable positions.
    """
    frames, count = group["features"].shape[:2]
    for name in ("positions", "velocities"):
        if name not in group:
            return None
        shape = group[name].shape
        if len(shape) != 4 or shape[:2] != (frames, count) or shape[3] != 2:
            return None
        if shape[2] > max_objects:
            return None
    videos = min(count, 4)
    ids = group["groups"][:, :videos, ..., 0]
    positions = group["positions"][:, :videos]
    truth = np.full(positions.shape, np.nan)
    rows, columns = np.arange(size) + 0.5, np.arange(size) + 0.5
    for ball in range(positions.shape[2]):
        mask = ids == ball + 1
        area = mask.sum((2, 3))
        area = np.where(area > 0, area, np.nan)
        truth[:, :, ball, 0] = (mask.sum(3) @ rows) / area
        truth[:, :, ball, 1] = (mask.sum(2) @ columns) / area
    for scale in (size / BOX, 1.0, float(size)):
        for swap in (False, True):
            guess = positions[..., ::-1] if swap else positions
            if np.nanmax(np.abs(guess * scale - truth)) < 1.5:
                return scale, swap
    return None
