"""A fit that stops early: the same call goes on, others are not shut out."""

import itertools
import json
import subprocess
import sys

import pytest

from tfdecomp.data.video import video_io
from tfdecomp.fitting import run
from tfdecomp.prediction import choosing, looking, runner
from tfdecomp.prediction.footage import Footage
from tfdecomp.simulation.fixed_camera import dish


@pytest.fixture(name="video", scope="module")
def _fixture_video(tmp_path_factory):
    look = dish.Dish(num_frames=40, size=(90, 122), num_animals=2, length=20)
    path = tmp_path_factory.mktemp("dish") / "fish.mp4"
    video_io.write_video(path, dish.film(look, seed=1)["video"], fps=25)
    return str(path)


def _calls(steps_per_second):
    """Steps after each call of a training, and the seconds they took.

    As `training.loop` makes them: one step, one step that is timed, then as
    many as five seconds allow, 50 at most. The first two take longer.
    """
    step, seconds = 0, 0.0
    for number in itertools.count():
        count = 1
        if number > 1:
            count = min(50, max(1, int(5 * steps_per_second)))
        step += count
        seconds += count / steps_per_second + (20 if number < 2 else 0)
        yield step, seconds


@pytest.mark.parametrize("rate", [0.2, 1.0, 2.0, 2.4, 3.0, 11.0, 400.0])
def test_the_pace_is_measured_on_slow_and_fast_machines(rate):
    seconds = []
    pace = run.Pace(lambda: False, lambda: seconds[-1])
    for step, now in _calls(rate):
        seconds.append(now)
        if pace(step):
            break
    assert pace.is_known
    assert pace.rate == pytest.approx(rate)
    # No longer than a dozen steps, or two calls of five seconds.
    assert seconds[-1] < 40 + max(14 / rate, 13)


def test_a_training_that_was_stopped_has_no_pace():
    pace = run.Pace(lambda: True)
    assert pace(1) and not pace.is_known


def test_a_stop_before_the_plan_shuts_nobody_out(video, tmp_path):
    output = tmp_path / "fit"
    frames = output / run.FOOTAGE / "frames.npy"
    with pytest.raises(KeyboardInterrupt):
        run.fit(video, output, should_stop=frames.exists, say=lambda line: 0)
    state = json.loads((output / run.STATE_NAME).read_text())
    assert state["stage"] == run.LOOKED and state["seconds"] > 0
    request = run.Request((video,), options=runner.Options(chunk=16))
    assert run.Fit(request, output).state == state
    # With a region nothing is lost, either.
    other = run.Request((video,), options=runner.Options(region="0,0,50,50"))
    assert run.Fit(other, output).state == {}


def test_a_damaged_state_of_another_kind_is_said(video, tmp_path):
    (tmp_path / run.STATE_NAME).write_text("[1, 2]")
    with pytest.raises(run.FitError, match="cannot be read"):
        run.Fit(run.Request((video,)), tmp_path)


def test_without_a_video_there_is_no_fit(tmp_path):
    with pytest.raises(ValueError, match="no video"):
        run.fit([], tmp_path / "fit")


def test_the_scale_that_was_kept_gives_the_same_pictures(video):
    glance = looking.glance([Footage(video)])
    first = choosing.choose(glance, choosing.Asked(size=0.45), 24)
    assert first.view.size == (40, 55)
    # The ratio of their heights would make them 54 pixels wide.
    assert looking.scaled((90, 122), 40 / 90) == (40, 54)
    kept = json.loads(json.dumps(first.scale))
    again = choosing.choose(glance, choosing.Asked(), 24, kept)
    assert again.view.size == first.view.size


@pytest.mark.slow
def test_the_command_says_where_a_finished_fit_is(video, tmp_path):
    options = runner.Options(chunk=16)
    fit = run.Fit(run.Request((video,), options=options), tmp_path)
    verdict = {"level": "good", "sentence": "all is well"}
    fit._write_state(stage="finished", trust=[verdict])
    command = [sys.executable, "-m", "tfdecomp.fit", f"--input={video}"]
    command += [f"--output={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"report in {tmp_path}/out" in done.stdout
    assert done.stdout.splitlines()[-1] == "good: all is well"
