"""Locations drawn one after the other, none of them twice.

    q(l_1, ..., l_n) = prod_i  exp h[l_i] / sum_{d not in l_<i} exp h[d]

`D` locations, `K` draws, logits `h` `[N, D]`. In training a draw is also
relaxed (Gumbel-softmax), so that gradients reach the logits. Everything is
float32: logits over a low temperature reach thousands.

References:
    Dittadi and Winther, LAVAE. 2019, section 3.
    Jang et al., Categorical Reparameterization with Gumbel-Softmax. ICLR 2017.
"""

import itertools
import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp.distributions.base import (
    Distribution,
    ScalarDistribution,
    as_float,
    parameter,
    stateless,
)

tfd = tfp.distributions

TAKEN = -1e9  # added to the logit of a location that is used up
_SMALLEST = 1e-20  # keeps the logarithm of uniform noise finite
_MOST_SEQUENCES = 100_000  # that an exact divergence adds up


def gumbel(uniform):
    """Uniform noise in [0, 1) -> noise of the Gumbel(0, 1) distribution.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.distributions.locations import gumbel
        >>> gumbel(tf.constant([0.5, 0.99])).numpy().round(1)
        array([0.4, 4.6], dtype=float32)
    """
    uniform = tf.clip_by_value(uniform, _SMALLEST, 1.0 - 1e-7)
    return -tf.math.log(-tf.math.log(uniform))


def _check_draws(num_draws, num_locations):
    """Raises if there are more draws than locations, where that is known."""
    draws = tf.get_static_value(num_draws)
    locations = tf.get_static_value(num_locations)
    if None not in (draws, locations) and draws > locations:
        raise ValueError(
            f"num_draws must be at most the number of locations, {locations}, "
            f"none of which is drawn twice; got {draws}"
        )


class LocationsWithoutReplacement(Distribution):
    """A sequence of locations, all of them different. Event `[K]` int32.

    Args:
        logits: `[..., D]`, h; the batch is `[...]`.
        num_draws: `K`, at most `D`.
        name: Of the distribution.

    Raises:
        ValueError: If there are more draws than locations.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.distributions.locations import (
        ...     LocationsWithoutReplacement,
        ... )
        >>> q = LocationsWithoutReplacement(tf.zeros([1, 16]), num_draws=3)
        >>> q.sample(seed=1).shape
        TensorShape([1, 3])
        >>> (1 / q.prob([[3, 5, 0]])).numpy().round()  # 16 * 15 * 14
        array([3360.], dtype=float32)
    """

    def __init__(self, logits, num_draws, name="LocationsWithoutReplacement"):
        arguments = dict(locals())
        self.logits = as_float(logits)
        self.num_draws = num_draws
        _check_draws(num_draws, self.logits.shape[-1])
        super().__init__(arguments, name, dtype=tf.int32)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        del dtype, num_classes
        return {"logits": parameter(1)}

    def _event_shape(self):
        return tf.TensorShape([tf.get_static_value(self.num_draws)])

    def _event_shape_tensor(self):
        return tf.reshape(tf.cast(self.num_draws, tf.int32), [1])

    def draw(self, noise):
        """Draws by noise, one location after the other.

        Args:
            noise: Gumbel noise `[N, K, D]`, fresh for every draw; zeros give
                the most likely order. Its `K` is drawn, be it other than the
                distribution's.

        Returns:
            `(order, open_logits)`: `[N, K]` int32, and `[N, K, D]` the logits
            that each draw met: those of earlier draws are lowered by 1e9. The
            gradient of the latter reaches `logits`.
        """
        num_draws, size = tf.shape(noise)[1], tf.shape(self.logits)[1]
        fixed = tf.stop_gradient(self.logits)
        noise = tf.stop_gradient(noise)

        def body(i, used, orders, masks):
            scores = fixed + used + noise[:, i]
            chosen = tf.argmax(scores, axis=-1, output_type=tf.int32)
            orders = orders.write(i, chosen)
            masks = masks.write(i, used)
            return i + 1, used + TAKEN * tf.one_hot(chosen, size), orders, masks

        start = (
            tf.constant(0),
            tf.zeros_like(fixed),
            tf.TensorArray(tf.int32, num_draws, element_shape=[None]),
            tf.TensorArray(tf.float32, num_draws, element_shape=[None, None]),
        )
        _, _, orders, masks = tf.while_loop(
            lambda i, *_: i < num_draws, body, start, parallel_iterations=1
        )
        # With no draw at all, stacking forgets the other axes.
        shape = [num_draws, tf.shape(fixed)[0], size]
        order = tf.transpose(tf.reshape(orders.stack(), shape[:2]))
        mask = tf.transpose(tf.reshape(masks.stack(), shape), [1, 0, 2])
        return order, self.logits[:, None] + tf.stop_gradient(mask)

    def open_logits(self, order):
        """The logits that every draw of a sequence met, `[..., K, D]`.

        Args:
            order: `[..., K]` int32.
        """
        chosen = tf.one_hot(order, tf.shape(self.logits)[-1])
        used = tf.cumsum(chosen, axis=-2, exclusive=True)
        return self.logits[..., None, :] + TAKEN * used

    def conditional(self, open_logits):
        """Every draw given those before it: `NextLocation`, batch `[..., K]`.

        Args:
            open_logits: From `draw` or `open_logits`.
        """
        return NextLocation(open_logits)

    @staticmethod
    def relaxed(open_logits, noise, temperature):
        """The relaxed one-hot of every draw.

        Args:
            open_logits: From `draw`.
            noise: The Gumbel noise given to `draw`.
            temperature: Scalar.

        Returns:
            `[N, K, D]`, rows sum to 1.
        """
        return tf.nn.softmax((open_logits + noise) / temperature, axis=-1)

    def _log_prob(self, value):
        each = self.conditional(self.open_logits(value))
        return tf.reduce_sum(each.log_prob(value), axis=-1)

    def _sample_n(self, n, seed=None):
        """The greatest K of logits with Gumbel noise, in falling order."""
        seed = stateless(seed, "locations_without_replacement")
        shape = tf.concat([[n], tf.shape(self.logits)], 0)
        noise = gumbel(tf.random.stateless_uniform(shape, seed))
        return tf.math.top_k(self.logits + noise, self.num_draws)[1]

    def _mode(self):
        return tf.math.top_k(self.logits, self.num_draws)[1]


