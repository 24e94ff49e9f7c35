"""CLEVRER's videos with their labels, as examples."""

import dataclasses
import pathlib

import numpy as np
from absl import logging

from tfdecomp.data import errors, resampling, schema
from tfdecomp.data.formats import manual
from tfdecomp.data.formats.clevrer import (
    author_masks,
    clevrer_annotations,
    clevrer_layout,
    clevrer_proposals,
)
from tfdecomp.data.video import video_io
from tfdecomp.simulation.rays import slide_scenes

PROPOSALS, AUTHOR_MASKS, NONE = "proposals", "author_masks", "none"
AUTO = "auto"  # the authors' masks where they lie, else the proposals
_FEW_MASKS = 0.2  # share of missing masks from which a video is left out
_NAMED = 3  # files that are named in a message
_OFF = 0.02  # share by which a number of clips may differ from the expected


@dataclasses.dataclass(frozen=True)
class Clip:
    """Part of a video that becomes an example.

    Args:
        video: Number of the video.
        begin: First frame.
        length: Frames that could be used.
        objects: How many there are; 0: not known.

    Examples:
        >>> from tfdecomp.data.formats.clevrer.clevrer_videos import Clip
        >>> Clip(video=10000, begin=30, length=20, objects=3).objects
        3
    """

    video: int
    begin: int
    length: int
    objects: int = 0


