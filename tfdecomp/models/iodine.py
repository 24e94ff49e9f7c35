"""IODINE: iterative object decomposition inference.

    p(z_k) = N(0, I)
    p(x | z) = prod_i sum_k m_ik N(x_i; mu_ik, s I),  mu_k, m_k = g(z_k)
    lambda_{j+1} = lambda_j + f(a_j, h_j),  j = 0 ... R - 1
    L_j = -log p(x | z_j) + sum_k KL(q_j(z_k) || p(z_k))
    loss = sum_j w_j L_j,  w_j = j / R

R refinements, R + 1 decodes; all slots start from the same trainable
lambda_0 and part by their noise alone.

References:
    Greff et al., Multi-Object Representation Learning with Iterative
    Variational Inference. ICML 2019.
"""

import math

import gin
import keras
import numpy as np
import tensorflow as tf

from tfdecomp.distributions.gaussians import DiagonalGaussian
from tfdecomp.models import base
from tfdecomp.models.iterative import (
    IterativeModel,
    at_least,
    check_slots,
    sample_scenes,
    scheduled_refinements,
    sweep,
)
from tfdecomp.models.parts.frames import CellNoise, scan_frames
from tfdecomp.models.parts.iodine_update import UpdateNetwork

PICTURE_INPUTS = (
    "frame",
    "means",
    "masks",
    "mask_logits",
    "mask_posterior",
    "mean_gradient",
    "mask_logit_gradient",
    "pixel_log_likelihood",
    "leave_one_out_ratio",
    "coordinates",
)
VECTOR_INPUTS = ("parameter_gradient", "parameters")
STEP_WEIGHTS = ("linspace", "per_decode", "constant")


