"""What all distributions of this package share.

Values and densities are float32, whatever the compute policy: parameters are
cast before they become a distribution. A seed is one integer, or two for
`tf.random.stateless_uniform`; the same seed always draws the same sample.
"""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


class Distribution(tfd.Distribution):
    """Base class: a distribution whose checks are those of its constructor.

    Args:
        parameters: The constructor's arguments, `dict(locals())` in its first
            line; `copy` and `parameters` read them.
        name: Of the distribution, and of the operations in a graph.
        dtype: Of its values.
        reparameterized: Whether gradients reach the parameters through
            samples.

    Examples:
        >>> from tfdecomp.distributions.base import Distribution
        >>> class Nothing(Distribution):
        ...     def __init__(self, size):
        ...         super().__init__(dict(locals()), name="Nothing")
        >>> Nothing(3).parameters["size"]
        3
    """

    def __init__(
        self, parameters, name, dtype=tf.float32, reparameterized=False
    ):
        super().__init__(
            dtype=dtype,
            reparameterization_type=(
                tfd.FULLY_REPARAMETERIZED
                if reparameterized
                else tfd.NOT_REPARAMETERIZED
            ),
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    def _shape_of(self, n):
        """Of n samples: `[n]`, the batch shape, the event shape."""
        return tf.concat(
            [[n], self.batch_shape_tensor(), self.event_shape_tensor()], 0
        )


def parameter(event_ndims=0):
    """What TFP asks of a tensor in a constructor: its axes that are no batch.

    From these it knows batch shapes, and `q[0]` slices a batch.

    Examples:
        >>> from tfdecomp.distributions.base import parameter
        >>> parameter(event_ndims=1).event_ndims
        1
    """
    return tfp.util.ParameterProperties(event_ndims=event_ndims)


class ScalarDistribution(Distribution):
    """A distribution of single values, event `[]`.

    Examples:
        >>> from tfdecomp.distributions.concrete import Presence
        >>> from tfdecomp.distributions.base import ScalarDistribution
        >>> p = Presence(logits=[0.0, 9.0])
        >>> isinstance(p, ScalarDistribution), p.event_shape
        (True, TensorShape([]))
    """

    def _event_shape(self):
        return tf.TensorShape([])

    def _event_shape_tensor(self):
        return tf.constant([], tf.int32)


def as_float(value):
    """A float32 tensor; float64 loses digits, half precision gains zeros.

    Examples:
        >>> from tfdecomp.distributions.base import as_float
        >>> as_float([1, 2]).dtype
        tf.float32
    """
    return tf.cast(tf.convert_to_tensor(value), tf.float32)


def stateless(seed, salt):
    """The two integers that a stateless sampler takes.

    Args:
        seed: One integer, two, or None: then every call draws anew.
        salt: A word for what is drawn: two kinds of noise from the same seed
            do not repeat each other.

    Returns:
        int32 `[2]`.

    Examples:
        >>> from tfdecomp.distributions.base import stateless
        >>> (stateless(7, "noise") == stateless(7, "noise")).numpy()
        array([ True,  True])
    """
    if isinstance(seed, (int, np.integer)):
        # As such it would be TFP's stateful seed, different at every call.
        seed = [int(seed) >> 31 & 0x7FFFFFFF, int(seed) & 0x7FFFFFFF]
    return tfp.random.sanitize_seed(seed, salt=salt)
