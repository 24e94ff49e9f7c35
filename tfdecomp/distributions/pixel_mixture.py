"""The spatial mixture over slots that scores a picture.

    p(x) = prod_i sum_k m_ik N(x_i; mu_ik, s I)

with `i` a pixel and a channel (`granularity="channel"`, PROVIDE) or a pixel
whose channels belong together (`"pixel"`, IODINE). N is a normal density, or
a logistic one of the same variance (IODINE's code); s may be a number for
each slot (MONet). The gradients that
iterative inference feeds to its refinement network have closed forms
(spec of PROVIDE, 5.3), so nothing here is differentiated to get them.
"""

import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp.distributions.base import (
    Distribution,
    as_float,
    parameter,
    stateless,
)

tfd = tfp.distributions

GRANULARITIES = ("channel", "pixel")
COMPONENTS = ("normal", "logistic")
_SLOTS = -4  # the axis of [..., K, H, W, C]
_PICTURE = (-3, -2, -1)
_MAX_LOG_RATIO = 27.6  # log(1e12): N_k / sum_j m_j N_j where m_k vanishes
_ENTROPY_FLOOR = 1e-9


def logistic_scale(variance):
    """Scale of the logistic distribution of this variance.

    Examples:
        >>> import math
        >>> from tfdecomp.distributions.pixel_mixture import logistic_scale
        >>> round(float(logistic_scale(math.pi**2 / 3)), 3)
        1.0
    """
    return tf.sqrt(3.0 * tf.cast(variance, tf.float32)) / math.pi


def density_constant(component, variance):
    """What the log-densities below leave out, `-log p(mode)`, per channel.

    Examples:
        >>> from tfdecomp.distributions.pixel_mixture import density_constant
        >>> round(float(density_constant("normal", 1.0)), 2)  # log(2 pi) / 2
        0.92
    """
    variance = tf.cast(variance, tf.float32)
    if component == "logistic":
        return tf.math.log(4.0 * logistic_scale(variance))
    return 0.5 * tf.math.log(2.0 * math.pi * variance)


