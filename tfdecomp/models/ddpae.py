"""DDPAE: a video as objects that look the same all the time, and move.

    beta_t^i ~ N(0, .1^2 I)     p^i ~ N((s0, 0, 0), diag(.2, 1, 1)^2)
    z^i ~ N(0, I)               raw_t^i = p^i + sum_{u <= t} beta_u^i
    s = clip(raw_s, s0 - 1, s0 + 1),  t = tanh(raw_t) (s - 1/2)
    x^_t = min(sum_i place(D(z^i), (s, t)_t^i), 1),  x_t ~ N(x^_t, .3^2)

Inference reads frames 1 to T', and says how poses go on after them:

    h_t^i = R_in([enc(x_t); h_t^(i-1)], h_(t-1)^i)           t <= T'
    g_t^i = R_out([g_(t-1)^i; g_t^(i-1)], g_(t-1)^i)         t > T', g_T' = h_T'
    q(beta_t^i) = N(W h, softplus(V h))                      of h, and of g
    q(p^i) = N(W r, softplus(V r)),  r^i = R_0(h_1^i, r^(i-1))
    q(z^i) = N(W l, softplus(V l)),  l^i = R_z over enc(cut(x_t, pose_t^i))

    loss = -log p(x) + KL(q(beta) || p) + KL(q(p) || p) + KL(q(z) || p)

over all frames, those that were read and those that were not. Components are
inferred one after the other: each knows what those before it have taken.

References:
    Hsieh, Liu, Huang, Fei-Fei and Niebles, Learning to Decompose and
    Disentangle Representations for Video Prediction. NeurIPS 2018.
"""

import gin
import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp.distributions.gaussians import DiagonalGaussian, NormalPixels
from tfdecomp.layers.conv import Dense
from tfdecomp.layers.lstm_cell import LSTMCell
from tfdecomp.layers.pose.component_recurrence import ComponentRecurrence
from tfdecomp.layers.pose.plain_decoder import PlainDecoder
from tfdecomp.layers.pose.plain_encoder import SPREAD, PlainEncoder
from tfdecomp.models import base
from tfdecomp.models.iterative import check_slots
from tfdecomp.models.parts.ddpae_videos import (
    POSE,
    PosedVideos,
    as_slots,
    behind,
    summed,
)
from tfdecomp.models.parts.frames import clip_noise, scan_frames
from tfdecomp.ops import poses

tfd = tfp.distributions

ESTIMATES = ("exact", "sample")
_CLIP = -1  # number of the noise that is a clip's; see `frames.clip_noise`
_PARTS = ("encoder", "object_encoder", "decoder")
_VALUES = (
    "image_size",
    "channels",
    "num_slots",
    "num_input",
    "features",
    "content_dim",
    "units",
    "scale_prior",
    "scale_std",
    "shift_std",
    "increment_std",
    "deviation",
    "kl_weight",
    "kl_estimate",
    "predicted_only",
    "independent_components",
    "sample_in_evaluation",
)


