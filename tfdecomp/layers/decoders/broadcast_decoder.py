"""The spatial broadcast decoder."""

import math

import gin
import keras
import numpy as np
import tensorflow as tf

from tfdecomp.layers.conv import Conv2D, Dense, initial_values
from tfdecomp.ops import coords, first_layer


@keras.saving.register_keras_serializable(package="tfdecomp")
class CoordinatesFirst(keras.initializers.Initializer):
    """A kernel whose first two input channels, coordinates, start otherwise.

    Args:
        plain: Initializer, or its config, of what has no scale of its own.
        coordinate_scale: Standard deviation of the weights on coordinates, or
            None.
        vector_scale: That of the others, or None.

    Examples:
        >>> from tfdecomp.layers.decoders import broadcast_decoder as it
        >>> rule = it.CoordinatesFirst("zeros", coordinate_scale=2.0)
        >>> kernel = rule((3, 3, 2 + 4, 8))
        >>> kernel.shape, float(abs(kernel[:, :, 2:].numpy()).max())
        (TensorShape([3, 3, 6, 8]), 0.0)
    """

    def __init__(self, plain, coordinate_scale=None, vector_scale=None):
        self.plain = keras.initializers.get(plain)
        self.coordinate_scale = coordinate_scale
        self.vector_scale = vector_scale

    def __call__(self, shape, dtype=None, **kwargs):
        values = self.plain(shape, dtype=dtype)
        parts = (
            (values[:, :, :2], self.coordinate_scale),
            (values[:, :, 2:], self.vector_scale),
        )
        parts = [
            part
            if scale is None
            else keras.random.normal(part.shape, stddev=scale, dtype=dtype)
            for part, scale in parts
        ]
        return keras.ops.concatenate(parts, axis=2)

    def get_config(self):
        return {
            "plain": keras.initializers.serialize(self.plain),
            "coordinate_scale": self.coordinate_scale,
            "vector_scale": self.vector_scale,
        }


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class BroadcastDecoder(keras.layers.Layer):
    """Draws every slot on its own canvas.

    A dense network maps the slot's vector to the vector that is copied to
    every pixel; row and column coordinates come first, then the vector, then
    convolutions without stride.

    Args:
        image_size: `(H, W)` of the canvas.
        filters: Width of each hidden convolution.
        kernel_sizes: Side of every kernel, the output's included; one number
            for all, or one per convolution.
        channels: Colour channels `C`.
        dense: Widths of the dense layers in front; empty for none.
        mean_activation: `"sigmoid"` (PROVIDE) or `"linear"` (IODINE).
        padding: `"same"`, or `"valid"` (MONet): the canvas is larger by what
            the convolutions take away, so that no pixel sees its border.
        upsample: The convolutions run on a grid smaller by this factor and
            the last one draws a block of `upsample x upsample` pixels.
        activation: Hidden activation.
        initializer: Rule of the hidden layers' initial values; see
            `layers.conv`.
        head_initializer: That of the last convolution.
        coordinate_scale: Standard deviation of the first convolution's
            weights on the coordinates, and half-width of its uniform bias, at
            the start; None treats them like the others. At 2 or so the edges
            of the hidden units lie inside the picture, so that different
            latents draw blobs in different places from the first step on.
        vector_scale: Standard deviation of its weights on the vector.
        canvas_units: Widths of a dense network that draws on the canvas too,
            from zero at the start; None for none. Convolutions with 1x1
            kernels place blobs at once but learn outlines slowly, a dense
            network the other way round.
        factored: Computes the first convolution without ever building its
            input, which is constant but for the coordinates: the same values
            (see `ops.first_layer`), at the price of one dense layer.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        vectors: `[N, D]`, one row per slot.

    Returns:
        `(means, logits)`: `[N, H, W, C]` and `[N, H, W, 1]`.

    Raises:
        ValueError: If `upsample` does not divide the image, or an option is
            unknown.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.decoders import broadcast_decoder as it
        >>> decoder = it.BroadcastDecoder((16, 16), filters=(8, 8))
        >>> means, logits = decoder(tf.zeros([5, 12]))  # five slots
        >>> means.shape, logits.shape
        (TensorShape([5, 16, 16, 3]), TensorShape([5, 16, 16, 1]))

    References:
        Watters et al., Spatial Broadcast Decoder (2019); PROVIDE, eq. 6;
        IODINE, appendix B.
    """

    def __init__(
        self,
        image_size,
        filters=(64, 64, 64, 64),
        kernel_sizes=3,
        channels=3,
        dense=(64, 64),
        mean_activation="sigmoid",
        padding="same",
        upsample=1,
        activation="elu",
        initializer="fan_in_uniform",
        head_initializer="fan_in_uniform",
        coordinate_scale=None,
        vector_scale=None,
        canvas_units=None,
        factored=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_size = tuple(image_size)
        self.filters = tuple(filters)
        if isinstance(kernel_sizes, int):
            kernel_sizes = (kernel_sizes,) * (len(self.filters) + 1)
        self.kernel_sizes = tuple(kernel_sizes)
        self.channels = channels
        self.dense = tuple(dense)
        self.mean_activation = mean_activation
        self.padding = padding
        self.upsample = upsample
        self.activation = activation
        self.initializer = initializer
        self.head_initializer = head_initializer
        self.coordinate_scale = coordinate_scale
        self.vector_scale = vector_scale
        self.canvas_units = canvas_units and tuple(canvas_units)
        self.factored = factored
        self._check()
        options = {
            "activation": activation,
            "dtype": self.dtype_policy,
            **initial_values(initializer),
        }
        conv_options = {**options, "padding": padding}
        self.dense_layers = [
            Dense(width, name=f"dense_{i}", **options)
            for i, width in enumerate(self.dense)
        ]
        self.convs = [
            Conv2D(width, size, name=f"conv_{i}", **conv_options)
            for i, (width, size) in enumerate(
                zip(self.filters, self.kernel_sizes[:-1])
            )
        ]
        self.head = Conv2D(
            (channels + 1) * upsample**2,
            self.kernel_sizes[-1],
            padding=padding,
            dtype=self.dtype_policy,
            name="head",
            **initial_values(head_initializer),
        )

        self.canvas_layers = []
        if self.canvas_units:
            size = math.prod(self.grid_size) * self.head.filters
            self.canvas_layers = [
                Dense(width, name=f"canvas_{i}", **options)
                for i, width in enumerate(self.canvas_units)
            ]
            self.canvas_layers.append(
                Dense(
                    size,
                    kernel_initializer="zeros",
                    bias="zeros",
                    dtype=self.dtype_policy,
                    name="canvas",
                )
            )

    def _check(self):
        if len(self.kernel_sizes) != len(self.filters) + 1:
            raise ValueError(
                f"kernel_sizes needs {len(self.filters) + 1} entries (one per "
                f"convolution and the output's), got {self.kernel_sizes}"
            )
        if any(side % self.upsample for side in self.image_size):
            raise ValueError(
                f"upsample={self.upsample} does not divide the image size "
                f"{self.image_size}"
            )
        if self.mean_activation not in ("sigmoid", "linear"):
            raise ValueError(
                'mean_activation must be "sigmoid" or "linear", got '
                f"{self.mean_activation!r}"
            )
        if self.padding not in ("same", "valid"):
            raise ValueError(
                f'padding must be "same" or "valid", got {self.padding!r}'
            )

    @property
    def grid_size(self):
        """`(H, W)` of what the convolutions draw."""
        return tuple(side // self.upsample for side in self.image_size)

    @property
    def canvas_size(self):
        """`(H, W)` of what the first convolution reads."""
        lost = 0
        if self.padding == "valid":
            lost = sum(self.kernel_sizes) - len(self.kernel_sizes)
        return tuple(side + lost for side in self.grid_size)

    def build(self, vectors_shape):
        width = vectors_shape[-1]
        for layer in self.dense_layers:
            layer.build((None, width))
            width = layer.units
        drawn = width
        for layer in self.canvas_layers:
            layer.build((None, drawn))
            drawn = layer.units
        shape = (None, *self.canvas_size, width + 2)
        self._set_scales(self.convs[0])
        for conv in [*self.convs, self.head]:
            conv.build(shape)
            shape = (*shape[:-1], conv.filters)
        self.plan = first_layer.plan(
            *self.canvas_size, self.kernel_sizes[0], self.padding
        )

    def _set_scales(self, conv):
        """Initial values of the first convolution, by kind of input."""
        scale = self.coordinate_scale
        conv.kernel_initializer = CoordinatesFirst(
            conv.kernel_initializer, scale, self.vector_scale
        )
        if scale is not None:
            conv.bias_rule = keras.initializers.RandomUniform(-scale, scale)

    def call(self, vectors):
        for layer in self.dense_layers:
            vectors = layer(vectors)
        features = self._first(vectors)  # [N, h, w, F]
        for conv in self.convs[1:]:
            features = conv(features)
        # Means and logits enter a likelihood: float32 from here on.
        canvas = tf.cast(self.head(features), tf.float32)
        if self.canvas_layers:
            canvas += self._drawn(vectors)
        if self.upsample > 1:
            canvas = tf.nn.depth_to_space(canvas, self.upsample)
        # The gradient of a split is one concatenation, that of slices pads.
        means, logits = tf.split(canvas, [self.channels, 1], axis=-1)
        if self.mean_activation == "sigmoid":
            means = tf.sigmoid(means)
        return means, logits

    def _drawn(self, vectors):
        """What the dense network adds to the canvas, `[N, h, w, ...]`."""
        for layer in self.canvas_layers:
            vectors = layer(vectors)
        shape = [-1, *self.grid_size, self.head.filters]
        return tf.reshape(tf.cast(vectors, tf.float32), shape)

    def _first(self, vectors):
        conv = self.convs[0]
        if self.factored:
            outputs = first_layer.broadcast_convolution(
                vectors, conv.kernel, conv.bias, self.plan
            )
            return conv.activation(outputs)
        return conv(broadcast_with_coordinates(vectors, self.canvas_size))

    def flops(self):
        """Floating-point operations per vector, as the papers write it.

        The first convolution counts as one over the whole picture.
        """
        layers = [*self.dense_layers, *self.canvas_layers]
        dense = sum(2 * math.prod(d.kernel.shape) for d in layers)
        size, total = self.canvas_size, dense
        for conv in (*self.convs, self.head):
            if self.padding == "valid":
                size = tuple(side - conv.kernel_size[0] + 1 for side in size)
            total += 2 * math.prod((*size, *conv.kernel.shape))
        return total

    def get_config(self):
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "filters": self.filters,
            "kernel_sizes": self.kernel_sizes,
            "channels": self.channels,
            "dense": self.dense,
            "mean_activation": self.mean_activation,
            "padding": self.padding,
            "upsample": self.upsample,
            "activation": self.activation,
            "initializer": self.initializer,
            "head_initializer": self.head_initializer,
            "coordinate_scale": self.coordinate_scale,
            "vector_scale": self.vector_scale,
            "canvas_units": self.canvas_units,
            "factored": self.factored,
        }


def broadcast_with_coordinates(vectors, grid_size):
    """`[N, D]` -> `[N, H, W, 2 + D]`: row, column, then the vector.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.decoders.broadcast_decoder import (
        ...     broadcast_with_coordinates,
        ... )
        >>> broadcast_with_coordinates(tf.zeros([5, 12]), (16, 16)).shape
        TensorShape([5, 16, 16, 14])
    """
    height, width = grid_size
    grid = np.expand_dims(coords.pixel_grid(height, width), 0)
    grid = tf.cast(grid, vectors.dtype)
    count = tf.shape(vectors)[0]
    tiles = tf.broadcast_to(
        vectors[:, None, None], [count, height, width, vectors.shape[-1]]
    )
    return tf.concat([tf.tile(grid, [count, 1, 1, 1]), tiles], axis=-1)
