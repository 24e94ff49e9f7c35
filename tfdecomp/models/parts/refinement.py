"""One cell of iterative inference: sample, decode, score, refine.

Everything a cell computes is a pure function of tensors, the weights
included. So a cell can be recomputed in the backward pass, and it can stand
in a `tf.while_loop`, whose graph does not grow with frames or refinements.
"""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp.distributions.gaussians import DiagonalGaussian
from tfdecomp.distributions.pixel_mixture import (
    PixelMixture,
    mask_entropy,
    mask_entropy_gradient,
    through_softmax,
)
from tfdecomp.models import base
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


class RefinementCell(base.DecompositionModel):
    """What `IterativeModel` computes in a cell; it has the settings.

    A subclass brings `update(cell, parameters, gradient, code, state)`, the
    recurrent cell.
    """

    def using(self, weights):
        """A scope in which the layers compute with these tensors."""
        return keras.StatelessScope(list(zip(self.variables, weights)))

    def _input_channels(self, name):
        if name in ("frame", "means", "mean_gradient"):
            return self.channels
        if name == "features":
            return self.features.channels
        return {"coordinates": 2, "cosine_coordinates": 8}.get(name, 1)

    def _affine(self, name, values):
        """A normalised input with its scale and offset, if it has them."""
        if not self.affine_norm or name not in self.norms:
            return values
        scale, offset = self.norms[name]
        return values * tf.convert_to_tensor(scale) + tf.convert_to_tensor(
            offset
        )

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

    # ---- sample, decode, score ----------------------------------------------

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

    # ---- the cell ------------------------------------------------------------

    def run_cell(self, cell_function, arguments):
        """Runs a cell, rematerialised if the model is."""
        if self.rematerialize:
            return rematerialize(cell_function)(arguments)
        return cell_function(arguments)[0]

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

    # ---- what refinement reads ----------------------------------------------

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


def merge_slots(values):
    """`[B, K, ...]` -> `[B * K, ...]`, slot fastest."""
    return tf.reshape(values, [-1, *values.shape[2:]])


def split_slots(values, num_slots):
    """`[B * K, ...]` -> `[B, K, ...]`."""
    return tf.reshape(values, [-1, num_slots, *values.shape[1:]])
