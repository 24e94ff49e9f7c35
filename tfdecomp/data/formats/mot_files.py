"""Tracks in files, as MOTChallenge has them and as we do.

Decided once, for all files read here:

* In memory frames count from 0, as in our `tracks.csv`. MOTChallenge counts
  from 1; a file in its layout that has a frame 0 counts from 0.
* Boxes are `(ymin, xmin, ymax, xmax)`, pixel edges from 0. MOTChallenge
  numbers the pixels from 1: a box whose left is 1 begins with the first one,
  so 1 is taken off its left and top.
* An id is at most once in a frame; it says nothing in another file.

References:
    Milan et al., MOT16: A Benchmark for Multi-Object Tracking. 2016.
"""

import dataclasses
import os
import pathlib
import zipfile

import numpy as np

from tfdecomp.data import errors
from tfdecomp.data.formats import number_files

BOX = ("ymin", "xmin", "ymax", "xmax")
POINT = ("y", "x")

_MOT = (
    "frame",
    "id",
    "bb_left",
    "bb_top",
    "bb_width",
    "bb_height",
    "conf",
    "class",
    "visibility",
)
_INDEX = "frames.csv"  # of the frames that a prediction came to
_MOT_LEAST, _MOT_MOST = 6, 10
_MOT_TEXT = f"{_MOT_LEAST} to {_MOT_MOST} numbers {','.join(_MOT[:7])}, ..."


@dataclasses.dataclass
class Tracks:
    """Boxes or points with an identity, by frame and id.

    Attributes:
        path: The file.
        frames: `[n]` int64, from 0.
        ids: `[n]` int64, from 0.
        boxes: `[n, 4]` float64 `(ymin, xmin, ymax, xmax)`; points are boxes
            without extent.
        confidence: `[n]` float64.
        classes: `[n]` int64; None if the file has none.
        visibility: `[n]` float64, share that is seen; None if the file has
            none.
        seen: `[F]` int64, frames that somebody looked at, whatever was found
            there; None if the file does not say.
        is_points: Whether there are points and no boxes.
        first_frame: The file's own number of the frame that is 0 here.

    Examples:
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from tfdecomp.data.formats.mot_files import Tracks
        >>> frames, boxes = np.array([0, 1]), np.zeros([2, 4])
        >>> ids, sure = np.array([7, 7]), np.ones(2)
        >>> tracks = Tracks(Path("mot.txt"), frames, ids, boxes, sure)
        >>> len(tracks), tracks.take(frames == 1).frames
        (2, array([1]))
    """

    path: pathlib.Path
    frames: np.ndarray
    ids: np.ndarray
    boxes: np.ndarray
    confidence: np.ndarray
    classes: np.ndarray | None = None
    visibility: np.ndarray | None = None
    seen: np.ndarray | None = None
    is_points: bool = False
    first_frame: int = 0

    def __len__(self):
        return len(self.frames)

    def take(self, chosen) -> "Tracks":
        """Those of a mask or of these numbers."""
        names = ("frames", "ids", "boxes", "confidence")
        names += ("classes", "visibility")
        columns = {name: getattr(self, name) for name in names}
        return dataclasses.replace(
            self,
            **{n: v[chosen] for n, v in columns.items() if v is not None},
        )


