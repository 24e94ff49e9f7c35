"""Where the files of CLEVRER lie, and what is said of bad ones."""

import pathlib

from tfdecomp.data import errors

LAYOUT = """\
Expected folders in the manual folder, unpacked from the archives below
http://data.csail.mit.edu/clevrer/ (about them: http://clevrer.csail.mit.edu):
  video_train/video_00000-01000/video_00000.mp4
      from videos/train/video_train.zip, 12.35 GB
  video_validation/video_10000-11000/video_10000.mp4
      from videos/validation/video_validation.zip, 6.21 GB
  annotation_train/annotation_00000-01000/annotation_00000.json
      from annotations/train/annotation_train.zip, 157 MB
  annotation_validation/annotation_10000-11000/annotation_10000.json
      from annotations/validation/annotation_validation.zip, 78 MB
  derender_proposals/sim_00000.json (or processed_proposals/sim_00000.json)
      from derender_proposals.zip, about 0.4 GB, unpacked 2.9 GB
and so on, a thousand videos in a folder: 00000 to 09999 for training, 10000 to
14999 for validation. The config "train" needs video_train only; "slices345"
and "slices6" need the others; with the masks of the authors of PROVIDE, which
are taken where they lie, they need no proposals:
  author_masks/3/video_10000/video.mp4   3 to 6 is the number of objects
Videos have 128 frames of 480 x 320 pixels."""

SIZE = (320, 480)
CROP = slice(80, 400)  # columns that are shown
# Folder of the proposals: as released, and as some have unpacked it.
PROPOSALS = ("derender_proposals", "processed_proposals")
AUTHOR_MASKS = "author_masks"  # folder of the masks of PROVIDE's authors


def video(part, number):
    """Path of a video in the manual folder.

    Examples:
        >>> from tfdecomp.data.formats.clevrer.clevrer_layout import video
        >>> str(video("train", 7))
        'video_train/video_00000-01000/video_00007.mp4'
    """
    return _in_thousands("video", part, number, ".mp4")


def annotation(part, number):
    """Path of the annotation of a video.

    Examples:
        >>> from tfdecomp.data.formats.clevrer.clevrer_layout import annotation
        >>> annotation("validation", 10007).name
        'annotation_10007.json'
    """
    return _in_thousands("annotation", part, number, ".json")


def _in_thousands(kind, part, number, suffix):
    first = number // 1000 * 1000
    return pathlib.PurePosixPath(
        f"{kind}_{part}",
        f"{kind}_{first:05d}-{first + 1000:05d}",
        f"{kind}_{number:05d}{suffix}",
    )


def proposals(folder, number):
    """Path of the proposals of a video; `folder` is one of `PROPOSALS`.

    Examples:
        >>> from tfdecomp.data.formats.clevrer.clevrer_layout import proposals
        >>> str(proposals("derender_proposals", 7))
        'derender_proposals/sim_00007.json'
    """
    return pathlib.PurePosixPath(folder, f"sim_{number:05d}.json")


def author_masks(count, number):
    """Path of the masks of a test window with `count` objects.

    Examples:
        >>> from tfdecomp.data.formats.clevrer.clevrer_layout import (
        ...     author_masks,
        ... )
        >>> str(author_masks(count=3, number=10000))
        'author_masks/3/video_10000/video.mp4'
    """
    return pathlib.PurePosixPath(
        AUTHOR_MASKS, str(count), f"video_{number:05d}", "video.mp4"
    )


def error(
    kind, problem, *, path, dataset, expected=None, found=None, advice=None
):
    """An error about a file, with the layout that was expected.

    Args:
        kind: A `DatasetInputError`.
        problem: See there.
        path: The file.
        dataset: Name of the dataset.
        expected: What was expected.
        found: What came.
        advice: What to do; by default, to fetch the file again.

    Examples:
        >>> from tfdecomp.data.errors import LayoutError
        >>> from tfdecomp.data.formats.clevrer.clevrer_layout import error
        >>> print(error(LayoutError, "2 frames", path="a.mp4", dataset="a"))
        a: 2 frames; fetch the file again. ...
    """
    return kind(
        problem,
        dataset=dataset,
        path=str(path),
        expected=expected,
        found=found,
        hint=f"{advice or 'fetch the file again'}.\n{LAYOUT}",
    )


def annotation_error(file, field, expected, found):
    """An `AnnotationError` about a field.

    Args:
        file: What reads it, with `path` and `dataset`.
        field: Name of the field.
        expected: See `error`.
        found: See `error`.

    Examples:
        >>> from types import SimpleNamespace
        >>> from tfdecomp.data.formats.clevrer.clevrer_layout import (
        ...     annotation_error,
        ... )
        >>> file = SimpleNamespace(path="a.json", dataset="clevrer")
        >>> print(annotation_error(file, "shape", expected="cube", found="cub"))
        clevrer: a.json: shape is wrong: expected cube, got cub; ...
    """
    return error(
        errors.AnnotationError,
        f"{file.path}: {field} is wrong: expected {expected}, got {found}",
        path=file.path,
        dataset=file.dataset,
        expected=expected,
        found=found,
    )
