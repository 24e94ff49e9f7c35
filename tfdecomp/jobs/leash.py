"""Runs a command that must not outlive the process that asked for it.

    python -m tfdecomp.jobs.leash PROGRAM ARGUMENT ...

Standard input is the leash: it ends when the asking process does, also one
that is killed and can say nothing any more, and then the command is killed
with all of its group. SIGTERM goes on to the command, whose exit status is
that of this process.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading


def start(command, **options) -> subprocess.Popen:
    """Starts a command on a leash, in a session of its own.

    Args:
        command: Words of the command.
        **options: Further ones of `subprocess.Popen`.
    """
    words = [sys.executable, "-m", "tfdecomp.jobs.leash", *command]
    # A session of its own: Ctrl-C reaches the caller alone, which asks.
    return subprocess.Popen(
        words, stdin=subprocess.PIPE, start_new_session=True, **options
    )


def main() -> int:
    """Runs the command of the command line; its exit status."""
    process = None
    asked = threading.Event()

    def pass_on(number, frame):
        asked.set()
        if process is not None:
            process.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    if asked.is_set():  # it came while the command was being started
        process.terminate()
    threading.Thread(target=_watch, daemon=True).start()
    code = process.wait()
    # By a signal: as a shell tells it.
    return code if code >= 0 else 128 - code


def _watch():
    """Waits for the end of the leash, then ends all of the group."""
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
