"""Placing sprites on a canvas.

    out[r, c] = sum_k sum_{p, q} map_k[r - p + s, c - q + s] sprite_k[p, q]

for sprites of odd side `S = 2 s + 1`: the centre pixel lands where the map
says, and what falls outside the canvas is cropped. A map is of any kind
(`place_soft`) or a single pixel, given as `row * W + column` (the others).
Everything is float32.

The convolution is a product of spectra. A circle of `H + s` rows is enough:
what wraps around lands on rows that are cropped. The sum over slots is taken
of the spectra, so there is one inverse transform per picture and channel, and
channels share the transform of the maps. At these sizes products with dense
Fourier matrices beat a CPU's FFT by far. Where there is a GPU, which may
round the factors of a product to ten bits, the FFT it is.
"""

import numpy as np
import tensorflow as tf


def place_soft(sprites, maps, present=None):
    """The sum of sprites spread by maps, for maps of any kind.

    Args:
        sprites: `[B, K, S, S, C]`.
        maps: `[B, K, H, W]`.
        present: `[B, K]` bool or numbers that multiply the sprites; by
            default all ones.

    Returns:
        `[B, H, W, C]`.

    Raises:
        ValueError: If the sprites' sides differ, are even, or are larger than
            the canvas; or if they or the canvas have no static size.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.placement import place_soft
        >>> maps = tf.one_hot([[0]], 25)  # the upper left pixel of 5 x 5
        >>> sprites = tf.ones([1, 1, 3, 3, 1])
        >>> canvas = place_soft(sprites, tf.reshape(maps, [1, 1, 5, 5]))
        >>> round(float(canvas.numpy().sum()))  # four of nine pixels are inside
        4
    """
    maps = tf.cast(maps, tf.float32)
    sprites = _prepare(sprites, present, maps.shape[2:])
    return _convolve(sprites, maps)


def place_hard(sprites, locations, size, present=None):
    """The sum of sprites at single pixels, without rounding.

    Args:
        sprites: `[B, K, S, S, C]`.
        locations: `[B, K]` integers `row * W + column` on the canvas, of
            absent slots too.
        size: `(H, W)`.
        present: See `place_soft`.

    Returns:
        `[B, H, W, C]`. Its gradient reaches `sprites` and `present`. No slot
        gets a canvas of its own; where three or more overlap, the order in
        which a device adds them decides the last bit.

    Raises:
        ValueError: See `place_soft`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.placement import place_hard
        >>> canvas = place_hard(tf.ones([1, 1, 3, 3, 1]), [[12]], size=(5, 5))
        >>> canvas[0, 1, :, 0].numpy()  # pixel 12 is the middle one
        array([0., 1., 1., 1., 0.], dtype=float32)
    """
    sprites = _prepare(sprites, present, size)
    return _scatter(sprites, tf.cast(locations, tf.int32), size)


def place_each(sprites, locations, size, present=None):
    """Every sprite at its pixel on a canvas of its own.

    Args:
        sprites: See `place_hard`.
        locations: See `place_hard`.
        size: `(H, W)`.
        present: See `place_soft`.

    Returns:
        `[B, K, H, W, C]`. Its gradient reaches `sprites` and `present`.

    Raises:
        ValueError: See `place_soft`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.placement import place_each
        >>> sprites = tf.ones([1, 2, 3, 3, 1])
        >>> place_each(sprites, tf.constant([[12, 0]]), size=(5, 5)).shape
        TensorShape([1, 2, 5, 5, 1])
    """
    sprites = _prepare(sprites, present, size)
    batch, slots, side, _, channels = _shape(sprites)
    placed = _scatter(
        tf.reshape(sprites, [batch * slots, 1, side, side, channels]),
        tf.reshape(tf.cast(locations, tf.int32), [batch * slots, 1]),
        size,
    )
    return tf.reshape(placed, [batch, slots, *size, channels])


