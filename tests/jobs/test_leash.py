"""A command on a leash does not outlive who asked for it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tfdecomp.jobs import leash

HOLD = """
import sys, time
from tfdecomp.jobs import leash
process = leash.start(sys.argv[1:])
print(process.pid, flush=True)
time.sleep(60)
"""
PATIENT = """
import pathlib, signal, sys, time
def save(number, frame):
    pathlib.Path(sys.argv[1] + ".saved").touch()
    sys.exit(130)
signal.signal(signal.SIGTERM, save)
pathlib.Path(sys.argv[1]).touch()
time.sleep(60)
"""


def wait(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_status_and_the_words_are_the_commands(code):
    words = [sys.executable, "-c", f"print('said'); exit({code})"]
    with leash.start(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.read() == "said\n"
        assert process.wait(timeout=20) == code


def test_a_request_to_stop_reaches_the_command(tmp_path):
    words = [sys.executable, "-c", PATIENT, str(tmp_path / "begun")]
    with leash.start(words) as process:
        wait((tmp_path / "begun").exists)
        process.terminate()
        assert process.wait(timeout=20) == 130
    assert (tmp_path / "begun.saved").exists()


def test_a_command_that_ends_by_a_signal_is_told_as_a_shell_does():
    words = [sys.executable, "-c", "import os; os.abort()"]
    with leash.start(words, stderr=subprocess.DEVNULL) as process:
        assert process.wait(timeout=20) == 128 + signal.SIGABRT


def test_the_command_is_killed_with_who_asked_for_it(tmp_path):
    words = [sys.executable, "-c", PATIENT, str(tmp_path / "begun")]
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, *words], stdout=subprocess.PIPE, text=True
    ) as asking:
        group = int(asking.stdout.readline())
        wait((tmp_path / "begun").exists)
        asking.send_signal(signal.SIGKILL)
    wait(lambda: not is_alive(group))
    assert not (tmp_path / "begun.saved").exists()
