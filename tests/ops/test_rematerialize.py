"""Recomputation in the backward pass."""

import tensorflow as tf

from tests.test_case import assert_close
from tfdecomp.ops.rematerialize import rematerialize


def cell(arguments, saved):
    """A cell with a gradient inside, as in iterative inference."""
    x, weight = arguments["x"], arguments["weights"][0]
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.tanh(tf.matmul(x, weight))
    if saved is None:
        saved = tf.stop_gradient(tape.gradient(y, x))
    return {"y": y, "next": x + 0.1 * tf.matmul(saved * y, weight)}, saved


def loop(function, x, weight):
    """Three cells in a loop, then a sum of squares."""

    def body(i, x, total):
        outputs = function({"x": x, "weights": [weight]})
        return i + 1, outputs["next"], total + tf.reduce_sum(outputs["y"] ** 2)

    _, x, total = tf.while_loop(
        lambda i, *_: i < 3, body, (0, x, tf.constant(0.0))
    )
    return total + tf.reduce_sum(x**2)


def test_values_and_gradients_stay_in_a_compiled_loop():
    x = tf.random.stateless_normal([4, 3], [0, 1])
    weight = tf.random.stateless_normal([3, 3], [0, 2])
    results = []
    for function in (lambda a: cell(a, None)[0], rematerialize(cell)):

        @tf.function(autograph=False)
        def differentiate(x, weight, function=function):
            with tf.GradientTape() as tape:
                tape.watch((x, weight))
                loss = loop(function, x, weight)
            return loss, tape.gradient(loss, (x, weight))

        results.append(differentiate(x, weight))
    assert_close(results[1], results[0], 1e-6)
