"""Masks and ids of the object-centric representation benchmark, from JSON.

A file is a list over videos of lists over frames of
`{"ids": [int], "masks": [text], "num_bg": int}`. A mask is "start length start
length ...", starts counted from 1, row by row. The last `num_bg` masks of a
frame are parts of the background; without the entry there are none.
"""

import json
import pathlib

import numpy as np

from tfdecomp.data import errors, schema


class Annotations:
    """One file, read and checked as far as that needs no decoding.

    Args:
        path: The file.
        dataset: Name of the dataset, for messages.
        layout: Text that describes the expected files.

    Raises:
        MissingFileError: If there is no such file.
        AnnotationError: If it is not a list of lists of frames.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.formats.ocrb_annotations import Annotations
        >>> folder = builders.folder() / "ocrb" / "dummy_data"
        >>> file = Annotations(folder / "vmds_test.json", "a", layout="...")
        >>> len(file.videos)
        2
    """

    def __init__(self, path, dataset, layout):
        self.path = pathlib.Path(path)
        self.dataset = dataset
        self.layout = layout
        self.videos = self._read()

    def _read(self):
        try:
            videos = json.loads(self.path.read_text())
        except FileNotFoundError as error:
            raise self.error(
                f"the annotations {self.path} do not exist",
                "a JSON file",
                "nothing",
                errors.MissingFileError,
            ) from error
        except ValueError as error:  # no JSON, or no text at all
            raise self.error(
                f"{self.path} is no complete JSON file ({error})",
                "JSON",
                str(error),
            ) from error
        if not _is_list_of(videos, list):
            raise self.error(
                f"{self.path} holds {_kind(videos)}, expected a list over "
                "videos of lists over frames",
                "a list of lists",
                _kind(videos),
            )
        return videos

    def check(self, num_videos, num_frames, max_objects):
        """Checks that the file is about these videos.

        Args:
            num_videos: Videos there are.
            num_frames: Frames that are used of each.
            max_objects: Objects that a video may have.

        Raises:
            AnnotationError: If it is about others.
        """
        if len(self.videos) != num_videos:
            raise self.error(
                f"{self.path} annotates {len(self.videos)} videos, expected "
                f"{num_videos}",
                num_videos,
                len(self.videos),
            )
        for number, frames in enumerate(self.videos):
            if len(frames) < num_frames:
                raise self._at(
                    number,
                    None,
                    f"has {len(frames)} frames, expected at least {num_frames}",
                )
            for time, frame in enumerate(frames[:num_frames]):
                self._check_frame(number, time, frame)
            count = len(self._ids(number, num_frames))
            if count > max_objects:
                raise self._at(
                    number,
                    None,
                    f"has {count} objects, more than max_objects = "
                    f"{max_objects}",
                )

    def _check_frame(self, number, time, frame):
        if not isinstance(frame, dict):
            raise self._at(number, time, f"is {_kind(frame)}, no dictionary")
        for key, kind in (("ids", int), ("masks", str)):
            if not _is_list_of(frame.get(key), kind):
                raise self._at(
                    number,
                    time,
                    f"has no list {key!r} of {kind.__name__}; found "
                    f"{sorted(frame)}",
                )
        ids, masks = frame["ids"], frame["masks"]
        if len(ids) != len(masks):
            raise self._at(
                number, time, f"has {len(ids)} ids but {len(masks)} masks"
            )
        background = frame.get("num_bg", 0)
        if not isinstance(background, int) or not 0 <= background <= len(ids):
            raise self._at(
                number,
                time,
                f"has num_bg = {background!r}, expected 0 to {len(ids)}",
            )
        objects = ids[: len(ids) - background]
        if len(set(objects)) < len(objects):
            raise self._at(
                number, time, f"has ids {objects}, one of them twice"
            )

    def _ids(self, number, num_frames):
        """Ids of the objects of a video, in rising order."""
        ids = set()
        for frame in self.videos[number][:num_frames]:
            ids.update(frame["ids"][: len(frame["ids"]) - _background(frame)])
        return sorted(ids)

    def labels(self, number, num_frames, shape, max_objects):
        """Labels of the pixels of a video.

        Args:
            number: Its number.
            num_frames: `T`.
            shape: `(H, W)`.
            max_objects: `K`.

        Returns:
            `(segmentation, entities, count)`: `[T, H, W]` uint8 twice and the
            number of objects. Objects are 1, ..., `count` in the order of
            their ids. Pixels of several objects are "ignore". In `entities`
            parts of the background are `K + 1`, `K + 2`, ...

        Raises:
            AnnotationError: If a mask is not what it should be.
        """
        known = self._ids(number, num_frames)
        segmentation = np.zeros((num_frames, *shape), np.uint8)
        entities = np.zeros_like(segmentation)
        for time, frame in enumerate(self.videos[number][:num_frames]):
            first = len(frame["ids"]) - _background(frame)
            for n, text in enumerate(frame["masks"]):
                try:
                    mask = decode(text, shape)
                except ValueError as error:
                    raise self._at(
                        number, time, f"has a wrong mask {n}: {error}"
                    ) from error
                if n >= first:
                    entities[time][mask] = max_objects + 1 + n - first
                    continue
                taken = mask & (segmentation[time] > 0)
                segmentation[time][mask] = known.index(frame["ids"][n]) + 1
                segmentation[time][taken] = schema.IGNORE_ID
        entities = np.where(segmentation > 0, segmentation, entities)
        return segmentation, entities, len(known)

    def _at(self, number, time, problem):
        where = f"video {number}" + ("" if time is None else f", frame {time}")
        return self.error(
            f"{where} of {self.path} {problem}",
            "the layout below",
            problem,
        )

    def error(self, problem, expected, found, kind=errors.AnnotationError):
        """An error about the file, to be raised."""
        return kind(
            problem,
            dataset=self.dataset,
            path=self.path,
            expected=expected,
            found=found,
            hint=f"use the original file.\n{self.layout}",
        )


