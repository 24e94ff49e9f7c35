"""PROVIDE: probabilistic video decomposition.

    p(x, z) = prod_t p(z_t | past) p(x_t | z_t, past)
    p(z_t | past) = N(xi(h_{t-1}))                                    (eq. 5)
    p(x_t | z_t, past) = prod_i sum_k m_k N(x_i; mu_k, s),
        mu_k, m_k = g(z_k, h_{t-1})                                   (eq. 6)
    lambda_{t,r+1} = lambda_{t,r} + f(a_{t,r}, h_{t,r-1}, h_{t-1})    (eq. 4)
    L_{t,r} = -beta log p(x_t | z_{t,r}, past)
        + psi sum_k KL(q_{t,r} || p(z_t | past)) + gamma H(m)
    loss = sum_t sum_r w_{t,r} L_{t,r}                           (eqs. 3, 7)

Frame t takes max(R - t, 1) refinements and one decode more: the grid of cells
is a triangle, then a strip, and costs O(R^2 + T).

References:
    Zablotskaia et al., PROVIDE: A probabilistic framework for unsupervised
    video decomposition. UAI 2021.
"""

import gin
import keras
import numpy as np
import tensorflow as tf

from tfdecomp.distributions.gaussians import DiagonalGaussian
from tfdecomp.layers.conditional_prior import ConditionalPrior
from tfdecomp.layers.conv import Dense
from tfdecomp.layers.lstm2d_cell import LSTM2DCell
from tfdecomp.models import base
from tfdecomp.models.iterative import (
    IterativeModel,
    at_least,
    check_slots,
    scheduled_refinements,
    sweep,
    update_initializer,
)
from tfdecomp.models.parts.frames import CellNoise, scan_frames
from tfdecomp.models.parts.provide_prediction import FramePrediction
from tfdecomp.models.parts.refinement import merge_slots, split_slots

STEP_WEIGHTS = ("per_frame", "global", "skip_uninformed")


