"""Lets a command's own lines stand alone: TensorFlow starts in silence.

While TensorFlow's libraries are loaded they write some lines on what they
found (`cudart_stub.cc`, `port.cc`) before they can read TF_CPP_MIN_LOG_LEVEL.
These lines are taken out, and nothing else is: what a process writes in its
last moments comes through as well.
"""

import contextlib
import importlib.abc
import importlib.util
import os
import re
import signal
import sys

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# "I0000 00:00:1700000000.000000    1234 port.cc:153] ..."
_NOISE = re.compile(
    rb"I\d{4} [\d:.]+ +\d+ [\w.-]+:\d+\] .*"
    rb"|WARNING: All log messages before absl::InitializeLog\(\) is called are "
    rb"written to STDERR"
)
_STDERR = 2
_PIECE = 2**16  # bytes that are read at once


def tensorflow():
    """Asks TensorFlow for errors alone, from its import on.

    A level that the user has set stays; below 1 nothing is taken out.
    """
    level = os.environ.setdefault(_LEVEL, "3")
    is_known = any(isinstance(finder, _Finder) for finder in sys.meta_path)
    if level != "0" and not is_known and "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Finds TensorFlow as always, and loads it in silence."""

    def __init__(self):
        self._is_asking = False

    def find_spec(self, name, path=None, target=None):
        if name != "tensorflow" or self._is_asking:
            return None
        self._is_asking = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._is_asking = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, loader):
        self._loader = loader

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__loader__ = module.__spec__.loader = self._loader
        with without_noise():
            self._loader.exec_module(module)


@contextlib.contextmanager
def without_noise():
    """Takes TensorFlow's first lines out of what is written to stderr.

    Another process reads along: this one may be kept in a library, or end
    there, and what it wrote must come through all the same.
    """
    try:
        kept = os.dup(_STDERR)
        sys.stderr.flush()
    except (OSError, AttributeError):  # there is none
        yield
        return
    reader, writer = os.pipe()
    child = os.fork() if hasattr(os, "fork") else None
    if child == 0:
        os.close(writer)
        _pass_on(reader, kept)
    os.close(reader)
    if child is not None:
        os.dup2(writer, _STDERR)
    os.close(writer)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, _STDERR)
        os.close(kept)
        if child is not None:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)


def _pass_on(reader, target):
    """Copies until nobody writes any more, and ends the process."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # the writer's end is ours
        rest = b""
        while data := os.read(reader, _PIECE):
            *lines, rest = (rest + data).split(b"\n")
            kept = [line + b"\n" for line in lines if _is_ok(line)]
            _write(target, b"".join(kept))
        if _is_ok(rest):
            _write(target, rest)
    finally:
        os._exit(0)


def _is_ok(line):
    return not _NOISE.fullmatch(line)


def _write(target, data):
    while data:
        data = data[os.write(target, data) :]
