"""The battery that every layer runs through."""

import contextlib
import json
from unittest import mock

import keras
import numpy as np
import tensorflow as tf


@contextlib.contextmanager
def eagerly():
    """Runs what is compiled op by op: tracing costs more than a call or two.

    Only where another test looks at what was compiled.
    """
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def set_seed(seed):
    """Seeds what Keras draws weights with, and NumPy.

    TensorFlow's own generators, which nothing here draws from, are left out:
    with them TensorFlow would forget all kernels, and to make those again takes
    as long as to build a model.
    """
    with mock.patch.object(tf.random, "set_seed"):
        keras.utils.set_random_seed(seed)


def check_layer(make, inputs, expected_shapes, *, call=None, xla=True):
    """Runs a layer through what all layers must do.

    Config round trip through JSON, eager = graph = XLA, a gradient for every
    weight, batches of one and three, both precisions, save and reload.

    Args:
        make: `make(**kwargs) -> layer`, unbuilt.
        inputs: `inputs(batch) -> tuple` of float32 arrays.
        expected_shapes: Nested structure of shapes without the batch.
        call: `call(layer, *inputs)`; by default the layer itself.
        xla: Whether the layer compiles with XLA.
    """
    call = call or (lambda layer, *args: layer(*args))
    set_seed(0)
    layer = make()
    _check_shapes(
        call(layer, *(tf.constant(v) for v in inputs(1))), expected_shapes, 1
    )
    arguments = [tf.constant(value) for value in inputs(3)]
    outputs = _check_gradients(layer, call, arguments)
    _check_shapes(outputs, expected_shapes, 3)
    _check_config(layer)
    _check_compiled(layer, call, arguments, outputs, xla)
    _check_reload(make, layer, call, arguments, outputs)
    _check_bfloat16(make, layer, call, arguments, outputs)


def _check_shapes(outputs, expected, batch):
    for output, shape in zip(tf.nest.flatten(outputs), _shapes(expected)):
        assert output.shape[0] % batch == 0
        assert tuple(output.shape[1:]) == shape


def _shapes(expected):
    return [expected] if isinstance(expected[0], int) else list(expected)


def _check_config(layer):
    config = json.loads(json.dumps(layer.get_config()))
    again = type(layer).from_config(config)
    assert json.loads(json.dumps(again.get_config())) == config


def _check_compiled(layer, call, arguments, outputs, xla):
    graph = tf.function(lambda *args: call(layer, *args), autograph=False)
    assert_close(graph(*arguments), outputs, 1e-4)
    if xla:
        # Around the graph that is there, so that nothing is traced again.
        function = tf.function(graph, jit_compile=True, autograph=False)
        assert_close(function(*arguments), outputs, 1e-4)
        assert graph.experimental_get_tracing_count() == 1


def _check_gradients(layer, call, arguments):
    """Returns the outputs, which other checks compare with."""
    with tf.GradientTape() as tape:
        outputs = call(layer, *arguments)
        # Squares, so that no symmetric part of the layer cancels.
        squares = [
            tf.reduce_sum(tf.square(o)) for o in tf.nest.flatten(outputs)
        ]
        loss = tf.add_n(squares)
    weights = layer.trainable_variables
    for weight, gradient in zip(weights, tape.gradient(loss, weights)):
        assert gradient is not None, weight.path
        assert np.any(np.asarray(gradient) != 0), weight.path
    return outputs


def _check_reload(make, layer, call, arguments, outputs):
    again = make()
    call(again, *arguments)
    again.set_weights(layer.get_weights())
    assert_close(call(again, *arguments), outputs, 1e-6)


def _check_bfloat16(make, layer, call, arguments, outputs):
    half = make(dtype="mixed_bfloat16")
    call(half, *arguments)
    half.set_weights(layer.get_weights())
    # Eight bits of mantissa through several layers.
    assert_close(call(half, *arguments), outputs, 0.1)


def assert_close(actual, expected, tolerance):
    """Compares nested tensors, relative to the largest expected value."""
    for a, e in zip(tf.nest.flatten(actual), tf.nest.flatten(expected)):
        a, e = (np.asarray(tf.cast(v, tf.float32)) for v in (a, e))
        scale = max(np.abs(e).max(), 1e-6)
        np.testing.assert_allclose(a / scale, e / scale, atol=tolerance)


def graph_size(model, shape):
    """Operations of a model's masks of a video of that shape."""
    function = tf.function(
        lambda x: model({"video": x})["masks"], autograph=False
    )
    graph = function.get_concrete_function(tf.TensorSpec(shape)).graph
    inner = sum(len(f.node_def) for f in graph.as_graph_def().library.function)
    return inner + len(graph.get_operations())
