"""CLEVRER's videos of solids that collide, with masks of a detector."""

import dataclasses

import numpy as np
import tensorflow_datasets as tfds

from tfdecomp.data import errors
from tfdecomp.data.building import builder_base, estimates
from tfdecomp.data.formats import manual
from tfdecomp.data.formats.clevrer import (
    clevrer_annotations,
    clevrer_layout,
    clevrer_videos,
)

_SOURCES = (
    clevrer_videos.AUTO,
    clevrer_videos.PROPOSALS,
    clevrer_videos.AUTHOR_MASKS,
    clevrer_videos.NONE,
)
_ALL = 5_000  # videos for validation


@dataclasses.dataclass
class ClevrerConfig(builder_base.Config):
    """A part of the published videos.

    Args:
        part: `"train"` or `"validation"`: whose files are read.
        split: What the result is called.
        first_video: Number of the first video.
        num_videos: All of these must be there.
        frames_per_video: Frames that each must have.
        together: Whether the frames begin with the first that shows all
            objects, and all are in view in all of them.
        num_objects: Videos with other numbers of objects are left out; of
            sets with labels.
        mask_source: `"proposals"`: masks that a detector found, released with
            the videos; `"author_masks"`: videos of rendered masks, see the
            README; `"auto"`: the latter where they lie in the manual folder,
            else the former; `"none"`.
        min_score: Proposals with a lower score are left out.
        on_error: `"fail"`: a bad file ends the build; `"skip"`: it is left
            out, and named in the metadata.
        max_skipped: Share of the clips that may be skipped.
        expected_clips: Number of clips that all videos for validation make; a
            warning is given if it is another. 0: not known.
        stand_in: Generated set that shows something alike.
    """

    source: str = builder_base.MANUAL
    encoding: str = "bytes"
    box_kind: str = "modal"
    block_size: int = 4
    num_frames: int = 40
    max_objects: int = 6
    part: str = "validation"
    split: str = "test"
    first_video: int = 10_000
    num_videos: int = _ALL
    frames_per_video: int = 128
    together: bool = True
    num_objects: tuple = (3, 4, 5, 6)
    mask_source: str = clevrer_videos.AUTO
    min_score: float = 0.5
    on_error: str = "fail"
    max_skipped: float = 0.01
    expected_clips: int = 0
    stand_in: str = "raycast/clevrer_like"

    def __post_init__(self):
        super().__post_init__()
        self.num_objects = tuple(self.num_objects)
        for name, allowed in (
            ("source", (builder_base.MANUAL,)),
            ("part", ("train", "validation")),
            ("split", ("train", "validation", "test")),
            ("mask_source", _SOURCES),
            ("on_error", ("fail", "skip")),
            ("channels", (3,)),
        ):
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(
                    f"{name} is {value!r}, expected one of {list(allowed)}"
                )
        if self.num_frames > self.frames_per_video:
            raise ValueError(
                f"num_frames is {self.num_frames}, expected at most the "
                f"{self.frames_per_video} frames of a video"
            )
        if not self.num_objects or max(self.num_objects) > self.max_objects:
            raise ValueError(
                f"num_objects is {self.num_objects}, expected numbers up to "
                f"max_objects = {self.max_objects}"
            )
        if self.num_videos < 1:
            raise ValueError(
                f"num_videos is {self.num_videos}, expected at least 1"
            )
        if self.mask_source == clevrer_videos.AUTHOR_MASKS and (
            not self.together
        ):
            raise ValueError(
                "the authors' masks are those of the frames with all objects "
                "in view: mask_source 'author_masks' needs together"
            )
        if self.use_beam and self.on_error == "skip":
            raise ValueError(
                "on_error 'skip' lists what it left out at the end, which "
                "Beam's workers cannot: use_beam needs on_error 'fail'"
            )


_TRAIN = {
    "part": "train",
    "split": "train",
    "first_video": 0,
    "num_videos": 10_000,
    "num_frames": 128,
    "together": False,
    "mask_source": clevrer_videos.NONE,
}
_CONFIGS = {
    "train": _TRAIN,
    "slices345": {
        "num_objects": (3, 4, 5),
        "expected_clips": 2_500,
        "stand_in": "raycast/clevrer_like_slices345",
    },
    "slices6": {
        "num_objects": (6,),
        "expected_clips": 1_100,
        "stand_in": "raycast/clevrer_like_slices6",
    },
}
# The detector's masks even where the authors' lie; who is who is known then.
_CONFIGS |= {
    f"{name}_proposals": {
        **_CONFIGS[name],
        "mask_source": clevrer_videos.PROPOSALS,
    }
    for name in ("slices345", "slices6")
}


