"""The network that reads the picture-sized inputs of a refinement."""

import math

import gin
import keras
import numpy as np
import tensorflow as tf

from tfdecomp.layers.conv import Conv2D, Dense, initial_values


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class RefinementEncoder(keras.layers.Layer):
    """Convolutions, pooling and dense layers: pictures -> one code per slot.

    The first convolution is linear in its input channels. Those that all
    slots and refinements of a frame share (the frame, coordinates, features)
    go through `shared` once per frame; `call` adds their part. Both read one
    kernel, whose input channels stand in the documented order.

    Args:
        filters: Width of each convolution.
        kernel_size: Side of the kernels.
        strides: Stride of every convolution.
        shrink: The maps are averaged over blocks of `shrink x shrink` pixels
            first, which may be 2.5: the convolutions are that much cheaper,
            and see that much further.
        pool: Side of the average pooling after the convolutions, or
            `"global"`; 1 for none.
        units: Widths of the dense layers after it.
        initializer: Rule of the convolutions' initial values; see
            `layers.conv`.
        dense_initializer: That of the dense layers.
        code_activation: Activation of the last dense layer; the others and
            the convolutions have ELU.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        slot_maps: `[B, K, H, W, c]`, the channels that differ per slot.
        shared: `[B, h, w, F]`, what `shared` returned for the frame.

    Returns:
        `[B * K, units[-1]]`.

    Raises:
        ValueError: If `shrink` does not divide the maps.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.encoders import refinement_encoder as it
        >>> encoder = it.RefinementEncoder(filters=(8,), units=(16,))
        >>> encoder.build((None, 8, 8, 5))
        >>> shared = encoder.shared(tf.zeros([2, 8, 8, 0]))  # no shared channel
        >>> encoder(tf.zeros([2, 4, 8, 8, 5]), shared).shape
        TensorShape([8, 16])

    References:
        PROVIDE, figure 2; IODINE, appendix B.
    """

    def __init__(
        self,
        filters=(64, 64, 64, 64),
        kernel_size=3,
        strides=1,
        pool=4,
        units=(128,),
        initializer="fan_in_uniform",
        dense_initializer="fan_in_uniform",
        code_activation="elu",
        shrink=1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = tuple(filters)
        self.kernel_size = kernel_size
        self.strides = strides
        self.pool = pool
        self.units = tuple(units)
        self.initializer = initializer
        self.dense_initializer = dense_initializer
        self.code_activation = code_activation
        self.shrink = shrink
        options = {"activation": "elu", "dtype": self.dtype_policy}
        self.convs = [
            Conv2D(
                width,
                kernel_size,
                strides=strides,
                name=f"conv_{i}",
                **options,
                **initial_values(initializer),
            )
            for i, width in enumerate(self.filters)
        ]
        self.dense_layers = [
            Dense(
                width,
                name=f"dense_{i}",
                **options,
                **initial_values(dense_initializer),
            )
            for i, width in enumerate(self.units)
        ]
        if self.dense_layers:
            last = self.dense_layers[-1]
            last.activation = keras.activations.get(code_activation)

    def build(self, maps_shape, is_shared=None):
        """Creates the weights.

        Args:
            maps_shape: `(None, H, W, channels)`, shared ones included.
            is_shared: One flag per channel; none is shared by default.
        """
        channels = maps_shape[-1]
        is_shared = np.asarray(is_shared or [False] * channels)
        self.shared_channels = np.flatnonzero(is_shared)
        self.slot_channels = np.flatnonzero(~is_shared)
        shape = self._shrunken_shape(maps_shape)
        self.num_pixels = []  # that each convolution writes
        for conv in self.convs:
            conv.build(shape)
            shape = conv.compute_output_shape(shape)
            self.num_pixels.append(shape[1] * shape[2])
        _, height, width, features = shape
        if self.pool == "global":
            height = width = 1
        else:
            height, width = -(-height // self.pool), -(-width // self.pool)
        size = height * width * features
        for layer in self.dense_layers:
            layer.build((None, size))
            size = layer.units
        self.built = True

    def _shrunken_shape(self, shape):
        count, height, width, channels = shape
        sides = height / self.shrink, width / self.shrink
        if self.shrink < 1 or any(side % 1 for side in sides):
            raise ValueError(
                f"shrink={self.shrink} does not divide the maps' "
                f"{height} x {width} pixels"
            )
        return count, int(sides[0]), int(sides[1]), channels

    def _shrunken(self, maps):
        if self.shrink == 1:
            return maps
        if self.shrink % 1 == 0:
            side = int(self.shrink)
            return tf.nn.avg_pool2d(maps, side, side, "VALID")
        height, width = maps.shape[1:3]
        rows = tf.constant(area_weights(height, self.shrink), maps.dtype)
        columns = tf.constant(area_weights(width, self.shrink), maps.dtype)
        return tf.einsum("ih,jw,bhwc->bijc", rows, columns, maps)

    def shared(self, maps):
        """The shared channels' part of the first convolution, with bias.

        Args:
            maps: `[B, H, W, c']`.

        Returns:
            `[B, h, w, F]` in the compute type; `[B, 1, 1, F]`, the bias
            alone, if no channel is shared.
        """
        conv, dtype = self.convs[0], self.compute_dtype
        if not self.shared_channels.size:
            bias = tf.cast(conv.bias, dtype)[None, None, None]
            return tf.tile(bias, [tf.shape(maps)[0], 1, 1, 1])
        kernel = take_channels(conv.kernel, self.shared_channels)
        maps = self._shrunken(tf.cast(maps, dtype))
        outputs = self._convolve(maps, tf.cast(kernel, dtype))
        return tf.nn.bias_add(outputs, tf.cast(conv.bias, dtype))

    def call(self, slot_maps, shared):
        conv = self.convs[0]
        num_slots = tf.shape(slot_maps)[1]
        kernel = take_channels(conv.kernel, self.slot_channels)
        flat = tf.reshape(slot_maps, [-1, *slot_maps.shape[2:]])
        flat = self._shrunken(flat)
        outputs = self._convolve(flat, kernel)  # [B*K, h, w, F]
        size = outputs.shape[1:]
        outputs = tf.reshape(outputs, [-1, num_slots, *size])
        outputs = outputs + shared[:, None]
        features = conv.activation(tf.reshape(outputs, [-1, *size]))
        for conv in self.convs[1:]:
            features = conv(features)
        features = self._pooled(features)
        for layer in self.dense_layers:
            features = layer(features)
        return features

    def _convolve(self, maps, kernel):
        return tf.nn.conv2d(maps, kernel, self.strides, "SAME")

    def _pooled(self, features):
        if self.pool == "global":
            return tf.reduce_mean(features, axis=[1, 2])
        if self.pool > 1:
            features = tf.nn.avg_pool2d(features, self.pool, self.pool, "SAME")
        return tf.reshape(features, [-1, int(np.prod(features.shape[1:]))])

    def flops(self):
        """Floating-point operations per slot, as the papers write it.

        Shared channels count once per slot.
        """
        dense = sum(2 * math.prod(d.kernel.shape) for d in self.dense_layers)
        convs = [
            2 * math.prod(conv.kernel.shape) * pixels
            for conv, pixels in zip(self.convs, self.num_pixels)
        ]
        return dense + sum(convs)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "pool": self.pool,
            "units": self.units,
            "initializer": self.initializer,
            "dense_initializer": self.dense_initializer,
            "code_activation": self.code_activation,
            "shrink": self.shrink,
        }


def area_weights(size, shrink):
    """`[size / shrink, size]`: shares of the pixels in blocks of that side.

    Examples:
        >>> from tfdecomp.layers.encoders.refinement_encoder import area_weights
        >>> area_weights(size=5, shrink=2.5)
        array([[0.4, 0.4, 0.2, 0. , 0. ],
               [0. , 0. , 0.2, 0.4, 0.4]])
    """
    edges = np.arange(round(size / shrink) + 1) * shrink
    pixels = np.arange(size)
    ends = np.minimum(edges[1:, None], pixels + 1)
    begins = np.maximum(edges[:-1, None], pixels)
    return np.maximum(ends - begins, 0) / shrink


def take_channels(kernel, channels):
    """Input channels of `[k, k, I, F]`; a slice, if they are neighbours.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.encoders import refinement_encoder as it
        >>> kernel = tf.zeros([3, 3, 6, 8])
        >>> it.take_channels(kernel, channels=[0, 2]).shape
        TensorShape([3, 3, 2, 8])
    """
    first, count = int(channels[0]), len(channels)
    if list(channels) == list(range(first, first + count)):
        return kernel[:, :, first : first + count]
    return tf.gather(kernel, channels, axis=2)
