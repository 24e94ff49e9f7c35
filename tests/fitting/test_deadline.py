"""Ctrl-C is answered in time, whatever the main thread does."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest

from tfdecomp.fitting import stopping

# As the command does it, without what takes long to load. `_remember` stands
# for `tfdecomp.signals.StopOnSignal`: a second signal interrupts.
SCRIPT = """
import hashlib, signal, sys, time
from tfdecomp.fitting import stopping

requested = False

def remember(number, frame):
    global requested
    if requested:
        raise KeyboardInterrupt
    requested = True

signal.signal(signal.SIGINT, remember)
try:
    with stopping.Deadline(polite=0.5, latest=1.0):
        print("ready", flush=True)
        {work}
    print("asked", flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
{after}
"""
ASKS = "while not requested: time.sleep(0.01)"
TRACES = "while True: pass"
COMPUTES = "hashlib.pbkdf2_hmac('sha256', b'a', b'b', 10**9)"


def started(script):
    """A process of its own that has said it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(
    ("work", "after", "words", "status"),
    [
        (ASKS, "", "asked", 0),
        (TRACES, "", "interrupted", 0),
        (COMPUTES, "", "", 130),
        # A library that takes long to shut down.
        (ASKS, "time.sleep(60)", "asked", 130),
    ],
)
def test_whatever_goes_on_ends_in_time(work, after, words, status):
    script = SCRIPT.format(work=work, after=textwrap.dedent(after))
    process = started(script)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=30)
    # A second in all; the rest is for a busy machine.
    assert time.monotonic() - begin < 10
    assert said.strip() == words and process.returncode == status, errors
    is_cut = status == 130 and not after
    assert ("the same command goes on" in errors) == is_cut


def test_what_was_said_is_seen_although_the_process_ends_at_once():
    script = "import atexit, time; atexit.register(time.sleep, 60)\n"
    script += "from tfdecomp.fitting import stopping\n"
    script += "print('stopped'); stopping.leave()"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 130 and done.stdout == "stopped\n"


def test_a_third_signal_does_no_harm():
    script = SCRIPT.format(work=TRACES, after="time.sleep(0.2)")
    process = started(script)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=30)
    assert said == "interrupted\n" and not errors


def test_without_a_signal_nothing_is_left():
    ended = []
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)
    with stopping.Deadline(polite=0.01, latest=0.02, end=ended.append):
        time.sleep(0.05)
    time.sleep(0.05)
    assert not ended
    assert signal.set_wakeup_fd(before) == before


def test_grace_leaves_time_to_write_what_there_is():
    now, asked = [0.0], [False]
    grace = stopping.Grace(lambda: asked[0], 2.0, lambda: now[0])
    assert not grace()
    asked[0] = True
    assert grace()  # the work ends
    now[0] = 1.9
    assert not grace()  # what there is is written
    now[0] = 2.1
    assert grace() and grace()