@gin.register(module="models")
@keras.saving.register_keras_serializable(package="tfdecomp")
class PROVIDE(FramePrediction):
    """PROVIDE, sized for 64x64 frames.

    The presets `gin/papers/provide/*_paper.gin` follow the text, those that
    end in `_reference` the published code.

    Args:
        decoder: See `IterativeModel`.
        encoder: See `IterativeModel`.
        units: Size of the 2D-LSTM's state.
        grid: Whether later frames take fewer refinements (eq. 4); without,
            every frame takes R - 1 (the "base" ablation).
        conditional: Whether prior and decoder see the temporal state; without
            ("CP+G" off), the prior is N(0, I) and the decoder reads z alone.
        prior_scale: See `layers.ConditionalPrior.scale`.
        extra_refinement: Refines once more after a frame's last decode, from
            the second frame on, as the published code does.
        step_weights: Weight of decode r = 1..D in its frame: `"per_frame"`
            r / D, over the frame's own steps as in the paper; `"global"`
            r / R (published code); `"skip_uninformed"` as `"per_frame"`, but
            (r - 1) / (D - 1) in a video's first frame, whose first decode
            knows nothing.
        share_first_noise: The first sample of every frame uses the clip's
            one noise; else fresh noise.
        stop_first_gradient: Cuts dL/d lambda to its KL part in a frame's
            first cell, as in the published code: the first sample is no
            function of the frame's own lambda, but of a second reading of
            lambda_0, which the loss still trains.
        separate_biases: See `layers.LSTM2DCell`; so in the published code.
        **kwargs: See `IterativeModel`.

    Call arguments:
        inputs: A `tfdecomp.types.Batch`; `noise` `[B, T, D, K, Z]` may
            replace the noise drawn from the seeds.
        training: Whether in training mode: leaves out what the loss does not
            need.
        num_slots: `K`, if not the model's.
        num_refinements: `R`, if not the model's; a schedule may set it too,
            by `inputs["num_refinements"]`.

    Returns:
        A `tfdecomp.types.Decomposition`.

    Raises:
        ValueError: If `num_refinements` or `num_slots` is below 2, an option
            is unknown, or the video's shape does not fit.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.models.provide import PROVIDE
        >>> model = PROVIDE(num_slots=3, image_size=16, num_refinements=2)
        >>> outputs = model({"video": np.zeros([1, 2, 16, 16, 3], np.uint8)})
        >>> outputs["masks"].shape
        TensorShape([1, 2, 3, 16, 16, 1])
    """

    looks_ahead = False  # a frame depends on no later one
    scheduled_weights = (*IterativeModel.scheduled_weights, "num_refinements")

    def __init__(
        self,
        decoder=None,
        encoder=None,
        *,
        image_size=64,
        channels=3,
        num_slots=5,
        num_refinements=6,
        latent_dim=64,
        units=128,
        variance=0.3,
        granularity="channel",
        grid=True,
        conditional=True,
        prior_scale="log_scale",
        extra_refinement=False,
        step_weights="per_frame",
        share_first_noise=True,
        stop_first_gradient=False,
        separate_biases=False,
        refinement_inputs=(
            "frame",
            "means",
            "masks",
            "mask_logits",
            "mean_gradient",
            "mask_gradient",
            "mask_posterior",
            "pixel_log_likelihood",
            "coordinates",
        ),
        flat_mask_posterior=False,
        reconstruction_weight=100.0,
        kl_weight=10.0,
        entropy_weight=0.0,
        initial_log_variance=None,
        update_bias=None,
        features=None,
        rematerialize=False,
        **kwargs,
    ):
        # Imported here so that a user's own layers can stand in for them.
        from tfdecomp.layers.decoders.broadcast_decoder import BroadcastDecoder
        from tfdecomp.layers.encoders.refinement_encoder import (
            RefinementEncoder,
        )

        side = (image_size,) * 2 if isinstance(image_size, int) else image_size
        if decoder is None:
            dense = (64, 64) if conditional else ()
            decoder = BroadcastDecoder(side, channels=channels, dense=dense)
        super().__init__(
            decoder,
            encoder or RefinementEncoder(),
            image_size=image_size,
            channels=channels,
            num_slots=num_slots,
            num_refinements=num_refinements,
            latent_dim=latent_dim,
            variance=variance,
            granularity=granularity,
            parameterization="log_variance",
            refinement_inputs=refinement_inputs,
            flat_mask_posterior=flat_mask_posterior,
            reconstruction_weight=reconstruction_weight,
            kl_weight=kl_weight,
            entropy_weight=entropy_weight,
            initial_log_variance=initial_log_variance,
            update_bias=update_bias,
            features=features,
            rematerialize=rematerialize,
            **kwargs,
        )
        if step_weights not in STEP_WEIGHTS:
            raise ValueError(
                f"step_weights must be one of {STEP_WEIGHTS}, got "
                f"{step_weights!r}"
            )
        check_refinements(num_refinements)
        self.units = units
        self.grid = grid
        self.conditional = conditional
        self.prior_scale = prior_scale
        self.extra_refinement = extra_refinement
        self.step_weights = step_weights
        self.share_first_noise = share_first_noise
        self.stop_first_gradient = stop_first_gradient
        self.separate_biases = separate_biases
        self.lstm = LSTM2DCell(units, separate_biases, name="lstm")
        self.head = Dense(
            2 * latent_dim,
            bias=update_initializer(update_bias),
            dtype="float32",
            name="update",
        )
        self.prior_layer = (
            ConditionalPrior(latent_dim, scale=prior_scale, name="prior")
            if conditional
            else None
        )

    def build(self, input_shape=None):
        """Builds all weights; no input is needed."""
        if self.built:
            return
        context = self.units if self.conditional else 0
        self.build_inference(self.latent_dim + context)
        code = self.encoder.units[-1]
        self.lstm.build((None, 4 * self.latent_dim + code))
        self.head.build((None, self.units))
        if self.conditional:
            self.prior_layer.build((None, self.units))
        self.built = True

    # ---- the generative model ----------------------------------------------

    def prior_parameters(self, hidden):
        """xi(h): mean and log-variance, `[B, K, Z]` each (eq. 5)."""
        if not self.conditional:
            zeros = tf.zeros_like(hidden[..., :1])
            zeros = tf.repeat(zeros, self.latent_dim, axis=-1)
            return zeros, zeros
        num_slots = tf.shape(hidden)[1]
        mean, log_variance = self.prior_layer(merge_slots(hidden))
        return (
            split_slots(mean, num_slots),
            split_slots(log_variance, num_slots),
        )

    def prior(self, hidden=None):
        """p(z_t | past) (eq. 5). Event `[Z]`, batch `[B, K]`.

        Args:
            hidden: `[B, K, U]`, the temporal state; by default that before
                frame 1 of one slot, zeros `[1, 1, U]`.

        Returns:
            A `DiagonalGaussian`.
        """
        hidden = tf.zeros([1, 1, self.units]) if hidden is None else hidden
        return DiagonalGaussian.of(*self.prior_parameters(hidden))

    def likelihood(self, latents, hidden=None):
        """p(x_t | z_t, past), mixed over slots (eq. 6).

        Args:
            latents: `[B, K, Z]`, of one frame.
            hidden: `[B, K, U]`, the temporal state; zeros by default, as
                before frame 1.

        Returns:
            A `PixelMixture`. Event `[H, W, C]`, batch `[B]`.
        """
        if hidden is None:
            batch, num_slots = tf.shape(latents)[0], tf.shape(latents)[1]
            hidden = tf.zeros([batch, num_slots, self.units])
        means, logits = self.decode_latents(latents, self._context(hidden))
        return self.mixture(means, logits)

    def _context(self, hidden):
        return hidden if self.conditional else None

    # ---- the grid of cells -------------------------------------------------

    def refinements_in_frame(self, number, num_refinements):
        """max(R - t, 1) with t = number + 1; R - 1 without the grid."""
        if not self.grid:
            return num_refinements - 1
        return tf.maximum(num_refinements - number - 1, 1)

    def step_weight(self, r, decodes, num_refinements, number):
        """Weight of decode r = 1..D of frame `number` with D decodes."""
        r, decodes = tf.cast(r, tf.float32), tf.cast(decodes, tf.float32)
        if self.step_weights == "global":
            return r / tf.cast(num_refinements, tf.float32)
        if self.step_weights == "skip_uninformed":
            skipped = tf.cast(tf.equal(number, 0), tf.float32)
            return (r - skipped) / (decodes - skipped)
        return r / decodes

    def sample(self, cell, parameters):
        latents = super().sample(cell, parameters)
        if not self.stop_first_gradient:
            return latents
        # lambda_0 once more, as a tensor of its own: the gradient that is fed
        # to the refinement does not see it, that of the loss does.
        initial = tf.convert_to_tensor(self.initial_parameters)[None, None]
        first = super().sample(cell, initial)
        return tf.where(cell["is_first"] > 0.5, first, latents)

    def update(self, cell, parameters, gradient, code, state):
        """f of eq. 4: the 2D-LSTM and the linear head.

        Args:
            cell: Holds `temporal`, `(h, c)` of the previous frame.
            parameters: `[B * K, 2 Z]`.
            gradient: dL/d lambda, normalised, `[B * K, 2 Z]`.
            code: `[B * K, U']` from the encoder.
            state: `(h, c)` of the previous refinement, `[B * K, U]` each.

        Returns:
            The next state, and the update of lambda `[B * K, 2 Z]`.
        """
        inputs = [parameters, gradient, tf.cast(code, tf.float32)]
        temporal = tuple(merge_slots(value) for value in cell["temporal"])
        state = self.lstm(tf.concat(inputs, -1), temporal, tuple(state))
        return state, self.head(state[0])

    def zero_state(self, count):
        """The refinement axis starts from zeros in every frame."""
        zeros = tf.zeros([count, self.units])
        return zeros, zeros

    def extra_cell(self, number, num_refinements):
        """Whether the frame's last cell refines, as in the published code.

        There only cell R skips it: that of frame 1, or of all if R = 2.
        """
        if not self.extra_refinement:
            return None
        return tf.logical_and(number > 0, num_refinements > 2)

    def conditioned(self, weights, cell, temporal):
        """Adds what a frame's cells know of the past."""
        with self.using(weights):
            mean, log_variance = self.prior_parameters(temporal[0])
        cell = {
            **cell,
            "temporal": temporal,
            "prior_mean": mean,
            "prior_log_variance": log_variance,
        }
        if self.conditional:
            cell["context"] = temporal[0]
        return cell

    # ---- clips -------------------------------------------------------------

    def call(
        self, inputs, training=False, num_slots=None, num_refinements=None
    ):
        names = ["nll", "kl", "entropy", "means", "masks", "parameters"]
        more = [] if training else ["context", "latent_kl"]
        state, total, records = self._observe(
            inputs, [*names, *more], num_slots, num_refinements
        )
        outputs = self.decomposition(
            records,
            self.weight(inputs, "variance"),
            with_components=not training,
        )
        outputs |= {name: records[name] for name in more}
        return {**outputs, "loss": total, "state": state}

    def infer(self, inputs, num_slots=None, num_refinements=None):
        """lambda of every frame after its refinements, `[B, T, K, 2 Z]`."""
        return self._observe(
            inputs, ["parameters"], num_slots, num_refinements
        )[2]["parameters"]

    def _observe(self, inputs, names, num_slots, num_refinements):
        """All frames: `(state, loss [B], records of these names)`."""
        self.check_video(inputs["video"])
        num_slots = check_slots(num_slots, self.num_slots)
        num_refinements = scheduled_refinements(inputs, num_refinements)
        num_refinements = check_refinements(
            num_refinements, self.num_refinements
        )
        video = base.without_gradient(inputs["video"])
        temporal, first = self.initial_state(inputs, num_slots)
        weights = self.read_weights()
        scalars = {
            name: self.weight(inputs, name)
            for name in IterativeModel.scheduled_weights
        }
        noise = CellNoise(
            base.clip_seeds(inputs),
            (num_slots, self.latent_dim),
            self.share_first_noise,
            inputs.get("noise"),
        )

        def frame(t, carry):
            temporal, total = carry
            number = first + t
            budget = self.refinements_in_frame(number, num_refinements)
            cell = {
                **scalars,
                "frame": base.as_float(tf.gather(video, t, axis=1)),
                "noise": noise(t, number, budget + 1),
            }
            cell = self.conditioned(weights, cell, temporal)
            outputs = self.infer_frame(
                weights,
                cell,
                budget,
                lambda r: self.step_weight(
                    r, budget + 1, num_refinements, number
                ),
                self.extra_cell(number, num_refinements),
            )
            after = tuple(split_slots(v, num_slots) for v in outputs["state"])
            q = self.posterior(outputs["parameters"])
            latent_kl = q.kl_terms(self.cell_prior(cell))
            records = {
                **outputs,
                "context": temporal[0],
                "latent_kl": latent_kl,
            }
            return (after, total + outputs["loss"]), records

        num_frames = tf.shape(video)[1]
        total = tf.zeros(tf.shape(video)[:1])
        ((h, c), total), records = scan_frames(
            frame, num_frames, (temporal, total), names
        )
        state = {"h": h, "c": c, "frame": first + num_frames}
        return state, total, records

    def initial_state(self, inputs, num_slots):
        """The temporal state `(h, c)` and the first frame's number."""
        state = inputs.get("state")
        if state is not None:
            return (state["h"], state["c"]), tf.cast(state["frame"], tf.int32)
        batch = tf.shape(inputs["video"])[0]
        zeros = tf.zeros([batch, num_slots, self.units])
        return (zeros, zeros), tf.cast(inputs.get("first_frame", 0), tf.int32)

    # ---- beyond decomposition ----------------------------------------------

    def traverse(self, inputs, slot, dims=None, values=None, joint=False):
        """Sweeps latents of one slot in the last frame.

        Args:
            inputs: As for `call`.
            slot: The slot to change.
            dims: Latent dimensions; all of them by default.
            values: Values to set; `linspace(-2.5, 2.5, 7)` by default.
            joint: Sets the same entry of the temporal state too, as the
                published code does.

        Returns:
            `[B, len(dims), len(values), H, W, C]`.
        """
        outputs = self(inputs)
        latents, hidden = outputs["slots"][:, -1], outputs["state"]["h"]
        dims = base.check_sweep(slot, dims, self.num_slots, self.latent_dim)
        values = np.linspace(-2.5, 2.5, 7) if values is None else values
        rows = []
        for dim in dims:  # all values of a dimension in one decode
            context = tf.tile(hidden, [len(values), 1, 1])
            if joint:
                context = sweep(hidden, slot, dim, values)
            pictures = self.decode(
                sweep(latents, slot, dim, values), self._context(context)
            )["recon"]
            rows.append(tf.stack(tf.split(pictures, len(values)), axis=1))
        return tf.stack(rows, axis=1)

    def encode(self, inputs, num_slots=None, num_refinements=None):
        """Posterior means `slots` `[B, T, K, Z]` and what `decode` needs."""
        outputs = self(
            inputs, num_slots=num_slots, num_refinements=num_refinements
        )
        names = ("slots", "context") if self.conditional else ("slots",)
        return {name: outputs[name] for name in names}

    def cells(self, num_frames, num_refinements=None):
        """Numbers of decodes and refinements of a clip from frame 1 on.

        Args:
            num_frames: T.
            num_refinements: R, if not the model's.

        Returns:
            `(decodes, refinements)`; both are affine in T from R - 1 on.
        """
        budget = num_refinements or self.num_refinements
        refinements = sum(
            max(budget - t - 1, 1) if self.grid else budget - 1
            for t in range(num_frames)
        )
        extra = num_frames - 1 if self.extra_refinement and budget > 2 else 0
        return refinements + num_frames, refinements + extra

    def refinement_kernels(self):
        """Kernels of the dense layers that run once per refinement."""
        return [*self.lstm.kernels, self.head.kernel]

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "grid": self.grid,
            "conditional": self.conditional,
            "prior_scale": self.prior_scale,
            "extra_refinement": self.extra_refinement,
            "step_weights": self.step_weights,
            "share_first_noise": self.share_first_noise,
            "stop_first_gradient": self.stop_first_gradient,
            "separate_biases": self.separate_biases,
        }


def check_refinements(num_refinements, default=None):
    """R in use; `ValueError` below 2."""
    num_refinements = default if num_refinements is None else num_refinements
    return at_least(
        2,
        num_refinements,
        "num_refinements must be at least 2 (one refinement and the last "
        "decode)",
    )
