"""What each refinement gains, up to many more than were trained."""

import dataclasses

import gin
import numpy as np

from tfdecomp.evaluation import scores as scores_lib
from tfdecomp.evaluation.studies import study
from tfdecomp.metrics import rand_index

_SHOWN = {"f_ari": "F-ARI", "ari": "ARI", "mse": "MSE", "kl": "KL (nats)"}


@gin.register(module="studies")
@dataclasses.dataclass(frozen=True)
class Refinements(study.Study):
    """Scores after 0, 1, ... refinements (figure 8 of IODINE).

    Args:
        num_refinements: The most refinements to look at.
    """

    name = "refinements"

    num_refinements: int = 15

    def look(self, subject, others):
        """Tabulates and plots medians and quartiles over images."""
        condition = self.condition(subject)
        entries = [
            self._entry(one, self.condition(one)) for one in (subject, *others)
        ]
        trained = [entry["trained_refinements"] for entry in entries]
        curves = {
            title: {
                _label(entry, n): tuple(
                    entry["scores"][score][part]
                    for part in ("low", "middle", "high")
                )
                for n, entry in enumerate(entries)
            }
            for score, title in _SHOWN.items()
        }
        from tfdecomp.visualization import plots

        steps = np.arange(self.num_refinements + 1)
        picture = plots.curves(curves, steps, "refinements", sorted({*trained}))
        result = {
            **entries[0],
            "protocol": condition.describe(),
            "others": entries[1:],
        }
        return study.Findings(result, _table(entries, steps), {"": picture})

    def _entry(self, subject, condition):
        values = history(subject, condition, self.num_refinements)
        return {
            **subject.describe(),
            "trained_refinements": subject.model.num_refinements,
            "num_clips": len(values["mse"]),
            "scores": {n: study.quartiles(v) for n, v in values.items()},
        }


def history(subject, condition, num_refinements) -> dict:
    """Scores of every decode of every image.

    Args:
        subject: A `study.Subject` whose model has `refinement_history`.
        condition: A `Protocol` without conditions of its own.
        num_refinements: `R`.

    Returns:
        Name to `[N, R + 1]`: `f_ari`, `ari`, `mse`, `nll`, `kl`.

    Raises:
        ValueError: If the model does not refine pictures.
    """
    import tensorflow as tf

    model = subject.model
    if not hasattr(model, "refinement_history"):
        raise ValueError(
            f"{subject.name} does not refine single pictures; this study is "
            "for IODINE"
        )

    @tf.function(autograph=False, reduce_retracing=True)
    def decodes(inputs):
        outputs = model.refinement_history(inputs, num_refinements)
        found = {n: outputs[n] for n in ("recon", "masks")}
        found = scores_lib.summarize(inputs["video"], found)
        return {
            **found,
            "nll": outputs["nll_by_step"],
            "kl": outputs["kl_by_step"],
        }

    parts = []
    for batch, inputs in subject.batches(condition):
        found = {n: np.asarray(v) for n, v in decodes(inputs).items()}
        ids = found.pop("pred_ids")
        true = np.broadcast_to(batch["segmentation"][..., 0], ids.shape)
        counts = rand_index.contingency(true, ids)
        found["ari"] = rand_index.ari_of_table(counts)
        found["f_ari"] = rand_index.ari_of_table(counts, True)
        parts.append({n: v[batch["valid"]] for n, v in found.items()})
    return study.join(parts)


def _label(entry, number):
    label = f"R = {entry['trained_refinements']} in training"
    return label if not number else f"{label} ({number})"


def _table(entries, steps):
    parts = []
    for entry in entries:
        scores = entry["scores"]
        rows = [
            [int(r), *(_spread(scores[name], r) for name in _SHOWN)]
            for r in steps
        ]
        title = (
            f"{entry['model']}, trained with {entry['trained_refinements']} "
            f"refinements; {entry['num_clips']} images: median (quartiles)"
        )
        parts.append(
            study.table(["refinements", *_SHOWN.values()], rows, title)
        )
    return "\n".join(parts)


def _spread(score, r):
    low, middle, high = (
        study.cell(score[part][r]) for part in ("low", "middle", "high")
    )
    return f"{middle} ({low}–{high})"