def read(path, is_truth=False, first_frame=None) -> Tracks:
    """Reads tracks, whatever the layout of the file.

    That is a MOTChallenge text, our `tracks.csv`, a csv of points with the
    columns `frame,id,y,x`, or an `.npz` of points (see `read_points`).

    Args:
        path: The file.
        is_truth: See `read_mot`.
        first_frame: The file's number of the video's first frame. By default
            as in `read_mot` and 0 in the others.

    Raises:
        DatasetInputError: If the file is missing, or it is none of these.

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.formats.mot_files import read
        >>> _ = Path("mot.txt").write_text("1,7,1,1,4,3")
        >>> read("mot.txt").boxes  # ymin, xmin, ymax, xmax
        array([[0., 0., 3., 4.]])
    """
    path = number_files.existing(path)
    if zipfile.is_zipfile(path):
        return read_points(path, first_frame)
    number, text = next(number_files.lines(path), (0, None))
    if text is None:
        raise number_files.empty(path, "tracks")
    fields = number_files.split(text)
    if number_files.is_number(fields[0]):
        return read_mot(path, is_truth, first_frame)
    for columns, reader in ((BOX, read_tracks_csv), (POINT, read_points)):
        if {"frame", "id", *columns} <= set(fields):
            return reader(path, first_frame)
    raise number_files.wrong(
        path,
        number,
        f"expected {_MOT_TEXT}, or the names of columns frame,id,"
        f"{','.join(BOX)} or frame,id,{','.join(POINT)}",
        text,
    )


def read_prediction(path, first_frame=None) -> Tracks:
    """Reads the tracks of a folder of predictions, or of a file.

    Args:
        path: What `tfdecomp.predict` wrote, of which `tracks.csv` is read, or
            else `mot.txt`, and of `frames.csv` (or `latents.npz`) which
            frames it came to;
            or a file as in `read`.
        first_frame: See `read`.

    Raises:
        DatasetInputError: See `read`.

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.formats.mot_files import read_prediction
        >>> rows = "frame,id,ymin,xmin,ymax,xmax", "0,7,0,0,3,4"
        >>> _ = Path("tracks.csv").write_text(chr(10).join(rows))
        >>> read_prediction(".").boxes
        array([[0., 0., 3., 4.]])
    """
    folder = pathlib.Path(os.path.expanduser(path))
    if not folder.is_dir():
        return read(path, first_frame=first_frame)
    for name in ("tracks.csv", "mot.txt"):
        if (folder / name).is_file():
            found = read(folder / name, first_frame=first_frame)
            break
    else:
        raise errors.MissingFileError(
            f"the folder {folder} has no tracks.csv and no mot.txt",
            path=str(folder),
            hint="give what was --output of a prediction by a model with "
            "masks, or a file of tracks",
        )
    found.seen = _looked_at(folder)
    return found


def _looked_at(folder):
    """`[F]` frames that a prediction came to; None if it does not say."""
    if (folder / _INDEX).is_file():
        rows = number_files.named_rows(folder / _INDEX, ("source_frame",))
        return np.unique([int(values[0]) for _, values in rows])
    if (folder / "latents.npz").is_file():
        arrays = number_files.arrays(folder / "latents.npz", ["frame"])
        if "frame" in arrays:
            return np.unique(arrays["frame"].astype(np.int64))
    return None


def read_mot(path, is_truth=False, first_frame=None) -> Tracks:
    """Reads a MOTChallenge text: truth, or what a tracker found.

    A row has frame, id, left, top, width and height, then maybe confidence
    and, in files with nine columns, class and visibility; other columns
    (three-dimensional places) are read by nobody. Commas or blanks may part
    them.

    Args:
        path: The file.
        is_truth: Whether rows of confidence 0 are left out, which the truth
            has where nothing is to be scored. Their frames still count as
            seen.
        first_frame: The file's number of the video's first frame. By default
            1, or 0 if there is a row of frame 0.

    Raises:
        DatasetInputError: If the file is missing, empty or something else.

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.formats.mot_files import read_mot
        >>> _ = Path("mot.txt").write_text("1,7,1,1,4,3")
        >>> tracks = read_mot("mot.txt")
        >>> tracks.frames, tracks.boxes  # frames and pixels count from 0
        (array([0]), array([[0., 0., 3., 4.]]))
    """
    path = number_files.existing(path)
    lines, table = number_files.table(path, _mot_rows(path), _MOT_TEXT)
    width = table.shape[1]
    if first_frame is None:
        first_frame = int(table[:, 0].min() != 0)
    left, top, wide, high = table[:, 2:6].T
    bad = (wide < 0) | (high < 0)
    if bad.any():
        row = int(np.argmax(bad))
        raise number_files.wrong(
            path,
            lines[row],
            "expected bb_width and bb_height from 0",
            f"{wide[row]:g} and {high[row]:g}",
        )
    ymin, xmin = top - 1.0, left - 1.0
    tracks = _tracks(
        path,
        table,
        lines,
        np.stack([ymin, xmin, ymin + high, xmin + wide], 1),
        confidence=table[:, 6] if width > 6 else None,
        first_frame=first_frame,
        kept=table[:, 6] != 0 if is_truth and width > 6 else None,
        others=table[:, 7:9] if width == 9 else None,
    )
    if is_truth:
        tracks.seen = np.unique(table[:, 0].astype(np.int64)) - first_frame
    return tracks


