"""PROVIDE: probabilistic video decomposition.

    p(x, z) = prod_t p(z_t | past) p(x_t | z_t, past)
    p(z_t | past) = N(xi(h_{t-1}))                                    (eq. 5)
    p(x_t | z_t, past) = prod_i sum_k m_k N(x_i; mu_k, s),
        mu_k, m_k = g(z_k, h_{t-1})                                   (eq. 6)
    lambda_{t,r+1} = lambda_{t,r} + f(a_{t,r}, h_{t,r-1}, h_{t-1})    (eq. 4)
    loss = sum_t sum_r w_{t,r} (beta NLL + psi KL + gamma H)          (eq. 7)

Frame t takes max(R - t, 1) refinements and one decode more: the grid of cells
is a triangle, then a strip, and costs O(R^2 + T).

References:
    Zablotskaia et al., PROVIDE: A probabilistic framework for unsupervised
    video decomposition. UAI 2021.
"""

import keras
import tensorflow as tf

import gin
from tfdecomp.distributions import gaussians
from tfdecomp.distributions.pixel_mixture import PixelMixture
from tfdecomp.layers.conditional_prior import ConditionalPrior
from tfdecomp.layers.conv import Dense
from tfdecomp.layers.lstm2d_cell import LSTM2DCell
from tfdecomp.models import base
from tfdecomp.models.iterative import (
    IterativeModel,
    clip_noise,
    merge_slots,
    split_slots,
    update_initializer,
)

_CLIP = -1  # folded into a clip's seed for the noise that its frames share
STEP_WEIGHTS = ("per_frame", "global", "skip_first")


