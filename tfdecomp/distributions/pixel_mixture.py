"""The spatial mixture over slots that scores a picture.

    p(x) = prod_i sum_k m_ik N(x_i; mu_ik, s I)

with `i` a pixel and a channel (`granularity="channel"`, PROVIDE) or a pixel
whose channels belong together (`"pixel"`, IODINE). N is a normal density, or
a logistic one of the same variance (IODINE's code). The gradients that
iterative inference feeds to its refinement network have closed forms
(spec of PROVIDE, 5.3), so nothing here is differentiated to get them.
"""

import math

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions

GRANULARITIES = ("channel", "pixel")
COMPONENTS = ("normal", "logistic")
_MAX_LOG_RATIO = 27.6  # log(1e12): N_k / sum_j m_j N_j where m_k vanishes
_ENTROPY_FLOOR = 1e-9


def logistic_scale(variance):
    """Scale of the logistic distribution of this variance."""
    return tf.sqrt(3.0 * tf.cast(variance, tf.float32)) / math.pi


def density_constant(component, variance):
    """What the log-densities below leave out, `-log p(mode)`, per channel."""
    variance = tf.cast(variance, tf.float32)
    if component == "logistic":
        return tf.math.log(4.0 * logistic_scale(variance))
    return 0.5 * tf.math.log(2.0 * math.pi * variance)


class PixelMixture:
    """A mixture over slots at every pixel.

    Args:
        means: `[B, K, H, W, C]` float32, mu.
        logits: `[B, K, H, W, 1]` float32; masks are their softmax over `K`.
        variance: Scalar s.
        granularity: `"channel"` or `"pixel"`.
        component: `"normal"` or `"logistic"`.

    Raises:
        ValueError: If `granularity` or `component` is unknown.
    """

    def __init__(
        self, means, logits, variance, granularity="channel", component="normal"
    ):
        for name, value, known in (
            ("granularity", granularity, GRANULARITIES),
            ("component", component, COMPONENTS),
        ):
            if value not in known:
                raise ValueError(
                    f"{name} must be one of {known}, got {value!r}"
                )
        self.component = component
        self.means = means
        self.logits = logits
        self.variance = variance
        self.granularity = granularity
        self.log_masks = logits - log_sum(logits)
        self.masks = tf.exp(self.log_masks)

    def mean(self):
        """The reconstruction sum_k m_k mu_k, `[B, H, W, C]`."""
        return tf.reduce_sum(self.masks * self.means, axis=1)

    def distribution(self):
        """The same as a TFP distribution, for users who want samples.

        Event `[C]`, batch `[B, H, W]` for pixels; event `[]`, batch
        `[B, H, W, C]` for channels.
        """
        family, scale = tfd.Normal, tf.sqrt(tf.cast(self.variance, tf.float32))
        if self.component == "logistic":
            family, scale = tfd.Logistic, logistic_scale(self.variance)
        means = tf.transpose(self.means, [0, 2, 3, 1, 4])  # [B, H, W, K, C]
        logits = tf.transpose(self.logits[..., 0], [0, 2, 3, 1])
        if self.granularity == "pixel":
            return tfd.MixtureSameFamily(
                tfd.Categorical(logits=logits),
                tfd.Independent(family(means, scale), 1),
            )
        means = tf.transpose(means, [0, 1, 2, 4, 3])  # [B, H, W, C, K]
        logits = tf.broadcast_to(logits[..., None, :], tf.shape(means))
        return tfd.MixtureSameFamily(
            tfd.Categorical(logits=logits), family(means, scale)
        )

    def score(self, frames):
        """Scores pictures.

        Args:
            frames: `[B, H, W, C]`.

        Returns:
            A `Score`.
        """
        return Score(self, frames)


