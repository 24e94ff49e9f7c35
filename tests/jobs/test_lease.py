"""Leases: work that nobody wants any more is left."""

import json
import threading
import time

import pytest

from tfdecomp.jobs import lease as lease_lib


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(lease_lib, "_BEAT", 0.05)
    monkeypatch.setattr(lease_lib, "_STALE", 0.3)


def is_left(held, seconds=5):
    """Whether a worker that asks and asks leaves its task."""
    deadline = time.monotonic() + seconds
    while not held():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_a_task_goes_on_while_its_caller_lives_and_wants_it(tmp_path):
    with lease_lib.taken(tmp_path) as lease:
        held = lease_lib.Held(lease.path, lease.add(), patience=0.3)
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            lease.beat()
            assert not held()
            time.sleep(0.01)


def test_one_task_is_dropped_and_the_other_goes_on(tmp_path):
    with lease_lib.taken(tmp_path) as lease:
        tokens = [lease.add(), lease.add()]
        one, other = (lease_lib.Held(lease.path, t) for t in tokens)
        assert not one() and not other()
        lease.drop(tokens[0])
        assert is_left(one)
        assert not is_left(other, seconds=0.5)
        lease.drop_all()
        assert is_left(other)


def test_a_task_is_left_when_its_caller_leaves(tmp_path):
    with lease_lib.taken(tmp_path) as lease:
        held = lease_lib.Held(lease.path, lease.add())
        assert not held()
    assert is_left(held)
    assert not any(tmp_path.iterdir())


def test_a_task_is_left_when_its_caller_was_killed(tmp_path):
    with lease_lib.taken(tmp_path) as lease:
        held = lease_lib.Held(lease.path, lease.add(), patience=0.3)
        assert is_left(held)  # nothing beats


def test_a_file_that_arrives_late_or_in_parts_stops_nothing(tmp_path):
    path = tmp_path / "lease"
    path.write_text(json.dumps({"job": "a", "beat": 1, "tasks": []}))
    held = lease_lib.Held(path, "a-1")
    assert not held()
    path.write_text('{"job": "a", "bea')
    time.sleep(0.1)
    assert not held()
    path.write_text(json.dumps({"job": "a", "beat": 2, "tasks": ["a-1"]}))
    assert not is_left(held, seconds=0.6)


def test_a_folder_has_one_caller_at_a_time(tmp_path):
    done = threading.Event()

    def hold():
        with lease_lib.taken(tmp_path) as lease:
            while not done.wait(0.02):
                lease.beat()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        while not (tmp_path / lease_lib.NAME).exists():
            time.sleep(0.01)
        with pytest.raises(ValueError, match="another call shares work out"):
            with lease_lib.taken(tmp_path):
                pass
    finally:
        done.set()
        thread.join()


def test_what_a_killed_caller_has_left_is_taken_over(tmp_path):
    left = tmp_path / lease_lib.NAME
    left.write_text(json.dumps({"job": "a", "beat": 9, "tasks": ["a-1"]}))
    old = lease_lib.Held(left, "a-1")
    assert not old()
    with lease_lib.taken(tmp_path) as lease:
        lease.add()
        assert is_left(old)


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        with lease_lib.taken(tmp_path / "file" / "out"):
            pass
