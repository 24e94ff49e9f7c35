"""Images with more objects than the model was trained on."""

import dataclasses

import gin

from tfdecomp.evaluation.studies import slots, study


@gin.register(module="studies")
@dataclasses.dataclass(frozen=True)
class MoreObjects(study.Study):
    """Scores on more objects, with the slots of training and with more.

    Args:
        dataset: Set with more objects; by default the one trained on, without
            the limit on objects that training had (CLEVR6 -> CLEVR).
        num_slots: Slots to raise to; by default as many more as there are
            more objects.
        filter_objects: `(least, most)` number of objects in the new images;
            by default any.
    """

    name = "more_objects"

    num_slots: int | None = None
    filter_objects: tuple | None = None

    def look(self, subject, others):
        """Tabulates images as in training beside those with more objects."""
        del others
        trained = subject.model.num_slots
        old = self.condition(subject, dataset=None)
        new = self.condition(subject)
        known = study.image_scores(subject, old)
        limits = {"filter_objects": self.filter_objects}
        found = study.image_scores(subject, new, **limits)
        most = [int(s["num_objects"].max()) for s in (known, found)]
        raised = self.num_slots or trained + max(0, most[1] - most[0])
        rows = [
            self._row(old, trained, known),
            self._row(new, trained, found),
        ]
        if raised != trained:
            more = self.condition(subject, num_slots=raised)
            found = study.image_scores(subject, more, **limits)
            rows.append(self._row(more, raised, found))
        result = {
            "trained_slots": trained,
            "most_objects": {"trained_on": most[0], "here": most[1]},
            "protocol": new.describe(),
            "rows": rows,
        }
        table = slots.table_by_objects(
            [(f"{r['dataset']}, {r['num_slots']} slots", r) for r in rows],
            f"{subject.name}, trained with {trained} slots on at most "
            f"{most[0]} objects",
            "images of",
        )
        return study.Findings(result, table)

    def _row(self, condition, num_slots, scores):
        return {
            "dataset": condition.dataset,
            "split": condition.split,
            "num_slots": num_slots,
            **slots.by_objects(scores),
        }
