"""The line of requests: who is answered together, and who is left out."""

import threading
import time

import pytest

from tfdecomp.serving.batcher import Batcher, Closed


class Held:
    """Computes when it is let, and remembers what it was given."""

    def __init__(self):
        self.batches, self.go = [], threading.Event()

    def __call__(self, key, items):
        self.go.wait(10)
        self.batches.append((key, [item.value for item in items]))
        return [10 * item.value for item in items]


def until_begun(line):
    """Waits until what is in the line is being computed."""
    while len(line):
        time.sleep(0.01)


@pytest.fixture
def held():
    return Held()


def test_requests_of_one_kind_are_answered_together(held):
    line = Batcher(held, lambda key: 8)
    first = line.submit("a", 1)
    until_begun(line)
    others = [line.submit("a", value) for value in (2, 3)]
    held.go.set()
    answers = [item.future.result(10) for item in (first, *others)]
    assert answers == [10, 20, 30]
    assert held.batches == [("a", [1]), ("a", [2, 3])]


def test_requests_of_other_kinds_keep_their_order_and_are_not_mixed(held):
    line = Batcher(held, lambda key: 8)
    first = line.submit("a", 1)
    until_begun(line)
    items = [line.submit(*pair) for pair in [("b", 2), ("a", 3), ("b", 4)]]
    held.go.set()
    for item in (first, *items):
        item.future.result(10)
    assert held.batches == [("a", [1]), ("b", [2, 4]), ("a", [3])]


def test_no_more_are_answered_at_once_than_is_allowed(held):
    line = Batcher(held, lambda key: 2)
    first = line.submit("a", 0)
    until_begun(line)
    items = [line.submit("a", value) for value in (1, 2, 3)]
    held.go.set()
    for item in (first, *items):
        item.future.result(10)
    assert [len(values) for _, values in held.batches] == [1, 2, 1]


def test_a_request_waits_for_others_and_no_longer_than_it_should(held):
    held.go.set()
    line = Batcher(held, lambda key: 3, max_wait_s=30)
    items = [line.submit("a", value) for value in (1, 2, 3)]
    for item in items:  # a full batch waits for nobody
        item.future.result(10)
    assert held.batches == [("a", [1, 2, 3])]
    line = Batcher(held, lambda key: 3, max_wait_s=0.05)
    assert line.submit("a", 4).future.result(10) == 40


def test_who_gives_up_leaves_the_line_and_costs_nothing(held):
    line = Batcher(held, lambda key: 8)
    first = line.submit("a", 1)
    until_begun(line)
    lost, kept = line.submit("a", 2), line.submit("a", 3)
    assert len(line) == 2
    lost.abandon()
    assert len(line) == 1 and lost.abandoned.is_set()
    held.go.set()
    assert first.future.result(10) == 10 and kept.future.result(10) == 30
    assert ("a", [3]) in held.batches


def test_what_goes_wrong_is_told_to_all_and_the_line_goes_on():
    def fail(key, items):
        if key == "bad":
            raise ArithmeticError("no answer")
        return [item.value for item in items]

    line = Batcher(fail, lambda key: 8, max_wait_s=0.1)
    items = [line.submit("bad", value) for value in range(2)]
    for item in items:
        with pytest.raises(ArithmeticError, match="no answer"):
            item.future.result(10)
    assert line.submit("good", 5).future.result(10) == 5


def test_a_closed_line_answers_what_it_has_and_takes_no_more(held):
    line = Batcher(held, lambda key: 1)
    items = [line.submit("a", value) for value in (1, 2)]
    line.close()
    with pytest.raises(Closed):
        line.submit("a", 3)
    assert not line.join(0.01)
    held.go.set()
    assert [item.future.result(10) for item in items] == [10, 20]
    assert line.join(10)
