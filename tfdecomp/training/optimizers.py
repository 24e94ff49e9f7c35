"""Updates of the weights: functions of gradients and saved state alone."""

import fnmatch
import re

import gin
import tensorflow as tf

from tfdecomp.ops import schedules


class Moments:
    """Base of optimizers that keep a mean gradient and a size for each weight.

    A step that is not taken changes nothing, not even the moments; that is
    what skipping a non-finite step needs.

    Args:
        learning_rate: A number or a schedule of the step.
        beta_1: Decay of the mean gradient.
        beta_2: Decay of its size.
        epsilon: Added to the size.
    """

    def __init__(self, learning_rate, beta_1, beta_2, epsilon):
        if not isinstance(learning_rate, schedules.Schedule):
            learning_rate = schedules.Constant(learning_rate)
        self.learning_rate = learning_rate
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.variables = []

    def build(self, weights, paths=None):
        """Creates the moments; call it in the scope of the strategy.

        Args:
            weights: Variables.
            paths: Path of each weight in the model; only `Groups` reads them.
        """
        del paths
        self.variables = [
            tf.Variable(tf.zeros(w.shape), trainable=False, name=name)
            for w in weights
            for name in ("mean", "size")
        ]

    def rates(self, step, rate_factor=1.0) -> dict:
        """Learning rates of a step, by the name under which they are logged."""
        return {"learning_rate": rate_factor * self.learning_rate(step)}

    def update(
        self,
        strategy,
        weights,
        gradients,
        *,
        factor,
        step,
        count,
        is_taken,
        rate_factor=1.0,
    ):
        """One step; called across replicas.

        Args:
            strategy: The strategy in whose scope everything was created.
            weights: Variables.
            gradients: One per weight, already summed over replicas.
            factor: Scalar that scales all gradients.
            step: Number of the step, which schedules read.
            count: Number of this update, from 1.
            is_taken: Scalar bool; nothing changes where it is false.
            rate_factor: Scalar that scales the learning rate.
        """
        count = tf.cast(count, tf.float32)
        rate, epsilon = self.corrected(
            rate_factor * self.learning_rate(step), count
        )
        for i, (weight, gradient) in enumerate(zip(weights, gradients)):
            mean, size = self.variables[2 * i : 2 * i + 2]
            noise = self.noise(weight.shape, step, i)
            strategy.extended.update(
                weight,
                self._update_one,
                args=(
                    *(mean, size, gradient, noise),
                    *(factor, rate, epsilon, is_taken),
                ),
            )

    def noise(self, shape, step, number):
        """What is added to the clipped gradient of a weight."""
        del shape, step, number
        return 0.0

    def _update_one(
        self, weight, mean, size, gradient, noise, factor, rate, epsilon, take
    ):
        gradient = factor * tf.cast(gradient, tf.float32) + noise
        new_mean = mean + (1.0 - self.beta_1) * (gradient - mean)
        new_size, divisor = self.measure(size, gradient)
        change = rate * new_mean / (divisor + epsilon)
        mean.assign(tf.where(take, new_mean, mean))
        size.assign(tf.where(take, new_size, size))
        weight.assign(tf.where(take, weight - change, weight))


@gin.register(module="training")
class Adam(Moments):
    """Adam with bias correction; see `Moments`.

    Args:
        learning_rate: A number or a schedule of the step.
        beta_1: Decay of the mean gradient.
        beta_2: Decay of the mean squared gradient.
        epsilon: Added to the root of the mean squared gradient.

    References:
        Kingma and Ba, Adam. ICLR 2015, algorithm 1.
    """

    def __init__(
        self, learning_rate=3e-4, beta_1=0.9, beta_2=0.999, epsilon=1e-8
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon)

    def corrected(self, rate, count):
        """Both bias corrections, moved into the rate and epsilon."""
        root = tf.sqrt(1.0 - self.beta_2**count)
        return rate * root / (1.0 - self.beta_1**count), self.epsilon * root

    def measure(self, size, gradient):
        """The mean square, and its root."""
        size = size + (1.0 - self.beta_2) * (gradient**2 - size)
        return size, tf.sqrt(size)