class PixelMixture(Distribution):
    """A mixture over slots at every pixel. Event `[H, W, C]`, batch `[...]`.

    Args:
        means: `[..., K, H, W, C]`, mu.
        logits: `[..., K, H, W, 1]`; masks are their softmax over `K`.
        variance: Scalar s, or `[K]`, that of each slot. What is left out of
            densities is then the last slot's constant.
        granularity: `"channel"` or `"pixel"`.
        component: `"normal"` or `"logistic"`.
        name: Of the distribution.

    Attributes:
        means: As given.
        logits: As given.
        masks: `[..., K, H, W, 1]`.
        log_masks: Their logarithms.

    Raises:
        ValueError: If `granularity` or `component` is unknown.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.distributions.pixel_mixture import PixelMixture
        >>> means = tf.stack([tf.zeros([8, 8, 3]), tf.ones([8, 8, 3])])
        >>> p = PixelMixture(means, logits=tf.zeros([2, 8, 8, 1]), variance=0.1)
        >>> p.mean()[0, 0].numpy()
        array([0.5, 0.5, 0.5], dtype=float32)
    """

    def __init__(
        self,
        means,
        logits,
        variance,
        granularity="channel",
        component="normal",
        name="PixelMixture",
    ):
        arguments = dict(locals())
        for what, value, known in (
            ("granularity", granularity, GRANULARITIES),
            ("component", component, COMPONENTS),
        ):
            if value not in known:
                raise ValueError(
                    f"{what} must be one of {known}, got {value!r}"
                )
        self.component = component
        self.means = as_float(means)
        self.logits = as_float(logits)
        self.slot_variance = self.pixel_variance = variance
        if as_float(variance).shape.rank:
            self.slot_variance = as_float(variance)[:, None, None, None]
            self.pixel_variance = as_float(variance)[-1]
        self.granularity = granularity
        self.log_masks = self.logits - log_sum(self.logits)
        self.masks = tf.exp(self.log_masks)
        super().__init__(arguments, name)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        del dtype, num_classes
        return {"means": parameter(4), "logits": parameter(4)}

    @property
    def has_variances(self):
        """Whether slots have variances of their own."""
        return self.slot_variance is not self.pixel_variance

    def _event_shape(self):
        return self.means.shape[-3:]

    def _event_shape_tensor(self):
        return tf.shape(self.means)[-3:]

    def _mean(self):
        """The reconstruction sum_k m_k mu_k."""
        return tf.reduce_sum(self.masks * self.means, axis=_SLOTS)

    def _variance(self):
        """Of every value by itself."""
        squares = tf.square(self.means) + self.slot_variance
        second = tf.reduce_sum(self.masks * squares, axis=_SLOTS)
        return second - tf.square(self._mean())

    def _log_prob(self, value):
        return self._unnormalized_log_prob(value) - self.log_constant()

    def _unnormalized_log_prob(self, value):
        """Without the constant of the density, `-Score.nll`."""
        return -self.score(value).nll

    def log_constant(self):
        """What the unnormalised log-density leaves out, a scalar.

        `1/2 log(2 pi s)` for every value of a picture, if it is normal.
        """
        size = tf.cast(tf.reduce_prod(self.event_shape_tensor()), tf.float32)
        return size * density_constant(self.component, self.pixel_variance)

    def _sample_n(self, n, seed=None):
        seeds = tfp.random.split_seed(stateless(seed, "pixel_mixture"), 2)
        shape = self._shape_of(n)
        per_slot = shape
        if self.granularity == "pixel":  # one slot for all channels
            per_slot = tf.concat([shape[:-1], [1]], axis=0)
        uniform = tf.random.stateless_uniform(per_slot, seeds[0])
        below = tf.cumsum(self.masks, axis=_SLOTS)  # [..., K, H, W, 1]
        num_slots = tf.shape(self.masks)[_SLOTS]
        passed = tf.expand_dims(uniform, _SLOTS) >= below
        chosen = tf.reduce_sum(tf.cast(passed, tf.int32), axis=_SLOTS)
        # Rounding may leave the last sum below one.
        chosen = tf.minimum(chosen, num_slots - 1)
        axis = chosen.shape.rank - len(_PICTURE)  # none from the end here
        is_chosen = tf.one_hot(chosen, num_slots, axis=axis)
        means = tf.reduce_sum(is_chosen * self.means, axis=_SLOTS)
        variance = self.pixel_variance
        if self.has_variances:
            variance = tf.reduce_sum(is_chosen * self.slot_variance, _SLOTS)
        # A gradient that passed the means alone would be no derivative.
        noise = self._deviate(shape, seeds[1], variance)
        return tf.stop_gradient(means + noise)

    def _deviate(self, shape, seed, variance):
        """Noise of a component around its mean."""
        if self.component == "normal":
            noise = tf.random.stateless_normal(shape, seed)
            return tf.sqrt(as_float(variance)) * noise
        uniform = tf.random.stateless_uniform(shape, seed, minval=1e-30)
        noise = tf.math.log(uniform) - tf.math.log1p(-uniform)
        return logistic_scale(variance) * noise

    def score(self, frames):
        """How the mixture explains pictures, with gradients in closed form.

        Args:
            frames: `[..., H, W, C]`.

        Returns:
            A `Score`. It is computed anew, but a graph that holds one more of
            the same pictures merges both.
        """
        return Score(self, frames)


