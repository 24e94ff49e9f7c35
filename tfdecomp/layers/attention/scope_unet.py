"""The U-Net that decides what the next slot takes of a picture."""

import math

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.attention.instance_norm import InstanceNorm
from tfdecomp.layers.conv import Conv2D, Dense, fan_in_uniform, initial_values

_SMALLEST = 2  # pixels at the bottom; instance norm makes one pixel nothing


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class ScopeUNet(keras.layers.Layer):
    """Picture and log-scope -> one logit for each pixel.

    A block is a 3x3 convolution without bias, an instance norm and a ReLU. On
    the way down every block but the last halves the sides, on the way up
    every block but the last doubles them; a block on the way up reads what
    comes from below beside the block of the same size on the way down. At
    the bottom a dense network sees the whole picture.

    Halving takes every second pixel, doubling repeats, so that any size
    fits: 35, 18, 9, 5 and back.

    Args:
        filters: Widths of the blocks on the way down. On the way up they are
            the same backwards, each block one earlier: 32, 32, 64, 64, 64
            goes up by 64, 64, 32, 32, 32.
        units: Hidden widths of the dense network at the bottom.
        scale: Whether instance norms have a scale beside the offset.
        initial_logit: All logits at the start, as far as the weights of the
            last convolution are small; 0 takes half of every pixel.
        initializer: Rule of initial values; see `layers.conv`.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: `[N, H, W, C + 1]`.

    Returns:
        `[N, H, W, 1]` float32.

    Raises:
        ValueError: If the picture is too small for so many blocks.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.attention.scope_unet import ScopeUNet
        >>> unet = ScopeUNet(filters=(8, 8, 16), units=(16,))
        >>> unet(tf.zeros([2, 14, 14, 4])).shape
        TensorShape([2, 14, 14, 1])

    References:
        Burgess et al., MONet. 2019, appendix. Ronneberger, Fischer and Brox,
        U-Net. MICCAI 2015.
    """

    def __init__(
        self,
        filters=(32, 32, 64, 64, 64),
        units=(128, 128),
        scale=True,
        initial_logit=0.0,
        initializer="truncated_normal",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = tuple(filters)
        self.units = tuple(units)
        self.scale = scale
        self.initial_logit = initial_logit
        self.initializer = initializer
        upwards = (*self.filters[-2::-1], self.filters[0])
        self.down = [self._block("down", *b) for b in enumerate(self.filters)]
        self.up = [self._block("up", *b) for b in enumerate(upwards)]
        self.dense_layers = [
            self._dense(f"dense_{i}", width)
            for i, width in enumerate(self.units)
        ]
        self.head = Conv2D(
            1,
            1,
            dtype=self.dtype_policy,
            name="head",
            **initial_values(initializer),
        )
        self.head.bias_rule = keras.initializers.Constant(initial_logit)

    def _block(self, path, number, width):
        rule = {"kernel_initializer": fan_in_uniform()}
        rule |= initial_values(self.initializer)
        rule.pop("bias", None)
        conv = keras.layers.Conv2D(
            width,
            3,
            padding="same",
            use_bias=False,
            dtype=self.dtype_policy,
            name=f"{path}_{number}",
            **rule,
        )
        norm = InstanceNorm(
            self.scale, dtype=self.dtype_policy, name=f"{path}_norm_{number}"
        )
        return conv, norm

    def _dense(self, name, width):
        return Dense(
            width,
            activation="relu",
            dtype=self.dtype_policy,
            name=name,
            **initial_values(self.initializer),
        )

    def build(self, inputs_shape):
        self.sizes = self._sizes(inputs_shape[1:3])
        width = inputs_shape[-1]
        widths = []
        for size, (conv, norm) in zip(self.sizes, self.down):
            width = self._build_block(conv, norm, size, width)
            widths.append(width)
        pixels = math.prod(self.sizes[-1])
        self.bottom = self._dense("bottom", pixels * width)
        across = pixels * width
        for layer in (*self.dense_layers, self.bottom):
            layer.build((None, across))
            across = layer.units
        for size, skip, (conv, norm) in zip(
            self.sizes[::-1], widths[::-1], self.up
        ):
            width = self._build_block(conv, norm, size, width + skip)
        self.head.build((None, *self.sizes[0], width))
        self.built = True

    def _build_block(self, conv, norm, size, width):
        conv.build((None, *size, width))
        norm.build((None, *size, conv.filters))
        return conv.filters

    def _sizes(self, size):
        """`(H, W)` of every block on the way down."""
        sizes = [tuple(size)]
        for _ in self.filters[1:]:
            sizes.append(tuple((side + 1) // 2 for side in sizes[-1]))
        if min(sizes[-1]) < _SMALLEST:
            raise ValueError(
                f"{len(self.filters)} blocks make {sizes[-1]} of pictures of "
                f"{sizes[0]}, and the smallest side must be {_SMALLEST} or "
                "more; use fewer filters or larger pictures"
            )
        return sizes

    def call(self, inputs):
        features = tf.cast(inputs, self.compute_dtype)
        skips = []
        for i, block in enumerate(self.down):
            if i:
                features = features[:, ::2, ::2]
            features = _run(block, features)
            skips.append(features)
        features = self._through_bottom(features)
        for i, (block, size) in enumerate(zip(self.up, self.sizes[::-1])):
            if i:
                features = _doubled(features)[:, : size[0], : size[1]]
            features = tf.concat([features, skips.pop()], axis=-1)
            features = _run(block, features)
        return tf.cast(self.head(features), tf.float32)

    def _through_bottom(self, features):
        shape = features.shape[1:]
        values = tf.reshape(features, [-1, math.prod(shape)])
        for layer in (*self.dense_layers, self.bottom):
            values = layer(values)
        return tf.reshape(values, [-1, *shape])

    def flops(self):
        """Floating-point operations for one picture."""
        convs = zip(self.sizes, self.down)
        convs = [*convs, *zip(self.sizes[::-1], self.up)]
        total = 2 * math.prod((*self.sizes[0], *self.head.kernel.shape))
        for size, (conv, _) in convs:
            total += 2 * math.prod((*size, *conv.kernel.shape))
        for layer in (*self.dense_layers, self.bottom):
            total += 2 * math.prod(layer.kernel.shape)
        return total

    def compute_output_shape(self, inputs_shape):
        return (*inputs_shape[:-1], 1)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "units": self.units,
            "scale": self.scale,
            "initial_logit": self.initial_logit,
            "initializer": self.initializer,
        }


def _run(block, features):
    conv, norm = block
    return tf.nn.relu(norm(conv(features)))


def _doubled(features):
    """Every pixel four times: `[N, H, W, C]` -> `[N, 2 H, 2 W, C]`."""
    height, width = features.shape[1:3]
    size = (2 * height, 2 * width)
    return tf.image.resize(features, size, "nearest")