@gin.register(module="training")
class NoisyAdam(Adam):
    """Adam on clipped gradients with noise; see `Adam`.

    Args:
        learning_rate: A number or a schedule of the step.
        beta_1: Decay of the mean gradient.
        beta_2: Decay of the mean squared gradient.
        epsilon: Added to the root of the mean squared gradient.
        gradient_noise: A number or a schedule of the step: scale of normal
            noise, cut at two deviations, on every gradient.
    """

    def __init__(
        self,
        learning_rate=3e-4,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        gradient_noise=0.0,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon)
        if not isinstance(gradient_noise, schedules.Schedule):
            gradient_noise = schedules.Constant(gradient_noise)
        self.gradient_noise = gradient_noise

    def noise(self, shape, step, number):
        """A function of the step and the weight's number, on any replica."""
        seed = tf.stack([tf.cast(step, tf.int32), number])
        drawn = tf.random.stateless_truncated_normal(shape, seed)
        return self.gradient_noise(step) * drawn


@gin.register(module="training")
class RMSProp(Moments):
    """RMSProp; see `Moments`.

        size = decay size + (1 - decay) g^2
        mean = momentum mean + g / sqrt(size + epsilon)
        weight = weight - rate mean

    Args:
        learning_rate: A number or a schedule of the step.
        decay: Of the mean squared gradient.
        momentum: Of the change.
        epsilon: Added to the mean squared gradient, within the root.
        initial_size: Mean squared gradient at the start. TensorFlow 1 begins
            with 1, which makes first steps small; 0 makes the first step
            larger than the rate, by 1 / sqrt(1 - decay).

    References:
        Tieleman and Hinton, Neural Networks for Machine Learning, lecture
        6.5. 2012.
    """

    def __init__(
        self,
        learning_rate=1e-4,
        decay=0.9,
        momentum=0.0,
        epsilon=1e-10,
        initial_size=1.0,
    ):
        super().__init__(learning_rate, momentum, decay, epsilon)
        self.initial_size = initial_size

    def build(self, weights, paths=None):
        super().build(weights, paths)
        for variable in self.variables[1::2]:
            variable.assign(tf.fill(variable.shape, float(self.initial_size)))

    def corrected(self, rate, count):
        """No correction: the start of the size stands in for one."""
        del count
        return rate, self.epsilon

    def _update_one(
        self, weight, mean, size, gradient, noise, factor, rate, epsilon, take
    ):
        gradient = factor * tf.cast(gradient, tf.float32) + noise
        new_size = size + (1.0 - self.beta_2) * (gradient**2 - size)
        change = gradient * tf.math.rsqrt(new_size + epsilon)
        new_mean = self.beta_1 * mean + change
        mean.assign(tf.where(take, new_mean, mean))
        size.assign(tf.where(take, new_size, size))
        weight.assign(tf.where(take, weight - rate * new_mean, weight))


@gin.register(module="training")
class Adamax(Moments):
    """Adam with the largest decayed gradient as its size; see `Moments`.

    Args:
        learning_rate: A number or a schedule of the step.
        beta_1: Decay of the mean gradient.
        beta_2: Decay of the largest gradient.
        epsilon: Added to that.

    References:
        Kingma and Ba, Adam. ICLR 2015, algorithm 2.
    """

    def __init__(
        self, learning_rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-8
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon)

    def corrected(self, rate, count):
        """The bias correction of the mean, moved into the rate."""
        return rate / (1.0 - self.beta_1**count), self.epsilon

    def measure(self, size, gradient):
        """The largest of the decayed gradients so far."""
        size = tf.maximum(self.beta_2 * size, tf.abs(gradient))
        return size, size


