"""What is wrong shows before TensorFlow is loaded, which takes a while."""

import subprocess
import sys

import numpy as np
import pytest

from tfdecomp import cli

RUN = """
import runpy, sys
del sys.argv[0]
try:
    runpy.run_module(f"tfdecomp.{sys.argv[0]}", run_name="__main__")
finally:
    heavy = {"tensorflow", "keras"} & set(sys.modules)
    print("loaded", *sorted(heavy))
"""
INPUT = "--input={input}"
WRONG = {
    "model": ([INPUT, "--model=silot_moton"], "did you mean 'silot_motion'"),
    "input": (["--input=nowhere.mp4"], "nowhere.mp4 does not exist"),
    "outside": ([INPUT, "--region=50,0,60,10"], "region"),
    "picture": ([INPUT, "--region=mask.png"], "mask.png"),
    "size": ([INPUT, "--size=axb"], "size is 'axb'"),
    "areas": ([INPUT, "--min_area=9", "--max_area=3"], "min_area is 9"),
    "range": ([INPUT, "--range=9,3"], "range is '9,3'"),
    "length": ([INPUT, "--object_size=-1"], "object_size must be"),
}
OF_PREDICT = {
    "kinds": ([INPUT, "--write=tracks,mask"], "did you mean 'masks'?"),
    "rate": ([INPUT, "--fps=99"], "fewer than the 99"),
    "frames": ([INPUT, "--num_slots=-3"], "num_slots must be"),
}
OF_FIT = {
    "minutes": ([INPUT, "--minutes=-1"], "minutes must be"),
    "link": ([INPUT, "--link=model"], "link='model' has no place"),
}


def run(command, *words):
    return subprocess.run(
        [sys.executable, "-c", RUN, command, *words],
        capture_output=True,
        text=True,
    )


@pytest.fixture(name="film")
def _fixture_film(tmp_path):
    path = tmp_path / "film.npy"
    np.save(path, np.zeros((30, 24, 32), np.uint8))
    return path


def cases():
    for command, own in (("predict", OF_PREDICT), ("fit", OF_FIT)):
        for name, (words, message) in {**WRONG, **own}.items():
            yield pytest.param(command, words, message, id=f"{command}-{name}")


@pytest.mark.slow
@pytest.mark.parametrize(("command", "words", "message"), cases())
def test_it_is_one_line_at_once(command, words, message, film, tmp_path):
    words = [word.format(input=film) for word in words]
    if command == "predict" and not any("--model" in w for w in words):
        words.append("--model=silot_motion")
    done = run(command, *words, f"--output={tmp_path / 'out'}")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and message in line
    assert done.stdout.split() == ["loaded"]
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_and_flags_that_do_not_exist_load_nothing_heavy(command):
    done = run(command, "--help")
    assert done.stdout.count("--") > 1
    assert done.stdout.splitlines()[-1] == "loaded"
    done = run(command, "--no_such_flag")
    assert done.returncode != 0 and "no_such_flag" in done.stderr + done.stdout
    assert done.stdout.splitlines()[-1] == "loaded"


def test_the_models_are_listed_without_opening_one():
    done = run("cli", "models")
    assert "silot_motion" in done.stdout and done.stderr == ""
    assert done.stdout.splitlines()[-1] == "loaded"
