"""Iterative amortised inference: what PROVIDE and IODINE share.

The posterior q(z) = N(lambda) of every slot is refined cell by cell:

    z ~ q_lambda                      sample
    mu, logits = g(z, context)        decode
    L = -beta log p(x | z) + psi KL(q || p) + gamma H    score
    lambda <- lambda + f(a, state)    refine

`a` holds, besides lambda and the pictures, the gradients of L. Those by the
means, the masks and through the KL have closed forms; only dL/d lambda needs
a vector-Jacobian product through the decoder, and exactly that one is taken.

`parts.refinement` has what a cell computes, a pure function of tensors.
"""

import math

import keras
import numpy as np
import tensorflow as tf

from tfdecomp.distributions.gaussians import check_parameterization
from tfdecomp.distributions.pixel_mixture import density_constant
from tfdecomp.layers.conv import Halves
from tfdecomp.models.parts.frames import open_shape
from tfdecomp.models.parts.refinement import (
    SHARED_INPUTS,
    SLOT_INPUTS,
    RefinementCell,
)
from tfdecomp.ops.coords import cosine_grid, pixel_grid


class IterativeModel(RefinementCell):
    """Base class of models that infer by refinement.

    A subclass brings the recurrent cell, the prior, the schedule and the loop
    over frames; see `PROVIDE`.

    Args:
        decoder: Layer `[N, D] -> (means, logits)`, such as
            `layers.BroadcastDecoder`.
        encoder: What sums up a slot's canvas, a `layers.RefinementEncoder`.
        image_size: `(H, W)` of the frames, or one side.
        channels: Colour channels, `C`.
        num_slots: `K`; any other number works at test time.
        num_refinements: `R`; any other number works at test time.
        latent_dim: Length of a slot's vector, `D`.
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
        reconstruction_weight: Weight of the likelihood, beta.
        kl_weight: Weight of the divergence from the prior, psi.
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

    def _initialize_parameters(self, shape, dtype=None):
        if self.initial_log_variance is None:
            return keras.random.uniform(shape, -0.5, 0.5, dtype=dtype)
        values = np.repeat([0.0, self.initial_log_variance], self.latent_dim)
        return tf.constant(values, dtype or tf.float32)

    def read_weights(self):
        """All weights as tensors, read once, outside of every loop."""
        return [tf.convert_to_tensor(v.value) for v in self.variables]

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


def update_initializer(bias):
    """Bias initializer of an update head; see `IterativeModel`."""
    return "fan_in_uniform" if bias is None else Halves(*bias)


def check_slots(num_slots, default):
    """The number of slots in use; `ValueError` below 2."""
    num_slots = default if num_slots is None else num_slots
    return at_least(2, num_slots, "num_slots must be at least 2")


def scheduled_refinements(inputs, num_refinements):
    """`num_refinements` if given, else the number in `inputs`, else None."""
    if num_refinements is None and "num_refinements" in inputs:
        return tf.cast(tf.round(inputs["num_refinements"]), tf.int32)
    return num_refinements


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


def sample_scenes(model, num_samples, seed, num_slots=None):
    """What `model` decodes of slots from its prior, colours in [0, 1].

    Returns:
        As its `decode`, with `slots` `[N, K, Z]`.
    """
    num_slots = check_slots(num_slots, model.num_slots)
    noise = tf.random.stateless_normal(
        [num_samples, num_slots, model.latent_dim], seed
    )
    latents = model.prior().from_noise(noise)
    outputs = model.decode(latents)
    for name in ("recon", "components"):
        outputs[name] = tf.clip_by_value(outputs[name], 0.0, 1.0)
    return {**outputs, "slots": latents}
