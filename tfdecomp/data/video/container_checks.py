"""What a video file is, and whether it is all there, before it is decoded."""

import mimetypes
import os
import stat

from tfdecomp.data import errors
from tfdecomp.data.video import container_walks


def check(path):
    """Notices what is missing or damaged without decoding.

    Returns:
        `(notes, frames)`: sentences about what is odd, and how many frames
        were counted; None where nothing was.

    Raises:
        MissingFileError: If there is nothing.
        LayoutError: If it is no file that can be read.
        TruncatedError: If it ends too early or is damaged.

    Examples:
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_io import write_video
        >>> from tfdecomp.data.video.container_checks import check
        >>> write_video("clip.gif", np.zeros([3, 16, 16, 3], np.uint8))
        >>> check(Path("clip.gif"))
        ([], 3)
    """
    check_file(path)
    with open(path, "rb") as file:
        head, notes, frames = file.read(16), [], None
        walk = container_walks.walk_of(path, head)
        if walk is not None:
            notes, frames = walk(path, file) or ([], None)
    return notes, frames


def check_file(path):
    """Notices what is no file, or none that may be read, or empty.

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.video.container_checks import check_file
        >>> check_file(Path("clip.mp4"))
        Traceback (most recent call last):
            ...
        tfdecomp.data.errors.MissingFileError: clip.mp4 does not exist; ...
    """
    if not path.exists():
        raise missing(path)
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise errors.LayoutError(
            f"{path} is no ordinary file",
            path=str(path),
            expected="a file",
            found="a device or a pipe",
            hint="save the video to a file first",
        )
    if not found.st_size:
        raise errors.TruncatedError(
            f"{path} is empty: it has 0 bytes",
            path=str(path),
            expected="a video",
            found="0 bytes",
            hint="fetch it again",
        )
    if not os.access(path, os.R_OK):
        raise errors.LayoutError(
            f"{path} cannot be read (Permission denied)",
            path=str(path),
            expected="a file that may be read",
            found="no permission",
            hint="check its rights",
        )


def missing(path):
    """The error of a path where there is nothing.

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.video.container_checks import missing
        >>> print(missing(Path("clip.mp4")))
        clip.mp4 does not exist; check the path
    """
    hint = "check the path"
    words = f"{path} does not exist"
    if path.is_symlink():
        words = f"{path} is a link to nothing ({os.readlink(path)})"
        hint = "restore what it leads to, or take it away"
    elif any(mark in path.name for mark in "%*?["):
        words += "; patterns of names are not read"
        hint = "name the folder of the frames"
    return errors.MissingFileError(
        words,
        path=str(path),
        expected="a video",
        found="nothing",
        hint=hint,
    )


def not_a_video(path, cause):
    """The error of a file that no decoder knows.

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.video.container_checks import not_a_video
        >>> print(not_a_video(Path("song.mp3"), cause="no picture"))
        song.mp3 cannot be read as a video (no picture): it is another kind ...
    """
    kind = mimetypes.guess_type(path.name)[0] or ""
    if path.suffix.lower() == ".npz":
        words = "it is an archive of arrays"
        hint = "write the one that is the video with numpy.save"
    elif kind and kind.split("/")[0] not in ("video", "image"):
        words = f"it is another kind of file, by its name {kind}"
        hint = "give a video file"
    else:
        words = "it is damaged, cut off or another kind of file"
        hint = "fetch it again"
    return errors.LayoutError(
        f"{path} cannot be read as a video ({cause}): {words}",
        path=str(path),
        expected="a video file",
        found=str(cause),
        hint=hint,
    )
