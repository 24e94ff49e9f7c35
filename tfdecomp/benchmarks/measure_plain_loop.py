"""Measures DVIP's training step against a plain loop over its frames.

The rival is the model as one would write it down: Keras' own layers, encoder
and generator called frame by frame, one small network for each factor, called
one after the other, and a Python loop over time; a single `tf.function`
holds all of it. Weights are the same at the start, and both take steps of the
same optimizer on the same clips. In training, batch norm sees one frame of
all clips there and all frames here, so only evaluation gives equal losses.
"""

import math
import time

import keras
import numpy as np
import tensorflow as tf

from tfdecomp.benchmarks.measure import (
    compiled_step,
    in_turn,
    peak_bytes,
    random_batch,
)
from tfdecomp.models.base import as_float
from tfdecomp.models.dvip import DVIP
from tfdecomp.training import settings as settings_lib

_SLOPE = 0.01  # of the leaky ReLU


class PlainLoop(keras.Model):
    """DVIP's loss, frame by frame and factor by factor.

    Args:
        model: The `DVIP` whose sizes are taken.

    Call arguments:
        video: `[B, T, H, W, C]` float32 with a fixed number of frames.
        noise: `[B, T, Z]`.
        training: Whether in training mode.

    Returns:
        `[B]`, the loss.
    """

    def __init__(self, model):
        super().__init__()
        self.variance = model.variance
        self.num_factors, self.dim = model.latent_shape
        size = model.latent_dim
        self.encoder = _encoder(model.encoder)
        self.generator = _generator(model.generator, size)
        dynamics = model.dynamics
        self.networks = [
            keras.Sequential(
                [
                    *(
                        keras.layers.Dense(dynamics.units, "selu")
                        for _ in range(dynamics.depth)
                    ),
                    keras.layers.Dense(
                        2 * self.dim, dynamics.output_activation
                    ),
                ]
            )
            for _ in range(self.num_factors)
        ]
        head = model.head
        self.readers = [keras.layers.Dense(size) for _ in head.readers]
        self.is_leaky = head.output_activation == "leaky_relu"
        self.mix = keras.layers.Dense(size)
        self.mean = keras.layers.Dense(size)
        self.log_variance = keras.layers.Dense(size)
        self.leaky = keras.layers.LeakyReLU(_SLOPE)

    def call(self, video, noise, training=False):
        mean = log_variance = tf.zeros_like(noise[:, 0])
        losses = []
        for t in range(video.shape[1]):
            features = self.encoder(video[:, t], training=training)
            q_mean, q_log_variance = self._posterior(
                features, mean, log_variance
            )
            latents = q_mean + tf.exp(0.5 * q_log_variance) * noise[:, t]
            recon = self.generator(latents, training=training)
            kl = 0.5 * tf.reduce_sum(
                tf.exp(q_log_variance - log_variance)
                + tf.square(q_mean - mean) * tf.exp(-log_variance)
                - 1.0
                + log_variance
                - q_log_variance,
                axis=1,
            )
            error = tf.square(video[:, t] - recon) / self.variance
            error += math.log(2.0 * math.pi * self.variance)
            losses.append(kl + 0.5 * tf.reduce_sum(error, [1, 2, 3]))
            mean, log_variance = self._transition(latents)
        return tf.add_n(losses) / len(losses)

    def _posterior(self, features, mean, log_variance):
        inputs = (
            features,
            tf.stop_gradient(mean),
            tf.stop_gradient(log_variance),
        )
        read = [
            self.leaky(layer(value))
            for layer, value in zip(self.readers, inputs)
        ]
        read += inputs[len(read) :]
        hidden = self.leaky(self.mix(tf.concat(read, 1)))
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        if self.is_leaky:
            mean, log_variance = self.leaky(mean), self.leaky(log_variance)
        return mean, _clamp(log_variance)

    def _transition(self, latents):
        means, log_variances = [], []
        for i, network in enumerate(self.networks):
            factor = latents[:, i * self.dim : (i + 1) * self.dim]
            mean, log_variance = tf.split(network(factor), 2, axis=1)
            means.append(mean)
            log_variances.append(_clamp(log_variance))
        return tf.concat(means, 1), tf.concat(log_variances, 1)

    def take_weights(self, model):
        """Sets all weights to those of the `DVIP`; both must be built."""
        _copy(self.encoder, model.encoder)
        _copy(self.generator, model.generator)
        for i, network in enumerate(self.networks):
            stacked = zip(model.dynamics.kernels, model.dynamics.biases)
            network.set_weights(
                [np.asarray(w)[i] for pair in stacked for w in pair]
            )
        head = model.head
        for own, other in zip(self.readers, head.readers):
            own.set_weights(other.get_weights())
        for name in ("mix", "mean", "log_variance"):
            getattr(self, name).set_weights(getattr(head, name).get_weights())


