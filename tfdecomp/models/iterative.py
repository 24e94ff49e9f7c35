"""Iterative amortised inference: what PROVIDE and IODINE share.

The posterior q(z) = N(lambda) of every slot is refined cell by cell:

    z ~ q_lambda                      sample
    mu, logits = g(z, context)        decode
    L = -beta log p(x | z) + psi KL(q || p) + gamma H    score
    lambda <- lambda + f(a, state)    refine

`a` holds, besides lambda and the pictures, the gradients of L. Those by the
means, the masks and through the KL have closed forms; only dL/d lambda needs
a vector-Jacobian product through the decoder, and exactly that one is taken.

Everything a cell computes is a pure function of tensors (`Cell`), the weights
included. So a cell can be recomputed in the backward pass, and it can stand
in a `tf.while_loop`, whose graph does not grow with frames or refinements.
"""

import math

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp.distributions.gaussians import (
    DiagonalGaussian,
    check_parameterization,
)
from tfdecomp.distributions.pixel_mixture import (
    PixelMixture,
    density_constant,
    mask_entropy,
    mask_entropy_gradient,
    through_softmax,
)
from tfdecomp.layers.conv import Halves
from tfdecomp.models import base
from tfdecomp.models.frames import open_shape
from tfdecomp.ops.coords import cosine_grid, pixel_grid
from tfdecomp.ops.normalization import standardize
from tfdecomp.ops.rematerialize import rematerialize

tfd = tfp.distributions

# Picture-sized inputs that all slots and refinements of a frame share ...
SHARED_INPUTS = (
    "frame",
    "coordinates",
    "cosine_coordinates",
    "constant",
    "features",
)
# ... and those that differ, with whether they are normalised and stopped.
SLOT_INPUTS = {
    "means": False,
    "masks": False,
    "mask_logits": False,
    "mean_gradient": True,
    "mask_gradient": True,
    "mask_logit_gradient": True,
    "mask_posterior": False,
    "pixel_log_likelihood": True,
    "pixel_likelihood": True,
    "leave_one_out": True,
    "leave_one_out_ratio": True,
    "leave_one_out_likelihood": True,
}
# Normalised inputs that are no gradients score a frame, be it a predicted one.
GRADIENT_INPUTS = ("mean_gradient", "mask_gradient", "mask_logit_gradient")
_CONSTANT = 0.5  # the value of the input of that name (IODINE's code)
_EPSILON = 1e-5  # of the layer norm


