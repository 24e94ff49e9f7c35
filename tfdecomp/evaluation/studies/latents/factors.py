"""How much of the true factors a linear map reads from slots."""

import dataclasses

import gin
import numpy as np

from tfdecomp.evaluation.studies import study
from tfdecomp.metrics import factors as probes

# What is predicted if a set has it; others are functions of these.
FACTORS = (
    "shape",
    "color",
    "size",
    "material",
    "scale",
    "orientation",
    "rotation",
    "position",
    "location_3d",
)
# In this order objects are told apart where a model has one slot for all.
CANONICAL = ("size", "material", "shape", "position")


@dataclasses.dataclass
class Entities:
    """Visible objects, and what a model says of each.

    Attributes:
        inputs: `[N, D]` slot that explains the object, or the whole scene's.
        ranks: `[N]` place of the object in the canonical order of its image
            where the model has no slots, else 0.
        factors: Name to `[N, ...]` true values.
        images: Number of images.
        slots: `[N]` number of that slot; 0 where there are none.
    """

    inputs: np.ndarray
    ranks: np.ndarray
    factors: dict
    images: int
    slots: np.ndarray


@gin.register(module="studies")
@dataclasses.dataclass(frozen=True)
class Factors(study.Study):
    """Factor regression from slots (figure 5 of IODINE).

    Each visible object is given the slot whose mask overlaps it most. A
    linear map is fitted on the slots of training images and scored on those
    of test images: R2 for numbers and angles, accuracy for classes. A model
    without masks predicts the objects in their canonical order, each place in
    the order by a map of its own.

    Args:
        factors: Names of factors; by default those of `FACTORS` that the set
            has.
        train_split: Split that the map is fitted on.
        num_train: Images of it, from the first.
    """

    name = "factors"

    factors: tuple | None = None
    train_split: str = "train"
    num_train: int = 2000

    def look(self, subject, others):
        """Probes the subject and, beside it, the others."""
        entries = [self._probe(one) for one in (subject, *others)]
        first = entries[0]
        columns = [entry["model"] for entry in entries]
        rows = [
            [
                factor,
                "accuracy" if found["kind"] == probes.CLASS else "R²",
                *(entry["factors"][factor]["score"] for entry in entries),
                found["chance"],
            ]
            for factor, found in first["factors"].items()
        ]
        table = study.table(
            ["factor", "score", *columns, "best constant"],
            rows,
            f"Factors read by a linear map, fitted on {first['num_train']} "
            f"images ({first['objects_train']} objects), scored on "
            f"{first['num_clips']} ({first['objects_test']} objects) of "
            f"{first['protocol']['dataset']}",
        )
        return study.Findings({**first, "others": entries[1:]}, table)

    def _probe(self, subject):
        condition = self.condition(subject)
        fitted_on = self.condition(
            subject, split=self.train_split, num_clips=self.num_train
        )
        train, test = (
            gather(subject, part, self.factors)
            for part in (fitted_on, condition)
        )
        found = {}
        for name in train.factors:
            target = probes.targets(
                name, train.factors[name], test.factors[name]
            )
            found[name] = probes.probe(
                train.inputs, test.inputs, target, train.ranks, test.ranks
            )
        return {
            **subject.describe(),
            "factors": found,
            "protocol": condition.describe(),
            "num_train": train.images,
            "num_clips": test.images,
            "objects_train": len(train.inputs),
            "objects_test": len(test.inputs),
        }


def gather(subject, condition, names=None) -> Entities:
    """The visible objects of images, the background left out.

    Args:
        subject: A `study.Subject`.
        condition: A `Protocol` without conditions of its own.
        names: Factors; by default those of `FACTORS` that the set has.

    Raises:
        ValueError: If the set has no such factors, or no object is visible.
    """
    import tensorflow as tf

    @tf.function(autograph=False, reduce_retracing=True)
    def represent(inputs):
        outputs = subject.model(inputs, training=False)
        return {n: outputs[n] for n in ("slots", "masks") if n in outputs}

    parts, images = [], 0
    for batch, inputs in subject.batches(condition, _labels(names)):
        outputs = {n: np.asarray(v) for n, v in represent(inputs).items()}
        parts.append(entities(batch, outputs))
        images += int(batch["valid"].sum())
    whole = study.join(parts)
    if not len(whole["inputs"]):
        raise ValueError(
            f"no object is visible in {condition.dataset}:{condition.split}"
        )
    inputs, ranks, slots = (whole.pop(n) for n in ("inputs", "ranks", "slots"))
    return Entities(inputs, ranks, whole, images, slots)


def entities(batch, outputs) -> dict:
    """Rows for the visible objects of a batch.

    Args:
        batch: `segmentation` `[B, T, H, W, 1]`, `visibility` `[B, T, L]`,
            `valid` `[B]` and factors `[B, L, ...]` or `[B, T, L, ...]` under
            names such as `factors/shape`. The last frame counts.
        outputs: `slots` `[B, T, K, D]` and, if the model has them, `masks`
            `[B, T, K, H, W, 1]`.

    Returns:
        `inputs` `[N, D]`, `ranks` `[N]`, `slots` `[N]`, and the factors
        `[N, ...]`.
    """
    visible = np.asarray(batch["visibility"])[:, -1] > 0  # [B, L]
    visible &= np.asarray(batch["valid"], bool)[:, None]
    count = visible.shape[1]
    factors = {
        name.removeprefix("factors/"): _last(value, count)
        for name, value in batch.items()
        if name.startswith("factors/")
    }
    rows, objects = np.nonzero(visible)
    slots = outputs["slots"][:, -1]  # [B, K, D]
    chosen = np.zeros(visible.shape, int)
    if "masks" in outputs:
        ids = batch["segmentation"][:, -1, ..., 0]
        masks = outputs["masks"][:, -1, ..., 0]
        chosen = probes.assign_slots(ids, masks, count)
        inputs = slots[rows, chosen[rows, objects]]
        ranks = np.zeros(len(rows), int)
    else:
        inputs = slots.reshape(len(slots), -1)[rows]
        ranks = canonical_ranks(factors, visible)[rows, objects]
    return {
        "inputs": inputs,
        "ranks": ranks,
        "slots": chosen[rows, objects],
        **{name: value[rows, objects] for name, value in factors.items()},
    }


def canonical_ranks(factors, visible) -> np.ndarray:
    """Place of each object among the visible ones of its image.

    Args:
        factors: Name to `[B, L, ...]`.
        visible: `[B, L]` bool.

    Returns:
        `[B, L]`: order by `CANONICAL`, the first one deciding; those that are
        not visible come last.
    """
    keys = [~visible]
    for name in CANONICAL:
        if name in factors:
            value = np.asarray(factors[name])
            value = value.reshape(*visible.shape, -1)
            keys += list(np.moveaxis(value, -1, 0))
    order = np.lexsort(keys[::-1], axis=-1)  # the last key decides first
    return np.argsort(order, axis=-1)


def _last(value, count):
    """A factor `[B, L, ...]`; of the last frame if it has frames."""
    value = np.asarray(value)
    return value if value.shape[1] == count else value[:, -1]


def _labels(names):
    """Function of a set's source that names the labels to read."""

    def labels(source):
        known = source.metadata.get("factor_names") or []
        wanted = names or [n for n in FACTORS if n in known]
        if not wanted:
            raise ValueError(
                f"{source.label} knows no factors of its objects; take "
                "another --dataset"
            )
        stored = [source.resolve(name) for name in wanted]
        return (*stored, source.resolve("visibility"))

    return labels
