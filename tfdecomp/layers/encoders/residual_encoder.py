"""The network that reads what a group has not yet explained."""

import math

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.conv import Dense
from tfdecomp.layers.residual import INITIAL, plain_conv
from tfdecomp.layers.spatial_layer_norm import SpatialLayerNorm


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class ResidualEncoder(keras.layers.Layer):
    """Residual -> features: strided convolutions, then a dense layer.

    After each of them a layer norm and the activation, in this order.

    Args:
        filters: Widths of the 4x4 convolutions of stride 2.
        units: `F`, width of the dense layer.
        activation: Name of a Keras activation.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        residuals: `[N, H, W, C]`.

    Returns:
        `[N, F]`, in the layer's compute type.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.encoders import residual_encoder
        >>> encoder = residual_encoder.ResidualEncoder(filters=(8, 8), units=32)
        >>> encoder(tf.zeros([2, 16, 16, 1])).shape
        TensorShape([2, 32])

    References:
        van Steenkiste et al., Relational Neural Expectation Maximization.
        ICLR 2018.
    """

    def __init__(
        self, filters=(16, 32, 64), units=512, activation="elu", **kwargs
    ):
        super().__init__(**kwargs)
        self.filters = tuple(filters)
        self.units = units
        self.activation = activation
        options = {"dtype": self.dtype_policy}
        self.convs = [
            plain_conv(width, 4, strides=2, name=f"conv_{i}", **options)
            for i, width in enumerate(self.filters)
        ]
        self.dense = Dense(units, name="dense", **INITIAL, **options)
        self.norms = [
            SpatialLayerNorm(name=f"norm_{i}", **options)
            for i in range(len(self.filters) + 1)
        ]

    def build(self, residuals_shape):
        shape = residuals_shape
        self.frame_flops = 0
        for conv, norm in zip(self.convs, self.norms):
            conv.build(shape)
            shape = conv.compute_output_shape(shape)
            norm.build(shape)
            products = shape[1] * shape[2] * math.prod(conv.kernel.shape)
            self.frame_flops += 2 * products
        self.dense.build((None, math.prod(shape[1:])))
        self.norms[-1].build((None, self.units))
        self.frame_flops += 2 * math.prod(self.dense.kernel.shape)
        self.built = True

    def call(self, residuals):
        activate = keras.activations.get(self.activation)
        features = tf.cast(residuals, self.compute_dtype)
        for conv, norm in zip(self.convs, self.norms):
            features = activate(norm(conv(features)))
        size = math.prod(features.shape[1:])
        features = self.dense(tf.reshape(features, [-1, size]))
        return activate(self.norms[-1](features))

    def compute_output_shape(self, residuals_shape):
        return (residuals_shape[0], self.units)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "units": self.units,
            "activation": self.activation,
        }
