"""Studies of models with factors that predict themselves."""

import functools
import json
import os
import subprocess
import sys

import gin
import numpy as np
import pytest
import tensorflow as tf

from tests.models.tiny import plane_dvip, tiny_dvip
from tests.test_case import eagerly, set_seed
from tfdecomp import builders
from tfdecomp.data.video import video_io
from tfdecomp.evaluation import clips, runner, studies
from tfdecomp.evaluation.protocol import Protocol
from tfdecomp.evaluation.studies import study
from tfdecomp.evaluation.studies.latents import (
    correlation,
    factor_objects,
    factored,
)
from tfdecomp.layers.decoders.broadcast_decoder import BroadcastDecoder
from tfdecomp.metrics import mutual_information
from tfdecomp.models.vae import VAE
from tfdecomp.storage import saving

SET = "moving_digits/digits_quick_tiny"
SIZE = tiny_dvip.SIZE
# Labels and pixels are resized alike, so that colours stay apart.
RESIZED = {"resize": (SIZE, SIZE), "resize_method": "nearest"}
K, D = tiny_dvip.K, tiny_dvip.D


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    builders.prepare(SET, folder, progress=False)
    return folder


@pytest.fixture(scope="module")
def model():
    return tiny_dvip.tiny(shake=0.3)


@pytest.fixture(scope="module")
def entangled():
    return tiny_dvip.tiny(entangled=True)


@pytest.fixture(scope="module")
def vae():
    set_seed(0)
    decoder = BroadcastDecoder((SIZE, SIZE), filters=(4,), dense=())
    return saving.build(
        VAE(decoder, image_size=SIZE, latent_dim=3, filters=(4,), units=(4,))
    )


@pytest.fixture(scope="module")
def subject(model, data_dir):
    return _subject(model, data_dir)


@pytest.fixture(scope="module")
def entangled_subject(entangled, data_dir):
    return _subject(entangled, data_dir)


@pytest.fixture(scope="module")
def generated(subject):
    return _look("independent_generations", subject, num_clips=2)


@pytest.fixture(scope="module")
def correlated(subject):
    return _look("correlation", subject)


@pytest.fixture(scope="module")
def correlated_entangled(entangled_subject):
    return _look("correlation", entangled_subject)


@pytest.fixture(scope="module")
def rolled(subject):
    with eagerly():
        return _look("rollout_error", subject)


def _subject(model, data_dir, **fields):
    opened = clips.opener(data_dir, builders.prepare)
    return study.Subject(model, opened, SET, pictures=RESIZED, **fields)


def _look(name, subject, **settings):
    settings = {"num_clips": 3, "num_frames": 4, **settings}
    if name == "rollout_error":
        settings["num_predicted"] = settings.pop("num_frames") - 2
    findings = studies.find(name)(**settings).run(subject)
    assert json.loads(json.dumps(findings.result, allow_nan=False))
    assert findings.result["study"] == name
    assert findings.table.count("\n| ") >= 2
    for picture in findings.pictures.values():
        assert picture.dtype == np.uint8
        assert picture.ndim in (3, 4) and picture.std() > 0
    return findings


def _batch(subject, num_frames=4, count=3):
    """The clips that studies look at, as one batch."""
    condition = Protocol(dataset=SET, num_frames=num_frames, num_clips=count)
    ((batch, inputs),) = subject.batches(condition)
    valid = batch["valid"]
    return {k: v[valid] for k, v in inputs.items()}, {
        k: v[valid] for k, v in batch.items()
    }


# ---- what they share ---------------------------------------------------------


def test_a_followed_video_is_what_independent_generations_begin_with(subject):
    inputs, _ = _batch(subject)
    followed = factored.follow(subject.model, inputs)
    for factor in range(K):
        varied = np.asarray(subject.model.vary(inputs, factor))
        np.testing.assert_allclose(
            followed["recon"][:, :2], varied[:, :2], atol=1e-6
        )
        group = factored.members(np.arange(K * D), K)[factor]
        moved = factored.move(followed["latents"], group)
        np.testing.assert_allclose(subject.model.draw(moved), varied, atol=1e-6)


def test_a_group_moves_from_the_second_frame_on():
    values = np.random.default_rng(0).random((2, 5, 4)).astype(np.float32)
    group = np.array([True, False, False, True])
    moved = np.asarray(factored.move(values, group))
    np.testing.assert_array_equal(moved[:, :2], values[:, :2])
    np.testing.assert_array_equal(moved[..., group], values[..., group])
    for t in range(2, 5):
        np.testing.assert_array_equal(moved[:, t, ~group], values[:, 1, ~group])


