"""Resampling of single pictures while a dataset is built, NumPy only.

The definitions are those of `tf.image.resize` without anti-aliasing: pixel
centres lie at halves.
"""

import numpy as np


def resize_bilinear(image, height, width):
    """Scales a picture.

    Args:
        image: `[H, W, C]` uint8.
        height: Rows to make.
        width: Columns to make.

    Returns:
        `[height, width, C]` uint8, rounded.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.sampling import resize_bilinear
        >>> image = np.array([[[0], [40]]], np.uint8)
        >>> resize_bilinear(image, height=1, width=4).ravel()
        array([ 0, 10, 30, 40], dtype=uint8)
    """
    if image.shape[:2] == (height, width):
        return image
    values = image.astype(np.float32)
    for axis, size in ((0, height), (1, width)):
        low, high, weight = _taps(values.shape[axis], size)
        weight = weight[:, None, None] if axis == 0 else weight[:, None]
        near, far = values.take(low, axis), values.take(high, axis)
        values = near + (far - near) * weight
    return np.rint(values).astype(np.uint8)


def resize_nearest(labels, height, width):
    """Scales a map of labels; every pixel takes that of one old pixel.

    Args:
        labels: `[H, W]`.
        height: Rows to make.
        width: Columns to make.

    Returns:
        `[height, width]`.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.sampling import resize_nearest
        >>> resize_nearest(np.array([[1, 2]]), height=1, width=4)
        array([[1, 1, 2, 2]])
    """
    rows = _centres(labels.shape[0], height).astype(int)
    columns = _centres(labels.shape[1], width).astype(int)
    return labels[rows[:, None], columns]


def _centres(old, new):
    """Where the centres of new pixels lie, in old pixels."""
    return (np.arange(new) + 0.5) * (old / new)


def _taps(old, new):
    place = _centres(old, new) - 0.5
    low = np.floor(place).astype(int)
    weight = (place - low).astype(np.float32)
    return low.clip(0, old - 1), (low + 1).clip(0, old - 1), weight
