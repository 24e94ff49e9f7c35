"""Scenes of sprites on an empty canvas, and what the contract wants of them."""

import dataclasses

import tensorflow as tf

from tfdecomp.ops import placement

PUBLIC = ("slots", "locations", "presence")
IN_SPRITE = 0.5  # an object's box holds the pixels at least so bright


@dataclasses.dataclass
class Scene:
    """Objects of a batch of frames.

    Attributes:
        order: `[N, M]` int32, flat index `row * W + column` of the pixel on
            which a sprite's centre lies.
        latents: `[N, M, L]` appearances.
        present: `[N, M]` bool.
    """

    order: tf.Tensor
    latents: tf.Tensor
    present: tf.Tensor


def flat_index(points, image_size):
    """Points `[..., 2]` in pixels -> index of the pixel that holds each."""
    height, width = image_size
    pixel = tf.cast(tf.floor(points), tf.int32)
    row = tf.clip_by_value(pixel[..., 0], 0, height - 1)
    column = tf.clip_by_value(pixel[..., 1], 0, width - 1)
    return row * width + column


def from_public(slots, locations, presence, image_size) -> Scene:
    """The scene of the contract's `slots`, `locations` and `presence`."""
    return Scene(
        order=flat_index(locations[:, 1:], image_size),
        latents=slots[:, 1:],
        present=presence[:, 1:] > 0.5,
    )


def public(scene, image_size) -> dict:
    """A scene as the contract has it, the background in slot 0.

    Returns:
        `slots` `[N, M + 1, L]`, `locations` `[N, M + 1, 2]` the centres of
        pixels, `presence` `[N, M + 1]`; zeros where nothing is, but the
        background is present.
    """
    present = tf.cast(scene.present, tf.float32)
    width = image_size[1]
    points = tf.stack([scene.order // width, scene.order % width], axis=-1)
    points = (tf.cast(points, tf.float32) + 0.5) * present[..., None]
    slots = tf.where(scene.present[..., None], scene.latents, 0.0)
    return {
        "slots": tf.pad(slots, [(0, 0), (1, 0), (0, 0)]),
        "locations": tf.pad(points, [(0, 0), (1, 0), (0, 0)]),
        "presence": tf.pad(present, [(0, 0), (1, 0)], constant_values=1.0),
    }


def draw(sprites, scene, image_size) -> dict:
    """Places sprites, and says what belongs to whom.

    With `o_k` the largest channel of sprite k placed, its mask is
    `o_k / max(1, sum_j o_j)` and the background has the rest.

    Args:
        sprites: `[N, M, S, S, C]` in [0, 1], zero where there is no object.
        scene: The `Scene`.
        image_size: `(H, W)`.

    Returns:
        `recon` `[N, H, W, C]` clipped to [0, 1], `masks`
        `[N, M + 1, H, W, 1]`, `components` `[N, M + 1, H, W, C]` and `boxes`
        `[N, M + 1, 4]`.
    """
    placed = placement.place_each(
        sprites, scene.order, image_size, scene.present
    )
    shares = tf.reduce_max(placed, axis=-1)
    blank = tf.zeros_like(placed[:, :1])
    window = window_boxes(scene.order, sprites.shape[2], image_size)
    return {
        "recon": tf.clip_by_value(tf.reduce_sum(placed, axis=1), 0.0, 1.0),
        "masks": masks_of(placed),
        "components": tf.concat([blank, placed], axis=1),
        "boxes": _boxes(shares, window, scene.present),
    }


def masks_of(placed):
    """What of each pixel belongs to whom; see `draw`.

    Args:
        placed: `[N, M, H, W, C]`, at least 0, what each object draws.

    Returns:
        `[N, M + 1, H, W, 1]`, the background first.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.models.parts.scenes import masks_of
        >>> masks = masks_of(tf.constant([0.5, 2.0], shape=[1, 2, 1, 1, 1]))
        >>> masks[0, :, 0, 0, 0].numpy()
        array([0. , 0.2, 0.8], dtype=float32)
    """
    shares = tf.reduce_max(placed, axis=-1, keepdims=True)
    masks = shares / tf.maximum(1.0, tf.reduce_sum(shares, 1, keepdims=True))
    # Where objects have all, rounding must leave no less than nothing.
    rest = tf.maximum(1.0 - tf.reduce_sum(masks, 1, keepdims=True), 0.0)
    return tf.concat([rest, masks], axis=1)


def window_boxes(order, size, image_size):
    """Boxes `[N, M, 4]` of the windows of sprites, cut to the frame."""
    height, width = image_size
    row, column = order // width, order % width
    reach = size // 2
    edges = [
        tf.maximum(row - reach, 0),
        tf.maximum(column - reach, 0),
        tf.minimum(row + reach + 1, height),
        tf.minimum(column + reach + 1, width),
    ]
    return tf.cast(tf.stack(edges, axis=-1), tf.float32)


def tight_boxes(is_on):
    """The smallest boxes around what is on.

    Args:
        is_on: `[..., H, W]` bool.

    Returns:
        `[..., 4]` float32 `(ymin, xmin, ymax, xmax)`, pixel edges, half-open;
        zeros where nothing is on.
    """
    low, high = [], []
    for axis in (-1, -2):
        line = tf.reduce_any(is_on, axis=axis)  # [..., H], then [..., W]
        size = tf.shape(line)[-1]
        first = tf.argmax(tf.cast(line, tf.int32), -1, tf.int32)
        last = tf.argmax(tf.cast(line[..., ::-1], tf.int32), -1, tf.int32)
        some = tf.cast(tf.reduce_any(line, axis=-1), tf.int32)
        low.append(first * some)
        high.append((size - last) * some)
    return tf.cast(tf.stack(low + high, axis=-1), tf.float32)


def _boxes(shares, window, present):
    """With the background's; the window where no pixel is bright enough."""
    is_on = shares >= IN_SPRITE
    is_any = tf.reduce_any(is_on, axis=[2, 3])[..., None]
    boxes = tf.where(is_any, tight_boxes(is_on), window)
    boxes = tf.where(present[..., None], boxes, 0.0)
    return tf.pad(boxes, [(0, 0), (1, 0), (0, 0)])
