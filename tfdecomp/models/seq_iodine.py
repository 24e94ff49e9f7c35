"""SEQ-IODINE: IODINE with one refinement per frame of a video.

    z_j ~ q_{lambda_j}, decode, score on frame j      (next-frame prediction)
    lambda_{j+1} = lambda_j + f(a_j, h_j),  a_j from frame j
    L_j = -log p(x_j | z_j) + sum_k KL(q_j(z_k) || p(z_k))
    loss = sum_j w_j L_j,  w_j = j / (T - 1)

lambda and the recurrent state are carried through the clip.

References:
    Greff et al., Multi-Object Representation Learning with Iterative
    Variational Inference. ICML 2019. Section 4.4 and appendix.
"""

import gin
import keras
import tensorflow as tf

from tfdecomp.models import base
from tfdecomp.models.iodine import IODINE, is_zero
from tfdecomp.models.iterative import IterativeModel, check_slots
from tfdecomp.models.parts.frames import scan_frames

MASKS_FROM = ("filtered", "predictive")
_RECORDS = ["nll", "kl", "entropy", "means", "masks", "parameters"]


@gin.register(module="models")
@keras.saving.register_keras_serializable(package="tfdecomp")
class SequentialIODINE(IODINE):
    """IODINE on video: a frame, a refinement.

    The decode that is scored on a frame has seen the frames before it alone,
    so the training loss is that of predicting the next frame; its weight is
    zero in the first frame.

    Args:
        masks_from: What a frame's outputs (`recon`, `masks`, `components`,
            `slots`) come from: `"filtered"`, a decode after the refinement
            by that frame, or `"predictive"`, the decode before it. Losses
            are always those of the latter.
        **kwargs: See `IODINE`. `num_refinements` is not used; `step_weights`
            runs over the frames of the clip; `truncate_bptt` counts frames.

    Call arguments:
        inputs: A `tfdecomp.types.Batch`; `noise` `[B, T, 2, K, Z]` may
            replace the noise drawn from the seeds: that of the predictive
            decodes, then that of the filtered ones.
        training: Whether in training mode: predictive decodes alone.
        num_slots: `K`, if not the model's.

    Returns:
        A `tfdecomp.types.Decomposition`, with `state`.

    Raises:
        ValueError: As `IODINE`; also if clips of one frame are to be trained
            on, or `masks_from` is unknown.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.models.seq_iodine import SequentialIODINE
        >>> model = SequentialIODINE(num_slots=3, image_size=16)
        >>> outputs = model({"video": np.zeros([1, 2, 16, 16, 3], np.uint8)})
        >>> outputs["masks"].shape
        TensorShape([1, 2, 3, 16, 16, 1])
    """

    scheduled_weights = IterativeModel.scheduled_weights

    def __init__(
        self,
        decoder=None,
        encoder=None,
        *,
        num_refinements=1,
        masks_from="filtered",
        **kwargs,
    ):
        super().__init__(
            decoder, encoder, num_refinements=num_refinements, **kwargs
        )
        if masks_from not in MASKS_FROM:
            raise ValueError(
                f"masks_from must be one of {MASKS_FROM}, got {masks_from!r}"
            )
        if not isinstance(self.step_weights, str):
            raise ValueError(
                "step_weights must be a name here, as clips have any number "
                f"of frames; got {self.step_weights!r}"
            )
        self.masks_from = masks_from

    def call(self, inputs, training=False, num_slots=None):
        self.check_video(inputs["video"])
        if training and inputs["video"].shape[1] == 1:
            raise ValueError(
                "SequentialIODINE learns to predict the next frame and needs "
                "clips of at least 2 frames, got 1; set CLIP_LENGTH"
            )
        names = _RECORDS if training else [*_RECORDS, "latent_kl"]
        state, total, records = self._observe(inputs, names, num_slots)
        outputs = self.decomposition(
            records,
            self.weight(inputs, "variance"),
            with_components=not training,
        )
        if not training:
            outputs["latent_kl"] = records["latent_kl"]
        return {**outputs, "loss": total, "state": state}

    def infer(self, inputs, num_slots=None):
        """lambda of every frame, as `masks_from` says: `[B, T, K, 2 Z]`."""
        self.check_video(inputs["video"])
        names = ["parameters", "latent_kl"]
        return self._observe(inputs, names, num_slots)[2]["parameters"]

    def _observe(self, inputs, names, num_slots):
        """All frames: `(state, loss [B], records of these names)`.

        Without `latent_kl`, records are those of the predictive decodes.
        """
        num_slots = check_slots(num_slots, self.num_slots)
        video = base.without_gradient(inputs["video"])
        batch, num_frames = tf.shape(video)[0], tf.shape(video)[1]
        carry, first = self.initial_state(inputs, batch, num_slots)
        weights = self.read_weights()
        shared = self.cell(inputs, batch, num_slots)
        noise = self._noise(inputs, num_slots)

        def frame(t, carry):
            parameters, state, total = carry
            drawn = noise(t, first + t, 2)
            cell = {
                **shared,
                "frame": base.as_float(tf.gather(video, t, axis=1)),
                "noise": drawn[:, 0],
                "is_first": is_zero(first + t),
            }
            parameters, state = self.carried(first + t, parameters, state)
            after, state, records = self.observe(
                weights, cell, parameters, state
            )
            total += self.frame_weight(t, num_frames) * records["loss"]
            if "latent_kl" in names:
                if self.masks_from == "filtered":
                    # It follows a refinement, in the first frame as well.
                    refined = {"noise": drawn[:, 1], "is_first": tf.zeros([])}
                    cell = {**cell, **refined}
                    records |= self.look(weights, cell, after)
                records["latent_kl"] = self.latent_kl(
                    cell, records["parameters"]
                )
            return (after, state, total), records

        (parameters, state, total), records = scan_frames(
            frame, num_frames, (*carry, tf.zeros([batch])), names
        )
        state = {
            "parameters": parameters,
            "recurrent": state,
            "frame": first + num_frames,
        }
        return state, total, records

    def initial_state(self, inputs, batch, num_slots):
        """`((lambda, recurrent state), number of the first frame)`."""
        state = inputs.get("state")
        if state is not None:
            carry = state["parameters"], tuple(state["recurrent"])
            return carry, tf.cast(state["frame"], tf.int32)
        first = tf.cast(inputs.get("first_frame", 0), tf.int32)
        return self.start(batch, num_slots), first

    def frame_weight(self, t, num_frames):
        """w_j of a clip's frame; a clip of one frame weighs nothing."""
        if self.step_weights == "linspace":
            t, last = tf.cast(t, tf.float32), tf.maximum(num_frames - 1, 1)
            return t / tf.cast(last, tf.float32)
        return self.step_weight(t + 1, num_frames)

    def _arguments(self, weights, cell, parameters, state):
        with self.using(weights):
            cell = {**cell, "shared": self.shared_maps(cell["frame"])}
        return {
            "weights": weights,
            "cell": cell,
            "parameters": parameters,
            "state": state,
        }

    def observe(self, weights, cell, parameters, state):
        """Decodes, scores and refines by one frame.

        Returns:
            `(parameters, state, records)`, the first two refined.
        """
        outputs = self.run_cell(
            self.refine_cell, self._arguments(weights, cell, parameters, state)
        )
        records = {**outputs, "parameters": parameters}
        return outputs["parameters"], outputs["state"], records

    def look(self, weights, cell, parameters):
        """What a frame looks like now that it was seen."""
        with self.using(weights):
            means, logits = self.decode_latents(self.sample(cell, parameters))
        return {
            "means": means,
            "masks": self.mixture(means, logits).masks,
            "parameters": parameters,
        }

    def encode(self, inputs, num_slots=None):
        """Posterior means `slots` `[B, T, K, Z]`."""
        return {"slots": self(inputs, num_slots=num_slots)["slots"]}

    def cells(self, num_frames, num_refinements=None):
        del num_refinements
        return num_frames, num_frames

    def get_config(self):
        return {**super().get_config(), "masks_from": self.masks_from}
