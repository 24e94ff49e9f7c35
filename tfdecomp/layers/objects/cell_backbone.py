"""From a frame of any size to a grid of cells."""

import gin
import keras
import numpy as np
import tensorflow as tf

from tfdecomp.layers.conv import Conv2D


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class CellBackbone(keras.layers.Layer):
    """Convolutions without padding on a frame with a black margin.

    Every cell sees the same number of pixels around it, so features move
    with the picture: by a cell for every `cell` pixels.

    Args:
        kernels: Sides of the kernels; 1x1 ones follow.
        strides: Their strides.
        filters: Width of the hidden layers.
        num_pointwise: Hidden 1x1 convolutions.
        features: Width of the output, which is linear.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        frames: `[N, H, W, C]` of known size.

    Returns:
        `[N, Hg, Wg, features]`, float32; `Hg = ceil(H / cell)`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.objects.cell_backbone import CellBackbone
        >>> backbone = CellBackbone(filters=8)
        >>> backbone.cell, backbone(tf.zeros([1, 48, 36, 3])).shape
        (12, TensorShape([1, 4, 3, 64]))

    References:
        Crawford and Pineau, SILOT. AAAI 2020, supplement E.1.
    """

    def __init__(
        self,
        kernels=(4, 4, 4),
        strides=(3, 2, 2),
        filters=128,
        num_pointwise=2,
        features=64,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.kernels = tuple(kernels)
        self.strides = tuple(strides)
        self.filters = filters
        self.num_pointwise = num_pointwise
        self.features = features
        if len(self.kernels) != len(self.strides):
            raise ValueError(
                f"every kernel needs a stride, got {len(self.kernels)} kernels "
                f"and {len(self.strides)} strides"
            )
        self.cell = 1
        self.field = 1  # pixels that a cell sees
        for side, stride in zip(self.kernels, self.strides):
            self.field += (side - 1) * self.cell
            self.cell *= stride
        options = {
            "padding": "valid",
            "kernel_initializer": "glorot_uniform",
            "bias": "zeros",
            "dtype": self.dtype_policy,
        }
        self.convs = [
            Conv2D(
                filters,
                side,
                strides=stride,
                activation="relu",
                name=f"conv_{i}",
                **options,
            )
            for i, (side, stride) in enumerate(zip(self.kernels, self.strides))
        ]
        self.convs += [
            Conv2D(
                filters, 1, activation="relu", name=f"pointwise_{i}", **options
            )
            for i in range(num_pointwise)
        ]
        self.convs.append(Conv2D(features, 1, name="features", **options))

    def build(self, frames_shape):
        width = frames_shape[-1]
        for conv in self.convs:
            conv.build((None, None, None, width))
            width = conv.filters
        self.built = True

    def grid(self, image_size):
        """`(Hg, Wg)` of a frame of this size."""
        return tuple(-(-length // self.cell) for length in image_size)

    def places(self, image_size, anchor):
        """Centres of the cells of a frame in anchors, `[1, Hg Wg, 2]`."""
        grid = map(np.arange, self.grid(image_size))
        rows, columns = np.meshgrid(*grid, indexing="ij")
        centres = np.stack([rows.ravel(), columns.ravel()], axis=-1) + 0.5
        centres = centres * self.cell / np.array(anchor)
        return tf.constant(centres[None], tf.float32)

    def margins(self, image_size):
        """Black pixels `(before, after)` on either axis."""
        before = self.field // 2 - self.cell // 2
        return [
            (before, self.field + self.cell * (count - 1) - length - before)
            for length, count in zip(image_size, self.grid(image_size))
        ]

    def call(self, frames):
        around = self.margins(frames.shape[1:3])
        features = tf.cast(frames, self.compute_dtype)
        # A small frame may end before the last cell's field does; a large
        # margin may be negative where strides leave pixels over.
        features = tf.pad(
            features, [(0, 0), *((b, max(a, 0)) for b, a in around), (0, 0)]
        )
        for conv in self.convs:
            features = conv(features)
        return tf.cast(features, tf.float32)

    def compute_output_shape(self, frames_shape):
        grid = self.grid(frames_shape[1:3])
        return (frames_shape[0], *grid, self.features)

    def get_config(self):
        return {
            **super().get_config(),
            "kernels": self.kernels,
            "strides": self.strides,
            "filters": self.filters,
            "num_pointwise": self.num_pointwise,
            "features": self.features,
        }