@gin.register(module="models")
@keras.saving.register_keras_serializable(package="tfdecomp")
class PROVIDE(IterativeModel):
    """PROVIDE; the defaults are the paper's, sized for 64x64 frames.

    Args:
        decoder: See `IterativeModel`.
        encoder: See `IterativeModel`.
        units: Size of the 2D-LSTM's state.
        grid: Whether later frames take fewer refinements (eq. 4); without,
            every frame takes R - 1 (the "base" ablation).
        conditional: Whether prior and decoder see the temporal state; without
            ("CP+G" off), the prior is N(0, I) and the decoder reads z alone.
        prior_scale: See `layers.ConditionalPrior`.
        extra_refinement: Refines once more after a frame's last decode, from
            the second frame on, as the published code does.
        step_weights: Weight of decode r = 1..D in its frame: `"per_frame"`
            r / D, `"global"` r / R (published code), `"skip_first"`
            (r - 1) / (D - 1).
        share_first_noise: The first sample of every frame uses the clip's
            one noise; else fresh noise.
        stop_first_gradient: Cuts dL/d lambda to its KL part in a frame's
            first cell, as in the published code, where the first sample is a
            constant.
        **kwargs: See `IterativeModel`.

    Call arguments:
        inputs: A `tfdecomp.types.Batch`; `noise` `[B, T, D, K, Z]` may
            replace the noise drawn from the seeds.
        training: Whether in training mode: leaves out what the loss does not
            need.
        num_slots: `K`, if not the model's.
        num_refinements: `R`, if not the model's.

    Returns:
        A `tfdecomp.types.Decomposition`.

    Raises:
        ValueError: If `num_refinements` or `num_slots` is below 2, an option
            is unknown, or the video's shape does not fit.

    Example:

    >>> model = PROVIDE(num_slots=4, image_size=32)
    >>> masks = model({"video": video})["masks"]  # [B, T, 4, 32, 32, 1]
    """

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
        from tfdecomp.layers.broadcast_decoder import BroadcastDecoder
        from tfdecomp.layers.refinement_encoder import RefinementEncoder

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
        _check_refinements(num_refinements)
        self.units = units
        self.grid = grid
        self.conditional = conditional
        self.prior_scale = prior_scale
        self.extra_refinement = extra_refinement
        self.step_weights = step_weights
        self.share_first_noise = share_first_noise
        self.stop_first_gradient = stop_first_gradient
        self.lstm = LSTM2DCell(units, name="lstm")
        self.head = Dense(
            2 * latent_dim,
            bias=update_initializer(update_bias, latent_dim),
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

    def prior(self, hidden):
        """p(z_t | past). Event `[Z]`, batch `[B, K]`.

        Args:
            hidden: `[B, K, U]`, the temporal state; zeros before frame 1.
        """
        return gaussians.gaussian(tf.concat(self.prior_parameters(hidden), -1))

    def posterior(self, parameters):
        """q(z_t | x_{<=t}). Event `[Z]`, batch `[B, K]`."""
        return gaussians.gaussian(parameters)

    def likelihood(self, latents, hidden):
        """p(x_t | z_t, past), mixed over slots (eq. 6).

        Args:
            latents: `[B, K, Z]`.
            hidden: `[B, K, U]`.

        Returns:
            A `PixelMixture`; its `distribution()` is the TFP object.
        """
        means, logits = self.decode_latents(latents, self._context(hidden))
        return PixelMixture(means, logits, self.variance, self.granularity)

    def _context(self, hidden):
        return hidden if self.conditional else None

    # ---- the grid of cells -------------------------------------------------

    def refinements_in_frame(self, number, num_refinements):
        """max(R - t, 1) with t = number + 1; R - 1 without the grid."""
        if not self.grid:
            return num_refinements - 1
        return tf.maximum(num_refinements - number - 1, 1)

    def step_weight(self, r, decodes, num_refinements):
        """Weight of decode r = 1..D of a frame with D decodes."""
        r, decodes = tf.cast(r, tf.float32), tf.cast(decodes, tf.float32)
        if self.step_weights == "global":
            return r / tf.cast(num_refinements, tf.float32)
        if self.step_weights == "skip_first":
            return (r - 1.0) / (decodes - 1.0)
        return r / decodes

    def sample(self, cell, parameters):
        latents = super().sample(cell, parameters)
        if not self.stop_first_gradient:
            return latents
        constant = tf.stop_gradient(latents)
        return tf.where(cell["first"] > 0.5, constant, latents)

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

    def infer_frame(self, weights, cell, number, num_refinements):
        """All cells of one frame.

        Args:
            weights: From `read_weights`.
            cell: `frame` `[B, H, W, C]`, `noise` `[B, D, K, Z]`, `temporal`,
                loss weights.
            number: The frame's number in the video, from 0.
            num_refinements: R.

        Returns:
            A dictionary: the terms of the last decode, its `means`, `masks`
            and posterior `parameters`; the frame's `loss`; the next
            `temporal` state.
        """
        noise, hidden = cell.pop("noise"), cell["temporal"][0]
        batch, num_slots = tf.shape(hidden)[0], tf.shape(hidden)[1]
        budget = self.refinements_in_frame(number, num_refinements)
        with self.using(weights):
            cell["prior_mean"], cell["prior_log_variance"] = (
                self.prior_parameters(hidden)
            )
            cell["shared"] = self.shared_maps(cell["frame"])
            initial = tf.convert_to_tensor(self.initial_parameters)
        if self.conditional:
            cell["context"] = hidden

        def arguments(r, parameters, state):
            first = tf.cast(tf.equal(r, 0), tf.float32)
            return {
                "weights": weights,
                "cell": {**cell, "noise": noise[:, r], "first": first},
                "parameters": parameters,
                "state": state,
            }

        def weight(r):
            return self.step_weight(r + 1, budget + 1, num_refinements)

        def refine(r, parameters, state, loss):
            outputs = self.run_cell(
                self.refine_cell, arguments(r, parameters, state)
            )
            loss += weight(r) * outputs["loss"]
            return r + 1, outputs["parameters"], outputs["state"], loss

        zeros = tf.zeros([batch * num_slots, self.units])
        start = (
            tf.constant(0),
            tf.tile(initial[None, None], [batch, num_slots, 1]),
            (zeros, zeros),  # the refinement axis restarts in every frame
            tf.zeros([batch]),
        )
        budget = tf.convert_to_tensor(budget)
        r, parameters, state, loss = tf.while_loop(
            lambda r, *_: r < budget,
            refine,
            start,
            shape_invariants=tf.nest.map_structure(_loose, start),
            parallel_iterations=1,
        )
        outputs = self._last_cell(number, num_refinements, arguments, r,
                                  parameters, state)  # fmt: skip
        state = outputs.pop("state")
        return {
            **outputs,
            "loss": loss + weight(r) * outputs["loss"],
            "parameters": parameters,
            "temporal": tuple(split_slots(v, num_slots) for v in state),
        }

    def _last_cell(self, number, num_refinements, arguments, r, parameters,
                   state):  # fmt: skip
        """The last decode; with `extra_refinement`, one that still refines."""
        arguments = arguments(r, parameters, state)
        keys = ("loss", "nll", "kl", "entropy", "means", "masks", "state")

        def decode():
            outputs = self.run_cell(self.decode_cell, arguments)
            return {key: {**outputs, "state": state}[key] for key in keys}

        def refine():
            outputs = self.run_cell(self.refine_cell, arguments)
            return {key: outputs[key] for key in keys}

        if not self.extra_refinement:
            return decode()
        # The published code skips it only in cell R: frame 1, or R = 2.
        has_extra = tf.logical_and(number > 0, num_refinements > 2)
        return tf.cond(has_extra, refine, decode)

    # ---- clips -------------------------------------------------------------

    def call(
        self, inputs, training=False, num_slots=None, num_refinements=None
    ):
        self.check_video(inputs["video"])
        num_slots = self._checked_slots(num_slots)
        num_refinements = _check_refinements(
            self.num_refinements if num_refinements is None else num_refinements
        )
        video = tf.convert_to_tensor(inputs["video"])
        if video.dtype != tf.uint8:
            video = base.as_float(video)
        batch, num_frames = tf.shape(video)[0], tf.shape(video)[1]
        temporal, first = self.initial_state(inputs, batch, num_slots)
        weights = self.read_weights()
        scalars = {n: self.weight(inputs, n) for n in self.scheduled_weights}
        noise = _Noise(self, inputs, base.clip_seeds(inputs), num_slots)

        def frame(t, temporal, total, records):
            decodes = self.refinements_in_frame(first + t, num_refinements) + 1
            cell = {
                **scalars,
                "frame": base.as_float(tf.gather(video, t, axis=1)),
                "noise": noise(t, first + t, decodes),
                "temporal": temporal,
            }
            outputs = self.infer_frame(
                weights, cell, first + t, num_refinements
            )
            total += outputs["loss"]
            outputs["context"] = temporal[0]
            records = {n: a.write(t, outputs[n]) for n, a in records.items()}
            return t + 1, outputs["temporal"], total, records

        names = ["nll", "kl", "entropy", "means", "masks", "parameters"]
        names += [] if training else ["context"]
        start = (
            tf.constant(0),
            temporal,
            tf.zeros([batch]),
            {name: tf.TensorArray(tf.float32, num_frames) for name in names},
        )
        _, temporal, total, records = tf.while_loop(
            lambda t, *_: t < num_frames,
            frame,
            start,
            shape_invariants=tf.nest.map_structure(_loose, start),
            parallel_iterations=1,
        )
        records = {name: _batch_first(a.stack()) for name, a in records.items()}
        state = {
            "h": temporal[0],
            "c": temporal[1],
            "frame": first + num_frames,
        }
        outputs = self._outputs(records, scalars["variance"], training)
        return {**outputs, "loss": total, "state": state}

    def _outputs(self, records, variance, training):
        """Frame-wise records `[B, T, ...]` as a `Decomposition`."""
        means, masks = records["means"], records["masks"]
        size = (*self.image_size, self.channels)
        means = _with_shape(means, size)
        masks = _with_shape(masks, (*self.image_size, 1))
        frames = tf.cast(tf.shape(means)[1], tf.float32)
        pixels = tf.cast(size[0] * size[1] * size[2], tf.float32)
        constant = (
            0.5 * pixels * tf.math.log(2.0 * 3.141592653589793 * variance)
        )
        nll = tf.reduce_sum(records["nll"], axis=1)
        outputs = {
            "recon": tf.reduce_sum(masks * means, axis=2),
            "masks": masks,
            "slots": records["parameters"][..., : self.latent_dim],
            "nll": nll + frames * constant,
            "nll_unnormalised": nll,
            "nll_last_frame": records["nll"][:, -1],
            "kl": tf.reduce_sum(records["kl"], axis=1),
            "entropy": tf.reduce_sum(records["entropy"], axis=1),
        }
        if not training:
            outputs["components"] = means
            outputs["parameters"] = records["parameters"]
            outputs["context"] = records["context"]
        return outputs

    def initial_state(self, inputs, batch, num_slots):
        """The temporal state `(h, c)` and the first frame's number."""
        state = inputs.get("state")
        if state is not None:
            return (state["h"], state["c"]), tf.cast(state["frame"], tf.int32)
        zeros = tf.zeros([batch, num_slots, self.units])
        return (zeros, zeros), tf.cast(inputs.get("first_frame", 0), tf.int32)

    def _checked_slots(self, num_slots):
        if num_slots is None:
            return self.num_slots
        if isinstance(num_slots, int) and num_slots < 2:
            raise ValueError(f"num_slots must be at least 2, got {num_slots}")
        return num_slots

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
        }


