"""DVIP: video as factors that predict themselves, each without the others.

    p(z_1^i) = N(0, I)
    p(z_t^i | z_{t-1}^i) = N(mu_i(z_{t-1}^i), diag exp lv_i(z_{t-1}^i))
    p(x_t | Z_t) = N(g(Z_t), s I)

    q(Z_t | Z_{t-1}, x_t) = N(mu_q, diag exp lv_q), which mixes all factors

    loss = mean_t [ -log p(x_t | Z_t) + KL(q(Z_t | Z_{t-1}, x_t) ||
                                           p(Z_t | Z_{t-1})) ]

Prediction is the only place where factors are kept apart, so training puts
what moves independently into different ones. The entangled baseline is the
same model with one factor of the same total size.

References:
    Whitney and Fergus, Disentangling Video with Independent Prediction. 2019.
"""

import gin
import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp.distributions.gaussians import DiagonalGaussian, NormalPixels
from tfdecomp.layers.encoders.frame_encoder import FrameEncoder
from tfdecomp.layers.filtering_head import FilteringHead
from tfdecomp.layers.frame_generator import FrameGenerator
from tfdecomp.layers.independent_dynamics import IndependentDynamics
from tfdecomp.models import base
from tfdecomp.models.parts.frames import FrameNoise, scan_frames

tfd = tfp.distributions

_NOISE = 0  # purpose of a frame's noise; see `frames.frame_noise`
_PARTS = ("encoder", "generator", "dynamics")
_VALUES = (
    "image_size",
    "channels",
    "num_factors",
    "factor_dim",
    "entangled",
    "variance",
    "kl_weight",
    "head_activation",
    "map_prediction",
)
_RECORDS = (
    "latents",
    "mean",
    "log_variance",
    "prior_mean",
    "prior_log_variance",
)
VARY = ("posterior", "transition", "prior")


