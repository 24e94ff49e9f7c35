"""PROVIDE beyond the observed frames: predictions stand in for what is seen."""

import tensorflow as tf

from tfdecomp.models import base
from tfdecomp.models.iterative import IterativeModel
from tfdecomp.models.parts.frames import CellNoise, scan_frames
from tfdecomp.models.parts.refinement import merge_slots, split_slots


class FramePrediction(base.Predicting, IterativeModel):
    """Goes on where frames end; `PROVIDE` brings the cell and the state."""

    def predict_frames(
        self, state, seed, num_frames, latent="initial", num_refinements=1
    ):
        """Continues a video; all dynamics live in the temporal state.

        A predicted frame decodes a latent once and stands in for the observed
        one, in all inputs of the refinement but the three gradients, which
        are zero (section 3.2.3); the refined lambda is dropped, the recurrent
        state goes on.

        Args:
            state: The `state` of an earlier output.
            seed: `[B, 2]`, the clip's seeds.
            num_frames: Number of frames to predict.
            latent: `"initial"`: the sample of lambda_0 by the clip's noise,
                as published; `"prior"`: the mean of p(z_t | past).
            num_refinements: Decodes and refinements per frame.

        Returns:
            A `Decomposition` of the predicted frames, with `state`.

        Raises:
            ValueError: If `latent` is unknown.
        """
        if latent not in ("initial", "prior"):
            raise ValueError(
                f'latent must be "initial" or "prior", got {latent!r}'
            )
        weights = self.read_weights()
        num_slots = tf.shape(state["h"])[1]
        first = tf.cast(state["frame"], tf.int32)
        shape = (num_slots, self.latent_dim)
        noise = CellNoise(seed, shape, self.share_first_noise)

        def frame(t, temporal):
            cell = {"noise": noise(t, first + t, 1)[:, 0]}
            cell = self.conditioned(weights, cell, temporal)
            with self.using(weights):
                return self._imagine(cell, latent, num_refinements)

        (h, c), records = scan_frames(
            frame,
            num_frames,
            (state["h"], state["c"]),
            ["means", "masks", "parameters"],
        )
        state = {"h": h, "c": c, "frame": first + num_frames}
        return {**self.decomposition(records, self.variance), "state": state}

    def _imagine(self, cell, latent, num_refinements):
        """One predicted frame: `(temporal state, records)`."""
        batch, num_slots = (
            tf.shape(cell["noise"])[0],
            tf.shape(cell["noise"])[1],
        )
        if latent == "prior":
            spread = tf.fill(tf.shape(cell["prior_mean"]), -30.0)
            parameters = tf.concat([cell["prior_mean"], spread], axis=-1)
        else:
            initial = tf.convert_to_tensor(self.initial_parameters)
            parameters = tf.tile(initial[None, None], [batch, num_slots, 1])
        state, nothing = self.zero_state(batch * num_slots), None
        cell["is_first"] = tf.constant(0.0)  # `parameters` hold lambda_0
        for _ in range(num_refinements):
            decoded = parameters
            means, logits = self.decode_latents(
                self.sample(cell, parameters), cell.get("context")
            )
            mixture = self.mixture(means, logits)
            picture = mixture.mean()
            maps = self.slot_maps(
                mixture, mixture.score(picture), logits, gradients=nothing
            )
            code = self.encoder(maps, self.shared_maps(picture))
            flat = merge_slots(parameters)
            state, update = self.update(
                cell, flat, tf.zeros_like(flat), code, state
            )
            parameters += split_slots(update, num_slots)
        records = {
            "means": means,
            "masks": mixture.masks,
            "parameters": decoded,
        }
        return tuple(split_slots(v, num_slots) for v in state), records
