"""Thresholds of connected components: chosen on some clips, used on others."""

import itertools
import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfdecomp import builders
from tfdecomp.console import commands
from tfdecomp.data import errors
from tfdecomp.data.formats import mnist_files
from tfdecomp.evaluation import component_thresholds, tracking
from tfdecomp.evaluation.protocol import Protocol
from tfdecomp.models.connected_components import ConnectedComponents
from tfdecomp.simulation.digits import digit_banks

NAME = "scattered_shapes/quick"
PROTOCOL = Protocol(tracking="boxes")
MASKS, COLORS = (1e-4, 0.5, 1.5, 4.0), (0.2, 0.9, 0.96, 1.0001)


def batch(split, seed, num_clips=3, padding=0):
    """A batch as an opener yields it."""
    clips = list(
        builders.fresh_clips(NAME, split, seed=seed, num_clips=num_clips)
    )
    clips += clips[:1] * padding
    values = {n: np.stack([c[n] for c in clips]) for n in ("video", "boxes")}
    return {
        **values,
        "num_objects": np.array([c["num_objects"] for c in clips]),
        "valid": np.arange(len(clips)) < num_clips,
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nothing")
    metadata = builders.make(NAME, folder).info.metadata
    return ConnectedComponents(
        metadata["value_names"]["color"].values(), num_slots=20
    )


@pytest.fixture(scope="module")
def clips(model):
    return component_thresholds.read(model, [batch("validation_n05", 1)])


def score(model, maps, labels, pair):
    """All scores of one pair of thresholds."""
    record = tracking.Tracking(PROTOCOL)
    found = component_thresholds.found(model, maps, [pair] * len(maps))
    record.add(found, labels)
    return record.result()


def test_padding_is_not_read(model):
    padded = batch("validation_n02", 1, num_clips=2, padding=2)
    maps, labels = component_thresholds.read(model, [padded, padded])
    assert len(maps) == len(labels["boxes"]) == 4
    assert labels["num_objects"].tolist() == [2] * 4


def test_the_whole_grid_finds_the_best_pair_of_each_score(model, clips):
    chosen = component_thresholds.tune(
        model,
        *clips,
        PROTOCOL,
        mask_thresholds=MASKS,
        color_thresholds=COLORS,
        whole_grid=True,
    )
    grid = {
        pair: score(model, *clips, pair)
        for pair in itertools.product(MASKS, COLORS)
    }
    for name, best in (("mota", max), ("ap", max), ("count_error", min)):
        *pair, value = chosen[name]
        assert value == pytest.approx(best(r[name] for r in grid.values()))
        assert grid[tuple(pair)][name] == pytest.approx(value)


def test_one_threshold_after_the_other_is_a_best_row_and_column(model, clips):
    chosen = component_thresholds.tune(
        model, *clips, PROTOCOL, mask_thresholds=MASKS, color_thresholds=COLORS
    )
    mask, color, value = chosen["mota"]
    near = [(m, color) for m in MASKS] + [(mask, c) for c in COLORS]
    others = [score(model, *clips, pair)["mota"] for pair in near]
    assert value == pytest.approx(max(others))


def test_a_model_without_colours_has_one_threshold_to_choose():
    model = ConnectedComponents(num_slots=20)
    clips = component_thresholds.read(model, [batch("validation_n01", 2)])
    chosen = component_thresholds.tune(
        model, *clips, PROTOCOL, mask_thresholds=MASKS
    )
    assert chosen["mota"] == (1e-4, model.color_threshold, 1.0)


def test_no_clips_are_refused(model):
    with pytest.raises(ValueError, match="there are none"):
        component_thresholds.tune(model, [], {}, PROTOCOL)


def test_every_score_has_its_own_thresholds_for_each_number(model):
    asked = []

    def thresholds_of(count):
        asked.append(count)
        pair = (1e-4, 0.96) if count == 3 else (4.0, 0.96)  # finds nothing
        return {
            "mota": (*pair, 0.0),
            "ap": (1e-4, 0.96, 0.0),
            "count_error": (4.0, 0.96, 0.0),
        }

    batches = [batch("test_n03", 3), batch("test_n01", 4, 2, padding=1)]
    result = component_thresholds.evaluate(
        model, batches, PROTOCOL, thresholds_of
    )
    assert asked == [3, 1]
    assert result["num_clips"] == 5
    three, one = (result["by_objects"][n] for n in ("3", "1"))
    maps, labels = component_thresholds.read(model, batches[:1])
    alone = score(model, maps, labels, (1e-4, 0.96))
    for name in ("mota", "motp", "idf1", "hota", "ap", "ap_by_iou"):
        assert three[name] == alone[name]
    assert three["count_error"] == 3 and one["count_error"] == 1
    assert one["mota"] == 0 and one["ap"] == 1
    assert one["thresholds"]["mota"] == [4.0, 0.96, 0.0]
    assert (three["num_clips"], one["num_clips"]) == (3, 2)
    json.dumps(result, allow_nan=False)


PROTOCOL_FILE = """
evaluation.Protocol.name = 'few'
evaluation.Protocol.split = 'test*'
evaluation.Protocol.tracking = 'auto'
"""


@pytest.mark.slow
def test_the_command_tunes_scores_and_leaves_a_model(tmp_path):
    def run(command, *arguments):
        return subprocess.run(
            [sys.executable, "-m", f"tfdecomp.{command}", *arguments],
            env={
                **os.environ,
                "TFDS_DATA_DIR": str(tmp_path),
                "TF_CPP_MIN_LOG_LEVEL": "3",
            },
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    workdir, protocol = f"--workdir={tmp_path}/run", tmp_path / "few.gin"
    protocol.write_text(PROTOCOL_FILE)
    run(
        "tune",
        f"--dataset={NAME}_tiny",
        workdir,
        f"--protocol={protocol}",
        "--num_clips=4",
        "--validation_clips=1",
    )
    (result,) = json.loads((tmp_path / "run" / "results.json").read_text())
    assert result["mota"] > 0.3 and result["num_clips"] == 4
    for part in result["by_objects"].values():
        assert set(part["thresholds"]) == {"mota", "ap", "count_error"}
    said = run("evaluate", workdir, f"--protocol={protocol}", "--num_clips=4")
    assert "mota" in said
    text = run("tables", f"--results={tmp_path}/run", "--protocol=few")
    assert "By number of objects" in text
    assert "ConnectedComponents, tuned for each number and score" in text


@pytest.mark.parametrize("wanted, expected", [(2, [0, 3]), (9, [0, 3, 4])])
def test_clips_of_a_count_are_the_first_that_are_enough(wanted, expected):
    counts = np.array([2, 1, 3, 2, 2, 2]).reshape(2, 3)
    valid = np.array([1, 1, 1, 1, 1, 0], bool).reshape(2, 3)
    batches = [
        {"num_objects": n, "valid": v, "at": at}
        for n, v, at in zip(counts, valid, np.arange(6).reshape(2, 3))
    ]
    chosen = component_thresholds.of_count(batches, 2, wanted)
    found = [at for batch in chosen for at in batch["at"][batch["valid"]]]
    assert found == expected


OWN = {
    "name": "own",
    "base": "digits_quick",
    "num_train": 1,
    "num_validation": 24,
    "num_test": 0,
    "extra_splits": {"test_n01": 2, "test_n03": 2},
    "num_objects": [1, 2],
    "num_frames": 2,
}
FILES = {"digit_source": "mnist", "source": "downloaded", "pool_size": 60}


@pytest.fixture
def tune(tmp_path):
    """Runs the command in this process; the result, or what it prints."""

    def call(name, *arguments):
        from absl import flags
        from absl.testing import flagsaver

        from tfdecomp import tune

        protocol = tmp_path / "few.gin"
        protocol.write_text(PROTOCOL_FILE)
        workdir = tmp_path / name
        words = {
            "dataset": f"scattered_digits/{name}",
            "workdir": str(workdir),
            "protocol": str(protocol),
            "data_dir": str(tmp_path),
            "validation_clips": 2,
        }
        if not flags.FLAGS.is_parsed():
            flags.FLAGS(["tune", "--dataset=a", "--workdir=b"])
        with flagsaver.flagsaver(**words, **dict(arguments)):
            tune._tune()
        return json.loads((workdir / "results.json").read_text())[0]

    return call


def _of_files(tmp_path, name, **fields):
    manual = tmp_path / "manual"
    manual.mkdir(exist_ok=True)
    mnist_files.write_miniature(manual)
    config = {**OWN, **FILES, **fields, "name": name}
    builders.prepare(
        "scattered_digits",
        tmp_path,
        False,
        config=json.dumps(config),
        manual=True,
        download_config=tfds.download.DownloadConfig(manual_dir=manual),
    )
    return manual


def _prepare_own(tmp_path):
    builders.prepare(
        "scattered_digits", tmp_path, False, config=json.dumps(OWN)
    )


def test_new_clips_of_a_prepared_config_of_one_s_own(tmp_path):
    _prepare_own(tmp_path)
    condition = Protocol(
        dataset="tfdecomp_scattered_digits/own",
        split="validation_n03",
        num_clips=2,
        fresh_seed=0,
    )
    opened = commands.open_clips(str(tmp_path))
    model = ConnectedComponents(image_size=(48, 48))
    (made,) = opened(condition, model, 2)
    assert made["video"].shape == (2, 2, 48, 48, 3)
    np.testing.assert_array_equal(made["num_objects"], 3)


def test_files_that_the_stored_clips_are_not_made_of_are_refused(tmp_path):
    manual = _of_files(tmp_path, "files")
    arguments = {"seed": 0, "num_clips": 1}
    arguments |= {"data_dir": tmp_path, "manual_dir": manual}
    name = "scattered_digits/files", "validation_n03"
    (clip,) = builders.fresh_clips(*name, **arguments)
    assert clip["num_objects"] == 3
    bank = digit_banks.Offline("strokes")()
    images, labels = bank.images[:60, ::-1], bank.labels[:60]
    np.savez(
        manual / mnist_files.ARCHIVE,
        **{"x_train": images, "y_train": labels},
        **{"x_test": images, "y_test": labels},
    )
    with pytest.raises(errors.LayoutError, match="not those that the data"):
        builders.fresh_clips(*name, **arguments)


@pytest.mark.slow
def test_a_prepared_config_of_one_s_own_is_tuned_on_new_clips(tmp_path, tune):
    _prepare_own(tmp_path)
    result = tune("own")
    assert result["dataset"] == "tfdecomp_scattered_digits/own"
    # No validation clip has three digits: those were made by its own fields.
    assert set(result["by_objects"]) == {"1", "3"}


@pytest.mark.slow
def test_digits_of_files_are_made_anew_where_the_files_are(tmp_path, tune):
    manual = _of_files(tmp_path, "files")
    result = tune("files", ("manual_dir", str(manual)))
    assert set(result["by_objects"]) == {"1", "3"}


@pytest.mark.slow
def test_without_its_files_stored_clips_serve_or_it_says_what_to_do(
    tmp_path, tune, monkeypatch
):
    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(socket, "create_connection", refuse)
    _of_files(tmp_path, "gone", extra_splits={"test_n01": 2, "test_n02": 2})
    assert set(tune("gone")["by_objects"]) == {"1", "2"}
    _of_files(tmp_path, "many")
    with pytest.raises(ValueError) as error:
        tune("many")
    said = str(error.value)
    assert "thresholds for 3 objects are chosen on 2 validation clips" in said
    assert "'validation' of tfdecomp_scattered_digits/many holds 0" in said
    assert "--manual_dir=FOLDER" in said and "\n" not in said