@gin.register(module="models")
@keras.saving.register_keras_serializable(package="tfdecomp")
class DVIP(base.Predicting, base.DecompositionModel):
    """Video by independent prediction.

    Args:
        encoder: Layer `[N, H, W, C] -> [N, F]`.
        generator: Layer `[N, Z] -> [N, H, W, C]`.
        dynamics: Layer `[B, k, d] -> (mean, log_variance)`.
        image_size: `(H, W)` of the frames, or one side.
        channels: Colour channels, `C`.
        num_factors: Factors that move on their own, `k`.
        factor_dim: Latents of each, `d`; `Z = k d`.
        entangled: One factor of size `Z` in place of k: the baseline.
        variance: `s`, pixel variance of the likelihood.
        kl_weight: Weight of the divergence; 1 gives the ELBO.
        head_activation: See `layers.FilteringHead.output_activation`.
        map_prediction: See `layers.FilteringHead`.
        **kwargs: Passed to `keras.Model`.

    Call arguments:
        inputs: A `tfdecomp.types.Batch`, possibly with the `state` of an
            earlier chunk.
        training: Whether in training mode.

    Returns:
        A `tfdecomp.types.Decomposition` without masks: `recon`, `slots`
        `[B, T, k, d]` posterior means, `samples` of them, `latent_kl`,
        `state`, `nll` and `kl` per clip, `elbo` per frame (the paper's
        number) and `loss`, its negative. Outside training also `components`
        `[B, T, k, H, W, C]`: factor i as in frame t, the others as in the
        second frame.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.models.dvip import DVIP
        >>> model = DVIP(image_size=64, num_factors=2)
        >>> outputs = model({"video": np.zeros([1, 3, 64, 64, 3], np.uint8)})
        >>> outputs["slots"].shape  # two factors of 25 numbers each
        TensorShape([1, 3, 2, 25])
    """

    looks_ahead = False
    num_refinements = 0
    config_parts = _PARTS
    config_values = _VALUES
    scheduled_weights = ("kl_weight",)

    def __init__(
        self,
        encoder=None,
        generator=None,
        dynamics=None,
        *,
        image_size=64,
        channels=3,
        num_factors=2,
        factor_dim=25,
        entangled=False,
        variance=0.25,
        kl_weight=1.0,
        head_activation="linear",
        map_prediction=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        side = (image_size,) * 2 if isinstance(image_size, int) else image_size
        self.image_size = tuple(side)
        self.channels = channels
        self.num_factors = num_factors
        self.factor_dim = factor_dim
        self.entangled = entangled
        self.variance = variance
        self.kl_weight = kl_weight
        self.head_activation = head_activation
        self.map_prediction = map_prediction
        self.latent_dim = num_factors * factor_dim
        # (k, d) of what predicts itself.
        self.latent_shape = (num_factors, factor_dim)
        if entangled:
            self.latent_shape = (1, self.latent_dim)
        self.num_slots = self.latent_shape[0]
        self.encoder = encoder or FrameEncoder(self.image_size)
        self.generator = generator or FrameGenerator(
            self.image_size, channels=channels
        )
        self.dynamics = dynamics or IndependentDynamics()
        self.head = FilteringHead(
            self.latent_dim, head_activation, map_prediction, name="head"
        )
        for part in (self.encoder, self.generator):
            if tuple(part.image_size) != self.image_size:
                raise ValueError(
                    f"the model's image_size is {self.image_size}, that of "
                    f"its {type(part).__name__} {part.image_size}; set "
                    "IMAGE_SIZE for all"
                )

    def build(self, input_shape=None):
        """Builds all weights; no input is needed."""
        if self.built:
            return
        frames = (None, *self.image_size, self.channels)
        parts = {
            self.encoder: frames,
            self.generator: (None, self.latent_dim),
            self.dynamics: (None, *self.latent_shape),
            self.head: (None, self.encoder.features),
        }
        for part, shape in parts.items():
            if not part.built:  # a reloaded child arrives built
                part.build(shape)
        self.built = True

    # ---- the generative model ----------------------------------------------

    def prior(self, latents=None):
        """p(Z_t | Z_{t-1}). Event `[Z]`, batch `[B]`.

        Args:
            latents: Z_{t-1}, `[B, Z]`; None gives p(Z_1), without a batch.
        """
        if latents is None:
            return DiagonalGaussian.standard(self.latent_dim)
        return DiagonalGaussian.of(*self.transition(latents))

    def transition(self, latents):
        """p(Z_t | Z_{t-1}): `[B, Z]` -> mean and log-variance, `[B, Z]`.

        Each factor is predicted from its own value alone.
        """
        factors = tf.reshape(latents, [-1, *self.latent_shape])
        parameters = self.dynamics(factors)
        return tuple(tf.reshape(p, [-1, self.latent_dim]) for p in parameters)

    def posterior(self, inputs, prediction=None):
        """q(Z_t | Z_{t-1}, x_t). Event `[Z]`, batch `[B]`.

        Args:
            inputs: Features `[B, F]` of a frame; or a batch as for `call`, of
                whose frames it is then along one sample: batch `[B, T]`.
            prediction: p(Z_t | Z_{t-1}) of the one frame.
        """
        if isinstance(inputs, dict):
            return self.posteriors(inputs)[0]
        mean, log_variance = prediction.loc, prediction.log_variance()
        return DiagonalGaussian.of(*self.head(inputs, mean, log_variance))

    def likelihood(self, latents, training=False):
        """p(x_t | Z_t). Event `[H, W, C]`, batch `[B, T]`.

        Args:
            latents: `[B, T, Z]`.
            training: Whether batch norm is in training mode.
        """
        return self.pixels(self.draw(latents, training))

    def pixels(self, means):
        """N(means, s I), independent pixels. Event `[H, W, C]`."""
        return NormalPixels(means, self.variance)

    def draw(self, latents, training=False):
        """g(Z): `[B, T, Z]` -> `[B, T, H, W, C]`, one call for all frames."""
        shape = tf.shape(latents)[:2]
        flat = tf.reshape(latents, [-1, self.latent_dim])
        return _unfold(self.generator(flat, training=training), shape)

    # ---- inference ---------------------------------------------------------

    def call(self, inputs, training=False):
        video, features = self._features(inputs, training)
        records, state = self.filter(inputs, features)
        still = _still(inputs.get("state"), records["mean"])
        state = {**state, "still": still}
        pictures = self.likelihood(records["latents"], training)
        q, p = distributions(records)
        frames = tf.cast(tf.shape(video)[1], tf.float32)
        nll = -tf.reduce_sum(pictures.log_prob(video), axis=1)
        kl = tf.reduce_sum(tfd.kl_divergence(q, p), axis=1)
        weight = self.weight(inputs, "kl_weight")
        outputs = {
            "recon": pictures.mean(),
            "slots": self._by_factor(records["mean"]),
            "samples": self._by_factor(records["latents"]),
            "latent_kl": self._by_factor(q.kl_terms(p)),
            "loss": (nll + weight * kl) / frames,
            "nll": nll,
            "kl": kl,
            "elbo": -(nll + kl) / frames,
            "state": state,
        }
        if not training:
            outputs["components"] = self.render_factors(records["mean"], still)
        return outputs

    def _features(self, inputs, training=False):
        """`(video [B, T, ...], encoder features [B, T, F])`."""
        self.check_video(inputs["video"])
        video = base.as_float(tf.convert_to_tensor(inputs["video"]))
        frames = tf.reshape(video, [-1, *self.image_size, self.channels])
        features = self.encoder(frames, training=training)
        return video, _unfold(features, tf.shape(video)[:2])

    def filter(self, inputs, features, use_means=False):
        """Runs the posterior over frames, in a graph of one frame.

        Args:
            inputs: As for `call`.
            features: `[B, T, F]`.
            use_means: Hands on posterior means in place of samples.

        Returns:
            `(records, state)`: `latents`, `mean`, `log_variance`,
            `prior_mean` and `prior_log_variance`, each `[B, T, Z]`; and what
            the next chunk continues from.
        """
        batch, num_frames = tf.shape(features)[0], tf.shape(features)[1]
        prediction, first = self._start(inputs, batch)
        noise = FrameNoise(
            base.clip_seeds(inputs), first + tf.range(num_frames)
        ).normal(_NOISE, (self.latent_dim,))
        noise = tf.reshape(noise, [batch, num_frames, self.latent_dim])
        if use_means:
            noise = tf.zeros_like(noise)

        def step(t, prediction):
            q = self.posterior(features[:, t], DiagonalGaussian.of(*prediction))
            latents = q.from_noise(noise[:, t])
            values = (latents, q.loc, q.log_variance(), *prediction)
            return self.transition(latents), dict(zip(_RECORDS, values))

        prediction, records = scan_frames(
            step, num_frames, prediction, _RECORDS
        )
        return records, {
            "mean": prediction[0],
            "log_variance": prediction[1],
            "frame": first + num_frames,
        }

    def posteriors(self, inputs):
        """Of all frames of clips, along one sample of their latents.

        Args:
            inputs: As for `call`.

        Returns:
            `(q, p)`: q(Z_t | Z_{t-1}, x_t) and p(Z_t | Z_{t-1}), both with
            event `[Z]` and batch `[B, T]`.
        """
        _, features = self._features(inputs)
        return distributions(self.filter(inputs, features)[0])

    def _start(self, inputs, batch):
        """`(prediction of the first frame, its number)`."""
        state = inputs.get("state")
        if state is not None:
            prediction = (state["mean"], state["log_variance"])
            return prediction, tf.cast(state["frame"], tf.int32)
        zeros = tf.zeros([batch, self.latent_dim])
        first = tf.cast(inputs.get("first_frame", 0), tf.int32)
        return (zeros, zeros), first

    def _by_factor(self, values):
        """`[B, T, Z]` -> `[B, T, k, d]`."""
        shape = tf.concat([tf.shape(values)[:2], self.latent_shape], axis=0)
        return tf.ensure_shape(
            tf.reshape(values, shape), [None, None, *self.latent_shape]
        )

    # ---- factors one at a time ---------------------------------------------

    def replace_factor(self, latents, factor, base_frame=1, still=None):
        """Latents in which one factor moves and the others stand still.

        Args:
            latents: `[B, T, Z]`.
            factor: Which one moves.
            base_frame: Frame whose values the others keep; the last one of a
                shorter clip.
            still: `[B, Z]`, the values that they keep instead.

        Returns:
            `[B, T, Z]`.
        """
        if still is None:
            last = tf.minimum(base_frame, tf.shape(latents)[1] - 1)
            still = latents[:, last]
        still = still[:, None]
        begin = factor * self.latent_shape[1]
        moves = np.zeros(self.latent_dim, bool)
        moves[begin : begin + self.latent_shape[1]] = True
        return tf.where(moves, latents, still)

    def render_factors(self, latents, still=None):
        """`[B, T, k, H, W, C]`: each factor moving while the others stand."""
        drawn = [
            self.draw(self.replace_factor(latents, factor, still=still))
            for factor in range(self.latent_shape[0])
        ]
        return tf.stack(drawn, axis=2)

    def vary(self, inputs, factor, by="posterior"):
        """The paper's independent generations: one factor varies.

        The frames before the second one are plain reconstructions.

        Args:
            inputs: As for `call`.
            factor: Which factor.
            by: `"posterior"`: it follows the video; `"transition"`: it is
                predicted from its value in the second frame on; `"prior"`:
                it is drawn from N(0, I) in every frame.

        Returns:
            `[B, T, H, W, C]`.

        Raises:
            ValueError: If there is no such factor, or `by` is unknown.
        """
        if not 0 <= factor < self.latent_shape[0]:
            raise ValueError(
                f"factors have the numbers 0...{self.latent_shape[0] - 1}, got "
                f"{factor}"
            )
        if by not in VARY:
            raise ValueError(f"by must be one of {VARY}, got {by!r}")
        _, features = self._features(inputs)
        latents = self.filter(inputs, features, use_means=True)[0]["latents"]
        moving = latents
        if by != "posterior":
            count = tf.shape(latents)[1] - 2
            start = latents[:, 1]
            moved = (
                self._evolve(inputs, start, count)
                if by == "transition"
                else self._noise_like(inputs, count)
            )
            moving = tf.concat([latents[:, :2], moved], axis=1)
        moving = self.replace_factor(moving, factor)
        return self.draw(tf.concat([latents[:, :2], moving[:, 2:]], axis=1))

    def _noise_like(self, inputs, count):
        """N(0, I) for `count` frames, `[B, count, Z]`."""
        seeds = base.clip_seeds(inputs)
        noise = FrameNoise(seeds, tf.range(count)).normal(
            _NOISE + 1, (self.latent_dim,)
        )
        return tf.reshape(noise, [tf.shape(seeds)[0], count, self.latent_dim])

    def _evolve(self, inputs, latents, count):
        """Samples `count` transitions from latents `[B, Z]` on."""
        prediction = self.transition(latents)
        state = {"mean": prediction[0], "log_variance": prediction[1]}
        noise = self._noise_like(inputs, count)
        return self._predict(state, noise, count)[0]

    def _predict(self, state, noise, count):
        """`(latents [B, count, Z], prediction of the frame after them)`."""

        def step(t, prediction):
            latents = DiagonalGaussian.of(*prediction).from_noise(noise[:, t])
            return self.transition(latents), {"latents": latents}

        start = (state["mean"], state["log_variance"])
        prediction, records = scan_frames(step, count, start, ["latents"])
        return records["latents"], prediction

    # ---- prediction and the rest of the contract ---------------------------

    def predict_frames(self, state, seed, num_frames, use_means=False):
        """Continues a video by the learned transitions.

        Args:
            state: The `state` of an earlier output.
            seed: `[B, 2]`, the clip's seeds.
            num_frames: Number of frames to predict.
            use_means: Hands on means in place of samples.

        Returns:
            A `Decomposition` of the predicted frames, with `state`.
        """
        first = tf.cast(state["frame"], tf.int32)
        shape = [tf.shape(state["mean"])[0], num_frames, self.latent_dim]
        noise = FrameNoise(
            tf.cast(seed, tf.int32), first + tf.range(num_frames)
        ).normal(_NOISE, (self.latent_dim,))
        noise = tf.reshape(noise, shape)
        if use_means:
            noise = tf.zeros_like(noise)
        latents, prediction = self._predict(state, noise, num_frames)
        still = _still(state, latents)
        return {
            "recon": self.draw(latents),
            "slots": self._by_factor(latents),
            "components": self.render_factors(latents, still),
            "state": {
                "mean": prediction[0],
                "log_variance": prediction[1],
                "frame": first + num_frames,
                "still": still,
            },
        }

    def sample_prior(self, num_samples, num_frames=1, seed=(0, 0)):
        """Draws videos: N(0, I), then the transitions.

        Args:
            num_samples: `N`.
            num_frames: `T`.
            seed: Two integers.

        Returns:
            As `predict_frames`, `[N, T, ...]`.
        """
        seeds = tf.random.split(seed, num_samples)
        zeros = tf.zeros([num_samples, self.latent_dim])
        state = {"mean": zeros, "log_variance": zeros, "frame": 0}
        return self.predict_frames(state, seeds, num_frames)

    def encode(self, inputs):
        """Posterior means `slots` `[B, T, k, d]`."""
        _, features = self._features(inputs)
        records, _ = self.filter(inputs, features)
        return {"slots": self._by_factor(records["mean"])}

    def filter_frame(self, frames, mean, log_variance):
        """`filter` with posterior means, one frame and no loop.

        Called frame after frame, it is the whole of inference; so DVIP runs
        where there are no loops (`exporting.feed_forward`).

        Args:
            frames: `[N, H, W, C]` in [0, 1].
            mean: `[N, Z]`, of what was predicted for them; zeros before the
                first frame.
            log_variance: `[N, Z]`, see `mean`.

        Returns:
            `slots` `[N, k, d]`, and `next_mean` and `next_log_variance`, what
            is predicted for the next frame.
        """
        prediction = DiagonalGaussian.of(mean, log_variance)
        latents = self.posterior(self.encoder(frames), prediction).loc
        following = self.transition(latents)
        return {
            "slots": tf.reshape(latents, [-1, *self.latent_shape]),
            "next_mean": following[0],
            "next_log_variance": following[1],
        }

    def decode(self, slots):
        """Draws factors `[N, k, d]`: `recon` `[N, H, W, C]`."""
        flat = tf.reshape(slots, [-1, self.latent_dim])
        return {"recon": self.generator(flat)}

    def traverse(self, inputs, slot, dims=None, values=None):
        """Sweeps latents of one factor in the last frame.

        Args:
            inputs: As for `call`.
            slot: The factor.
            dims: Latents of the factor; all of them by default.
            values: Values to set; `linspace(-2, 2, 7)` by default.

        Returns:
            `[B, len(dims), len(values), H, W, C]`.
        """
        values = np.linspace(-2, 2, 7) if values is None else values
        dims = base.check_sweep(slot, dims, *self.latent_shape)
        latents = self.encode(inputs)["slots"][:, -1]  # [B, k, d]
        rows = []
        for dim in dims:
            chosen = np.zeros(self.latent_shape, bool)
            chosen[slot, dim] = True
            swept = [
                self.decode(tf.where(chosen, float(value), latents))["recon"]
                for value in values
            ]
            rows.append(tf.stack(swept, axis=1))
        return tf.stack(rows, axis=1)

    def step_flops(self, batch_size, num_frames):
        """Floating-point operations of a training step (networks of frames)."""
        forward = self.encoder.frame_flops + self.generator.frame_flops
        return 3 * batch_size * num_frames * forward


def distributions(records):
    """`(q, p)` of the frames of `DVIP.filter`. Event `[Z]`, batch `[B, T]`."""
    return (
        DiagonalGaussian.of(records["mean"], records["log_variance"]),
        DiagonalGaussian.of(
            records["prior_mean"], records["prior_log_variance"]
        ),
    )


def _still(state, latents):
    """Latents `[B, Z]` that stand still: those of the video's frame 1.

    In the later chunks of a long video they come with the state.

    Args:
        state: The state of the chunk before, or None.
        latents: `[B, T, Z]`.
    """
    if state is not None and "still" in state:
        return state["still"]
    return latents[:, tf.minimum(1, tf.shape(latents)[1] - 1)]


def _unfold(values, shape):
    """`[B * T, ...]` -> `[B, T, ...]`."""
    tail = values.shape[1:]
    values = tf.reshape(values, tf.concat([shape, tf.shape(values)[1:]], 0))
    return tf.ensure_shape(values, [None, None, *tail])
