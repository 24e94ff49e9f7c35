"""Requests of one kind, answered together.

A thread takes the oldest request, waits a little for others like it, and
answers all of them in one call. Whoever gives up is taken out of the line
before his turn.
"""

import collections
import concurrent.futures
import dataclasses
import threading
import time
from typing import Any


@dataclasses.dataclass
class Item:
    """One request in the line.

    Attributes:
        key: What requests of one batch share.
        value: The request.
        future: Its answer.
        abandoned: Set once nobody waits for the answer any more.
        arrived: When it came.
    """

    key: Any
    value: Any
    future: concurrent.futures.Future = dataclasses.field(
        default_factory=concurrent.futures.Future
    )
    abandoned: threading.Event = dataclasses.field(
        default_factory=threading.Event
    )
    arrived: float = dataclasses.field(default_factory=time.monotonic)

    def abandon(self):
        """Nobody waits for the answer any more."""
        self.abandoned.set()
        self.future.cancel()


class Closed(RuntimeError):
    """A line that takes no more requests."""


class Batcher:
    """A line of requests, and the thread that answers them.

    Args:
        compute: `compute(key, items)` returns the answers of items that share
            a key, in their order.
        most_of: `most_of(key)` items are answered at once, at most.
        max_wait_s: Seconds that the oldest item waits for others.
        name: Name of the thread.

    Attributes:
        largest: Most items that were answered at once so far.

    Examples:
        >>> from tfdecomp.serving.batcher import Batcher
        >>> line = Batcher(lambda key, items: [key + i.value for i in items])
        >>> line.submit(1, 2).future.result()
        3
        >>> line.close()
    """

    def __init__(
        self, compute, most_of=lambda key: 1, max_wait_s=0.0, name="batcher"
    ):
        self._compute, self._most_of = compute, most_of
        self._max_wait_s, self.largest = max_wait_s, 0
        self._items, self._is_closed = collections.deque(), False
        self._changed = threading.Condition()
        self._thread = threading.Thread(
            target=self._run, name=name, daemon=True
        )
        self._thread.start()

    def __len__(self):
        """How many wait for their turn."""
        with self._changed:
            self._forget()
            return len(self._items)

    def submit(self, key, value) -> Item:
        """Puts a request at the end of the line.

        Args:
            key: What it shares with those that it may be answered with.
            value: The request.

        Returns:
            Its `Item`.

        Raises:
            Closed: If the line takes no more.
        """
        item = Item(key, value)
        with self._changed:
            if self._is_closed:
                raise Closed("no more requests are taken")
            self._items.append(item)
            self._changed.notify_all()
        return item

    def close(self):
        """Takes no more; what is in the line is still answered."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def join(self, timeout_s) -> bool:
        """Waits for the end of a closed line.

        Args:
            timeout_s: How long, in seconds.

        Returns:
            Whether everything is answered.
        """
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self):
        while True:
            batch = self._next()
            if batch is None:
                return
            self._answer(batch)
            del batch  # not to be kept until the next one comes

    def _next(self):
        """The next items of one key, maybe none; None after the last."""
        with self._changed:
            while not self._items:
                if self._is_closed:
                    return None
                self._changed.wait()
                self._forget()
            first = self._items[0]
            most = self._most_of(first.key)
            self._await_others(first, most)
            return self._taken(first.key, most)

    def _await_others(self, first, most):
        """Waits until a batch is full, or its first item has waited enough."""
        until = first.arrived + self._max_wait_s
        while not self._is_closed:
            alike = sum(item.key == first.key for item in self._items)
            left = until - time.monotonic()
            if alike >= most or left <= 0:
                return
            self._changed.wait(left)

    def _taken(self, key, most):
        """Takes items of a key out of the line, those given up aside."""
        batch, rest = [], collections.deque()
        for item in self._items:
            if item.key != key or len(batch) == most:
                rest.append(item)
            elif item.future.set_running_or_notify_cancel():
                batch.append(item)
        self._items = rest
        return batch

    def _forget(self):
        """Drops what was given up."""
        kept = [item for item in self._items if not item.future.cancelled()]
        self._items = collections.deque(kept)

    def _answer(self, batch):
        if not batch:
            return
        self.largest = max(self.largest, len(batch))
        try:
            answers = self._compute(batch[0].key, batch)
        except BaseException as error:  # whatever it is, somebody waits
            for item in batch:
                item.future.set_exception(error)
            return
        for item, answer in zip(batch, answers):
            item.future.set_result(answer)
