"""Tasks on the workers of a Dask cluster, each given until it is done.

Told to a scheduler instead of to processes of this machine, and else as
`tfdecomp.jobs.pool`: a worker has one task at a time and keeps what it has
loaded; one that dies costs its task alone, which another takes. Workers come
and go as they like. They run tfdecomp of the same version and see the folders
of the caller under the same names.
"""

import asyncio
import collections
import contextlib
import dataclasses
import logging as stdlib_logging
import os
import pathlib
import pickle
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from absl import logging

from tfdecomp.jobs import lease as lease_lib
from tfdecomp.jobs import pool, worker
from tfdecomp.version import __version__

_PATIENCE = 5  # seconds for a scheduler that may be away
_LONELY = 60.0  # seconds without any worker; a killed one is back in a few
_TURN = 0.1  # seconds between two looks at the tasks, in memory
_LOOK = 0.5  # and at the workers, by the network
_AT_WORK = threading.Lock()  # a Dask worker may have several threads
NOT_BOTH = (
    "--workers are processes of this machine, and --scheduler names a cluster "
    "that has its own; give one of them"
)


@dataclasses.dataclass
class _Given:
    """A task that a worker has."""

    argument: Any
    attempt: int
    future: Any
    token: str
    start: float


class Cluster:
    """Workers that call one function.

    Args:
        function: As for `tfdecomp.jobs.pool.Pool`.
        address: Of the scheduler, such as `tcp://10.0.0.1:8786`.
        folder: Where results go, which the workers share.
        paths: From an argument to what else a worker must see for it.
        attempts: Workers that one task is given to at most.
    """

    def __init__(
        self,
        function: str,
        address: str,
        folder,
        paths: Callable[[Any], Iterable] | None = None,
        attempts=pool.ATTEMPTS,
    ):
        self.function, self.address = function, address
        self.folder, self.attempts = pathlib.Path(folder), attempts
        self._paths = paths or (lambda argument: ())
        self._tasks = collections.deque()
        self._given = {}  # worker -> _Given
        self._workers = set()
        self._unfit = {}  # worker -> why
        self._looked = self._heard = -_LONELY
        self._is_stopping = False

    def run(
        self, arguments: Iterable, should_stop: Callable[[], bool] | None = None
    ):
        """Yields an `Outcome` for each argument, as they are done.

        Args:
            arguments: One for each task.
            should_stop: As for `tfdecomp.jobs.pool.Pool.run`.

        Raises:
            ValueError: If no worker can do the work, or another call shares
                work out into the folder.
            OSError: If there is no scheduler, or it was lost.
            RuntimeError: If Dask is not installed.
        """
        self._tasks.extend((argument, 1) for argument in arguments)
        if not self._tasks:
            return
        with (
            _connected(self.address) as client,
            lease_lib.taken(self.folder) as lease,
        ):
            self._heard = time.monotonic()
            while self._tasks or self._given:
                if should_stop and should_stop():
                    self._is_stopping = True
                    self._tasks.clear()
                    lease.drop_all()
                lease.beat()
                self._look(client)
                yield from self._collect(lease)
                self._give(client, lease)
                time.sleep(_TURN)

    def _look(self, client):
        """Asks which workers there are, now and then."""
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return
        self._looked = now
        try:
            self._workers = set(client.scheduler_info()["workers"])
            is_there = client.status == "running"
        except Exception:  # whatever of the network it is
            is_there = False
        if not is_there:
            raise ConnectionError(
                f"the scheduler at {self.address} was lost; once it is there "
                "again, the same command goes on"
            )
        if self._workers:
            self._heard = now

    def _collect(self, lease):
        """Yields what is done; what a worker left behind is given again."""
        for address, given in list(self._given.items()):
            if not given.future.done() and address in self._workers:
                continue
            del self._given[address]
            lease.drop(given.token)
            outcome = self._outcome(address, given)
            given.future.cancel()
            if outcome is not None:
                yield outcome

    def _outcome(self, address, given):
        """What came of a task; None if it is given again, or was left."""
        if not given.future.done():
            return self._left(address, given)
        if given.future.status != "finished":
            error = given.future.exception()
            if type(error).__name__ in ("KilledWorker", "CancelledError"):
                return self._left(address, given)
            # What else goes wrong there lies before the work: no tfdecomp.
            return self._refuse(address, given, _line(error))
        unfit, value, error = given.future.result()
        if unfit:
            return self._refuse(address, given, unfit)
        seconds = time.monotonic() - given.start
        return pool.Outcome(
            given.argument, value, error, given.attempt, seconds
        )

    def _left(self, address, given):
        if self._is_stopping:
            return None
        if given.attempt < self.attempts:
            self._tasks.append((given.argument, given.attempt + 1))
            return None
        error = f"{given.attempt} workers died of it, the last one at {address}"
        return pool.Outcome(given.argument, None, error, given.attempt)

    def _refuse(self, address, given, why):
        """A worker that gets no task any more; this one is for another."""
        self._unfit[address] = f"the worker at {address} {why}"
        logging.warning("%s; it is left out", self._unfit[address])
        if not self._is_stopping:
            self._tasks.appendleft((given.argument, given.attempt))

    def _give(self, client, lease):
        """Gives a task to each worker that has none."""
        if not self._tasks:
            return
        fit = self._workers - set(self._unfit)
        if self._workers and not fit:
            raise ValueError(next(iter(self._unfit.values())))
        if time.monotonic() - self._heard > _LONELY:
            raise ConnectionError(
                f"the scheduler at {self.address} has had no worker for "
                f"{_LONELY:.0f} seconds; start some: dask worker {self.address}"
            )
        for address in sorted(fit - set(self._given)):
            if self._tasks:
                self._submit(client, lease, address, *self._tasks.popleft())

    def _submit(self, client, lease, address, argument, attempt):
        token = lease.add()
        # As bytes: only the worker needs to know what is in it.
        task = pickle.dumps((self.function, argument))
        paths = [str(path) for path in self._paths(argument)]
        future = client.submit(
            do,
            *(task, str(lease.path), token, paths, __version__),
            key=f"tfdecomp-{token}",
            pure=False,
            workers=[address],  # else a dead one's task would go astray
            retries=0,
        )
        self._given[address] = _Given(
            argument, attempt, future, token, time.monotonic()
        )


