"""Settings that make no sense are refused with what to change."""

import pytest
import tensorflow as tf
import tiny_model

from tfdecomp import training
from tfdecomp.training import strategy


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("training.run.num_steps = 0", "num_steps must be a whole number"),
        ("training.run.batch_size = 2.5", "batch_size must be a whole"),
        ("training.run.clip_lengths = ((5, 1),)", "must start at step 0"),
        ("training.run.clip_lengths = ((0, 1), (0, 2))", "and rise"),
        ("training.run.clip_lengths = ((0, 0),)", "at least one frame"),
        ("training.run.on_collapse = 'shrug'", "'warn' or 'stop'"),
        ("training.run.beta_schedule = 'nll'", "nll_threshold"),
        (
            "training.run.schedules = {'psi': @schedules.Constant()}",
            "no scheduled weight 'psi'; it has",
        ),
        ("training.run.schedules = {'kl_weight': 1.0}", "@schedules.Linear"),
        ("training.set_precision.policy = 'float16'", "PRECISION"),
    ],
)
def test_bad_setting_is_refused(binding, message):
    tiny_model.parse("schedules.Constant.value = 1.0", binding)
    with pytest.raises(ValueError, match=message):
        training.build_settings()


def test_a_weight_has_one_schedule():
    tiny_model.parse(
        "schedules.Constant.value = 1.0",
        "training.run.schedules = "
        "{'reconstruction_weight': @schedules.Constant()}",
        "training.run.beta_schedule = 'nll_threshold'",
    )
    with pytest.raises(ValueError, match="drop one"):
        training.build_settings()


def test_clip_length_grows_at_the_stages():
    tiny_model.parse("training.run.clip_lengths = ((0, 4), (10, 6))")
    settings = training.build_settings()
    frames = [settings.frames_at(step) for step in (0, 9, 10, 39)]
    assert frames == [4, 4, 6, 6]
    assert [settings.stage_end(step) for step in (0, 9, 10)] == [10, 10, 40]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((5, None, 2), "multiple of 2"), ((8, 3, 2), "divisor")],
)
def test_batches_that_cannot_be_shared_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        strategy.check_batch(*arguments)


def test_shares_of_a_batch():
    assert strategy.check_batch(8, None, 2) == (4, 4)
    assert strategy.check_batch(8, 2, 2) == (4, 2)
    assert strategy.check_batch(8, 100, 2) == (4, 4)


def test_broken_cluster_description_is_refused(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "{worker")
    with pytest.raises(ValueError, match="TF_CONFIG"):
        strategy.make_strategy()


@pytest.mark.parametrize("is_allowed", [False, True])
def test_a_config_says_whether_arithmetic_is_rewritten(is_allowed):
    tiny_model.parse(f"training.run.rewrite_arithmetic = {is_allowed}")
    training.build_settings()
    options = tf.config.optimizer.get_experimental_options()
    assert options["arithmetic_optimization"] is is_allowed
