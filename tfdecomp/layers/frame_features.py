"""Optional convolutional features of the frame."""

import gin
import keras
import numpy as np
import tensorflow as tf

from tfdecomp.layers.conv import Conv2D


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class FrameFeatures(keras.layers.Layer):
    """The first stages of SqueezeNet 1.1, then three convolutions.

    Nearest resize to 4 H + 1, a stride-2 convolution, max-pooling, two fire
    modules, and 3x3 convolutions down to `channels` at the frame's own size.
    Everything is trained, from random values unless a user loads others.

    Args:
        channels: Features per pixel.
        half_pixel_centers: Whether the resize takes, for pixel i, that below
            its centre, `floor((i + 1/2) in / out)`; else that below its edge,
            `floor(i in / out)`, as PROVIDE's published code does.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        frame: `[B, H, W, C]` in `[0, 1]`.

    Returns:
        `[B, H, W, channels]`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.frame_features import FrameFeatures
        >>> FrameFeatures(channels=16)(tf.zeros([1, 4, 6, 3])).shape
        TensorShape([1, 4, 6, 16])

    References:
        Iandola et al., SqueezeNet (2016); PROVIDE's published code.
    """

    def __init__(self, channels=16, half_pixel_centers=True, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels
        self.half_pixel_centers = half_pixel_centers
        dtype = self.dtype_policy
        self.stem = Conv2D(
            64,
            3,
            strides=2,
            padding="valid",
            activation="relu",
            dtype=dtype,
            name="stem",
        )
        self.fires = [Fire(16, dtype=dtype, name=f"fire_{i}") for i in (0, 1)]
        self.convs = [
            Conv2D(width, 3, activation="elu", dtype=dtype, name=f"conv_{i}")
            for i, width in enumerate((64, 32, channels))
        ]

    def build(self, frame_shape):
        self.stem.build((None, None, None, frame_shape[-1]))
        width = 64
        for layer in [*self.fires, *self.convs]:
            layer.build((None, None, None, width))
            width = layer.width if isinstance(layer, Fire) else layer.filters

    def call(self, frame):
        height, width = frame.shape[1:3]
        size = (4 * height + 1, 4 * width + 1)
        features = self.stem(self._resized(frame, size))
        # A window that starts inside may end outside, on the last row: 2 H
        # rows shrink to H.
        features = tf.nn.max_pool2d(features, 3, 2, "SAME")
        for layer in [*self.fires, *self.convs]:
            features = layer(features)
        return features

    def _resized(self, frame, size):
        if self.half_pixel_centers:
            return tf.image.resize(frame, size, method="nearest")
        for axis, out in enumerate(size, start=1):
            below = np.arange(out) * frame.shape[axis] // out
            frame = tf.gather(frame, below, axis=axis)
        return frame

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "half_pixel_centers": self.half_pixel_centers,
        }


@keras.saving.register_keras_serializable(package="tfdecomp")
class Fire(keras.layers.Layer):
    """SqueezeNet's module: squeeze 1x1, then expand 1x1 and 3x3.

    Args:
        squeeze: Width of the squeezing convolution.
        expand: Width of each of the two expanding ones.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: `[B, H, W, C]`.

    Returns:
        `[B, H, W, 2 expand]`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.frame_features import Fire
        >>> Fire(squeeze=4, expand=8)(tf.zeros([1, 4, 6, 3])).shape
        TensorShape([1, 4, 6, 16])
    """

    def __init__(self, squeeze, expand=64, **kwargs):
        super().__init__(**kwargs)
        self.squeeze = squeeze
        self.expand = expand
        options = {"activation": "relu", "dtype": self.dtype_policy}
        self.narrow = Conv2D(squeeze, 1, name="squeeze", **options)
        self.wide = [
            Conv2D(expand, side, name=f"expand_{side}x{side}", **options)
            for side in (1, 3)
        ]

    @property
    def width(self):
        """Channels that come out."""
        return 2 * self.expand

    def build(self, inputs_shape):
        self.narrow.build(inputs_shape)
        for conv in self.wide:
            conv.build((*inputs_shape[:-1], self.squeeze))

    def call(self, inputs):
        narrow = self.narrow(inputs)
        return tf.concat([conv(narrow) for conv in self.wide], axis=-1)

    def get_config(self):
        return {
            **super().get_config(),
            "squeeze": self.squeeze,
            "expand": self.expand,
        }
