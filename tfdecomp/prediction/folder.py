"""The folder that a prediction fills: never a good one spoiled."""

import json
import os
import pathlib
import shutil

RECORD_NAME = "prediction.json"
RUNNING, FINISHED = "running", "finished"
INTERRUPTED, FAILED = "interrupted", "failed"


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
        text = json.dumps(record, indent=2, ensure_ascii=False, default=str)
        path = self.path / RECORD_NAME
        partial = path.with_name(f".{RECORD_NAME}.partial")
        partial.write_text(text + "\n", encoding="utf-8")
        os.replace(partial, path)

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
        self.write_record(record)
        if self.path == self.target or record["state"] != FINISHED:
            return
        old = self.target.with_name(f".{self.target.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        os.rename(self.target, old)
        os.rename(self.path, self.target)
        shutil.rmtree(old, ignore_errors=True)
        self.path = self.target


def _unwritable(path, error):
    return OutputError(
        f"{path} cannot be written to ({error.strerror or error}); choose "
        "another folder"
    )
