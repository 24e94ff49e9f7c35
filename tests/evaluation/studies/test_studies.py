"""Every study end to end, on a tiny model and a tiny set."""

import json
import os
import subprocess
import sys

import gin
import numpy as np
import pytest

from tests.test_case import eagerly, set_seed
from tfdecomp import builders
from tfdecomp.data.video import video_io
from tfdecomp.evaluation import clips, runner, studies
from tfdecomp.evaluation.protocol import Protocol
from tfdecomp.evaluation.studies import held_out, study
from tfdecomp.layers.decoders.broadcast_decoder import BroadcastDecoder
from tfdecomp.layers.encoders.refinement_encoder import RefinementEncoder
from tfdecomp.models.iodine import IODINE
from tfdecomp.models.vae import VAE
from tfdecomp.storage import configs, saving

SET = "tetrominoes/quick14_tiny"
SIZE, SLOTS, REFINEMENTS = (14, 14), 3, 2
GREEN = {"color": [0, 1, 0]}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    builders.prepare(SET, folder, progress=False)
    return folder


def _tiny(**options):
    set_seed(0)
    model = IODINE(
        BroadcastDecoder(SIZE, filters=(4,), dense=()),
        RefinementEncoder(filters=(4,), strides=2, units=(4,)),
        image_size=SIZE,
        num_slots=SLOTS,
        num_refinements=REFINEMENTS,
        latent_dim=3,
        units=4,
        **options,
    )
    return saving.build(model)


@pytest.fixture(scope="module")
def iodine():
    return _tiny()


@pytest.fixture(scope="module")
def vae():
    model = VAE(
        BroadcastDecoder(SIZE, filters=(4,), dense=()),
        image_size=SIZE,
        latent_dim=3,
        filters=(4,),
        units=(4,),
    )
    return saving.build(model)


@pytest.fixture
def subject(iodine, data_dir):
    return _subject(iodine, data_dir)


def _subject(model, data_dir, trained_on=SET, **fields):
    opened = clips.opener(data_dir, builders.prepare)
    return study.Subject(model, opened, trained_on, **fields)


def _look(name, subject, others=(), **settings):
    settings = {"num_clips": 6, **settings}
    findings = studies.find(name)(**settings).run(subject, others)
    assert json.loads(json.dumps(findings.result, allow_nan=False))
    assert findings.result["study"] == name
    assert findings.result["protocol"]["split"] == "test"
    assert findings.table.count("\n| ") >= 2
    for picture in findings.pictures.values():
        assert picture.dtype == np.uint8
        assert picture.ndim == 3 and picture.std() > 0
    return findings


def test_every_study_is_known_to_gin_and_found_by_name():
    configs.register()
    for name, cls in studies.NAMES.items():
        assert gin.config._REGISTRY.get_match(f"studies.{cls}")
        assert studies.find(name).name == name
    with pytest.raises(ValueError, match="no study 'slot'.*slots"):
        studies.find("slot")


def test_refinements_end_where_an_evaluation_does(subject, iodine):
    with eagerly():
        found = _look("refinements", subject, num_refinements=3).result
    scores = found["scores"]
    assert found["trained_refinements"] == REFINEMENTS
    assert {len(v["middle"]) for v in scores.values()} == {4}
    protocol = Protocol(num_clips=6, num_frames=1)
    expected = runner.evaluate(
        iodine, protocol, trained_on=SET, open_clips=subject.open_clips
    )
    for name in ("f_ari", "ari", "mse", "kl"):
        here = scores[name]["mean"][REFINEMENTS]
        assert here == pytest.approx(expected[name], rel=1e-4, abs=1e-6), name
        middle = np.median(expected["per_clip"][name])
        here = scores[name]["middle"][REFINEMENTS]
        assert here == pytest.approx(middle, rel=1e-4, abs=1e-5), name
    for score in scores.values():
        assert np.all(np.array(score["low"]) <= score["high"])


@pytest.mark.slow
def test_models_with_other_refinements_stand_side_by_side(subject):
    findings = _look("refinements", subject, [subject], num_refinements=3)
    assert len(findings.result["others"]) == 1
    assert findings.table.count("refinements; 6 images") == 2


@pytest.mark.slow
def test_slots_at_the_trained_number_are_an_evaluation(subject, iodine):
    found = _look("slots", subject).result
    assert [r["num_slots"] for r in found["rows"]] == [2, 3, 4, 5, 6, 7]
    expected = runner.evaluate(
        iodine,
        Protocol(num_clips=6, num_frames=1),
        trained_on=SET,
        open_clips=subject.open_clips,
    )
    row = found["rows"][1]
    for name in ("f_ari", "ari", "mse"):
        assert row["all"][name] == pytest.approx(expected[name], rel=1e-5)
    assert row["by_objects"].keys() == {"3"}
    assert row["by_objects"]["3"]["num_clips"] == 6


