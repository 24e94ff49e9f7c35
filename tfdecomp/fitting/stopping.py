"""Stops in time: Ctrl-C is answered within seconds, whatever goes on.

Most of the work asks now and then whether to stop. What does not (a graph
that is traced, identities decided over a long video) is interrupted, and what
cannot be interrupted is ended. Files appear whole or not at all, and the same
command goes on.
"""

import _thread
import os
import signal
import socket
import sys
import threading
import time

POLITE, LATEST = 3.0, 4.5  # seconds after Ctrl-C
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
STATUS = 130  # of a process that Ctrl-C ended


class Deadline:
    """Interrupts what does not stop by itself, then ends the process.

    Signals are noticed here even while the main thread is in a library and
    cannot run their handlers. What comes after, such as a library that takes
    its time to shut down, has no longer, either.

    Args:
        polite: Seconds after which `KeyboardInterrupt` is raised in the main
            thread, by its handler of a second Ctrl-C.
        latest: Seconds after which the process ends.
        message: What is said then.
        end: Ends the process.
    """

    def __init__(
        self,
        polite=POLITE,
        latest=LATEST,
        message="interrupted; the same command goes on",
        end=os._exit,
    ):
        self._polite, self._latest = polite, latest
        self._message, self._end = message, end
        self._left = threading.Event()

    def __enter__(self):
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._before = signal.set_wakeup_fd(
            self._writer.fileno(), warn_on_full_buffer=False
        )
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *error):
        self._left.set()
        signal.set_wakeup_fd(self._before)
        self._writer.close()  # without a signal, the thread ends

    def _watch(self):
        number = b"\0"
        while number[0] not in _SIGNALS:
            number = self._reader.recv(1)
            if not number:
                self._reader.close()
                return
        # It stays open for the signals that follow.
        begin = time.monotonic()
        if not self._left.wait(self._polite):
            _thread.interrupt_main(signal.SIGINT)
        if not self._left.wait(self._latest - self._polite):
            os.write(2, f"\n{self._message}\n".encode())
        time.sleep(max(0.0, begin + self._latest - time.monotonic()))
        self._end(STATUS)


def leave(status=STATUS):
    """Ends the process, as libraries take their time to shut down."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


class Grace:
    """Asks whether to stop, and leaves a while to what then is to be done.

    True at first, so that the work ends; no longer true, so that what there
    is can be written; and true for good once the time is over.

    Args:
        should_stop: Asks.
        seconds: How long.
        clock: Gives seconds.
    """

    def __init__(self, should_stop, seconds=POLITE - 1, clock=time.monotonic):
        self._should_stop, self._seconds = should_stop, seconds
        self._clock, self._begin = clock, None

    def __call__(self):
        if self._begin is not None:
            return self._clock() - self._begin > self._seconds
        stops = bool(self._should_stop())
        if stops:
            self._begin = self._clock()
        return stops