@gin.register(module="models")
@keras.saving.register_keras_serializable(package="tfdecomp")
class IODINE(UpdateNetwork):
    """IODINE; the defaults are sized as the paper's for CLEVR, 128x128.

    They read what the published code reads and score R + 1 decodes; the
    presets `gin/papers/iodine/*_paper.gin` follow the text.

    The frames of a video are decomposed one by one, each from scratch; see
    `SequentialIODINE` for a model of video.

    Args:
        decoder: See `IterativeModel`; `layers.BroadcastDecoder` by default,
            `layers.DeconvDecoder` for the paper's ablation.
        encoder: See `IterativeModel`.
        units: Size of the LSTM; None or 0 for none (Tetrominoes).
        lstm_initializer: See `layers.LSTMCell.initializer`.
        forget_offset: See `layers.LSTMCell`.
        without: Names of inputs to leave out, of pictures or vectors
            (`"parameter_gradient"`, `"parameters"`): the paper's ablation.
        step_weights: Weights of the decodes j = 0 ... R: `"linspace"` j / R,
            `"per_decode"` (j + 1) / (R + 1), eq. 4 with T = R + 1 decodes,
            `"constant"` 1, or a sequence of R + 1 numbers.
        update_rule: `"additive"`, or `"predictor_corrector"`: the gated
            update of IODINE's code for sequences.
        prior_variance: Of p(z); 1, or log 2 in IODINE's code.
        variance_floor: Added to a posterior variance that is read through a
            softplus; 0 in IODINE's code.
        latent_constant: A number appended to every latent before it is
            decoded (5 in IODINE's code), or None.
        vector_constant: A number appended to the code and vectors that the
            update reads (0.5 in IODINE's code), or None.
        initial_range: lambda_0 starts uniform in plus and minus this;
            sqrt(3 / (2 Z)) by default.
        head_initializer: Of the update head; see `layers.conv`.
        deterministic: Takes the posterior mean from the first refinement on.
            The first sample stays noisy, or all slots would remain equal.
        truncate_bptt: Cuts the gradient between cells after every so many; 0
            never does.
        **kwargs: See `IterativeModel`.

    Call arguments:
        inputs: A `tfdecomp.types.Batch`; `noise` `[B, T, R + 1, K, Z]` may
            replace the noise drawn from the seeds.
        training: Whether in training mode: leaves out what the loss does not
            need.
        num_slots: `K`, if not the model's.
        num_refinements: `R`, if not the model's; a schedule may set it too,
            by `inputs["num_refinements"]`.

    Returns:
        A `tfdecomp.types.Decomposition`.

    Raises:
        ValueError: If `num_refinements` is below 1 or `num_slots` below 2,
            an option is unknown, or the video's shape does not fit.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.models.iodine import IODINE
        >>> model = IODINE(num_slots=3, image_size=16, num_refinements=1)
        >>> outputs = model({"video": np.zeros([1, 1, 16, 16, 3], np.uint8)})
        >>> outputs["masks"].shape
        TensorShape([1, 1, 3, 16, 16, 1])
    """

    looks_ahead = False  # a frame depends on no other
    scheduled_weights = (*IterativeModel.scheduled_weights, "num_refinements")

    def __init__(
        self,
        decoder=None,
        encoder=None,
        *,
        image_size=128,
        channels=3,
        num_slots=7,
        num_refinements=5,
        latent_dim=64,
        units=256,
        lstm_initializer="truncated_normal",
        forget_offset=1.0,
        variance=0.01,
        granularity="pixel",
        component="normal",
        parameterization="softplus",
        refinement_inputs=PICTURE_INPUTS,
        without=(),
        affine_norm=True,
        flat_mask_posterior=False,
        step_weights="linspace",
        update_rule="additive",
        reconstruction_weight=1.0,
        kl_weight=1.0,
        entropy_weight=0.0,
        prior_variance=1.0,
        variance_floor=1e-5,
        latent_constant=None,
        vector_constant=None,
        initial_range=None,
        initial_log_variance=None,
        head_initializer="truncated_normal",
        update_bias=None,
        deterministic=False,
        truncate_bptt=0,
        features=None,
        rematerialize=False,
        **kwargs,
    ):
        side = (image_size,) * 2 if isinstance(image_size, int) else image_size
        known = (*refinement_inputs, *VECTOR_INPUTS)
        if set(without) - set(known):
            raise ValueError(
                f"without names {sorted(set(without) - set(known))}, which "
                f"are no inputs of this model; it has {known}"
            )
        super().__init__(
            decoder or default_decoder(side, channels),
            encoder or default_encoder(),
            image_size=image_size,
            channels=channels,
            num_slots=num_slots,
            num_refinements=num_refinements,
            latent_dim=latent_dim,
            variance=variance,
            granularity=granularity,
            component=component,
            parameterization=parameterization,
            refinement_inputs=[
                n for n in refinement_inputs if n not in without
            ],
            affine_norm=affine_norm,
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
        self.units = units or 0
        self.lstm_initializer = lstm_initializer
        self.forget_offset = forget_offset
        self.all_inputs = tuple(refinement_inputs)
        self.without = tuple(without)
        self.vector_inputs = [n for n in VECTOR_INPUTS if n not in without]
        self.step_weights = check_step_weights(step_weights, num_refinements)
        self.update_rule = update_rule
        self.prior_variance = prior_variance
        self.variance_floor = variance_floor
        self.latent_constant = latent_constant
        self.vector_constant = vector_constant
        self.initial_range = initial_range
        self.head_initializer = head_initializer
        self.deterministic = deterministic
        self.truncate_bptt = truncate_bptt
        check_refinements(num_refinements)
        if truncate_bptt == 1:
            raise ValueError(
                "truncate_bptt=1 cuts every gradient of the refinement "
                "network; use at least 2, or 0 for none"
            )
        self._make_update()

    def _initialize_parameters(self, shape, dtype=None):
        """lambda_0: uniform around 0, or of a chosen variance."""
        if self.initial_log_variance is None:
            limit = self.initial_range or math.sqrt(3.0 / shape[0])
            return keras.random.uniform(shape, -limit, limit, dtype=dtype)
        raw = self.initial_log_variance
        if self.parameterization == "softplus":
            raw = math.log(math.expm1(math.exp(raw)))
        values = np.repeat([0.0, raw], self.latent_dim)
        return tf.constant(values, dtype or tf.float32)

    # ---- the generative model ----------------------------------------------

    def prior(self):
        """p(z_k). Event `[Z]`, no batch."""
        zeros = tf.zeros([self.latent_dim])
        return DiagonalGaussian.of(zeros, zeros + math.log(self.prior_variance))

    def posterior(self, inputs, **options):
        if isinstance(inputs, dict):
            inputs = self.infer(inputs, **options)
        return DiagonalGaussian(
            inputs, self.parameterization, floor=self.variance_floor
        )

    def likelihood(self, latents):
        """p(x | z), mixed over slots. Event `[H, W, C]`, batch `[B]`.

        Args:
            latents: `[B, K, Z]`, of one frame.

        Returns:
            A `PixelMixture`.
        """
        return self.mixture(*self.decode_latents(latents))

    def decode_latents(self, latents, context=None):
        if self.latent_constant is not None:
            constant = tf.fill(
                tf.shape(latents[..., :1]), float(self.latent_constant)
            )
            latents = tf.concat([latents, constant], axis=-1)
        return super().decode_latents(latents, context)

    def sample_prior(self, num_samples, seed=(0, 0), num_slots=None):
        """Draws scenes: every slot from the prior, means clipped to [0, 1].

        Args:
            num_samples: `N`.
            seed: Two integers.
            num_slots: `K`, if not the model's.

        Returns:
            As `decode`, with `slots` `[N, K, Z]`.
        """
        return sample_scenes(self, num_samples, seed, num_slots)

    # ---- refinement --------------------------------------------------------

    def sample(self, cell, parameters):
        latents = super().sample(cell, parameters)
        if not self.deterministic:
            return latents
        mean = parameters[..., : self.latent_dim]
        return tf.where(cell["is_first"] > 0.5, latents, mean)

    def step_weight(self, r, decodes):
        """Weight of decode r = 1 ... D out of D = R + 1."""
        r, decodes = tf.cast(r, tf.float32), tf.cast(decodes, tf.float32)
        if self.step_weights == "linspace":
            return (r - 1.0) / (decodes - 1.0)
        if self.step_weights == "per_decode":
            return r / decodes
        if self.step_weights == "constant":
            return tf.ones([])
        weights = tf.constant(self.step_weights, tf.float32)
        last = tf.size(weights) - 1  # more decodes at test time
        return tf.gather(weights, tf.minimum(tf.cast(r, tf.int32) - 1, last))

    def cell(self, inputs, batch, num_slots):
        """What all cells share: loss weights and the prior."""
        names = IterativeModel.scheduled_weights
        scalars = {n: self.weight(inputs, n) for n in names}
        zeros = tf.zeros([batch, num_slots, self.latent_dim])
        prior = self.prior()
        return {
            **scalars,
            "prior_mean": zeros + prior.mean(),
            "prior_log_variance": zeros + prior.log_variance(),
        }

    def latent_kl(self, cell, parameters):
        """KL of every latent, `[B, K, Z]` nats."""
        return self.posterior(parameters).kl_terms(self.cell_prior(cell))

    # ---- images and clips --------------------------------------------------

    def call(
        self, inputs, training=False, num_slots=None, num_refinements=None
    ):
        names = ["nll", "kl", "entropy", "means", "masks", "parameters"]
        more = [] if training else ["latent_kl"]
        total, records = self._observe(
            inputs, [*names, *more], num_slots, num_refinements
        )
        outputs = self.decomposition(
            records,
            self.weight(inputs, "variance"),
            with_components=not training,
        )
        outputs |= {name: records[name] for name in more}
        return {**outputs, "loss": total}

    def infer(self, inputs, num_slots=None, num_refinements=None):
        """lambda of every frame after its refinements, `[B, T, K, 2 Z]`."""
        return self._observe(
            inputs, ["parameters"], num_slots, num_refinements
        )[1]["parameters"]

    def _observe(self, inputs, names, num_slots, num_refinements):
        """All frames: `(loss [B], records of these names)`."""
        self.check_video(inputs["video"])
        num_slots = check_slots(num_slots, self.num_slots)
        num_refinements = scheduled_refinements(inputs, num_refinements)
        budget = check_refinements(num_refinements, self.num_refinements)
        video = base.without_gradient(inputs["video"])
        batch, num_frames = tf.shape(video)[0], tf.shape(video)[1]
        first = tf.cast(inputs.get("first_frame", 0), tf.int32)
        weights = self.read_weights()
        shared = self.cell(inputs, batch, num_slots)
        noise = self._noise(inputs, num_slots)

        def frame(t, total):
            cell = {
                **shared,
                "frame": base.as_float(tf.gather(video, t, axis=1)),
                "noise": noise(t, first + t, budget + 1),
            }
            outputs = self.infer_frame(
                weights, cell, budget, lambda r: self.step_weight(r, budget + 1)
            )
            latent_kl = self.latent_kl(cell, outputs["parameters"])
            return total + outputs["loss"], {**outputs, "latent_kl": latent_kl}

        return scan_frames(frame, num_frames, tf.zeros([batch]), names)

    def _noise(self, inputs, num_slots):
        return CellNoise(
            base.clip_seeds(inputs),
            (num_slots, self.latent_dim),
            share_first=False,
            given=inputs.get("noise"),
        )

    def refinement_history(self, inputs, num_refinements=None, num_slots=None):
        """Every decode of one picture, not just the last.

        Args:
            inputs: As for `call`, of one frame: `[B, 1, H, W, C]`.
            num_refinements: `R`, if not the model's.
            num_slots: `K`, if not the model's.

        Returns:
            A `Decomposition` whose frames are the decodes: `recon` is `[B,
            R + 1, H, W, C]`, and so on; also `nll_by_step` and `kl_by_step`
            `[B, R + 1]` and `parameters` `[B, R + 1, K, 2 Z]`.
        """
        self.check_video(inputs["video"])
        num_slots = check_slots(num_slots, self.num_slots)
        budget = check_refinements(num_refinements, self.num_refinements)
        frame = base.as_float(tf.convert_to_tensor(inputs["video"])[:, 0])
        batch = tf.shape(frame)[0]
        first = tf.cast(inputs.get("first_frame", 0), tf.int32)
        noise = self._noise(inputs, num_slots)(0, first, budget + 1)
        weights = self.read_weights()
        common = {**self.cell(inputs, batch, num_slots), "frame": frame}
        common["shared"] = self.shared_maps(frame)

        def step(j, carry):
            here = {"noise": noise[:, j], "is_first": is_zero(j)}
            arguments = {
                "weights": weights,
                "cell": {**common, **here},
                "parameters": carry[0],
                "state": carry[1],
            }
            outputs = self.run_cell(self.refine_cell, arguments)
            records = {**outputs, "parameters": carry[0]}
            return (outputs["parameters"], outputs["state"]), records

        _, records = scan_frames(
            step,
            budget + 1,
            self.start(batch, num_slots),
            ["nll", "kl", "entropy", "means", "masks", "parameters"],
        )
        outputs = self.decomposition(records, common["variance"])
        return {
            **outputs,
            "nll_by_step": records["nll"],
            "kl_by_step": records["kl"],
            "parameters": records["parameters"],
        }

    # ---- beyond decomposition ----------------------------------------------

    def encode(self, inputs, num_slots=None, num_refinements=None):
        """Posterior means `slots` `[B, T, K, Z]`."""
        outputs = self(
            inputs, num_slots=num_slots, num_refinements=num_refinements
        )
        return {"slots": outputs["slots"]}

    def traverse(self, inputs, slot, dims=None, values=None):
        """Sweeps latents of one slot in the last frame.

        Args:
            inputs: As for `call`.
            slot: The slot to change.
            dims: Latent dimensions; all of them by default. The paper sorts
                them by the outputs' `latent_kl`.
            values: Values to set; `linspace(-1.25, 1.25, 9)` by default.

        Returns:
            `[B, len(dims), len(values), H, W, C]`.
        """
        values = np.linspace(-1.25, 1.25, 9) if values is None else values
        dims = base.check_sweep(slot, dims, self.num_slots, self.latent_dim)
        latents = self(inputs)["slots"][:, -1]
        rows = []
        for dim in dims:  # all values of a dimension in one decode
            swept = self.decode(sweep(latents, slot, dim, values))["recon"]
            rows.append(tf.stack(tf.split(swept, len(values)), axis=1))
        return tf.stack(rows, axis=1)

    def cells(self, num_frames, num_refinements=None):
        """`(decodes, refinements)` of a clip."""
        budget = num_refinements or self.num_refinements
        return num_frames * (budget + 1), num_frames * budget

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "lstm_initializer": self.lstm_initializer,
            "forget_offset": self.forget_offset,
            "parameterization": self.parameterization,
            "refinement_inputs": self.all_inputs,
            "without": self.without,
            "step_weights": self.step_weights,
            "update_rule": self.update_rule,
            "prior_variance": self.prior_variance,
            "variance_floor": self.variance_floor,
            "latent_constant": self.latent_constant,
            "vector_constant": self.vector_constant,
            "initial_range": self.initial_range,
            "head_initializer": self.head_initializer,
            "deterministic": self.deterministic,
            "truncate_bptt": self.truncate_bptt,
        }


