"""Reading and writing pictures through boxes, by separable interpolation.

A box is `(y, x, h, w)`: centre and size in pixels, `(0, 0)` the frame's top
left corner. Bilinear interpolation between a picture and the window of a box
is a product with one matrix per axis:

    out = A_y source A_x^T,    A[r, p] = max(0, 1 - |q_r - p|)

with `q_r` the row of the source, counted in pixel centres, that output row r
reads; what lies outside is zero. Sprites are drawn by these products; glimpses
gather the few pixels that they need. Gradients reach boxes and pictures.

References:
    Jaderberg et al., Spatial Transformer Networks. NeurIPS 2015.
    Crawford and Pineau, SILOT. AAAI 2020, supplement A.2.
"""

import numpy as np
import tensorflow as tf

ALIGNMENTS = ("corners", "half_pixel")
_SMALLEST = 1e-6  # side of a box in pixels, to divide by


def interpolation(positions, size):
    """The matrix A of bilinear interpolation along one axis.

    Args:
        positions: `[..., R]` source positions in pixel centres: 0 is the
            first pixel, 0.5 lies half between it and the next.
        size: Number of pixels of the source.

    Returns:
        `[..., R, size]`; a row outside of the source is zero.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.spatial_transformer import interpolation
        >>> interpolation(tf.constant([0.0, 1.25]), size=3).numpy()
        array([[1.  , 0.  , 0.  ],
               [0.  , 0.75, 0.25]], dtype=float32)
    """
    pixels = tf.range(size, dtype=tf.float32)
    return tf.nn.relu(1.0 - tf.abs(positions[..., None] - pixels))


def glimpse_positions(centre, side, length, size, align):
    """Where a glimpse reads, in pixel centres of the frame.

    Args:
        centre: `[...]` in pixel edges.
        side: `[...]`, side of the box in pixels; negative ones mirror.
        length: Side of the glimpse, `G`.
        size: Side of the frame.
        align: `"corners"`: the first and last samples lie on the box' edges,
            in units in which the frame's first and last pixel centres are
            its edges (the published code). `"half_pixel"`: samples are the
            centres of `G` equal parts of the box.

    Returns:
        `[..., G]`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.spatial_transformer import glimpse_positions
        >>> middle, side = tf.constant(4.0), tf.constant(4.0)
        >>> glimpse_positions(middle, side, 4, 8, "half_pixel").numpy()
        array([2., 3., 4., 5.], dtype=float32)
    """
    if align == "corners":
        steps = np.linspace(-0.5, 0.5, length, dtype=np.float32)
        scale = (size - 1.0) / size
        return scale * (centre[..., None] + side[..., None] * steps)
    steps = (np.arange(length, dtype=np.float32) + 0.5) / length - 0.5
    return centre[..., None] + side[..., None] * steps - 0.5


def canvas_positions(centre, side, length, pixels):
    """Where pixels of a canvas read a sprite, in its pixel centres.

    Args:
        centre: `[...]` in pixel edges.
        side: `[...]`, side of the box in pixels.
        length: Side of the sprite, `G`.
        pixels: `[..., P]` numbers of pixels of the canvas.

    Returns:
        `[..., P]`; the sprite's own pixels are 0 to `G - 1`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.spatial_transformer import canvas_positions
        >>> middle, side = tf.constant(4.0), tf.constant(4.0)
        >>> canvas_positions(middle, side, 4, tf.range(2.0, 6.0)).numpy()
        array([0., 1., 2., 3.], dtype=float32)
    """
    side = tf.maximum(side, _SMALLEST)[..., None]
    top = centre[..., None] - 0.5 * side
    return length * (pixels + 0.5 - top) / side - 0.5


def take_glimpses(frames, boxes, size, align="corners"):
    """Cuts the windows of boxes out of frames.

    Args:
        frames: `[B, H, W, C]` of known size.
        boxes: `[B, K, 4]`.
        size: `(G, G')` of a glimpse.
        align: See `glimpse_positions`.

    Returns:
        `[B, K, G, G', C]`, zero outside of the frame.

    Raises:
        ValueError: If `align` is unknown.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.spatial_transformer import take_glimpses
        >>> frames, boxes = tf.zeros([1, 48, 48, 3]), tf.fill([1, 5, 4], 12.0)
        >>> take_glimpses(frames, boxes, size=(14, 14)).shape
        TensorShape([1, 5, 14, 14, 3])
    """
    if align not in ALIGNMENTS:
        raise ValueError(f"align must be one of {ALIGNMENTS}, got {align!r}")
    height, width, channels = frames.shape[1:]
    rows, columns = size
    y, x, h, w = tf.unstack(boxes, axis=-1)
    row, down = _taps(glimpse_positions(y, h, rows, height, align), height)
    column, across = _taps(
        glimpse_positions(x, w, columns, width, align), width
    )
    # The four pixels around every sample; glimpses are small, so this takes
    # less than products with matrices as wide as the frame.
    pixel = row[:, :, :, None, :, None] * width + column[:, :, None, :, None]
    share = down[:, :, :, None, :, None] * across[:, :, None, :, None]
    shape = [-1, tf.shape(boxes)[1], rows, columns, 4]
    flat = tf.reshape(frames, [-1, height * width, channels])
    values = tf.gather(flat, tf.reshape(pixel, shape), batch_dims=1)
    share = tf.reshape(share, shape)[..., None]
    return tf.reduce_sum(share * values, axis=4)


def resample(frames, side):
    """Whole frames as squares of another size, without a blur.

    Args:
        frames: `[N, H, W, C]` of known size.
        side: Of the result.

    Returns:
        `[N, side, side, C]`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.spatial_transformer import resample
        >>> resample(tf.zeros([2, 48, 64, 3]), side=12).shape
        TensorShape([2, 12, 12, 3])
    """
    height, width = frames.shape[1:3]
    whole = tf.constant([0.5 * height, 0.5 * width, height, width], tf.float32)
    boxes = tf.tile(whole[None, None], [tf.shape(frames)[0], 1, 1])
    return take_glimpses(frames, boxes, (side, side), "half_pixel")[:, 0]


def _taps(positions, size):
    """The two pixels around positions, and their shares.

    Args:
        positions: `[..., R]` in pixel centres.
        size: Number of pixels of the source.

    Returns:
        `(pixels, shares)`, `[..., R, 2]` int32 and float32; pixels outside
        of the source have no share.
    """
    first = tf.floor(tf.stop_gradient(positions))
    part = positions - first
    pixels = tf.stack([first, first + 1.0], axis=-1)
    # A position that is no number has shares that are none, and so a loss; but
    # it must not point out of the source, which would end the run.
    outside = (pixels < 0.0) | (pixels > size - 1.0)
    shares = tf.where(outside, 0.0, tf.stack([1.0 - part, part], axis=-1))
    shown = tf.where(pixels == pixels, pixels, 0.0)
    shown = tf.cast(tf.clip_by_value(shown, 0.0, size - 1.0), tf.int32)
    return shown, shares
