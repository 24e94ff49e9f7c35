"""R-NEM: groups that explain a binary video, and each other's motion.

K groups have a state h_k each, which a decoder turns into a picture psi_k of
probabilities. psi_t is made of the frames before t: the recursion that tells
groups apart is the one that predicts.

    r_t,k = sg(gamma_t,k) (x~_t - psi_t,k)                what k did not explain
    u_k = W [e_k, E_k, enc(r_t,k)] + b                    M-step; e_k, E_k: what
    h_t+1,k = sigmoid(u_k)                                groups take from each
    psi_t+1,k = dec(sigmoid(norm(u_k)))                   other
    gamma_t,k ~ x_t psi_t,k + (1 - x_t) (1 - psi_t,k)     E-step, sum_k is 1

    loss = mean_t>0 sum_i,k [ gamma_k BCE(x, psi_k) +
                              w (1 - gamma_k) KL(Bernoulli(p0) || psi_k) ]

x~ are frames with flipped bits. psi_0 = 0 and h_0 = 0; gamma_0 is random, all
that makes groups differ, and no E-step replaces it. No gradient passes through
gamma. Without an interaction e_k, E_k are replaced by h_k: that is RNN-EM.

References:
    van Steenkiste, Chang, Greff and Schmidhuber, Relational Neural Expectation
    Maximization. ICLR 2018. Greff, van Steenkiste and Schmidhuber, Neural
    Expectation Maximization. NIPS 2017.
"""

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.conv import Dense
from tfdecomp.layers.decoders.group_decoder import GroupDecoder
from tfdecomp.layers.encoders.residual_encoder import ResidualEncoder
from tfdecomp.layers.residual import INITIAL
from tfdecomp.layers.spatial_layer_norm import SpatialLayerNorm
from tfdecomp.models import base
from tfdecomp.models.iterative import check_slots
from tfdecomp.models.parts.frames import FrameNoise, clip_noise, scan_frames
from tfdecomp.models.parts.refinement import merge_slots, split_slots

_FLIPS = 0  # purpose of a frame's noise; see `frames.frame_noise`
_FIRST = -1  # number of the noise that is a clip's; see `frames.clip_noise`
_PARTS = ("encoder", "decoder", "interaction")
_VALUES = (
    "image_size",
    "num_slots",
    "state_dim",
    "noise",
    "eval_noise",
    "inter_weight",
    "pixel_prior",
    "initial_prediction",
    "epsilon",
    "normalize_state",
    "rollout_threshold",
)
_PICTURES = ("masks", "components")
_TERMS = ("nll", "inter", "bound")


