"""A model, a protocol and clips -> scores, streaming over batches."""

import datetime
import inspect
import math
import time

import numpy as np
import tensorflow as tf

from tfdecomp import types
from tfdecomp.evaluation import clips as clips_lib
from tfdecomp.evaluation import latents
from tfdecomp.evaluation import scores as scores_lib
from tfdecomp.evaluation.records import Record, observed_frames


def evaluate(model, protocol, **kwargs) -> dict:
    """Scores a model once; see `Evaluator`."""
    return Evaluator(model, protocol, **kwargs).run()


class Evaluator:
    """Scores a model under a protocol, as often as asked.

    Keeps its compiled functions, so a training run that evaluates now and
    then compiles once. Memory does not grow with the number of clips. A last
    partial batch is padded and its padding counted by nothing.

    Args:
        model: Has the call of `tfdecomp.models.DecompositionModel` and, for a
            protocol with `bound_samples`, the method
            `log_likelihood_bound(inputs, num_samples) -> [B]` nats per clip.
        protocol: A `Protocol`.
        trained_on: Dataset the model was trained on; used where the protocol
            names none.
        name: What to call the model in the results; by default its class.
        batch_size: Clips at a time. Changes no score.
        open_clips: Function with the arguments of `clips.open_stored`, and
            its result; by default that.
        progress: Called with the number of clips done, now and then.

    Examples:
        >>> from tfdecomp.data.fake import fake_batch
        >>> from tfdecomp.evaluation.protocol import Protocol
        >>> from tfdecomp.evaluation.runner import Evaluator
        >>> from tfdecomp.models.vae import VAE
        >>> clips = [fake_batch(2, 3, 16, 16) | {"valid": [True, True]}]
        >>> rest = {"trained_on": "fake", "open_clips": lambda *_: clips}
        >>> evaluator = Evaluator(VAE(image_size=16), Protocol(), **rest)
        >>> evaluator.run()["num_clips"]
        2
    """

    def __init__(
        self,
        model,
        protocol,
        *,
        trained_on=None,
        name=None,
        batch_size=8,
        open_clips=clips_lib.open_stored,
        progress=None,
    ):
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.model = model
        self.protocol = protocol
        self.trained_on = trained_on
        self.name = name or type(model).__name__
        self.batch_size = batch_size
        self.open_clips = open_clips
        self.progress = progress or (lambda done: None)
        self.conditions = protocol.expand(trained_on)
        self._compiled = {}
        self._bounds = {}
        self._check_bound()

    def run(self) -> dict:
        """Scores all conditions.

        Returns:
            `model`, its `class`, `dataset`, `protocol`, `num_clips` and the
            scores that the model's outputs allow: means over clips,
            `per_frame` means by frame and `per_clip` values. When frames are
            predicted these are theirs, and `observed` has those of the
            observed frames. With several conditions `conditions` lists all,
            and the scores at the top are those of `Protocol.headline`.

        Raises:
            ValueError: If the clips are not what the protocol asks for, or
                the model returns values that are not finite.
        """
        begin = time.monotonic()
        results = [None] * len(self.conditions)
        # All are opened before the first is scored: a split that is missing
        # shows at once.
        passes = [
            (longest, members, self._open(longest))
            for longest, members in self._passes()
        ]
        for longest, members, batches in passes:
            records = self._run_pass(
                longest, batches, [self.conditions[i] for i in members]
            )
            for i, record in zip(members, records):
                results[i] = record.result()
        common = {
            "model": self.name,
            "class": type(self.model).__name__,
            "trained_on": self.trained_on,
            "protocol": self.protocol.describe(),
            "created": _now(),
            "seconds": round(time.monotonic() - begin, 1),
        }
        if not self.protocol.conditions:
            return {**common, **results[0]}
        chosen = self.protocol.headline(self.conditions)
        headline = results[self.conditions.index(chosen)]
        headline = {
            k: v for k, v in headline.items() if not k.startswith("per_")
        }
        return {**common, **headline, "conditions": results}

    def _check_bound(self):
        samples = max(c.bound_samples or 0 for c in self.conditions)
        if samples and not hasattr(self.model, "log_likelihood_bound"):
            raise ValueError(
                f"protocol {self.protocol.name!r} takes the bound of "
                f"log p(x) with {samples} samples, but "
                f"{type(self.model).__name__} has no log_likelihood_bound; "
                "take a protocol without bound_samples"
            )

    def _passes(self):
        """Groups conditions that one pass over the clips can serve.

        A model that does not look ahead gives the same first frames whether
        the clip goes on or not, so the longest clip serves all lengths; the
        same holds for the number of predicted frames.
        """
        looks_ahead = getattr(self.model, "looks_ahead", True)
        groups = {}
        for i, condition in enumerate(self.conditions):
            fixed = looks_ahead or condition.num_predicted > 0
            fixed = fixed or bool(condition.bound_samples)
            key = condition.group_key(keep_length=fixed)
            groups.setdefault(key, []).append(i)
        for members in groups.values():
            chosen = [self.conditions[i] for i in members]
            yield max(chosen, key=_extent), members

    def _open(self, condition):
        return self.open_clips(condition, self.model, self.batch_size)

    def _run_pass(self, longest, batches, members):
        groups = latents.num_groups(self.model)
        records = [Record(condition, groups) for condition in members]
        step, bound = self._step(longest), self._bound(longest)
        done = 0
        for batch in batches:
            inputs = _inputs(longest, batch)
            parts = _to_numpy(step(inputs))
            if bound is not None:
                parts["observed"]["nll_bound"] = -np.asarray(bound(inputs))
            for record in records:
                record.add(batch, parts)
            done += int(np.sum(batch["valid"]))
            self.progress(done)
        self._check_count(longest, done)
        return records

    def _step(self, condition):
        """The compiled forward pass of a condition's model settings."""
        key = (
            condition.num_slots,
            condition.num_refinements,
            condition.num_predicted,
        )
        if key not in self._compiled:
            self._compiled[key] = compile_forward(self.model, condition)
        return self._compiled[key]

    def _bound(self, condition):
        """The compiled bound of `log p(x)`, or None if none is asked for."""
        samples = condition.bound_samples
        if samples and samples not in self._bounds:
            self._bounds[samples] = compile_bound(self.model, samples)
        return self._bounds.get(samples)

    @staticmethod
    def _check_count(condition, done):
        wanted = condition.num_clips
        if done == 0 or (wanted is not None and done < wanted):
            raise ValueError(
                f"protocol {condition.name!r} wants "
                f"{wanted or 'at least 1'} clips, but "
                f"{condition.dataset}:{condition.split} has {done}; "
                "ask for fewer (--num_clips) or for another split"
            )