class Builder(builder_base.DecompositionBuilder):
    """Videos of CLEVRER as PROVIDE reads them."""

    name = "tfdecomp_clevrer"
    VERSION = tfds.core.Version("2.0.0")
    RELEASE_NOTES = {
        "1.0.0": "First version.",
        "2.0.0": "Frames are made smaller as published, by a Gaussian filter "
        "and cubic interpolation; windows end before a video's last frame; the "
        "authors' masks come first.",
    }
    OPTIONAL = ()
    DEFAULT_BUILDER_CONFIG_NAME = "train"
    # Not in MANUAL_CONFIGS: TFDS takes the fields of one's own configs from
    # the configs here.
    BUILDER_CONFIGS = [
        ClevrerConfig(name=name, **fields) for name, fields in _CONFIGS.items()
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = clevrer_layout.LAYOUT
    HOMEPAGE = "http://clevrer.csail.mit.edu"

    _skipped = None

    @property
    def HAS_LABELS(self):
        return self.builder_config.mask_source != clevrer_videos.NONE

    def factors(self):
        # Nothing says which of the authors' masks is which object, and only
        # the files say whose masks "auto" finds.
        if self.builder_config.mask_source != clevrer_videos.PROPOSALS:
            return {}
        vector, flag = ("TK", (3,), np.float32), ("TK", (), np.uint8)
        return {
            **dict.fromkeys(clevrer_annotations.VALUES, ("K", (), np.int32)),
            "location_3d": vector,
            "velocity_3d": vector,
            "inside_camera_view": flag,
            "collision": flag,
        }

    def extra_metadata(self):
        return {
            "value_names": {
                factor: {name: 1 + n for n, name in enumerate(names)}
                for factor, names in clevrer_annotations.VALUES.items()
                if factor in self.factors()
            },
        }

    def _split_generators(self, dl_manager):
        config = self.builder_config
        label = estimates.label(self)
        folder = self._folder(dl_manager, label)
        videos = clevrer_videos.ClevrerVideos(
            folder, label, builder_base.plain(config), config.stand_in
        )
        clips, excluded, self._skipped = videos.check()
        clips = clips[: config.split_sizes().get(config.split)]
        self._total = len(clips) + len(self._skipped)
        self._check_count(clips, excluded)
        self.info.metadata.update(
            excluded=excluded,
            skipped=self._skipped,
            source_files=videos.metadata(),
        )
        estimates.check_disk(self, self.data_dir_root, self._estimate(clips))
        blocks = builder_base.block_ranges(0, len(clips), config.block_size)
        ranges = [(config.split, clips[begin:end]) for begin, end in blocks]
        return {config.split: self._map(config.split, videos.block, ranges)}

    def _folder(self, dl_manager, label):
        folder, names = manual.listing(dl_manager)
        if names:
            return folder
        stand_in = self.builder_config.stand_in
        raise clevrer_layout.error(
            errors.MissingFileError,
            f"the manual folder {folder} is missing or empty",
            path=folder,
            dataset=label,
            expected="folders of videos",
            found="nothing",
            advice="unpack the archives and pass --manual_dir; or use the "
            f"generated set {stand_in!r}, which needs no file",
        )

    def _check_count(self, clips, excluded):
        config, count = self.builder_config, len(clips)
        self._check_skipped()
        if not count:
            raise clevrer_layout.error(
                errors.LayoutError,
                f"none of the {config.num_videos:,} videos can be used: "
                f"{excluded}",
                path=str(config.part),
                dataset=estimates.label(self),
                expected="clips",
                found=excluded,
                advice="look at the reasons",
            )
        whole = config.num_videos == _ALL and not config.split_sizes()
        if config.expected_clips and whole:
            clevrer_videos.compare_count(
                estimates.label(self), count, config.expected_clips, excluded
            )

    def _estimate(self, clips):
        config = self.builder_config
        pixels = config.num_frames * config.height * config.width
        layers = config.channels + self.HAS_LABELS
        return estimates.Estimate(size=len(clips) * pixels * layers)

    def _in_process(self, split, make, ranges):
        for number, example in super()._in_process(split, make, ranges):
            if isinstance(example, str):
                self._skipped[str(number)] = example
                self._check_skipped()
            else:
                yield number, example

    def _check_skipped(self):
        """Refuses to go on when too much was skipped."""
        share = self.builder_config.max_skipped
        count = len(self._skipped)
        if count > share * self._total:
            number, problem = next(iter(self._skipped.items()))
            raise errors.DatasetInputError(
                f"{count} of {self._total} clips are bad, more than "
                f"{share:.1%}, such as that of video {number}: {problem}",
                dataset=estimates.label(self),
                expected=f"at most {share:.1%} bad clips",
                found=count,
                hint=f"fetch the files again.\n{clevrer_layout.LAYOUT}",
            )
