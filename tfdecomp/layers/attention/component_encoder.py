"""The network that reads one slot's part of a picture."""

import math

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.conv import Conv2D, Dense, initial_values


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class ComponentEncoder(keras.layers.Layer):
    """Picture and log-mask -> features: convolutions, then dense layers.

    Args:
        filters: Widths of the 3x3 convolutions of stride 2.
        units: Widths of the dense layers.
        padding: `"same"` or `"valid"`, of the convolutions.
        initializer: Rule of initial values; see `layers.conv`.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: `[N, H, W, C + 1]`.

    Returns:
        `[N, F]`, in the layer's compute type.

    Raises:
        ValueError: If nothing is left of the picture after the convolutions.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.attention.component_encoder import (
        ...     ComponentEncoder,
        ... )
        >>> encoder = ComponentEncoder(filters=(8, 8), units=(32,))
        >>> encoder(tf.zeros([2, 16, 16, 4])).shape
        TensorShape([2, 32])

    References:
        Burgess et al., MONet. 2019, appendix.
    """

    def __init__(
        self,
        filters=(32, 32, 64, 64),
        units=(256,),
        padding="same",
        initializer="truncated_normal",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = tuple(filters)
        self.units = tuple(units)
        self.padding = padding
        self.initializer = initializer
        options = {
            "activation": "relu",
            "dtype": self.dtype_policy,
            **initial_values(initializer),
        }
        self.convs = [
            Conv2D(
                width,
                3,
                strides=2,
                padding=padding,
                name=f"conv_{i}",
                **options,
            )
            for i, width in enumerate(self.filters)
        ]
        self.dense_layers = [
            Dense(width, name=f"dense_{i}", **options)
            for i, width in enumerate(self.units)
        ]

    def build(self, inputs_shape):
        self.picture_flops = 0
        shape = tuple(inputs_shape)
        for conv in self.convs:
            if self.padding == "valid" and min(shape[1:3]) < 3:
                raise ValueError(
                    f"{len(self.convs)} convolutions without padding leave "
                    f"nothing of pictures of {tuple(inputs_shape[1:3])}; use "
                    "fewer filters, larger pictures or padding='same'"
                )
            conv.build(shape)
            shape = conv.compute_output_shape(shape)
            pixels = math.prod(shape[1:3])
            self.picture_flops += 2 * pixels * math.prod(conv.kernel.shape)
        width = math.prod(shape[1:])
        for layer in self.dense_layers:
            layer.build((None, width))
            width = layer.units
            self.picture_flops += 2 * math.prod(layer.kernel.shape)
        self.width = width
        self.built = True

    def call(self, inputs):
        features = tf.cast(inputs, self.compute_dtype)
        for conv in self.convs:
            features = conv(features)
        features = tf.reshape(features, [-1, math.prod(features.shape[1:])])
        for layer in self.dense_layers:
            features = layer(features)
        return features

    def compute_output_shape(self, inputs_shape):
        return (inputs_shape[0], self.width)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "units": self.units,
            "padding": self.padding,
            "initializer": self.initializer,
        }
