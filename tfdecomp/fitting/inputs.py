"""Which videos a fit is of; looked at before TensorFlow is loaded."""

import hashlib
import json
import os
import pathlib

from tfdecomp.data import errors
from tfdecomp.data.video import array_files, picture_files, video_frames
from tfdecomp.prediction import regions
from tfdecomp.prediction.options import Options

STATE_NAME = "fit.json"
_ENDS = 2**20  # bytes at both ends of a file that it is known by


def check(given, output, options=None) -> list[str]:
    """The videos of what was given, each of which can be read.

    Args:
        given: Paths of videos, of folders of videos or of frames.
        output: Folder for the results.
        options: `prediction.options.Options` that must suit them; None: the
            usual ones.

    Raises:
        DatasetInputError: If one cannot be read.
        ValueError: If the output is a file, or the region shows nothing of
            the first video.
    """
    output = pathlib.Path(os.path.expanduser(output))
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output} is a file; the output is a folder")
    try:
        sources = [video for one in given for video in videos_of(one)]
    except errors.MissingFileError as error:
        if not (output / STATE_NAME).is_file():
            raise
        raise errors.MissingFileError(
            f"{error.path} is gone, and the fit in {output} goes on with its "
            "video alone",
            path=error.path,
            hint="give --input as it is called now, or use the model as it "
            f"is: 'tfdecomp predict --model={output}'",
        ) from error
    options = options or Options()
    footages = [options.footage(source) for source in sources]
    regions.read(options.region, footages[0].size)
    return sources


def videos_of(source) -> list[str]:
    """Videos of a path: itself, or those in a folder that holds videos.

    Raises:
        MissingFileError: If there is nothing there.
        LayoutError: If it is no path.
    """
    if not isinstance(source, (str, os.PathLike)):
        raise errors.LayoutError(
            f"a fit reads files, got {type(source).__name__}",
            hint="pass paths of videos or of folders of frames",
        )
    path = pathlib.Path(os.path.expanduser(os.fspath(source))).absolute()
    if not path.exists():
        raise errors.MissingFileError(
            f"{path} does not exist", path=str(path), hint="check the path"
        )
    if path.is_dir():
        inside = sorted(
            str(file)
            for file in path.iterdir()
            if not file.name.startswith(".") and is_video(file)
        )
        if inside:
            return inside
    return [str(path)]


def is_video(file: pathlib.Path) -> bool:
    """Whether a file of a folder is a video of its own.

    Args:
        file: Its path.
    """
    if file.suffix.lower() in video_frames.VIDEO_SUFFIXES:
        return True
    if array_files.is_array(file):
        return array_files.is_stack(file)
    if not video_frames.is_picture(file):
        return False
    try:
        return picture_files.info(file).frames > 1
    except errors.DatasetInputError:
        return False  # said when it is read


def fingerprint(source) -> dict:
    """What a video is known by, wherever it lies: JSON-able.

    Args:
        source: Path of a video, or of a folder of frames.
    """
    path = pathlib.Path(source)
    files = [path]
    if path.is_dir():
        files = sorted(
            file
            for file in path.iterdir()
            if file.is_file() and not file.name.startswith(".")
        )
    sizes = [file.stat().st_size for file in files]
    digest = hashlib.sha256(json.dumps(sizes).encode())
    for file in files[:1] + files[-1:]:
        digest.update(_ends(file))
    return {
        "files": len(files),
        "bytes": sum(sizes),
        "sha256": digest.hexdigest(),
    }


def _ends(path):
    with open(path, "rb") as file:
        first = file.read(_ENDS)
        file.seek(max(0, path.stat().st_size - _ENDS))
        return first + file.read()
