"""Any folder of videos or of folders of pictures, cut into short clips."""

import contextlib
import dataclasses

import tensorflow_datasets as tfds

from tfdecomp.data.building import builder_base, estimates, folder_builder
from tfdecomp.data.video import levels, video_folders, video_sampling

_SORTED_IN_MEMORY = 64 << 20  # bytes of examples


@dataclasses.dataclass
class VideoFolderConfig(folder_builder.FolderConfig):
    """Clips of somebody's own videos.

    Args:
        frame_rate: Frames per second to keep; None: all frames.
        source_rate: Frames per second of videos that do not know theirs, such
            as folders of pictures. Needed with `frame_rate` only.
        chunk_frames: Kept frames of a chunk; no clip crosses its end.
        test_share: Share of the videos, with fewer than five videos of the
            chunks, that is the test split.
        clip_length: Another name of `num_frames`.
    """

    num_frames: int = 20
    frame_rate: float | None = None
    source_rate: float | None = None
    chunk_frames: int = 1000
    clip_length: dataclasses.InitVar[int | None] = None

    def __post_init__(self, size, clip_length):
        if clip_length is not None:
            self.num_frames = clip_length
        super().__post_init__(size)
        for name in ("frame_rate", "source_rate"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1e5:
                raise ValueError(
                    f"{name} is {value}, expected frames per second or null"
                )
        if self.chunk_frames < self.num_frames:
            raise ValueError(
                f"chunk_frames is {self.chunk_frames}, expected at least the "
                f"{self.num_frames} frames of a clip"
            )

    def settings(self):
        """How clips are cut."""
        return video_folders.Settings(
            video_sampling.Sampling(self.frame_rate, self.source_rate),
            self.look(),
            clip_length=self.num_frames,
            chunk_frames=self.chunk_frames,
            test_share=self.test_share,
            seed=self.seed,
            skip=self.unreadable == "skip",
            range=levels.parse(self.range),
        )


class Builder(folder_builder.FolderBuilder):
    """Clips of a folder of videos; nothing is known of what they show."""

    name = "tfdecomp_video_folder"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    WHAT = "videos"
    # Not in MANUAL_CONFIGS: TFDS takes the fields of one's own configs from
    # the configs here.
    BUILDER_CONFIGS = [VideoFolderConfig(name="manual")]
    MANUAL_DOWNLOAD_INSTRUCTIONS = video_folders.LAYOUT

    _videos = None

    def check_inputs(self, dl_manager):
        config = self.builder_config
        self._videos = video_folders.VideoFolder(
            self.folder(dl_manager), config.settings(), self.label
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
