"""Tiny IODINEs, their inputs, and a look at what their cells compute."""

import functools

import numpy as np
import tensorflow as tf

from tests.test_case import set_seed
from tfdecomp.layers.decoders.broadcast_decoder import BroadcastDecoder
from tfdecomp.layers.encoders.refinement_encoder import RefinementEncoder
from tfdecomp.models.iodine import IODINE, PICTURE_INPUTS

B, K, R, SIZE, Z, UNITS = 2, 3, 3, 8, 4, 6
# Those of IODINE's appendix C, in its order; PROVIDE's "mirror" them.
INPUTS_OF_THE_TEXT = (
    "frame",
    "means",
    "masks",
    "mask_logits",
    "mask_posterior",
    "mean_gradient",
    "mask_gradient",
    "pixel_likelihood",
    "leave_one_out_likelihood",
    "coordinates",
)
REFERENCE_INPUTS = ("constant", *PICTURE_INPUTS)  # those of the public code
COSINE_INPUTS = (*REFERENCE_INPUTS[:-1], "cosine_coordinates")


def tiny(cls=IODINE, seed=0, filters=(5,), **options):
    """A model of 8x8 pictures, built; every weight is away from zero.

    The start of training has zero biases and plain layer norms, which would
    hide what they do.
    """
    set_seed(seed)
    rule = {"initializer": "truncated_normal"}
    model = cls(
        BroadcastDecoder(
            (SIZE, SIZE),
            filters=filters,
            dense=(),
            mean_activation="linear",
            head_initializer="truncated_normal",
            **rule,
        ),
        RefinementEncoder(
            filters=(5, 6),
            strides=2,
            pool="global",
            units=(7,),
            dense_initializer="truncated_normal",
            **rule,
        ),
        **{
            "image_size": SIZE,
            "num_slots": K,
            "num_refinements": R,
            "latent_dim": Z,
            "units": UNITS,
            "variance": 0.1,
            **options,
        },
    )
    model.build()
    rng = np.random.default_rng(seed)
    model.set_weights(
        [
            np.asarray(w) + 0.1 * rng.standard_normal(w.shape)
            for w in model.weights
        ]
    )
    return model


def video(batch=B, frames=1, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((batch, frames, SIZE, SIZE, 3), np.float32)


def noise(batch=B, frames=1, decodes=R + 1, slots=K, seed=1):
    rng = np.random.default_rng(seed)
    shape = (batch, frames, decodes, slots, Z)
    return rng.standard_normal(shape).astype(np.float32)


def gradients(model, inputs):
    """Of the mean loss, by all trainable variables."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(inputs, training=True)["loss"])
    return tape.gradient(
        loss,
        [v.value for v in model.trainable_variables],
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )


def run(model, **inputs):
    """The outputs of the tiny pictures, whatever else is given."""
    return model({"video": video(), "noise": noise(), **inputs})


@functools.cache
def kept(**options):
    """A model that no test changes for good; each is made once."""
    return tiny(**options)


@functools.cache
def kept_outputs(**options):
    """What such a model says of the tiny pictures."""
    return run(kept(**options))


def loss_gradients(model, **inputs):
    """`gradients` of the tiny pictures."""
    return gradients(model, {"video": video(), "noise": noise(), **inputs})


def loose_cell(slots=K):
    """A cell away from every special value, and lambda."""
    rng = np.random.default_rng(3)
    cell = {
        "frame": tf.constant(video()[:, 0]),
        "noise": tf.constant(noise(slots=slots)[:, 0, 0]),
        "is_first": tf.constant(1.0),
        "variance": tf.constant(0.3),
        "reconstruction_weight": tf.constant(1.0),
        "kl_weight": tf.constant(1.0),
        "entropy_weight": tf.constant(0.0),
        "prior_mean": tf.zeros([B, slots, Z]),
        "prior_log_variance": tf.zeros([B, slots, Z]),
    }
    parameters = rng.standard_normal((B, slots, 2 * Z))
    return cell, tf.constant(parameters, tf.float32)


class Recorder:
    """Keeps what a model's cells read and compute, and counts them."""

    def __init__(self, model, monkeypatch):
        self.decodes = 0
        self.objectives = []  # (terms, mixture, score) of every decode
        self.gradients = []
        self.maps = []
        self.refinements = []  # (arguments, outputs, dL / d lambda)
        self.updates = []  # ((cell, lambda, gradient, code, state), result)
        decode, refine = model.decode_latents, model.refine_cell
        update = model.update

        def decoding(*args, **kwargs):
            self.decodes += 1
            return decode(*args, **kwargs)

        def refining(arguments, saved=None):
            outputs, saved = refine(arguments, saved)
            self.refinements.append((arguments, outputs, saved))
            return outputs, saved

        def updating(*arguments):
            self.updates.append((arguments, update(*arguments)))
            return self.updates[-1][1]

        monkeypatch.setattr(model, "decode_latents", decoding)
        monkeypatch.setattr(model, "refine_cell", refining)
        monkeypatch.setattr(model, "update", updating)
        for name, values in (
            ("objective", self.objectives),
            ("gradients", self.gradients),
            ("slot_maps", self.maps),
        ):
            monkeypatch.setattr(
                model, name, _keeping(getattr(model, name), values)
            )

    @property
    def terms(self):
        return [terms for terms, _, _ in self.objectives]


def _keeping(function, values):
    def wrapped(*args):
        values.append(function(*args))
        return values[-1]

    return wrapped