class IterativeModel(base.DecompositionModel):
    """Base class of models that infer by refinement.

    A subclass brings the recurrent cell, the prior, the schedule and the loop
    over frames; see `PROVIDE`.

    Args:
        decoder: Layer `[N, D] -> (means, logits)`, such as
            `layers.BroadcastDecoder`.
        encoder: `layers.RefinementEncoder`.
        image_size: `(H, W)` or one side.
        channels: `C`.
        num_slots: `K`; any other number works at test time.
        num_refinements: `R`; any other number works at test time.
        latent_dim: `D`.
        variance: Pixel variance of the likelihood.
        granularity: `"channel"` or `"pixel"` mixture.
        component: `"normal"` or `"logistic"`, of the mixture.
        parameterization: Of lambda; see `distributions.gaussians`.
        refinement_inputs: Picture-sized inputs, in the order of the first
            convolution's channels: names out of `SHARED_INPUTS` and
            `SLOT_INPUTS`.
        affine_norm: Whether normalised inputs get a trainable scale and
            offset per channel.
        flat_mask_posterior: Feeds a softmax of likelihood values instead of
            the posterior ratio, as PROVIDE's published code does.
        mask_posterior_floor: Added to the sum of densities below that ratio:
            1e-6 in IODINE's published code, where a pixel that no slot
            explains belongs to none.
        batch_mean_gradients: Normalises the gradients of the mean over the
            batch, as the published codes do (a micro-batch is what they have
            on one device), in place of those of the sum. They are smaller by
            the batch then, and the norm's epsilon damps them where little is
            left to explain; a clip's result depends on the batch it is in.
        reconstruction_weight: beta.
        kl_weight: psi.
        entropy_weight: gamma; positive values sharpen the masks.
        initial_log_variance: Start of lambda's second half, the means being
            zero; None draws both halves from U(-0.5, 0.5), as published.
        update_bias: Start of the update head's bias, for means and raw
            scales; None draws it as published.
        features: Optional layer `[B, H, W, C] -> [B, H, W, F]` that adds
            features of the frame to the refinement's inputs.
        rematerialize: Keeps only the state between cells and recomputes the
            rest in the backward pass.
        **kwargs: Passed to `keras.Model`.
    """

    vector_inputs = ("parameters", "parameter_gradient")
    scheduled_weights = (
        "reconstruction_weight",
        "kl_weight",
        "entropy_weight",
        "variance",
    )

    def __init__(
        self,
        decoder,
        encoder,
        *,
        image_size,
        channels,
        num_slots,
        num_refinements,
        latent_dim,
        variance,
        granularity,
        parameterization,
        refinement_inputs,
        flat_mask_posterior,
        reconstruction_weight,
        kl_weight,
        entropy_weight,
        initial_log_variance,
        update_bias,
        features,
        rematerialize,
        component="normal",
        affine_norm=False,
        mask_posterior_floor=0.0,
        batch_mean_gradients=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if isinstance(image_size, int):
            image_size = (image_size, image_size)
        self.image_size = tuple(image_size)
        self.channels = channels
        self.num_slots = num_slots
        self.num_refinements = num_refinements
        self.latent_dim = latent_dim
        self.variance = variance
        self.granularity = granularity
        self.component = component
        self.affine_norm = affine_norm
        self.mask_posterior_floor = mask_posterior_floor
        self.batch_mean_gradients = batch_mean_gradients
        self.parameterization = check_parameterization(parameterization)
        self.refinement_inputs = tuple(refinement_inputs)
        self.flat_mask_posterior = flat_mask_posterior
        self.reconstruction_weight = reconstruction_weight
        self.kl_weight = kl_weight
        self.entropy_weight = entropy_weight
        self.initial_log_variance = initial_log_variance
        self.update_bias = update_bias
        self.rematerialize = rematerialize
        self.decoder = decoder
        self.encoder = encoder
        self.features = features
        self._check_iterative()

    def _check_iterative(self):
        known = (*SHARED_INPUTS, *SLOT_INPUTS)
        unknown = set(self.refinement_inputs) - set(known)
        if unknown:
            raise ValueError(
                f"unknown refinement inputs {sorted(unknown)}; known: {known}"
            )
        if ("features" in self.refinement_inputs) != bool(self.features):
            raise ValueError(
                '"features" in refinement_inputs and the features layer come '
                "together: give both or neither"
            )
        if self.num_slots < 2:
            raise ValueError(
                f"num_slots must be at least 2, got {self.num_slots}; one "
                "slot has nothing to be told apart from"
            )
        if self.decoder.image_size != self.image_size:
            raise ValueError(
                f"the model's image_size is {self.image_size}, its decoder "
                f"draws {self.decoder.image_size}; set IMAGE_SIZE for both"
            )

    # ---- weights -----------------------------------------------------------

    def _input_channels(self, name):
        if name in ("frame", "means", "mean_gradient"):
            return self.channels
        if name == "features":
            return self.features.channels
        return {"coordinates": 2, "cosine_coordinates": 8}.get(name, 1)

    def build_inference(self, decoder_width):
        """Builds what refinement needs: lambda_0, decoder, encoder, head."""
        self.coordinates = pixel_grid(*self.image_size)[None]
        self.cosines = cosine_grid(*self.image_size)[None]
        if not self.decoder.built:  # a reloaded child arrives built
            self.decoder.build((None, decoder_width))
        if self.features is not None and not self.features.built:
            self.features.build((None, *self.image_size, self.channels))
        is_shared = []
        for name in self.refinement_inputs:
            count = self._input_channels(name)
            is_shared += [name in SHARED_INPUTS] * count
        if not self.encoder.built:
            shape = (None, *self.image_size, len(is_shared))
            self.encoder.build(shape, is_shared)
        self.initial_parameters = self.add_weight(
            name="initial_parameters",
            shape=(2 * self.latent_dim,),
            initializer=self._initialize_parameters,
            autocast=False,
        )
        if self.affine_norm:
            self._build_norms()

    def _build_norms(self):
        """Scale and offset of every normalised input."""
        sizes = {
            name: self._input_channels(name)
            for name in self.refinement_inputs
            if SLOT_INPUTS.get(name)
        }
        if "parameter_gradient" in self.vector_inputs:
            sizes["parameter_gradient"] = 2 * self.latent_dim
        self.norms = {
            name: [
                self.add_weight(
                    name=f"{name}_{part}",
                    shape=(size,),
                    initializer=initializer,
                    autocast=False,
                )
                for part, initializer in (
                    ("scale", "ones"),
                    ("offset", "zeros"),
                )
            ]
            for name, size in sizes.items()
        }

    def _affine(self, name, values):
        """A normalised input with its scale and offset, if it has them."""
        if not self.affine_norm or name not in self.norms:
            return values
        scale, offset = self.norms[name]
        return values * tf.convert_to_tensor(scale) + tf.convert_to_tensor(
            offset
        )

    def _initialize_parameters(self, shape, dtype=None):
        if self.initial_log_variance is None:
            return keras.random.uniform(shape, -0.5, 0.5, dtype=dtype)
        values = np.repeat([0.0, self.initial_log_variance], self.latent_dim)
        return tf.constant(values, dtype or tf.float32)

    def read_weights(self):
        """All weights as tensors, read once, outside of every loop."""
        return [tf.convert_to_tensor(v.value) for v in self.variables]

    def using(self, weights):
        """A scope in which the layers compute with these tensors."""
        return keras.StatelessScope(list(zip(self.variables, weights)))

    # ---- the distributions -------------------------------------------------

    def posterior(self, inputs, **options):
        """q(z | x) = N(lambda). Event `[D]`, batch `[..., K]`.

        Args:
            inputs: lambda, `[..., K, 2 D]`; or a batch as for `call`, from
                which it is inferred: `[B, T, K, 2 D]`.
            **options: Those of `call`.

        Returns:
            A `DiagonalGaussian`.
        """
        if isinstance(inputs, dict):
            inputs = self.infer(inputs, **options)
        return DiagonalGaussian(inputs, self.parameterization)

    def cell_prior(self, cell):
        """p(z) in a cell. Event `[D]`, batch `[B, K]`."""
        return DiagonalGaussian.of(
            cell["prior_mean"], cell["prior_log_variance"]
        )

    def mixture(self, means, logits, variance=None):
        """p(x | z) of decoded slots, a `PixelMixture`.

        Event `[H, W, C]`, batch `[B]`.
        """
        variance = self.variance if variance is None else variance
        return PixelMixture(
            means, logits, variance, self.granularity, self.component
        )

    # ---- one cell ----------------------------------------------------------

    def sample(self, cell, parameters):
        """z ~ q, `[B, K, D]`, by the cell's noise."""
        noise = tf.stop_gradient(cell["noise"])
        return self.posterior(parameters).from_noise(noise)

    def decode_latents(self, latents, context=None):
        """Draws latents.

        Args:
            latents: `[B, K, D]`.
            context: `[B, K, U]`, what the decoder reads beside z, or None.

        Returns:
            `(means, logits)`: `[B, K, H, W, C]` and `[B, K, H, W, 1]`.
        """
        if context is not None:
            latents = tf.concat([latents, context], axis=-1)
        num_slots = tf.shape(latents)[1]
        means, logits = self.decoder(merge_slots(latents))
        return split_slots(means, num_slots), split_slots(logits, num_slots)

    def objective(self, cell, means, logits, parameters):
        """Scores a decode.

            L = -beta log p(x | z) + psi sum_k KL(q_k || p_k) + gamma H(m)

        Returns:
            A dictionary of terms in nats per clip, `[B]`: `loss`, L; `nll`,
            without the density's constant, so that zero is a perfect picture;
            `kl`; `entropy`. And the mixture with its score, for the
            gradients.
        """
        frame = tf.stop_gradient(cell["frame"])
        likelihood = self.mixture(means, logits, cell["variance"])
        divergence = tfd.kl_divergence(
            self.posterior(parameters), self.cell_prior(cell)
        )
        terms = {
            "nll": -likelihood.unnormalized_log_prob(frame),
            "kl": tf.reduce_sum(divergence, axis=1),
            "entropy": mask_entropy(likelihood.masks),
        }
        terms["loss"] = (
            cell["reconstruction_weight"] * terms["nll"]
            + cell["kl_weight"] * terms["kl"]
            + cell["entropy_weight"] * terms["entropy"]
        )
        return terms, likelihood, likelihood.score(frame)

    def decode_cell(self, arguments, saved=None):
        """The decode-only last cell of a frame: nothing refined, no tape."""
        del saved
        cell = arguments["cell"]
        with self.using(arguments["weights"]):
            latents = self.sample(cell, arguments["parameters"])
            means, logits = self.decode_latents(latents, cell.get("context"))
        terms, mixture, _ = self.objective(
            cell, means, logits, arguments["parameters"]
        )
        outputs = {**terms, "means": means, "masks": mixture.masks}
        return outputs, ()

    def refine_cell(self, arguments, saved=None):
        """One refinement cell.

        Args:
            arguments: `weights`; `parameters` `[B, K, 2 D]`; `state`, the
                recurrent state; `cell`: `frame`, `shared`, `noise`, priors,
                loss weights, and what the subclass adds.
            saved: dL/d lambda of the forward pass, when it is recomputed.

        Returns:
            `(outputs, saved)`: the terms of `objective`, the decoded `means`
            and `masks`, the next `parameters` and `state`.
        """
        cell = arguments["cell"]
        parameters = arguments["parameters"]
        with self.using(arguments["weights"]):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(parameters)
                latents = self.sample(cell, parameters)
                means, logits = self.decode_latents(
                    latents, cell.get("context")
                )
            terms, mixture, score = self.objective(
                cell, means, logits, parameters
            )
            gradients = self.gradients(cell, mixture, score)
            if saved is None:
                saved = self._parameter_gradient(
                    tape, cell, parameters, (means, logits), gradients
                )
            maps = self.slot_maps(mixture, score, logits, gradients)
            code = self.encoder(maps, cell["shared"])
            state, update = self.update(
                cell,
                merge_slots(parameters),
                merge_slots(self._affine("parameter_gradient", saved)),
                code,
                arguments["state"],
            )
        num_slots = tf.shape(parameters)[1]
        outputs = {
            **terms,
            "means": means,
            "masks": mixture.masks,
            "parameters": parameters + split_slots(update, num_slots),
            "state": state,
        }
        return outputs, saved

    def gradients(self, cell, mixture, score):
        """Closed forms of dL/d means, dL/d masks and dL/d logits."""
        beta, gamma = cell["reconstruction_weight"], cell["entropy_weight"]
        entropy = gamma * mask_entropy_gradient(mixture.masks)
        return {
            "means": beta * score.gradient_by_means(),
            "masks": beta * score.gradient_by_masks() + entropy,
            "logits": beta * score.gradient_by_logits()
            + through_softmax(mixture.masks, entropy),
        }

    def _parameter_gradient(self, tape, cell, parameters, decoded, gradients):
        """dL/d lambda, `[B, K, 2 D]`: one product through the decoder."""
        through_decoder = tape.gradient(
            decoded,
            parameters,
            output_gradients=(gradients["means"], gradients["logits"]),
        )
        of_kl = self.posterior(parameters).kl_gradient(self.cell_prior(cell))
        gradient = through_decoder + cell["kl_weight"] * of_kl
        return tf.stop_gradient(self._normalized_gradient(gradient, axes=[2]))

    def _normalized_gradient(self, gradient, axes):
        """Layer norm of a gradient of the batch's sum, or of its mean."""
        if not self.batch_mean_gradients:
            return standardize(gradient, axes, _EPSILON)
        # Of g / B, without a pass over the maps to divide them.
        batch = tf.cast(tf.shape(gradient)[0], tf.float32)
        return standardize(gradient, axes, _EPSILON * tf.square(batch))

    def slot_maps(self, mixture, score, logits, gradients):
        """The picture-sized inputs that differ per slot, `[B, K, H, W, c]`.

        `gradients=None` makes the gradients exactly zero: prediction, where a
        frame stands in for what was not observed (PROVIDE, section 3.2.3).
        """
        num_slots = tf.shape(logits)[1]
        values = {
            "means": lambda: mixture.means,
            "masks": lambda: mixture.masks,
            "mask_logits": lambda: logits,
            "mean_gradient": lambda: gradients["means"],
            "mask_gradient": lambda: gradients["masks"],
            "mask_logit_gradient": lambda: gradients["logits"],
            "mask_posterior": lambda: self._mask_posterior(score),
            "pixel_log_likelihood": lambda: tf.repeat(
                score.pixel_log_likelihood, num_slots, axis=1
            ),
            "pixel_likelihood": lambda: tf.repeat(
                score.pixel_likelihood(), num_slots, axis=1
            ),
            "leave_one_out": score.leave_one_out,
            "leave_one_out_ratio": score.leave_one_out_ratio,
            "leave_one_out_likelihood": score.leave_one_out_likelihood,
        }
        maps = []
        for name in self.refinement_inputs:
            if name in SHARED_INPUTS:
                continue
            if not SLOT_INPUTS[name]:
                maps.append(values[name]())
            elif gradients is None and name in GRADIENT_INPUTS:
                channels = self._input_channels(name)
                maps.append(tf.repeat(tf.zeros_like(logits), channels, -1))
            else:
                value = tf.stop_gradient(values[name]())
                maps.append(self._affine(name, self._normalized(name, value)))
        return tf.concat(maps, axis=-1)

    def _normalized(self, name, value):
        if name in GRADIENT_INPUTS:
            return self._normalized_gradient(value, axes=[2, 3, 4])
        return standardize(value, [2, 3, 4], _EPSILON)

    def _mask_posterior(self, score):
        if self.flat_mask_posterior:
            return score.flat_mask_posterior()
        return score.mask_posterior(self.mask_posterior_floor)

    def shared_maps(self, frame):
        """The shared part of the first refinement convolution."""
        batch = tf.shape(frame)[0]
        values = {
            "frame": lambda: frame,
            "coordinates": lambda: tf.tile(self.coordinates, [batch, 1, 1, 1]),
            "cosine_coordinates": lambda: tf.tile(
                self.cosines, [batch, 1, 1, 1]
            ),
            "constant": lambda: tf.fill(
                [batch, *self.image_size, 1], _CONSTANT
            ),
            "features": lambda: tf.cast(self.features(frame), tf.float32),
        }
        names = [n for n in self.refinement_inputs if n in SHARED_INPUTS]
        none = tf.zeros([batch, *self.image_size, 0])
        maps = tf.concat([none, *(values[name]() for name in names)], axis=-1)
        return self.encoder.shared(maps)

    def start(self, batch, num_slots):
        """`(lambda_0, recurrent state)` of every slot."""
        initial = tf.convert_to_tensor(self.initial_parameters)
        return (
            tf.tile(initial[None, None], [batch, num_slots, 1]),
            self.zero_state(batch * num_slots),
        )

    def carried(self, r, parameters, state):
        """What cell r gets from the one before; a hook to cut gradients."""
        del r
        return parameters, state

    def run_cell(self, cell_function, arguments):
        """Runs a cell, rematerialised if the model is."""
        if self.rematerialize:
            return rematerialize(cell_function)(arguments)
        return cell_function(arguments)[0]

    # ---- one frame ---------------------------------------------------------

    def infer_frame(self, weights, cell, budget, step_weight, has_extra=None):
        """All cells of one frame.

        Args:
            weights: From `read_weights`.
            cell: `frame` `[B, H, W, C]`, `noise` `[B, D, K, Z]`, loss
                weights, the prior's parameters `[B, K, Z]`, optionally
                `context`, and what `update` needs.
            budget: Number of refinements; one decode more is made.
            step_weight: `step_weight(r)`, weight of decode r = 1, 2, ...
            has_extra: None, or a flag: whether the last cell refines too, for
                the sake of the recurrent state alone.

        Returns:
            A dictionary: the terms of the last decode, its `means`, `masks`
            and posterior `parameters`; the frame's weighted `loss`; the last
            recurrent `state`.
        """
        noise = cell["noise"]
        batch, num_slots = tf.shape(noise)[0], tf.shape(noise)[2]
        with self.using(weights):
            shared = self.shared_maps(cell["frame"])
            parameters, state = self.start(batch, num_slots)

        def arguments(r, parameters, state):
            here = {
                "shared": shared,
                "noise": noise[:, r],
                "is_first": tf.cast(tf.equal(r, 0), tf.float32),
            }
            parameters, state = self.carried(r, parameters, state)
            return {
                "weights": weights,
                "cell": {**cell, **here},
                "parameters": parameters,
                "state": state,
            }

        def refine(r, parameters, state, loss):
            outputs = self.run_cell(
                self.refine_cell, arguments(r, parameters, state)
            )
            loss += step_weight(r + 1) * outputs["loss"]
            return r + 1, outputs["parameters"], outputs["state"], loss

        start = (tf.constant(0), parameters, state, tf.zeros([batch]))
        budget = tf.convert_to_tensor(budget)
        r, parameters, state, loss = tf.while_loop(
            lambda r, *_: r < budget,
            refine,
            start,
            shape_invariants=tf.nest.map_structure(open_shape, start),
            parallel_iterations=1,
        )
        last = self._last_cell(arguments(r, parameters, state), has_extra)
        loss += step_weight(r + 1) * last["loss"]
        return {**last, "loss": loss, "parameters": parameters}

    def _last_cell(self, arguments, has_extra):
        keys = ("loss", "nll", "kl", "entropy", "means", "masks")

        def decode():
            outputs = self.run_cell(self.decode_cell, arguments)
            outputs = {key: outputs[key] for key in keys}
            return {**outputs, "state": arguments["state"]}

        def refine():
            outputs = self.run_cell(self.refine_cell, arguments)
            return {key: outputs[key] for key in (*keys, "state")}

        if has_extra is None:
            return decode()
        return tf.cond(has_extra, refine, decode)

    def decomposition(self, records, variance, with_components=True):
        """Records of all frames, `[B, T, ...]`, as a `Decomposition`."""
        size = (*self.image_size, self.channels)
        means = tf.ensure_shape(records["means"], [None, None, None, *size])
        masks = records["masks"]
        masks = tf.ensure_shape(masks, [None, None, None, *size[:2], 1])
        outputs = {"recon": tf.reduce_sum(masks * means, 2), "masks": masks}
        if with_components:
            outputs["components"] = means
        if "parameters" in records:
            outputs["slots"] = records["parameters"][..., : self.latent_dim]
        if "nll" in records:
            frames = tf.cast(tf.shape(means)[1], tf.float32)
            nll = tf.reduce_sum(records["nll"], axis=1)
            outputs |= {
                "nll": nll
                + frames
                * math.prod(size)
                * density_constant(self.component, variance),
                "nll_unnormalised": nll,
                "nll_last_frame": records["nll"][:, -1],
                "kl": tf.reduce_sum(records["kl"], axis=1),
                "entropy": tf.reduce_sum(records["entropy"], axis=1),
            }
        return outputs

    def decode(self, slots, context=None):
        """Draws given latents.

        Args:
            slots: `[N, K, Z]`.
            context: `[N, K, U]`, what the decoder reads beside them, if any.

        Returns:
            `recon` `[N, H, W, C]`, `masks` `[N, K, H, W, 1]`, `components`
            `[N, K, H, W, C]`.
        """
        means, logits = self.decode_latents(slots, context)
        mixture = self.mixture(means, logits)
        return {
            "recon": mixture.mean(),
            "masks": mixture.masks,
            "components": means,
        }

    def step_flops(self, batch_size, num_frames):
        """Floating-point operations of a training step, as the papers have it.

        Forward, twice that backward, and one product through the decoder for
        every refinement.
        """
        decodes, refinements = self.cells(num_frames)
        decode = self.decoder.flops()
        refine = self.encoder.flops() + sum(
            2 * math.prod(kernel.shape) for kernel in self.refinement_kernels()
        )
        forward = decodes * decode + refinements * refine
        clips = batch_size * self.num_slots
        return clips * (3 * forward + refinements * decode)

    def get_config(self):
        return {
            **super().get_config(),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "image_size": self.image_size,
            "channels": self.channels,
            "num_slots": self.num_slots,
            "num_refinements": self.num_refinements,
            "latent_dim": self.latent_dim,
            "variance": self.variance,
            "granularity": self.granularity,
            "component": self.component,
            "affine_norm": self.affine_norm,
            "refinement_inputs": self.refinement_inputs,
            "flat_mask_posterior": self.flat_mask_posterior,
            "mask_posterior_floor": self.mask_posterior_floor,
            "batch_mean_gradients": self.batch_mean_gradients,
            "reconstruction_weight": self.reconstruction_weight,
            "kl_weight": self.kl_weight,
            "entropy_weight": self.entropy_weight,
            "initial_log_variance": self.initial_log_variance,
            "update_bias": self.update_bias,
            "features": self.features
            and keras.saving.serialize_keras_object(self.features),
            "rematerialize": self.rematerialize,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in ("decoder", "encoder", "features"):
            if config.get(name) is not None:
                config[name] = keras.saving.deserialize_keras_object(
                    config[name]
                )
        return cls(**config)


def merge_slots(values):
    """`[B, K, ...]` -> `[B * K, ...]`, slot fastest."""
    return tf.reshape(values, [-1, *values.shape[2:]])


def split_slots(values, num_slots):
    """`[B * K, ...]` -> `[B, K, ...]`."""
    return tf.reshape(values, [-1, num_slots, *values.shape[1:]])


def update_initializer(bias):
    """Bias initializer of an update head; see `IterativeModel`."""
    return "fan_in_uniform" if bias is None else Halves(*bias)


def check_slots(num_slots, default):
    """The number of slots in use; `ValueError` below 2."""
    num_slots = default if num_slots is None else num_slots
    return at_least(2, num_slots, "num_slots must be at least 2")


def at_least(minimum, value, message):
    """`value`; raises below the minimum, in the graph if it is a tensor."""
    if tf.is_tensor(value):
        tf.debugging.assert_greater_equal(value, minimum, message)
    elif value < minimum:
        raise ValueError(f"{message}, got {value}")
    return value


def sweep(latents, slot, dim, values):
    """Copies of `[B, K, D]` whose entry `[:, slot, dim]` takes each value.

    Returns:
        `[len(values) * B, K, D]`, value by value.
    """
    here = np.zeros((1, *latents.shape[1:]), bool)
    here[0, slot, dim] = True
    copies = [
        tf.where(here, tf.cast(v, latents.dtype), latents) for v in values
    ]
    return tf.concat(copies, axis=0)