def compare(num_frames=None, repeats=3, seed=0):
    """Times training steps of the active config and those of the plain loop.

    The two run in turn, so that other work on the machine slows both.

    Args:
        num_frames: Frames per clip; by default what the run starts with.
        repeats: Timed steps of each; the best counts.
        seed: Seed of weights, clips and noise.

    Returns:
        A dictionary, JSON-safe: `frames_per_second` and
        `plain_frames_per_second` in training, `ratio` of the two,
        `median_ratio`; `min_seconds` and `median_seconds` of a step and
        `first_step_seconds` to the end of the first one, each of `ours` and
        `plain`; `loss_difference` of the two in evaluation (relative); sizes,
        and the process' `peak_bytes`.

    Raises:
        ValueError: If the config's model is no DVIP.
    """
    keras.utils.set_random_seed(seed)
    settings = settings_lib.build_settings()
    model = settings.model
    if not isinstance(model, DVIP):
        raise ValueError(
            f"the plain loop is one of DVIP, but the config trains "
            f"{type(model).__name__}; give --gin_file=gin/dvip.gin"
        )
    num_frames = num_frames or settings.frames_at(0)
    batch = random_batch(model, settings.batch_size, num_frames, seed)
    inputs = {"video": tf.constant(batch["video"])}
    noise = _noise(model, inputs)
    plain = PlainLoop(model)
    difference = _difference(model, plain, inputs, noise)
    first = {}
    runs = {
        "ours": compiled_step(
            model, lambda: model(inputs, training=True)["loss"]
        ),
        "plain": compiled_step(
            plain,
            lambda: plain(as_float(inputs["video"]), noise, training=True),
        ),
    }
    for name, run in runs.items():
        begin = time.perf_counter()
        run()
        first[name] = time.perf_counter() - begin
    best, median = in_turn(runs, repeats)
    frames = settings.batch_size * num_frames
    return {
        "frames_per_second": frames / best["ours"],
        "plain_frames_per_second": frames / best["plain"],
        "ratio": best["plain"] / best["ours"],
        "median_ratio": median["plain"] / median["ours"],
        "min_seconds": best,
        "median_seconds": median,
        "first_step_seconds": first,
        "loss_difference": difference,
        "parameters": model.count_params(),
        "num_factors": model.latent_shape[0],
        "batch_size": settings.batch_size,
        "num_frames": num_frames,
        "image_size": list(model.image_size),
        "peak_bytes": peak_bytes(),
    }


def _noise(model, inputs):
    """The noise that the model draws for these clips, `[B, T, Z]`."""
    shape = inputs["video"].shape[:2]
    features = tf.zeros([*shape, model.encoder.features])
    records, _ = model.filter(inputs, features)
    scale = tf.exp(0.5 * records["log_variance"])
    return (records["latents"] - records["mean"]) / scale


def _difference(model, plain, inputs, noise):
    """Gives the loop the model's weights; largest difference of losses."""
    video, noise = inputs["video"][:2], noise[:2]  # a clip has its own noise
    plain(as_float(video), noise)  # builds it
    plain.take_weights(model)
    ratio = plain(as_float(video), noise) / model({"video": video})["loss"]
    return float(tf.reduce_max(tf.abs(ratio - 1.0)))


def _encoder(ours):
    layers = []
    for width in ours.filters:
        layers += [
            keras.layers.Conv2D(width, 4, 2, "same"),
            _norm(),
            keras.layers.LeakyReLU(_SLOPE),
        ]
    head = keras.layers.Conv2D(ours.features, 4)
    return keras.Sequential(
        [*layers, head, keras.layers.LeakyReLU(_SLOPE), keras.layers.Flatten()]
    )


def _generator(ours, size):
    layers = [
        keras.layers.Dense(size, "relu"),
        keras.layers.Reshape((1, 1, size)),
    ]
    for i, width in enumerate(ours.filters):
        strides, padding = (2, "same") if i else (1, "valid")
        layers += [
            keras.layers.Conv2DTranspose(width, 4, strides, padding),
            _norm(),
            keras.layers.ReLU(),
        ]
    last = keras.layers.Conv2DTranspose(
        ours.channels, 4, 2, "same", activation=ours.output_activation
    )
    return keras.Sequential([*layers, last])


def _norm():
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)


def _copy(sequential, ours):
    """Weights of one of our networks into its plain sibling."""
    if hasattr(ours, "convs"):
        first, pairs, last = [], zip(ours.convs, ours.norms), ours.head
    else:
        first, last = [ours.dense], ours.deconvs[-1]
        pairs = zip(ours.deconvs, ours.norms)
    sources = [*first, *(layer for pair in pairs for layer in pair), last]
    targets = [layer for layer in sequential.layers if layer.weights]
    for target, source in zip(targets, sources, strict=True):
        target.set_weights(source.get_weights())


def _clamp(log_variance):
    return tf.clip_by_value(log_variance, -10.0, 10.0)
