"""Objects that trade places."""

import dataclasses

import gin
import numpy as np

from tfdecomp.evaluation.studies import objects, study


@gin.register(module="studies")
@dataclasses.dataclass(frozen=True)
class Swap(study.Study):
    """Appearances stay in order and places do not.

    Images in which fewer than two objects are found are passed over.

    Args:
        num_clips: Images to show.
        permutation: Object i goes where object `permutation[i]` was, from 0;
            by default each goes to the next one's place.
    """

    name = "swap"

    num_clips: int | None = 8
    permutation: tuple | None = None

    def look(self, subject, others):
        """Draws rows input | reconstruction | swapped."""
        del others
        objects.require(subject, "swap", "let objects trade places")
        condition = self.condition(
            subject, num_clips=objects.patient(self.num_clips)
        )
        rows = {"input": [], "reconstruction": [], "swapped": []}
        entries = []
        for number, inputs, outputs, _ in objects.pick(
            subject, condition, self.num_clips, least=2
        ):
            swapped = subject.model.swap(inputs, permutation=self.permutation)
            rows["input"].append(inputs["video"][0, -1])
            rows["reconstruction"].append(outputs["recon"][0, -1])
            rows["swapped"].append(np.asarray(swapped)[0, -1])
            before, after = rows["reconstruction"][-1], rows["swapped"][-1]
            change = np.abs(after - before).max(-1) > 0.5
            entries.append(
                {
                    "image": number,
                    "objects": len(objects.in_use(outputs, 0)),
                    "pixels_changed": int(change.sum()),
                }
            )
        result = {"protocol": condition.describe(), "images": entries}
        table = study.table(
            ["image", "objects found", "pixels changed by a half"],
            [list(entry.values()) for entry in entries],
            f"{subject.name} on {condition.dataset}",
        )
        from tfdecomp.visualization import scenes

        captions = [f"image {entry['image']}" for entry in entries]
        rows = {name: np.stack(some) for name, some in rows.items()}
        pictures = {"": scenes.compare(rows, captions)}
        return study.Findings(result, table, pictures)
