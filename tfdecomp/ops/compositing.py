"""Drawing objects over each other without a picture per object.

Sprites have `G x G` pixels: colours beta, opacities alpha and importances I.
Each is brought to the canvas through its box (`spatial_transformer`; primes
mark what has been), outside of which alpha and I are zero and the colour is
the background's. A pixel is the average of what the objects there show,

    out = bg + sum_k w_k alpha'_k (beta'_k - m_k bg) / sum_k w_k,

with coverage `m = (A_y 1)(A_x 1)^T` and weights `w = I'` ("linear"; the
published code) or `w = exp(I' / lambda)` where `m > 0` ("softmax"; the
published text, of `I = alpha depth`, for a black background).

Objects are drawn a few at a time, on a window each where the frame is larger,
and once more in the backward pass: what is kept for it are sprites, boxes and
sums over objects, so memory does not grow with objects times pixels.

References:
    Crawford and Pineau, SILOT. AAAI 2020, supplement A.2.
"""

import math

import tensorflow as tf

from tfdecomp.ops import spatial_transformer

COMPOSITIONS = ("linear", "softmax")
_TINY = 1e-12  # weight below which a pixel has no object
_FAR = -1e6  # where a box that fills up a chunk lies


def compose(
    colors,
    alpha,
    importance,
    boxes,
    background,
    *,
    composition="linear",
    temperature=0.25,
    chunk_size=8,
    largest=None,
):
    """Draws objects; see the module.

    Args:
        colors: beta, `[N, K, G, G, C]`.
        alpha: Opacities, `[N, K, G, G]`.
        importance: I, `[N, K, G, G]`.
        boxes: `[N, K, 4]`, `(y, x, h, w)` in pixels.
        background: `[N, H, W, C]`, of known size.
        composition: `"linear"` or `"softmax"`.
        temperature: lambda of the softmax.
        chunk_size: Objects drawn at a time; more where the frame is larger
            than as many windows.
        largest: Largest sides `(h, w)` that a box may have, in pixels. Where
            the window of such a box is smaller than the frame, only windows
            are drawn. By default the whole frame is.

    Returns:
        `[N, H, W, C]`.

    Raises:
        ValueError: If `composition` is unknown.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.compositing import compose
        >>> color, alpha = tf.ones([1, 1, 4, 4, 3]), tf.ones([1, 1, 4, 4])
        >>> boxes = tf.constant([[[8.0, 8.0, 4.0, 4.0]]])  # centre and sides
        >>> black = tf.zeros([1, 16, 16, 3])
        >>> compose(color, alpha, alpha, boxes, black)[0, 8, 8].numpy()
        array([1., 1., 1.], dtype=float32)
    """
    painter = _Painter(
        background.shape[1:3], composition, temperature, largest, alpha.shape[2]
    )
    planes = pack(colors, alpha, importance)
    sums = _accumulate(painter, planes, boxes, chunk_size)
    color, cover, weight = tf.split(sums, [colors.shape[-1], 1, 1], axis=-1)
    return background + (color - cover * background) / tf.maximum(weight, _TINY)


def object_shares(
    colors,
    alpha,
    importance,
    boxes,
    size,
    *,
    composition="linear",
    temperature=0.25,
):
    """What each object has of every pixel; memory is that of `K` pictures.

    Args:
        colors: See `compose`.
        alpha: See `compose`.
        importance: See `compose`.
        boxes: See `compose`.
        size: `(H, W)`.
        composition: See `compose`.
        temperature: See `compose`.

    Returns:
        `(masks, placed)`: `w_k alpha'_k / sum_j w_j` `[N, K, H, W, 1]`, what
        is missing to one is the background's; and the sprites on black,
        `alpha'_k beta'_k` `[N, K, H, W, C]`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.compositing import object_shares
        >>> color, alpha = tf.ones([1, 2, 4, 4, 3]), tf.ones([1, 2, 4, 4])
        >>> boxes = tf.fill([1, 2, 4], 8.0)
        >>> masks, placed = object_shares(color, alpha, alpha, boxes, (16, 16))
        >>> masks.shape, placed.shape
        (TensorShape([1, 2, 16, 16, 1]), TensorShape([1, 2, 16, 16, 3]))
    """
    painter = _Painter(size, composition, temperature, None, alpha.shape[2])
    planes = pack(colors, alpha, importance)
    maps, inside = painter.spread(planes, boxes)
    maps = tf.transpose(maps, [0, 1, 2, 4, 3])
    color, alpha, importance = tf.split(maps, [colors.shape[-1], 1, 1], axis=-1)
    weight = painter.weigh(importance, inside[..., None])
    total = tf.reduce_sum(weight, axis=1, keepdims=True)
    masks = weight * alpha / tf.maximum(total, _TINY)
    return masks, alpha * color


