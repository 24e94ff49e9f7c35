"""What single latents of a slot do to the picture."""

import dataclasses

import gin
import numpy as np

from tfdecomp.evaluation import pictures as pictures_lib
from tfdecomp.evaluation.studies import study

VALUES = tuple(np.linspace(-1.25, 1.25, 9).tolist())


@gin.register(module="studies")
@dataclasses.dataclass(frozen=True)
class Traversals(study.Study):
    """Sweeps the latents with the highest KL (figure 6 of IODINE).

    In each image the slot with the highest KL is taken, and the latents that
    say most in it; all slots are decoded for each value.

    Args:
        num_clips: Images.
        num_latents: Latents to sweep.
        values: Values they take.
    """

    name = "traversals"

    num_clips: int | None = 4
    num_latents: int = 8
    values: tuple = VALUES

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
                entry, picture = self._sweep(subject, one, outputs, n)
                entry["image"] = int(batch["clip_index"][n])
                entries.append(entry)
                pictures[str(entry["image"])] = picture
        result = {"protocol": condition.describe(), "images": entries}
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

    def _sweep(self, subject, one, outputs, n):
        from tfdecomp.visualization import traversal

        slot = 0
        if "latent_kl" in outputs:
            per_slot = np.asarray(outputs["latent_kl"])[n, -1].sum(-1)
            slot = int(per_slot.argmax())
        weight, measure = pictures_lib.latent_weight(outputs, n, slot)
        dims = np.argsort(-weight, kind="stable")[: self.num_latents]
        swept = subject.model.traverse(one, slot, dims=dims, values=self.values)
        picture = traversal.traversal(
            np.asarray(swept)[0],
            weight[dims],
            values=self.values,
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
