"""Sprites that add up: what boxes show in a frame, without a picture for each.

    out = sum_k A_y,k sprite_k A_x,k^T

with the matrices of `spatial_transformer`, half-pixel centres; what lies
outside of a box is zero. Nothing covers anything.
"""

import tensorflow as tf

from tfdecomp.ops import spatial_transformer

WHERE = 4  # numbers that say where a sprite is, see `boxes_of`


def boxes_of(where, image_size, size_range=(0.0, 1.0)):
    """Boxes `(y, x, h, w)` in pixels of `where = (l_h, l_w, t_y, t_x)`.

        side = S (least + (most - least) sigmoid(l))
        centre = S (tanh(t) + 1) / 2

    Args:
        where: `[..., 4]`, any numbers.
        image_size: `(H, W)`, S of either axis.
        size_range: Least and largest side, as a share of the frame.

    Returns:
        `[..., 4]`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.sprites import boxes_of
        >>> boxes_of(tf.zeros([4]), image_size=(48, 32)).numpy()
        array([24., 16., 24., 16.], dtype=float32)
    """
    least, most = size_range
    whole = tf.constant(image_size, tf.float32)
    side = least + (most - least) * tf.sigmoid(where[..., :2])
    centre = 0.5 * (tf.tanh(where[..., 2:]) + 1.0)
    return tf.concat([centre * whole, side * whole], axis=-1)


def edges_of(boxes):
    """`(y, x, h, w)` -> `(ymin, xmin, ymax, xmax)`, `[..., 4]`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.sprites import edges_of
        >>> edges_of(tf.constant([8.0, 9.0, 4.0, 2.0])).numpy()
        array([ 6.,  8., 10., 10.], dtype=float32)
    """
    centre, half = boxes[..., :2], 0.5 * boxes[..., 2:]
    return tf.concat([centre - half, centre + half], axis=-1)


def add_sprites(sprites, boxes, image_size):
    """The sum of sprites in their boxes.

    Args:
        sprites: `[N, K, G, G, C]`; zero where there is no object.
        boxes: `[N, K, 4]`, `(y, x, h, w)` in pixels.
        image_size: `(H, W)`.

    Returns:
        `[N, H, W, C]`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.sprites import add_sprites
        >>> boxes = tf.constant([[[4.0, 4.0, 2.0, 2.0]] * 3])  # three in one
        >>> out = add_sprites(tf.ones([1, 3, 2, 2, 1]), boxes, (8, 8))
        >>> out[0, 3, 2:6, 0].numpy()
        array([0., 3., 3., 0.], dtype=float32)
    """
    strips, down, channels = _strips(sprites, boxes, image_size)
    # One product sums over rows of a sprite and over sprites.
    down = tf.transpose(down, [0, 2, 1, 3])  # [N, H, K, G]
    rows = tf.shape(down)[2] * down.shape[3]
    down = tf.reshape(down, [-1, image_size[0], rows])
    width = image_size[1] * channels
    out = tf.matmul(down, tf.reshape(strips, [-1, rows, width]))
    return tf.reshape(out, [-1, *image_size, channels])


def place_sprites(sprites, boxes, image_size):
    """Each sprite in its box, on a frame of its own.

    Args:
        sprites: See `add_sprites`.
        boxes: See `add_sprites`.
        image_size: `(H, W)`.

    Returns:
        `[N, K, H, W, C]`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.sprites import place_sprites
        >>> sprites, boxes = tf.ones([1, 3, 2, 2, 1]), tf.fill([1, 3, 4], 4.0)
        >>> place_sprites(sprites, boxes, image_size=(8, 8)).shape
        TensorShape([1, 3, 8, 8, 1])
    """
    strips, down, channels = _strips(sprites, boxes, image_size)
    out = tf.matmul(down, strips)
    shape = [-1, tf.shape(sprites)[1], *image_size, channels]
    return tf.ensure_shape(
        tf.reshape(out, shape),
        [None, sprites.shape[1], *image_size, channels],
    )


def _strips(sprites, boxes, image_size):
    """Sprites brought to the frame's columns, and the matrices of rows.

    Returns:
        `(strips [N, K, G, W C], down [N, K, H, G], C)`.
    """
    side, channels = sprites.shape[3:]
    y, x, h, w = tf.unstack(boxes, axis=-1)
    down, across = (
        spatial_transformer.interpolation(
            spatial_transformer.canvas_positions(
                centre, length, side, tf.range(size, dtype=tf.float32)
            ),
            side,
        )
        for centre, length, size in zip((y, x), (h, w), image_size)
    )  # [N, K, H, G], [N, K, W, G]
    num = tf.shape(sprites)[1]
    # [N, K, 1, W, G] x [N, K, G, G, C] -> [N, K, G, W, C]
    strips = tf.matmul(across[:, :, None], sprites)
    strips = tf.reshape(strips, [-1, num, side, image_size[1] * channels])
    return strips, down, channels
