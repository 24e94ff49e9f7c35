"""Objects whose combination of features was kept out of training."""

import ast
import dataclasses

import gin
import numpy as np

from tfdecomp.evaluation.studies import slots, study

_PICTURES = 4


@gin.register(module="studies")
@dataclasses.dataclass(frozen=True)
class HeldOut(study.Study):
    """Scores on images with an object of the combination, and without.

    Train with `data.make_dataset.without` set to the combination.

    Args:
        combination: `"color=green,shape=sphere"`, or factor to value: a name
            that the set gives to a value, a number, or a list of numbers.
    """

    name = "held_out"

    combination: str | dict | None = None

    def look(self, subject, others):
        """Tabulates both kinds of images and draws some with the object."""
        del others
        if not self.combination:
            raise ValueError(
                "which features? give --combination=color=green,shape=sphere"
            )
        asked = self.combination
        asked = parse(asked) if isinstance(asked, str) else dict(asked)
        condition = self.condition(subject)
        rows = []
        for name, filters in (
            ("with the combination", {"only": asked}),
            ("without it", {"without": asked}),
        ):
            scores = study.image_scores(subject, condition, **filters)
            rows.append({"images": name, **slots.by_objects(scores)})
        words = ", ".join(f"{k} {v}" for k, v in asked.items())
        result = {
            "combination": asked,
            "protocol": condition.describe(),
            "rows": rows,
        }
        table = slots.table_by_objects(
            [(row["images"], row) for row in rows],
            f"{subject.name} on {condition.dataset}; combination: {words}",
            "images",
        )
        pictures = {"": _draw(subject, condition, asked)}
        return study.Findings(result, table, pictures)


def parse(text) -> dict:
    """`"color=[0, 255, 0],shape=sphere"` -> factor to value.

    Raises:
        ValueError: If it is not of this form.
    """
    found, depth, parts = {}, 0, [""]
    for letter in text:
        depth += (letter in "[(") - (letter in "])")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    for part in parts:
        factor, equals, value = (p.strip() for p in part.partition("="))
        if not (factor and equals and value):
            raise ValueError(
                f"cannot read {part!r} of the combination {text!r}; expected "
                "FACTOR=VALUE, such as color=green,shape=sphere"
            )
        try:
            found[factor] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[factor] = value  # a name
    return found


def _draw(subject, condition, asked):
    """A slot grid of the first images with such an object."""
    from tfdecomp.visualization import slot_grid

    batch, inputs = next(subject.batches(condition, only=asked))
    outputs = subject.model(inputs, training=False)
    grids = []
    for n in range(min(_PICTURES, int(batch["valid"].sum()))):
        given = {
            name: np.asarray(outputs[name])[n, -1:]
            for name in ("recon", "masks", "components")
            if name in outputs
        }
        grids.append(
            slot_grid.slot_grid(
                batch["video"][n, -1:],
                segmentation=batch["segmentation"][n, -1:],
                row_labels=[f"image {batch['clip_index'][n]}"],
                **given,
            )
        )
    return np.concatenate(grids)
