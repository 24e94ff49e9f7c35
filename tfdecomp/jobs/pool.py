"""Tasks on several processes of this machine, each given until it is done.

A process that dies, as by a lack of memory, takes no other task with it: its
own is given to a fresh process, some times over. A task is done by one process
from its beginning to its end, and what a process has loaded stays for its next
tasks.
"""

import collections
import contextlib
import dataclasses
import os
import pickle
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

ATTEMPTS = 3  # times that a task is given to a process which then dies


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a task.

    Attributes:
        argument: What the function was called with.
        value: What it returned; None without success.
        error: What went wrong, in one line; None with success.
        attempts: Processes that it was given to.
        seconds: From its start in the last of them to its end.
    """

    argument: Any
    value: Any = None
    error: str | None = None
    attempts: int = 1
    seconds: float = 0.0


class Pool:
    """Processes that call one function.

    Args:
        function: `"module:name"` of a function of an argument, which can be
            pickled, and of `should_stop`, which says whether to leave the work.
        num_workers: Processes.
        attempts: Processes that one task is given to at most.

    Raises:
        ValueError: If there is not at least one process.

    Examples:
        >>> from tfdecomp.jobs import pool
        >>> echoes = pool.Pool("tfdecomp.jobs.pool:echo", num_workers=2)
        >>> sorted(outcome.value for outcome in echoes.run([1, 2, 3]))
        [1, 2, 3]
    """

    def __init__(self, function: str, num_workers: int, attempts=ATTEMPTS):
        if num_workers < 1:
            raise ValueError(f"workers is at least 1, got {num_workers}")
        self.function, self.num_workers = function, num_workers
        self.attempts = attempts
        self._tasks = collections.deque()
        self._outcomes = queue.SimpleQueue()
        self._processes = {}
        self._stopped = threading.Event()

    def run(
        self, arguments: Iterable, should_stop: Callable[[], bool] | None = None
    ):
        """Yields an `Outcome` for each argument, as they are done.

        Args:
            arguments: One for each task.
            should_stop: Asked several times a second; true asks the work that
                is going on to stop, and what has not begun has no outcome.
        """
        self._tasks.extend((argument, 1) for argument in arguments)
        threads = [
            threading.Thread(target=self._serve, args=(index,), daemon=True)
            for index in range(min(self.num_workers, len(self._tasks)))
        ]
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                yield from self._ready(wait=0.1)
                if should_stop and should_stop():
                    self.stop()
            yield from self._ready()
        finally:
            self.stop()
            for thread in threads:
                thread.join()

    def stop(self) -> None:
        """Asks all processes to leave their work."""
        self._stopped.set()
        for process in list(self._processes.values()):
            with contextlib.suppress(OSError):
                process.terminate()

    def _ready(self, wait=0.0):
        with contextlib.suppress(queue.Empty):
            yield (
                self._outcomes.get(timeout=wait)
                if wait
                else (self._outcomes.get_nowait())
            )
            while True:
                yield self._outcomes.get_nowait()

    def _serve(self, index):
        """Feeds one process, and the next one if it dies."""
        try:
            while not self._stopped.is_set():
                try:
                    argument, attempt = self._tasks.popleft()
                except IndexError:
                    return
                self._outcome(index, argument, attempt)
        finally:
            self._close(index)

    def _outcome(self, index, argument, attempt):
        start = time.monotonic()
        try:
            process = self._process(index)
            pickle.dump((self.function, argument), process.stdin)
            process.stdin.flush()
            value, error = pickle.load(process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            code = self._close(index)
            if self._stopped.is_set():
                return
            if attempt < self.attempts:
                self._tasks.append((argument, attempt + 1))
                return
            value, error = (
                None,
                (
                    f"{attempt} processes died of it, the last one with exit "
                    f"status {code}"
                ),
            )
        seconds = time.monotonic() - start
        self._outcomes.put(Outcome(argument, value, error, attempt, seconds))

    def _process(self, index):
        if index not in self._processes:
            self._processes[index] = subprocess.Popen(
                [sys.executable, "-m", "tfdecomp.jobs.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | _threads(self.num_workers),
            )
        return self._processes[index]

    def _close(self, index):
        process = self._processes.pop(index, None)
        if process is None:
            return None
        with contextlib.suppress(OSError):
            process.stdin.close()
        code = process.wait()
        process.stdout.close()
        return code


def echo(argument: Any, should_stop: Callable[[], bool]) -> Any:
    """Returns its argument; for examples and tests."""
    return argument


def _threads(num_workers):
    """Variables that share the cores out among processes of TensorFlow."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    each = str(max(1, cores // num_workers))
    names = (
        "OMP_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
    )
    return {name: os.environ.get(name, each) for name in names}
