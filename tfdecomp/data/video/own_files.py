"""What somebody's own files share, videos and pictures: a folder is searched
and its files are divided into splits."""

import os
import pathlib

import numpy as np

from tfdecomp.data import errors
from tfdecomp.data.video import frame_folders


def folder_of(path, what, layout, dataset=None) -> pathlib.Path:
    """The folder of a path.

    Args:
        path: Its path; `~` is the home.
        what: What it should hold, such as `"videos"`.
        layout: How, for the message.
        dataset: Name of the dataset, for the message.

    Raises:
        MissingFileError: If there is no such folder.

    Examples:
        >>> from tfdecomp.data.video import own_files
        >>> own_files.folder_of(".", "videos", "").is_dir()
        True
    """
    folder = pathlib.Path(path).expanduser()
    if folder.is_dir():
        return folder
    found = "is no folder" if folder.exists() else "does not exist"
    raise errors.MissingFileError(
        f"the folder {folder} {found}",
        dataset=dataset,
        path=str(folder),
        expected=f"a folder of {what}",
        found=found,
        hint=f"check its name.\n{layout}",
    )


def walk(folder):
    """Files of a folder and the folders in it, linked ones too; none hidden.

    Args:
        folder: The folder.

    Yields:
        `(folder, files)`, paths by name.

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.video import own_files
        >>> Path("a.png").touch()
        >>> [[path.name for path in files] for _, files in own_files.walk(".")]
        [['a.png']]
    """
    entered = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        # A link may lead back to where it is.
        place = os.path.realpath(root)
        if place in entered:
            folders[:] = []
            continue
        entered.add(place)
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        names = sorted(name for name in files if not name.startswith("."))
        yield pathlib.Path(root), [pathlib.Path(root, name) for name in names]


def in_order(paths, folder) -> list[pathlib.Path]:
    """Paths by name, in which 10 comes after 9.

    Args:
        paths: Paths below the folder.
        folder: The folder.

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.video import own_files
        >>> paths = [Path("a10.png"), Path("a9.png")]
        >>> [path.name for path in own_files.in_order(paths, ".")]
        ['a9.png', 'a10.png']
    """
    return sorted(
        paths,
        key=lambda path: [
            frame_folders.natural(pathlib.Path(part))
            for part in path.relative_to(folder).parts
        ],
    )


def refused(error, dataset) -> errors.DatasetInputError:
    """The error of a build that ends at a file which cannot be read.

    Args:
        error: What reading it raised.
        dataset: Name of the dataset.

    Examples:
        >>> from tfdecomp.data import errors
        >>> from tfdecomp.data.video import own_files
        >>> error = errors.DatasetInputError("it is cut off", hint="fetch it")
        >>> own_files.refused(error, "mine").problem
        'it is cut off; nothing was written'
    """
    return errors.DatasetInputError(
        f"{error.problem}; nothing was written",
        dataset=dataset,
        path=error.path,
        expected=error.expected,
        found=error.found,
        hint=f"{error.hint}; or set unreadable = 'skip' to go on without it",
    )


def chosen_for_test(count, share, seed, alone) -> list[int]:
    """Which of so many are the test split.

    Args:
        count: How many there are.
        share: Share of them; between 0 and 1 both splits have at least one.
        seed: Seed of the choice.
        alone: The error if there is one, which cannot be in both.

    Examples:
        >>> from tfdecomp.data.video import own_files
        >>> len(own_files.chosen_for_test(10, 0.2, seed=0, alone=None))
        2
    """
    wanted = round(share * count)
    if 0 < share < 1:
        if count < 2:
            raise alone
        wanted = min(max(wanted, 1), count - 1)
    sequence = np.random.SeedSequence([seed, count])
    rng = np.random.Generator(np.random.Philox(sequence))
    return rng.permutation(count)[:wanted].tolist()