def do(task, lease, token, paths, version):
    """Does one task, in a worker of the cluster.

    Args:
        task: Pickled name of a function and its argument.
        lease: The file of the caller's lease.
        token: The task's name in it.
        paths: What must be there.
        version: The caller's version of tfdecomp.

    Returns:
        Why this worker cannot do it, or None; then what the function returned
        and what went wrong, one of them None.
    """
    if version != __version__:
        why = f"has tfdecomp {__version__}, expected {version}; install that"
        return why, None, None
    for path in (lease, *paths):
        if not _is_there(path):
            why = (
                f"does not see {path}; give folders that all workers share "
                "under one name"
            )
            return why, None, None
    with _AT_WORK:
        _share_cores()
        held = lease_lib.Held(lease, token)
        return None, *worker.answer(*pickle.loads(task), held)


def portable(path) -> str:
    """A path that means the same on another machine that shares the folders.

    Args:
        path: Of a file or a folder, relative to the present one perhaps.
    """
    return str(pathlib.Path(os.path.expanduser(path)).absolute())


@contextlib.contextmanager
def _connected(address):
    """A client of a scheduler that answers."""
    try:
        import distributed
    except ModuleNotFoundError:
        raise RuntimeError(
            "a cluster needs Dask: pip install 'tfdecomp[cluster]'"
        ) from None
    asked = _ask(distributed, address)
    try:
        # A client that cannot connect takes long to give up its own end.
        found = asyncio.run(asked)["type"]
    except ValueError as error:
        raise ValueError(
            "--scheduler is an address such as tcp://10.0.0.1:8786, got "
            f"{address!r} ({error})"
        ) from None
    except Exception:  # a stranger's answer may be read as anything
        found = None
    if found != "Scheduler":
        raise ConnectionError(
            f"no Dask scheduler answers at {address}; start one with 'dask "
            "scheduler', or check the address"
        )
    log = stdlib_logging.getLogger("distributed")
    level = log.level
    log.setLevel(stdlib_logging.CRITICAL)  # we say in a sentence what is lost
    client = distributed.Client(
        address, timeout=_PATIENCE, set_as_default=False
    )
    try:
        yield client
    finally:
        client.close(timeout=_PATIENCE)
        log.setLevel(level)


async def _ask(distributed, address):
    async with distributed.rpc(address, timeout=_PATIENCE) as server:
        return await asyncio.wait_for(server.identity(), _PATIENCE)


def _is_there(path, seconds=3.0):
    """Whether a path exists; one just made reaches other machines late."""
    deadline = time.monotonic() + seconds
    while not os.path.exists(path):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def _share_cores():
    """Gives TensorFlow, not loaded yet, as many threads as the worker has."""
    import distributed

    threads = str(distributed.get_worker().state.nthreads)
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _line(error):
    return f"cannot do it: {type(error).__name__}: " + " ".join(
        str(error).split()
    )