def decode(text, shape):
    """A mask from its runs.

    Args:
        text: "start length start length ...", starts from 1, row by row.
        shape: `(H, W)`.

    Returns:
        `[H, W]` bool.

    Raises:
        ValueError: If runs overlap, go back or leave the picture, or are no
            pairs of numbers.

    Examples:
        >>> from tfdecomp.data.formats.ocrb_annotations import decode
        >>> decode("2 3", (2, 3)).astype(int)
        array([[0, 1, 1],
               [1, 0, 0]])
    """
    words = text.split()
    if len(words) % 2 or not all(w.isascii() and w.isdigit() for w in words):
        raise ValueError(f"{text[:40]!r} is not pairs of start and length")
    starts, lengths = np.array(words, int).reshape(-1, 2).T
    ends = starts + lengths
    size = shape[0] * shape[1]
    if np.any(starts < 1) or np.any(lengths < 1) or np.any(ends > size + 1):
        raise ValueError(f"{text[:40]!r} leaves the {size} pixels of a frame")
    if np.any(starts[1:] < ends[:-1]):
        raise ValueError(f"{text[:40]!r} has runs that overlap or go back")
    steps = np.zeros(size + 1, np.int8)
    np.add.at(steps, starts - 1, 1)
    np.add.at(steps, ends - 1, -1)
    return np.cumsum(steps[:size]).astype(bool).reshape(shape)


def encode(mask):
    """The runs of a mask, see `decode`.

    Args:
        mask: `[H, W]` bool.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.formats.ocrb_annotations import encode
        >>> encode(np.array([[0, 1, 1], [1, 0, 0]], bool))
        '2 3'
    """
    flat = np.pad(np.asarray(mask, np.int8).ravel(), 1)
    (edges,) = np.nonzero(np.diff(flat))
    starts, ends = edges[::2], edges[1::2]
    pairs = np.stack([starts + 1, ends - starts], 1)
    return " ".join(map(str, pairs.ravel().tolist()))


def _background(frame):
    return frame.get("num_bg", 0)


def _is_list_of(value, kind):
    return isinstance(value, list) and all(
        isinstance(one, kind) and not isinstance(one, bool) for one in value
    )


def _kind(value):
    return f"a {type(value).__name__}"
