"""Says in a shared folder which tasks are still wanted, and by whom.

A cluster may give a task twice: to a process that is thought dead and is not,
and to another. The file of a lease lists the tasks that count, and changes
every second; whoever works on one that is not listed, or hears nothing for
long, leaves it. It needs nothing but the folder that all share anyway.
"""

import contextlib
import json
import pathlib
import time
import uuid

NAME = ".cluster.json"
_BEAT = 1.0  # seconds between changes of the file
_STALE = 10.0  # seconds without a change: who wrote the file is gone
_PATIENCE = 120.0  # seconds that work goes on unheard; a suspended laptop


class Lease:
    """What the caller holds; `taken` makes one.

    Args:
        path: Its file.
    """

    def __init__(self, path):
        self.path = path
        self._job = uuid.uuid4().hex[:8]
        self._number, self._beats, self._last = 0, 0, 0.0
        self._tokens = []

    def add(self) -> str:
        """The name of a new task, which counts until it is dropped."""
        self._number += 1
        self._tokens.append(f"{self._job}-{self._number}")
        self._write()
        return self._tokens[-1]

    def drop(self, token):
        """Says that a task counts no more."""
        if token in self._tokens:
            self._tokens.remove(token)
            self._write()

    def drop_all(self):
        """Asks all work to end."""
        if self._tokens:
            self._tokens = []
            self._write()

    def beat(self):
        """Tells those at work that the caller lives; at any rate of calls."""
        if time.monotonic() - self._last >= _BEAT:
            with contextlib.suppress(OSError):  # a share may be away for a bit
                self._write()

    def _write(self):
        self._beats += 1
        said = {"job": self._job, "beat": self._beats, "tasks": self._tokens}
        # In place: a new file under the old name reaches other machines late.
        self.path.write_text(json.dumps(said), encoding="utf-8")
        self._last = time.monotonic()


class Held:
    """Whether to leave a task, as its worker asks many times a second.

    Args:
        path: The file of the lease.
        token: From `Lease.add`.
        patience: Seconds that the work goes on while the file stays as it is.
    """

    def __init__(self, path, token, patience=_PATIENCE):
        self.path, self.token = pathlib.Path(path), token
        self.patience = patience
        self._is_over = self._was_listed = False
        self._asked = -_BEAT
        self._began = self._heard = time.monotonic()
        self._text = None

    def __call__(self) -> bool:
        now = time.monotonic()
        if not self._is_over and now - self._asked >= _BEAT:
            self._asked = now
            self._is_over = self._ask(now)
        return self._is_over

    def _ask(self, now):
        try:
            text = self.path.read_text(encoding="utf-8")
            tasks = json.loads(text)["tasks"]
        except FileNotFoundError:
            return True
        except (OSError, ValueError):  # being written, or the share is away
            return now - self._heard > self.patience
        if text != self._text:
            self._text, self._heard = text, now
        if self.token in tasks:
            self._was_listed = True
            return now - self._heard > self.patience
        # What was just written may reach this machine late.
        return self._was_listed or now - self._began > _STALE


@contextlib.contextmanager
def taken(folder):
    """Takes the lease of a folder.

    Args:
        folder: Where the results go; made if it is not there.

    Yields:
        A `Lease`.

    Raises:
        ValueError: If another call holds it.
    """
    path = pathlib.Path(folder) / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and _is_changing(path):
        raise ValueError(
            f"another call shares work out into {folder}; wait for it, stop "
            "it, or choose another folder"
        )
    lease = Lease(path)
    path.touch()  # says at once if it cannot be written
    try:
        yield lease
    finally:
        path.unlink(missing_ok=True)


def _is_changing(path):
    """Whether somebody writes a file; one who is gone leaves it as it is."""
    before = _read(path)
    deadline = time.monotonic() + _STALE
    while time.monotonic() < deadline:
        now = _read(path)
        if now is None:
            return False
        if now != before:
            return True
        time.sleep(_BEAT / 2)
    return False


def _read(path):
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="utf-8")
    return None