def default_decoder(image_size, channels):
    """The broadcast decoder of the paper's CLEVR models."""
    from tfdecomp.layers.decoders.broadcast_decoder import BroadcastDecoder

    return BroadcastDecoder(
        image_size,
        channels=channels,
        dense=(),
        mean_activation="linear",
        initializer="truncated_normal",
        head_initializer="truncated_normal",
    )


def default_encoder():
    """The refinement encoder of the paper's CLEVR models."""
    from tfdecomp.layers.encoders.refinement_encoder import RefinementEncoder

    return RefinementEncoder(
        strides=2,
        pool="global",
        units=(256,),
        initializer="truncated_normal",
        dense_initializer="truncated_normal",
    )


def check_refinements(num_refinements, default=None):
    """R in use; `ValueError` below 1."""
    num_refinements = default if num_refinements is None else num_refinements
    return at_least(1, num_refinements, "num_refinements must be at least 1")


def check_step_weights(weights, num_refinements):
    """`weights`, as a tuple if numbers; `ValueError` if they do not fit."""
    if isinstance(weights, str):
        if weights in STEP_WEIGHTS:
            return weights
    elif len(weights) == num_refinements + 1:
        return tuple(weights)
    raise ValueError(
        f"step_weights must be one of {STEP_WEIGHTS}, or one number for each "
        f"of the {num_refinements + 1} decodes, got {weights!r}"
    )


def is_zero(j):
    """1.0 where `j` is 0, else 0.0."""
    return tf.cast(tf.equal(j, 0), tf.float32)
