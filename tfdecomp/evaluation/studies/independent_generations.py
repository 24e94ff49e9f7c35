"""Videos in which one factor moves and the others stand still."""

import dataclasses

import gin
import numpy as np
import tensorflow as tf

from tfdecomp.evaluation.studies import study
from tfdecomp.evaluation.studies.latents import factored
from tfdecomp.models.dvip import VARY


@gin.register(module="studies")
@dataclasses.dataclass(frozen=True)
class IndependentGenerations(study.Study):
    """Each factor moves by itself, from the second frame on (DVIP, figure 3).

    A factor follows the video (`posterior`, as in the paper), is predicted
    from its own value in the second frame (`transition`) or is drawn anew in
    every frame (`prior`).

    Args:
        num_clips: Videos to show.
        num_frames: Frames of each, at least 3; by default all there are.
        by: What the factors follow.
        max_frames: Frames that a picture shows.
    """

    name = "independent_generations"

    num_clips: int | None = 4
    num_frames: int | None = None
    by: tuple = VARY
    max_frames: int = 20

    def look(self, subject, others):
        """Draws a picture for each way to vary, and a video of all."""
        del others
        _require_factors(subject)
        condition = self.condition(subject, num_frames=self.num_frames)
        generate = self._compiled(subject.model)
        pictures, entries = {}, []
        for batch, inputs in subject.batches(condition):
            factored.check_frames(self, batch)
            found = {k: np.asarray(v) for k, v in generate(inputs).items()}
            for n in np.flatnonzero(batch["valid"]):
                clip = int(batch["clip_index"][n])
                videos = {by: found[by][n] for by in self.by}
                recon = found["recon"][n]
                for name, picture in self._draw(
                    batch["video"][n], recon, videos
                ):
                    pictures[f"{clip}_{name}".strip("_")] = picture
                entries += _entries(clip, recon, videos)
        result = {"protocol": condition.describe(), "changes": entries}
        rows = [
            [e["clip"], e["factor"], *e["change"].values()] for e in entries
        ]
        table = study.table(
            ["clip", "factor", *self.by],
            rows,
            f"{subject.name} on {condition.dataset}: mean squared change from "
            "the second frame while one factor varies",
        )
        return study.Findings(result, table, pictures)

    def _compiled(self, model):
        """Inputs -> `recon`, and way to vary -> `[B, k, T, H, W, C]`."""

        @tf.function(autograph=False, reduce_retracing=True)
        def generate(inputs):
            found = {"recon": factored.follow(model, inputs)["recon"]}
            for by in self.by:
                videos = [
                    model.vary(inputs, factor, by=by)
                    for factor in range(model.num_slots)
                ]
                found[by] = tf.stack(videos, axis=1)
            return found

        return generate

    def _draw(self, video, recon, varied):
        """Yields the pictures of a clip, and its video with no name."""
        from tfdecomp.visualization import factors

        rows = {}
        for by, videos in varied.items():
            rows[by] = {"input": video, "reconstruction": recon}
            rows[by] |= {f"factor {i}": v for i, v in enumerate(videos)}
            yield (
                by,
                factors.versions(rows[by], factored.SHARED, self.max_frames),
            )
        yield "", factors.versions_video(rows, factored.SHARED)


def _require_factors(subject):
    """Raises `ValueError` unless something stands while a factor moves."""
    factored.require(subject, "vary one factor at a time")
    if subject.model.num_slots < 2:
        raise ValueError(
            f"{subject.name} has a single factor: when it moves, nothing "
            "stands still; take a model with several, such as "
            "dvip_digits_quick, or the study factor_objects, which cuts its "
            "latents into groups"
        )


def _entries(clip, recon, varied):
    """How much each factor changes what is seen."""
    still = recon[factored.SHARED - 1]
    change = {
        by: np.square(videos[:, factored.SHARED :] - still).mean((1, 2, 3, 4))
        for by, videos in varied.items()
    }
    return [
        {
            "clip": clip,
            "factor": i,
            "change": {by: float(values[i]) for by, values in change.items()},
        }
        for i in range(len(next(iter(varied.values()))))
    ]
