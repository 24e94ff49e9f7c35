"""A row for each model and precision, in a table that keeps its others."""

import csv
import subprocess
import sys

import numpy as np
import pytest

from tfdecomp.benchmarks import measure_models, measure_precision
from tfdecomp.data.video import video_io
from tfdecomp.sharing import hub

INTEL = "processor : 0\nmodel name\t: Some CPU @ 2 GHz\nflags : fpu avx512f\n"


def row(**changed):
    facts = dict.fromkeys(measure_models.COLUMNS, "")
    return {**facts, "model": "a", "precision": "float32", **changed}


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("used, is_busy", [(0, False), (100, True)])
def test_others_are_seen_by_what_processors_did_meanwhile(
    used, is_busy, tmp_path, monkeypatch
):
    stat = tmp_path / "stat"
    stat.write_text("cpu 500 0 100 1000 0 0 0 0 0 0\ncpu0 1\n")

    def pause(seconds):
        stat.write_text(f"cpu {500 + used} 0 100 1100 0 0 0 0 0 0\n")

    monkeypatch.setattr(measure_models.time, "sleep", pause)
    assert measure_models._is_busy(stat=stat) == is_busy
    assert not measure_models._is_busy(stat=tmp_path / "none")


def test_new_rows_take_the_place_of_those_of_the_same_measurement(tmp_path):
    path = tmp_path / "deep" / "speed.csv"
    measure_models.record(path, [row(fps_model=1.0), row(model="b")])
    measure_models.record(
        path,
        [row(fps_model=2.0), row(fps_model=3.0, precision="bfloat16")],
    )
    found = [(r["model"], r["precision"], r["fps_model"]) for r in read(path)]
    assert found == [
        ("b", "float32", ""),
        ("a", "float32", "2.0"),
        ("a", "bfloat16", "3.0"),
    ]


def test_rows_of_another_source_stay(tmp_path):
    path = tmp_path / "speed.csv"
    measure_models.record(path, [row(source="by hand", note="x, y")])
    measure_models.record(path, [row(source="the command")])
    assert [r["source"] for r in read(path)] == ["by hand", "the command"]
    assert read(path)[0]["note"] == "x, y"


def test_a_file_of_something_else_is_left_alone(tmp_path):
    path = tmp_path / "tracks.csv"
    path.write_text("frame,id\n0,1\n")
    with pytest.raises(ValueError, match="is no table of speeds"):
        measure_models.record(path, [row()])
    assert path.read_text() == "frame,id\n0,1\n"


def test_the_columns_are_those_of_the_results_and_of_their_table():
    from tfdecomp.evaluation import generated, runs

    with open(runs.root() / "speed.csv", newline="") as file:
        assert tuple(next(csv.reader(file))) == measure_models.COLUMNS
    columns = generated.Tables().layouts["speed"]["columns"]
    assert set(columns.values()) <= set(measure_models.COLUMNS)


def test_the_device_is_told_in_words(tmp_path):
    (tmp_path / "cpuinfo").write_text(INTEL)
    told = measure_models.device(tmp_path / "cpuinfo")
    assert told.endswith(" of Some CPU @ 2 GHz with AVX-512")
    assert " of " in measure_models.device(tmp_path / "nowhere")


def test_the_film_shows_discs_that_move_before_a_still_ground(tmp_path):
    measure_models.film(tmp_path / "a.mp4", 8, (48, 64))
    frames, rate = video_io.read_video(tmp_path / "a.mp4")
    assert frames.shape == (8, 48, 64, 3) and rate == 30
    moved = np.ptp(frames.astype(int), axis=0).max(-1) > 60
    assert 0.02 < moved.mean() < 0.6


def test_a_model_agrees_with_itself_and_one_without_masks_cannot():
    loaded = hub.load("connected_components")
    shape = (2, 3, *loaded.model.image_size, loaded.model.channels)
    clips = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert measure_precision.agreement(loaded, clips) == 1.0
    loaded = hub.load("vae_digits_quick")
    shape = (1, 1, *loaded.model.image_size, loaded.model.channels)
    with pytest.raises(ValueError, match="gives no masks"):
        measure_precision.agreement(loaded, np.zeros(shape, np.uint8))


def test_agreement_is_measured_on_clips_of_the_models_own_set():
    asked = []

    def fresh_clips(name, *, seed, num_clips):
        asked.append(name)
        rng = np.random.default_rng(seed)
        for length in [1, 2] * (num_clips // 2):
            size = (length, 14, 14, 3)
            yield {"video": rng.integers(0, 256, size, dtype=np.uint8)}

    name = "iodine_tetrominoes_quick"
    (found,) = measure_precision.compare(fresh_clips, [name])
    assert asked == [found["dataset"]]
    assert 0.5 < found["agreement"] <= 1.0


def test_a_set_that_cannot_be_made_is_told_and_the_next_one_measured():
    def fresh_clips(name, **kwargs):
        raise ValueError("no files")

    names = ["vae_digits_quick", "connected_components"]
    rows = list(measure_precision.compare(fresh_clips, names))
    assert [found["left_out"] for found in rows] == ["no files"] * 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lavae_digits_quick", "silot_motion"])
def test_the_command_measures_a_model_and_writes_its_row(name, tmp_path):
    path = tmp_path / "speed.csv"
    command = [sys.executable, "-m", "tfdecomp.benchmark", "--all_models"]
    command += [f"--models={name}", "--frames=40", f"--output={path}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = read(path)
    assert [r["precision"] for r in rows][:1] == ["float32"]
    for found in rows:
        assert found["model"] == name and found["frames"] == "40"
        assert found["frame_size"] == "320x240"
        assert 0 < float(found["fps_to_file"]) < 1e5
        assert float(found["fps_model"]) > 0
        assert float(found["first_frame_s"]) > 0
        assert int(found["memory_mib"]) > 100
    assert "fps_to_file" in done.stdout
