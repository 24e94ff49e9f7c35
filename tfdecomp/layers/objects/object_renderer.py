"""From objects to a frame."""

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.mlp import MLP
from tfdecomp.ops import compositing, object_record

IMPORTANCE_FLOOR = 0.01


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class ObjectRenderer(keras.layers.Layer):
    """Draws objects from what they look like, how near and how present.

        beta = sigmoid(color_scale l_color + color_bias)
        alpha = presence sigmoid(alpha_scale l_alpha + alpha_bias)
        I = max(alpha depth / temperature, 0.01)

    and then `ops.compositing`.

    Args:
        sprite_size: Side of a sprite in pixels, `G`.
        channels: Colour channels, `C`.
        hidden: Hidden widths of the network that draws sprites.
        color_scale: Of the logits of colour.
        color_bias: Added to them.
        alpha_scale: Of the logits of opacity.
        alpha_bias: Added to them.
        temperature: lambda, how sharply near objects hide far ones.
        composition: `"linear"`: weights are I; `"softmax"`: their
            exponentials (see `ops.compositing`).
        chunk_size: Objects drawn at a time.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        objects: `what` `[N, K, A]`, `depth` and `presence` `[N, K, 1]` and
            `boxes` `[N, K, 4]`, `(y, x, h, w)` in pixels.
        background: `[N, H, W, C]`.
        largest: See `ops.compositing.compose`.

    Returns:
        `[N, H, W, C]`, float32.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.objects.object_renderer import ObjectRenderer
        >>> objects = {"what": tf.zeros([1, 5, 8]), "depth": tf.ones([1, 5, 1])}
        >>> objects["presence"] = tf.ones([1, 5, 1])
        >>> objects["boxes"] = tf.fill([1, 5, 4], 8.0)
        >>> ObjectRenderer()(objects, background=tf.zeros([1, 16, 16, 3])).shape
        TensorShape([1, 16, 16, 3])

    References:
        Crawford and Pineau, SILOT. AAAI 2020, supplement A.2.
    """

    def __init__(
        self,
        sprite_size=14,
        channels=3,
        hidden=(128, 256),
        color_scale=2.0,
        color_bias=0.0,
        alpha_scale=0.1,
        alpha_bias=5.0,
        temperature=0.25,
        composition="linear",
        chunk_size=8,
        **kwargs,
    ):
        # Places and likelihoods are float32 under any policy.
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        if composition not in compositing.COMPOSITIONS:
            raise ValueError(
                f"composition must be one of {compositing.COMPOSITIONS}, got "
                f"{composition!r}"
            )
        self.sprite_size = sprite_size
        self.channels = channels
        self.hidden = tuple(hidden)
        self.color_scale = color_scale
        self.color_bias = color_bias
        self.alpha_scale = alpha_scale
        self.alpha_bias = alpha_bias
        self.temperature = temperature
        self.composition = composition
        self.chunk_size = chunk_size
        self.network = MLP(
            self.hidden,
            sprite_size**2 * (channels + 1),
            dtype=self.dtype_policy,
            name="network",
        )

    def build(self, objects_shape):
        self.network.build((None, objects_shape["what"][-1]))
        self.built = True

    def call(self, objects, background, largest=None):
        return compositing.compose(
            *self.sprites(objects),
            objects["boxes"],
            background,
            composition=self.composition,
            temperature=self.temperature,
            chunk_size=self.chunk_size,
            largest=largest,
        )

    def shares(self, objects, image_size):
        """See `ops.compositing.object_shares`."""
        return compositing.object_shares(
            *self.sprites(objects),
            objects["boxes"],
            image_size,
            composition=self.composition,
            temperature=self.temperature,
        )

    def sprites(self, objects):
        """Colours, opacities and importances on the sprites' own pixels.

        Returns:
            `[N, K, G, G, C]`, `[N, K, G, G]` and `[N, K, G, G]`.
        """
        logits = tf.cast(self.network(objects["what"]), tf.float32)
        side = self.sprite_size
        shape = [side, side, self.channels + 1]
        logits = tf.reshape(
            logits, tf.concat([tf.shape(logits)[:2], shape], axis=0)
        )
        color, opacity = tf.split(logits, [self.channels, 1], axis=-1)
        color = object_record.squash(self.color_scale * color + self.color_bias)
        opacity = object_record.squash(
            self.alpha_scale * opacity[..., 0] + self.alpha_bias
        )
        alpha = opacity * objects["presence"][..., None]
        importance = alpha * objects["depth"][..., None]
        if self.composition == "linear":
            importance = tf.maximum(
                importance / self.temperature, IMPORTANCE_FLOOR
            )
        return color, alpha, importance

    def get_config(self):
        return {
            **super().get_config(),
            "sprite_size": self.sprite_size,
            "channels": self.channels,
            "hidden": self.hidden,
            "color_scale": self.color_scale,
            "color_bias": self.color_bias,
            "alpha_scale": self.alpha_scale,
            "alpha_bias": self.alpha_bias,
            "temperature": self.temperature,
            "composition": self.composition,
            "chunk_size": self.chunk_size,
        }
