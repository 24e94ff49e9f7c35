"""Images, what a model makes of them, and its objects one by one."""

import dataclasses

import gin
import numpy as np

from tfdecomp.evaluation.studies import objects, study


@gin.register(module="studies")
@dataclasses.dataclass(frozen=True)
class Reconstructions(study.Study):
    """Input, reconstruction, places as white pixels, and each object.

    Args:
        num_clips: Images to show.
    """

    name = "reconstructions"

    num_clips: int | None = 8

    def look(self, subject, others):
        """Draws a row for each image."""
        del others
        condition = self.condition(subject)
        parts, entries = [], []
        for number, inputs, outputs, labels in objects.pick(
            subject, condition, self.num_clips, labels=("num_objects",)
        ):
            slots = objects.in_use(outputs, 0)
            picture, recon = inputs["video"][0, -1], outputs["recon"][0, -1]
            if picture.dtype == np.uint8:
                picture = picture / np.float32(255.0)
            parts.append(
                (
                    picture,
                    recon,
                    outputs["locations"][0, -1, slots],
                    objects_alone(subject.model, outputs, slots),
                )
            )
            entries.append(
                {
                    "image": number,
                    "objects": int(labels["num_objects"]),
                    "found": len(slots),
                    "mse": float(np.mean(np.square(recon - picture))),
                    "nll": float(outputs["nll"][0]),
                    "locations": parts[-1][2].tolist(),
                }
            )
        result = {"protocol": condition.describe(), "images": entries}
        table = study.table(
            ["image", "objects", "found", "MSE", "NLL"],
            [list(entry.values())[:5] for entry in entries],
            f"{subject.name} on {condition.dataset}",
        )
        return study.Findings(result, table, {"": _draw(parts, entries)})


def objects_alone(model, outputs, slots):
    """Objects of one image, each by itself.

    Args:
        model: Draws sprites if it has the method `draw_sprites`.
        outputs: A `Decomposition`, a batch of one.
        slots: `[n]` numbers of slots.

    Returns:
        `[n, h, w, C]`: sprites, or else the components.
    """
    if not len(slots):
        return []
    if not hasattr(model, "draw_sprites"):
        return outputs["components"][0, -1, slots]
    latents = outputs["slots"][:, -1, slots]
    present = np.ones(latents.shape[:2], bool)
    return np.asarray(model.draw_sprites(latents, present))[0]


def _draw(parts, entries):
    from tfdecomp.visualization import scenes

    pictures, recon, points, sprites = zip(*parts, strict=True)
    return scenes.decompositions(
        np.stack(pictures),
        np.stack(recon),
        points,
        sprites,
        [f"image {entry['image']}" for entry in entries],
    )
