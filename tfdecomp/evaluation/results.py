"""Results on disk: one JSON object each, or a list of them, written whole."""

import contextlib
import json
import os
import pathlib

NAME = "results.json"


class ResultsError(ValueError):
    """A file of results that cannot be used; says what to do."""


def write(path, result) -> pathlib.Path:
    """Writes one result as a JSON object; replaces what was there.

    Args:
        path: The file; its folder is made if missing.
        result: What `runner.evaluate` returned.
    """
    return write_text(path, _as_json(result))


def write_text(path, text) -> pathlib.Path:
    """Writes a file so that it is either as before or complete.

    Args:
        path: The file; its folder is made if missing.
        text: Its content.

    Raises:
        ResultsError: If there is a folder of that name.
    """
    path = pathlib.Path(os.path.expanduser(path))
    if path.is_dir():
        raise ResultsError(
            f"{path} is a folder; name the file, such as {path / 'scores.json'}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, text)
    return path


def append(folder, result) -> pathlib.Path:
    """Adds a result to the list in a folder's `results.json`.

    The file is either as before or complete, and of two processes that append
    at once neither is lost.

    Args:
        folder: A work directory.
        result: What `runner.evaluate` returned.

    Raises:
        ResultsError: If the file is not a list of results; it is left alone.
    """
    folder = pathlib.Path(os.path.expanduser(folder))
    path = folder / NAME
    with locked(folder):
        earlier = read(path) if path.exists() else []
        _replace(path, _as_json([*earlier, result]))
    return path


def read(path) -> list[dict]:
    """The results in a file: a list of them, or a single one.

    Args:
        path: The file, or a folder with a `results.json`.

    Raises:
        ResultsError: If there is no such file, or it holds something else.
    """
    path = pathlib.Path(os.path.expanduser(path))
    if path.is_dir():
        path = path / NAME
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise ResultsError(
            f"there are no results at {path}; run 'python -m "
            "tfdecomp.evaluate' first"
        ) from None
    except ValueError as error:
        raise ResultsError(
            f"{path} is not JSON ({error}); move it out of the way"
        ) from error
    content = content if isinstance(content, list) else [content]
    for entry in content:
        if not isinstance(entry, dict) or "protocol" not in entry:
            raise ResultsError(
                f"{path} does not hold results of tfdecomp.evaluate: expected "
                "JSON objects with a 'protocol'; move it out of the way"
            )
    return content


def _as_json(content):
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _replace(path, text):
    """Writes beside the file, then renames."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(folder):
    """Keeps other processes of ours out of a folder's results.

    Args:
        folder: It must exist.
    """
    try:
        import fcntl
    except ImportError:  # not on this system: two writers go unnoticed
        yield
        return
    # The folder itself is the lock, so no lock file is left behind.
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
