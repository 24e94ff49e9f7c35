"""Small models to export."""

import tensorflow as tf

from tests.test_case import set_seed
from tfdecomp.layers.decoders.broadcast_decoder import BroadcastDecoder
from tfdecomp.layers.encoders.refinement_encoder import RefinementEncoder
from tfdecomp.models import base
from tfdecomp.models.provide import PROVIDE
from tfdecomp.storage import saving

SIZE = 16
NUM_SLOTS = 3
NUM_REFINEMENTS = 3


def tiny_provide(**options):
    """A PROVIDE with weights large enough that all its parts matter."""
    set_seed(5)
    model = PROVIDE(
        BroadcastDecoder((SIZE, SIZE), filters=(8, 8), dense=(8,)),
        RefinementEncoder(filters=(8, 8), units=(12,)),
        image_size=SIZE,
        latent_dim=4,
        units=12,
        num_slots=NUM_SLOTS,
        num_refinements=NUM_REFINEMENTS,
        **options,
    )
    return saving.build(model)


class Silhouettes(base.DecompositionModel):
    """Light and dark: a model with neither slots to choose nor a state."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.image_size = (4, 4)
        self.channels = 1
        self.threshold = self.add_weight(shape=(), initializer="zeros")
        self.built = True

    def call(self, inputs, training=False):
        del training
        video = base.as_float(inputs["video"])
        light = tf.sigmoid(video - self.threshold)
        masks = tf.stack([light, 1.0 - light], axis=2)
        return {"masks": masks, "presence": tf.reduce_max(masks, [3, 4, 5])}


class Levels(Silhouettes):
    """Slots are levels of brightness: has all signatures, and costs nothing.

    A clip's seed and what came before it are in its slots.
    """

    num_slots = 3

    def call(self, inputs, training=False, num_slots=None):
        del training
        video = base.as_float(inputs["video"])
        encoded = self.encode(inputs, num_slots)
        masks = self._masks(video, num_slots)
        last = tf.reduce_mean(video[:, -1], axis=[1, 2])
        return {"masks": masks, **encoded, "state": {"last": last}}

    def encode(self, inputs, num_slots=None):
        video = base.as_float(inputs["video"])
        masks = self._masks(video, num_slots)
        slots = tf.reduce_sum(masks * video[:, :, None], axis=[3, 4])
        seed = base.clip_seeds(inputs)[:, 1] % 7
        slots += tf.cast(seed, tf.float32)[:, None, None, None]
        if "state" in inputs:
            slots += inputs["state"]["last"][:, None, None]
        return {"slots": slots}

    def decode(self, slots):
        recon = tf.reduce_mean(slots, axis=1)[:, None, None]
        return {"recon": tf.tile(recon, [1, *self.image_size, 1])}

    def predict_frames(self, state, seed, num_frames):
        del seed
        recon = state["last"][:, None, None, None]
        return {"recon": tf.tile(recon, [1, num_frames, *self.image_size, 1])}

    def _masks(self, video, num_slots):
        count = self.num_slots if num_slots is None else num_slots
        levels = tf.linspace(0.0, 1.0, count)[:, None, None, None]
        near = tf.exp(-((video[:, :, None] - levels) ** 2))
        return near / tf.reduce_sum(near, axis=2, keepdims=True)
