"""Trading time for memory: recompute a function in its backward pass."""

import tensorflow as tf


def rematerialize(function):
    """Wraps a pure function so that only its arguments are kept.

    `tf.recompute_grad` cannot serve here: it suspends recording in its
    forward pass, so a gradient taken *inside* the function comes back as
    None. And a custom gradient that captures variables fails in a
    differentiated `tf.while_loop`; hence a function of tensors alone.

    Args:
        function: `function(arguments, saved) -> (outputs, saved)`. Called
            with `saved=None` forwards, and with what it returned then in the
            backward pass: small results that are dear to compute and carry
            no gradient.

    Returns:
        `wrapped(arguments) -> outputs`; both are nested structures of
        floating-point tensors.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.rematerialize import rematerialize
        >>> def square(x, saved):
        ...     return x * x, saved
        >>> rematerialize(square)(tf.constant([3.0])).numpy()
        array([9.], dtype=float32)
    """

    def wrapped(arguments):
        structure = {}

        @tf.custom_gradient
        def run(*flat):
            packed = tf.nest.pack_sequence_as(arguments, flat)
            outputs, saved = function(packed, None)
            structure["outputs"] = outputs

            def backward(*upstream):
                inputs = [tf.identity(value) for value in flat]
                with tf.GradientTape() as tape:
                    tape.watch(inputs)
                    again, _ = function(
                        tf.nest.pack_sequence_as(arguments, inputs), saved
                    )
                return tape.gradient(
                    tf.nest.flatten(again),
                    inputs,
                    output_gradients=list(upstream),
                    unconnected_gradients=tf.UnconnectedGradients.ZERO,
                )

            return tf.nest.flatten(outputs), backward

        flat_outputs = run(*tf.nest.flatten(arguments))
        return tf.nest.pack_sequence_as(structure["outputs"], flat_outputs)

    return wrapped