def pack(colors, alpha, importance):
    """Planes of sprites, `[N, K, G, C + 2, G]`: what is interpolated.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.compositing import pack
        >>> color, alpha = tf.ones([1, 2, 4, 4, 3]), tf.ones([1, 2, 4, 4])
        >>> pack(color, alpha, alpha).shape
        TensorShape([1, 2, 4, 5, 4])
    """
    planes = [colors, alpha[..., None], importance[..., None]]
    return tf.transpose(tf.concat(planes, axis=-1), [0, 1, 2, 4, 3])


def window_side(largest, length):
    """Pixels that a box of at most this side, with soft border, touches.

    Examples:
        >>> from tfdecomp.ops.compositing import window_side
        >>> window_side(10.0, length=14)
        12
    """
    return math.ceil(largest * (length + 1) / length) + 1


class _Painter:
    """What a few objects add to the sums of every pixel.

    Args:
        size: `(H, W)`.
        composition: See `compose`.
        temperature: See `compose`.
        largest: See `compose`.
        length: `G`.
    """

    def __init__(self, size, composition, temperature, largest, length):
        if composition not in COMPOSITIONS:
            raise ValueError(
                f"composition must be one of {COMPOSITIONS}, got "
                f"{composition!r}"
            )
        self.size = tuple(size)
        self.composition = composition
        self.temperature = temperature
        self.length = length
        self.window = self.size
        if largest is not None:
            sides = [window_side(side, length) for side in largest]
            self.window = tuple(map(min, zip(sides, self.size)))

    @property
    def is_windowed(self):
        """Whether the canvas has more pixels than a window."""
        return self.window != self.size

    def corners(self, boxes):
        """First row and column of every box' window, int32 `[N, K, 2]`."""
        centre, side = boxes[..., :2], boxes[..., 2:]
        border = 0.5 * side / self.length
        corner = tf.floor(centre - 0.5 * side - border)
        last = [s - w for s, w in zip(self.size, self.window)]
        corner = tf.clip_by_value(corner, 0.0, tf.constant(last, tf.float32))
        return tf.cast(tf.stop_gradient(corner), tf.int32)

    def spread(self, planes, boxes):
        """Brings planes to the canvas, or to windows of it.

        Returns:
            `(maps, inside)`: `[N, K, h, C + 2, w]`, and the coverage m
            `[N, K, h, w]`.
        """
        y, x, h, w = tf.unstack(boxes, axis=-1)
        first = tf.cast(self.corners(boxes), tf.float32)
        rows = first[..., :1] + tf.range(self.window[0], dtype=tf.float32)
        columns = first[..., 1:] + tf.range(self.window[1], dtype=tf.float32)
        down, across = (
            spatial_transformer.interpolation(
                spatial_transformer.canvas_positions(
                    centre, side, self.length, pixels
                ),
                self.length,
            )
            for centre, side, pixels in ((y, h, rows), (x, w, columns))
        )  # [N, K, h, G], [N, K, w, G]
        num, length = tf.shape(planes)[1], self.length
        count = planes.shape[3]
        strips = tf.matmul(
            tf.reshape(planes, [-1, num, length * count, length]),
            across,
            transpose_b=True,
        )
        strips = tf.reshape(strips, [-1, num, length, count * self.window[1]])
        maps = tf.reshape(
            tf.matmul(down, strips),
            [-1, num, self.window[0], count, self.window[1]],
        )
        inside = (
            tf.reduce_sum(down, -1)[..., None]
            * tf.reduce_sum(across, -1)[:, :, None]
        )
        return maps, inside

    def weigh(self, importance, inside):
        """w of interpolated importances; zero where an object is not."""
        if self.composition == "linear":
            return importance
        weight = tf.exp(importance / self.temperature)
        return tf.where(inside > 0.0, weight, 0.0)

    def paint(self, planes, boxes):
        """What objects add, window by window: `[N, K, h, C + 2, w]`.

        The planes are `w alpha' beta'`, `w alpha' m` and `w`.
        """
        maps, inside = self.spread(planes, boxes)
        colors = planes.shape[3] - 2
        color, alpha, importance = tf.split(maps, [colors, 1, 1], axis=3)
        inside = inside[:, :, :, None]
        weight = self.weigh(importance, inside)
        share = weight * alpha
        return tf.concat([share * color, share * inside, weight], axis=3)

    def add(self, canvas, painted, boxes):
        """Adds windows to a canvas `[N, H, C + 2, W]`."""
        if not self.is_windowed:
            return canvas + tf.reduce_sum(painted, axis=1)
        pixels, _ = self._pixels(boxes)
        count = painted.shape[3]
        painted = tf.transpose(painted, [0, 1, 2, 4, 3])
        batch = tf.shape(canvas)[0]
        area = self.size[0] * self.size[1]
        added = tf.math.unsorted_segment_sum(
            tf.reshape(painted, [-1, count]),
            tf.reshape(pixels, [-1]),
            batch * area,
        )
        added = tf.reshape(added, [-1, *self.size, count])
        return canvas + tf.transpose(added, [0, 1, 3, 2])

    def cut(self, canvas, boxes):
        """The windows of boxes in a canvas `[N, H, C + 2, W]`."""
        if not self.is_windowed:
            return tf.broadcast_to(
                canvas[:, None],
                tf.concat([tf.shape(boxes)[:2], tf.shape(canvas)[1:]], 0),
            )
        _, pixels = self._pixels(boxes)
        count = canvas.shape[2]
        flat = tf.reshape(
            tf.transpose(canvas, [0, 1, 3, 2]),
            [-1, self.size[0] * self.size[1], count],
        )
        windows = tf.gather(flat, pixels, batch_dims=1)
        return tf.transpose(windows, [0, 1, 2, 4, 3])

    def _pixels(self, boxes):
        """Flat numbers of a window's pixels, in all frames and in its own."""
        first = self.corners(boxes)
        rows = first[..., :1] + tf.range(self.window[0])
        columns = first[..., 1:] + tf.range(self.window[1])
        own = rows[..., None] * self.size[1] + columns[:, :, None]
        area = self.size[0] * self.size[1]
        frames = tf.range(tf.shape(boxes)[0])[:, None, None, None]
        return own + area * frames, own


