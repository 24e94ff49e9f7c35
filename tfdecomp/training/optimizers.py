"""Updates of the weights: functions of gradients and saved state alone."""

import gin
import tensorflow as tf

from tfdecomp.ops import schedules


@gin.register(module="training")
class Adam:
    """Adam (Kingma and Ba, 2015) with bias correction.

    A step that is not taken changes nothing, not even the moments; that is
    what skipping a non-finite step needs.

    Args:
        learning_rate: A number or a schedule of the step.
        beta_1: Decay of the mean gradient.
        beta_2: Decay of the mean squared gradient.
        epsilon: Added to the root of the mean squared gradient.
    """

    def __init__(
        self, learning_rate=3e-4, beta_1=0.9, beta_2=0.999, epsilon=1e-8
    ):
        if not isinstance(learning_rate, schedules.Schedule):
            learning_rate = schedules.Constant(learning_rate)
        self.learning_rate = learning_rate
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.variables = []

    def build(self, weights):
        """Creates the moments; call it in the scope of the strategy."""
        self.variables = [
            tf.Variable(tf.zeros(w.shape), trainable=False, name=name)
            for w in weights
            for name in ("mean", "square")
        ]

    def update(
        self, strategy, weights, gradients, *, factor, rate, count, is_taken
    ):
        """One step; called across replicas.

        Args:
            strategy: The strategy in whose scope everything was created.
            weights: Variables.
            gradients: One per weight, already summed over replicas.
            factor: Scalar that scales all gradients.
            rate: Learning rate, scalar.
            count: Number of this update, from 1.
            is_taken: Scalar bool; nothing changes where it is false.
        """
        count = tf.cast(count, tf.float32)
        rate *= tf.sqrt(1.0 - self.beta_2**count) / (1.0 - self.beta_1**count)
        # Epsilon belongs to the corrected root; see `_update_one`.
        epsilon = self.epsilon * tf.sqrt(1.0 - self.beta_2**count)
        for i, (weight, gradient) in enumerate(zip(weights, gradients)):
            mean, square = self.variables[2 * i : 2 * i + 2]
            strategy.extended.update(
                weight,
                self._update_one,
                args=(mean, square, gradient, factor, rate, epsilon, is_taken),
            )

    def _update_one(
        self, weight, mean, square, gradient, factor, rate, epsilon, take
    ):
        gradient = factor * tf.cast(gradient, tf.float32)
        new_mean = mean + (1.0 - self.beta_1) * (gradient - mean)
        new_square = square + (1.0 - self.beta_2) * (gradient**2 - square)
        # m̂ / (sqrt(v̂) + ε), with both corrections moved into rate and ε.
        change = rate * new_mean / (tf.sqrt(new_square) + epsilon)
        mean.assign(tf.where(take, new_mean, mean))
        square.assign(tf.where(take, new_square, square))
        weight.assign(tf.where(take, weight - change, weight))


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
