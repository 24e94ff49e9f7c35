"""What is planned from a video, and the gin file that says so."""

import ast

import numpy as np
import pytest

from tests.data import moving_footage as footage
from tfdecomp.data.building import moving_clips
from tfdecomp.fitting import plan as plan_lib
from tfdecomp.storage import configs

ANCHOR = 24


@pytest.fixture(autouse=True)
def own_config():
    with configs.isolated():
        yield


@pytest.fixture(name="folder", scope="module")
def _fixture_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a folder's {name}") / "footage"
    runs = (footage.run(number, count=3) for number in range(4))
    moving_clips.write(folder, runs, footage.view())
    return folder


def _parsed(text, tmp_path):
    path = tmp_path / "fit.gin"
    path.write_text(text)
    configs.parse([path])  # refuses parameters that nobody has
    return path


@pytest.mark.parametrize("inputs", moving_clips.INPUTS)
def test_the_file_parses_and_says_what_was_planned(inputs, folder, tmp_path):
    planned = plan_lib.plan(folder, ANCHOR, inputs=inputs).with_steps(1000)
    _parsed(planned.text("fit.gin", tmp_path / "run", folder), tmp_path)
    expected = {
        "training.run.num_steps": 1000,
        "training.run.clip_lengths": planned.clip_lengths,
        "training.run.initial_model": "silot_motion",
        "training.run.eval_every": 0,
        "training.run.protocol": None,
        "data.moving_clips.folder": str(folder),
        "data.moving_clips.inputs": inputs,
        "data.moving_clips.size": planned.size,
        "models.SILOT.size_mean": planned.size_mean,
        "models.SILOT.size_deviation": planned.size_deviation,
        "schedules.WarmupCosine.num_steps": 1000,
        "schedules.WarmupCosine.peak": planned.peak,
    }
    for name, value in expected.items():
        assert configs.parameter(name) == value, name
    kinds = {"difference": "fixed", "given": "given"}
    assert configs.parameter("models.SILOT.background") == kinds[inputs]
    for name, value in (
        ("IMAGE_SIZE", planned.size),
        ("NUM_SLOTS", planned.num_slots),
        ("CLIP_LENGTH", planned.frames),
        ("COUNT_ODDS", planned.odds),
    ):
        assert configs.macro(name) == value


def test_the_header_is_that_of_every_config(folder, tmp_path):
    planned = plan_lib.plan(folder, ANCHOR)
    header = planned.text("my.gin", "runs/mine", folder).split("\n\n")[0]
    lines = header.splitlines()
    assert all(line.startswith("#") for line in lines)
    assert "--gin_file=my.gin --workdir=runs/mine" in header
    assert any(line.startswith("# Expected: ") for line in lines)


@pytest.mark.slow
def test_the_file_builds_a_model_and_its_data(folder, tmp_path):
    from tfdecomp import training

    planned = plan_lib.plan(folder, ANCHOR, initial="silot_quick")
    text = planned.with_steps(300).text("fit.gin", tmp_path, folder)
    path = _parsed(text, tmp_path)
    configs.parse([path], ["BATCH_SIZE = 2"])
    settings = training.build_settings()
    assert settings.model.num_slots == planned.num_slots
    batch = next(
        iter(settings.dataset(batch_size=2, num_frames=2, seed=0, start=0))
    )
    outputs = settings.model({"video": batch["video"]}, training=True)
    assert np.isfinite(outputs["loss"]).all()


def test_sizes_are_those_of_what_moves(folder):
    planned = plan_lib.plan(folder, ANCHOR)
    assert planned.size == 64 and planned.frames == 6
    # Nearly all boxes are squares of 8 px, a third of the anchor.
    share = 1 / (1 + np.exp(-planned.size_mean))
    assert share * ANCHOR == pytest.approx(footage.SIDE, abs=1.0)
    assert 0.4 <= planned.size_deviation <= 1.2


def test_clips_are_no_larger_than_frames_and_no_longer_than_runs(tmp_path):
    run = footage.run(0, 1, 3, (40, 80))
    moving_clips.write(tmp_path, [run], footage.view((40, 80)))
    planned = plan_lib.plan(tmp_path, ANCHOR)
    assert planned.size == 40 and planned.frames == 3
    assert planned.clip_lengths == ((0, 3),)
    assert planned.with_steps(1000).clip_lengths == ((0, 3),)


