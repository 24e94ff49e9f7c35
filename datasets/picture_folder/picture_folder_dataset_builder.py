"""Any folder of pictures; each of them is an example of one frame."""

import dataclasses

import tensorflow_datasets as tfds

from tfdecomp.data.building import (
    builder_base,
    estimates,
    folder_builder,
    picture_folder,
)
from tfdecomp.data.video import levels


@dataclasses.dataclass
class PictureFolderConfig(folder_builder.FolderConfig):
    """Somebody's own pictures."""

    crop: str = "center"

    def __post_init__(self, size):
        super().__post_init__(size)
        self.check_one_of("num_frames", (1,))

    def settings(self):
        """How pictures are taken."""
        return picture_folder.Settings(
            self.look(),
            test_share=self.test_share,
            seed=self.seed,
            skip=self.unreadable == "skip",
            range=levels.parse(self.range),
        )


class Builder(folder_builder.FolderBuilder):
    """Pictures of a folder; nothing is known of what they show."""

    name = "tfdecomp_picture_folder"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    WHAT = "pictures"
    # Not in MANUAL_CONFIGS: TFDS takes the fields of one's own configs from
    # the configs here.
    BUILDER_CONFIGS = [PictureFolderConfig(name="manual")]
    MANUAL_DOWNLOAD_INSTRUCTIONS = picture_folder.LAYOUT

    _pictures = None

    def check_inputs(self, dl_manager):
        config = self.builder_config
        self._pictures = picture_folder.PictureFolder(
            self.folder(dl_manager), config.settings(), self.label
        )
        self.info.metadata.update(self._pictures.metadata())
        sizes = self._pictures.sizes()
        pixels = config.height * config.width * config.channels
        size = sum(sizes.values()) * pixels
        estimates.check_disk(
            self, self.data_dir_root, estimates.Estimate(size=size)
        )
        return sizes

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
