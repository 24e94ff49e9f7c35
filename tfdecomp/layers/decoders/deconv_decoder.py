"""The decoder of transposed convolutions."""

import math

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.conv import (
    Conv2D,
    Dense,
    TruncatedFanInNormal,
    initial_values,
)


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class DeconvDecoder(keras.layers.Layer):
    """Dense layers, a small grid, transposed convolutions that double it.

    What IODINE compares its spatial broadcast decoder with: the same inputs
    and outputs as `BroadcastDecoder`, but no coordinates.

    Args:
        image_size: `(H, W)`, both the grid's side times a power of two.
        dense: Widths of the dense layers before the one that fills the grid.
        grid: Side of the square grid.
        grid_channels: Channels of the grid.
        filters: Width of every transposed convolution.
        kernel_size: Side of every kernel.
        channels: Colour channels `C`.
        mean_activation: `"linear"` or `"sigmoid"`.
        initializer: Rule of initial values; see `layers.conv`.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        vectors: `[N, D]`, one row per slot.

    Returns:
        `(means, logits)`: `[N, H, W, C]` and `[N, H, W, 1]`.

    Raises:
        ValueError: If the image's sides are no such multiples, or the
            activation is unknown.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.decoders.deconv_decoder import DeconvDecoder
        >>> decoder = DeconvDecoder(image_size=(16, 16), filters=8)
        >>> means, logits = decoder(tf.zeros([5, 12]))  # five slots
        >>> means.shape, logits.shape
        (TensorShape([5, 16, 16, 3]), TensorShape([5, 16, 16, 1]))

    References:
        IODINE, appendix B: 512, 512, 8x8x8, four doublings, one convolution
        of stride 1, the output.
    """

    def __init__(
        self,
        image_size,
        dense=(512,),
        grid=8,
        grid_channels=8,
        filters=64,
        kernel_size=5,
        channels=3,
        mean_activation="linear",
        initializer="truncated_normal",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_size = tuple(image_size)
        self.dense = tuple(dense)
        self.grid = grid
        self.grid_channels = grid_channels
        self.filters = filters
        self.kernel_size = kernel_size
        self.channels = channels
        self.mean_activation = mean_activation
        self.initializer = initializer
        doublings = self._check()
        rules = {"dtype": self.dtype_policy, **initial_values(initializer)}
        options = {**rules, "activation": "elu"}
        widths = (*self.dense, grid * grid * grid_channels)
        self.dense_layers = [
            Dense(width, name=f"dense_{i}", **options)
            for i, width in enumerate(widths)
        ]
        self.deconvs = [
            keras.layers.Conv2DTranspose(
                filters,
                kernel_size,
                strides=2,
                padding="same",
                activation="elu",
                kernel_initializer=self._transposed(
                    options.get("kernel_initializer", "glorot_uniform"),
                    filters if i else grid_channels,
                ),
                dtype=self.dtype_policy,
                name=f"deconv_{i}",
            )
            for i in range(doublings)
        ]
        # At stride 1 a transposed convolution is a convolution.
        self.conv = Conv2D(filters, kernel_size, name="conv", **options)
        self.head = Conv2D(channels + 1, kernel_size, name="head", **rules)

    def _transposed(self, rule, channels):
        """A transposed kernel's inputs come last: tells the rule how many."""
        if isinstance(rule, TruncatedFanInNormal):
            return TruncatedFanInNormal(self.kernel_size**2 * channels)
        return rule

    def _check(self):
        doublings = int(math.log2(max(self.image_size[0] // self.grid, 1)))
        if self.image_size != (self.grid * 2**doublings,) * 2:
            raise ValueError(
                f"image_size must be a square of side {self.grid} times a "
                f"power of two, got {self.image_size}; change grid"
            )
        if self.mean_activation not in ("sigmoid", "linear"):
            raise ValueError(
                'mean_activation must be "sigmoid" or "linear", got '
                f"{self.mean_activation!r}"
            )
        return doublings

    @property
    def convs(self):
        """Hidden convolutions at full size, as `BroadcastDecoder.convs`."""
        return [self.conv]

    @property
    def grid_size(self):
        """`(H, W)` on which `convs` run."""
        return self.image_size

    def build(self, vectors_shape):
        width = vectors_shape[-1]
        for layer in self.dense_layers:
            layer.build((None, width))
            width = layer.units
        shape = (None, self.grid, self.grid, self.grid_channels)
        for layer in [*self.deconvs, self.conv, self.head]:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.built = True

    def call(self, vectors):
        for layer in self.dense_layers:
            vectors = layer(vectors)
        shape = [-1, self.grid, self.grid, self.grid_channels]
        features = tf.reshape(vectors, shape)
        for layer in [*self.deconvs, self.conv]:
            features = layer(features)
        # Means and logits enter a likelihood: float32 from here on.
        canvas = tf.cast(self.head(features), tf.float32)
        means, logits = canvas[..., :-1], canvas[..., -1:]
        if self.mean_activation == "sigmoid":
            means = tf.sigmoid(means)
        return means, logits

    def flops(self):
        """Floating-point operations per vector."""
        total = sum(2 * math.prod(d.kernel.shape) for d in self.dense_layers)
        side = self.grid
        for layer in self.deconvs:  # each input pixel meets the whole kernel
            total += 2 * math.prod(layer.kernel.shape) * side**2
            side *= 2
        for layer in (self.conv, self.head):
            total += 2 * math.prod(layer.kernel.shape) * side**2
        return total

    def get_config(self):
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "dense": self.dense,
            "grid": self.grid,
            "grid_channels": self.grid_channels,
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "channels": self.channels,
            "mean_activation": self.mean_activation,
            "initializer": self.initializer,
        }