class Score:
    """How a `PixelMixture` explains pictures; see `PixelMixture.score`.

    The log-likelihoods leave out the constant of the density, `-1/2 log(2 pi
    s)` per channel for a normal one, unless said otherwise.

    Attributes:
        pixel_log_likelihood: `[..., 1, H, W, 1]`, summed over channels.
        nll: `[...]`, nats per picture; zero is a perfect reconstruction.
        nll_constant: What `nll` leaves out, a scalar.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.distributions.pixel_mixture import PixelMixture
        >>> means = tf.constant([0.0, 1.0])[:, None, None, None]
        >>> p = PixelMixture(means, tf.zeros([2, 1, 1, 1]), variance=0.01)
        >>> score = p.score(tf.ones([1, 1, 1]))
        >>> score.responsibilities().numpy().ravel().round(2)
        array([0., 1.], dtype=float32)
    """

    def __init__(self, mixture, frames):
        self.mixture = mixture
        self.frames = tf.expand_dims(frames, _SLOTS)  # [..., 1, H, W, C]
        self._error = self.frames - mixture.means
        log_normal = self._log_density()
        self._log_pixel = tf.reduce_sum(log_normal, -1, keepdims=True)
        if mixture.granularity == "pixel":
            log_normal = self._log_pixel
        # [..., K, H, W, C or 1], then [..., 1, H, W, C or 1] without slots.
        joint = mixture.log_masks + log_normal
        self._log_total = log_sum(joint)
        self._log_normal = log_normal
        self._joint = joint
        self.pixel_log_likelihood = tf.reduce_sum(
            self._log_total, -1, keepdims=True
        )
        self._gradients = self._closed_forms()
        self.nll = self._differentiable_nll()

    def _closed_forms(self):
        """d nll by the means and by the logits."""
        rho = self.responsibilities()
        by_logits = tf.reduce_sum(self.mixture.masks - rho, -1, keepdims=True)
        return -rho * self._slope(), by_logits

    def _differentiable_nll(self):
        """Its gradient is the closed forms, which refinement reads as well.

        Automatic differentiation would compute them once more, and slower.
        """
        nll = -tf.reduce_sum(self._log_total, axis=[_SLOTS, *_PICTURE])
        if nll.shape.rank != self.mixture.means.shape.rank + _SLOTS:
            return nll  # of several samples, or one for the whole batch

        @tf.custom_gradient
        def attach(means, logits):
            del means, logits

            def backward(upstream):
                upstream = upstream[..., None, None, None, None]
                return [upstream * g for g in self._gradients]

            return nll, backward

        return attach(self.mixture.means, self.mixture.logits)

    def _log_density(self):
        """log p(x_c | mu_kc) over its value at the mode of the last slot."""
        mixture = self.mixture
        if mixture.component == "normal":
            log_density = -0.5 * tf.square(self._error) / mixture.slot_variance
        else:
            scale = logistic_scale(mixture.slot_variance)
            distance = tf.abs(self._error) / scale
            log_density = 2.0 * math.log(2.0) - distance
            log_density -= 2.0 * tf.nn.softplus(-distance)
        if not mixture.has_variances:
            return log_density
        ratio = mixture.slot_variance / mixture.pixel_variance
        return log_density - 0.5 * tf.math.log(ratio)

    def _slope(self):
        """d log p(x_c | mu_kc) / d mu_kc, `[..., K, H, W, C]`."""
        mixture = self.mixture
        if mixture.component == "normal":
            return self._error / mixture.slot_variance
        scale = logistic_scale(mixture.slot_variance)
        return tf.tanh(0.5 * self._error / scale) / scale

    @property
    def nll_constant(self):
        return self.mixture.log_constant()

    def log_prob(self):
        """With all constants, `[...]`; `PixelMixture.log_prob`."""
        return -(self.nll + self.nll_constant)

    def responsibilities(self):
        """rho = m_k N_k / sum_j m_j N_j, `[..., K, H, W, C or 1]`."""
        return tf.exp(self._joint - self._log_total)

    def mask_posterior(self, floor=0.0):
        """N_k / (sum_j N_j + floor) over all channels, `[..., K, H, W, 1]`.

        Args:
            floor: In units of the density. IODINE's code has 1e-6, with which
                a pixel that no slot explains belongs to none; at 0 the rows
                sum to 1 whatever the densities.
        """
        if not floor:
            return tf.exp(self._log_pixel - log_sum(self._log_pixel))
        density = self._density(self._log_pixel)
        total = tf.reduce_sum(density, axis=_SLOTS, keepdims=True)
        return density / (total + floor)

    def flat_mask_posterior(self):
        """A softmax of likelihood *values*, `[..., K, H, W, 1]`.

        What PROVIDE's published code feeds; its contrast is at most e.
        """
        return tf.nn.softmax(tf.exp(self._log_pixel), axis=_SLOTS)

    def leave_one_out(self):
        """log p(x) with slot k removed, `[..., K, H, W, 1]`.

        The other masks are renormalised; per pixel
        log sum_{j != k} m_j N_j - log sum_{j != k} m_j.
        """
        rest = log_sum_of_others(self._joint, self._log_total)
        removed = log_sum_of_others(self.mixture.log_masks, 0.0)
        return tf.reduce_sum(rest - removed, -1, True)

    def pixel_likelihood(self):
        """p(x) of every pixel, a density: `[..., 1, H, W, 1]`."""
        return self._density(self.pixel_log_likelihood)

    def leave_one_out_likelihood(self):
        """p(x) with slot k removed, a density: `[..., K, H, W, 1]`."""
        return self._density(self.leave_one_out())

    def _density(self, log_density):
        """Of all channels of a pixel, from the logarithm over the mode's."""
        mixture = self.mixture
        channels = tf.cast(tf.shape(mixture.means)[-1], tf.float32)
        constant = density_constant(mixture.component, mixture.pixel_variance)
        return tf.exp(log_density - channels * constant)

    def leave_one_out_ratio(self):
        """log p(x) - log p(x) with slot k removed: `[..., K, H, W, 1]`."""
        return self.pixel_log_likelihood - self.leave_one_out()

    def gradient_by_means(self):
        """d nll / d mu_kc, `[..., K, H, W, C]`.

        -rho_kc (x_c - mu_kc) / s for the normal density.
        """
        return self._gradients[0]

    def gradient_by_masks(self):
        """d nll / d m_k = -sum N_k / sum_j m_j N_j, `[..., K, H, W, 1]`."""
        ratio = self._log_normal - self._log_total
        ratio = tf.exp(tf.minimum(ratio, _MAX_LOG_RATIO))
        return -tf.reduce_sum(ratio, -1, keepdims=True)

    def gradient_by_logits(self):
        """d nll / d logits_k = sum (m_k - rho_k), `[..., K, H, W, 1]`."""
        return self._gradients[1]