class UniformLocations(Distribution):
    """All sequences of K out of D locations alike. Event `[K]`, no batch.

    Args:
        num_locations: `D`.
        num_draws: `K`, at most `D`.
        name: Of the distribution.

    Raises:
        ValueError: If there are more draws than locations.

    Examples:
        >>> from tfdecomp.distributions.locations import UniformLocations
        >>> p = UniformLocations(num_locations=16, num_draws=2)
        >>> round(1 / float(p.prob([3, 5])))  # 16 * 15
        240
    """

    def __init__(self, num_locations, num_draws, name="UniformLocations"):
        arguments = dict(locals())
        self.num_locations = num_locations
        self.num_draws = num_draws
        _check_draws(num_draws, num_locations)
        super().__init__(arguments, name, dtype=tf.int32)

    def _event_shape(self):
        return tf.TensorShape([tf.get_static_value(self.num_draws)])

    def _event_shape_tensor(self):
        return tf.reshape(tf.cast(self.num_draws, tf.int32), [1])

    def _batch_shape(self):
        return tf.TensorShape([])

    def _batch_shape_tensor(self):
        return tf.constant([], tf.int32)

    def conditional(self):
        """Every draw given those before it: `UniformNext`, batch `[K]`."""
        left = self.num_locations - tf.range(self.num_draws)
        return UniformNext(tf.maximum(left, 1))

    def _log_prob(self, value):
        total = tf.reduce_sum(self.conditional().log_prob(value), axis=-1)
        return tf.where(self._is_possible(value), total, -math.inf)

    def _is_possible(self, value):
        """Whether locations are all different, and all of them exist."""
        ordered = tf.sort(value, axis=-1)
        differ = tf.reduce_all(ordered[..., 1:] > ordered[..., :-1], axis=-1)
        exist = (value >= 0) & (value < self.num_locations)
        return differ & tf.reduce_all(exist, axis=-1)

    def _sample_n(self, n, seed=None):
        seed = stateless(seed, "uniform_locations")
        shape = [n, self.num_locations]
        uniform = tf.random.stateless_uniform(shape, seed)
        return tf.math.top_k(uniform, self.num_draws)[1]


