"""A folder of videos as splits of short clips."""

import contextlib
import dataclasses
import os
import pathlib

import numpy as np
from absl import logging

from tfdecomp.data import errors
from tfdecomp.data.video import (
    array_files,
    levels,
    own_files,
    picture_files,
    streaming,
    video_frames,
    video_sampling,
)

FEW_FILES = 5  # with fewer, parts of files make the test split
_LISTED = 20  # videos left out that are named at the end
LAYOUT = """\
Expected: a folder with video files (mp4, mov, avi, mkv, webm, gif, mpg, ts,
wmv, flv, ogv and others), with pictures that hold several frames (tif, png,
webp), with arrays (npy, [T, H, W] or [T, H, W, C]), or with folders of
numbered pictures (png, jpg, bmp, tif, webp, avif, pgm, ppm), each of which is
a video. Folders in it are searched, linked ones too; hidden files are not.
Name it in the config, --config='{"name": "street", "folder": "~/videos"}', or
by --manual_dir."""


@dataclasses.dataclass
class Video:
    """One video and what is taken from it.

    Args:
        number: Its place in the order of names.
        path: A file or a folder of pictures.
        name: Its path within the folder of all.
        probe: What is known of it.
        kept: Frames kept of it.
        splits: Split of each chunk.

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.video.video_frames import Probe
        >>> from tfdecomp.data.video.video_folders import Video
        >>> path = Path("videos", "clip.mp4")
        >>> video = Video(0, path, path.name, Probe(frames=90), kept=30)
        >>> video.probe.frames, video.kept
        (90, 30)
    """

    number: int
    path: pathlib.Path
    name: str
    probe: video_frames.Probe
    kept: int
    splits: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Clip:
    """Consecutive frames.

    Args:
        video: Number of their video.
        first: The first one's number among the kept frames of the video.
        split: Where they belong.
        pictures: `[T, H, W, C]` uint8.
        numbers: Their numbers in the video, `[T]` int32.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_folders import Clip
        >>> pictures, numbers = np.zeros([5, 8, 8, 3], np.uint8), np.arange(5)
        >>> Clip(0, 0, "train", pictures, numbers).pictures.shape
        (5, 8, 8, 3)
    """

    video: int
    first: int
    split: str
    pictures: np.ndarray
    numbers: np.ndarray


@dataclasses.dataclass
class Settings:
    """How clips are cut.

    Args:
        sampling: `video_sampling.Sampling`.
        look: `video_sampling.Look`.
        clip_length: Frames of a clip.
        chunk_frames: Kept frames of a chunk; no clip crosses its end.
        test_share: Share of the videos, or of the chunks, that is the test
            split.
        seed: Seed of the choice.
        skip: Whether videos that cannot be read are left out.
        range: Which values are black and white, see `levels.choose`.

    Examples:
        >>> from tfdecomp.data.video.video_sampling import Look, Sampling
        >>> from tfdecomp.data.video.video_folders import Settings
        >>> settings = Settings(Sampling(rate=5), Look(32, 32), clip_length=8)
        >>> settings.chunk_frames
        1000
    """

    sampling: video_sampling.Sampling
    look: video_sampling.Look
    clip_length: int = 20
    chunk_frames: int = 1000
    test_share: float = 0.2
    seed: int = 0
    skip: bool = False
    range: str | tuple = levels.AUTO


def find(folder, dataset=None):
    """Videos in a folder, by name.

    Args:
        folder: The folder, searched with all folders in it.
        dataset: Name of the dataset, for messages.

    Returns:
        List of paths: video files, pictures of several frames, arrays, and
        folders of pictures that hold none of these.

    Raises:
        MissingFileError: If there is no such folder or no video in it.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_io import write_video
        >>> from tfdecomp.data.video.video_folders import find
        >>> write_video("clip.gif", np.zeros([3, 16, 16, 3], np.uint8))
        >>> [path.name for path in find(".")]
        ['clip.gif']
    """
    folder = own_files.folder_of(folder, "videos", LAYOUT, dataset)
    found, others = _searched(folder)
    if not found:
        names = sorted(path.name for path in others)[:10]
        raise errors.MissingFileError(
            f"the folder {folder} has no video in it; found "
            f"{names or 'nothing'}",
            dataset=dataset,
            path=str(folder),
            expected="video files or folders of pictures",
            found=names,
            hint=f"choose another folder.\n{LAYOUT}",
        )
    return own_files.in_order(found, folder)


def left_out(folder, found):
    """What `find` did not take, with the reason.

    Args:
        folder: The folder.
        found: What `find` gave.

    Returns:
        List of `(name, reason)`, by name.

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.video.video_folders import left_out
        >>> _ = Path("notes.txt").write_text("of the recordings")
        >>> left_out(".", found=[])
        [('notes.txt', 'it is no video or picture by its name')]
    """
    folder = pathlib.Path(folder).expanduser()
    taken, result = set(found), []
    for path in _searched(folder)[1]:
        if path in taken or path.parent in taken:
            continue
        reason = "it is no video or picture by its name"
        if path.is_symlink() and not path.exists():
            reason = f"it is a link to nothing ({os.readlink(path)})"
        elif video_frames.is_picture(path):
            reason = "it is a picture beside videos"
        elif array_files.is_array(path):
            reason = "it is an array, but none of frames"
        result.append((path.relative_to(folder).as_posix(), reason))
    return sorted(result)