def read_tracks_csv(path, first_frame=None) -> Tracks:
    """Reads our `tracks.csv`, by the names of its columns.

    Rows without a box, of objects that a model says are there but shows
    nowhere, are left out.

    Args:
        path: The file, with the columns frame, id, ymin, xmin, ymax, xmax;
            presence, if it is there, is the confidence, others are not read.
        first_frame: The file's number of the video's first frame; 0 by
            default.

    Raises:
        DatasetInputError: If the file is missing, empty or something else.

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.formats.mot_files import read_tracks_csv
        >>> rows = "frame,id,ymin,xmin,ymax,xmax", "0,7,0,0,3,4"
        >>> _ = Path("tracks.csv").write_text(chr(10).join(rows))
        >>> read_tracks_csv("tracks.csv").boxes
        array([[0., 0., 3., 4.]])
    """
    path = number_files.existing(path)
    names = ("frame", "id", *BOX)
    rows = number_files.named_rows(path, names, "presence")
    lines, table = number_files.table(
        path, rows, f"the columns {','.join(names)}", 7
    )
    boxes = table[:, 2:6]
    bad = (boxes[:, 2:] < boxes[:, :2]).any(1)
    if bad.any():
        row = int(np.argmax(bad))
        raise number_files.wrong(
            path,
            lines[row],
            "expected ymin <= ymax and xmin <= xmax",
            ",".join(f"{edge:g}" for edge in boxes[row]),
        )
    return _tracks(
        path,
        table,
        lines,
        boxes,
        confidence=table[:, 6],
        first_frame=first_frame or 0,
        kept=(boxes[:, 2:] > boxes[:, :2]).all(1),
    )


def read_points(path, first_frame=None) -> Tracks:
    """Reads points with an identity.

    Args:
        path: A csv with the columns frame, id, y, x; or an `.npz` with the
            arrays `frame`, `id`, `y`, `x` `[n]`, or with `points` `[T, N, 2]`
            `(y, x)`, NaN where an object is not seen, and maybe their `frame`
            `[T]`. Places are in pixels, the centre of the first pixel is
            `(0.5, 0.5)`.
        first_frame: The file's number of the video's first frame; 0 by
            default.

    Raises:
        DatasetInputError: If the file is missing, empty or something else.

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.formats.mot_files import read_points
        >>> rows = "frame,id,y,x", "0,7,2.5,4.5"
        >>> _ = Path("points.csv").write_text(chr(10).join(rows))
        >>> read_points("points.csv").boxes  # without extent
        array([[2.5, 4.5, 2.5, 4.5]])
    """
    path = number_files.existing(path)
    names = ("frame", "id", *POINT)
    if zipfile.is_zipfile(path):
        table = _npz_table(path, names)
        number_files.check_finite(path, None, table)
        lines = None
    else:
        rows = number_files.named_rows(path, names)
        lines, table = number_files.table(
            path, rows, f"the columns {','.join(names)}", 4
        )
    return _tracks(
        path,
        table,
        lines,
        np.concatenate([table[:, 2:4]] * 2, 1),
        first_frame=first_frame or 0,
        is_points=True,
    )