@gin.register(module="training")
class Groups:
    """An optimizer of its own for each of several parts of the model.

    Args:
        optimizers: Pattern -> optimizer. A weight belongs to the first
            pattern that, as a shell pattern, fits its path in the model, such
            as `"*/location_net/*"`. A pattern that fits no path as it stands
            is tried without the numbers that Keras adds to names: the second
            model of a process has a "location_net_1".
        default: Optimizer of the weights that no pattern fits.

    In a config, for example:

        training.run.optimizer = @training.Groups()
        training.Groups.optimizers = {'*/location_net/*': @slow/training.Adam()}
        training.Groups.default = @training.Adam()
        slow/training.Adam.learning_rate = 1e-4
    """

    def __init__(self, optimizers=gin.REQUIRED, default=gin.REQUIRED):
        self.optimizers = dict(optimizers)
        self.default = default
        self.members = {}

    @property
    def learning_rate(self):
        """Schedule of the default group."""
        return self.default.learning_rate

    @property
    def variables(self):
        """Those of all groups."""
        return [v for part in self._parts().values() for v in part.variables]

    def _parts(self):
        return {**self.optimizers, None: self.default}

    def build(self, weights, paths=None):
        """Deals the weights out, then as `Moments.build`.

        Raises:
            ValueError: If a pattern fits no weight.
        """
        patterns = list(self.optimizers)
        fitting = {pattern: _fitting(pattern, paths) for pattern in patterns}
        fits = [
            next((p for p in patterns if i in fitting[p]), None)
            for i in range(len(paths))
        ]
        for pattern in patterns:
            if pattern not in fits:
                tops = sorted({"/".join(path.split("/")[:2]) for path in paths})
                raise ValueError(
                    f"training.Groups: no weight fits {pattern!r}; the "
                    f"model's weights begin with {', '.join(tops)}"
                )
        for pattern, optimizer in self._parts().items():
            chosen = [i for i, fit in enumerate(fits) if fit == pattern]
            self.members[pattern] = chosen
            optimizer.build([weights[i] for i in chosen])

    def rates(self, step, rate_factor=1.0) -> dict:
        """As `Moments.rates`; those of patterns end in the pattern's words."""
        rates = self.default.rates(step, rate_factor)
        for pattern, optimizer in self.optimizers.items():
            name = "_".join(re.findall(r"\w+", pattern))
            rate = rate_factor * optimizer.learning_rate(step)
            rates[f"learning_rate_{name}"] = rate
        return rates

    def update(self, strategy, weights, gradients, **arguments):
        """As `Moments.update`."""
        for pattern, optimizer in self._parts().items():
            chosen = self.members[pattern]
            optimizer.update(
                strategy,
                [weights[i] for i in chosen],
                [gradients[i] for i in chosen],
                **arguments,
            )


def _fitting(pattern, paths):
    """Indices of the paths that a pattern fits; see `Groups`."""
    for tried in (paths, [re.sub(r"_\d+(?=/)", "", path) for path in paths]):
        found = {i for i, p in enumerate(tried) if fnmatch.fnmatch(p, pattern)}
        if found:
            return found
    return set()


def update_average(strategy, averages, weights, decay, is_taken):
    """Moves exponential averages of the weights one step on."""

    def move(average, weight, take):
        moved = average + (1.0 - decay) * (weight - average)
        average.assign(tf.where(take, moved, average))

    for average, weight in zip(averages, weights):
        strategy.extended.update(average, move, args=(weight, is_taken))


def clip_factor(norm, limit):
    """Factor that brings a gradient of this norm to at most `limit`."""
    if limit is None:
        return tf.ones_like(norm)
    return limit / tf.maximum(norm, limit)


@gin.register(module="training")
class NllThreshold:
    """Reconstruction weight that follows the likelihood of the last frame.

    After every step, with `n` the batch mean of `nll_last_frame` (last decode
    of the last frame, without constants): `n > 600` sets the weight to 300,
    `200 < n <= 600` to 100; below it stays.

    Args:
        name: The weight, one of the model's `scheduled_weights`.
        start: Its value in the first step.
        limits: The two thresholds, high one first.
        values: The weights above each.
    """

    source = "nll_last_frame"

    def __init__(
        self,
        name="reconstruction_weight",
        start=100.0,
        limits=(600.0, 200.0),
        values=(300.0, 100.0),
    ):
        self.name = name
        self.start = float(start)
        self.limits = tuple(limits)
        self.values = tuple(values)

    def next(self, weight, value):
        """The weight of the next step."""
        high, low = self.limits
        inside = tf.where(value > low, self.values[1], weight)
        return tf.where(value > high, self.values[0], inside)


BETA_SCHEDULES = {"nll_threshold": NllThreshold}
