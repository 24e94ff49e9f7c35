"""Work that goes on in threads while others wait, in order and in bounds."""

import concurrent.futures
import contextlib
import queue
import threading


class _End:
    """The last of what a thread hands over, with what ended it."""

    def __init__(self, error=None):
        self.error = error


def ahead(items, most):
    """Yields what another iterator yields, which runs ahead in a thread.

    Close it, or read it to its end: the thread has ended then, and the other
    iterator is closed.

    Args:
        items: The iterator. Only the thread touches it from now on.
        most: How many of its items may wait to be taken.

    Yields:
        The items, in their order.

    Raises:
        BaseException: Whatever the iterator raises, after the items before.

    Examples:
        >>> from tfdecomp.prediction.ahead import ahead
        >>> list(ahead(iter("abc"), most=2))
        ['a', 'b', 'c']
    """
    waiting = queue.Queue(max(1, most))
    is_over = threading.Event()

    def work():
        end = _End()
        try:
            with _closing(items):
                for item in items:
                    waiting.put(item)
                    del item  # it is another's now, and may be large
                    if is_over.is_set():
                        return
        except BaseException as error:
            end = _End(error)
        if not is_over.is_set():
            waiting.put(end)

    thread = threading.Thread(target=work, name="ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := waiting.get(), _End):
            yield item
            del item
        if item.error is not None:
            raise item.error
    finally:
        is_over.set()
        with contextlib.suppress(queue.Empty):
            while True:  # who waits for room can go on, and leave
                waiting.get_nowait()
        thread.join()


def _closing(items):
    if hasattr(items, "close"):
        return contextlib.closing(items)
    return contextlib.nullcontext()


class AtOnce:
    """A few threads for what belongs to one frame and can be done at once.

    Args:
        count: How many.
    """

    def __init__(self, count):
        self._pool = concurrent.futures.ThreadPoolExecutor(count, "draw")

    def __call__(self, first, *others):
        """Calls functions without arguments; returns when all have ended.

        Args:
            first: Runs here.
            *others: Run in the threads.

        Raises:
            BaseException: What the first of them, in this order, raised.
        """
        begun = [self._pool.submit(other) for other in others]
        try:
            first()
        finally:
            concurrent.futures.wait(begun)
        for other in begun:
            other.result()

    def close(self):
        """Ends the threads."""
        self._pool.shutdown()
