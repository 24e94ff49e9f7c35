"""The video of Grand Central Station, cut into clips of a window of it."""

import itertools
import pathlib

import numpy as np

from tfdecomp.data import errors
from tfdecomp.data.formats import manual
from tfdecomp.data.video import video_frames, video_sampling

FILE = "grandcentral.avi"
SPLITS = ("train", "validation", "test")
LAYOUT = """\
Expected file, from the page of the Grand Central Station data of the Chinese
University of Hong Kong (X. Wang), unchanged, in the manual folder:
  grandcentral.avi   720x480 pixels, 50,010 frames at 25 frames a second
The later, annotated release (folders Annotation and Frame) is another video:
its frames have another size and it has fewer of them."""

# Folders of the later release.
_ANNOTATED = {"annotation", "frame"}


def refuse_annotated_release(dl_manager, dataset):
    """Says so if what is there is the later release in place of the video.

    Args:
        dl_manager: TFDS's download manager.
        dataset: Name of the dataset, for messages.

    Raises:
        LayoutError: If the later release is there and the video is not.

    Examples:
        >>> from pathlib import Path
        >>> from types import SimpleNamespace
        >>> from tfdecomp.data.formats.grand_central_video import (
        ...     refuse_annotated_release,
        ... )
        >>> for name in ("Annotation", "Frame"):
        ...     Path("later", name).mkdir(parents=True)
        >>> refuse_annotated_release(SimpleNamespace(manual_dir="."), "a")
        Traceback (most recent call last):
        tfdecomp.data.errors.LayoutError: ... later, annotated release ...
    """
    folder, names = manual.listing(dl_manager)
    if FILE in names:
        return
    places = [folder, *(pathlib.Path(folder, name) for name in names)]
    for place in places if names else ():
        if not place.is_dir():
            continue
        found = {entry.name for entry in place.iterdir() if entry.is_dir()}
        if _ANNOTATED <= {name.lower() for name in found}:
            raise errors.LayoutError(
                f"{place} holds the later, annotated release of Grand Central "
                f"Station (folders {sorted(found)[:5]}), expected {FILE}",
                dataset=dataset,
                path=place,
                expected=FILE,
                found=sorted(found),
                hint="that release has another resolution and number of "
                "frames, so results would not compare; to use it anyway, "
                "prepare its folder Frame as video_folder.\n" + LAYOUT,
            )


class GrandCentralVideo:
    """The video; its clips are decoded in order.

    Args:
        path: The file.
        dataset: Name of the dataset, for messages.
        config: Fields of the config.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.formats.grand_central_video import (
        ...     GrandCentralVideo,
        ... )
        >>> config = builders.make("grand_central/center").builder_config
        >>> folder = builders.folder() / "grand_central" / "dummy_data"
        >>> GrandCentralVideo(folder / "grandcentral.avi", "a", config).check()
        Traceback (most recent call last):
        tfdecomp.data.errors.TruncatedError: ... expected 50,010 frames, ...
    """

    def __init__(self, path, dataset, config):
        self.path = pathlib.Path(path)
        self.dataset = dataset
        self.config = config
        self._look = video_sampling.Look(
            config.source_height, config.source_width
        )
        self._clips, self._next = None, 0  # decoder and its next clip

    def check(self):
        """Checks number and size of the frames; decodes the first one alone.

        Raises:
            DatasetInputError: If this is not the video.
        """
        config = self.config
        with manual.explained(self.dataset, LAYOUT):
            self._probe = video_frames.probe(self.path)
            frames = video_frames.decode(self.path, self._probe)
            _, first = next(frames)
            frames.close()
        self._check_count(self._probe.frames)
        size = (first.height, first.width)
        expected = (config.source_height, config.source_width)
        if size != expected:
            raise self._error(
                f"{self.path} has frames of {size[1]}x{size[0]} pixels, "
                f"expected {expected[1]}x{expected[0]}",
                expected,
                size,
                errors.ResolutionError,
            )

    def _check_count(self, found):
        expected = self.config.source_frames
        if found == expected:
            return
        few = found < expected
        raise self._error(
            f"{self.path} "
            + ("ends too early or is" if few else "is")
            + f" another video: expected {expected:,} frames, got {found:,}",
            expected,
            found,
            errors.TruncatedError if few else errors.LayoutError,
        )

    def clips(self, start, stop):
        """Decodes clips.

        Args:
            start: Number of the first one in the whole video.
            stop: Number of the one after the last.

        Yields:
            `(first frame, pictures)`: its number, and `[T, H, W, 3]` uint8.

        Raises:
            DatasetInputError: If the video cannot be decoded to its end.
        """
        if self._clips is None or self._next > start:
            self.close()
            self._clips = self._decode()
        while self._next < stop:
            clip = next(self._clips)
            self._next += 1
            if self._next > start:
                yield clip
        if stop == self.config.source_frames // self.config.num_frames:
            # What fills no clip must be there, too.
            for _ in self._clips:
                pass

    def close(self):
        """Ends the decoder."""
        if self._clips is not None:
            self._clips.close()
        self._clips, self._next = None, 0

    def _decode(self):
        """All clips from the start on; ends with a check of the number."""
        config, count = self.config, 0
        with manual.explained(self.dataset, LAYOUT):
            timed = video_frames.decode(self.path, self._probe)
            try:
                while True:
                    frames = [
                        self._window(frame)
                        for _, frame in itertools.islice(
                            timed, config.num_frames
                        )
                    ]
                    count += len(frames)
                    if len(frames) < config.num_frames:
                        break
                    yield count - config.num_frames, np.stack(frames)
            finally:
                timed.close()
        self._check_count(count)

    def _window(self, frame):
        """`[H, W, 3]` uint8 of a frame of PyAV."""
        config = self.config
        size = (frame.height, frame.width)
        if size != (config.source_height, config.source_width):
            raise self._error(
                f"{self.path} has a frame of {size[1]}x{size[0]} pixels among "
                f"those of {config.source_width}x{config.source_height}",
                (config.source_height, config.source_width),
                size,
                errors.ResolutionError,
            )
        rows = slice(config.crop_top, config.crop_top + config.height)
        columns = slice(config.crop_left, config.crop_left + config.width)
        return self._look.picture(frame)[rows, columns]

    def _error(self, problem, expected, found, kind):
        return kind(
            problem,
            dataset=self.dataset,
            path=self.path,
            expected=expected,
            found=found,
            hint="use the original file; for another recording there is "
            f"video_folder.\n{LAYOUT}",
        )
