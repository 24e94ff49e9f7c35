"""Folders of exports: checked, written beside, then given their name."""

import contextlib
import json
import os
import pathlib
import shutil
import tempfile

import tensorflow as tf

from tfdecomp.exporting.check import ExportError

SIGNATURES_NAME = "signatures.json"  # in every export


def check(output, overwrite=False) -> pathlib.Path:
    """The absolute path of `output`, if an export may go there.

    Raises:
        ExportError: If something is there that must stay.
    """
    output = pathlib.Path(os.path.expanduser(output)).absolute()
    if not output.exists():
        return output
    if not output.is_dir():
        raise ExportError(f"{output} is a file; --output names a folder")
    if not any(output.iterdir()):
        return output
    if not overwrite:
        raise ExportError(
            f"{output} is not empty; choose another --output, or replace an "
            "earlier export with --overwrite"
        )
    if not (output / SIGNATURES_NAME).is_file():
        raise ExportError(
            f"{output} is not empty and holds no earlier export (no "
            f"{SIGNATURES_NAME}), so --overwrite leaves it alone; choose "
            "another --output"
        )
    return output


@contextlib.contextmanager
def replaced(output):
    """A new folder that becomes `output` once all is written.

    Args:
        output: From `check`. It is replaced if nothing is raised within;
            whatever happens, nothing else is left beside it.

    Yields:
        The folder, on the same disk.

    Raises:
        ExportError: If it cannot be written.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent)
    except OSError as error:
        raise ExportError(
            f"{output.parent} cannot be written to: {error}; choose another "
            "--output"
        ) from error
    try:
        folder = pathlib.Path(scratch) / "new"
        folder.mkdir()
        yield folder
        _move(folder, output)
    except (OSError, tf.errors.OpError) as error:
        raise ExportError(
            f"{output} could not be written: {error}. Nothing was replaced. "
            "Free some space or choose another --output"
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_json(folder, content):
    """Writes what all exports say of themselves."""
    text = json.dumps(content, indent=2) + "\n"
    (folder / SIGNATURES_NAME).write_text(text)


def read_json(folder) -> dict:
    """What `write_json` wrote."""
    return json.loads((folder / SIGNATURES_NAME).read_text())


def _move(folder, output):
    """Gives the folder its name; an old one goes only once it has it."""
    old = folder.with_name("old")
    if output.exists():
        output.rename(old)
    try:
        folder.rename(output)
    except BaseException:  # Ctrl-C as well
        if old.exists():
            old.rename(output)
        raise