def test_members_are_those_of_an_order():
    order = np.array([3, 0, 5, 1, 2, 4])
    found = factored.members(order, 2)
    np.testing.assert_array_equal(np.flatnonzero(found[0]), [0, 3, 5])
    np.testing.assert_array_equal(np.flatnonzero(found[1]), [1, 2, 4])


# ---- independent generations -------------------------------------------------


def test_each_factor_is_varied_in_every_way(subject, generated):
    found = generated
    ways = ("posterior", "transition", "prior")
    assert found.pictures.keys() == {
        *(f"{clip}_{by}" for clip in (0, 1) for by in ways),
        "0",
        "1",
    }
    assert found.pictures["0"].shape[0] == 4
    inputs, _ = _batch(subject, count=2)
    still = np.asarray(factored.follow(subject.model, inputs)["recon"])[:, 1]
    entries = found.result["changes"]
    assert [(e["clip"], e["factor"]) for e in entries] == [
        (clip, i) for clip in (0, 1) for i in range(K)
    ]
    for factor, by in zip((0, 1, 1), ways):
        video = np.asarray(subject.model.vary(inputs, factor, by=by))
        moved = np.square(video[:, 2:] - still[:, None]).mean((1, 2, 3, 4))
        found_here = [e["change"][by] for e in entries if e["factor"] == factor]
        np.testing.assert_allclose(found_here, moved, rtol=1e-3, err_msg=by)
    assert "| clip | factor | posterior | transition | prior |" in found.table


@pytest.mark.slow
def test_batch_size_changes_no_generation(model, data_dir, generated):
    small = _subject(model, data_dir, batch_size=1)
    found = _look(
        "independent_generations", small, num_clips=2, by=("transition",)
    )
    for one, two in zip(
        found.result["changes"], generated.result["changes"], strict=True
    ):
        expected = two["change"]["transition"]
        assert one["change"]["transition"] == pytest.approx(expected, rel=1e-3)


def test_generations_of_planes_move_one_digit_and_no_other(data_dir):
    subject = _subject(plane_dvip.PlaneDVIP(SIZE), data_dir)
    found = _look("independent_generations", subject, by=("posterior",))
    _, batch = _batch(subject)
    video = batch["video"] / 255.0
    for entry in found.result["changes"]:
        plane = video[entry["clip"], ..., entry["factor"]]
        expected = np.mean(np.square(plane[2:] - plane[1])) / 3
        assert entry["change"]["posterior"] == pytest.approx(expected)


def test_videos_are_written_beside_pictures(generated, tmp_path):
    files = study.write(tmp_path, "independent_generations", generated)
    names = [f.name.removeprefix("independent_generations") for f in files]
    assert names[:2] == [".json", ".md"]
    assert {"_0_prior.png", "_0.mp4", "_0.gif"} < set(names)
    path = tmp_path / "independent_generations_0.mp4"
    written, _ = video_io.read_video(path)
    assert written.shape == generated.pictures["0"].shape


# ---- factors and objects -----------------------------------------------------


@pytest.mark.parametrize("planes", [(0, 1), (1, 0)])
def test_factors_that_are_planes_are_the_digits(planes, data_dir):
    subject = _subject(plane_dvip.PlaneDVIP(SIZE, planes), data_dir)
    found = _look("factor_objects", subject, num_frames=8)
    result = found.result
    assert result["assigned"] == pytest.approx(1)
    assert result["dominant"] == pytest.approx(1)
    assert result["chance"] == 0.5
    assert result["partitions"] is None
    for factor, plane in zip(result["factors"], planes, strict=True):
        assert factor["object"] == plane + 1
        assert factor["shares"][plane] == pytest.approx(1)
        np.testing.assert_allclose(factor["follows"][plane], 1, atol=1e-6)
        np.testing.assert_allclose(factor["follows"][1 - plane], 0, atol=1e-6)
    _, batch = _batch(subject, num_frames=8)
    video = batch["video"] / 255.0
    change = np.square(video[:, 2:] - video[:, 1:2]).sum((1, 2, 3))[:, :2]
    expected = (change.max(-1) / change.sum(-1)).mean()
    assert result["dominant_all"] == pytest.approx(expected)
    assert found.pictures.keys() == {"0", "1", "2"}


def test_shares_are_those_of_the_planes(subject):
    found = _look("factor_objects", subject, num_shown=1)
    inputs, _ = _batch(subject)
    for factor in found.result["factors"]:
        video = np.asarray(subject.model.vary(inputs, factor["factor"]))
        change = np.square(video[:, 2:] - video[:, 1:2])
        planes = change.sum((1, 2, 3))[:, :2]
        shares = planes / planes.sum(-1, keepdims=True)
        np.testing.assert_allclose(factor["shares"], shares.mean(0), rtol=1e-3)
        whole = planes.sum() / change.size
        assert factor["change"] == pytest.approx(whole, rel=1e-3)
    assert found.pictures.keys() == {"0"}
    assert "| factor | squared change | share of object 1 |" in found.table


