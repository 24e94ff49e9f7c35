"""Local maxima of maps, counted and listed."""

import tensorflow as tf


def local_maxima(maps, window=3):
    """Which pixels are larger than their neighbours.

    A pixel has to exceed the neighbours before it in raster order and to be
    no less than those after it, so a flat top counts once (if it is convex).
    Outside the map everything is smaller.

    Args:
        maps: `[N, H, W]` float32.
        window: Odd side of the square of neighbours.

    Returns:
        `[N, H, W]` bool.

    Raises:
        ValueError: If the window is even or less than 3.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.peaks import local_maxima
        >>> maps = tf.constant([[[0.0, 2.0, 1.0, 3.0]]])
        >>> local_maxima(maps).numpy()[0, 0]
        array([False,  True, False,  True])
    """
    if window % 2 == 0 or window < 3:
        raise ValueError(f"window must be odd and at least 3, got {window}")
    reach = window // 2
    height, width = tf.shape(maps)[1], tf.shape(maps)[2]
    padded = tf.pad(
        maps,
        [(0, 0), (reach, reach), (reach, reach)],
        constant_values=maps.dtype.min,
    )
    is_peak = tf.ones_like(maps, tf.bool)
    for row in range(window):
        for column in range(window):
            if (row, column) == (reach, reach):
                continue
            other = padded[:, row : row + height, column : column + width]
            is_before = (row, column) < (reach, reach)
            compare = tf.greater if is_before else tf.greater_equal
            is_peak &= compare(maps, other)
    return is_peak


def find_peaks(maps, threshold, most, window=3):
    """The local maxima above a threshold, greatest first.

    Args:
        maps: `[N, H, W]` float32.
        threshold: Number or `[N]`; only greater values count.
        most: How many are listed and counted at most.
        window: See `local_maxima`.

    Returns:
        `(count, order)`: `[N]` int32 and `[N, most]` int32 flat indices
        `row * W + column`, of which the first `count` are peaks. Of equal
        values the one with the lower index comes first.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.peaks import find_peaks
        >>> maps = tf.constant([[[0.0, 2.0, 1.0, 3.0]]])
        >>> count, order = find_peaks(maps, threshold=0.5, most=2)
        >>> count.numpy(), order.numpy()  # the greatest first
        (array([2], dtype=int32), array([[3, 1]], dtype=int32))
    """
    threshold = tf.reshape(tf.cast(threshold, maps.dtype), [-1, 1, 1])
    is_peak = local_maxima(maps, window) & (maps > threshold)
    values = tf.where(is_peak, maps, maps.dtype.min)
    flat = tf.reshape(values, [tf.shape(maps)[0], -1])
    size = tf.shape(flat)[1]
    missing = tf.maximum(most - size, 0)
    flat = tf.pad(flat, [(0, 0), (0, missing)], constant_values=flat.dtype.min)
    _, order = tf.math.top_k(flat, most)
    count = tf.reduce_sum(tf.cast(is_peak, tf.int32), [1, 2])
    return tf.minimum(count, most), tf.minimum(order, size - 1)