def test_slots_used_are_those_with_pixels():
    ids = np.zeros((2, 1, 30, 30), int)
    ids[0, 0, 0, 0] = 3  # 1 of 900 is less than 1 in 500
    ids[1, 0, :2, 0] = [2, 1]
    ids[1, 0, 5] = 1
    np.testing.assert_array_equal(study.slots_used(ids), [1, 2])


@pytest.mark.slow
def test_more_objects_raises_the_slots_by_the_difference(subject):
    limited = _subject(subject.model, None, pictures={"filter_objects": (3, 3)})
    seen = []

    def open_clips(condition, model, batch_size, **changes):
        seen.append((condition.num_slots, changes["filter_objects"]))
        more = condition.dataset.endswith("crowd")
        for batch in subject.open_clips(
            Protocol(dataset=SET, num_clips=6, num_frames=1), model, batch_size
        ):
            objects = np.where(batch["valid"], 5 if more else 3, 0)
            yield {**batch, "num_objects": objects}

    limited.open_clips = open_clips
    found = _look("more_objects", limited, dataset="crowd").result
    assert [r["num_slots"] for r in found["rows"]] == [3, 3, 5]
    assert seen == [(None, (3, 3)), (None, None), (5, None)]
    assert found["most_objects"] == {"trained_on": 3, "here": 5}


@pytest.mark.slow
def test_held_out_parts_the_images_by_the_combination(subject, data_dir):
    found = _look(
        "held_out", subject, combination="color=green", num_clips=None
    )
    batches = list(
        subject.batches(Protocol(dataset=SET, num_frames=1), ["color"])
    )
    valid = np.concatenate([b["valid"] for b, _ in batches])
    colors = np.concatenate([b["color"] for b, _ in batches])[valid]
    green = (colors == [0, 1, 0]).all(-1).any(-1)
    with_it, without = found.result["rows"]
    assert 0 < green.sum() < len(green)
    assert with_it["num_clips"] == green.sum()
    assert without["num_clips"] == (~green).sum()
    assert found.result["combination"] == {"color": "green"}


def test_a_model_trained_without_the_combination_is_asked_about_it(subject):
    line = "data.make_dataset.without = {'color': [0, 1, 0]}"
    with configs.parsed([], [line]):
        scores = study.image_scores(
            subject, Protocol(dataset=SET, num_frames=1), only=GREEN
        )
    assert len(scores["mse"]) > 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("color=green,shape=sphere", {"color": "green", "shape": "sphere"}),
        ("color=[0, 1, 0], shape=3", {"color": [0, 1, 0], "shape": 3}),
        ("scale = 0.5", {"scale": 0.5}),
    ],
)
def test_a_combination_is_read(text, expected):
    assert held_out.parse(text) == expected


@pytest.mark.parametrize("text", ["green", "color=", "color=green,,"])
def test_a_combination_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="FACTOR=VALUE"):
        held_out.parse(text)


@pytest.mark.slow
def test_one_seed_has_one_explanation_and_groups_cover_all_runs(subject):
    dataset = "tetrominoes/ambiguous14_tiny"
    settings = {"dataset": dataset, "num_clips": 10, "image": 2}
    findings = _look("multistability", subject, **settings)
    found = findings.result
    assert found["one_seed_gives_one_result"]
    assert found["num_runs"] == 10 == sum(g["runs"] for g in found["groups"])
    assert findings.pictures.keys() == {"", "paths"}
    again = _look("multistability", subject, **settings).result
    assert again["groups"] == found["groups"]
    other = _look("multistability", subject, **settings, seed=1).result
    assert other["groups"] != found["groups"]


def test_multistability_without_ambiguous_images_of_the_size_says_so():
    class Model:
        image_size = (20, 20)

    with pytest.raises(ValueError, match="20x20.*--dataset"):
        _look("multistability", _subject(Model(), None))


@pytest.mark.slow
def test_factors_stand_beside_those_of_a_vae(subject, vae, data_dir):
    baseline = _subject(vae, data_dir)
    findings = _look("factors", subject, [baseline], num_train=20)
    found, other = findings.result, findings.result["others"][0]
    assert found["factors"].keys() == {"shape", "color", "position"}
    assert found["objects_train"] == other["objects_train"] == 60
    assert found["factors"]["shape"]["kind"] == "class"
    assert found["factors"]["position"]["kind"] == "number"
    for name, score in found["factors"].items():
        assert score["chance"] == other["factors"][name]["chance"]
    assert "| factor | score | IODINE | VAE |" in findings.table