@gin.register(module="models")
@keras.saving.register_keras_serializable(package="tfdecomp")
class DDPAE(PosedVideos):
    """Decompositional disentangled predictive auto-encoder.

    Args:
        encoder: Layer `[N, H, W, C] -> [N, F]` that reads frames.
        object_encoder: Layer `[N, O, O, C] -> [N, F']` that reads what is cut
            out of them; half a frame wide.
        decoder: Layer `[N, Z] -> [N, O, O, C]` in (0, 1).
        image_size: `(S, S)` of the frames, or the side.
        channels: Colour channels, `C`.
        num_slots: `K`: the background, which is slot 0 and black, and `K - 1`
            components.
        num_input: Frames of a clip that training reads, but for the last one of
            shorter clips; the others it predicts. Otherwise all are read.
        features: `F` of an encoder that is not given.
        content_dim: Latents of a component's look, `Z`.
        units: `H` of the recurrences.
        scale_prior: s0, by how much an object's window is smaller than a frame.
        scale_std: Prior deviation of the first pose's scale.
        shift_std: Prior deviation of the first pose's place.
        increment_std: Prior deviation of increments.
        deviation: Of a pixel.
        kl_weight: Weight of all divergences.
        kl_estimate: `"exact"`, or in training `"sample"`: log q - log p of the
            sample, the same on average.
        predicted_only: 1: training does not score the frames that were read.
        independent_components: Whether predictions of components know nothing
            of each other.
        sample_in_evaluation: Draws samples outside training, too, in place of
            means.
        **kwargs: Passed to `keras.Model`.

    Call arguments:
        inputs: A `tfdecomp.types.Batch`, possibly with the `state` of an
            earlier chunk: poses go on, content is that of all chunks so far.
        training: Whether in training mode.

    Returns:
        A `tfdecomp.types.Decomposition`: `recon`; `slots`, raw pose and
        content; `boxes`, `locations`, `presence` and `track_ids`; `nll`, `kl`
        and its parts `kl_pose`, `kl_initial`, `kl_content`; `latent_kl`, of the
        pose in each frame, of the rest in the first; `elbo`, nats a frame,
        `loss` and `state`. Outside training also `components` and `masks`, the
        share of each in what is drawn, and the nats are those of means. With
        samples, `samples`.

    Raises:
        ValueError: If sizes do not fit, or an option is unknown.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.models.ddpae import DDPAE
        >>> model = DDPAE(image_size=32)
        >>> outputs = model({"video": np.zeros([1, 3, 32, 32, 1], np.uint8)})
        >>> outputs["locations"].shape  # of a black background and two objects
        TensorShape([1, 3, 3, 2])
    """

    looks_ahead = True
    num_refinements = 0
    background_slot = 0
    config_parts = _PARTS
    config_values = _VALUES
    scheduled_weights = ("kl_weight", "predicted_only")

    def __init__(
        self,
        encoder=None,
        object_encoder=None,
        decoder=None,
        *,
        image_size=64,
        channels=1,
        num_slots=3,
        num_input=10,
        features=256,
        content_dim=128,
        units=64,
        scale_prior=2.0,
        scale_std=0.2,
        shift_std=1.0,
        increment_std=0.1,
        deviation=0.3,
        kl_weight=1.0,
        kl_estimate="exact",
        predicted_only=0.0,
        independent_components=False,
        sample_in_evaluation=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        side = (image_size,) * 2 if isinstance(image_size, int) else image_size
        self.image_size = tuple(side)
        self.channels = channels
        self.num_slots = check_slots(num_slots, num_slots)
        self.num_input = num_input
        self.features = features
        self.content_dim = content_dim
        self.units = units
        self.scale_prior = scale_prior
        self.scale_std = scale_std
        self.shift_std = shift_std
        self.increment_std = increment_std
        self.deviation = deviation
        self.kl_weight = kl_weight
        self.kl_estimate = kl_estimate
        self.predicted_only = predicted_only
        self.independent_components = independent_components
        self.sample_in_evaluation = sample_in_evaluation
        self._check()
        self.encoder = encoder or PlainEncoder(
            self.image_size, features=features
        )
        self.object_size = self.image_size[0] // 2
        small = (self.object_size,) * 2
        self.object_encoder = object_encoder or PlainEncoder(
            small, features=content_dim
        )
        self.decoder = decoder or PlainDecoder(small, channels=channels)
        self._check_parts()
        self.reading = ComponentRecurrence(units, name="reading")
        self.predicting = ComponentRecurrence(
            units, independent_components, name="predicting"
        )
        self.looking = ComponentRecurrence(units, True, name="looking")
        self.first = LSTMCell(units, 0.0, "fan_in_uniform", name="first")
        self.increment_head = _head(2 * POSE, "increment_head")
        self.first_head = _head(2 * POSE, "first_head")
        self.content_head = _head(2 * content_dim, "content_head")

    def _check(self):
        if self.kl_estimate not in ESTIMATES:
            raise ValueError(
                f"kl_estimate must be one of {ESTIMATES}, got "
                f"{self.kl_estimate!r}"
            )
        if self.scale_prior <= 1:
            raise ValueError(
                f"scale_prior must be above 1, got {self.scale_prior}; scales "
                "reach from one below it to one above, and stay above 0"
            )
        if self.num_input < 1:
            raise ValueError(
                f"num_input must be at least 1, got {self.num_input}"
            )

    def _check_parts(self):
        small = (self.object_size,) * 2
        for part, size in (
            (self.encoder, self.image_size),
            (self.object_encoder, small),
            (self.decoder, small),
        ):
            if tuple(part.image_size) != size:
                raise ValueError(
                    f"the model's image_size is {self.image_size} and its "
                    f"objects' {small}, but a {type(part).__name__} has "
                    f"{tuple(part.image_size)} where {size} is needed; leave "
                    "it out or change its image_size"
                )

    def build(self, input_shape=None):
        """Builds all weights; no input is needed."""
        if self.built:
            return
        units, seen = self.units, self.object_encoder.features
        small = (self.object_size,) * 2
        shapes = {
            self.encoder: (None, *self.image_size, self.channels),
            self.object_encoder: (None, *small, self.channels),
            self.decoder: (None, self.content_dim),
            self.reading: (None, None, self.encoder.features),
            self.predicting: (None, None, units),
            self.looking: (None, None, seen),
            self.first: (None, units),
            self.increment_head: (None, units),
            self.first_head: (None, units),
            self.content_head: (None, units),
        }
        for part, shape in shapes.items():
            if not part.built:  # a reloaded child arrives built
                part.build(shape)
        self.built = True

    @property
    def num_components(self):
        """`N`, slots that are not the background."""
        return self.num_slots - 1

    def check_video(self, video):
        """See `DecompositionModel`; says how colours become grey."""
        shape = tuple(video.shape)
        if len(shape) == 5 and (self.channels, shape[-1]) == (1, 3):
            raise ValueError(
                f"the model reads grey frames [B, T, H, W, 1], got "
                f"{list(shape)}; give one channel, such as the largest, or "
                "build the model with channels=3"
            )
        super().check_video(video)

    # ---- the generative model ----------------------------------------------

    def prior(self):
        """p of `increments`, of the first `pose` and of `content`."""
        first = [self.scale_prior, 0.0, 0.0]
        spread = [self.scale_std, self.shift_std, self.shift_std]
        return {
            "increments": DiagonalGaussian.of_deviation(
                tf.zeros([POSE]), tf.fill([POSE], float(self.increment_std))
            ),
            "pose": DiagonalGaussian.of_deviation(
                tf.constant(first), tf.constant(spread)
            ),
            "content": DiagonalGaussian.standard(self.content_dim),
        }

    def likelihood(self, means):
        """p(x | x^). Event `[H, W, C]`, batch `[B, T]`."""
        return NormalPixels(means, self.deviation**2)

    def draw(self, raw, content, training=False):
        """Components in their places.

        Args:
            raw: `[B, T, N, 3]`, poses before the constraint.
            content: `[B, N, Z]`.
            training: Whether batch norm is in training mode.

        Returns:
            `[B, T, N, H, W, C]`.
        """
        # A look is that of all frames: it is drawn once.
        flat = tf.reshape(content, [-1, self.content_dim])
        pictures = self.decoder(flat, training=training)
        shape = [self.num_components, *pictures.shape[1:]]
        return poses.place(
            tf.reshape(pictures, [-1, *shape]),
            poses.constrain(raw, self.scale_prior),
            self.image_size[0],
        )

    # ---- inference ---------------------------------------------------------

    def call(self, inputs, training=False):
        self.check_video(inputs["video"])
        video = base.as_float(tf.convert_to_tensor(inputs["video"]))
        found = self.infer(inputs, training)
        components = self.draw(found["raw"], found["content"], training)
        outputs = {
            "recon": summed(components),
            "slots": as_slots(found["mean_raw"], found["q"]["content"].loc),
        }
        if not training:
            outputs |= self._shown(components, found["raw"])
        if self._draws(training):
            outputs["samples"] = as_slots(found["raw"], found["content"])
        terms = self._divergences(found, training)
        content_kl = terms["content"]
        if inputs.get("state") is not None:
            terms["content"] -= inputs["state"]["content_kl"]
        log_prob = self.likelihood(outputs["recon"]).log_prob(video)
        outputs |= self._scores(inputs, log_prob, terms, training)
        return {
            **outputs,
            "state": {**found["state"], "content_kl": content_kl},
        }

    def posterior(self, inputs):
        """q of `increments`, of the first `pose` and of `content`.

        In later chunks of a video the first pose is known: there is none.

        Args:
            inputs: As for `call`.
        """
        self.check_video(inputs["video"])
        return self.infer(inputs)["q"]

    def infer(self, inputs, training=False):
        """What a clip says of its latents.

        Args:
            inputs: As for `call`.
            training: Whether frames after `num_input` are predicted, batch
                norm is in training mode, and samples are drawn.

        Returns:
            `q`, distributions by name; of each name the values that were
            taken, samples or means; `raw` `[B, T, N, 3]`, the poses of these
            values, and `mean_raw`, of means; `state`.
        """
        video = base.as_float(tf.convert_to_tensor(inputs["video"]))
        total = tf.shape(video)[1]
        count = self._num_read(total) if training else total
        read, state = video[:, :count], self._start(inputs, tf.shape(video)[0])
        h, carry = self._read(read, (state["h"], state["c"]), training)
        told = h
        if training:
            g, carry = self._go_on(carry, total - count)
            told = tf.concat([h, g], axis=1)
        seeds = base.clip_seeds(inputs)
        noise = self._noise(seeds, state["frame"], total, training)
        q = {"increments": self._increments(told)}
        found = {"increments": q["increments"].from_noise(noise["increments"])}
        begin = mean = state.get("pose")
        if begin is None:
            q["pose"] = self._first_pose(h[:, 0])
            found["pose"] = begin = q["pose"].from_noise(noise["pose"])
            mean = q["pose"].loc
        raw = begin[:, None] + tf.cumsum(found["increments"], axis=1)
        mean_raw = mean[:, None] + tf.cumsum(q["increments"].loc, axis=1)
        look = (state["look_h"], state["look_c"])
        q["content"], look = self._content(read, raw[:, :count], look, training)
        found["content"] = q["content"].from_noise(noise["content"])
        after = (*carry, *look, raw[:, -1], found["content"])
        names = ("h", "c", "look_h", "look_c", "pose", "content")
        state = {**dict(zip(names, after)), "frame": state["frame"] + total}
        return {
            **found,
            "q": q,
            "raw": raw,
            "mean_raw": mean_raw,
            "state": state,
        }

    def _num_read(self, total):
        """Frames of a clip that training reads: at least one is predicted."""
        return tf.maximum(tf.minimum(self.num_input, total - 1), 1)

    def _start(self, inputs, batch):
        """The state before the first frame."""
        if inputs.get("state") is not None:
            state = dict(inputs["state"])
            return {**state, "frame": tf.cast(state["frame"], tf.int32)}
        zeros = tf.zeros([batch, self.num_components, self.units])
        state = dict.fromkeys(("h", "c", "look_h", "look_c"), zeros)
        first = tf.cast(inputs.get("first_frame", 0), tf.int32)
        return {**state, "frame": first}

    def _draws(self, training):
        """Whether samples are drawn, or means taken."""
        return training or self.sample_in_evaluation

    def _noise(self, seeds, first, count, training=False):
        """Standard normal by name, of frames from the number `first` on.

        Zeros where means are taken.
        """
        if not self._draws(training):
            return dict.fromkeys(("increments", "pose", "content"), 0.0)
        n, sizes = self.num_components, (POSE, self.content_dim)
        # One draw for a clip, as each takes long. What a draw begins with does
        # not depend on how long it is.
        once, each = n * sum(sizes), n * POSE
        noise = clip_noise(seeds, _CLIP, (once + (first + count) * each,))
        pose, content = tf.split(
            tf.reshape(noise[:, :once], [-1, n, sum(sizes)]), sizes, axis=-1
        )
        frames = tf.reshape(noise[:, once:], [-1, first + count, n, POSE])
        return {
            "increments": frames[:, first:],
            "pose": pose,
            "content": content,
        }

    def _read(self, frames, carry, training):
        """R_in: `h` `[B, T, N, H]` of all frames, and `(h, c)` after them."""
        count = tf.shape(frames)[1]
        flat = tf.reshape(frames, [-1, *self.image_size, self.channels])
        told = self.encoder(flat, training=training)
        told = tf.reshape(told, [-1, count, 1, self.encoder.features])
        told = tf.repeat(told, self.num_components, axis=2)

        def step(t, carry):
            carry = self.reading(told[:, t], self._known(carry))
            return carry, {"h": carry[0]}

        carry, records = scan_frames(step, count, carry, ["h"])
        return self._each(records["h"]), self._known(carry)

    def _go_on(self, carry, count):
        """R_out: `g` `[B, count, N, H]` and `(h, c)` after them."""

        def step(_, carry):
            carry = self._known(carry)
            carry = self.predicting(carry[0], carry)
            return carry, {"h": carry[0]}

        # No loop can stack nothing.
        after, records = scan_frames(step, tf.maximum(count, 1), carry, ["h"])
        kept = tuple(tf.where(count > 0, *pair) for pair in zip(after, carry))
        return self._each(records["h"][:, :count]), self._known(kept)

    def _known(self, carry):
        """Says how many components there are, which a loop forgets."""
        shape = [None, self.num_components, self.units]
        return tuple(tf.ensure_shape(part, shape) for part in carry)

    def _each(self, values):
        """The same of `[B, T, N, H]`."""
        shape = [None, None, self.num_components, self.units]
        return tf.ensure_shape(values, shape)

    def _increments(self, told):
        """q(beta) of the states of frames that were read, or are predicted."""
        return _normal(self.increment_head(told))

    def _first_pose(self, h):
        """q(p^i): R_0 over the components' first states `[B, N, H]`."""
        zeros = tf.zeros_like(h[:, 0])
        state, found = (zeros, zeros), []
        for i in range(self.num_components):
            state = self.first(h[:, i], state)
            found.append(state[0])
        return _normal(self.first_head(tf.stack(found, axis=1)))

    def _content(self, frames, raw, look, training):
        """q(z^i), and `(h, c)` of R_z after the frames."""
        pose = poses.constrain(raw, self.scale_prior)
        cut = poses.cut(frames, pose, self.object_size)
        flat = tf.reshape(cut, [-1, *cut.shape[3:]])
        seen = self.object_encoder(flat, training=training)
        count, n = tf.shape(frames)[1], self.num_components
        seen = tf.reshape(seen, [-1, count, n, self.object_encoder.features])

        def step(t, carry):
            return self.looking(seen[:, t], self._known(carry)), {}

        look = self._known(scan_frames(step, count, look, [])[0])
        return _normal(self.content_head(look[0])), look

    # ---- nats --------------------------------------------------------------

    def _divergences(self, found, training):
        """KL(q || p) of each latent, by name."""
        q, p = found["q"], self.prior()
        if self._draws(training) and self.kl_estimate == "sample":
            return {n: _log_ratio(q[n], p[n], found[n]) for n in q}
        return {n: q[n].kl_terms(p[n]) for n in q}

    def _scores(self, inputs, log_prob, terms, training):
        """Nats of clips, of `log_prob` `[B, T]` and divergences."""
        frames = tf.shape(log_prob)[1]
        scored = nll = -tf.reduce_sum(log_prob, axis=1)
        if training:
            read = tf.range(frames) < self._num_read(frames)
            skipped = tf.where(read, self.weight(inputs, "predicted_only"), 0.0)
            scored = -tf.reduce_sum((1.0 - skipped) * log_prob, axis=1)
        first = terms.get("pose", tf.zeros_like(terms["content"][..., :POSE]))
        parts = {
            "kl_pose": tf.reduce_sum(terms["increments"], [1, 2, 3]),
            "kl_initial": tf.reduce_sum(first, [1, 2]),
            "kl_content": tf.reduce_sum(terms["content"], [1, 2]),
        }
        kl = tf.add_n(list(parts.values()))
        once = tf.concat([first, terms["content"]], axis=-1)[:, None]
        each = tf.pad(
            terms["increments"], [[0, 0]] * 3 + [[0, self.content_dim]]
        )
        each = tf.concat([each[:, :1] + once, each[:, 1:]], axis=1)
        return {
            "loss": scored + self.weight(inputs, "kl_weight") * kl,
            "nll": nll,
            "kl": kl,
            **parts,
            "elbo": -(nll + kl) / tf.cast(frames, tf.float32),
            "latent_kl": behind(each),
        }

    def step_flops(self, batch_size, num_frames):
        """Floating-point operations of a training step (networks alone)."""
        read = min(self.num_input, num_frames)
        looks = (
            read * self.object_encoder.frame_flops + self.decoder.frame_flops
        )
        each = read * self.encoder.frame_flops + self.num_components * looks
        return 3 * batch_size * each


def _head(size, name):
    """A linear layer, float32: poses are."""
    start = keras.initializers.RandomNormal(stddev=SPREAD)
    return Dense(
        size, kernel_initializer=start, bias="zeros", dtype="float32", name=name
    )


def _normal(raw):
    """N(mean, softplus(scale)^2) of both halves `[..., 2 D]`."""
    mean, scale = tf.split(raw, 2, axis=-1)
    return DiagonalGaussian.of_deviation(mean, tf.nn.softplus(scale))


def _log_ratio(q, p, value):
    """log q - log p of values, by dimension."""
    q, p = (tfd.Normal(each.loc, each.stddev()) for each in (q, p))
    return q.log_prob(value) - p.log_prob(value)
