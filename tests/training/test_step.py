"""One optimizer step, against independent statements of what it does."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny_model

from tests.test_case import set_seed
from tfdecomp import training
from tfdecomp.training import optimizers, settings, strategy
from tfdecomp.training.step import TrainStep, slot_usage


class Trained:
    """Steps on the tiny model, outside a work directory."""

    def __init__(self, *bindings, devices=("CPU:0",), seed=3):
        tiny_model.parse(*bindings)
        self.strategy = strategy.make_strategy(list(devices))
        set_seed(seed)
        with self.strategy.scope():
            self.settings = training.build_settings()
            weights = [v.value for v in self.settings.model.trainable_variables]
            self.settings.optimizer.build(weights)
            decay = self.settings.ema_decay
            self.averages = (
                []
                if decay is None
                else [tf.Variable(w.numpy(), trainable=False) for w in weights]
            )
        self.step = TrainStep(self.strategy, self.settings, 5, self.averages)
        self.carry = self.step.initial_carry()
        self.done = 0

    def weights(self):
        return [v.numpy() for v in self.settings.model.trainable_variables]

    def dataset(self):
        return self.settings.dataset(
            batch_size=self.settings.batch_size,
            num_frames=self.settings.frames_at(self.done),
            seed=0,
            start=self.done * self.settings.batch_size,
        )

    def run(self, count):
        """Name -> `[count]`."""
        iterator = iter(strategy.distribute(self.strategy, self.dataset()))
        rows, self.carry = self.step(iterator, self.done, count, self.carry)
        self.done += count
        return dict(zip(self.step.names, np.asarray(rows).T))

    def oracle_gradients(self):
        """Of the first batch, in eager mode and without the step's code."""
        batch = next(iter(self.dataset()))
        numbers = tf.cast(batch["clip_index"], tf.int32)
        seed = tf.stack([tf.fill(numbers.shape, 5), numbers], axis=1)
        model = self.settings.model
        with tf.GradientTape() as tape:
            outputs = model({"video": batch["video"], "seed": seed})
            loss = tf.reduce_mean(outputs["loss"])
        variables = [v.value for v in model.trainable_variables]
        return loss, tape.gradient(loss, variables)


def test_a_step_is_clipped_adam_as_keras_has_it():
    # A large epsilon, since without one the first step is the gradient's sign,
    # which rounding decides where the gradient is small.
    ours = Trained(
        "training.run.clip_norm = 0.5", "training.Adam.epsilon = 0.01"
    )
    loss, gradients = ours.oracle_gradients()
    norm = np.sqrt(sum(np.sum(np.square(g)) for g in gradients))
    variables = [keras.Variable(w) for w in ours.weights()]
    # Keras adds epsilon before the bias correction.
    adam = keras.optimizers.Adam(0.01, epsilon=0.01 * np.sqrt(0.001))
    adam.apply([g * 0.5 / norm for g in gradients], variables)
    scalars = ours.run(1)
    assert norm > 0.5
    np.testing.assert_allclose(scalars["loss"][0], loss, rtol=1e-5)
    np.testing.assert_allclose(scalars["gradient_norm"][0], norm, rtol=1e-5)
    for ours_now, theirs in zip(ours.weights(), variables):
        np.testing.assert_allclose(ours_now, theirs, atol=1e-6)


def test_adam_follows_its_paper_over_many_steps():
    rng = np.random.default_rng(0)
    start = rng.normal(size=4).astype(np.float32)
    weight = tf.Variable(start)
    adam = optimizers.Adam(learning_rate=0.1, epsilon=1e-3)
    adam.build([weight])
    only = tf.distribute.get_strategy()
    value, mean, square = start.astype(np.float64), 0.0, 0.0
    for count in range(1, 6):
        gradient = rng.normal(size=4).astype(np.float32)
        adam.update(
            only,
            [weight],
            [tf.constant(gradient)],
            factor=tf.constant(1.0),
            step=tf.constant(count - 1, tf.int64),
            count=tf.constant(count, tf.int64),
            is_taken=tf.constant(True),
        )
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        corrected = np.sqrt(square / (1 - 0.999**count)) + 1e-3
        value -= 0.1 * mean / (1 - 0.9**count) / corrected
    np.testing.assert_allclose(weight, value, rtol=2e-5)


