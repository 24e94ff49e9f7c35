"""Runs that differ in the refinement network's inputs, side by side."""

import dataclasses

import gin

from tfdecomp.evaluation.studies import slots, study


@gin.register(module="studies")
@dataclasses.dataclass(frozen=True)
class InputAblation(study.Study):
    """A row for each run (figures 33 to 40 of IODINE).

    Train the runs with `models.IODINE.without = ("parameter_gradient",)` and
    the like.
    """

    name = "input_ablation"

    def look(self, subject, others):
        """Tabulates the scores of all runs on the same images."""
        rows = []
        for one in (subject, *others):
            condition = self.condition(one)
            scores = study.image_scores(one, condition)
            rows.append(
                {
                    **one.describe(),
                    "without": list(getattr(one.model, "without", ())),
                    "dataset": condition.dataset,
                    "num_clips": len(scores["num_objects"]),
                    **study.means(scores),
                }
            )
        sets = sorted({row["dataset"] for row in rows})
        if len(sets) > 1:
            raise ValueError(
                f"the runs were trained on {', '.join(sets)}; numbers on "
                "different images are not compared: give --dataset"
            )
        shown = [n for n in slots.TITLES if all(n in row for row in rows)]
        lines = [
            [
                ", ".join(row["without"]) or "nothing",
                (row["run"] or {}).get("seed"),
                (row["run"] or {}).get("step"),
                *(row[n] for n in shown),
            ]
            for row in rows
        ]
        table = study.table(
            ["without", "seed", "step", *(slots.TITLES[n] for n in shown)],
            lines,
            f"Inputs of the refinement left out; {rows[0]['num_clips']} "
            f"images of {sets[0]}",
        )
        protocol = self.condition(subject).describe()
        return study.Findings({"protocol": protocol, "rows": rows}, table)