class ClevrerVideos:
    """Videos of one part of the dataset in a manual folder.

    Args:
        folder: The folder.
        dataset: Name of the dataset, for messages.
        config: Fields of the config.
        stand_in: Generated set that shows something alike.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.formats.clevrer.clevrer_videos import (
        ...     ClevrerVideos,
        ... )
        >>> config = builders.make("clevrer/train").builder_config
        >>> ClevrerVideos("nowhere", "clevrer", config, "raycast").check()
        Traceback (most recent call last):
            ...
        tfdecomp.data.errors.MissingFileError: clevrer: ...
    """

    def __init__(self, folder, dataset, config, stand_in):
        self.folder = pathlib.Path(folder)
        self.dataset = dataset
        self.config = config
        self.stand_in = stand_in
        self.mask_source = config.mask_source
        if self.mask_source == AUTO:
            has_masks = (self.folder / clevrer_layout.AUTHOR_MASKS).is_dir()
            self.mask_source = AUTHOR_MASKS if has_masks else PROPOSALS
        self.proposals = clevrer_layout.PROPOSALS[0]
        for name in clevrer_layout.PROPOSALS:
            if (self.folder / name).is_dir():
                self.proposals = name
                break

    @property
    def _is_labelled(self):
        return self.mask_source != NONE

    def check(self):
        """Finds all files and cuts the clips.

        Returns:
            `(clips, excluded, skipped)`: list of `Clip`s; reason to the
            number of videos that were left out for it; number of a video to
            the error of its annotation or proposals, where the config says to
            go on.

        Raises:
            DatasetInputError: If a file is missing or bad.
        """
        config = self.config
        numbers = range(
            config.first_video, config.first_video + config.num_videos
        )
        self._check_files(clevrer_layout.video, numbers)
        if not (config.together or self._is_labelled):
            length = config.frames_per_video
            return [Clip(n, 0, length) for n in numbers], {}, {}
        self._check_files(clevrer_layout.annotation, numbers)
        if self.mask_source == PROPOSALS:
            self._check_files(
                lambda _, n: clevrer_layout.proposals(self.proposals, n),
                numbers,
            )
        clips, excluded, skipped = [], {}, {}
        for number in numbers:
            try:
                clip = self._clip(number)
            except errors.DatasetInputError as error:
                if config.on_error != "skip":
                    raise
                skipped[str(number)] = error.problem
                continue
            if isinstance(clip, str):
                excluded[clip] = excluded.get(clip, 0) + 1
            else:
                clips.append(clip)
        if self.mask_source == AUTHOR_MASKS:
            paths = {c.video: self._author_masks(c) for c in clips}
            self._check_files(lambda _, n: paths[n], list(paths))
        return clips, excluded, skipped

    def _check_files(self, where, numbers):
        """Checks that there is a file, not empty, for each of the numbers."""
        missing = []
        for number in numbers:
            path = self.folder / where(self.config.part, number)
            if not path.is_file():
                missing.append(path)
            elif not path.stat().st_size:
                raise clevrer_layout.error(
                    errors.TruncatedError,
                    f"{path} is empty: it has 0 bytes",
                    path=path,
                    dataset=self.dataset,
                    expected="a whole file",
                    found="0 bytes",
                )
        if not missing:
            return
        names = ", ".join(
            path.relative_to(self.folder).as_posix()
            for path in missing[:_NAMED]
        )
        more = ", ..." if len(missing) > _NAMED else ""
        seen = _seen(self.folder, missing[0])
        raise clevrer_layout.error(
            errors.MissingFileError,
            f"{len(missing):,} of {len(numbers):,} files are missing in "
            f"{self.folder}: {names}{more}; {seen}",
            path=missing[0],
            dataset=self.dataset,
            expected=f"{len(numbers)} files",
            found=f"{len(numbers) - len(missing)} files",
            advice="unpack the archives there or pass --manual_dir; or use "
            f"the generated set {self.stand_in!r}, which needs no file",
        )

    def _clip(self, number):
        """The clip of a video, or why there is none."""
        config = self.config
        annotation = self._annotation(number)
        count = len(annotation.kinds)
        if count not in config.num_objects:
            return "other number of objects"
        begin, length = 0, config.frames_per_video
        if config.together:
            together = annotation.in_view.all(-1)
            # As published, no window has the last frame of a video.
            begin, length = map(int, slide_scenes.window(together[:-1]))
            if not length:
                return "never all objects in view"
            if length < config.num_frames:
                return "all objects in view for too few frames"
        clip = Clip(number, begin, length, count)
        if self.mask_source == PROPOSALS:
            missing = self._proposals(number).share_missing(
                annotation, self._frames(clip)
            )
            if missing > _FEW_MASKS:
                return "too few masks"
        return clip

    def metadata(self):
        """What the folder holds, for the dataset's metadata."""
        config = self.config
        numbers = range(
            config.first_video, config.first_video + config.num_videos
        )
        size = sum(
            (self.folder / clevrer_layout.video(config.part, n)).stat().st_size
            for n in numbers
        )
        name = f"video_{config.part}"
        files = {"name": name, "files": len(numbers), "size": size}
        return [{**files, "masks": self.mask_source}]

    def block(self, split, clips):
        """Examples of some clips.

        Args:
            split: Name of the split.
            clips: List of `Clip`s.

        Returns:
            List of `(number of the video, example)`; in place of the example
            stands the error as a text where the config says to go on.
        """
        done = []
        for clip in clips:
            try:
                raw = self.example(clip)
            except errors.DatasetInputError as error:
                if self.config.on_error != "skip":
                    raise
                done.append((clip.video, error.problem))
                continue
            example = schema.complete(raw, self.config, split, clip.video)
            done.append((clip.video, example))
        return done

    def example(self, clip):
        """What is stored of a clip, see `schema.complete`."""
        config = self.config
        frames = self._frames(clip)
        path = self.folder / clevrer_layout.video(config.part, clip.video)
        video = self._read(path, config.frames_per_video)[frames]
        size = (config.height, config.width)
        raw = {
            "video": resampling.smoothed_cubic(
                video[:, :, clevrer_layout.CROP], size
            ),
            "index": clip.video,
            "frame_index": np.arange(frames.start, frames.stop, dtype=np.int32),
            "num_objects": clip.objects,
        }
        if not self._is_labelled:
            return raw
        labels = self._labels(clip)[:, :, clevrer_layout.CROP]
        labels = resampling.nearest(labels, size)
        boxes, visibility = manual.modal_boxes(labels, config.max_objects)
        raw |= {
            "segmentation": labels[..., None],
            "boxes": boxes,
            "visibility": visibility,
        }
        # What `AUTO` finds is not known when the features are declared.
        if config.mask_source == PROPOSALS:
            raw["factors"] = self._annotation(clip.video).factors(
                frames, config.max_objects
            )
        return raw

    def _labels(self, clip):
        """`[T, 320, 480]` uint8."""
        frames = self._frames(clip)
        if self.mask_source == PROPOSALS:
            annotation = self._annotation(clip.video)
            return self._proposals(clip.video).labels(annotation, frames)
        path = self.folder / self._author_masks(clip)
        pictures = self._read(path, clip.length)
        labels, found = author_masks.labels(pictures)
        if found != clip.objects:
            raise clevrer_layout.error(
                errors.AnnotationError,
                f"{path} has {found} colours beside the background, but the "
                f"annotation has {clip.objects} objects",
                path=path,
                dataset=self.dataset,
                expected=f"{clip.objects} colours",
                found=f"{found} colours",
            )
        return labels[: self.config.num_frames]

    def _read(self, path, num_frames):
        """`[T, 320, 480, 3]` uint8."""
        try:
            frames, _ = video_io.read_video(path, num_frames)
        except errors.DatasetInputError as error:
            raise clevrer_layout.error(
                type(error),
                error.problem,
                path=path,
                dataset=self.dataset,
                expected=error.expected,
                found=error.found,
            ) from error
        size = frames.shape[1:3]
        if size != clevrer_layout.SIZE:
            height, width = clevrer_layout.SIZE
            raise clevrer_layout.error(
                errors.ResolutionError,
                f"{path} has frames of {size[1]}x{size[0]} pixels, expected "
                f"{width}x{height}",
                path=path,
                dataset=self.dataset,
                expected=clevrer_layout.SIZE,
                found=size,
                advice="use the original file",
            )
        return frames

    def _frames(self, clip):
        return slice(clip.begin, clip.begin + self.config.num_frames)

    def _annotation(self, number):
        path = clevrer_layout.annotation(self.config.part, number)
        return clevrer_annotations.read(
            self.folder / path,
            self.dataset,
            number,
            self.config.frames_per_video,
        )

    def _proposals(self, number):
        path = clevrer_layout.proposals(self.proposals, number)
        return clevrer_proposals.Proposals(
            self.folder / path, self.dataset, self.config.min_score
        )

    def _author_masks(self, clip):
        return clevrer_layout.author_masks(clip.objects, clip.video)


def compare_count(dataset, count, expected, excluded):
    """Warns if a part of the dataset makes another number of clips.

    Args:
        dataset: Its name.
        count: How many there are.
        expected: How many there should be.
        excluded: Reason to the number of videos that were left out for it.

    Examples:
        >>> from tfdecomp.data.formats.clevrer.clevrer_videos import (
        ...     compare_count,
        ... )
        >>> compare_count("a", count=2490, expected=2500, excluded={})  # silent
    """
    if abs(count / expected - 1) > _OFF:
        logging.warning(
            "%s: found %s clips, expected about %s; videos left out: %s",
            dataset,
            f"{count:,}",
            f"{expected:,}",
            excluded or "none",
        )


def _seen(folder, path):
    """What is there in place of a file."""
    while path.parent != folder and not path.parent.is_dir():
        path = path.parent
    if not path.parent.is_dir():
        return "there is no such folder"
    names = sorted(entry.name for entry in path.parent.iterdir())
    stem = path.stem.lower()
    similar = [name for name in names if stem in name.lower()][:10]
    if similar:
        return f"similar names there: {similar}"
    return f"found {names[:10] or 'nothing'} in {path.parent}"
