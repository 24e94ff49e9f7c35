"""The folder that a prediction fills: never a good one spoiled."""

import contextlib
import errno
import json
import os
import pathlib
import shutil

RECORD_NAME = "prediction.json"
RUNNING, FINISHED = "running", "finished"
INTERRUPTED, FAILED = "interrupted", "failed"
FULL = errno.ENOSPC, errno.EDQUOT, errno.EFBIG  # what a full disk says
_LAST_WORDS = "state", "num_frames", "error"


class OutputError(ValueError):
    """A folder that cannot be written to; says what to do."""


def check(output, overwrite=False) -> pathlib.Path:
    """The absolute path of `output`, if a prediction may go there.

    Args:
        output: A folder; it need not exist.
        overwrite: Whether an earlier prediction may be replaced.

    Raises:
        OutputError: If something is there that must stay.
    """
    if not isinstance(output, (str, os.PathLike)):
        raise OutputError(
            f"the output is the path of a folder, got {type(output).__name__}"
        )
    output = pathlib.Path(os.path.expanduser(os.fspath(output))).absolute()
    try:
        if not output.exists():
            return output
        if not output.is_dir():
            raise OutputError(f"{output} is a file; the output is a folder")
        if not any(output.iterdir()):
            return output
    except OSError as error:
        raise _unwritable(output, error) from error
    if not overwrite:
        raise OutputError(
            f"{output} is not empty; choose another folder, or replace an "
            "earlier prediction with overwrite"
        )
    if not (output / RECORD_NAME).is_file():
        raise OutputError(
            f"{output} is not empty and holds no prediction, so overwrite "
            "leaves it alone; choose another folder"
        )
    return output


def read_record(folder) -> dict:
    """What `prediction.json` of a folder says; empty if nothing can be read.

    Args:
        folder: The folder of a prediction.
    """
    try:
        text = (pathlib.Path(folder) / RECORD_NAME).read_text(encoding="utf-8")
        record = json.loads(text)
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


class OutputFolder:
    """A folder that is being filled.

    Results go to the folder at once, and stay when the work is interrupted.
    If it holds an earlier prediction, they go to `NAME.new` beside it, which
    takes its place when everything is done, and only then.

    Args:
        output: The folder.
        overwrite: Whether an earlier prediction may be replaced.

    Attributes:
        path: Where files go meanwhile.

    Raises:
        OutputError: If it cannot be written to, or something is there that
            must stay.
    """

    def __init__(self, output, overwrite=False):
        self.target = check(output, overwrite)
        is_used = self.target.is_dir() and any(self.target.iterdir())
        self.path = self.target
        if is_used:
            self.path = self.target.with_name(f"{self.target.name}.new")
            if self.path.exists():  # left by an interrupted attempt
                check(self.path, overwrite=True)
                shutil.rmtree(self.path)
        self._is_ours = not self.path.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.write_record({"state": RUNNING})
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def write_record(self, record):
        """Writes `prediction.json`."""
        write_text(self.path / RECORD_NAME, _text(record))

    def finish(self, record):
        """Writes the final record and puts the folder in its place.

        Args:
            record: JSON-able; its `state` says how the work ended, its
                `num_frames` how far it came. Without a frame nothing is left.
        """
        if not record["num_frames"]:
            (self.path / RECORD_NAME).unlink(missing_ok=True)
            if self._is_ours:
                shutil.rmtree(self.path)
            return
        try:
            self.write_record(record)
        except OSError as error:
            if error.errno not in FULL:
                raise
            self._write_last_words(record)
        if self.path == self.target or record["state"] != FINISHED:
            return
        old = self.target.with_name(f".{self.target.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        os.rename(self.target, old)
        os.rename(self.path, self.target)
        shutil.rmtree(old, ignore_errors=True)
        self.path = self.target

    def _write_last_words(self, record):
        """What matters most, in the room that the first record takes."""
        kept = {name: record[name] for name in _LAST_WORDS if name in record}
        (self.path / RECORD_NAME).write_text(_text(kept), encoding="utf-8")


def write_text(path, text):
    """Writes a file, which is whole or not there.

    Args:
        path: The file.
        text: Its content.

    Raises:
        OSError: If the disk is full; what was there before stays.
    """
    with replacing(path) as file:
        file.write(text)


@contextlib.contextmanager
def replacing(path):
    """Opens a text file that gets its name only when it is whole.

    Args:
        path: The file.

    Yields:
        The file under a hidden name.
    """
    path = pathlib.Path(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with open(partial, "w", encoding="utf-8", newline="") as file:
            yield file
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def taken_back(path):
    """Removes a file if what belongs to it could not be done."""
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _text(record):
    text = json.dumps(record, indent=2, ensure_ascii=False, default=str)
    return text + "\n"


def _unwritable(path, error):
    return OutputError(
        f"{path} cannot be written to ({error.strerror or error}); choose "
        "another folder"
    )
