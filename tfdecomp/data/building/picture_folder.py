"""A folder of pictures, each of which is an example."""

import contextlib
import dataclasses

from absl import logging

from tfdecomp.data import errors
from tfdecomp.data.video import (
    levels,
    own_files,
    picture_files,
    video_frames,
    video_sampling,
)

_LISTED = 20  # files left out that are named at the end
LAYOUT = """\
Expected: a folder with pictures (png, jpg, tif, bmp, webp, avif, pgm, ppm).
Folders in it are searched, linked ones too; hidden files are not. Name it in
the config, --config='{"name": "photos", "folder": "~/photos"}', or by
--manual_dir."""


@dataclasses.dataclass
class Settings:
    """How pictures are taken.

    Args:
        look: `video_sampling.Look`.
        test_share: Share of the pictures that is the test split.
        seed: Seed of the choice.
        skip: Whether pictures that cannot be read are left out.
        range: Which values are black and white, see `levels.choose`.

    Examples:
        >>> from tfdecomp.data.building.picture_folder import Settings
        >>> from tfdecomp.data.video.video_sampling import Look
        >>> Settings(Look(32, 32)).test_share
        0.2
    """

    look: video_sampling.Look
    test_share: float = 0.2
    seed: int = 0
    skip: bool = False
    range: str | tuple = levels.AUTO


class PictureFolder:
    """Pictures of a folder, checked and divided into splits.

    All are decoded once to be checked, before anything is written.

    Args:
        folder: The folder, searched with all folders in it.
        settings: `Settings`.
        dataset: Name of the dataset, for messages.

    Attributes:
        left_out: `{"name", "reason"}` of every file that is not taken.

    Raises:
        DatasetInputError: If there is no usable picture in it, or if one
            cannot be read and none may be left out.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.building import picture_folder
        >>> from tfdecomp.data.video import video_io, video_sampling
        >>> video_io.write_png("a.png", np.zeros([8, 8, 3], np.uint8))
        >>> look = video_sampling.Look(4, 4)
        >>> settings = picture_folder.Settings(look, test_share=0)
        >>> picture_folder.PictureFolder(".", settings).sizes()
        {'train': 1}
    """

    def __init__(self, folder, settings, dataset=None):
        self.folder = own_files.folder_of(folder, "pictures", LAYOUT, dataset)
        self.settings = settings
        self.dataset = dataset
        self.left_out = []
        self.notes = []  # sentences about what is odd
        self.probes = {}  # of each picture, by its path
        found = [
            path for _, paths in own_files.walk(self.folder) for path in paths
        ]
        files = own_files.in_order(found, self.folder)
        for path in files:
            self._check(path)
        if not self.probes:
            raise self._nothing(files)
        self._divide()

    def _check(self, path):
        if not picture_files.is_picture(path):
            self._leave_out(path, "it is no picture by its name")
            return
        try:
            probe = video_frames.probe(path, self.settings.range)
        except errors.DatasetInputError as error:
            if not self.settings.skip:
                raise own_files.refused(error, self.dataset) from error
            self._leave_out(path, error.problem)
            return
        if probe.frames > 1:
            self._leave_out(
                path,
                f"it holds {probe.frames} frames, a video: video_folder "
                "takes it",
            )
            return
        self.notes += probe.notes
        self.probes[path] = probe

    def _leave_out(self, path, reason):
        name = path.relative_to(self.folder).as_posix()
        self.left_out.append({"name": name, "reason": reason})

    def _nothing(self, files):
        named = "".join(
            f"\n  {entry['name']}: {entry['reason']}"
            for entry in self.left_out[:_LISTED]
        )
        return errors.MissingFileError(
            f"none of the {len(files)} files in {self.folder} is a picture "
            f"that can be used:{named}",
            dataset=self.dataset,
            path=str(self.folder),
            expected="pictures",
            found=[entry["name"] for entry in self.left_out],
            hint=f"choose another folder.\n{LAYOUT}",
        )

    def _divide(self):
        """Says which picture belongs to which split."""
        alone = errors.DatasetInputError(
            f"the single picture in {self.folder} cannot be both training and "
            "test data",
            dataset=self.dataset,
            path=str(self.folder),
            expected="at least 2 pictures",
            found=1,
            hint="add pictures, or set test_share = 0",
        )
        settings = self.settings
        chosen = own_files.chosen_for_test(
            len(self.probes), settings.test_share, settings.seed, alone
        )
        self.splits = {"train": [], "test": []}
        for number, path in enumerate(self.probes):
            split = "test" if number in chosen else "train"
            self.splits[split].append((number, path))

    def sizes(self):
        """Split to its number of pictures."""
        return {name: len(own) for name, own in self.splits.items() if own}

    def pictures(self, split):
        """The pictures of a split.

        Yields:
            `(number, picture)`: its place among all by name, and
            `[H, W, C]` uint8.
        """
        for number, path in self.splits[split]:
            frames = video_frames.decode(path, self.probes[path])
            with contextlib.closing(frames):
                _, frame = next(frames)
                yield number, self.settings.look.picture(frame)

    def metadata(self):
        """Entries for the metadata of the dataset."""
        return {
            "source_files": [
                {
                    "name": path.relative_to(self.folder).as_posix(),
                    "number": number,
                    "size": path.stat().st_size,
                    "split": split,
                }
                for split, own in self.splits.items()
                for number, path in own
            ],
            "skipped": self.left_out,
            "notes": self.notes,
        }

    def report(self):
        """Warns of what was left out and what is odd."""
        for note in self.notes[:_LISTED]:
            logging.warning("%s: %s", self.dataset, note)
        for entry in self.left_out[:_LISTED]:
            logging.warning(
                "%s: left out %s: %s",
                self.dataset,
                entry["name"],
                entry["reason"],
            )
        if self.left_out:
            logging.warning(
                "%s: left out %d of %d files; the metadata list them under "
                "'skipped'",
                self.dataset,
                len(self.left_out),
                len(self.left_out) + len(self.probes),
            )
