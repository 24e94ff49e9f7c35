"""Fewer and more slots than in training."""

import dataclasses

import gin
import numpy as np

from tfdecomp.evaluation.studies import study

TITLES = {
    "f_ari": "F-ARI",
    "ari": "ARI",
    "mse": "MSE",
    "kl": "KL",
    "slots_used": "slots used",
}
_MORE = 4  # slots beyond those of training


@gin.register(module="studies")
@dataclasses.dataclass(frozen=True)
class Slots(study.Study):
    """Scores by the number of slots at test time (figure 9 of IODINE).

    Args:
        num_slots: Numbers of slots; by default from 2 to 4 more than in
            training.
    """

    name = "slots"

    num_slots: tuple | None = None

    def look(self, subject, others):
        """Tabulates and plots scores by slots and by objects."""
        del others
        trained = subject.model.num_slots
        counts = self.num_slots or range(2, trained + _MORE + 1)
        found, rows = {}, []
        for count in counts:
            condition = self.condition(subject, num_slots=int(count))
            found[count] = study.image_scores(subject, condition)
            rows.append({"num_slots": int(count), **by_objects(found[count])})
        result = {
            "trained_slots": trained,
            "num_clips": len(found[counts[0]]["num_objects"]),
            "protocol": self.condition(subject).describe(),
            "rows": rows,
        }
        title = (
            f"{subject.name}, trained with {trained} slots; "
            f"{result['num_clips']} images"
        )
        table = table_by_objects([(r["num_slots"], r) for r in rows], title)
        picture = _plot(found, trained)
        return study.Findings(result, table, {"": picture})


def by_objects(scores) -> dict:
    """Means over all images, and by number of objects.

    Args:
        scores: From `study.image_scores`.

    Returns:
        `num_clips`, `all` and `by_objects`: `{number: means}`, each with the
        number of images.
    """
    objects = scores["num_objects"]
    parts = {
        str(int(n)): {
            "num_clips": int((objects == n).sum()),
            **study.means(scores, objects == n),
        }
        for n in np.unique(objects)
    }
    return {
        "num_clips": len(objects),
        "all": study.means(scores),
        "by_objects": parts,
    }


def table_by_objects(rows, title, label="slots") -> str:
    """A table of `by_objects`.

    Args:
        rows: `(label of the row, from by_objects)`.
        title: Line above it.
        label: What tells the rows apart.
    """
    numbers = sorted({n for _, row in rows for n in row["by_objects"]}, key=int)
    shown = [n for n in TITLES if all(n in row["all"] for _, row in rows)]
    head = [label, "images", *(TITLES[n] for n in shown)]
    split = len(numbers) > 1
    if split:
        head += [f"F-ARI, {n} objects" for n in numbers]
    lines = [
        [name, row["num_clips"], *(row["all"][n] for n in shown)]
        + [row["by_objects"].get(n, {}).get("f_ari") for n in numbers if split]
        for name, row in rows
    ]
    return study.table(head, lines, title)


def _plot(found, trained):
    from tfdecomp.visualization import plots

    counts = list(found)
    objects = np.unique(next(iter(found.values()))["num_objects"])
    panels = {}
    for score, title in TITLES.items():
        if any(score not in scores for scores in found.values()):
            continue
        panels[title] = {
            f"{n} objects": np.percentile(
                [s[score][s["num_objects"] == n] for s in found.values()],
                [25, 50, 75],
                axis=1,
            )
            for n in objects
        }
    return plots.curves(panels, counts, "slots", [trained])
