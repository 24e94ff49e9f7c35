"""Threads that run ahead: in order, in bounds, and gone afterwards."""

import contextlib
import threading
import time

import pytest

from tfdecomp.prediction.ahead import AtOnce, ahead


def threads():
    return [t for t in threading.enumerate() if t.name == "ahead"]


@pytest.mark.parametrize("most", [1, 3, 100])
def test_items_come_in_their_order(most):
    assert list(ahead(iter(range(50)), most)) == list(range(50))
    assert not threads()


def test_no_more_wait_than_may():
    made = []

    def make():
        for number in range(100):
            made.append(number)
            yield number

    with contextlib.closing(ahead(make(), 4)) as items:
        assert next(items) == 0
        time.sleep(0.2)
        # Four wait, and one more is in the thread's hand.
        assert len(made) <= 1 + 4 + 1


def test_what_fails_comes_after_what_was_made_before():
    def make():
        yield 1
        yield 2
        raise OSError("no more")

    items, seen = ahead(make(), 8), []
    with pytest.raises(OSError, match="no more"):
        for item in items:
            seen.append(item)
    assert seen == [1, 2]
    assert not threads()


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_who_leaves_early_ends_the_thread_and_closes_the_source(taken):
    closed = []

    def make():
        try:
            yield from range(1000)
        finally:
            closed.append(threading.current_thread().name)

    items = ahead(make(), 1)
    for _ in range(taken):
        next(items)
    items.close()
    assert not threads()
    assert closed == (["ahead"] if taken else [])


def test_the_source_runs_while_the_reader_works():
    started = threading.Event()

    def make():
        yield "first"
        started.set()
        yield "second"

    with contextlib.closing(ahead(make(), 1)) as items:
        assert next(items) == "first"
        assert started.wait(10)  # nobody has asked for the second one


def test_functions_that_run_at_once_have_all_ended_afterwards():
    at_once, meet, done = AtOnce(2), threading.Barrier(3, timeout=10), []

    def work(name):
        meet.wait()  # passes only if all three run at the same time
        done.append(name)

    at_once(lambda: work("a"), lambda: work("b"), lambda: work("c"))
    assert sorted(done) == ["a", "b", "c"]
    at_once.close()


@pytest.mark.parametrize("where", ["first", "other"])
def test_one_that_fails_waits_for_the_others(where):
    at_once, done = AtOnce(1), []

    def fail():
        raise OSError("full")

    def work():
        time.sleep(0.05)
        done.append("worked")

    pair = (fail, work) if where == "first" else (work, fail)
    with pytest.raises(OSError, match="full"):
        at_once(*pair)
    assert done == ["worked"]
    at_once.close()