def test_a_factor_that_the_set_lacks_is_an_error(subject):
    with pytest.raises(ValueError, match="no label 'material'"):
        _look("factors", subject, factors=("material",))


@pytest.mark.slow
def test_latent_space_is_drawn_by_both_methods(subject):
    findings = _look("latent_space", subject)
    assert findings.pictures.keys() == {"tsne", "pca"}
    assert findings.result["num_objects"] == 18


def test_traversals_follow_the_kl(subject, vae, data_dir):
    findings = _look("traversals", subject, num_clips=2, num_latents=2)
    assert findings.pictures.keys() == {"0", "1"}
    batch, inputs = next(
        subject.batches(Protocol(dataset=SET, num_frames=1, num_clips=2))
    )
    kl = np.asarray(subject.model(inputs)["latent_kl"])[:, 0]
    for n, image in enumerate(findings.result["images"]):
        assert image["slot"] == kl[n].sum(-1).argmax()
        order = np.argsort(-kl[n, image["slot"]])[:2]
        np.testing.assert_array_equal(image["dims"], order)
    _look("traversals", _subject(vae, data_dir), num_clips=1, num_latents=2)


@pytest.mark.slow
def test_input_ablation_has_a_row_for_each_run(subject, data_dir):
    other = _subject(_tiny(without=("frame", "parameters")), data_dir)
    findings = _look("input_ablation", subject, [other])
    rows = findings.result["rows"]
    assert [r["without"] for r in rows] == [[], ["frame", "parameters"]]
    assert "| nothing |" in findings.table
    assert "| frame, parameters |" in findings.table


@pytest.mark.slow
def test_runs_of_different_sets_are_not_compared(subject, data_dir):
    name = "tetrominoes/ambiguous14_tiny"
    other = _subject(subject.model, data_dir, trained_on=name)
    with pytest.raises(ValueError, match="give --dataset"):
        _look("input_ablation", subject, [other])


@pytest.mark.slow
def test_batch_size_changes_no_score(subject, data_dir):
    condition = Protocol(dataset=SET, num_frames=1, num_clips=5)
    one = study.image_scores(subject, condition)
    small = _subject(subject.model, data_dir, batch_size=3)
    two = study.image_scores(small, condition)
    assert len(one["mse"]) == 5
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, rtol=1e-4, err_msg=name)


def test_what_is_written_can_be_read(subject, tmp_path):
    with eagerly():
        findings = _look("slots", subject, num_slots=(2,))
    files = study.write(tmp_path / "new", "slots", findings)
    assert [f.name for f in files] == ["slots.json", "slots.md", "slots.png"]
    expected = json.loads(json.dumps(findings.result))  # tuples are lists
    assert json.loads(files[0].read_text()) == expected
    assert files[1].read_text() == findings.table
    np.testing.assert_array_equal(
        video_io.read_image(files[2]), findings.pictures[""]
    )


def _command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tfdecomp.study", *map(str, arguments)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one study"),
        (["slot"], "no study 'slot'"),
        (["slots"], "either --workdir=DIR of a run or --model=NAME"),
        (["slots", "--workdirs=.,."], "slots looks at one model"),
        (["slots", "--workdirs=.", "--workdir=."], "--workdirs stands alone"),
    ],
)
def test_the_command_says_what_is_wrong(arguments, message, tmp_path):
    done = _command(*arguments, f"--output={tmp_path}")
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_the_command_studies_a_work_directory(iodine, data_dir, tmp_path):
    folder = tmp_path / "run"
    (folder / saving.CHECKPOINT_FOLDER).mkdir(parents=True)
    saving.save_model(folder, iodine)
    saving.write_checkpoint(
        folder / saving.CHECKPOINT_FOLDER,
        7,
        saving.variable_arrays("model", iodine.variables),
        {"step": 7},
    )
    (folder / "config.gin").write_text(f"training.run.dataset = {SET!r}\n")
    shared = (f"--output={tmp_path}", f"--data_dir={data_dir}")
    done = _command(
        "slots",
        f"--workdir={folder}",
        "--num_clips=4",
        "--gin_param=studies.Slots.num_slots = (2, 5)",
        *shared,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "slots.json").read_text())
    assert [row["num_slots"] for row in found["rows"]] == [2, 5]
    assert found["run"]["step"] == 7
    assert found["settings"]["num_clips"] == 4
    assert "| 5 | 4 |" in done.stdout
    done = _command(
        "slots", f"--workdir={folder}", "--combination=color=red", *shared
    )
    assert "slots takes no --combination" in done.stderr
