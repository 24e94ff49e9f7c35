"""Runs a function in a process of its own, to see what memory it takes."""

import concurrent.futures
import multiprocessing
import pathlib

from tfdecomp.benchmarks import measure

_STATUS = pathlib.Path("/proc/self/status")


def run(function, *args, **kwargs):
    """Calls a function of a module in a new process and waits for it.

    Args:
        function: Any that its module's name finds.
        *args: Passed to it.
        **kwargs: Passed to it.

    Returns:
        What the function returns.
    """
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
        return pool.submit(function, *args, **kwargs).result()


def peak_bytes():
    """Largest resident memory of this process so far.

    `measure.peak_bytes` starts, in a new process, from the memory of the one
    that started it; this does not where the system tells (Linux).
    """
    return _status("VmHWM", measure.peak_bytes)


def resident_bytes():
    """Resident memory of this process now; its largest where unknown."""
    return _status("VmRSS", measure.peak_bytes)


def _status(name, otherwise):
    if _STATUS.is_file():
        for line in _STATUS.read_text().splitlines():
            if line.startswith(f"{name}:"):
                return 1024 * int(line.split()[1])
    return otherwise()
