"""Ctrl-C, remembered until the work can be left."""

import contextlib
import signal
import socket
import threading
import time

_BURST = 0.1  # seconds


class StopOnSignal:
    """Remembers Ctrl-C (or SIGTERM), so that a run can save and stop.

    A second one interrupts at once; what comes within a tenth of a second is
    the first, since some programs (`timeout`) send theirs to a process and to
    its group. Inside of another one, both remember.
    Python runs handlers between two of its own instructions, and a step may
    take minutes; so a thread answers in the meantime.

    Args:
        message: What to say then.
        patience: Seconds after which work that can be left is left.
    """

    signals = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, message="saving after this call ...", patience=3.0):
        self.message = message
        self.patience = patience
        self.requested = False
        self._before = {}
        self._seen = 0
        self._first = None  # when the first signal was handled
        self._leave = None
        self._lock = threading.RLock()  # also taken by the handler
        self._wakeup = None

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in self.signals:
                self._before[number] = signal.signal(number, self._remember)
            reading, self._wakeup = socket.socketpair()
            self._wakeup.setblocking(False)
            self._fd_before = signal.set_wakeup_fd(
                self._wakeup.fileno(), warn_on_full_buffer=False
            )
            threading.Thread(
                target=self._watch, args=(reading,), daemon=True
            ).start()
        return self

    def __exit__(self, *error):
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._wakeup is not None:
            signal.set_wakeup_fd(self._fd_before)
            self._wakeup.close()  # ends the thread

    @contextlib.contextmanager
    def leaving(self, leave):
        """Work that a stop may cut off where it takes long.

        Args:
            leave: Called from another thread while the work still runs; ends
                the process. None to wait for the work.
        """
        self._leave = leave
        try:
            yield
        finally:
            with self._lock:  # who is leaving already is not disturbed
                self._leave = None

    def _remember(self, number, frame):
        del frame
        now = time.monotonic()
        if self._first is not None and now - self._first < _BURST:
            return
        self._first = self._first or now
        self._seen += 1
        if self._seen > 1:
            raise KeyboardInterrupt
        outer = getattr(self._before.get(number), "__self__", None)
        if isinstance(outer, StopOnSignal):
            outer.requested = True
            outer._seen += 1
            outer._first = now
        self._answer(number)

    def _answer(self, number):
        """Says once that the signal was heard."""
        with self._lock:
            if self.requested:
                return
            self.requested = True
        name = signal.Signals(number).name
        print(f"\n{name}: {self.message}", flush=True)

    def _watch(self, reading):
        """Answers in place of a main thread that is inside of a step."""
        with reading:
            while number := self._next_stop(reading):
                self._answer(number)
                # A second signal ends the wait.
                heard = time.monotonic()
                reading.settimeout(self.patience)
                with contextlib.suppress(TimeoutError):
                    if not self._next_stop(reading, heard + _BURST):
                        return
                reading.settimeout(None)
                with self._lock:
                    if self._leave is not None:
                        self._leave()

    def _next_stop(self, reading, after=0.0):
        """Number of the next signal to heed; 0 once there is no more."""
        while data := reading.recv(1):
            if data[0] in self.signals and time.monotonic() >= after:
                return data[0]
        return 0