class _Noise:
    """Standard normal noise of every cell, `[B, D, K, Z]` per frame."""

    def __init__(self, model, inputs, seeds, num_slots):
        self.seeds = seeds
        self.shape = (num_slots, model.latent_dim)
        self.given = inputs.get("noise")
        self.shared = None
        if model.share_first_noise:
            if self.given is None:
                self.shared = clip_noise(seeds, _CLIP, self.shape)[:, None]
            else:
                self.shared = self.given[:, 0, :1]

    def __call__(self, t, number, decodes):
        if self.given is not None:
            noise = tf.gather(self.given, t, axis=1)
        else:
            noise = clip_noise(self.seeds, number, (decodes, *self.shape))
        if self.shared is None:
            return noise
        return tf.concat([self.shared, noise[:, 1:]], axis=1)


def _check_refinements(num_refinements):
    if isinstance(num_refinements, int) and num_refinements < 2:
        raise ValueError(
            "num_refinements must be at least 2 (one refinement and the last "
            f"decode), got {num_refinements}"
        )
    return num_refinements


def _loose(value):
    """The shape of a loop variable with batch and slots left open."""
    if isinstance(value, tf.TensorArray):
        return tf.TensorShape(None)
    rank = value.shape.rank
    open_axes = min(max(rank - 1, 0), 2)
    return tf.TensorShape(
        [None] * open_axes + value.shape[open_axes:].as_list()
    )


def _batch_first(values):
    """`[T, B, ...]` -> `[B, T, ...]`."""
    rank = values.shape.rank
    return tf.transpose(values, [1, 0, *range(2, rank)])


def _with_shape(values, size):
    """States the picture-sized last axes, lost in a loop."""
    return tf.ensure_shape(values, [None, None, None, *size])
