"""A model and a dataset that obey the contract and cost nothing.

Run as a program, it trains itself: `tiny_model.py WORKDIR [--steps=N]
[--devices=N] [--seed=N] [BINDING ...]`.
"""

import os
import signal
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import gin
import keras
import numpy as np
import tensorflow as tf

from tfdecomp import training
from tfdecomp.models import base
from tfdecomp.storage import configs

SIZE = 6
press_at = None  # reading this clip presses Ctrl-C, once


@gin.register(module="tests")
@keras.saving.register_keras_serializable(package="tfdecomp_tests")
class TinySlots(base.DecompositionModel):
    """Slots with a noisy colour each, mixed by the pixel's colour."""

    scheduled_weights = ("kl_weight", "reconstruction_weight")

    def __init__(self, num_slots=2, kl_weight=0.1, **kwargs):
        super().__init__(**kwargs)
        self.num_slots = num_slots
        self.kl_weight = kl_weight
        self.reconstruction_weight = 1.0
        self.image_size = (SIZE, SIZE)
        self.channels = 3
        self.encoder = keras.layers.Dense(8, activation="tanh")
        self.head = keras.layers.Dense(4 * num_slots)

    def build(self, input_shape):
        del input_shape
        self.encoder.build((None, SIZE * SIZE * 3))
        self.head.build((None, 8))
        self.built = True

    def call(self, inputs, training=False):
        video = base.as_float(inputs["video"])
        seeds = base.clip_seeds(inputs)
        batch, frames = tf.shape(video)[0], tf.shape(video)[1]
        flat = tf.reshape(video, [-1, SIZE * SIZE * 3])
        slots = tf.reshape(
            self.head(self.encoder(flat)), [batch, frames, self.num_slots, 4]
        )
        noise = tf.map_fn(
            lambda s: tf.random.stateless_normal([1, self.num_slots, 4], s),
            seeds,
            fn_output_signature=tf.float32,
        )
        slots += 0.01 * noise
        colours = slots[:, :, :, None, None, :3]
        distance = tf.reduce_sum((video[:, :, None] - colours) ** 2, -1)
        masks = tf.nn.softmax(-10.0 * distance, axis=2)[..., None]
        recon = tf.reduce_sum(masks * colours, axis=2)
        nll = tf.reduce_sum((video - recon) ** 2, [2, 3, 4])  # [B, T]
        kl = 0.5 * tf.reduce_sum(slots**2, [1, 2, 3])
        weight = self.weight(inputs, "reconstruction_weight")
        loss = weight * tf.reduce_sum(nll, 1)
        loss += self.weight(inputs, "kl_weight") * kl
        return {
            "recon": recon,
            "masks": masks,
            "slots": slots,
            "loss": loss,
            "nll": tf.reduce_sum(nll, 1),
            "nll_last_frame": nll[:, -1],
            "kl": kl,
        }

    def get_config(self):
        return {
            **super().get_config(),
            "num_slots": self.num_slots,
            "kl_weight": self.kl_weight,
        }


def clip(index, seed, num_frames):
    """Clip number `index` of a stream, as a function of both numbers."""
    global press_at
    if press_at is not None and index >= press_at:
        press_at = None
        signal.raise_signal(signal.SIGINT)
    rng = np.random.default_rng([int(seed), int(index)])
    return rng.random((int(num_frames), SIZE, SIZE, 3)).astype(np.float32)


@gin.configurable(module="tests")
def tiny_dataset(batch_size, num_frames, seed, start, bad_clips=()):
    """An endless stream; the clips numbered in `bad_clips` are NaN."""

    def load(index):
        video = tf.numpy_function(clip, [index, seed, num_frames], tf.float32)
        bad = tf.reduce_any(index == tf.constant(bad_clips or [-1], tf.int64))
        video = tf.where(bad, tf.fill(tf.shape(video), np.nan), video)
        shape = [num_frames, SIZE, SIZE, 3]
        return {
            "video": tf.ensure_shape(video, shape),
            "clip_index": index,
        }

    numbers = tf.data.Dataset.counter(tf.constant(start, tf.int64))
    return numbers.map(load).batch(batch_size, drop_remainder=True)


BINDINGS = (
    "training.run.model = @tests.TinySlots()",
    "training.run.dataset = @tests.tiny_dataset",
    "training.run.optimizer = @training.Adam()",
    "training.Adam.learning_rate = 0.01",
    "training.run.batch_size = 4",
    "training.run.num_steps = 40",
    "training.run.log_every = 5",
    "training.run.checkpoint_every = 10",
    "training.run.clip_lengths = ((0, 1), (20, 2))",
)
# For a run of which the length of clips is not what is looked at.
ONE_GRAPH = "training.run.clip_lengths = ((0, 1),)"


def parse(*bindings):
    """Activates the tiny config."""
    configs.parse([], [*BINDINGS, *bindings])


if __name__ == "__main__":
    _, folder, *lines = sys.argv
    flags = dict(a[2:].split("=") for a in lines if a.startswith("--"))
    lines = [a for a in lines if not a.startswith("--")]
    count = int(flags.get("devices", 1))
    if count > 1:
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * count,
        )
    parse(*lines)
    training.run(
        folder,
        seed=int(flags.get("seed", 0)),
        devices=[f"CPU:{i}" for i in range(count)],
    )
