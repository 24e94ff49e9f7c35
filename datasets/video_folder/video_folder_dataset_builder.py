"""Any folder of videos or of folders of pictures, cut into short clips."""

import contextlib
import dataclasses
import re

import numpy as np
import tensorflow_datasets as tfds

from tfdecomp.data import errors
from tfdecomp.data.building import builder_base, estimates
from tfdecomp.data.formats import manual
from tfdecomp.data.video import levels, video_folders, video_sampling

_SORTED_IN_MEMORY = 64 << 20  # bytes of examples


@dataclasses.dataclass
class VideoFolderConfig(builder_base.Config):
    """Clips of somebody's own videos.

    Args:
        folder: Folder of the videos; by default the manual folder.
        frame_rate: Frames per second to keep; None: all frames.
        source_rate: Frames per second of videos that do not know theirs, such
            as folders of pictures. Needed with `frame_rate` only.
        crop: `"none"`: the whole frame is squashed to the size of the
            pictures; `"center"`: its middle is shown; `"pad"`: all of it,
            between black bars.
        chunk_frames: Kept frames of a chunk; no clip crosses its end.
        test_share: Share of the videos, with fewer than five videos of the
            chunks, that is the test split.
        unreadable: `"fail"`: the first video that cannot be read ends the
            build; `"skip"`: such videos are left out and named at the end.
        range: Values shown as black and white where pictures have more than
            eight bits: `"auto"`, `"full"` or `[low, high]`, see
            `tfdecomp.data.video.levels.choose`.
        size: Short for `height` and `width`: one number or two.
        clip_length: Another name of `num_frames`.
    """

    source: str = builder_base.MANUAL
    encoding: str = "bytes"
    box_kind: str = "none"
    num_frames: int = 20
    max_objects: int = 1
    folder: str = ""
    frame_rate: float | None = None
    source_rate: float | None = None
    crop: str = "none"
    chunk_frames: int = 1000
    test_share: float = 0.2
    unreadable: str = "fail"
    range: str | tuple = "auto"
    size: dataclasses.InitVar[int | tuple | None] = None
    clip_length: dataclasses.InitVar[int | None] = None

    def __post_init__(self, size, clip_length):
        if size is not None:
            self.height, self.width = np.broadcast_to(size, 2).tolist()
        if clip_length is not None:
            self.num_frames = clip_length
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
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}, expected one of "
                    f"{list(allowed)}"
                )
        levels.parse(self.range)
        for name in ("frame_rate", "source_rate"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1e5:
                raise ValueError(
                    f"{name} is {value}, expected frames per second or null"
                )
        if not 0 <= self.test_share <= 1:
            raise ValueError(
                f"test_share is {self.test_share}, expected 0 to 1"
            )
        if self.chunk_frames < self.num_frames:
            raise ValueError(
                f"chunk_frames is {self.chunk_frames}, expected at least the "
                f"{self.num_frames} frames of a clip"
            )
        if self.split_sizes():
            raise ValueError(
                "the number of clips follows from the videos: leave out "
                "num_train, num_validation, num_test and extra_splits; "
                "test_share sets the split"
            )

    def settings(self):
        """How clips are cut."""
        return video_folders.Settings(
            video_sampling.Sampling(self.frame_rate, self.source_rate),
            video_sampling.Look(
                self.height, self.width, self.channels, self.crop
            ),
            clip_length=self.num_frames,
            chunk_frames=self.chunk_frames,
            test_share=self.test_share,
            seed=self.seed,
            skip=self.unreadable == "skip",
            range=levels.parse(self.range),
        )


class Builder(builder_base.DecompositionBuilder):
    """Clips of a folder of videos; nothing is known of what they show."""

    name = "tfdecomp_video_folder"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    OPTIONAL = ()
    HAS_LABELS = False
    DEFAULT_BUILDER_CONFIG_NAME = "manual"
    # Not in MANUAL_CONFIGS: TFDS takes the fields of one's own configs from
    # the configs here.
    BUILDER_CONFIGS = [VideoFolderConfig(name="manual")]
    MANUAL_DOWNLOAD_INSTRUCTIONS = video_folders.LAYOUT

    _videos = None

    def check_inputs(self, dl_manager):
        config = self.builder_config
        self._videos = video_folders.VideoFolder(
            config.folder or self._manual_folder(dl_manager),
            config.settings(),
            self._label,
        )
        self._videos.scratch = self.data_dir
        self.info.metadata.update(self._videos.metadata())
        sizes = self._videos.sizes()
        pixels = config.num_frames * config.height * config.width
        estimates.check_disk(
            self,
            self.data_dir_root,
            estimates.Estimate(
                size=sum(sizes.values()) * pixels * config.channels
            ),
        )
        return sizes

    @property
    def _label(self):
        return f"{self.name}/{self.builder_config.name}"

    def _manual_folder(self, dl_manager):
        folder, names = manual.listing(dl_manager)
        if not names:
            raise errors.MissingFileError(
                f"no folder is named, and the manual folder {folder} is "
                "missing or empty",
                dataset=self._label,
                path=str(folder),
                expected="a folder of videos",
                found="nothing",
                hint=f"name one.\n{video_folders.LAYOUT}",
            )
        return folder

    def _download_and_prepare(self, dl_manager, download_config):
        try:
            with _little_memory():
                super()._download_and_prepare(dl_manager, download_config)
        finally:
            if self._videos is not None:
                self._videos.close()
        self._videos.report()

    def _generate_examples(self, split, start, stop):
        del start, stop  # the videos say how many there are
        config = builder_base.plain(self.builder_config)
        workers = self.workers or config.workers
        done = 0
        for clip in self._videos.clips(split, workers):
            raw = {
                "video": clip.pictures,
                "frame_index": clip.numbers,
                "index": clip.video,
            }
            example = builder_base.complete(raw, config, split, clip.video)
            example["example_id"] += f"/{clip.first:07d}"
            yield (clip.video << 32) + clip.first, example
            done += 1
            if self.on_progress is not None:
                self.on_progress(split, done)
        if not done:
            raise self._videos.nothing(split)


@contextlib.contextmanager
def _little_memory():
    """TFDS would hold a gigabyte of examples before it turns to the disk."""
    from tensorflow_datasets.core import shuffle

    size = shuffle.MAX_MEM_BUFFER_SIZE
    shuffle.MAX_MEM_BUFFER_SIZE = min(size, _SORTED_IN_MEMORY)
    try:
        yield
    finally:
        shuffle.MAX_MEM_BUFFER_SIZE = size