def test_an_entangled_model_is_cut_into_groups(
    entangled_subject, correlated_entangled
):
    found = _look(
        "factor_objects", entangled_subject, num_partitions=2, num_shown=1
    )
    parts = found.result["partitions"]
    assert np.bincount(parts["group_of_latent"]).tolist() == [D, D]
    assert len(parts["random_assigned"]) == len(parts["random_dominant"]) == 2
    order = correlated_entangled.result["order"]
    expected = factored.members(np.array(order), K).argmax(0)
    assert parts["group_of_latent"] == expected.tolist()
    assert "| group | squared change |" in found.table
    assert "2 times at random" in found.table


def test_sets_without_masks_or_of_many_objects_are_refused():
    condition = Protocol(dataset="a_set")
    valid = np.arange(2)
    with pytest.raises(ValueError, match="a_set has no true masks"):
        factor_objects._colors(condition, {}, valid)
    batch = {"segmentation": None, "num_objects": np.array([2, 3])}
    with pytest.raises(ValueError, match=r"same number.*a_set has \[2, 3\]"):
        factor_objects._colors(condition, batch, valid)


# ---- correlation -------------------------------------------------------------


def _pairs(subject):
    inputs, _ = _batch(subject)
    samples = np.asarray(subject.model(inputs)["samples"])
    return (
        part.reshape(-1, *samples.shape[2:])
        for part in (samples[:, :-1], samples[:, 1:])
    )


def test_correlations_are_those_of_numpy(subject, correlated):
    found = correlated
    before, after = (v.reshape(len(v), -1) for v in _pairs(subject))
    joint = np.corrcoef(before, after, rowvar=False)
    expected = joint[: K * D, K * D :]
    matrix = np.array(found.result["correlation"])
    np.testing.assert_allclose(matrix, expected, atol=1e-4)
    own = np.kron(np.eye(K), np.ones((D, D))) > 0
    inside, outside = np.abs(expected)[own], np.abs(expected)[~own]
    assert found.result["inside"] == pytest.approx(inside.mean(), rel=1e-3)
    assert found.result["outside"] == pytest.approx(outside.mean(), rel=1e-3)
    assert found.result["order"] == list(range(K * D))
    assert found.result["num_pairs"] == 9
    assert not found.result["random_partition"]


def test_information_is_that_of_an_evaluation(subject, correlated):
    found = correlated.result
    scores = runner.evaluate(
        subject.model,
        Protocol(num_clips=3, num_frames=4),
        trained_on=SET,
        open_clips=functools.partial(subject.open_clips, **RESIZED),
    )
    for name in ("mi_same", "mi_cross", "collapsed_latents"):
        assert found[name] == pytest.approx(scores[name], rel=1e-5), name
    bits = np.array(found["mutual_information"])
    assert bits.diagonal().mean() == pytest.approx(found["mi_same"])


def test_an_entangled_models_latents_are_ordered_by_a_partition(
    entangled_subject, correlated_entangled
):
    found = correlated_entangled.result
    pairs = _pairs(entangled_subject)
    before, after = (v.reshape(len(v), -1) for v in pairs)
    expected = mutual_information.partition_scores(before, after, K)
    assert found["order"] == expected["order"].tolist()
    same = expected["same"] * mutual_information.BITS
    assert found["mi_same"] == pytest.approx(same, rel=1e-3)
    assert found["random_partition"]
    matrix = correlation.correlations(before, after)
    order = expected["order"]
    np.testing.assert_allclose(
        found["correlation"], matrix[order][:, order], atol=1e-4
    )


def test_a_single_factor_has_no_others(data_dir):
    model = tiny_dvip.tiny(num_factors=1)
    found = _look("correlation", _subject(model, data_dir))
    assert found.result["mi_cross"] is found.result["outside"] is None
    assert "| – |" in found.table


def test_latents_that_do_not_vary_have_no_correlation():
    rng = np.random.default_rng(0)
    before, after = rng.random((2, 9, 3))
    before[:, 1] = 0.5
    found = correlation.correlations(before, after)
    np.testing.assert_array_equal(found[1], 0)
    assert np.all(np.abs(found[[0, 2]]) > 0)


# ---- rollouts ----------------------------------------------------------------


