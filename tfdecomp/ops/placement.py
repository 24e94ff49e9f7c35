"""Placing sprites on a canvas.

    out[r, c] = sum_k sum_{p, q} map_k[r - p + s, c - q + s] sprite_k[p, q]

for sprites of odd side `S = 2 s + 1`: the centre pixel lands where the map
says, and what falls outside the canvas is cropped. Maps are relaxed one-hots
(`place_soft`) or single pixels, `row * W + column` (all others). Everything
is float32.
"""

import tensorflow as tf


def place_soft(sprites, maps, present=None):
    """The sum of sprites spread by maps, for maps of any kind.

    The sum over slots is taken of the spectra, so that there is one inverse
    transform per picture and channel; channels share the maps' transform.

    Args:
        sprites: `[B, K, S, S, C]`.
        maps: `[B, K, H, W]`.
        present: `[B, K]` bool or numbers that multiply the sprites; by
            default all ones.

    Returns:
        `[B, H, W, C]`.

    Raises:
        ValueError: If the sprites' sides differ, are even, unknown or larger
            than the canvas.
    """
    maps = tf.cast(maps, tf.float32)
    height, width = maps.shape[2:]
    sprites = _prepare(sprites, present, (height, width))
    reach = sprites.shape[2] // 2
    size = [height + 2 * reach, width + 2 * reach]
    spread = tf.signal.rfft2d(maps, size)[:, :, None]  # [B, K, 1, N, N / 2]
    sprites = tf.transpose(sprites, [0, 1, 4, 2, 3])
    spectrum = tf.reduce_sum(tf.signal.rfft2d(sprites, size) * spread, axis=1)
    placed = tf.signal.irfft2d(spectrum, size)  # [B, C, N, N]
    placed = placed[:, :, reach : reach + height, reach : reach + width]
    return tf.transpose(placed, [0, 2, 3, 1])


def place_hard(sprites, locations, size, present=None):
    """The sum of sprites at single pixels, exact and cheap.

    A product with the matrices that put a sprite's rows and columns in their
    place; no slot gets a canvas of its own.

    Args:
        sprites: `[B, K, S, S, C]`.
        locations: `[B, K]` integers `row * W + column`.
        size: `(H, W)`.
        present: See `place_soft`.

    Returns:
        `[B, H, W, C]`; its gradient reaches `sprites`.

    Raises:
        ValueError: See `place_soft`.
    """
    sprites = _prepare(sprites, present, size)
    rows, columns = _windows(locations, sprites.shape[2], size)
    wide = tf.einsum("bkpqc,bkqw->bkpwc", sprites, columns)
    return tf.einsum("bkph,bkpwc->bhwc", rows, wide)


def place_each(sprites, locations, size, present=None):
    """Every sprite at its pixel on a canvas of its own.

    Args:
        sprites: `[B, K, S, S, C]`.
        locations: `[B, K]` integers `row * W + column`.
        size: `(H, W)`.
        present: See `place_soft`.

    Returns:
        `[B, K, H, W, C]`; its gradient reaches `sprites`.

    Raises:
        ValueError: See `place_soft`.
    """
    sprites = _prepare(sprites, present, size)
    rows, columns = _windows(locations, sprites.shape[2], size)
    wide = tf.einsum("bkpqc,bkqw->bkpwc", sprites, columns)
    return tf.einsum("bkph,bkpwc->bkhwc", rows, wide)


def _prepare(sprites, present, size):
    """Checks the sprites' shape; absent ones become zero."""
    sprites = tf.cast(sprites, tf.float32)
    side, other = sprites.shape[2:4]
    if side is None or side != other or side % 2 == 0:
        raise ValueError(
            "sprites must be square with an odd side, so that they have a "
            f"centre pixel; got sprites of shape {tuple(sprites.shape)}"
        )
    if None in tuple(size) or side > min(size):
        raise ValueError(
            f"sprites must fit on the canvas; got a side of {side} for a "
            f"canvas of {size[0]}x{size[1]}"
        )
    if present is not None:
        present = tf.cast(present, tf.float32)
        sprites *= present[:, :, None, None, None]
    return sprites


def _windows(locations, side, size):
    """One-hot matrices from a sprite's rows and columns to the canvas'.

    Returns:
        `[B, K, S, H]` and `[B, K, S, W]`, zero for what is cropped.
    """
    height, width = size
    locations = tf.cast(locations, tf.int32)[:, :, None]
    offsets = tf.range(side) - side // 2
    rows = tf.one_hot(locations // width + offsets, height)
    columns = tf.one_hot(locations % width + offsets, width)
    return rows, columns