def place_straight_through(sprites, locations, maps, present=None):
    """`place_hard` forwards, with a gradient for relaxed maps.

    The gradient of a map is that of `place_soft`: how well the sprite matches
    the canvas' gradient, at every pixel. The gradient of a sprite is the
    window of the canvas' gradient around its pixel.

    Args:
        sprites: `[B, K, S, S, C]`.
        locations: `[B, K]` integers `row * W + column`.
        maps: `[B, K, H, W]`; their values do not matter.
        present: See `place_soft`.

    Returns:
        `[B, H, W, C]`.

    Raises:
        ValueError: See `place_soft`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.placement import place_straight_through
        >>> maps, sprites = tf.zeros([1, 1, 5, 5]), tf.ones([1, 1, 3, 3, 1])
        >>> canvas = place_straight_through(sprites, tf.constant([[12]]), maps)
        >>> canvas[0, 1, :, 0].numpy()
        array([0., 1., 1., 1., 0.], dtype=float32)
    """
    maps = tf.cast(maps, tf.float32)
    size = maps.shape[2:]
    sprites = _prepare(sprites, present, size)
    locations = tf.cast(locations, tf.int32)

    @tf.custom_gradient
    def place(sprites, maps):
        del maps

        def backward(upstream):
            spectra = _Spectra(sprites.shape[2], size)
            match, _ = spectra.correlate(
                spectra.of_canvas(upstream, mirrored=True),
                spectra.of_sprites(sprites),
                None,
            )
            return _windows(upstream, locations, sprites.shape[2]), match

        return _scatter(sprites, locations, size), backward

    return place(sprites, maps)


def hide_absent(sprites, present):
    """Sprites `[B, K, S, S, C]` times bool or numbers `[B, K]`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.placement import hide_absent
        >>> sprites, there = tf.ones([1, 2, 1, 1, 1]), tf.constant([[1.0, 0]])
        >>> shown = hide_absent(sprites, there)
        >>> shown.numpy().ravel()
        array([1., 0.], dtype=float32)
    """
    shape = tf.concat([tf.shape(present), [1, 1, 1]], axis=0)
    return sprites * tf.reshape(tf.cast(present, tf.float32), shape)


def _prepare(sprites, present, size):
    """Checks the sprites' shape; absent ones become zero."""
    sprites = tf.cast(sprites, tf.float32)
    side, other = sprites.shape[2:4]
    if side is None or side != other or side % 2 == 0:
        raise ValueError(
            "sprites must be square with an odd side, so that they have a "
            f"centre pixel; got sprites of shape {tuple(sprites.shape)}"
        )
    height, width = size
    if height is None or width is None or side > min(height, width):
        raise ValueError(
            "sprites must fit on a canvas of known size; got a side of "
            f"{side} for a canvas of {height}x{width}"
        )
    return sprites if present is None else hide_absent(sprites, present)


def _shape(value):
    """Numbers where the shape is static, scalars elsewhere."""
    dynamic = tf.shape(value)
    static = value.shape.as_list()
    return [n if n is not None else dynamic[i] for i, n in enumerate(static)]


def _scatter(sprites, locations, size):
    """Adds sprites to a canvas with a margin, and cuts the margin."""
    height, width = size
    side = sprites.shape[2]
    reach = side // 2

    @tf.custom_gradient
    def scatter(sprites):
        batch, _, _, _, channels = _shape(sprites)
        area = (height + 2 * reach) * (width + 2 * reach)
        pixels = _pixels(locations, side, size)  # [B, K, S * S]
        pixels += area * tf.range(batch)[:, None, None]
        canvas = tf.math.unsorted_segment_sum(
            tf.reshape(sprites, [-1, channels]),
            tf.reshape(pixels, [-1]),
            batch * area,
        )
        canvas = tf.reshape(
            canvas, [batch, height + 2 * reach, width + 2 * reach, channels]
        )
        canvas = canvas[:, reach : reach + height, reach : reach + width]
        return canvas, lambda upstream: _windows(upstream, locations, side)

    return scatter(sprites)


