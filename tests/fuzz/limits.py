"""How long something may take, whatever else the machine does."""

import contextlib
import signal
import time

import pytest

WAITING = 10  # times as long on the clock as it may take of the processor


@contextlib.contextmanager
def clock(most):
    """Ends the test if what is done in it never ends.

    The limit itself is for the caller to look at: it is of the processor, as
    others may be busy, too. What hangs takes none.

    Args:
        most: Seconds of the processor that it may take.

    Yields:
        A function that gives those that it took so far.
    """
    seconds = WAITING * most

    def give_up(*_):
        # Derived from BaseException: nothing on the way keeps it.
        pytest.fail(f"it hangs: more than {seconds:g} s on the clock")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    begin = time.process_time()
    try:
        yield lambda: time.process_time() - begin
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