def test_errors_are_those_of_the_models_rollout(subject, rolled):
    found = rolled
    inputs, batch = _batch(subject)
    video = batch["video"] / 255.0
    context = {**inputs, "video": inputs["video"][:, :2]}
    expected = {
        "samples": subject.model.rollout(context, 2)["recon"],
        "last frame": np.repeat(video[:, 1:2], 2, axis=1),
        "mean picture": video[:, 2:].mean(0, keepdims=True),
        "reconstruction": subject.model(inputs)["recon"][:, 2:],
        "last reconstruction": subject.model(context)["recon"][:, 1:2],
    }
    errors = found.result["errors"]
    assert errors.keys() == {*expected, "means"}
    for name, frames in expected.items():
        squares = np.square(np.asarray(frames) - video[:, 2:])
        np.testing.assert_allclose(
            errors[name], squares.mean((0, 2, 3, 4)), rtol=1e-4, err_msg=name
        )
    assert found.pictures.keys() == {"", "0", "1", "2"}
    assert found.table.count("\n| ") == 2 + 2
    better = found.result["better_at"]["samples"]["mean picture"]
    assert better == np.sum(
        np.array(errors["samples"]) < errors["mean picture"]
    )


def test_means_go_on_from_means(subject, rolled):
    inputs, batch = _batch(subject)
    context = {**inputs, "video": inputs["video"][:, :2]}
    latents = factored.follow(subject.model, context)["latents"][:, -1]
    for error, true in zip(
        rolled.result["errors"]["means"], np.moveaxis(batch["video"], 1, 0)[2:]
    ):
        latents, _ = subject.model.transition(latents)
        frame = subject.model.draw(latents[:, None])[:, 0]
        expected = np.mean(np.square(frame - true / 255.0))
        assert error == pytest.approx(expected, rel=1e-4)


def test_a_model_that_goes_on_by_itself_needs_no_factors(data_dir):
    class Still:
        """Reconstructs its input; predicts no change."""

        channels = 3

        def __call__(self, inputs, training=False):
            video = tf.cast(inputs["video"], tf.float32) / 255.0
            return {"recon": video}

        def rollout(self, inputs, num_frames):
            video = self(inputs)["recon"][:, -1:]
            return {"recon": tf.repeat(video, num_frames, axis=1)}

    found = _look("rollout_error", _subject(Still(), data_dir)).result
    assert "means" not in found["errors"]
    np.testing.assert_allclose(
        found["errors"]["samples"], found["errors"]["last frame"], rtol=1e-5
    )
    assert found["better_at"]["samples"]["last reconstruction"] == 0
    np.testing.assert_allclose(found["errors"]["reconstruction"], 0, atol=1e-9)


# ---- who cannot --------------------------------------------------------------


def test_models_without_factors_say_so(vae, data_dir):
    subject = _subject(vae, data_dir)
    for name, message in {
        "independent_generations": "VAE cannot vary one factor.*'vary'",
        "factor_objects": "VAE cannot move one factor.*'vary'",
        "correlation": "VAE has no factors that predict themselves",
        "rollout_error": "VAE cannot predict frames",
    }.items():
        with pytest.raises(ValueError, match=f"{message}.*dvip_digits_quick"):
            _look(name, subject)


def test_an_entangled_models_factor_has_nothing_beside_it(entangled_subject):
    with pytest.raises(ValueError, match="single factor.*factor_objects"):
        _look("independent_generations", entangled_subject)


def test_clips_that_are_too_short_are_refused(subject):
    for name in ("independent_generations", "factor_objects"):
        with pytest.raises(ValueError, match="clips have 2 frames.*num_frames"):
            _look(name, subject, num_frames=2)
    with pytest.raises(ValueError, match="predicts those after them"):
        _look("rollout_error", subject, num_frames=2)
    with pytest.raises(ValueError, match="num_observed must be at least 1"):
        _look("rollout_error", subject, num_observed=0)
    with pytest.raises(ValueError, match="3 pairs.*3 neighbours"):
        _look("correlation", subject, num_frames=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dvip", "entangled"])
def test_the_command_studies_shipped_weights(name, data_dir, tmp_path):
    def command(study_name):
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "tfdecomp.study",
                study_name,
                f"--model={name}_digits_quick",
                f"--dataset={SET}",
                f"--output={tmp_path}",
                f"--data_dir={data_dir}",
                "--num_clips=4",
            ],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            timeout=600,
        )

    for study_name in ("factor_objects", "correlation", "rollout_error"):
        done = command(study_name)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / f"{study_name}.json").is_file()
    done = command("independent_generations")
    if name == "entangled":
        assert done.returncode == 1
        assert "single factor" in done.stderr.splitlines()[-1]
    else:
        assert (tmp_path / "independent_generations_0.mp4").is_file()


@pytest.fixture(autouse=True)
def _clean_gin():
    yield
    gin.clear_config()