class Score:
    """How a `PixelMixture` explains pictures; see `PixelMixture.score`.

    The log-likelihoods leave out the constant of the density, `-1/2 log(2 pi
    s)` per channel for a normal one, unless said otherwise.

    Attributes:
        pixel_log_likelihood: `[B, 1, H, W, 1]`, summed over channels.
        nll: `[B]`, nats per picture; zero is a perfect reconstruction.
        nll_constant: What `nll` leaves out, a scalar.
    """

    def __init__(self, mixture, frames):
        self.mixture = mixture
        self.frames = frames[:, None]  # [B, 1, H, W, C]
        self._error = self.frames - mixture.means
        log_normal = self._log_density()
        self._log_pixel = tf.reduce_sum(log_normal, -1, keepdims=True)
        if mixture.granularity == "pixel":
            log_normal = self._log_pixel
        # [B, K, H, W, C or 1], then [B, 1, H, W, C or 1] without slots.
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

        @tf.custom_gradient
        def nll(means, logits):
            del means, logits

            def backward(upstream):
                upstream = upstream[:, None, None, None, None]
                return [upstream * g for g in self._gradients]

            return -tf.reduce_sum(self._log_total, axis=[1, 2, 3, 4]), backward

        return nll(self.mixture.means, self.mixture.logits)

    def _log_density(self):
        """log p(x_c | mu_kc) over its value at the mode."""
        mixture = self.mixture
        if mixture.component == "normal":
            return -0.5 * tf.square(self._error) / mixture.variance
        distance = tf.abs(self._error) / logistic_scale(mixture.variance)
        return 2.0 * math.log(2.0) - distance - 2.0 * tf.nn.softplus(-distance)

    def _slope(self):
        """d log p(x_c | mu_kc) / d mu_kc, `[B, K, H, W, C]`."""
        mixture = self.mixture
        if mixture.component == "normal":
            return self._error / mixture.variance
        scale = logistic_scale(mixture.variance)
        return tf.tanh(0.5 * self._error / scale) / scale

    @property
    def nll_constant(self):
        count = tf.cast(tf.size(self.frames[0]), tf.float32)
        mixture = self.mixture
        return count * density_constant(mixture.component, mixture.variance)

    def responsibilities(self):
        """rho = m_k N_k / sum_j m_j N_j, `[B, K, H, W, C or 1]`."""
        return tf.exp(self._joint - self._log_total)

    def mask_posterior(self):
        """N_k / sum_j N_j over all channels, `[B, K, H, W, 1]`."""
        return tf.exp(self._log_pixel - log_sum(self._log_pixel))

    def flat_mask_posterior(self):
        """A softmax of likelihood *values*, `[B, K, H, W, 1]`.

        What PROVIDE's published code feeds; its contrast is at most e.
        """
        return tf.nn.softmax(tf.exp(self._log_pixel), axis=1)

    def leave_one_out(self):
        """log p(x) with slot k removed, masks renormalised: `[B, K, H, W, 1]`.

        Per pixel: log sum_{j != k} m_j N_j - log sum_{j != k} m_j.
        """
        rest = log_sum_of_others(self._joint, self._log_total)
        removed = log_sum_of_others(self.mixture.log_masks, 0.0)
        return tf.reduce_sum(rest - removed, -1, True)

    def leave_one_out_ratio(self):
        """log p(x) - log p(x) with slot k removed: `[B, K, H, W, 1]`."""
        return self.pixel_log_likelihood - self.leave_one_out()

    def gradient_by_means(self):
        """d nll / d mu_kc, `[B, K, H, W, C]`.

        -rho_kc (x_c - mu_kc) / s for the normal density.
        """
        return self._gradients[0]

    def gradient_by_masks(self):
        """d nll / d m_k = -sum N_k / sum_j m_j N_j, `[B, K, H, W, 1]`."""
        ratio = self._log_normal - self._log_total
        ratio = tf.exp(tf.minimum(ratio, _MAX_LOG_RATIO))
        return -tf.reduce_sum(ratio, -1, keepdims=True)

    def gradient_by_logits(self):
        """d nll / d logits_k = sum (m_k - rho_k), `[B, K, H, W, 1]`."""
        return self._gradients[1]


def log_sum(values):
    """log sum_k exp(values_k) of finite values, `[B, K, ...]` -> `[B, 1, ...]`.

    `tf.nn.log_softmax` and `tf.reduce_logsumexp` would transpose, and guard
    against infinities.
    """
    top = tf.stop_gradient(tf.reduce_max(values, axis=1, keepdims=True))
    total = tf.reduce_sum(tf.exp(values - top), axis=1, keepdims=True)
    return top + tf.math.log(total)


def log_sum_of_others(values, total):
    """log sum_{j != k} exp(values_j) for every slot k; slots are axis 1.

    `total + log(1 - exp(values_k - total))`, but for a slot that has more
    than half of the total, and perhaps all of it, by summing the others.

    Args:
        values: `[B, K, ...]`, K at least 2.
        total: Their log-sum over slots, `[B, 1, ...]` or a number.
    """
    share = tf.exp(values - total)
    has_most = share > 0.5
    others = tf.where(has_most, values.dtype.min, values)
    others = log_sum(others)
    rest = total + tf.math.log1p(-tf.minimum(share, 0.5))
    return tf.where(has_most, others, rest)


def mask_entropy(masks):
    """-sum_i sum_k m log(m + 1e-9), nats per picture: `[B, ...]` -> `[B]`."""
    entropy = -masks * tf.math.log(masks + _ENTROPY_FLOOR)
    return tf.reduce_sum(entropy, axis=[1, 2, 3, 4])


def mask_entropy_gradient(masks):
    """d `mask_entropy` / d masks, of the masks' shape."""
    floored = masks + _ENTROPY_FLOOR
    return -(tf.math.log(floored) + masks / floored)


def through_softmax(masks, gradient):
    """A gradient by masks as a gradient by logits; slots are axis 1."""
    mean = tf.reduce_sum(masks * gradient, axis=1, keepdims=True)
    return masks * (gradient - mean)
