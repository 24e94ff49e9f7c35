"""The folder of a fit: whose it is, how far it came, who writes there.

Nothing in it depends on where it lies, or where the videos do: videos are
known by what they hold, and paths that the gin files need are set anew.
"""

import contextlib
import json
import os
import pathlib
import re

from tfdecomp.fitting import inputs as inputs_lib
from tfdecomp.storage import configs, saving

STATE_NAME, GIN_NAME, LOCK_NAME = inputs_lib.STATE_NAME, "fit.gin", ".fit.lock"
LOOKED = "looked"  # the stage before anything is settled
FOOTAGE, RUN, OUT = "footage", "run", "out"
_FOLDER = re.compile(r"^(\S*moving_clips\.folder = ).*$", re.MULTILINE)


class FitError(ValueError):
    """A video that no model can be fitted to; says what to do."""


class FitFolder:
    """A fit on disk.

    Args:
        path: The folder; it need not exist.

    Raises:
        FitError: If it is a file.
    """

    def __init__(self, path):
        self.path = pathlib.Path(os.path.expanduser(path)).absolute()
        if self.path.exists() and not self.path.is_dir():
            raise FitError(f"{self.path} is a file; the output is a folder")

    def read(self, identity) -> dict:
        """The state; empty where nothing is settled yet.

        Args:
            identity: JSON-able; what two calls share that are the same fit.

        Raises:
            FitError: If the folder holds something else.
        """
        path = self.path / STATE_NAME
        if not path.is_file():
            if self.path.is_dir() and self._content():
                raise FitError(
                    f"{self.path} is not empty and holds no fit; choose "
                    "another folder"
                )
            return {}
        try:
            state = json.loads(path.read_text())
            same = state["request"] == identity
        except (ValueError, KeyError, TypeError) as error:
            raise FitError(
                f"{path} cannot be read ({error}); remove {self.path} to "
                "begin again"
            ) from error
        if not same and state.get("stage") == LOOKED:
            return {}  # nothing was settled yet that another call could spoil
        if not same:
            raise FitError(
                f"{self.path} holds a fit with other videos or options; "
                "choose another folder, or give the same ones to go on"
            )
        return state

    def write(self, state):
        """Writes the state."""
        saving.write_json(self.path / STATE_NAME, state)

    def _content(self):
        return [p for p in self.path.iterdir() if p.name != LOCK_NAME]

    @contextlib.contextmanager
    def held(self):
        """Makes the folder and keeps other processes out of it.

        The system lets go of it when the process ends, however that happens.
        A folder that stays empty is removed again.

        Raises:
            FitError: If another process writes there, or nobody can.
        """
        missing = [p for p in (self.path, *self.path.parents) if not p.exists()]
        lock = self.path / LOCK_NAME
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = _locked(lock)
        except OSError as error:
            _remove_empty(missing)
            raise FitError(
                f"{self.path} cannot be written to "
                f"({error.strerror or error}); choose another folder"
            ) from error
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)  # while it is ours
            file.close()
            _remove_empty(missing)

    def settle(self):
        """Sets the paths in the gin files to where the folder now is."""
        folder = repr(str(self.path / FOOTAGE))
        for path in (
            self.path / GIN_NAME,
            self.path / RUN / configs.CONFIG_NAME,
        ):
            if not path.is_file():
                continue
            before = path.read_text()
            after = _FOLDER.sub(lambda match: match[1] + folder, before)
            if after != before:
                saving.atomic_write(path, after.encode())


def _locked(path):
    """The file of a lock, held.

    Raises:
        FitError: If another process holds it.
        OSError: If it cannot be written.
    """
    try:
        import fcntl
    except ImportError:  # not on this system; two writers go unnoticed
        return open(path, "a+")
    while True:
        file = open(path, "a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            who = file.read().strip() or "unknown"
            file.close()
            raise FitError(
                f"another process (pid {who}) writes to {path.parent}; wait "
                "for it, stop it, or choose another folder"
            ) from None
        # Whoever had it may have removed it meanwhile.
        if path.exists() and os.path.samestat(
            os.fstat(file.fileno()), path.stat()
        ):
            break
        file.close()
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _remove_empty(folders):
    """Removes folders as far as they are empty, the innermost first."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return
