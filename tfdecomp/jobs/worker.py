"""The process that does one task after the other for `tfdecomp.jobs.pool`.

It reads pickled tasks from standard input and writes pickled answers to what
was its standard output; whatever else the work prints goes to standard error.
"""

import importlib
import os
import pickle
import signal
import sys
import traceback

from tfdecomp.console import quiet


class Stop:
    """Whether the pool has asked this process to leave its work (SIGTERM)."""

    def __init__(self):
        self.requested = False
        # A terminal sends Ctrl-C to all processes; the pool decides.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._remember)

    def _remember(self, number, frame):
        self.requested = True

    def __call__(self):
        return self.requested


def main() -> None:
    """Answers until the pool closes the pipe, or asks to stop."""
    quiet.tensorflow()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    tasks = sys.stdin.buffer
    stop = Stop()
    while not stop.requested:
        try:
            function, argument = pickle.load(tasks)
        except EOFError:
            return
        pickle.dump(answer(function, argument, stop), answers)
        answers.flush()


def answer(function, argument, should_stop):
    """Calls a function by its name.

    Args:
        function: `"module:name"`.
        argument: Its argument.
        should_stop: Says whether to leave the work.

    Returns:
        `(value, None)`, or None and what went wrong in one line.
    """
    try:
        module, _, name = function.partition(":")
        work = getattr(importlib.import_module(module), name)
        return work(argument, should_stop), None
    except (ValueError, OSError, RuntimeError) as error:
        return None, " ".join(str(error).split()) or type(error).__name__
    except Exception as error:  # a fault of ours: its place is told, too
        traceback.print_exc()
        return None, f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
