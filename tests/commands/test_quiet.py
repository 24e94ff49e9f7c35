"""TensorFlow starts in silence, and nothing else is lost."""

import os
import subprocess
import sys

import pytest

from tfdecomp.console import quiet

NOISE = (
    "WARNING: All log messages before absl::InitializeLog() is called are "
    "written to STDERR\n"
    "I0000 00:00:1795993495.536293   13291 port.cc:153] oneDNN custom "
    "operations are on. To turn them off, set `TF_ENABLE_ONEDNN_OPTS=0`.\n"
    "I0000 00:00:1795993495.537391   13291 cudart_stub.cc:31] Could not find "
    "cuda drivers on your machine, GPU will not be used.\n"
)
ERRORS = (
    "E0000 00:00:1795993495.537391   13291 cuda.cc:31] no device\n"
    "F0000 00:00:1795993495.537391   13291 cpu_feature_guard.cc:31] this "
    "library needs AVX\n"
    "INFO: a line of another\n"
)


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def written(end):
    """What comes of both kinds of lines, written to the descriptor."""
    text = "".join(
        a + "\n" + b + "\n"
        for a, b in zip(NOISE.splitlines(), ERRORS.splitlines())
    )
    code = (
        "import os, signal\n"
        "from tfdecomp.console import quiet\n"
        "with quiet.without_noise():\n"
        f"    os.write(2, {text.encode()!r})\n"
        f"    {end}\n"
        "os.write(2, b'after')\n"
    )
    return run(code)


def test_the_first_lines_of_tensorflow_are_taken_out_and_no_other():
    done = written("os.write(2, b'half a line')")
    assert done.stderr == f"{ERRORS}half a lineafter"


@pytest.mark.parametrize(
    "end",
    ["os.kill(os.getpid(), signal.SIGKILL)", "os.abort()", "os._exit(3)"],
)
def test_last_words_of_a_process_come_through(end):
    done = written(end)
    assert done.returncode != 0
    assert done.stderr.startswith(ERRORS) and "after" not in done.stderr


def test_an_exception_while_loading_is_printed_whole():
    done = written("raise ImportError('no library')")
    assert done.stderr.startswith(ERRORS)
    assert done.stderr.rstrip().endswith("ImportError: no library")


def test_a_long_text_comes_through_whole():
    done = run(
        "import os\n"
        "from tfdecomp.console import quiet\n"
        "with quiet.without_noise():\n"
        "    for n in range(20000):\n"
        "        os.write(2, b'%d\\n' % n)\n"
    )
    assert done.stderr.split() == [str(n) for n in range(20000)]


def test_a_process_without_stderr_goes_on():
    done = run(
        "import os\n"
        "from tfdecomp.console import quiet\n"
        "os.close(2)\n"
        "with quiet.without_noise():\n"
        "    print('fine')\n"
    )
    assert done.stdout == "fine\n" and done.returncode == 0


def test_it_is_asked_once_and_not_after_tensorflow(monkeypatch):
    before = list(sys.meta_path)
    monkeypatch.setattr(sys, "meta_path", before.copy())
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    quiet.tensorflow()
    quiet.tensorflow()
    assert len(sys.meta_path) == len(before) + 1
    monkeypatch.setattr(sys, "meta_path", before.copy())
    monkeypatch.setitem(sys.modules, "tensorflow", sys)
    quiet.tensorflow()
    assert sys.meta_path == before


@pytest.mark.slow
def test_tensorflow_is_imported_in_silence_unless_the_user_asks():
    code = (
        "from tfdecomp.console import quiet\n"
        "quiet.tensorflow()\n"
        "import tensorflow as tf\n"
        "print(tf.__spec__.loader.__class__.__name__, float(tf.zeros([])))\n"
    )
    done = run("import os; os.environ.pop('TF_CPP_MIN_LOG_LEVEL', 0)\n" + code)
    assert done.stderr == ""
    assert done.stdout == "SourceFileLoader 0.0\n"
    assert "port.cc" in run(code, TF_CPP_MIN_LOG_LEVEL="0").stderr
