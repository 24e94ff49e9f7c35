"""Clips of people in a station's hall, from one long video."""

import dataclasses

import numpy as np
import tensorflow_datasets as tfds

from tfdecomp.data.building import builder_base, estimates
from tfdecomp.data.formats import grand_central_video, manual

_KEYS = 1 << 128


@dataclasses.dataclass
class GrandCentralConfig(builder_base.Config):
    """Clips of a square window of the video.

    Args:
        crop_size: Side of the window in pixels; `height` and `width` follow
            from it.
        crop_top: First row of the window.
        crop_left: First column of the window.
        source_frames: Frames that the video must have.
        source_height: Rows that the video must have.
        source_width: Columns that the video must have.
    """

    source: str = builder_base.MANUAL
    encoding: str = "bytes"
    box_kind: str = "none"
    num_frames: int = 20
    max_objects: int = 1
    crop_size: int = 128
    crop_top: int = 176
    crop_left: int = 296
    source_frames: int = 50_010
    source_height: int = 480
    source_width: int = 720

    def __post_init__(self):
        self.height = self.width = self.crop_size
        super().__post_init__()
        for name, allowed in (
            ("source", builder_base.MANUAL),
            ("channels", 3),
            ("use_beam", False),
        ):
            if getattr(self, name) != allowed:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}, expected {allowed!r}"
                )
        for name, size in (
            ("crop_top", self.source_height),
            ("crop_left", self.source_width),
        ):
            if not 0 <= getattr(self, name) <= size - self.crop_size:
                raise ValueError(
                    f"{name} is {getattr(self, name)}, but a window of "
                    f"{self.crop_size} pixels within {size} begins at 0 to "
                    f"{size - self.crop_size}"
                )
        given = (self.num_train, self.num_validation, self.num_test)
        if any(given) or self.extra_splits:
            raise ValueError(
                "the number of clips follows from the video: leave out "
                "num_train, num_validation, num_test and extra_splits"
            )
        if self.source_frames < 10 * self.num_frames:
            raise ValueError(
                f"source_frames is {self.source_frames}, expected at least "
                f"ten clips of {self.num_frames} frames"
            )

    def split_ranges(self):
        """Split to `(first clip, clip after the last)`, in order of time."""
        clips = self.source_frames // self.num_frames
        ends = [0, clips * 8 // 10, clips * 9 // 10, clips]
        return dict(zip(grand_central_video.SPLITS, zip(ends, ends[1:])))

    def split_sizes(self):
        ranges = self.split_ranges()
        return {split: end - begin for split, (begin, end) in ranges.items()}


class Builder(builder_base.DecompositionBuilder):
    """People in Grand Central Station; nothing is known of them."""

    name = "tfdecomp_grand_central"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    OPTIONAL = ()
    HAS_LABELS = False
    KEEP_ORDER = True
    DEFAULT_BUILDER_CONFIG_NAME = "center"
    BUILDER_CONFIGS = [GrandCentralConfig(name="center")]
    MANUAL_DOWNLOAD_INSTRUCTIONS = grand_central_video.LAYOUT

    def check_inputs(self, dl_manager):
        config = self.builder_config
        dataset = estimates.label(self)
        grand_central_video.refuse_annotated_release(dl_manager, dataset)
        path = manual.manual_file(
            dl_manager,
            grand_central_video.FILE,
            dataset=dataset,
            layout=grand_central_video.LAYOUT,
            stand_in="street",
        )
        self._video = grand_central_video.GrandCentralVideo(
            path, dataset, config
        )
        self._video.check()
        sizes = config.split_sizes()
        pixels = config.num_frames * config.height * config.width * 3
        estimates.check_disk(
            self,
            self.data_dir_root,
            estimates.Estimate(size=sum(sizes.values()) * pixels),
        )
        self.info.metadata.update(source_files=[manual.describe(path)])
        return sizes

    def _download_and_prepare(self, dl_manager, download_config):
        self._video = None
        try:
            super()._download_and_prepare(dl_manager, download_config)
        finally:
            if self._video is not None:
                self._video.close()

    def _generate_examples(self, split, start, stop):
        config = builder_base.plain(self.builder_config)
        begin, _ = self.builder_config.split_ranges()[split]
        clips = self._video.clips(begin + start, begin + stop)
        for index, (frame, pictures) in enumerate(clips, start):
            raw = {
                "video": pictures,
                "frame_index": np.arange(
                    frame, frame + len(pictures), dtype=np.int32
                ),
            }
            example = builder_base.complete(raw, config, split, index)
            # TFDS sorts by key, and in parts if keys go up to 2 ** 128.
            yield index * (_KEYS // stop), example
            if self.on_progress is not None:
                self.on_progress(split, index + 1)
