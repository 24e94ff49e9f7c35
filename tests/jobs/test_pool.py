"""Tasks on processes: each done once, whatever becomes of the processes."""

import os
import threading
import time

import pytest

from tfdecomp.jobs import pool as pool_lib

WORK = """
import os, pathlib, signal, time

def double(number, should_stop):
    return 2 * number, os.getpid()

def die_at_first(path, should_stop):
    path = pathlib.Path(path)
    if not path.exists():
        path.write_text("tried")
        os.kill(os.getpid(), signal.SIGKILL)
    return path.name

def die(argument, should_stop):
    os._exit(7)

def refuse(argument, should_stop):
    print("chatter", flush=True)
    raise ValueError("expected a video,\\n  got " + argument)

def slip(argument, should_stop):
    return [][argument]

def wait(path, should_stop):
    pathlib.Path(path).write_text("begun")
    while not should_stop():
        time.sleep(0.01)
    return "stopped"
"""


@pytest.fixture
def pool(tmp_path, monkeypatch):
    (tmp_path / "some_work.py").write_text(WORK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return lambda name, **options: pool_lib.Pool(
        f"some_work:{name}", **{"num_workers": 2, **options}
    )


def test_each_task_is_done_once_by_the_processes_that_there_are(pool):
    outcomes = list(pool("double").run(range(20)))
    assert sorted(o.argument for o in outcomes) == list(range(20))
    assert all(o.value[0] == 2 * o.argument for o in outcomes)
    assert len({o.value[1] for o in outcomes}) <= 2
    assert {o.attempts for o in outcomes} == {1}


def test_a_task_whose_process_is_killed_is_done_by_another(pool, tmp_path):
    paths = [str(tmp_path / name) for name in "abc"]
    outcomes = list(pool("die_at_first").run(paths))
    assert sorted(o.value for o in outcomes) == ["a", "b", "c"]
    assert {o.attempts for o in outcomes} == {2}


def test_a_task_that_kills_every_process_is_given_up(pool):
    (outcome,) = pool("die", attempts=2).run(["x"])
    assert outcome.error == (
        "2 processes died of it, the last one with exit status 7"
    )


def test_an_error_is_one_line_and_the_others_go_on(pool):
    outcomes = list(pool("refuse", num_workers=1).run(["a", "b"]))
    assert [o.error for o in outcomes] == [
        "expected a video, got a",
        "expected a video, got b",
    ]


def test_a_fault_is_told_with_its_kind(pool):
    (outcome,) = pool("slip").run([3])
    assert outcome.error == "IndexError: list index out of range"


def test_stopping_ends_what_runs_and_begins_nothing_more(pool, tmp_path):
    paths = [tmp_path / str(number) for number in range(5)]
    running = lambda: sum(path.exists() for path in paths) == 2  # noqa: E731
    outcomes = list(pool("wait").run(map(str, paths), should_stop=running))
    assert {o.value for o in outcomes} <= {"stopped"}
    assert len(outcomes) <= 2
    assert sum(path.exists() for path in paths) == 2


def test_no_process_is_left_when_the_caller_leaves(pool):
    threads = threading.active_count()
    for outcome in pool("double").run(range(50)):
        pid = outcome.value[1]
        break
    deadline = time.monotonic() + 10
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_an_echo_comes_back_from_a_process_as_from_here():
    (outcome,) = pool_lib.Pool("tfdecomp.jobs.pool:echo", 1).run([{"a": 1}])
    assert outcome.value == pool_lib.echo({"a": 1}, None) == {"a": 1}


def test_there_is_at_least_one_process(pool):
    with pytest.raises(ValueError, match="at least 1, got 0"):
        pool("double", num_workers=0)
