"""`tfdecomp fit` on videos that the tests film themselves."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tfdecomp.data import errors
from tfdecomp.data.video import video_io
from tfdecomp.evaluation import track_files
from tfdecomp.fitting import inputs, run
from tfdecomp.prediction import regions, runner
from tfdecomp.simulation.fixed_camera import dish


@pytest.fixture(name="film", scope="module")
def _fixture_film(tmp_path_factory):
    """A video of three fish, and where they are: `(path, truth)`."""
    look = dish.Dish(num_frames=80, size=(120, 160), num_animals=3, length=22)
    scene = dish.film(look, seed=3)
    folder = tmp_path_factory.mktemp("dish")
    path, truth = folder / "fish.mp4", folder / "gt.txt"
    video_io.write_video(path, scene["video"], fps=25)
    with open(truth, "w") as file:
        for t, boxes in enumerate(scene["boxes"]):
            for n, (top, left, bottom, right) in enumerate(boxes, 1):
                size = f"{right - left},{bottom - top}"
                file.write(f"{t + 1},{n},{left + 1},{top + 1},{size},1,1,1\n")
    return path, truth


def _scores(folder, truth):
    from tfdecomp.data.formats import mot_files

    return track_files.score(
        mot_files.read_prediction(folder),
        mot_files.read(truth, is_truth=True),
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"minutes": 0}, "minutes must be a positive number"),
        ({"minutes": float("nan")}, "minutes must be a positive number"),
        ({"minutes": "a"}, "minutes must be a positive number"),
        ({"seed": 2**32}, "seed must be a number from 0"),
        ({"inputs": "frames"}, "inputs must be one of"),
    ],
)
def test_impossible_requests_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        run.Request(("a.mp4",), **fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"objects": 0}, "objects must be a positive number"),
        ({"objects": 2.5}, "without fraction"),
        ({"object_size": -1}, "object_size must be a positive number"),
        ({"min_area": "a"}, "min_area must be a positive number"),
        ({"link": "later"}, "link must be one of"),
    ],
)
def test_impossible_options_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        runner.Options(**fields)


def test_a_folder_with_something_else_is_left_alone(film, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(run.FitError, match="holds no fit"):
        run.Fit(run.Request((str(film[0]),)), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_another_request_does_not_go_on_in_the_same_folder(film, tmp_path):
    first = run.Fit(run.Request((str(film[0]),)), tmp_path / "a")
    (tmp_path / "a").mkdir()
    first._write_state(stage="planned")
    other = runner.Options(objects=5)
    with pytest.raises(run.FitError, match="other videos or options"):
        run.Fit(run.Request((str(film[0]),), options=other), tmp_path / "a")
    longer = run.Request((str(film[0]),), minutes=60)
    assert run.Fit(longer, tmp_path / "a").state["stage"] == "planned"


def test_a_damaged_state_is_said_and_not_guessed(film, tmp_path):
    (tmp_path / run.STATE_NAME).write_text("{")
    with pytest.raises(run.FitError, match="cannot be read"):
        run.Fit(run.Request((str(film[0]),)), tmp_path)


def test_a_folder_of_videos_is_one_fit_of_all_of_them(film, tmp_path):
    for name in ("b.mp4", "a.mp4", ".c.mp4"):
        (tmp_path / name).write_bytes(film[0].read_bytes())
    (tmp_path / "gt.txt").write_text("")
    found = [path.rpartition("/")[2] for path in inputs.videos_of(tmp_path)]
    assert found == ["a.mp4", "b.mp4"]
    assert inputs.videos_of(film[0]) == [str(film[0])]
    with pytest.raises(errors.MissingFileError, match="does not exist"):
        inputs.videos_of(tmp_path / "none.mp4")


def _written(tmp_path, frames):
    path = tmp_path / "bad.mp4"
    video_io.write_video(path, frames, fps=25)
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["still", "camera", "everything", "dark"])
def test_a_video_that_cannot_be_fitted_is_one_sentence(kind, tmp_path):
    rng = np.random.default_rng(0)
    scene = dish.film(dish.Dish(num_frames=40, size=(120, 160)), seed=0)
    if kind == "still":
        frames = np.repeat(scene["video"][:1], 40, 0)
        words = "nothing moves"
    elif kind == "camera":
        frames = np.stack(
            [np.roll(f, 3 * t, 1) for t, f in enumerate(scene["video"])]
        )
        words = "the camera moves"
    elif kind == "dark":
        frames = scene["video"].copy()
        frames[20:] = frames[20:] // 30
        words = "^the light is off in 50% of the frames, .* about frame 20"
    else:
        frames = rng.integers(0, 256, (40, 15, 20, 3))
        frames = frames.repeat(8, 1).repeat(8, 2).astype(np.uint8)
        words = "moves in a typical frame"
    output = tmp_path / "out"
    with pytest.raises(run.FitError, match=words):
        run.fit(_written(tmp_path, frames), output, model="silot_quick")
    assert not output.exists()


@pytest.mark.slow
def test_shipped_weights_follow_fish_they_never_saw(film, tmp_path):
    """One command, no training: three fish, the numbers that they keep."""
    path, truth = film
    output = tmp_path / "out"
    command = [sys.executable, "-m", "tfdecomp.predict"]
    command += ["--model=silot_motion", f"--input={path}"]
    command += [f"--output={output}", "--objects=3"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # Measured: recall .81, boxes of fish 22 pixels long at an IoU of a half.
    scores = _scores(output, truth)
    assert scores["recall"] > 0.75 and scores["idf1"] > 0.75
    names = {p.name for p in output.iterdir()}
    assert {"report.html", "doubtful.csv", "mot.txt", "tracks.csv"} <= names
    record = json.loads((output / "prediction.json").read_text())
    assert record["state"] == "finished" and record["num_frames"] == 80
    assert (
        done.stdout.strip()
        .splitlines()[-1]
        .startswith(record["trust"]["level"])
    )


@pytest.mark.slow
def test_a_fit_stops_keeps_what_there_is_and_goes_on(film, tmp_path):
    path, truth = film
    output, calls = tmp_path / "fit", []
    lines = []

    def stop_in_training():
        # The plan is written before the first step of the training.
        calls.append((output / run.GIN_NAME).exists())
        return sum(calls) > 2

    options = {"objects": 3, "minutes": 1.0, "say": lines.append}
    state = run.fit(path, output, should_stop=stop_in_training, **options)
    assert state["stage"] == "planned"
    import tfdecomp

    assert tfdecomp.load(output).sees == "difference"
    state = run.fit(path, output, **options)
    assert state["stage"] == "finished"
    scores = _scores(output / run.OUT, truth)
    assert scores["recall"] > 0.9 and scores["idf1"] > 0.9
    assert run.fit(path, output, **options)["stage"] == "finished"
    assert lines[-1].endswith("is finished")
    # It is compared with its own footage from now on, wherever it lies.
    moved = tmp_path / "elsewhere" / "model"
    shutil.copytree(output, moved)
    shutil.rmtree(output)
    assert run.fit(path, moved, **options)["stage"] == "finished"
    model = tfdecomp.load(moved)
    assert model.reference["error"] > 0 and model.reference["tracks"]
    same = dish.Dish(num_frames=60, size=(120, 160), num_animals=3, length=22)
    found = model.decompose(dish.film(same, seed=9)["video"], link="offline")
    assert found["trust"]["level"] != "bad", found["trust"]["sentence"]
    strange = np.full((60, 120, 160, 3), 120, np.uint8)
    y, x = np.mgrid[:120, :160]
    for t, frame in enumerate(strange):
        for k in range(14):
            place = (37 * k + 2 * t) % 120, (53 * k + 3 * t) % 160
            frame[np.hypot(y - place[0], x - place[1]) < 3] = 250
    found = model.decompose(strange, link="offline")["trust"]
    assert found["alarm"] and found["numbers"]["error"] > 1.25


@pytest.mark.slow
def test_a_training_goes_on_in_a_folder_that_was_moved(film, tmp_path):
    region = tmp_path / "region.png"
    video_io.write_png(region, np.full((120, 160), 255, np.uint8))
    first, second, lines = tmp_path / "fit", tmp_path / "moved", []
    options = {"objects": 3, "minutes": 0.1, "say": lines.append}
    options["region"] = str(region)

    def stop_in_training(folder, attempt):
        file = folder / "run" / "run.json"
        return lambda: (
            file.exists()
            and json.loads(file.read_text())["attempts"] == attempt
        )

    stop = stop_in_training(first, 1)
    state = run.fit(film[0], first, should_stop=stop, **options)
    assert state["stage"] == "planned"
    first.rename(second)
    # The training itself refuses a folder with another config.
    stop = stop_in_training(second, 2)
    state = run.fit(film[0], second, should_stop=stop, **options)
    assert state["stage"] == "planned" and "goes on" in lines[-1]
    assert str(first) not in (second / "run" / "config.gin").read_text()
    region.unlink()  # is kept with the model
    kept = json.loads((second / "info.json").read_text())["fitted"]["region"]
    assert regions.read(kept, (120, 160)).all()