def log_sum(values):
    """log sum_k exp(values_k) of finite values.

    `[..., K, H, W, C]` -> `[..., 1, H, W, C]`.

    `tf.nn.log_softmax` and `tf.reduce_logsumexp` would transpose, and guard
    against infinities.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.distributions.pixel_mixture import log_sum
        >>> log_sum(tf.zeros([4, 1, 1, 1])).numpy().ravel().round(2)  # log 4
        array([1.39], dtype=float32)
    """
    top = tf.stop_gradient(tf.reduce_max(values, axis=_SLOTS, keepdims=True))
    total = tf.reduce_sum(tf.exp(values - top), axis=_SLOTS, keepdims=True)
    return top + tf.math.log(total)


def log_sum_of_others(values, total):
    """log sum_{j != k} exp(values_j) for every slot k.

    `total + log(1 - exp(values_k - total))`, but for a slot that has more
    than half of the total, and perhaps all of it, by summing the others.

    Args:
        values: `[..., K, H, W, C]`, K at least 2.
        total: Their log-sum over slots, `[..., 1, H, W, C]` or a number.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.distributions.pixel_mixture import (
        ...     log_sum,
        ...     log_sum_of_others,
        ... )
        >>> values = tf.zeros([4, 1, 1, 1])
        >>> others = log_sum_of_others(values, log_sum(values))
        >>> tf.exp(others).numpy().ravel().round(2)
        array([3., 3., 3., 3.], dtype=float32)
    """
    share = tf.exp(values - total)
    has_most = share > 0.5
    others = tf.where(has_most, values.dtype.min, values)
    others = log_sum(others)
    rest = total + tf.math.log1p(-tf.minimum(share, 0.5))
    return tf.where(has_most, others, rest)


def mask_divergence(log_masks, others):
    """sum_i KL(m_i || m'_i), of a pixel's shares, nats per picture `[...]`.

        sum_i sum_k m_ik (log m_ik - log m'_ik)

    Args:
        log_masks: `[..., K, H, W, 1]`, log m; exp of it sums to 1 over `K`.
        others: `[..., K, H, W, 1]`, log m'.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.distributions.pixel_mixture import mask_divergence
        >>> one = tf.math.log([0.75, 0.25])[:, None, None, None]
        >>> half = tf.math.log([0.5, 0.5])[:, None, None, None]
        >>> round(float(mask_divergence(one, half)), 4)
        0.1308
    """
    terms = tf.exp(log_masks) * (log_masks - others)
    return tf.reduce_sum(terms, axis=[_SLOTS, *_PICTURE])


def mask_entropy(masks):
    """-sum_i sum_k m log(m + 1e-9), nats per picture, `[...]`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.distributions.pixel_mixture import mask_entropy
        >>> round(float(mask_entropy(tf.fill([4, 1, 1, 1], 0.25))), 2)  # log 4
        1.39
    """
    entropy = -masks * tf.math.log(masks + _ENTROPY_FLOOR)
    return tf.reduce_sum(entropy, axis=[_SLOTS, *_PICTURE])


def mask_entropy_gradient(masks):
    """d `mask_entropy` / d masks, of the masks' shape.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.distributions.pixel_mixture import (
        ...     mask_entropy_gradient,
        ... )
        >>> gradient = mask_entropy_gradient(tf.fill([4, 1, 1, 1], 0.25))
        >>> gradient.numpy().ravel().round(2)  # log 4 - 1
        array([0.39, 0.39, 0.39, 0.39], dtype=float32)
    """
    floored = masks + _ENTROPY_FLOOR
    return -(tf.math.log(floored) + masks / floored)


def through_softmax(masks, gradient):
    """A gradient by masks as one by logits, `[..., K, H, W, 1]`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.distributions.pixel_mixture import through_softmax
        >>> masks = tf.fill([2, 1, 1, 1], 0.5)
        >>> gradient = tf.constant([1.0, 3.0])[:, None, None, None]
        >>> through_softmax(masks, gradient).numpy().ravel()
        array([-0.5,  0.5], dtype=float32)
    """
    mean = tf.reduce_sum(masks * gradient, axis=_SLOTS, keepdims=True)
    return masks * (gradient - mean)