@gin.register(module="models")
@keras.saving.register_keras_serializable(package="tfdecomp")
class RNEM(base.Predicting, base.DecompositionModel):
    """Relational neural expectation maximization; RNN-EM without relations.

    Args:
        encoder: Layer `[N, H, W, 1] -> [N, F]` that reads residuals.
        decoder: Layer `[N, D] -> [N, H, W, 1]` in (0, 1).
        interaction: Layer `[B, K, D] -> (features, effects)`, such as
            `layers.PairwiseInteraction`; None for RNN-EM.
        image_size: `(H, W)` of the frames, or one side.
        num_slots: Groups, `K`; a call may take another number.
        state_dim: Numbers in a group's state, `D`.
        noise: Probability that a bit is flipped in what the network reads.
        eval_noise: Whether bits are flipped outside training, too.
        inter_weight: `w`, weight of the divergence where a group is not
            responsible.
        pixel_prior: `p0`, what a pixel is there.
        initial_prediction: Probability of all pixels in psi_0.
        epsilon: Floor of probabilities in logarithms; added to likelihoods in
            the E-step.
        normalize_state: Whether the state is the normalised one that the
            decoder reads.
        rollout_threshold: What a predicted pixel must exceed to be white in
            the E-step of frames that nobody saw.
        **kwargs: Passed to `keras.Model`.

    Call arguments:
        inputs: A `tfdecomp.types.Batch` of binary frames, possibly with the
            `state` of an earlier chunk, and with `first_masks`
            `[B, K, H, W, 1]` in place of the random gamma_0. A pixel above
            one half is white.
        training: Whether in training mode.
        num_slots: `K`, if not the model's.

    Returns:
        A `tfdecomp.types.Decomposition`: `recon`, sum_k gamma psi, which has
        seen the frame that it explains (`next_frames` has not); `masks`,
        gamma; `slots`, h; `state`; `loss`, and summed over all frames but the
        first `nll` and `inter`, its two terms. `bound` is the cross entropy of
        `next_frames`, nats a frame. Outside training also `components`, psi.

    Raises:
        ValueError: If the parts draw frames of another size.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.models.rnem import RNEM
        >>> rnn_em = RNEM(interaction=None, image_size=64, num_slots=3)
        >>> outputs = rnn_em({"video": np.zeros([1, 2, 64, 64, 1], np.uint8)})
        >>> outputs["masks"].shape
        TensorShape([1, 2, 3, 64, 64, 1])
    """

    looks_ahead = False
    num_refinements = 0
    channels = 1
    config_parts = _PARTS
    config_values = _VALUES
    scheduled_weights = ("inter_weight",)

    def __init__(
        self,
        encoder=None,
        decoder=None,
        *,
        interaction,
        image_size=64,
        num_slots=5,
        state_dim=250,
        noise=0.2,
        eval_noise=True,
        inter_weight=1.0,
        pixel_prior=0.0,
        initial_prediction=0.0,
        epsilon=1e-6,
        normalize_state=False,
        rollout_threshold=0.1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        side = (image_size,) * 2 if isinstance(image_size, int) else image_size
        self.image_size = tuple(side)
        self.num_slots = check_slots(num_slots, num_slots)
        self.state_dim = state_dim
        self.noise = noise
        self.eval_noise = eval_noise
        self.inter_weight = inter_weight
        self.pixel_prior = pixel_prior
        self.initial_prediction = initial_prediction
        self.epsilon = epsilon
        self.normalize_state = normalize_state
        self.rollout_threshold = rollout_threshold
        self.encoder = encoder or ResidualEncoder()
        self.decoder = decoder or GroupDecoder(self.image_size)
        self.interaction = interaction
        self.update = Dense(state_dim, name="update", **INITIAL)
        self.norm = SpatialLayerNorm(name="norm", dtype="float32")
        if tuple(self.decoder.image_size) != self.image_size:
            raise ValueError(
                f"the model's image_size is {self.image_size}, its decoder "
                f"draws {self.decoder.image_size}; set IMAGE_SIZE for both"
            )

    def build(self, input_shape=None):
        """Builds all weights; no input is needed."""
        if self.built:
            return
        size = self.state_dim
        shapes = {
            self.encoder: (None, *self.image_size, 1),
            self.decoder: (None, size),
            self.norm: (None, size),
        }
        width = self.encoder.units + size
        if self.interaction is not None:
            shapes[self.interaction] = (None, None, size)
            width = self.encoder.units + 2 * self.interaction.units
        shapes[self.update] = (None, width)
        for part, shape in shapes.items():
            if not part.built:  # a reloaded child arrives built
                part.build(shape)
        self.built = True

    def check_video(self, video):
        """See `DecompositionModel`; pictures in colour are not binary."""
        shape = tuple(video.shape)
        if len(shape) == 5 and shape[-1] != 1:
            raise ValueError(
                "R-NEM reads binary frames [B, T, H, W, 1], got "
                f"{list(shape)}; give one channel, such as the foreground"
            )
        super().check_video(video)

    # ---- one frame ---------------------------------------------------------

    def advance(self, h, residual):
        """The M-step: what each group makes of the frame.

        Args:
            h: `[B, K, D]`.
            residual: `[B, K, H, W, 1]`.

        Returns:
            `(h, psi)` of the next frame.
        """
        groups = tf.shape(h)[1]
        read = tf.cast(self.encoder(merge_slots(residual)), tf.float32)
        told = [merge_slots(h), read]
        if self.interaction is not None:
            told = [*map(merge_slots, self.interaction(h)), read]
        raw = tf.cast(self.update(tf.concat(told, axis=-1)), tf.float32)
        shown = self.normalized(raw)
        state = shown if self.normalize_state else tf.sigmoid(raw)
        return split_slots(state, groups), self._draw(shown, groups)

    def normalized(self, raw):
        """What the decoder reads of u `[N, D]`."""
        return tf.sigmoid(self.norm(raw))

    def _draw(self, shown, groups):
        return split_slots(self.decoder(shown), groups)

    def responsibilities(self, psi, frame):
        """The E-step: which group explains which pixel.

        Args:
            psi: `[B, K, H, W, 1]`.
            frame: `[B, H, W, 1]`, binary.

        Returns:
            gamma `[B, K, H, W, 1]`, without a gradient.
        """
        x = frame[:, None]
        likelihood = x * psi + (1.0 - x) * (1.0 - psi) + self.epsilon
        total = tf.reduce_sum(likelihood, axis=1, keepdims=True)
        return tf.stop_gradient(likelihood / total)

    def losses(self, psi, gamma, frame):
        """`nll`, `inter` and `bound` of a frame, `[B]` each, in nats.

        Args:
            psi: `[B, K, H, W, 1]`.
            gamma: `[B, K, H, W, 1]`.
            frame: `[B, H, W, 1]`, binary.
        """
        gamma, x = tf.stop_gradient(gamma), frame[:, None]
        off = gamma * self._cross_entropy(x, psi)
        prior = self._divergence(psi)
        best = self._cross_entropy(frame, tf.reduce_max(psi, axis=1))
        return {
            "nll": tf.reduce_sum(off, [1, 2, 3, 4]),
            "inter": tf.reduce_sum((1.0 - gamma) * prior, [1, 2, 3, 4]),
            "bound": tf.reduce_sum(best, [1, 2, 3]),
        }

    def _cross_entropy(self, x, p):
        return -x * self._log(p) - (1.0 - x) * self._log(1.0 - p)

    def _log(self, p):
        return tf.math.log(tf.maximum(p, self.epsilon))

    def _divergence(self, psi):
        """KL(Bernoulli(p0) || Bernoulli(psi)), of each pixel."""
        p = tf.constant(self.pixel_prior, tf.float32)
        entropy = -tf.math.xlogy(p, p) - tf.math.xlogy(1.0 - p, 1.0 - p)
        return self._cross_entropy(p, psi) - entropy

    # ---- clips -------------------------------------------------------------

    def call(self, inputs, training=False, num_slots=None):
        self.check_video(inputs["video"])
        video = binary(inputs["video"])
        state, first, gamma = self._start(inputs, num_slots)
        count = tf.shape(video)[1]
        flips = self.noise if training or self.eval_noise else 0.0
        noisy = self._flipped(inputs, video, first, flips)
        is_new = inputs.get("state") is None  # known when a graph is made

        def frame(t, carry):
            if is_new:
                h, psi = tf.cond(
                    tf.equal(t, 0),
                    lambda: self._first(carry),
                    lambda: self.advance(*carry),
                )
            else:
                h, psi = self.advance(*carry)
            psi = tf.ensure_shape(psi, [None, None, *self.image_size, 1])
            masks = self.responsibilities(psi, video[:, t])
            scored = tf.constant(1.0)
            if is_new:
                scored = tf.cast(t > 0, tf.float32)
                masks = tf.where(t > 0, masks, gamma)
            residual = masks * (noisy[:, t, None] - psi)
            terms = self.losses(psi, masks, video[:, t])
            records = {n: scored * terms[n] for n in _TERMS}
            records |= {"slots": h, "masks": masks, "components": psi}
            return (h, residual), records

        (h, residual), records = scan_frames(
            frame, count, state, [*_TERMS, "slots", *_PICTURES]
        )
        state = {"h": h, "residual": residual, "frame": first + count}
        steps = tf.cast(tf.maximum(count - int(is_new), 1), tf.float32)
        return {
            **self._pictures(records, not training),
            **self._scores(records, steps, self.weight(inputs, "inter_weight")),
            "state": state,
        }

    def _scores(self, records, steps, weight):
        sums = {name: tf.reduce_sum(records[name], 1) for name in _TERMS}
        return {
            "loss": (sums["nll"] + weight * sums["inter"]) / steps,
            "nll": sums["nll"],
            "inter": sums["inter"],
            "bound": sums["bound"] / steps,
        }

    def _pictures(self, records, with_components=True):
        """What the frames' records are as a `Decomposition`."""
        size = [None, None, None, *self.image_size, 1]
        psi, gamma = (
            tf.ensure_shape(records[name], size)
            for name in ("components", "masks")
        )
        outputs = {
            "recon": tf.reduce_sum(gamma * psi, axis=2),
            "masks": gamma,
            "slots": tf.ensure_shape(
                records["slots"], [None, None, None, self.state_dim]
            ),
        }
        return {**outputs, "components": psi} if with_components else outputs

    def _start(self, inputs, num_slots):
        """`(carry, number of the first frame, gamma_0)`."""
        state = inputs.get("state")
        if state is not None:
            carry = state["h"], state["residual"]
            return carry, tf.cast(state["frame"], tf.int32), None
        groups = check_slots(num_slots, self.num_slots)
        gamma = inputs.get("first_masks")
        if gamma is None:
            gamma = self._random_masks(base.clip_seeds(inputs), groups)
        gamma = tf.cast(gamma, tf.float32)
        h = tf.zeros([*tf.unstack(tf.shape(gamma)[:2]), self.state_dim])
        first = tf.cast(inputs.get("first_frame", 0), tf.int32)
        return (h, tf.zeros_like(gamma)), first, gamma

    def _random_masks(self, seeds, groups):
        """gamma_0 `[B, K, H, W, 1]`, of the clips' seeds alone."""
        noise = clip_noise(seeds, _FIRST, (groups, *self.image_size, 1))
        noise = tf.abs(noise)
        return noise / tf.reduce_sum(noise, axis=1, keepdims=True)

    def _first(self, carry):
        """h_0 and psi_0."""
        h, residual = carry
        return h, tf.fill(tf.shape(residual), float(self.initial_prediction))

    def _flipped(self, inputs, frames, first, probability):
        """`[B, T, H, W, 1]` in which bits are flipped, each with its clip's."""
        numbers = first + tf.range(tf.shape(frames)[1])
        return self._flip(frames, base.clip_seeds(inputs), numbers, probability)

    def _flip(self, frames, seeds, numbers, probability):
        if not probability:
            return frames
        uniform = FrameNoise(seeds, numbers).uniform(
            _FLIPS, (*self.image_size, 1)
        )
        flips = tf.cast(uniform < probability, tf.float32)
        flips = tf.reshape(flips, tf.shape(frames))
        return frames + flips - 2.0 * frames * flips

    # ---- prediction and the rest of the contract ---------------------------

    def predict_frames(self, state, seed, num_frames):
        """Continues a video; what groups draw stands in for what is seen.

        In the E-step the frame is where some group is above
        `rollout_threshold`; the network reads sum_k gamma psi, with flipped
        bits where `eval_noise` has them.

        Args:
            state: The `state` of an earlier output.
            seed: `[B, 2]`, the clip's seeds.
            num_frames: Number of frames to predict.

        Returns:
            A `Decomposition` of the predicted frames, with `state`.
        """
        first = tf.cast(state["frame"], tf.int32)
        seeds = tf.cast(seed, tf.int32)
        flips = self.noise if self.eval_noise else 0.0

        def frame(t, carry):
            h, psi = self.advance(*carry)
            is_white = tf.reduce_max(psi, axis=1) > self.rollout_threshold
            gamma = self.responsibilities(psi, tf.cast(is_white, tf.float32))
            picture = tf.reduce_sum(gamma * psi, axis=1, keepdims=True)
            number = (first + t)[None]
            noisy = self._flip(picture, seeds, number, flips)
            records = {"slots": h, "masks": gamma, "components": psi}
            return (h, gamma * (noisy - psi)), records

        carry = state["h"], state["residual"]
        after, records = scan_frames(
            frame,
            tf.maximum(num_frames, 1),  # no loop can stack nothing
            carry,
            ["slots", *_PICTURES],
        )
        kept = [tf.where(num_frames > 0, *ab) for ab in zip(after, carry)]
        outputs = self._pictures(
            {name: value[:, :num_frames] for name, value in records.items()}
        )
        names = "h", "residual", "frame"
        state = dict(zip(names, [*kept, first + num_frames]))
        return {**outputs, "state": state}

    def encode(self, inputs, num_slots=None):
        """The states `slots` `[B, T, K, D]`."""
        return {"slots": self(inputs, num_slots=num_slots)["slots"]}

    def decode(self, slots):
        """Draws states, as the frame that they predict.

        Args:
            slots: `[N, K, D]`; those of a video's first frame predict nothing.

        Returns:
            `recon` `[N, H, W, 1]`, the largest probability of all groups, and
            `components` `[N, K, H, W, 1]`.
        """
        groups, shown = tf.shape(slots)[1], merge_slots(slots)
        if not self.normalize_state:
            kept = tf.clip_by_value(shown, self.epsilon, 1.0 - self.epsilon)
            shown = self.normalized(tf.math.log(kept / (1.0 - kept)))
        psi = self._draw(shown, groups)
        return {"recon": tf.reduce_max(psi, axis=1), "components": psi}

    def step_flops(self, batch_size, num_frames):
        """Floating-point operations of a training step (networks of frames)."""
        forward = self.encoder.frame_flops + self.decoder.frame_flops
        groups = batch_size * self.num_slots
        return 3 * groups * (num_frames - 1) * forward


def next_frames(outputs):
    """What groups say of frames before they see them, `[B, T, H, W, 1]`.

    Args:
        outputs: What `RNEM` returned, not in training.
    """
    return tf.reduce_max(outputs["components"], axis=2)


def object_ids(outputs, threshold=0.1):
    """The group that draws each pixel, from 1; 0 where none does.

    Where nobody draws, the largest gamma is chance: whoever owns a black pixel
    owns it by a hair.

    Args:
        outputs: What `RNEM` returned, not in training.
        threshold: What a group's probability must exceed.

    Returns:
        `[B, T, H, W]` int32.
    """
    owner = tf.argmax(outputs["masks"][..., 0], axis=2, output_type=tf.int32)
    is_drawn = next_frames(outputs)[..., 0] > threshold
    return tf.where(is_drawn, owner + 1, 0)


def binary(video):
    """uint8, or floating point in [0, 1] -> float32 zeros and ones.

    What is no number stays so: a broken clip is to be seen in the loss.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.models.rnem import binary
        >>> binary(tf.constant([127, 128], tf.uint8)).numpy()
        array([0., 1.], dtype=float32)
    """
    values = base.as_float(tf.convert_to_tensor(video))
    white = tf.cast(values > 0.5, tf.float32)
    return tf.where(tf.math.is_nan(values), values, white)
