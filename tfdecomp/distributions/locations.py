"""Locations drawn one after the other, none of them twice.

    q(l_1, ..., l_n) = prod_i  exp h[l_i] / sum_{d not in l_<i} exp h[d]

`D` locations, `K` draws, logits `h` `[N, D]`. In training a draw is also
relaxed (Gumbel-softmax), so that gradients reach the logits. Everything is
float32: logits over a low temperature reach thousands.

References:
    Dittadi and Winther, LAVAE. 2019, section 3.
    Jang et al., Categorical Reparameterization with Gumbel-Softmax. ICLR 2017.
"""

import tensorflow as tf

TAKEN = -1e9  # added to the logit of a location that is used up
_SMALLEST = 1e-20  # keeps the logarithm of uniform noise finite


def gumbel(uniform):
    """Uniform noise in [0, 1) -> noise of the Gumbel(0, 1) distribution."""
    uniform = tf.clip_by_value(uniform, _SMALLEST, 1.0 - 1e-7)
    return -tf.math.log(-tf.math.log(uniform))


def draw(logits, noise):
    """Draws locations without replacement.

    Args:
        logits: `[N, D]`.
        noise: Gumbel noise `[N, K, D]`, fresh for every draw; zeros give the
            most likely order.

    Returns:
        `(order, open_logits)`: `[N, K]` int32, and `[N, K, D]` the logits
        that each draw met: those of earlier draws are lowered by 1e9. The
        gradient of the latter reaches `logits`.
    """
    logits = tf.convert_to_tensor(logits)
    num_draws, size = tf.shape(noise)[1], tf.shape(logits)[1]
    fixed, noise = tf.stop_gradient(logits), tf.stop_gradient(noise)

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
    shape = [num_draws, tf.shape(logits)[0], size]
    order = tf.transpose(tf.reshape(orders.stack(), shape[:2]))
    mask = tf.transpose(tf.reshape(masks.stack(), shape), [1, 0, 2])
    return order, logits[:, None] + tf.stop_gradient(mask)


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


def log_prob(open_logits, order):
    """`log q(l_i | l_<i)` of every draw: `[N, K]`."""
    picked = tf.gather(open_logits, order[..., None], batch_dims=2)[..., 0]
    return picked - tf.reduce_logsumexp(open_logits, axis=-1)


def kl_terms(open_logits):
    """KL of every draw from the uniform one over the locations left.

        KL_i = sum_{d open} b_d log b_d + log(D - i + 1),   b = softmax

    Given the earlier draws this is exact, never negative, and its mean over
    them is the divergence of the whole sequence.

    Args:
        open_logits: From `draw`.

    Returns:
        `[N, K]` nats.
    """
    log_b = tf.nn.log_softmax(open_logits, axis=-1)
    b = tf.exp(log_b)
    # exp(-1e9) is zero and zero times minus 1e9 would be too, but the
    # gradient is left with nothing to round.
    is_open = open_logits > 0.5 * TAKEN
    negative_entropy = tf.reduce_sum(
        tf.where(is_open, b * tf.where(is_open, log_b, 0.0), 0.0), axis=-1
    )
    return negative_entropy - uniform_log_prob(
        tf.shape(open_logits)[1], tf.shape(open_logits)[2]
    )


def uniform_log_prob(num_draws, size):
    """`log 1 / (D - i + 1)` for i = 1...K, float32 `[K]`."""
    left = size - tf.range(num_draws)
    return -tf.math.log(tf.cast(tf.maximum(left, 1), tf.float32))