def _accumulate(painter, planes, boxes, chunk_size):
    """Sums over objects, `[N, H, W, C + 2]`; see the module."""
    shape = tf.shape(planes)
    batch, num = shape[0], shape[1]
    # Every chunk costs a pass over the canvas: at a fixed number of windows,
    # chunks would grow with objects, and time with the square of the area.
    size = max(chunk_size, math.prod(painter.size) // math.prod(painter.window))
    if planes.shape[1] is not None:
        size = min(size, planes.shape[1])
    count, length = planes.shape[3], painter.length

    def chunks(planes, boxes):
        """Fills up to whole chunks and puts them first."""
        missing = -num % size
        planes = tf.pad(planes, [(0, 0), (0, missing)] + [(0, 0)] * 3)
        boxes = tf.pad(
            boxes, [(0, 0), (0, missing), (0, 0)], constant_values=_FAR
        )
        planes = tf.reshape(planes, [batch, -1, size, length, count, length])
        boxes = tf.reshape(boxes, [batch, -1, size, 4])
        return (
            tf.transpose(planes, [1, 0, 2, 3, 4, 5]),
            tf.transpose(boxes, [1, 0, 2, 3]),
        )

    @tf.custom_gradient
    def accumulate(planes, boxes):
        parts, places = chunks(planes, boxes)
        number = tf.shape(parts)[0]

        def body(i, canvas):
            painted = painter.paint(parts[i], places[i])
            return i + 1, painter.add(canvas, painted, places[i])

        height, width = painter.size
        canvas = tf.zeros([batch, height, count, width])
        _, canvas = tf.while_loop(
            lambda i, _: i < number,
            body,
            (tf.constant(0), canvas),
            shape_invariants=(
                tf.TensorShape([]),
                tf.TensorShape([None, height, count, width]),
            ),
            parallel_iterations=1,
        )

        def backward(upstream):
            upstream = tf.transpose(upstream, [0, 1, 3, 2])

            def body(i, by_planes, by_boxes):
                part, place = parts[i], places[i]
                with tf.GradientTape() as tape:
                    tape.watch((part, place))
                    painted = painter.paint(part, place)
                found = tape.gradient(
                    painted,
                    (part, place),
                    output_gradients=painter.cut(upstream, place),
                )
                return (
                    i + 1,
                    by_planes.write(i, found[0]),
                    by_boxes.write(i, found[1]),
                )

            _, by_planes, by_boxes = tf.while_loop(
                lambda i, *_: i < number,
                body,
                (
                    tf.constant(0),
                    tf.TensorArray(tf.float32, number),
                    tf.TensorArray(tf.float32, number),
                ),
                parallel_iterations=1,
            )
            by_planes = tf.transpose(by_planes.stack(), [1, 0, 2, 3, 4, 5])
            by_planes = tf.reshape(
                by_planes, [batch, -1, length, count, length]
            )
            by_boxes = tf.transpose(by_boxes.stack(), [1, 0, 2, 3])
            by_boxes = tf.reshape(by_boxes, [batch, -1, 4])
            return by_planes[:, :num], by_boxes[:, :num]

        return tf.transpose(canvas, [0, 1, 3, 2]), backward

    return accumulate(planes, boxes)