@pytest.mark.parametrize("micro", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_micro_batches_change_nothing_but_rounding(micro):
    whole = Trained()
    parts = Trained(f"training.run.micro_batch_size = {micro}")
    expected, scalars = whole.run(3), parts.run(3)
    assert scalars.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(scalars[name], expected[name], rtol=1e-4)
    for a, b in zip(whole.weights(), parts.weights()):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_steps_in_one_call_are_steps_in_many():
    once, many = Trained(), Trained()
    together = once.run(4)
    apart = [many.run(n) for n in (1, 2, 1)]
    for name, values in together.items():
        np.testing.assert_array_equal(
            values, np.concatenate([part[name] for part in apart])
        )
    for a, b in zip(once.weights(), many.weights()):
        np.testing.assert_array_equal(a, b)


def test_a_non_finite_step_changes_nothing_and_is_counted():
    # Batches of four clips: clip 5 makes the second batch bad.
    broken = Trained("tests.tiny_dataset.bad_clips = (5,)")
    broken.run(1)
    before = broken.weights()
    moments = [v.numpy() for v in broken.settings.optimizer.variables]
    scalars = broken.run(1)
    assert scalars["is_taken"][0] == 0.0
    for a, b in zip(before, broken.weights()):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(moments, broken.settings.optimizer.variables):
        np.testing.assert_array_equal(a, b.numpy())
    assert int(broken.carry["skipped"]) == int(broken.carry["streak"]) == 1
    scalars = broken.run(1)
    assert scalars["is_taken"][0] == 1.0 and np.isfinite(scalars["loss"][0])
    assert int(broken.carry["skipped"]) == 1
    assert int(broken.carry["streak"]) == 0
    assert int(broken.carry["updates"]) == 2


def test_averages_follow_the_weights():
    trained = Trained("training.run.ema_decay = 0.75")
    start = trained.weights()
    trained.run(1)
    after = trained.weights()
    for average, a, b in zip(trained.averages, start, after):
        np.testing.assert_allclose(
            average.numpy(), 0.75 * a + 0.25 * b, rtol=1e-5, atol=1e-7
        )


def test_schedules_reach_the_model_and_the_learning_rate():
    trained = Trained(
        "training.run.schedules = {'kl_weight': @schedules.Linear()}",
        "schedules.Linear.start = 0.0",
        "schedules.Linear.end = 1.0",
        "schedules.Linear.num_steps = 4",
        "training.Adam.learning_rate = @schedules.Piecewise()",
        "schedules.Piecewise.boundaries = (2,)",
        "schedules.Piecewise.values = (0.01, 0.001)",
    )
    scalars = trained.run(4)
    np.testing.assert_allclose(scalars["kl_weight"], [0, 0.25, 0.5, 0.75])
    np.testing.assert_allclose(
        scalars["learning_rate"], [0.01, 0.01, 0.001, 0.001]
    )
    np.testing.assert_allclose(
        scalars["loss"],
        scalars["nll"] + scalars["kl_weight"] * scalars["kl"],
        rtol=1e-5,
    )


def test_nll_threshold_sets_the_next_steps_weight():
    rule = optimizers.NllThreshold()
    expected = {700.0: 300.0, 600.0: 100.0, 201.0: 100.0, 200.0: 7.0}
    for nll, weight in expected.items():
        assert float(rule.next(tf.constant(7.0), nll)) == weight
    trained = Trained(
        "training.run.beta_schedule = @training.NllThreshold()",
        "training.NllThreshold.start = 2.0",
        "training.NllThreshold.limits = (1e9, 1e-9)",
        "training.NllThreshold.values = (4.0, 3.0)",
    )
    scalars = trained.run(3)
    np.testing.assert_allclose(
        scalars["reconstruction_weight"], [2.0, 3.0, 3.0]
    )


def test_a_new_clip_length_is_traced_once():
    trained = Trained()
    for _ in range(3):
        trained.run(1)
    assert trained.step._call.experimental_get_tracing_count() == 1
    trained.done = 20
    trained.run(2)
    trained.run(1)
    assert trained.step._call.experimental_get_tracing_count() == 2


def test_models_read_where_a_clip_lies_and_what_is_behind():
    trained = Trained()
    batch = dict(next(iter(trained.dataset())))
    assert set(trained.step._inputs(batch)) == {"video", "seed"}
    given = {"crop_offset": tf.ones([4, 2]), "background": batch["video"][:, 0]}
    inputs = trained.step._inputs({**batch, **given, "boxes": tf.zeros([4])})
    assert set(inputs) == {"video", "seed", "crop_offset", "background"}
    assert inputs["crop_offset"] is given["crop_offset"]


def test_noise_depends_on_run_and_clip_and_not_on_the_batch():
    one = Trained()
    a = one.step._inputs(next(iter(one.dataset())))["seed"].numpy()
    assert np.all(a[:, 0] == 5)
    np.testing.assert_array_equal(a[:, 1], [0, 1, 2, 3])
    assert settings.derive_seed(0, "data") != settings.derive_seed(0, "noise")
    assert settings.derive_seed(0, "data") != settings.derive_seed(1, "data")


def test_slot_usage_of_known_masks():
    owner = np.zeros((2, 1, 4, 5), int)  # the first clip is one slot's
    owner[1, 0, :, 0] = 1
    masks = np.eye(3, dtype=np.float32)[owner]  # [B, T, H, W, K]
    masks = np.moveaxis(masks, -1, 2)[..., None]
    usage = slot_usage({"masks": tf.constant(masks)})
    np.testing.assert_allclose(usage["largest_slot"], [1.0, 0.8])
    np.testing.assert_allclose(usage["slots_used"], [1.0, 2.0])
    assert slot_usage({"recon": tf.zeros([1])}) == {}


@pytest.mark.slow
def test_xla_compiles_the_gradient():
    compiled = Trained("training.run.jit_compile = True")
    scalars = compiled.run(2)
    assert np.all(np.isfinite(scalars["loss"]))
    assert np.all(scalars["is_taken"] == 1.0)
