"""What builders of one's own files share: settings, and where the files are."""

import dataclasses
import re

import numpy as np

from tfdecomp.data import errors
from tfdecomp.data.building import builder_base
from tfdecomp.data.formats import manual
from tfdecomp.data.video import levels, video_sampling


@dataclasses.dataclass
class FolderConfig(builder_base.Config):
    """Somebody's own files, of which nothing is known.

    Args:
        folder: Their folder; by default the manual folder.
        crop: `"none"`: the whole frame is squashed to the size of the
            pictures; `"center"`: its middle is shown; `"pad"`: all of it,
            between black bars.
        test_share: Share that is the test split.
        unreadable: `"fail"`: the first file that cannot be read ends the
            build; `"skip"`: such files are left out and named at the end.
        range: Values shown as black and white where pictures have more than
            eight bits: `"auto"`, `"full"` or `[low, high]`, see
            `tfdecomp.data.video.levels.choose`.
        size: Short for `height` and `width`: one number or two.

    Raises:
        ValueError: If a field is none of those, or says how many examples
            there are.

    Examples:
        >>> from tfdecomp.data.building.folder_builder import FolderConfig
        >>> config = FolderConfig(name="mine", folder="~/photos", size=32)
        >>> config.height, config.width, config.test_share
        (32, 32, 0.2)
    """

    source: str = builder_base.MANUAL
    encoding: str = "bytes"
    box_kind: str = "none"
    max_objects: int = 1
    folder: str = ""
    crop: str = "none"
    test_share: float = 0.2
    unreadable: str = "fail"
    range: str | tuple = "auto"
    size: dataclasses.InitVar[int | tuple | None] = None

    def __post_init__(self, size):
        if size is not None:
            self.height, self.width = np.broadcast_to(size, 2).tolist()
        super().__post_init__()
        if not re.fullmatch(r"[\w.-]+", self.name):
            raise ValueError(
                f"name is {self.name!r}, expected letters, digits, '_', '-' "
                "and '.' only"
            )
        for name, allowed in (
            ("source", (builder_base.MANUAL,)),
            ("crop", video_sampling.CROPS),
            ("unreadable", ("fail", "skip")),
            ("use_beam", (False,)),
        ):
            self.check_one_of(name, allowed)
        levels.parse(self.range)
        if not 0 <= self.test_share <= 1:
            raise ValueError(
                f"test_share is {self.test_share}, expected 0 to 1"
            )
        if self.split_sizes():
            raise ValueError(
                "the number of examples follows from the files: leave out "
                "num_train, num_validation, num_test and extra_splits; "
                "test_share sets the split"
            )

    def check_one_of(self, name, allowed):
        """Raises unless a field has one of the values allowed."""
        if getattr(self, name) not in allowed:
            raise ValueError(
                f"{name} is {getattr(self, name)!r}, expected one of "
                f"{list(allowed)}"
            )

    def look(self):
        """The `video_sampling.Look` of a picture."""
        return video_sampling.Look(
            self.height, self.width, self.channels, self.crop
        )


class FolderBuilder(builder_base.DecompositionBuilder, skip_registration=True):
    """Builds somebody's own files; nothing is known of what they show.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.building.folder_builder import FolderBuilder
        >>> issubclass(builders.builder_cls("video_folder"), FolderBuilder)
        True
    """

    OPTIONAL = ()
    HAS_LABELS = False
    DEFAULT_BUILDER_CONFIG_NAME = "manual"
    WHAT = "files"  # what the folder holds, for messages

    @property
    def label(self):
        """Name of the set, with its config."""
        return f"{self.name}/{self.builder_config.name}"

    def folder(self, dl_manager):
        """The folder of the config, else the manual one.

        Raises:
            MissingFileError: If there is neither.
        """
        if self.builder_config.folder:
            return self.builder_config.folder
        folder, names = manual.listing(dl_manager)
        if not names:
            raise errors.MissingFileError(
                f"no folder is named, and the manual folder {folder} is "
                "missing or empty",
                dataset=self.label,
                path=str(folder),
                expected=f"a folder of {self.WHAT}",
                found="nothing",
                hint=f"name one.\n{self.MANUAL_DOWNLOAD_INSTRUCTIONS}",
            )
        return folder
