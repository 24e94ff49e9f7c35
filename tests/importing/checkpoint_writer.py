"""Writes checkpoints as TensorFlow 1 writes them, under names of its own."""

import numpy as np
import tensorflow as tf


def write(folder, arrays, optimizer=True):
    """A checkpoint of variables, with what Adam and a counter keep.

    Args:
        folder: Where it goes.
        arrays: Names -> arrays.
        optimizer: Whether an optimizer's variables lie beside them.

    Returns:
        Its prefix.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = dict(arrays)
    if optimizer:
        some = list(arrays)[:3]
        for name in some:
            arrays[f"{name}/Adam"] = np.zeros_like(arrays[name])
            arrays[f"{name}/Adam_1"] = np.zeros_like(arrays[name])
        arrays["beta1_power"] = np.float32(0.9)
        arrays["global_step"] = np.int64(1000)
    graph = tf.Graph()
    with graph.as_default():
        variables = {}
        for i, (name, array) in enumerate(arrays.items()):
            variables[name] = tf.compat.v1.get_variable(
                f"v{i}", initializer=tf.constant(array)
            )
        saver = tf.compat.v1.train.Saver(variables)
        with tf.compat.v1.Session(graph=graph) as session:
            session.run(tf.compat.v1.global_variables_initializer())
            return saver.save(session, str(folder / "model.ckpt"), 1000)
