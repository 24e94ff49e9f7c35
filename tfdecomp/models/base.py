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
        """Raises `ValueError` unless `video` is one that the model reads.

        That is `[B, T, H, W, C]` with a frame, uint8 or floating point, and
        of the size that the model was built for, or of any known one.
        """
        shape, kind = tuple(video.shape), tf.as_dtype(video.dtype)
        size = shape[2:4] if self.any_size else self.image_size
        if None in size or shape[2:] != (*size, self.channels):
            raise ValueError(self._asked_of(shape))
        if shape[1] == 0:
            raise ValueError(
                f"a video has at least one frame, got {list(shape)}; leave "
                "empty ones out"
            )
        if kind != tf.uint8 and not kind.is_floating:
            raise ValueError(
                "the pixels of a video are uint8 from 0 to 255 or floating "
                f"point from 0 to 1, got {kind.name}; convert them, such as "
                "with astype('uint8')"
            )

    def _asked_of(self, shape):
        """What to do about a video of another shape."""
        size = ("H", "W") if self.any_size else self.image_size
        if self.any_size:
            advice = "give all frames one size and these channels"
        else:
            advice = "resize the frames or build the model with this image_size"
        return (
            f"the model reads videos [B, T, {size[0]}, {size[1]}, "
            f"{self.channels}], got {list(shape)}; {advice}"
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


class Predicting:
    """What a model has that continues videos by `predict_frames`."""

    def rollout(self, inputs, num_frames, **options):
        """Predicts the frames that follow `inputs["video"]`.

        Args:
            inputs: As for `call`; the context.
            num_frames: Number of frames to predict.
            **options: See `predict_frames`.

        Returns:
            A `Decomposition` of the predicted frames alone.
        """
        state = self(inputs)["state"]
        return self.predict_frames(
            state, clip_seeds(inputs), num_frames, **options
        )


def check_sweep(slot, dims, num_slots, num_latents) -> list[int]:
    """What a traversal sweeps, if the model has it.

    Args:
        slot: The slot.
        dims: Latent dimensions; None for all of them.
        num_slots: Slots are numbered from 0 to below it.
        num_latents: Latent dimensions likewise.

    Returns:
        The dimensions.

    Raises:
        ValueError: If there is no such slot or latent.
    """
    if not 0 <= slot < num_slots:
        raise ValueError(
            f"the slots have the numbers 0...{num_slots - 1}, got {slot}; "
            "choose one of them"
        )
    dims = [int(d) for d in (range(num_latents) if dims is None else dims)]
    for dim in dims:
        if not 0 <= dim < num_latents:
            raise ValueError(
                "the latents of a slot have the numbers 0..."
                f"{num_latents - 1}, got {dim}; leave dims out for all of them"
            )
    return dims


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
