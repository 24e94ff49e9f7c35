"""Poses `(s, tx, ty)` of square pictures in square frames.

A frame's pixel with coordinate u reads an object's picture at `s u + t`, where
-1 and 1 are the centres of the first and of the last pixel of either. So an
object shrinks as s grows, and moves to the right as tx falls. Everything is
float32.

References:
    Jaderberg et al., Spatial Transformer Networks. NeurIPS 2015.
    Hsieh et al., DDPAE. NeurIPS 2018.
"""

import tensorflow as tf

from tfdecomp.ops import spatial_transformer


def constrain(raw, scale_prior):
    """Sums of increments -> poses that keep objects in the frame.

        s = clip(raw_s, s0 - 1, s0 + 1),    t = tanh(raw_t) (s - 1/2)

    Args:
        raw: `[..., 3]`.
        scale_prior: s0, above 1.

    Returns:
        `[..., 3]`.

    Examples:
        >>> from tfdecomp.ops.poses import constrain
        >>> constrain([[9.0, 0.0, 99.0]], scale_prior=2.0).numpy()
        array([[3. , 0. , 2.5]], dtype=float32)
    """
    scale, shift = tf.split(tf.convert_to_tensor(raw), [1, 2], axis=-1)
    scale = tf.clip_by_value(scale, scale_prior - 1.0, scale_prior + 1.0)
    return tf.concat([scale, tf.tanh(shift) * (scale - 0.5)], axis=-1)


def boxes(pose, size, length):
    """Where a pose puts a picture.

    Args:
        pose: `[..., 3]`.
        size: Side of the frame.
        length: Side of the picture.

    Returns:
        `[..., 4]`: centre and size `(y, x, h, w)` in pixels, as
        `ops.spatial_transformer` has them.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.poses import boxes
        >>> boxes(tf.constant([1.0, 0.0, 0.0]), size=8, length=8).numpy()
        array([4., 4., 8., 8.], dtype=float32)
    """
    scale, x, y = tf.unstack(pose, axis=-1)
    reach = (size - 1.0) / scale  # between the outer pixels' centres
    side = reach * (length / (length - 1.0))
    middle = 0.5 * size
    return tf.stack(
        [middle - 0.5 * y * reach, middle - 0.5 * x * reach, side, side], -1
    )


def place(pictures, pose, size):
    """Puts pictures into black frames.

    Args:
        pictures: `[B, N, O, O, C]`, of known size.
        pose: `[B, T, N, 3]`.
        size: Side of the frame.

    Returns:
        `[B, T, N, size, size, C]`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.poses import place
        >>> poses = tf.constant([[[[2.0, 0.0, 0.0]]]])
        >>> place(tf.ones([1, 1, 8, 8, 1]), poses, size=16).shape
        TensorShape([1, 1, 1, 16, 16, 1])
    """
    length = pictures.shape[2]
    y, x, side, _ = tf.unstack(boxes(pose, size, length), axis=-1)
    pixels = tf.range(size, dtype=tf.float32)
    rows, columns = (
        spatial_transformer.interpolation(
            spatial_transformer.canvas_positions(centre, side, length, pixels),
            length,
        )[:, :, :, None]  # [B, T, N, 1, size, O]
        for centre in (y, x)
    )
    planes = tf.transpose(pictures, [0, 1, 4, 2, 3])[:, None]
    placed = tf.matmul(tf.matmul(rows, planes), columns, transpose_b=True)
    return tf.transpose(placed, [0, 1, 2, 4, 5, 3])


def cut(frames, pose, length):
    """Cuts out of frames what `place` would have put there.

    Args:
        frames: `[B, T, S, S, C]` of known size.
        pose: `[B, T, N, 3]`.
        length: Side of what is cut out, `O`.

    Returns:
        `[B, T, N, O, O, C]`, zero outside of the frame.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.poses import cut
        >>> poses = tf.constant([[[[2.0, 0.0, 0.0]]]])
        >>> cut(tf.zeros([1, 1, 16, 16, 1]), poses, length=8).shape
        TensorShape([1, 1, 1, 8, 8, 1])
    """
    size = frames.shape[2]
    scale, x, y = tf.unstack(pose, axis=-1)
    side = size / scale  # in units in which pixel centres are the edges
    rows, columns = (
        spatial_transformer.interpolation(
            spatial_transformer.glimpse_positions(
                0.5 * (size - shift * side), side, length, size, "corners"
            ),
            size,
        )[:, :, :, None]  # [B, T, N, 1, O, S]
        for shift in (y, x)
    )
    planes = tf.transpose(frames, [0, 1, 4, 2, 3])[:, :, None]
    glimpses = tf.matmul(tf.matmul(rows, planes), columns, transpose_b=True)
    return tf.transpose(glimpses, [0, 1, 2, 4, 5, 3])
