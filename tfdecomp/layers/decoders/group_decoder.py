"""The network that draws what a group predicts."""

import math

import gin
import keras
import numpy as np
import tensorflow as tf

from tfdecomp.layers.conv import Dense
from tfdecomp.layers.residual import INITIAL, plain_conv
from tfdecomp.layers.spatial_layer_norm import SpatialLayerNorm


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class GroupDecoder(keras.layers.Layer):
    """State -> probabilities of pixels: dense layers, then enlargements.

    Two dense layers make a small map; each 4x4 convolution reads the map at
    twice its size, pixels repeated. After each layer but the last a layer norm
    and the activation, in this order; a sigmoid after the last.

    Args:
        image_size: `(H, W)`, multiples of 2 to the number of `filters`.
        units: Width of the first dense layer.
        filters: Channels of the small map, and of those after each
            enlargement but the last.
        channels: Channels of the picture, `C`.
        activation: Name of a Keras activation.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        states: `[N, D]`.

    Returns:
        `[N, H, W, C]` in (0, 1), float32.

    Raises:
        ValueError: If sizes do not fit.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.decoders.group_decoder import GroupDecoder
        >>> decoder = GroupDecoder(image_size=(16, 16), filters=(8, 8))
        >>> decoder(tf.zeros([2, 32])).shape
        TensorShape([2, 16, 16, 1])

    References:
        van Steenkiste et al., Relational Neural Expectation Maximization.
        ICLR 2018.
    """

    def __init__(
        self,
        image_size=(64, 64),
        units=512,
        filters=(64, 32, 16),
        channels=1,
        activation="relu",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_size = tuple(image_size)
        self.units = units
        self.filters = tuple(filters)
        self.channels = channels
        self.activation = activation
        self.grid = _grid(self.image_size, self.filters)
        options = {"dtype": self.dtype_policy}
        self.denses = [
            Dense(width, name=f"dense_{i}", **INITIAL, **options)
            for i, width in enumerate((units, math.prod(self.grid)))
        ]
        self.convs = [
            plain_conv(width, 4, name=f"conv_{i}", **options)
            for i, width in enumerate((*self.filters[1:], channels))
        ]
        self.norms = [
            SpatialLayerNorm(name=f"norm_{i}", **options)
            for i in range(len(self.filters) + 1)
        ]

    def build(self, states_shape):
        self.frame_flops = 0
        shape = states_shape
        for dense, norm in zip(self.denses, self.norms):
            dense.build(shape)
            shape = (None, dense.units)
            norm.build(shape)
            self.frame_flops += 2 * math.prod(dense.kernel.shape)
        shape = (None, *self.grid)
        for conv, norm in zip(self.convs, [*self.norms[2:], None]):
            shape = (None, 2 * shape[1], 2 * shape[2], shape[3])
            conv.build(shape)
            # As the paper has it; `enlarged` needs fewer.
            products = shape[1] * shape[2] * math.prod(conv.kernel.shape)
            self.frame_flops += 2 * products
            shape = conv.compute_output_shape(shape)
            if norm is not None:
                norm.build(shape)
        self.built = True

    def call(self, states):
        activate = keras.activations.get(self.activation)
        features = tf.cast(states, self.compute_dtype)
        for dense, norm in zip(self.denses, self.norms):
            features = activate(norm(dense(features)))
        features = tf.reshape(features, [-1, *self.grid])
        for conv, norm in zip(self.convs, [*self.norms[2:], None]):
            kernel = tf.convert_to_tensor(conv.kernel)
            kernel = tf.cast(kernel, features.dtype)
            bias = tf.cast(tf.convert_to_tensor(conv.bias), features.dtype)
            features = tf.nn.bias_add(enlarged(features, kernel), bias)
            if norm is not None:
                features = activate(norm(features))
        return tf.sigmoid(tf.cast(features, tf.float32))

    def compute_output_shape(self, states_shape):
        return (states_shape[0], *self.image_size, self.channels)

    def get_config(self):
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "units": self.units,
            "filters": self.filters,
            "channels": self.channels,
            "activation": self.activation,
        }


# Which pixel of a map each row of a 4x4 kernel meets, where the map's pixels
# are repeated: `[parity of the output's row, offset + 1, row of the kernel]`.
_MEETS = np.float32(
    [
        [[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]],
        [[0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]],
    ]
)


def enlarged(features, kernel):
    """A 4x4 convolution of the map with each pixel repeated, without bias.

    Repeated pixels meet sums of weights; which, depends on whether the row and
    the column are odd. A 3x3 convolution of the map as it is makes the four
    kinds next to each other, with 9 products for 16, and a shuffle puts them in
    place.

    Args:
        features: `[N, H, W, I]`.
        kernel: `[4, 4, I, O]`.

    Returns:
        `[N, 2H, 2W, O]`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.decoders.group_decoder import enlarged
        >>> wide = enlarged(tf.ones([1, 3, 3, 1]), tf.ones([4, 4, 1, 1]))
        >>> wide[0, 1, :, 0].numpy()
        array([12., 16., 16., 16., 12.,  8.], dtype=float32)
    """
    meets = tf.constant(_MEETS, kernel.dtype)
    inputs, outputs = kernel.shape[2:]
    sums = tf.einsum("apu,bqv,uvio->pqiabo", meets, meets, kernel)
    sums = tf.reshape(sums, [3, 3, inputs, 4 * outputs])
    return tf.nn.depth_to_space(tf.nn.conv2d(features, sums, 1, "SAME"), 2)


def _grid(image_size, filters):
    """`(h, w, c)` of the small map."""
    factor = 2 ** len(filters)
    if not filters or any(side % factor for side in image_size):
        raise ValueError(
            f"{len(filters)} enlargements go with sides that are multiples of "
            f"{factor}, got {tuple(image_size)}; change IMAGE_SIZE, or give "
            "filters one width for each enlargement"
        )
    return (*(side // factor for side in image_size), filters[0])
