"""Small models to export."""

import keras
import tensorflow as tf

from tfdecomp.layers.broadcast_decoder import BroadcastDecoder
from tfdecomp.layers.refinement_encoder import RefinementEncoder
from tfdecomp.models import base
from tfdecomp.models.provide import PROVIDE
from tfdecomp.storage import saving

SIZE = 16
NUM_SLOTS = 3
NUM_REFINEMENTS = 3


def tiny_provide(**options):
    """A PROVIDE with weights large enough that all its parts matter."""
    keras.utils.set_random_seed(5)
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