def _mot_rows(path):
    """Yields `(number, values)`, as many in each as in the first."""
    width = None
    for number, text in number_files.lines(path):
        fields = number_files.split(text)
        width = width or len(fields)
        if not _MOT_LEAST <= width <= _MOT_MOST or len(fields) != width:
            expected = _MOT_TEXT
            if _MOT_LEAST <= width <= _MOT_MOST:
                expected = f"{width} numbers as in the first row"
            raise number_files.wrong(path, number, f"expected {expected}", text)
        yield number, number_files.floats(path, number, fields, _MOT)


def _npz_table(path, names):
    """`[n, 4]` frame, id, y, x of an archive."""
    arrays = number_files.arrays(path, [*names, "points"])
    if set(names) <= set(arrays):
        columns = [arrays[name] for name in names]
        if {c.shape for c in columns} == {columns[0].shape[:1]}:
            table = np.stack(columns, 1).astype(np.float64)
            if not len(table):
                raise number_files.empty(path, "points")
            return table
    elif "points" in arrays:
        points = arrays["points"]
        frames = arrays.get("frame", np.arange(len(points)))
        if points.shape[2:] == (2,) and frames.shape == points.shape[:1]:
            seen = np.isfinite(points).all(2)
            times, objects = np.nonzero(seen)
            if not len(times):
                raise number_files.empty(path, "points")
            numbers = [frames[times], objects + 1, *points[seen].T]
            return np.stack(numbers, 1).astype(np.float64)
    raise errors.LayoutError(
        f"{path}: expected arrays {', '.join(names)} of one length, or points "
        "[T, N, 2] (y, x) and maybe frame [T], got "
        + (_shapes(arrays) or "none of these"),
        path=str(path),
    )


def _shapes(arrays):
    return ", ".join(f"{name} {a.shape}" for name, a in arrays.items())


def _tracks(
    path,
    table,
    lines,
    boxes,
    confidence=None,
    first_frame=0,
    kept=None,
    others=None,
    is_points=False,
):
    """Checks numbers of frames and tracks, and puts the rows in order."""
    for name, column, least in (("frame", 0, first_frame), ("id", 1, 0)):
        values = table[:, column]
        bad = (values != np.floor(values)) | (values < least)
        if bad.any():
            row = int(np.argmax(bad))
            hint = ""
            if name == "id" and values[row] == -1:
                hint = "these are detections without tracks"
            raise number_files.wrong(
                path,
                number_files.line_of(lines, row),
                f"expected a whole number from {least} for {name}",
                f"{values[row]:g}",
                hint,
            )
    if confidence is None:
        confidence = np.ones(len(table))
    tracks = Tracks(
        path,
        table[:, 0].astype(np.int64) - first_frame,
        table[:, 1].astype(np.int64),
        np.array(boxes, np.float64),
        np.array(confidence, np.float64),
        None if others is None else others[:, 0].astype(np.int64),
        None if others is None else others[:, 1],
        is_points=is_points,
        first_frame=first_frame,
    )
    rows = np.arange(len(table)) if kept is None else np.flatnonzero(kept)
    keys = tracks.ids[rows], tracks.frames[rows]
    rows = rows[np.lexsort((rows, *keys))]
    tracks = tracks.take(rows)
    _check_once(tracks, lines, rows)
    return tracks


def _check_once(tracks, lines, rows):
    same = np.diff(tracks.frames) == 0
    same &= np.diff(tracks.ids) == 0
    if not same.any():
        return
    place = int(np.argmax(same))
    first, second = (
        number_files.line_of(lines, rows[place + k]) for k in (0, 1)
    )
    frame = tracks.frames[place] + tracks.first_frame
    raise number_files.wrong(
        tracks.path,
        second,
        f"expected an id once in a frame, got id {tracks.ids[place]} in frame "
        f"{frame} a second time, after {number_files.words(first)}",
    )