def test_what_is_settled_stays(folder):
    planned = plan_lib.plan(folder, ANCHOR, num_slots=5, odds=0.7)
    assert planned.num_slots == 5 and planned.odds == 0.7


def test_there_are_slots_for_the_crowd_and_some_more(folder):
    planned = plan_lib.plan(folder, ANCHOR)
    assert 1 + 2 + 3 <= planned.num_slots <= 1 + 3 + 3


@pytest.mark.parametrize(
    ("asked", "steps", "stages"),
    [
        (1000, 1000, ((0, 4), (625, 6))),
        (333.9, 333, ((0, 4), (200, 6))),
        (10, 200, ((0, 4), (100, 6))),
        (1e9, 6000, ((0, 4), (3750, 6))),
    ],
)
def test_steps_are_bounded_and_clips_grow_on_the_way(asked, steps, stages):
    first = plan_lib.Plan(64, 9, 6, ((0, 4),), -0.4, 0.8)
    planned = first.with_steps(asked)
    assert planned.num_steps == steps and isinstance(steps, int)
    assert planned.clip_lengths == stages
    # Planning again starts over, and all else stays.
    assert planned.with_steps(1000) == first.with_steps(1000)
    assert planned.peak == first.peak and planned.size == first.size


@pytest.mark.parametrize("num_steps", [200, 333, 500, 1234, 4999, 6000])
def test_nothing_is_lost_where_clips_grow_and_a_function_is_compiled(num_steps):
    planned = plan_lib.Plan(64, 9, 6, ((0, 4),), -0.4, 0.8)
    planned = planned.with_steps(num_steps)
    (_, (later, _)) = planned.clip_lengths
    text = planned.text("a", "b", "c")
    (line,) = [x for x in text.splitlines() if "checkpoint_every" in x]
    assert later % int(line.split("=")[1]) == 0


@pytest.mark.parametrize(
    ("rate", "steps"), [(0.3, 1), (2.9, 2), (20.0, 20), (400.0, 50)]
)
def test_the_training_asks_every_second_whether_to_stop(rate, steps):
    planned = plan_lib.Plan(64, 9, 6, ((0, 4),), -0.4, 0.8)
    text = planned.with_steps(1000, rate).text("a", "b", "c")
    assert f"training.run.steps_per_call = {steps}\n" in text


def test_text_needs_nothing_but_literals(folder):
    text = plan_lib.plan(folder, ANCHOR).with_steps(500).text("a", "b", folder)
    (line,) = [x for x in text.splitlines() if "clip_lengths" in x]
    assert ast.literal_eval(line.split("=")[1].strip()) == ((0, 4), (310, 6))


def _crowd(moving, size):
    """Things in a window around each thing, counted one by one."""
    rows = list(zip(*(moving[n].tolist() for n in ("run", "frame", "y", "x"))))
    counts = []
    for run, frame, y, x in rows:
        near = 0
        for other_run, other_frame, other_y, other_x in rows:
            if (run, frame) == (other_run, other_frame):
                near += (
                    abs(y - other_y) < size / 2 and abs(x - other_x) < size / 2
                )
        counts.append(near)
    counts.sort()
    place = 0.98 * (len(counts) - 1)
    low = int(place)
    high = min(low + 1, len(counts) - 1)
    value = counts[low] + (place - low) * (counts[high] - counts[low])
    return int(np.ceil(value))


@pytest.mark.parametrize("seed", range(6))
def test_a_crowd_is_what_counting_one_by_one_gives(seed):
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 120))
    moving = {
        "run": random.integers(0, 3, count),
        "frame": random.integers(0, 8, count),
        "y": random.uniform(0, 200, count),
        "x": random.uniform(0, 300, count),
    }
    found = plan_lib._crowd(moving, 64)
    assert found == _crowd(moving, 64) and isinstance(found, int)


def test_one_thing_is_a_crowd_of_one():
    one = {"run": [0], "frame": [3], "y": [4.0], "x": [5.0]}
    one = {name: np.array(value) for name, value in one.items()}
    assert plan_lib._crowd(one, 64) == 1


@pytest.mark.parametrize("size", [(48, 64), (480, 640), (2160, 3840)])
def test_the_runs_that_are_kept_fit_on_a_disk(size):
    kept = plan_lib.runs_to_keep(size)
    assert 8 <= kept <= 240
    bytes_ = 3 * plan_lib.RUN_LENGTH * np.prod(size)
    assert kept == 8 or kept * bytes_ <= 400 * 2**20
