"""The DCGAN generator: one vector up to a frame by transposed convolutions."""

import math

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.batch_norm import BatchNorm
from tfdecomp.layers.conv import Dense
from tfdecomp.layers.encoders.frame_encoder import GRID, check_doublings
from tfdecomp.ops import transposed

_ACTIVATIONS = ("sigmoid", "relu", "linear")


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class FrameGenerator(keras.layers.Layer):
    """Latents -> frame: (transposed convolution, batch norm, ReLU) n times.

    Args:
        image_size: `(H, W)`, 4 times 2 to the number of `filters`.
        filters: Widths of the 4x4 transposed convolutions but the last; the
            first makes a 4x4 map of a vector, each of the others doubles it.
        channels: Colour channels, `C`.
        output_activation: `"sigmoid"`, `"relu"` or `"linear"`.
        output_bias: Start of the last layer's bias.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        latents: `[N, Z]`.
        training: Whether in training mode.

    Returns:
        Mean frames `[N, H, W, C]`, float32.

    Raises:
        ValueError: If sizes do not fit or the activation is unknown.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.frame_generator import FrameGenerator
        >>> generator = FrameGenerator(image_size=(16, 16), filters=(8, 8))
        >>> generator(tf.zeros([2, 32])).shape
        TensorShape([2, 16, 16, 3])

    References:
        Whitney and Fergus, Disentangling Video with Independent Prediction.
        2019, appendix. Radford et al., DCGAN. ICLR 2016.
    """

    def __init__(
        self,
        image_size=(64, 64),
        filters=(512, 256, 128, 64),
        channels=3,
        output_activation="sigmoid",
        output_bias=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_size = tuple(image_size)
        self.filters = tuple(filters)
        self.channels = channels
        self.output_activation = output_activation
        self.output_bias = output_bias
        check_doublings(self.image_size, self.filters)
        if output_activation not in _ACTIVATIONS:
            raise ValueError(
                f"output_activation must be one of {_ACTIVATIONS}, got "
                f"{output_activation!r}"
            )
        options = {"dtype": self.dtype_policy}
        self.deconvs = [
            keras.layers.Conv2DTranspose(
                width,
                GRID,
                strides=1 if i == 0 else 2,
                padding="valid" if i == 0 else "same",
                name=f"deconv_{i}",
                **options,
            )
            for i, width in enumerate((*self.filters, channels))
        ]
        self.deconvs[-1].bias_initializer = keras.initializers.Constant(
            output_bias
        )
        self.norms = [
            BatchNorm(name=f"norm_{i}", **options)
            for i in range(len(self.filters))
        ]

    def build(self, latents_shape):
        size = latents_shape[-1]
        self.dense = Dense(
            size,
            kernel_initializer="glorot_uniform",
            bias="zeros",
            dtype=self.dtype_policy,
            name="dense",
        )
        self.dense.build(latents_shape)
        self.frame_flops = 2 * math.prod(self.dense.kernel.shape)
        shape = (None, 1, 1, size)
        for deconv, norm in zip(self.deconvs, [*self.norms, None]):
            deconv.build(shape)
            # Each pixel that is read meets the whole kernel.
            self.frame_flops += (
                2 * shape[1] * shape[2] * math.prod(deconv.kernel.shape)
            )
            shape = deconv.compute_output_shape(shape)
            if norm is not None:
                norm.build(shape)
        self.built = True

    def call(self, latents, training=False):
        latents = tf.cast(latents, self.compute_dtype)
        features = tf.nn.relu(self.dense(latents))[:, None, None]
        for i, norm in enumerate(self.norms):
            features = norm(self._enlarge(i, features), training=training)
            features = tf.nn.relu(features)
        features = self._enlarge(len(self.norms), features)
        frames = tf.cast(features, tf.float32)
        if self.output_activation == "sigmoid":
            return tf.sigmoid(frames)
        if self.output_activation == "relu":
            return tf.nn.relu(frames)
        return frames

    def _enlarge(self, i, features):
        """The i-th transposed convolution, by the fastest way on a CPU."""
        deconv = self.deconvs[i]
        if 0 < i < len(self.norms):
            return deconv(features)
        kernel = tf.convert_to_tensor(deconv.kernel)
        if i > 0:
            return tf.nn.bias_add(
                transposed.double(features, kernel), deconv.bias
            )
        # At 1x1, without padding, it is a product of matrices.
        rows = tf.reshape(kernel, [-1, kernel.shape[-1]])
        features = tf.matmul(features[:, 0, 0], rows, transpose_b=True)
        features = tf.reshape(features, [-1, *kernel.shape[:3]])
        return tf.nn.bias_add(features, deconv.bias)

    def compute_output_shape(self, latents_shape):
        return (latents_shape[0], *self.image_size, self.channels)

    def get_config(self):
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "filters": self.filters,
            "channels": self.channels,
            "output_activation": self.output_activation,
            "output_bias": self.output_bias,
        }