def _windows(canvas, locations, side):
    """The window around every location, zero outside: `[B, K, S, S, C]`."""
    batch, height, width, channels = _shape(canvas)
    reach = side // 2
    margin = [(0, 0), (reach, reach), (reach, reach), (0, 0)]
    flat = tf.reshape(tf.pad(canvas, margin), [batch, -1, channels])
    pixels = _pixels(locations, side, (height, width))
    windows = tf.gather(flat, pixels, batch_dims=1)  # [B, K, S * S, C]
    return tf.reshape(windows, [batch, -1, side, side, channels])


def _pixels(locations, side, size):
    """Where a sprite's pixels land on the canvas with a margin of `s`."""
    width = size[1]
    wide = width + 2 * (side // 2)
    corner = locations // width * wide + locations % width
    window = np.arange(side)[:, None] * wide + np.arange(side)
    return corner[:, :, None] + tf.constant(window.ravel(), tf.int32)


def _convolve(sprites, maps):
    """`place_soft` for prepared sprites."""
    spectra = _Spectra(sprites.shape[2], maps.shape[2:])

    @tf.custom_gradient
    def convolve(sprites, maps):
        spread = spectra.of_maps(maps)
        drawn = spectra.of_sprites(sprites)
        placed = spectra.to_canvas(tf.reduce_sum(spread * drawn, axis=1))

        def backward(upstream):
            mirrored = spectra.of_canvas(upstream, mirrored=True)
            return spectra.correlate(mirrored, drawn, spread)[::-1]

        return placed, backward

    return convolve(sprites, maps)


class _Spectra:
    """Spectra of sprites, maps and canvases on one circle.

    A transform may be mirrored: of the picture with the signs of its
    coordinates turned. With it a correlation is a convolution.

    Args:
        side: `S`.
        size: `(H, W)`.
    """

    def __init__(self, side, size):
        self.reach = side // 2
        self.side, self.size = side, tuple(size)
        self.circle = tuple(length + self.reach for length in size)
        self._pair = (_fft, _ifft) if _has_gpu() else (_dft, _idft)

    def of_maps(self, maps):
        """`[B, K, H, W]` -> complex `[B, K, 1, U, V]`."""
        return self._pair[0](maps, 0, self.circle, False)[:, :, None]

    def of_sprites(self, sprites):
        """`[B, K, S, S, C]` -> complex `[B, K, C, U, V]`."""
        sprites = tf.transpose(sprites, [0, 1, 4, 2, 3])
        return self._pair[0](sprites, -self.reach, self.circle, False)

    def of_canvas(self, canvas, mirrored):
        """`[B, H, W, C]` -> complex `[B, C, U, V]`."""
        canvas = tf.transpose(canvas, [0, 3, 1, 2])
        return self._pair[0](canvas, 0, self.circle, mirrored)

    def to_canvas(self, spectrum):
        """Complex `[B, C, U, V]` -> `[B, H, W, C]`."""
        canvas = self._pair[1](spectrum, 0, self.size, self.circle, False)
        return tf.transpose(canvas, [0, 2, 3, 1])

    def correlate(self, mirrored, drawn, spread):
        """Gradients from spectra.

        Args:
            mirrored: Of the mirrored canvas' gradient.
            drawn: Of the sprites.
            spread: Of the maps, or None.

        Returns:
            `[B, K, H, W]` for the maps; `[B, K, S, S, C]` for the sprites,
            or None.
        """
        inverse, mirrored = self._pair[1], mirrored[:, None]
        products = mirrored * drawn
        if products.shape[2] == 1:
            products = products[:, :, 0]  # nothing to sum
        else:
            products = tf.reduce_sum(products, axis=2)
        for_maps = inverse(products, 0, self.size, self.circle, True)
        if spread is None:
            return for_maps, None
        window = (self.side, self.side)
        for_sprites = inverse(
            mirrored * spread, -self.reach, window, self.circle, True
        )
        return for_maps, tf.transpose(for_sprites, [0, 1, 3, 4, 2])


def _has_gpu():
    return bool(tf.config.list_physical_devices("GPU"))


def _dft(pictures, start, circle, mirrored):
    """Half spectrum of the rows, full spectrum of the columns, by products.

    Args:
        pictures: `[..., h, w]` real.
        start: Coordinate of the first row and of the first column.
        circle: Periods `(N, M)` of rows and columns.
        mirrored: Whether the coordinates' signs are turned.

    Returns:
        `[..., N // 2 + 1, M]` complex64.
    """
    *lead, height, width = _shape(pictures)
    half = circle[0] // 2 + 1
    cosine, sine = _waves(start, height, half, circle[0], mirrored)
    down = np.stack([cosine, -sine], axis=1)  # [U, 2, h]
    cosine, sine = _waves(start, width, circle[1], circle[1], mirrored)
    real = np.concatenate([cosine, sine], axis=1).T  # [2 w, V]
    imaginary = np.concatenate([-sine, cosine], axis=1).T
    values = tf.matmul(
        tf.constant(down.reshape(2 * half, height), tf.float32),
        tf.reshape(pictures, [-1, height, width]),
    )
    values = tf.reshape(values, [-1, 2 * width])
    spectrum = tf.complex(
        tf.matmul(values, tf.constant(real, tf.float32)),
        tf.matmul(values, tf.constant(imaginary, tf.float32)),
    )
    return tf.reshape(spectrum, [*lead, half, circle[1]])


def _idft(spectrum, start, size, circle, mirrored):
    """Part of the real picture that has this spectrum, by products.

    Args:
        spectrum: See `_dft`.
        start: See `_dft`; of the part.
        size: `(h, w)` of the part.
        circle: See `_dft`.
        mirrored: See `_dft`; of the part.

    Returns:
        `[..., h, w]`.
    """
    *lead, half, _ = _shape(spectrum)
    height, width = size
    cosine, sine = _waves(start, width, circle[1], circle[1], mirrored)
    real = np.concatenate([cosine, sine], axis=1) / circle[1]  # [V, 2 w]
    imaginary = np.concatenate([-sine, cosine], axis=1) / circle[1]
    cosine, sine = _waves(start, height, half, circle[0], mirrored)
    # All frequencies but the first and the middle one stand for two.
    twice = np.where(np.arange(half) * 2 % circle[0] == 0, 1.0, 2.0)
    down = np.stack([cosine.T * twice, -sine.T * twice], axis=2) / circle[0]
    spectrum = tf.reshape(spectrum, [-1, circle[1]])
    values = tf.matmul(
        tf.math.real(spectrum), tf.constant(real, tf.float32)
    ) + tf.matmul(tf.math.imag(spectrum), tf.constant(imaginary, tf.float32))
    values = tf.matmul(
        tf.constant(down.reshape(height, 2 * half), tf.float32),
        tf.reshape(values, [-1, 2 * half, width]),
    )
    return tf.reshape(values, [*lead, height, width])


def _waves(start, length, frequencies, period, mirrored):
    """Cosine and sine `[frequencies, length]` at consecutive coordinates."""
    where = (start + np.arange(length)) * (-1 if mirrored else 1)
    steps = np.outer(np.arange(frequencies), where) % period
    angles = 2.0 * np.pi / period * steps
    return np.cos(angles), np.sin(angles)


def _fft(pictures, start, circle, mirrored):
    """`_dft` by the FFT; the half spectrum is that of the columns."""
    height, width = pictures.shape[-2:]
    margin = [(0, 0)] * (pictures.shape.rank - 2)
    margin += [(0, circle[0] - height), (0, circle[1] - width)]
    pictures = tf.roll(tf.pad(pictures, margin), [start, start], [-2, -1])
    spectrum = tf.signal.rfft2d(pictures)
    return tf.math.conj(spectrum) if mirrored else spectrum


def _ifft(spectrum, start, size, circle, mirrored):
    """`_idft` of what `_fft` returned."""
    spectrum = tf.math.conj(spectrum) if mirrored else spectrum
    pictures = tf.signal.irfft2d(spectrum, circle)
    pictures = tf.roll(pictures, [-start, -start], [-2, -1])
    return pictures[..., : size[0], : size[1]]
