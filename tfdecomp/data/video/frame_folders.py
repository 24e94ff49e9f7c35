"""Folders of pictures as videos: which pictures, in which order, and why."""

import collections
import concurrent.futures
import itertools
import pathlib
import re

from tfdecomp.data import errors
from tfdecomp.data.video import container_checks, picture_files

_CHECKED = 500  # pictures of a folder that are looked at before it is read
_NAMED = 3  # pictures that a message names


def natural(path):
    """Sorts `frame_10` behind `frame_9`.

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.video.frame_folders import natural
        >>> paths = sorted([Path("a_10.png"), Path("a_9.png")], key=natural)
        >>> [path.name for path in paths]
        ['a_9.png', 'a_10.png']
    """
    parts = re.split(r"(\d+)", path.name)
    # Every other part is a number; text may hold digits such as "²".
    return [int(p) if n % 2 else p for n, p in enumerate(parts)]


def pictures(folder):
    """Pictures of a folder in the order of the numbers in their names.

    Of several series side by side, such as `a_001.png` and `a_001_mask.png`
    or twins of another kind, this is the one that `chosen` takes.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_io import write_png
        >>> from tfdecomp.data.video.frame_folders import pictures
        >>> for name in ("a_10.png", "a_9.png"):
        ...     write_png(name, np.zeros([8, 8], np.uint8))
        >>> [path.name for path in pictures(".")]
        ['a_9.png', 'a_10.png']
    """
    return chosen(folder)[0]


def chosen(folder):
    """The frames of a folder.

    Series are names that differ in their numbers alone. Where two of them
    have the same numbers they are no frames of one video: the longest series
    is taken; of equally long ones that with the shortest name, and of twins
    the kind that comes first in `picture_files.SUFFIXES`.

    Args:
        folder: The folder.

    Returns:
        `(paths, notes)`: pictures in order, and sentences about what was left
        out and what is odd.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_io import write_png
        >>> from tfdecomp.data.video.frame_folders import chosen
        >>> for name in ("a_1.png", "a_2.png", "a_1_mask.png", "a_2_mask.png"):
        ...     write_png(name, np.zeros([8, 8], np.uint8))
        >>> paths, notes = chosen(".")
        >>> [path.name for path in paths]
        ['a_1.png', 'a_2.png']
    """
    folder = pathlib.Path(folder)
    found = sorted(
        (
            file
            for file in folder.iterdir()
            if picture_files.is_picture(file) and not file.name.startswith(".")
        ),
        key=natural,
    )
    series = collections.defaultdict(list)
    for file in found:
        series[_pattern(file)].append(file)
    notes = []
    rivals = _rivals(series)
    if rivals:
        best = min(rivals, key=lambda pattern: _rank(pattern, series))
        for pattern in rivals - {best}:
            left = series.pop(pattern)
            notes.append(
                f"{folder}: {_counted(len(left))} left out, such as "
                f"{left[0].name}: they have the numbers of "
                f"{series[best][0].name} and others, which are taken; move "
                "one kind to another folder if that is wrong"
            )
        kept = {file for files in series.values() for file in files}
        found = [file for file in found if file in kept]
    notes += _gaps(folder, series)
    return found, notes


def _pattern(file):
    """The name without its numbers, in two parts."""
    return re.sub(r"\d+", "#", file.stem), file.suffix.lower()


def _numbers(file):
    return tuple(int(n) for n in re.findall(r"\d+", file.stem))


def _rivals(series):
    """Patterns of series that share numbers with another one."""
    owners = collections.defaultdict(set)
    longest = max((len(files) for files in series.values()), default=0)
    if longest < 2:
        return set()
    for pattern, files in series.items():
        for file in files:
            numbers = _numbers(file)
            owners[numbers or file.stem].add(pattern)
    return {p for own in owners.values() if len(own) > 1 for p in own}


def _rank(pattern, series):
    stem, suffix = pattern
    kind = picture_files.SUFFIXES.index(suffix)
    return -len(series[pattern]), len(stem), stem, kind


def _gaps(folder, series):
    """Notes of numbers that are missing, and of several runs of them."""
    notes = []
    for files in series.values():
        numbers = [_numbers(file) for file in files]
        if len(files) < 3 or not numbers[0]:
            continue
        if len({n[:-1] for n in numbers}) > 1:
            starts = len({n[:-1] for n in numbers})
            if starts < len(files):
                notes.append(
                    f"{folder}: the numbering of {files[0].name} and others "
                    f"begins {starts} times; they are read one after the "
                    "other as one video"
                )
            continue
        steps = [b[-1] - a[-1] for a, b in itertools.pairwise(numbers)]
        usual = collections.Counter(steps).most_common(1)[0][0]
        jumps = [n for n, step in enumerate(steps) if step > usual]
        if jumps and usual > 0:
            first = jumps[0]
            notes.append(
                f"{folder}: numbers are missing between {files[first].name} "
                f"and {files[first + 1].name}"
                + (f" and in {len(jumps) - 1} more places" * (len(jumps) > 1))
                + "; the frames are taken as following each other"
            )
    return notes


def _counted(count):
    return "1 picture" if count == 1 else f"{count} pictures"