def _searched(folder):
    """Videos in a folder and the folders in it, and all files."""
    found, others = [], []
    for root, paths in own_files.walk(folder):
        videos = _with_suffix(paths, video_frames.VIDEO_SUFFIXES)
        pictures = _with_suffix(paths, video_frames.PICTURE_SUFFIXES)
        stacks = [path for path in pictures if _is_stack(path)]
        arrays = _with_suffix(paths, (array_files.SUFFIX,))
        stacks += [path for path in arrays if array_files.is_stack(path)]
        if not videos and not stacks and pictures:
            videos = [root]
        found += videos + stacks
        others += paths
    return found, others


def _is_stack(path):
    """Whether a picture file holds several frames."""
    try:
        return picture_files.info(path).frames > 1
    except errors.DatasetInputError:
        return False  # said when it is read


def _with_suffix(paths, suffixes):
    return [path for path in paths if path.suffix.lower() in suffixes]


class VideoFolder:
    """Videos of a folder, checked and divided into splits.

    Args:
        folder: The folder.
        settings: `Settings`.
        dataset: Name of the dataset, for messages.

    Raises:
        DatasetInputError: If there is no usable video in it, or if one cannot
            be read and none may be left out.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_io import write_video
        >>> from tfdecomp.data.video.video_sampling import Look, Sampling
        >>> from tfdecomp.data.video.video_folders import Settings, VideoFolder
        >>> write_video("clip.gif", np.zeros([8, 16, 16, 3], np.uint8))
        >>> settings = Settings(Sampling(), Look(8, 8), clip_length=2)
        >>> VideoFolder(".", settings).sizes()  # clips of two frames
        {'train': 3, 'test': 1}
    """

    def __init__(self, folder, settings, dataset=None):
        self.folder = pathlib.Path(folder).expanduser()
        self.settings = settings
        self.dataset = dataset
        self.left_out = []  # dictionaries of `name`, `reason` and `clips`
        self.videos = []
        self.notes = []  # sentences about what is odd
        paths = find(self.folder, dataset)
        self.found = len(paths)
        self.others = left_out(self.folder, paths)
        for number, path in enumerate(paths):
            video = self._checked(number, path)
            if video is not None:
                self.videos.append(video)
        if not self.videos:
            raise self.nothing()
        self._divide()
        self._spool = None
        self.scratch = None  # folder of the temporary file

    def _checked(self, number, path):
        settings = self.settings
        name = path.relative_to(self.folder).as_posix()
        if name == ".":
            name = path.name
        try:
            probe = video_frames.probe(path, settings.range)
            kept = settings.sampling.count(path, probe)
        except errors.DatasetInputError as error:
            self._leave_out(name, error)
            return None
        if kept < settings.clip_length:
            reason = (
                f"{path} is too short: {_frames(kept)} of {probe.frames} "
                f"kept, fewer than the {settings.clip_length} of a clip"
            )
            self.left_out.append({"name": name, "reason": reason, "clips": 0})
            return None
        self.notes += probe.notes
        return Video(number, path, name, probe, kept)

    def _leave_out(self, name, error, clips=0):
        if not self.settings.skip:
            raise own_files.refused(error, self.dataset) from error
        reason = f"{error.problem}; {error.hint}"
        self.left_out.append({"name": name, "reason": reason, "clips": clips})

    def nothing(self, split=None):
        """The error of a folder, or a split, without a clip."""
        listed = "".join(f"\n  {entry['reason']}" for entry in self.left_out)
        where = f" for the split {split!r}" if split else ""
        return errors.DatasetInputError(
            f"none of the videos in {self.folder} could be used{where}:"
            f"{listed}",
            dataset=self.dataset,
            path=str(self.folder),
            expected="videos",
            found=[entry["name"] for entry in self.left_out],
            hint="\nreplace them, or lower clip_length if they are too short",
        )

    def _divide(self):
        """Says which chunk of which video belongs to which split."""
        settings = self.settings
        self.chunk_frames = settings.chunk_frames
        by_file = len(self.videos) >= FEW_FILES
        windows = sum(self._windows(v.kept) for v in self.videos)
        if not by_file:
            chunks = sum(self._chunks(v.kept) for v in self.videos)
            if chunks < FEW_FILES:
                # Else one of two chunks would be the test split.
                self.chunk_frames = settings.clip_length * max(
                    1, windows // FEW_FILES
                )
        for video in self.videos:
            video.splits = ["train"] * self._chunks(video.kept)
        parts = [[(v, n) for n in range(len(v.splits))] for v in self.videos]
        if not by_file:
            parts = [[chunk] for chunks in parts for chunk in chunks]
        for number in self._chosen(len(parts)):
            for video, chunk in parts[number]:
                video.splits[chunk] = "test"

    def _chosen(self, count):
        """Numbers of the files or chunks that are the test split."""
        alone = errors.DatasetInputError(
            f"the videos in {self.folder} make a single clip, which cannot be "
            "both training and test data",
            dataset=self.dataset,
            path=str(self.folder),
            expected="at least 2 clips",
            found=1,
            hint="add videos, lower clip_length, or set test_share = 0",
        )
        settings = self.settings
        return own_files.chosen_for_test(
            count, settings.test_share, settings.seed, alone
        )

    def _chunks(self, kept):
        """Chunks of a video that hold a clip."""
        whole, rest = divmod(kept, self.chunk_frames)
        return whole + (rest >= self.settings.clip_length)

    def _windows(self, kept):
        length = self.settings.clip_length
        whole, rest = divmod(kept, self.chunk_frames)
        return whole * (self.chunk_frames // length) + rest // length

    def sizes(self):
        """Split to its number of clips, as far as it is known before."""
        sizes = {}
        length, chunk = self.settings.clip_length, self.chunk_frames
        for video in self.videos:
            for number, split in enumerate(video.splits):
                frames = min(chunk, video.kept - number * chunk)
                sizes[split] = sizes.get(split, 0) + frames // length
        return {s: sizes[s] for s in ("train", "test") if s in sizes}

    def metadata(self):
        """Entries for the metadata of the dataset."""
        return {
            "source_files": [
                {
                    "name": video.name,
                    "number": video.number,
                    "size": _size(video.path),
                    "frames": video.probe.frames,
                    "frames_kept": video.kept,
                    "rate": video.probe.rate and float(video.probe.rate),
                    "splits": sorted(set(video.splits)),
                }
                for video in self.videos
            ],
            "chunk_frames": self.chunk_frames,
            "skipped": self.left_out,
            "not_videos": [
                {"name": name, "reason": reason} for name, reason in self.others
            ],
            "notes": self.notes,
        }

    def clips(self, split, workers=1):
        """Clips of a split.

        Videos with clips in several splits are decoded once: what belongs to
        another split waits in a temporary file until that one is asked for.

        Args:
            split: Its name.
            workers: Videos decoded at once.

        Yields:
            `Clip`s; those of a video in order.
        """
        own = [v for v in self.videos if set(v.splits) == {split}]
        yield from streaming.parallel(own, self._cut, workers)
        shared = [v for v in self.videos if split in v.splits and v not in own]
        if not shared:
            return
        if self._spool is None:
            self._spool = streaming.Spool(
                streaming.parallel(shared, self._cut, workers), self.scratch
            )
        yield from self._spool.take(split)

    def report(self):
        """Warns of what was left out and what is odd."""
        for note in self.notes[:_LISTED]:
            logging.warning("%s: %s", self.dataset, note)
        if self.others:
            named = [
                f"{name} ({reason})" for name, reason in self.others[:_LISTED]
            ]
            logging.warning(
                "%s: not taken: %s%s",
                self.dataset,
                ", ".join(named),
                ", ..." if len(self.others) > _LISTED else "",
            )
        for entry in self.left_out[:_LISTED]:
            kept = entry["clips"]
            logging.warning(
                "%s: left out %s%s: %s",
                self.dataset,
                entry["name"],
                f" after its first {kept} clips" if kept else "",
                entry["reason"],
            )
        if self.left_out:
            logging.warning(
                "%s: left out %d of %d videos; the metadata list them under "
                "'skipped'",
                self.dataset,
                len(self.left_out),
                self.found,
            )

    def close(self):
        """Ends what is still being decoded."""
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def _cut(self, video, workers=1):
        """The clips of one video."""
        done = 0
        try:
            for clip in self._windows_of(video, workers):
                yield clip
                done += 1
        except errors.DatasetInputError as error:
            self._leave_out(video.name, error, done)

    def _windows_of(self, video, workers):
        settings = self.settings
        threads = max(1, (os.cpu_count() or 1) // workers)
        timed = video_frames.decode(video.path, video.probe, threads)
        kept = settings.sampling.pick(video.path, video.probe, timed)
        pictures, numbers = [], []
        with contextlib.closing(timed):
            for place, (number, frame) in enumerate(kept):
                chunk, within = divmod(place, self.chunk_frames)
                if not within:
                    pictures, numbers = [], []
                # A rest that fills no clip need not be made small.
                room = self.chunk_frames - within + len(pictures)
                if room < settings.clip_length:
                    continue
                pictures.append(settings.look.picture(frame))
                numbers.append(number)
                if len(pictures) == settings.clip_length:
                    splits = video.splits
                    yield Clip(
                        video.number,
                        place - len(pictures) + 1,
                        splits[min(chunk, len(splits) - 1)],
                        np.stack(pictures),
                        np.array(numbers, np.int32),
                    )
                    pictures, numbers = [], []


def _frames(count):
    return "1 frame" if count == 1 else f"{count} frames"


def _size(path):
    if path.is_dir():
        return sum(p.stat().st_size for p in video_frames.pictures(path))
    return path.stat().st_size
