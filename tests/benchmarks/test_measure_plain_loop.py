"""The comparison of DVIP with a plain loop, and its benchmark."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.test_case import set_seed
from tfdecomp import training
from tfdecomp.benchmarks import measure, measure_plain_loop
from tfdecomp.models.base import as_float
from tfdecomp.storage import configs

TINY = ["smoke/dvip.gin"]


@pytest.mark.parametrize(
    ("bindings", "frames", "is_training"),
    [
        (["NUM_SLOTS = 3"], 3, False),
        (["models.DVIP.entangled = True"], 2, False),
        # Of one frame, batch norm sees the same here and there.
        ([], 1, True),
    ],
)
def test_the_plain_loop_has_the_same_loss(bindings, frames, is_training):
    configs.parse(TINY, bindings)
    set_seed(0)
    model = training.build_settings().model
    rng = np.random.default_rng(0)
    for weight in model.weights:
        moved = 0.3 * rng.uniform(0, 1, weight.shape)
        weight.assign(np.asarray(weight) + moved)
    batch = measure.random_batch(model, 3, frames)
    inputs = {"video": tf.constant(batch["video"])}
    noise = measure_plain_loop._noise(model, inputs)
    plain = measure_plain_loop.PlainLoop(model)
    video = as_float(inputs["video"])
    plain(video, noise)
    plain.take_weights(model)
    expected = model(inputs, training=is_training)
    found = plain(video, noise, training=is_training)
    assert np.all(np.asarray(expected["kl"]) > 1.0)
    np.testing.assert_allclose(found, expected["loss"], rtol=1e-4)


@pytest.mark.slow
def test_a_config_is_compared_with_its_plain_loop():
    configs.parse(TINY, ["BATCH_SIZE = 1", "CLIP_LENGTH = 2"])
    results = json.loads(json.dumps(measure_plain_loop.compare(repeats=1)))
    assert results["loss_difference"] < 1e-4
    seconds = results["min_seconds"]
    assert seconds.keys() == {"ours", "plain"}
    assert results["ratio"] == pytest.approx(seconds["plain"] / seconds["ours"])
    assert results["frames_per_second"] == pytest.approx(2 / seconds["ours"])


def test_other_models_have_no_plain_loop():
    configs.parse(["smoke/lavae.gin"])
    with pytest.raises(ValueError, match="of DVIP, but the config trains LAV"):
        measure_plain_loop.compare()


@pytest.mark.slow
def test_a_model_without_masks_is_measured():
    configs.parse(TINY, ["training.run.micro_batch_size = None"])
    results = json.loads(json.dumps(measure.measure(2, repeats=1)))
    assert results["num_frames"] == 2
    # The last convolution of the encoder reads 8x8 maps of each frame.
    assert results["yardstick"]["inputs"] == [8, 8, 8, 6]
    assert results["yardstick"]["kernel"] == [4, 4, 6, 8]
    flops = 6 * 8 * 4 * 4 * 4 * 4 * 6 * 8  # of 8 frames of 4x4 pixels
    assert results["peak_flops"] == pytest.approx(
        flops / results["yardstick"]["seconds"]
    )
    assert results["utilisation"] > 0.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give the --gin_file to measure"),
        (["--gin_file=smoke/dvip.gin", "--frames=2,3"], "one of the --frames"),
        (["--gin_file=smoke/dvip.gin", "--frames=2", "--repeats=1"], None),
    ],
)
def test_plain_loop_as_a_command(flags, message, tmp_path):
    output = tmp_path / "speed.json"
    command = [sys.executable, "-m", "tfdecomp.benchmark", "--plain_loop"]
    done = subprocess.run(
        [*command, f"--output={output}", *flags],
        capture_output=True,
        text=True,
        check=False,
    )
    if message is not None:
        assert done.returncode == 1
        assert message in done.stderr
        return
    assert done.returncode == 0, done.stderr
    assert "plain_frames_per_second" in done.stdout
    assert json.loads(output.read_text())["num_frames"] == 2
