"""Any folder of pictures; each of them is an example of one frame."""

import dataclasses
import re

import numpy as np
import tensorflow_datasets as tfds

from tfdecomp.data import errors
from tfdecomp.data.building import builder_base, estimates, picture_folder
from tfdecomp.data.formats import manual
from tfdecomp.data.video import levels, video_sampling


@dataclasses.dataclass
class PictureFolderConfig(builder_base.Config):
    """Somebody's own pictures.

    Args:
        folder: Folder of the pictures; by default the manual folder.
        crop: `"none"`: the whole picture is squashed to the size of the
            frames; `"center"`: its middle is shown; `"pad"`: all of it,
            between black bars.
        test_share: Share of the pictures that is the test split.
        unreadable: `"fail"`: the first picture that cannot be read ends the
            build; `"skip"`: such pictures are left out and named at the end.
        range: Values shown as black and white where pictures have more than
            eight bits: `"auto"`, `"full"` or `[low, high]`, see
            `tfdecomp.data.video.levels.choose`.
        size: Short for `height` and `width`: one number or two.
    """

    source: str = builder_base.MANUAL
    encoding: str = "bytes"
    box_kind: str = "none"
    max_objects: int = 1
    folder: str = ""
    crop: str = "center"
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
            ("num_frames", (1,)),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}, expected one of "
                    f"{list(allowed)}"
                )
        levels.parse(self.range)
        if not 0 <= self.test_share <= 1:
            raise ValueError(
                f"test_share is {self.test_share}, expected 0 to 1"
            )
        if self.split_sizes():
            raise ValueError(
                "the number of examples follows from the pictures: leave out "
                "num_train, num_validation, num_test and extra_splits; "
                "test_share sets the split"
            )

    def settings(self):
        """How pictures are taken."""
        return picture_folder.Settings(
            video_sampling.Look(
                self.height, self.width, self.channels, self.crop
            ),
            test_share=self.test_share,
            seed=self.seed,
            skip=self.unreadable == "skip",
            range=levels.parse(self.range),
        )


class Builder(builder_base.DecompositionBuilder):
    """Pictures of a folder; nothing is known of what they show."""

    name = "tfdecomp_picture_folder"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    OPTIONAL = ()
    HAS_LABELS = False
    DEFAULT_BUILDER_CONFIG_NAME = "manual"
    # Not in MANUAL_CONFIGS: TFDS takes the fields of one's own configs from
    # the configs here.
    BUILDER_CONFIGS = [PictureFolderConfig(name="manual")]
    MANUAL_DOWNLOAD_INSTRUCTIONS = picture_folder.LAYOUT

    _pictures = None

    def check_inputs(self, dl_manager):
        config = self.builder_config
        label = f"{self.name}/{config.name}"
        self._pictures = picture_folder.PictureFolder(
            config.folder or self._manual_folder(dl_manager, label),
            config.settings(),
            label,
        )
        self.info.metadata.update(self._pictures.metadata())
        sizes = self._pictures.sizes()
        pixels = config.height * config.width * config.channels
        size = sum(sizes.values()) * pixels
        estimates.check_disk(
            self, self.data_dir_root, estimates.Estimate(size=size)
        )
        return sizes

    def _manual_folder(self, dl_manager, label):
        folder, names = manual.listing(dl_manager)
        if not names:
            raise errors.MissingFileError(
                f"no folder is named, and the manual folder {folder} is "
                "missing or empty",
                dataset=label,
                path=str(folder),
                expected="a folder of pictures",
                found="nothing",
                hint=f"name one.\n{picture_folder.LAYOUT}",
            )
        return folder

    def _download_and_prepare(self, dl_manager, download_config):
        super()._download_and_prepare(dl_manager, download_config)
        self._pictures.report()

    def _generate_examples(self, split, start, stop):
        del start, stop  # the folder says how many there are
        config = builder_base.plain(self.builder_config)
        pictures = self._pictures.pictures(split)
        for done, (number, picture) in enumerate(pictures):
            raw = {"video": picture[None], "index": number}
            yield number, builder_base.complete(raw, config, split, number)
            if self.on_progress is not None:
                self.on_progress(split, done + 1)
