"""The transposed convolution of sub-pixels."""

import numpy as np
import pytest
import tensorflow as tf

from tests.test_case import assert_close
from tfdecomp.ops import transposed


def normal(*shape, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape)
    return tf.constant(values, tf.float32)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5), (4, 4)])
def test_sub_pixels_make_the_transposed_convolution_and_its_gradients(
    height, width
):
    inputs = (normal(2, height, width, 6), normal(4, 4, 3, 6, seed=1))
    upstream = normal(2, 2 * height, 2 * width, 3, seed=2)

    def reference(features, kernel):
        return tf.nn.conv2d_transpose(features, kernel, upstream.shape, 2)

    results = []
    for function in (transposed.double, reference):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = function(*inputs)
        results.append([outputs, *tape.gradient(outputs, inputs, upstream)])
    assert_close(results[0], results[1], 1e-6)


def test_one_graph_serves_any_batch():
    kernel = normal(4, 4, 2, 3, seed=1)
    compiled = tf.function(
        lambda features: transposed.double(features, kernel),
        input_signature=[tf.TensorSpec([None, 4, 4, 3])],
    )
    for batch in (1, 3):
        features = normal(batch, 4, 4, 3)
        assert_close(
            compiled(features), transposed.double(features, kernel), 1e-6
        )
