"""Updates against Keras' and the papers', and weights dealt to groups."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfdecomp.ops import schedules
from tfdecomp.training import optimizers

SHAPES = ((4,), (2, 3), ())


def _update(optimizer, weights, gradients, count, is_taken=True, factor=1.0):
    optimizer.update(
        tf.distribute.get_strategy(),
        weights,
        [tf.constant(g, tf.float32) for g in gradients],
        factor=tf.constant(factor),
        step=tf.constant(count - 1, tf.int64),
        count=tf.constant(count, tf.int64),
        is_taken=tf.constant(is_taken),
    )


def _gradients(count, seed=0):
    """Of several sizes; some are zero at first."""
    rng = np.random.default_rng([seed, count])
    values = [rng.normal(size=shape) * 10.0**-count for shape in SHAPES]
    if count < 3:
        values[0] = np.zeros(4)
    return [np.asarray(v, np.float32) for v in values]


@pytest.mark.parametrize("rate", [0.1, "schedule"])
def test_adamax_takes_the_steps_of_keras(rate):
    rng = np.random.default_rng(1)
    start = [rng.normal(size=shape).astype(np.float32) for shape in SHAPES]
    ours = [tf.Variable(value) for value in start]
    theirs = [keras.Variable(value) for value in start]
    schedule = schedules.Exponential(0.1, 0.001, num_steps=4)
    adamax = optimizers.Adamax(schedule if rate == "schedule" else rate)
    adamax.build(ours)
    oracle = keras.optimizers.Adamax(0.1, epsilon=1e-8)
    oracle.build(theirs)
    for count in range(1, 8):
        if rate == "schedule":
            oracle.learning_rate = 0.1 * 0.01 ** min((count - 1) / 4, 1)
        gradients = _gradients(count)
        _update(adamax, ours, gradients, count)
        oracle.apply([tf.constant(g) for g in gradients], theirs)
        for a, b in zip(ours, theirs):
            np.testing.assert_allclose(a, b.numpy(), rtol=1e-5, atol=1e-6)
    assert all(np.any(a != b) for a, b in zip(ours, start))


def test_adamax_starts_with_steps_of_the_rate():
    weight = tf.Variable([1.0, 1.0])
    adamax = optimizers.Adamax(0.25)
    adamax.build([weight])
    _update(adamax, [weight], [[3.0, -1e-3]], 1)
    np.testing.assert_allclose(weight, [0.75, 1.25], rtol=1e-4)


def test_a_step_that_is_not_taken_changes_nothing():
    weight = tf.Variable([1.0, 2.0])
    adamax = optimizers.Adamax(0.1)
    adamax.build([weight])
    _update(adamax, [weight], [[1.0, 1.0]], 1)
    before = [v.numpy() for v in (weight, *adamax.variables)]
    _update(adamax, [weight], [[np.nan, 1.0]], 2, is_taken=False)
    for a, b in zip(before, (weight, *adamax.variables)):
        np.testing.assert_array_equal(a, b.numpy())


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("initial_size", [0.0, 1.0])
def test_rmsprop_takes_the_steps_of_a_plain_loop(momentum, initial_size):
    rng = np.random.default_rng(1)
    start = [rng.normal(size=shape).astype(np.float32) for shape in SHAPES]
    weights = [tf.Variable(value) for value in start]
    rmsprop = optimizers.RMSProp(
        0.1, momentum=momentum, initial_size=initial_size
    )
    rmsprop.build(weights)
    expected = [np.float64(value) for value in start]
    sizes = [np.full(shape, initial_size) for shape in SHAPES]
    changes = [np.zeros(shape) for shape in SHAPES]
    for count in range(1, 6):
        gradients = _gradients(count)
        _update(rmsprop, weights, gradients, count)
        for i, g in enumerate(gradients):
            sizes[i] = 0.9 * sizes[i] + 0.1 * np.float64(g) ** 2
            change = g / np.sqrt(sizes[i] + 1e-10)
            changes[i] = momentum * changes[i] + change
            expected[i] = expected[i] - 0.1 * changes[i]
            np.testing.assert_allclose(weights[i], expected[i], rtol=1e-4)
    assert all(np.any(a != b) for a, b in zip(weights, start))


def test_rmsprop_takes_the_steps_of_keras():
    weights, theirs = tf.Variable([1.0, 2.0]), keras.Variable([1.0, 2.0])
    rmsprop = optimizers.RMSProp(0.1, epsilon=1e-7, initial_size=0.0)
    rmsprop.build([weights])
    oracle = keras.optimizers.RMSprop(0.1, rho=0.9, epsilon=1e-7)
    oracle.build([theirs])
    for count, gradient in enumerate(([3.0, -0.5], [0.1, 2.0]), 1):
        _update(rmsprop, [weights], [gradient], count)
        oracle.apply([tf.constant(gradient)], [theirs])
        np.testing.assert_allclose(weights, theirs.numpy(), rtol=1e-5)


def test_rmsprop_that_begins_with_a_size_of_one_begins_slowly():
    weight = tf.Variable([1.0, 1.0])
    rmsprop = optimizers.RMSProp(0.25)
    rmsprop.build([weight])
    _update(rmsprop, [weight], [[3.0, -0.01]], 1)
    moved = [3.0 / np.sqrt(0.9 + 0.9), -0.01 / np.sqrt(0.9)]
    expected = 1.0 - 0.25 * np.array(moved)
    np.testing.assert_allclose(weight, expected, rtol=1e-4)


def test_a_step_of_rmsprop_that_is_not_taken_changes_nothing():
    weight = tf.Variable([1.0, 2.0])
    rmsprop = optimizers.RMSProp(0.1, momentum=0.9)
    rmsprop.build([weight])
    _update(rmsprop, [weight], [[1.0, 1.0]], 1)
    before = [v.numpy() for v in (weight, *rmsprop.variables)]
    _update(rmsprop, [weight], [[np.nan, 1.0]], 2, is_taken=False)
    for a, b in zip(before, (weight, *rmsprop.variables)):
        np.testing.assert_array_equal(a, b.numpy())


def _groups(paths, patterns=("*/where/*",)):
    weights = [tf.Variable([1.0, 1.0]) for _ in paths]
    groups = optimizers.Groups(
        {pattern: optimizers.Adamax(0.01) for pattern in patterns},
        optimizers.Adamax(0.1),
    )
    groups.build(weights, paths)
    return groups, weights


PATHS = ["m/where/a", "m/what/a", "m/where/b/c", "m/bias", "m/other/where"]


def test_every_weight_is_in_one_group_and_takes_its_rate():
    groups, weights = _groups(PATHS)
    assert groups.members == {"*/where/*": [0, 2], None: [1, 3, 4]}
    assert len(groups.variables) == 2 * len(weights)
    _update(groups, weights, [[1.0, -1.0]] * 5, 1)
    for path, weight in zip(PATHS, weights):
        rate = 0.01 if "/where/" in path else 0.1
        np.testing.assert_allclose(weight, [1 - rate, 1 + rate], rtol=1e-5)


def test_groups_are_one_optimizer_each_over_several_steps():
    groups, weights = _groups(PATHS)
    alone = tf.Variable([1.0, 1.0])
    single = optimizers.Adamax(0.01)
    single.build([alone])
    rng = np.random.default_rng(3)
    for count in range(1, 5):
        gradients = rng.normal(size=(5, 2))
        _update(groups, weights, gradients, count)
        _update(single, [alone], gradients[2:3], count)
    np.testing.assert_array_equal(weights[2], alone)


def test_the_first_pattern_that_fits_wins():
    groups, _ = _groups(PATHS, ("*/where/a", "*where/*"))
    assert groups.members == {
        "*/where/a": [0],
        "*where/*": [2],
        None: [1, 3, 4],
    }


def test_the_number_that_keras_adds_to_a_name_does_not_matter():
    # The second model of a process has layers named "where_1".
    paths = ["m_1/where_1/block_0/a", "m_1/what_1/a", "m_1/where_1/b"]
    groups, _ = _groups(paths)
    assert groups.members == {"*/where/*": [0, 2], None: [1]}
    # Where a pattern fits as it stands, only that counts.
    groups, _ = _groups(["m/where/a", "m/where_1/a"])
    assert groups.members == {"*/where/*": [0], None: [1]}


def test_a_pattern_that_fits_nothing_is_an_error():
    with pytest.raises(ValueError, match=r"no weight fits '\*/there/\*'.*m/wh"):
        _groups(PATHS, ("*/there/*",))


def test_rates_have_the_names_of_their_groups():
    groups, _ = _groups(PATHS)
    groups.optimizers["*/where/*"].learning_rate = schedules.Linear(
        1.0, 0.0, num_steps=10
    )
    rates = groups.rates(tf.constant(5))
    assert {k: round(float(v), 6) for k, v in rates.items()} == {
        "learning_rate": 0.1,
        "learning_rate_where": 0.5,
    }


def test_noise_on_gradients_is_cut_normal_and_fades():
    noisy = optimizers.NoisyAdam(
        0.1, beta_1=0.0, gradient_noise=schedules.Decay(2.0, 0.0, period=10)
    )
    weight = tf.Variable(tf.zeros([3000]))
    noisy.build([weight])
    draws = []
    for count in (1, 11):
        _update(noisy, [weight], [np.zeros(3000)], count)
        draws.append(noisy.variables[0].numpy())  # the last gradient
    for draw, scale in zip(draws, (2.0, 0.2)):
        assert np.abs(draw).max() <= 2 * scale
        # Cut at two deviations, a normal variable deviates by 0.88.
        assert draw.std() == pytest.approx(0.88 * scale, rel=0.05)
    assert abs(np.corrcoef(*draws)[0, 1]) < 0.1


def test_without_noise_the_noisy_one_is_adam():
    start = np.ones(4, np.float32)
    ours, theirs = tf.Variable(start), tf.Variable(start)
    noisy, adam = optimizers.NoisyAdam(0.1), optimizers.Adam(0.1)
    noisy.build([ours]), adam.build([theirs])
    for count in (1, 2, 3):
        gradient = [_gradients(count)[0]]
        _update(noisy, [ours], gradient, count)
        _update(adam, [theirs], gradient, count)
    np.testing.assert_array_equal(ours, theirs)
