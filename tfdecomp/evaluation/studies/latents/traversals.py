"""What single latents of a slot do to the picture."""

import dataclasses

import gin
import numpy as np

from tfdecomp.evaluation import pictures as pictures_lib
from tfdecomp.evaluation.studies import objects, study

VALUES = tuple(np.linspace(-1.25, 1.25, 9).tolist())


@gin.register(module="studies")
@dataclasses.dataclass(frozen=True)
class Traversals(study.Study):
    """Sweeps the latents with the highest KL (figure 6 of IODINE).

    In each image the slot with the highest KL is taken, and the latents that
    say most in it; all slots are decoded for each value. Where the model knows
    the background, the slot is an object, and images without one are passed
    over.

    Args:
        num_clips: Images to show.
        num_latents: Latents to sweep.
        values: Values they take; by default the model's own
            `traversal_values` if it has some.
    """

    name = "traversals"

    num_clips: int | None = 4
    num_latents: int = 8
    values: tuple | None = None

    def look(self, subject, others):
        """Draws a picture for each image."""
        del others
        if not hasattr(subject.model, "traverse"):
            raise ValueError(f"{subject.name} cannot sweep its latents")
        condition = self.condition(subject)
        pictures, entries = {}, []
        for batch, inputs in subject.batches(condition):
            outputs = subject.model(inputs, training=False)
            for n in np.flatnonzero(batch["valid"]):
                one = {name: value[n : n + 1] for name, value in inputs.items()}
                slot = _slot(subject.model, outputs, n)
                if slot is None:
                    continue
                entry, picture = self._sweep(subject, one, outputs, n, slot)
                entry["image"] = int(batch["clip_index"][n])
                entries.append(entry)
                pictures[str(entry["image"])] = picture
        if not entries:
            raise ValueError(
                f"{subject.name} finds no object in the first "
                f"{self.num_clips} images of {condition.dataset}:"
                f"{condition.split}; give a larger --num_clips"
            )
        result = {
            "protocol": condition.describe(),
            "values": list(self._values(subject.model)),
            "images": entries,
        }
        rows = [
            [
                entry["image"],
                entry["slot"],
                entry["measure"],
                " ".join(
                    f"z{d}: {w:.2f}"
                    for d, w in zip(entry["dims"], entry["weights"])
                ),
            ]
            for entry in entries
        ]
        table = study.table(
            ["image", "slot", "by", "latents that say most"],
            rows,
            f"{subject.name} on {condition.dataset}",
        )
        return study.Findings(result, table, pictures)

    def _values(self, model):
        if self.values is not None:
            return self.values
        return getattr(model, "traversal_values", VALUES)

    def _sweep(self, subject, one, outputs, n, slot):
        from tfdecomp.visualization import traversal

        values = self._values(subject.model)
        weight, measure = pictures_lib.latent_weight(outputs, n, slot)
        dims = np.argsort(-weight, kind="stable")[: self.num_latents]
        swept = subject.model.traverse(one, slot, dims=dims, values=values)
        picture = traversal.traversal(
            np.asarray(swept)[0],
            weight[dims],
            values=values,
            dims=dims,
            measure=measure,
            max_rows=self.num_latents,
        )
        return {
            "slot": slot,
            "measure": measure,
            "dims": dims.tolist(),
            "weights": [round(float(w), 4) for w in weight[dims]],
        }, picture


def _slot(model, outputs, n):
    """The slot with the highest KL, or None where there is no object."""
    if "latent_kl" not in outputs:
        return 0
    per_slot = np.asarray(outputs["latent_kl"])[n, -1].sum(-1)
    if getattr(model, "background_slot", None) is not None:
        found = objects.in_use(outputs, n)
        return int(found[per_slot[found].argmax()]) if len(found) else None
    return int(per_slot.argmax())
