"""Values that change with the training step.

A schedule is called with the step (a scalar integer tensor or a number) and
returns a float32 scalar, so it runs inside a compiled training step and a
resumed run meets the same values. Learning rates, loss weights and
temperatures all use these.
"""

import math

import gin
import tensorflow as tf


class Schedule:
    """Base class: `schedule(step) -> float32 scalar`.

    Examples:
        >>> from tfdecomp.ops.schedules import Constant, Schedule
        >>> isinstance(Constant(0.5), Schedule)
        True
    """

    def __call__(self, step) -> tf.Tensor:
        raise TypeError(
            f"{type(self).__name__} has no value of its own; use one of its "
            "subclasses, such as Constant or Linear"
        )


def _fraction(step, begin, num_steps):
    """Progress through `[begin, begin + num_steps]`, clipped to `[0, 1]`."""
    step = tf.cast(step, tf.float32)
    return tf.clip_by_value((step - begin) / max(num_steps, 1), 0.0, 1.0)


@gin.register(module="schedules")
class Constant(Schedule):
    """The same value at every step.

    Args:
        value: What it always gives.

    Examples:
        >>> from tfdecomp.ops.schedules import Constant
        >>> float(Constant(0.5)(step=1000))
        0.5
    """

    def __init__(self, value=gin.REQUIRED):
        self.value = value

    def __call__(self, step):
        del step
        return tf.constant(self.value, tf.float32)


@gin.register(module="schedules")
class Linear(Schedule):
    """A straight ramp, constant before and after.

    Args:
        start: Value until step `begin`.
        end: Value from step `begin + num_steps` on.
        num_steps: Length of the ramp.
        begin: First step of the ramp.

    Examples:
        >>> from tfdecomp.ops.schedules import Linear
        >>> ramp = Linear(start=0.0, end=1.0, num_steps=100)
        >>> [float(ramp(step)) for step in (0, 50, 200)]
        [0.0, 0.5, 1.0]
    """

    def __init__(
        self, start=gin.REQUIRED, end=gin.REQUIRED, num_steps=1, begin=0
    ):
        self.start = start
        self.end = end
        self.num_steps = num_steps
        self.begin = begin

    def __call__(self, step):
        done = _fraction(step, self.begin, self.num_steps)
        return self.start + (self.end - self.start) * done


@gin.register(module="schedules")
class Exponential(Schedule):
    """A ramp by constant factors; both ends must be positive.

    Args:
        start: Value until step `begin`.
        end: Value from step `begin + num_steps` on.
        num_steps: Length of the ramp.
        begin: First step of the ramp.

    Raises:
        ValueError: If an end is not positive.

    Examples:
        >>> from tfdecomp.ops.schedules import Exponential
        >>> ramp = Exponential(start=1.0, end=0.01, num_steps=100)
        >>> round(float(ramp(50)), 4)
        0.1
    """

    def __init__(
        self, start=gin.REQUIRED, end=gin.REQUIRED, num_steps=1, begin=0
    ):
        if start <= 0 or end <= 0:
            raise ValueError(
                "an exponential schedule needs positive ends, got "
                f"start={start}, end={end}; use Linear for a ramp to zero"
            )
        self.start = start
        self.end = end
        self.num_steps = num_steps
        self.begin = begin

    def __call__(self, step):
        done = _fraction(step, self.begin, self.num_steps)
        return self.start * tf.exp(math.log(self.end / self.start) * done)


@gin.register(module="schedules")
class WarmupCosine(Schedule):
    """Linear warm-up to a peak, then half a cosine down.

    Args:
        peak: Highest value.
        num_steps: Step at which `final` is reached.
        warmup_steps: Steps from 0 to the peak; the first step already gets
            `peak / warmup_steps`.
        final: Value from `num_steps` on.

    Examples:
        >>> from tfdecomp.ops.schedules import WarmupCosine
        >>> rate = WarmupCosine(peak=1.0, num_steps=100, warmup_steps=10)
        >>> [round(float(rate(step)), 3) for step in (0, 10, 55, 100)]
        [0.1, 1.0, 0.5, 0.0]
    """

    def __init__(
        self, peak=gin.REQUIRED, num_steps=gin.REQUIRED, warmup_steps=0, final=0
    ):
        self.peak = peak
        self.num_steps = num_steps
        self.warmup_steps = warmup_steps
        self.final = final

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        rise = tf.minimum((step + 1.0) / max(self.warmup_steps, 1), 1.0)
        done = _fraction(
            step, self.warmup_steps, self.num_steps - self.warmup_steps
        )
        cosine = 0.5 * (1.0 + tf.cos(math.pi * done))
        return rise * (self.final + (self.peak - self.final) * cosine)


@gin.register(module="schedules")
class Piecewise(Schedule):
    """Constant between boundaries.

    Args:
        boundaries: Increasing steps; `values[i + 1]` holds from
            `boundaries[i]` on.
        values: One value more than there are boundaries.

    Raises:
        ValueError: If the lengths do not fit or the boundaries do not rise.

    Examples:
        >>> from tfdecomp.ops.schedules import Piecewise
        >>> rate = Piecewise(boundaries=[10], values=[1.0, 0.5])
        >>> [float(rate(step)) for step in (9, 10)]
        [1.0, 0.5]
    """

    def __init__(self, boundaries=gin.REQUIRED, values=gin.REQUIRED):
        if len(values) != len(boundaries) + 1:
            raise ValueError(
                f"{len(boundaries)} boundaries need {len(boundaries) + 1} "
                f"values, got {len(values)}"
            )
        if list(boundaries) != sorted(set(boundaries)):
            raise ValueError(f"boundaries must rise, got {boundaries}")
        self.boundaries = tuple(boundaries)
        self.values = tuple(values)

    def __call__(self, step):
        if not self.boundaries:
            return tf.constant(self.values[0], tf.float32)
        step = tf.cast(step, tf.int64)
        bounds = tf.constant(self.boundaries, tf.int64)
        index = tf.reduce_sum(tf.cast(step >= bounds, tf.int32))
        return tf.gather(tf.constant(self.values, tf.float32), index)


@gin.register(module="schedules")
class Decay(Schedule):
    """Falls, or rises, towards its end by a factor per so many steps.

        end + (start - end) factor^((step - begin) / period)

    Args:
        start: Value until step `begin`.
        end: Value that is approached.
        factor: Of the distance to the end, in (0, 1).
        period: Steps in which the distance shrinks by the factor.
        begin: First step of the decay.

    Raises:
        ValueError: If the factor is not between 0 and 1.

    Examples:
        >>> from tfdecomp.ops.schedules import Decay
        >>> rate = Decay(start=1.0, end=0.0, factor=0.5, period=10)
        >>> [float(rate(step)) for step in (0, 10, 20)]
        [1.0, 0.5, 0.25]
    """

    def __init__(
        self,
        start=gin.REQUIRED,
        end=gin.REQUIRED,
        factor=0.1,
        period=1000,
        begin=0,
    ):
        if not 0.0 < factor < 1.0:
            raise ValueError(
                f"factor must be between 0 and 1, got {factor}; it is what "
                "remains of the distance to the end after a period"
            )
        self.start = start
        self.end = end
        self.factor = factor
        self.period = period
        self.begin = begin

    def __call__(self, step):
        steps = tf.maximum(tf.cast(step, tf.float32) - self.begin, 0.0)
        left = tf.exp(math.log(self.factor) * steps / self.period)
        return self.end + (self.start - self.end) * left