def clip_seeds(seed, clip_index) -> np.ndarray:
    """One seed for each clip, whatever batch it is in: `[B, 2]` int32."""
    clip_index = np.asarray(clip_index, np.int64)
    numbers = (clip_index & 0x7FFFFFFF).astype(np.int32)
    return np.stack([np.full_like(numbers, seed), numbers], axis=1)


def model_inputs(condition, batch) -> dict:
    """What a model reads of a batch."""
    return {
        "video": batch["video"],
        "seed": clip_seeds(condition.seed, batch["clip_index"]),
        **{name: batch[name] for name in types.GIVEN if name in batch},
    }


def _inputs(condition, batch):
    """What the compiled step reads of a batch."""
    video = batch["video"]
    observed = observed_frames(condition, video.shape[1])
    inputs = model_inputs(condition, batch)
    inputs["video"] = video[:, :observed]
    if condition.num_predicted:
        inputs["future"] = video[:, observed:]
    return inputs


def model_arguments(condition) -> dict:
    """What a condition changes in the model's call."""
    return {
        name: getattr(condition, name)
        for name in ("num_slots", "num_refinements")
        if getattr(condition, name) is not None
    }


def compile_forward(model, condition):
    """Compiles the forward pass, with what is scored as its output.

    Args:
        model: The model.
        condition: A `Protocol` without conditions of its own.

    Returns:
        A function of `video`, `seed` and, to predict, `future`; its values
        are `observed` and `predicted`, each as of `scores.summarize`, and
        `num_slots`.
    """
    arguments = model_arguments(condition)

    @tf.function(autograph=False, reduce_retracing=True)
    def step(inputs):
        outputs = model(inputs, training=False, **arguments)
        parts = {"observed": scores_lib.summarize(inputs["video"], outputs)}
        if condition.num_predicted:
            outputs = predict(model, inputs, outputs, condition.num_predicted)
            future, last = inputs["future"], inputs["video"][:, -1:]
            parts["predicted"] = scores_lib.summarize(future, outputs, last)
        if "masks" in outputs:
            parts["num_slots"] = tf.shape(outputs["masks"])[2]
        return parts

    return step


def compile_bound(model, num_samples):
    """Compiles the importance-weighted bound of `log p(x)`.

    Args:
        model: Has `log_likelihood_bound`.
        num_samples: Samples of the bound.

    Returns:
        A function of `video` and `seed`; its value is `[B]` nats per clip.
    """

    @tf.function(autograph=False, reduce_retracing=True)
    def bound(inputs):
        values = model.log_likelihood_bound(inputs, num_samples=num_samples)
        return tf.cast(values, tf.float32)

    return bound


def predict(model, inputs, outputs, num_frames) -> dict:
    """The frames after those in `inputs`, as a `Decomposition`.

    Args:
        model: The model.
        inputs: What it was called with.
        outputs: What it returned.
        num_frames: How many frames to predict.

    Raises:
        ValueError: If the model cannot predict.
    """
    if "state" in outputs and hasattr(model, "predict_frames"):
        options = {}
        if "image_size" in inspect.signature(model.predict_frames).parameters:
            options["image_size"] = tuple(inputs["video"].shape[2:4])
        return model.predict_frames(
            outputs["state"], inputs["seed"], num_frames, **options
        )
    if hasattr(model, "rollout"):
        return model.rollout(inputs, num_frames)
    raise ValueError(
        f"the protocol predicts {num_frames} frames, but "
        f"{type(model).__name__} has no rollout; take a protocol without "
        "num_predicted"
    )


def _to_numpy(parts):
    return tf.nest.map_structure(np.asarray, parts)


def _extent(condition):
    """Sorts conditions by the frames they need; None is all there are."""
    return condition.num_frames or math.inf, condition.num_predicted


def _now():
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
