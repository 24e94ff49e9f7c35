"""How far predicted frames are off, the further ahead they lie."""

import dataclasses

import gin
import numpy as np
import tensorflow as tf

from tfdecomp.evaluation import runner
from tfdecomp.evaluation.studies import study
from tfdecomp.evaluation.studies.latents import factored
from tfdecomp.metrics import dynamics

_BY = ("means", "samples")
_FRAME, _RECON = "last frame", "last reconstruction"
_CONSTANT, _SEEN = "mean picture", "reconstruction"


@gin.register(module="studies")
@dataclasses.dataclass(frozen=True)
class RolloutError(study.Study):
    """Mean squared error of predictions by horizon, beside what needs none.

    The model sees the first frames of a clip and goes on by itself: by
    `samples` of what it predicts and, where it can, by `means` (the frames
    that it sees are then followed by means, too). Beside it stand

    * `last frame`: the last frame seen, repeated; and `last reconstruction`,
      what the model makes of it, which is as blurred as its predictions;
    * `mean picture`: the mean of all clips' true frames at that horizon, the
      best that one picture for all clips can reach;
    * `reconstruction`: what the model makes of the true frames when it sees
      them, which no prediction undercuts by much.

    Args:
        num_observed: Frames that the model sees.
        num_predicted: Frames to predict; by default the rest of the clip.
        num_shown: Clips that are drawn, from the first.
        max_frames: Frames that a picture shows.
    """

    name = "rollout_error"

    num_observed: int = 2
    num_predicted: int | None = None
    num_shown: int = 4
    max_frames: int = 20

    def look(self, subject, others):
        """Tabulates errors and draws them, and some predictions."""
        del others
        condition = self._condition(subject)
        predict = _compiled(subject.model, self.num_observed)
        parts, pictures = [], {}
        constant = _Constant()
        for batch, inputs in subject.batches(condition):
            count = batch["video"].shape[1] - self.num_observed
            if count < 1:
                raise ValueError(
                    f"rollout_error sees {self.num_observed} frames and "
                    f"predicts those after them, but the clips have "
                    f"{batch['video'].shape[1]}; give fewer "
                    "studies.RolloutError.num_observed or another --dataset"
                )
            found = {k: np.asarray(v) for k, v in predict(inputs).items()}
            valid = np.flatnonzero(batch["valid"])
            video = batch["video"]
            future = video[valid, self.num_observed :]
            parts.append(
                {
                    name: dynamics.rollout_error(future, recon[valid, -count:])
                    for name, recon in found.items()
                }
            )
            constant.add(future)
            for n in valid[: max(self.num_shown - len(pictures), 0)]:
                clip = int(batch["clip_index"][n])
                shown = {name: recon[n] for name, recon in found.items()}
                pictures[str(clip)] = self._draw(video[n], shown)
        errors = {n: v.mean(0) for n, v in study.join(parts).items()}
        errors[_CONSTANT] = constant.error()
        result = {
            "protocol": condition.describe(),
            "num_clips": constant.count,
            "num_observed": self.num_observed,
            "errors": {name: v.tolist() for name, v in errors.items()},
            "better_at": {
                name: _better_at(errors, name) for name in _BY if name in errors
            },
        }
        pictures = {"": _curves(errors), **pictures}
        return study.Findings(result, _table(subject, result), pictures)

    def _condition(self, subject):
        model = subject.model
        if not (hasattr(model, "predict_frames") or hasattr(model, "rollout")):
            raise ValueError(
                f"{subject.name} cannot predict frames; take a model of "
                "video, such as dvip_digits_quick"
            )
        if self.num_observed < 1:
            raise ValueError(
                "studies.RolloutError.num_observed must be at least 1, got "
                f"{self.num_observed}"
            )
        frames = self.num_predicted
        if frames is not None:
            frames += self.num_observed
        return self.condition(subject, num_frames=frames)

    def _draw(self, video, found):
        from tfdecomp.visualization import factors

        rows = {"true": video}
        rows |= {n: v for n, v in found.items() if n != _RECON}
        return factors.versions(rows, self.num_observed, self.max_frames)


def _compiled(model, num_observed):
    """Inputs -> way to `[B, T, H, W, C]`, the observed frames first."""

    @tf.function(autograph=False, reduce_retracing=True)
    def predict(inputs):
        video = tf.image.convert_image_dtype(inputs["video"], tf.float32)
        count = video.shape[1] - num_observed
        context = {**inputs, "video": inputs["video"][:, :num_observed]}
        seen = model(context, training=False)
        found = {}
        if hasattr(model, "filter"):
            followed = factored.follow(model, context)
            state = {**seen["state"], **followed["state"]}
            ahead = model.predict_frames(
                state, inputs["seed"], count, use_means=True
            )
            found["means"] = _join(followed["recon"], ahead["recon"])
        ahead = runner.predict(model, context, seen, count)
        found["samples"] = _join(seen["recon"], ahead["recon"])
        for name, frames in (
            (_FRAME, video[:, :num_observed]),
            (_RECON, seen["recon"]),
        ):
            found[name] = _join(frames, tf.repeat(frames[:, -1:], count, 1))
        found[_SEEN] = model(inputs, training=False)["recon"]
        return found

    return predict


def _join(first, second):
    return tf.concat([first, second], axis=1)


class _Constant:
    """Error of the mean of all clips, frame by frame, as they come."""

    def __init__(self):
        self.count, self.total, self.squares = 0, 0.0, 0.0

    def add(self, video):
        """Takes `[B, P, H, W, C]` uint8."""
        video = video / 255.0
        self.count += len(video)
        self.total = self.total + video.sum(0)
        self.squares = self.squares + np.square(video).sum(0)

    def error(self):
        """`[P]`."""
        mean = self.total / self.count
        return (self.squares / self.count - np.square(mean)).mean((1, 2, 3))


def _better_at(errors, name):
    """At how many horizons each one that needs no prediction is worse."""
    return {
        other: int(np.sum(errors[name] < errors[other]))
        for other in (_FRAME, _RECON, _CONSTANT)
    }


def _curves(errors):
    from tfdecomp.visualization import plots

    horizons = np.arange(1, 1 + len(errors[_FRAME]))
    lines = {name: (v, v, v) for name, v in errors.items()}
    panels = {"mean squared error": lines}
    return plots.curves(panels, horizons, "frames ahead", columns=2)


def _table(subject, result):
    errors = result["errors"]
    rows = [[str(n + 1), *v] for n, v in enumerate(zip(*errors.values()))]
    title = (
        f"{subject.name} on {result['num_clips']} clips of "
        f"{result['protocol']['dataset']}: mean squared error of predicted "
        f"frames, {result['num_observed']} seen"
    )
    for name, counts in result["better_at"].items():
        title += f"; {name} are better than the " + ", the ".join(
            f"{other} at {n} of {len(rows)}" for other, n in counts.items()
        )
    return study.table(["frames ahead", *errors], rows, title)
