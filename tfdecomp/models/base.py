"""What every system shares: the contract and its conveniences."""

import keras
import numpy as np
import tensorflow as tf


class DecompositionModel(keras.Model):
    """Base class of the systems; see `tfdecomp.types.Decomposition`.

    A subclass implements `build` and `call(inputs, training)`, where `inputs`
    is a `tfdecomp.types.Batch`, and returns a `Decomposition` whose `loss`
    `[B]` is what training averages over the batch.

    Attributes:
        scheduled_weights: Names of scalars in `inputs` that stand in for the
            attribute of the same name, so that a schedule can change them
            from step to step.
        background_slot: Slot that is the background, where the model knows;
            the others are then for objects alone.
        cannot_train: Why gradients cannot train the model, and what to do
            instead; None if they can.
        cannot_export: The same of exports.
        config_parts: Names of constructor arguments that are layers.
        config_values: Names of the others; both are attributes, too, and make
            the config unless a subclass writes its own.
        any_size: Whether it takes frames of any size and gives boxes, so that
            it can follow objects through one's own video.
        without_branches: True while a part is traced for a format that has
            straight graphs alone (`exporting.feed_forward`): whatever a
            branch would spare is then computed.
    """

    without_branches = False
    scheduled_weights = ()
    background_slot = None
    any_size = False
    cannot_train = None
    cannot_export = None
    config_parts = ()
    config_values = ()

    def __init__(self, **kwargs):
        # Under a mixed policy Keras would round the input picture before
        # `call`, and the likelihood would score the rounded one.
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)

    def weight(self, inputs, name):
        """The scalar `name`: scheduled in `inputs`, else the attribute."""
        value = inputs.get(name)
        if value is None:
            value = getattr(self, name)
        return tf.cast(value, tf.float32)

    def check_video(self, video):
        """Raises `ValueError` unless `video` is `[B, T, H, W, C]` as built."""
        expected = (*self.image_size, self.channels)
        shape = tuple(video.shape)
        if len(shape) != 5 or shape[2:] != expected:
            raise ValueError(
                f"the model reads videos [B, T, {expected[0]}, {expected[1]}, "
                f"{expected[2]}], got {list(shape)}; resize the frames or "
                "build the model with this image_size"
            )

    def get_config(self):
        parts = {
            name: keras.saving.serialize_keras_object(getattr(self, name))
            for name in self.config_parts
        }
        values = {name: getattr(self, name) for name in self.config_values}
        return {**super().get_config(), **parts, **values}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in cls.config_parts:
            if name not in config:  # an option that came later
                continue
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)


def clip_seeds(inputs) -> tf.Tensor:
    """The seeds `[B, 2]` of a batch; 0, 1, 2, ... where none are given."""
    seeds = inputs.get("seed")
    if seeds is None:
        count = tf.range(tf.shape(inputs["video"])[0])
        seeds = tf.stack([tf.zeros_like(count), count], axis=-1)
    return tf.cast(seeds, tf.int32)


def as_float(video) -> tf.Tensor:
    """uint8 `0...255` or floating point -> float32, without a gradient."""
    if video.dtype == tf.uint8:
        return tf.cast(video, tf.float32) * np.float32(1.0 / 255.0)
    return tf.stop_gradient(tf.cast(video, tf.float32))


def without_gradient(video) -> tf.Tensor:
    """`video` as uint8 or float32; neither passes a gradient back."""
    video = tf.convert_to_tensor(video)
    return video if video.dtype == tf.uint8 else as_float(video)