class NextLocation(ScalarDistribution):
    """One location out of those left. Event `[]` int32, batch `[..., K]`.

    Args:
        open_logits: `[..., K, D]`; below -5e8 a location is used up.
        name: Of the distribution.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.distributions.locations import (
        ...     LocationsWithoutReplacement,
        ... )
        >>> q = LocationsWithoutReplacement(tf.zeros([1, 16]), num_draws=3)
        >>> each = q.conditional(q.open_logits([[3, 5, 0]]))  # NextLocation
        >>> (1 / each.prob([[3, 5, 0]])).numpy().round()
        array([[16., 15., 14.]], dtype=float32)
    """

    def __init__(self, open_logits, name="NextLocation"):
        arguments = dict(locals())
        self.open_logits = as_float(open_logits)
        super().__init__(arguments, name, dtype=tf.int32)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        del dtype, num_classes
        return {"open_logits": parameter(1)}

    def _log_prob(self, value):
        logits = self.open_logits
        if value.shape.rank != logits.shape.rank - 1:  # of several samples
            shape = tf.broadcast_dynamic_shape(
                tf.shape(value), tf.shape(logits)[:-1]
            )
            value = tf.broadcast_to(value, shape)
            shape = tf.concat([shape, tf.shape(logits)[-1:]], 0)
            logits = tf.broadcast_to(logits, shape)
        picked = tf.gather(
            logits, value[..., None], batch_dims=logits.shape.rank - 1
        )[..., 0]
        return picked - tf.reduce_logsumexp(self.open_logits, axis=-1)

    def _mode(self):
        return tf.argmax(self.open_logits, axis=-1, output_type=tf.int32)

    def _sample_n(self, n, seed=None):
        seed = stateless(seed, "next_location")
        shape = tf.concat([[n], tf.shape(self.open_logits)], 0)
        noise = gumbel(tf.random.stateless_uniform(shape, seed))
        return tf.argmax(self.open_logits + noise, -1, output_type=tf.int32)

    def _entropy(self):
        log_b = tf.nn.log_softmax(self.open_logits, axis=-1)
        # exp(-1e9) is zero and zero times minus 1e9 would be too, but the
        # gradient is left with nothing to round.
        is_open = self.open_logits > 0.5 * TAKEN
        terms = tf.exp(log_b) * tf.where(is_open, log_b, 0.0)
        return -tf.reduce_sum(tf.where(is_open, terms, 0.0), axis=-1)


class UniformNext(ScalarDistribution):
    """One location out of those left, all alike. Event `[]`, batch `[...]`.

    Which ones are left is not known here: a location that was used up must
    not be asked for.

    Args:
        num_left: `[...]`, how many are left.
        name: Of the distribution.

    Examples:
        >>> from tfdecomp.distributions.locations import UniformNext
        >>> p = UniformNext(num_left=[16, 15, 14])
        >>> (1 / p.prob([3, 5, 0])).numpy().round()
        array([16., 15., 14.], dtype=float32)
    """

    def __init__(self, num_left, name="UniformNext"):
        arguments = dict(locals())
        self.num_left = as_float(num_left)
        super().__init__(arguments, name, dtype=tf.int32)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        del dtype, num_classes
        return {"num_left": parameter()}

    def _log_prob(self, value):
        return -tf.math.log(self.num_left) * tf.ones_like(value, tf.float32)

    def _entropy(self):
        return tf.math.log(self.num_left)


@tfd.RegisterKL(NextLocation, UniformNext)
def _kl_next(q, p, name=None):
    """`log(number left) - H(q)`, `[..., K]`.

    Given the earlier draws this is exact, never negative, and its mean over
    them is the divergence of the whole sequence.
    """
    with tf.name_scope(name or "kl_next_location"):
        return p.entropy() - q.entropy()


@tfd.RegisterKL(LocationsWithoutReplacement, UniformLocations)
def _kl_sequences(q, p, name=None):
    """Exact, by adding up all sequences; there must be few."""
    size, draws = q.logits.shape[-1], q.num_draws
    if (size, draws) != (p.num_locations, p.num_draws):
        raise ValueError(
            "the divergence asks for as many draws out of as many locations, "
            f"got {draws} of {size} locations and {p.num_draws} of "
            f"{p.num_locations}"
        )
    if math.perm(size, draws) > _MOST_SEQUENCES:
        raise ValueError(
            f"{draws} of {size} locations are too many sequences to add up; "
            "draw one, and use the divergence of every draw given those "
            "before it: kl_divergence(q.conditional(open_logits), "
            "p.conditional())"
        )
    with tf.name_scope(name or "kl_locations"):
        orders = list(itertools.permutations(range(size), draws))
        axes = [1] * q.batch_shape.rank
        shape = [[len(orders)], q.batch_shape_tensor(), [draws]]
        orders = tf.broadcast_to(
            tf.reshape(orders, [len(orders), *axes, draws]),
            tf.concat(shape, axis=0),
        )
        log_q = q.log_prob(orders)
        return tf.reduce_sum(tf.exp(log_q) * (log_q - p.log_prob(orders)), 0)