def listed(path, beside=()):
    """Pictures of a folder that make a video, checked, and notes.

    Args:
        path: The folder.
        beside: Suffixes of videos, for messages.

    Raises:
        MissingFileError: If there is none.
        ResolutionError: If they differ in size.
        LayoutError: If one cannot be read, or is a video itself.

    Examples:
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_io import write_png
        >>> from tfdecomp.data.video.frame_folders import listed
        >>> for name in ("a_10.png", "a_9.png"):
        ...     write_png(name, np.zeros([8, 6], np.uint8))
        >>> files, notes, first = listed(Path("."))
        >>> len(files), notes, first.size
        (2, [], (6, 8))
    """
    files, notes = chosen(path)
    others = sorted(
        (
            file.name
            for file in path.iterdir()
            if file.suffix.lower() in beside and not file.name.startswith(".")
        ),
    )
    if not files:
        raise _nothing(path, others)
    if others:
        notes.append(
            f"{path}: {', '.join(others[:_NAMED])}"
            + f" and {len(others) - _NAMED} more" * (len(others) > _NAMED)
            + " left out: the pictures beside are taken as the video"
        )
    step = -(-len(files) // _CHECKED)
    known = {file: picture_files.info(file) for file in files[::step]}
    first = known[files[0]].size
    different = [
        f"{file.name} {info.size[0]}x{info.size[1]}"
        for file, info in known.items()
        if info.size != first
    ]
    if different:
        raise mixed(path, files[0], first, different)
    for file, info in known.items():
        if info.frames > 1:
            raise stacked(path, file, info.frames)
    odd = [note for info in known.values() for note in info.notes]
    if odd:
        more = f", and {len(odd) - 1} other pictures" if len(odd) > 1 else ""
        notes.append(f"{odd[0]}{more}")
    return files, notes, known[files[0]]


def _nothing(path, videos):
    inside = sorted(p.name for p in path.iterdir() if p.is_dir())
    words, hint = f"the folder {path} has no picture in it", ""
    others, kind = (videos, "video") if videos else (inside, "folder")
    if others:
        number = f"{len(others)} {kind}{'s' * (len(others) > 1)}"
        words += f", but {number} ({', '.join(others[:_NAMED])})"
        hint = f"name one of them, such as {path / others[0]}"
    return errors.MissingFileError(
        words,
        path=str(path),
        expected=f"files with suffix {', '.join(picture_files.SUFFIXES)}",
        found=others[:10] or "none",
        hint=hint or "give a folder of frames",
    )


def stacked(path, file, frames):
    """The error of a picture of a folder that is a video itself.

    Examples:
        >>> from tfdecomp.data.video.frame_folders import stacked
        >>> print(stacked("pictures", "a.tif", frames=9))
        a.tif holds 9 frames: it is a video of its own and no frame of ...
    """
    return errors.LayoutError(
        f"{file} holds {frames} frames: it is a video of its own and no "
        f"frame of {path}",
        path=str(file),
        expected="one frame in each picture",
        found=f"{frames} frames",
        hint="name this file, or split it into pictures",
    )


def mixed(path, first, size, others):
    """The error of pictures that differ in size.

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.video.frame_folders import mixed
        >>> print(mixed("pictures", Path("a.png"), (8, 6), ["b.png 9x6"]))
        the pictures in pictures differ in size: a.png has 8x6 pixels, but ...
    """
    return errors.ResolutionError(
        f"the pictures in {path} differ in size: {first.name} has "
        f"{size[0]}x{size[1]} pixels, but {', '.join(others[:_NAMED])}",
        path=str(path),
        expected=size,
        found=others[:_NAMED],
        hint="scale or turn them to one size",
    )


def read(path, files, threads=4):
    """Pixels of each picture, a few of them decoded ahead.

    Yields:
        `[H, W, C]`, see `picture_files.frames`.

    Raises:
        DatasetInputError: If one cannot be read or has another size.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_io import write_png
        >>> from tfdecomp.data.video.frame_folders import pictures, read
        >>> write_png("a_1.png", np.zeros([8, 6], np.uint8))
        >>> [pixels.shape for pixels in read(".", pictures("."))]
        [(8, 6, 3)]
    """
    waiting, coming = collections.deque(), iter(files)
    size = None
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        try:
            for file in itertools.islice(coming, 2 * threads):
                waiting.append((file, pool.submit(_only, path, file)))
            while waiting:
                file, result = waiting.popleft()
                pixels = result.result()
                for upcoming in itertools.islice(coming, 1):
                    job = pool.submit(_only, path, upcoming)
                    waiting.append((upcoming, job))
                own = pixels.shape[1], pixels.shape[0]
                size = size or own
                if own != size:
                    other = f"{file.name} {own[0]}x{own[1]}"
                    raise mixed(path, files[0], size, [other])
                yield pixels
        finally:
            for _, result in waiting:
                result.cancel()


def _only(path, file):
    """The one frame of a picture."""
    if not file.exists():
        raise container_checks.missing(file)
    known = picture_files.info(file)
    if known.frames > 1:
        raise stacked(path, file, known.frames)
    return picture_files.read(file)
