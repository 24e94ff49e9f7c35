"""Diagonal Gaussians given by one vector of raw parameters.

`parameters` is `[..., 2 D]`: the first half are means, the second half the
raw scales, read as log-variances (`"log_variance"`: PROVIDE) or through a
softplus as variances (`"softplus"`: IODINE). Everything is float32.
"""

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions

PARAMETERIZATIONS = ("log_variance", "softplus")
_FLOOR = 1e-5  # keeps a softplus variance away from zero


def check_parameterization(name: str) -> str:
    """Returns `name`, or raises `ValueError` naming the known ones."""
    if name not in PARAMETERIZATIONS:
        raise ValueError(
            f"parameterization must be one of {PARAMETERIZATIONS}, got {name!r}"
        )
    return name


def split(parameters, parameterization="log_variance"):
    """`[..., 2 D]` -> mean and variance, each `[..., D]`."""
    mean, raw = tf.split(parameters, 2, axis=-1)
    if parameterization == "softplus":
        return mean, tf.nn.softplus(raw) + _FLOOR
    return mean, tf.exp(raw)


def from_deviation(mean, deviation):
    """The parameters `[..., 2 D]` of means and standard deviations."""
    return tf.concat([mean, 2.0 * tf.math.log(deviation)], axis=-1)


def gaussian(parameters, parameterization="log_variance"):
    """N(mean, diag(variance)). Event `[D]`, batch `[...]`."""
    mean, variance = split(parameters, parameterization)
    return tfd.MultivariateNormalDiag(mean, tf.sqrt(variance))


def sample(parameters, noise, parameterization="log_variance"):
    """Reparameterised sample `mean + sqrt(variance) * noise`.

    Args:
        parameters: `[..., 2 D]`.
        noise: Standard normal, `[..., D]`.
        parameterization: See the module.

    Returns:
        `[..., D]`.
    """
    mean, variance = split(parameters, parameterization)
    return mean + tf.sqrt(variance) * noise


def kl_terms(
    parameters, prior_mean, prior_log_variance, parameterization="log_variance"
):
    """KL(q || p) of diagonal Gaussians by dimension, in nats.

        1/2 [log s' - log s + (s + (m - m')^2) / s' - 1]

    Args:
        parameters: `[..., 2 D]`, the posterior q with means m, variances s.
        prior_mean: `[..., D]`, m'.
        prior_log_variance: `[..., D]`, log s'.
        parameterization: See the module.

    Returns:
        `[..., D]`.
    """
    mean, variance = split(parameters, parameterization)
    ratio = (variance + tf.square(mean - prior_mean)) * tf.exp(
        -prior_log_variance
    )
    return 0.5 * (prior_log_variance - tf.math.log(variance) + ratio - 1.0)


def kl_divergence(
    parameters, prior_mean, prior_log_variance, parameterization="log_variance"
):
    """The sum of `kl_terms` over dimensions, `[...]`."""
    terms = kl_terms(
        parameters, prior_mean, prior_log_variance, parameterization
    )
    return tf.reduce_sum(terms, axis=-1)


def kl_gradient(
    parameters, prior_mean, prior_log_variance, parameterization="log_variance"
):
    """The gradient of `kl_divergence` with respect to `parameters`.

    Args:
        parameters: `[..., 2 D]`.
        prior_mean: `[..., D]`.
        prior_log_variance: `[..., D]`.
        parameterization: See the module.

    Returns:
        `[..., 2 D]`.
    """
    mean, variance = split(parameters, parameterization)
    precision = tf.exp(-prior_log_variance)
    by_mean = (mean - prior_mean) * precision
    by_variance = 0.5 * (precision - 1.0 / variance)
    if parameterization == "softplus":
        raw = tf.split(parameters, 2, axis=-1)[1]
        by_raw = by_variance * tf.sigmoid(raw)
    else:
        by_raw = by_variance * variance
    return tf.concat([by_mean, by_raw], axis=-1)


def log_ratio(value, parameters, parameterization="log_variance"):
    """`log N(value; 0, I) - log q(value)`, summed over dimensions.

    Args:
        value: `[..., D]`.
        parameters: `[..., 2 D]` of q.
        parameterization: See the module.

    Returns:
        `[...]` nats; its mean over samples of q is minus the divergence.
    """
    mean, variance = split(parameters, parameterization)
    terms = tf.square(value - mean) / variance + tf.math.log(variance)
    return 0.5 * tf.reduce_sum(terms - tf.square(value), axis=-1)
