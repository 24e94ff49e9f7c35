"""Every distribution of the package through the same checks."""

import importlib
import inspect
import pkgutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfdecomp.distributions
from tests.distributions import battery
from tfdecomp.distributions.base import Distribution

tfd = tfp.distributions
MODULES = [
    importlib.import_module(f"tfdecomp.distributions.{module.name}")
    for module in pkgutil.iter_modules(tfdecomp.distributions.__path__)
]
SAMPLES = 20_000
ERRORS = 5.0  # standard errors: one check in two million fails by chance
WITH_PARAMETERS = [e for e in battery.ENTRIES if e.parameters]
WITH_OTHER = [e for e in battery.ENTRIES if e.other is not None]
WITH_SAMPLES = [e for e in battery.ENTRIES if e.has_samples]
WITH_BATCH = [e for e in battery.ENTRIES if e.parameters and e.batch_shape]
EXTREME = [e for e in battery.ENTRIES if e.extremes]


def each(entries):
    return pytest.mark.parametrize("entry", entries, ids=str)


def some(entry, count=40):
    """A few values out of the support, `[S, *event]`."""
    values = entry.support[0]
    return values[:: max(len(values) // count, 1)]


def at(entry, values):
    """Values of all members of the batch, `[S, *batch, *event]`."""
    batch, event = len(entry.batch_shape), len(entry.event_shape)
    shape = [len(values)] + [1] * batch + list(values.shape[1:])
    tiles = [1, *entry.batch_shape, *[1] * event]
    return np.tile(np.reshape(values, shape), tiles)


def as_tensor(distribution, values):
    return tf.constant(values, distribution.dtype)


def difference(function, parameters, step=1e-5):
    """Central differences of a sum, in float64, by every parameter."""
    result = {}
    for name, value in parameters.items():
        gradient = np.zeros(np.shape(value))
        for index in np.ndindex(gradient.shape):
            ends = []
            for sign in (1, -1):
                moved = {k: np.array(v) for k, v in parameters.items()}
                moved[name][index] += sign * step
                ends.append(np.sum(function(moved)))
            gradient[index] = (ends[0] - ends[1]) / (2 * step)
        result[name] = gradient
    return result


def gradients(function, parameters):
    parameters = {k: tf.constant(v) for k, v in parameters.items()}
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        total = tf.reduce_sum(function(parameters))
    return tape.gradient(total, parameters)


def compare_gradients(found, expected):
    for name, value in expected.items():
        assert found[name] is not None, name
        scale = max(np.abs(value).max(), 1.0)
        np.testing.assert_allclose(
            found[name] / scale, value / scale, atol=2e-4, err_msg=name
        )


class TestBattery:
    @each(battery.ENTRIES)
    def test_shapes_are_those_of_batch_and_event(self, entry):
        found = entry.distribution()
        assert isinstance(found, tfd.Distribution)
        assert found.batch_shape == entry.batch_shape
        assert found.event_shape == entry.event_shape
        assert tuple(found.batch_shape_tensor()) == entry.batch_shape
        assert tuple(found.event_shape_tensor()) == entry.event_shape

    @each(WITH_SAMPLES)
    def test_samples_have_the_shape_asked_for(self, entry):
        found = entry.distribution()
        shape = (*entry.batch_shape, *entry.event_shape)
        assert found.sample(seed=1).shape == shape
        samples = found.sample([2, 3], seed=1)
        assert samples.shape == (2, 3, *shape)
        assert samples.dtype == found.dtype
        assert found.log_prob(samples).shape == (2, 3, *entry.batch_shape)

    @each(battery.ENTRIES)
    def test_log_prob_is_that_of_the_oracle(self, entry):
        found, values = entry.distribution(), some(entry)
        expected = entry.log_prob(battery.exact(entry.parameters), values)
        log_prob = found.log_prob(as_tensor(found, at(entry, values)))
        assert log_prob.dtype == tf.float32
        np.testing.assert_allclose(log_prob, expected, rtol=2e-5, atol=2e-5)

    @each(battery.ENTRIES)
    def test_probabilities_sum_to_one(self, entry):
        values, weights = entry.support
        found = entry.distribution()
        log_prob = found.log_prob(as_tensor(found, at(entry, values)))
        probs = np.exp(np.asarray(log_prob, np.float64))
        total = np.sum(probs * battery.column(weights, entry.batch_shape), 0)
        np.testing.assert_allclose(total, entry.total, rtol=1e-5)

    @each(WITH_SAMPLES)
    def test_samples_have_the_moments_of_the_density(self, entry):
        samples = np.asarray(
            entry.distribution().sample(SAMPLES, seed=3), float
        )
        mean = entry.expected(lambda x: x) / entry.total
        square = entry.expected(np.square) / entry.total
        fourth = entry.expected(lambda x: x**4) / entry.total
        error = np.sqrt(np.maximum(square - mean**2, 1e-12) / SAMPLES)
        assert np.all(np.abs(samples.mean(0) - mean) < ERRORS * error)
        error = np.sqrt(np.maximum(fourth - square**2, 1e-12) / SAMPLES)
        distance = np.abs(np.mean(samples**2, 0) - square)
        assert np.all(distance < ERRORS * error + 1e-6)

    @each([e for e in WITH_SAMPLES if e.event_shape])
    def test_samples_vary_together_as_the_density_says(self, entry):
        """The mean product of the first value of an event and the last."""

        def product(values, axes):
            flat = np.reshape(values, (*values.shape[:axes], -1))
            return flat[..., 0] * flat[..., -1]

        samples = entry.distribution().sample(SAMPLES, seed=9)
        found = product(np.asarray(samples, float), 1 + len(entry.batch_shape))
        expected = entry.expected(lambda x: product(x, 1)) / entry.total
        error = found.std(0) / np.sqrt(SAMPLES)
        distance = np.abs(found.mean(0) - expected)
        assert np.all(distance < ERRORS * error + 1e-6)

    @each([e for e in battery.ENTRIES if e.has_mean])
    def test_mean_and_variance_are_those_of_the_density(self, entry):
        found = entry.distribution()
        mean = entry.expected(lambda x: x) / entry.total
        square = entry.expected(np.square) / entry.total
        np.testing.assert_allclose(found.mean(), mean, rtol=2e-3, atol=1e-4)
        np.testing.assert_allclose(
            found.variance(), square - mean**2, rtol=4e-3, atol=1e-4
        )
        np.testing.assert_allclose(
            found.stddev(), np.sqrt(found.variance()), rtol=1e-5
        )

    @each(WITH_SAMPLES)
    def test_a_seed_gives_one_sample_and_another_seed_another(self, entry):
        found = entry.distribution()
        one = np.asarray(found.sample(50, seed=7))
        np.testing.assert_array_equal(found.sample(50, seed=7), one)
        np.testing.assert_allclose(
            tf.function(lambda: found.sample(50, seed=7))(), one, rtol=1e-5
        )
        assert np.any(np.asarray(found.sample(50, seed=8)) != one)
        pair = tf.constant([3, 4])
        np.testing.assert_array_equal(
            found.sample(50, seed=pair), found.sample(50, seed=pair)
        )

    @each([e for e in WITH_SAMPLES if e.batch_shape])
    def test_members_of_a_batch_do_not_share_their_noise(self, entry):
        equal = {
            name: np.repeat(value[:1], 2, axis=0)
            for name, value in entry.parameters.items()
            if np.ndim(value) > len(entry.event_shape)
        }
        samples = np.asarray(entry.distribution(**equal).sample(50, seed=7))
        assert np.any(samples[:, 0] != samples[:, 1])

    @each(WITH_OTHER)
    def test_divergence_is_the_sum_over_all_values(self, entry):
        q, p = entry.distribution(), entry.other_distribution()
        found = tfd.kl_divergence(q, p)
        assert found.shape == entry.batch_shape and found.dtype == tf.float32
        np.testing.assert_allclose(
            found, entry.divergence(), rtol=1e-4, atol=2e-6
        )
        np.testing.assert_array_equal(q.kl_divergence(p), found)

    @each(WITH_OTHER)
    def test_divergence_is_the_mean_over_samples(self, entry):
        q, p = entry.distribution(), entry.other_distribution()
        samples = q.sample(SAMPLES, seed=11)
        ratio = np.asarray(q.log_prob(samples) - p.log_prob(samples), float)
        error = ratio.std(0) / np.sqrt(SAMPLES)
        distance = np.abs(ratio.mean(0) - tfd.kl_divergence(q, p))
        assert np.all(distance < ERRORS * error + 1e-5)

    @each([e for e in WITH_OTHER if not e.make_other])
    def test_divergence_from_itself_is_zero(self, entry):
        q = entry.distribution()
        np.testing.assert_allclose(tfd.kl_divergence(q, q), 0.0, atol=1e-6)

    @each(WITH_PARAMETERS)
    def test_gradient_of_log_prob_is_that_of_finite_differences(self, entry):
        values = some(entry, 5)
        expected = difference(
            lambda p: entry.log_prob(p, values), battery.exact(entry.parameters)
        )

        def log_prob(parameters):
            found = entry.make(**parameters)
            return found.log_prob(as_tensor(found, at(entry, values)))

        found = gradients(log_prob, entry.parameters)
        compare_gradients(found, expected)

    @each(WITH_BATCH)
    def test_gradient_at_one_value_is_that_of_finite_differences(self, entry):
        """Without sample axes, where closed forms replace autodiff."""
        values = some(entry, 3)[1:2]
        expected = difference(
            lambda p: entry.log_prob(p, values), battery.exact(entry.parameters)
        )

        def log_prob(parameters):
            found = entry.make(**parameters)
            return found.log_prob(as_tensor(found, at(entry, values)[0]))

        compare_gradients(gradients(log_prob, entry.parameters), expected)

    @each(WITH_OTHER)
    def test_gradient_of_the_divergence_is_that_of_differences(self, entry):
        expected = difference(entry.divergence, battery.exact(entry.parameters))
        found = gradients(
            lambda p: tfd.kl_divergence(
                entry.make(**p), entry.other_distribution()
            ),
            entry.parameters,
        )
        compare_gradients(found, expected)

    @each([e for e in WITH_SAMPLES if e.parameters])
    def test_gradients_pass_samples_where_it_says_so(self, entry):
        def sample(parameters):
            return tf.cast(entry.make(**parameters).sample(seed=5), tf.float32)

        found = gradients(sample, entry.parameters)
        kind = entry.distribution().reparameterization_type
        passes = kind == tfd.FULLY_REPARAMETERIZED
        for name, value in found.items():
            assert (value is not None) == passes, name

    @each(battery.ENTRIES)
    def test_its_parameters_make_it_again(self, entry):
        found = entry.distribution()
        values = as_tensor(found, at(entry, some(entry)))
        for again in (found.copy(), type(found)(**found.parameters)):
            assert again.parameters.keys() == found.parameters.keys()
            assert again.name == found.name
            np.testing.assert_array_equal(
                again.log_prob(values), found.log_prob(values)
            )

    @each(battery.ENTRIES)
    def test_a_copy_may_have_another_name(self, entry):
        again = entry.distribution().copy(name="another")
        assert again.name == "another"
        assert again.batch_shape == entry.batch_shape

    @each(WITH_BATCH)
    def test_a_slice_is_a_member_of_the_batch(self, entry):
        found = entry.distribution()
        values = as_tensor(found, at(entry, some(entry)))
        one = found[1]
        assert one.batch_shape == entry.batch_shape[1:]
        assert one.event_shape == entry.event_shape
        np.testing.assert_allclose(
            one.log_prob(values[:, 1]), found.log_prob(values)[:, 1], rtol=1e-6
        )

    @each(battery.ENTRIES)
    def test_a_graph_with_an_open_batch_gives_the_same(self, entry):
        found = entry.distribution()
        values = as_tensor(found, at(entry, some(entry)))

        def evaluate(parameters, values):
            made = entry.make(**parameters)
            return made.log_prob(values), made.batch_shape_tensor()

        def is_open(value):
            rank = len(entry.batch_shape) + len(entry.event_shape)
            return entry.batch_shape and np.ndim(value) >= max(rank, 1)

        specs = {
            name: tf.TensorSpec(
                [None, *value.shape[1:]] if is_open(value) else value.shape
            )
            for name, value in entry.parameters.items()
        }
        shape = list(values.shape)
        shape[: 1 + len(entry.batch_shape)] = [None] * (
            1 + len(entry.batch_shape)
        )
        spec = tf.TensorSpec(shape, values.dtype)
        log_prob, batch = tf.function(evaluate, input_signature=[specs, spec])(
            entry.parameters, values
        )
        assert tuple(batch) == entry.batch_shape
        np.testing.assert_allclose(
            log_prob, found.log_prob(values), rtol=1e-5, atol=1e-5
        )

    @each(battery.ENTRIES)
    def test_a_loop_may_use_it_from_outside(self, entry):
        """And so may a gradient through the loop."""
        values = some(entry, 4)

        def total(parameters):
            found = entry.make(**parameters)
            tensor = as_tensor(found, at(entry, values))
            start = tf.zeros(entry.batch_shape)
            return tf.while_loop(
                lambda i, _: i < len(values),
                lambda i, s: (i + 1, s + found.log_prob(tensor[i])),
                (tf.constant(0), start),
            )[1]

        parameters = {k: tf.constant(v) for k, v in entry.parameters.items()}

        @tf.function(autograph=False)
        def graph():
            with tf.GradientTape() as tape:
                tape.watch(parameters)
                result = total(parameters)
            return result, tape.gradient(result, parameters)

        result, by_parameters = graph()
        expected = entry.log_prob(battery.exact(entry.parameters), values)
        np.testing.assert_allclose(
            result, expected.sum(0), rtol=1e-4, atol=1e-4
        )
        compare_gradients(
            by_parameters,
            {
                name: np.asarray(value)
                for name, value in gradients(total, entry.parameters).items()
            },
        )

    @each(battery.ENTRIES)
    def test_a_call_in_a_loop_leaves_nothing_behind(self, entry):
        found = entry.distribution()
        value = as_tensor(found, at(entry, some(entry, 3)[1:2])[0])

        @tf.function(autograph=False)
        def in_and_after_a_loop():
            found = entry.distribution()
            inside = tf.while_loop(
                lambda i, _: i < 1,
                lambda i, _: (i + 1, found.log_prob(value)),
                (tf.constant(0), tf.zeros(entry.batch_shape)),
            )[1]
            return inside, found.log_prob(value)

        for result in in_and_after_a_loop():
            np.testing.assert_allclose(
                result, found.log_prob(value), rtol=1e-5, atol=1e-6
            )

    @each(EXTREME)
    def test_nothing_is_infinite_at_the_extremes(self, entry):
        parameters, values = entry.extremes

        def log_prob(parameters):
            found = entry.make(**parameters)
            rank = found.batch_shape.rank
            tensor = as_tensor(found, values)
            for _ in range(rank):
                tensor = tensor[:, None]
            shape = [len(values), *found.batch_shape, *found.event_shape]
            tensor = tf.broadcast_to(tensor, shape)
            if rank and len(values) == 1:
                tensor = tensor[0]
            return found.log_prob(tensor)

        tensors = {k: tf.constant(v) for k, v in parameters.items()}
        assert np.all(np.isfinite(log_prob(tensors)))
        for name, value in gradients(log_prob, parameters).items():
            assert np.all(np.isfinite(value)), name
        found = entry.make(**parameters)
        assert np.all(np.isfinite(found.sample(20, seed=1)))

    @each([e for e in EXTREME if e.other is not None and not e.make_other])
    def test_no_divergence_is_a_nan_at_the_extremes(self, entry):
        parameters, _ = entry.extremes

        def divergence(parameters):
            far = entry.make(**parameters)
            return tfd.kl_divergence(far, entry.make(**near))

        near = {k: v[:1] if np.ndim(v) else v for k, v in entry.other.items()}
        tensors = {k: tf.constant(v) for k, v in parameters.items()}
        assert not np.any(np.isnan(divergence(tensors)))
        for name, value in gradients(divergence, parameters).items():
            assert not np.any(np.isnan(value)), name


def test_seeds_that_differ_far_up_differ():
    p = battery.DiagonalGaussian.standard(4)
    drawn = [p.sample(seed=seed).numpy() for seed in (1, 1 + 2**31, -1)]
    assert len({values.tobytes() for values in drawn}) == 3
    np.testing.assert_array_equal(p.sample(seed=np.int64(1)), drawn[0])


def test_without_a_seed_every_sample_is_new():
    p = battery.DiagonalGaussian.standard(4)
    assert np.any(p.sample().numpy() != p.sample().numpy())


def test_every_class_has_an_entry():
    covered = {type(entry.distribution()) for entry in battery.ENTRIES}
    public = {
        value
        for module in MODULES
        for _, value in inspect.getmembers(module, inspect.isclass)
        if value.__module__ == module.__name__
        and issubclass(value, tfd.Distribution)
        and module.__name__ != Distribution.__module__
    }
    assert public == covered
