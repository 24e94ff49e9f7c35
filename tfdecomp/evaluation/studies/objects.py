"""What studies of models that say where objects are have in common."""

import numpy as np

PRESENT = 0.5  # presence above which a slot is in use
_PATIENCE = 25  # images looked at for each that is wanted


def require(subject, method, does, such="LAVAE"):
    """Raises `ValueError` unless the model has a method.

    Args:
        subject: The `study.Subject`.
        method: Name of the method.
        does: What a model without it cannot do.
        such: A model that has it.
    """
    if not hasattr(subject.model, method):
        raise ValueError(
            f"{subject.name} cannot {does}: it has no method {method!r}; take "
            f"a model that has, such as {such}"
        )


def in_use(outputs, n):
    """Slots of an image's last frame that are objects, as a model says.

    Args:
        outputs: A `Decomposition`; slot 0 is the background.
        n: Which image.

    Returns:
        `[k]` numbers of slots from 1.
    """
    presence = np.asarray(outputs["presence"])[n, -1, 1:]
    return 1 + np.flatnonzero(presence > PRESENT)


def pick(subject, condition, wanted, least=0, labels=()):
    """Yields the first images in which enough objects are found.

    Args:
        subject: The `study.Subject`.
        condition: The `Protocol`; its `num_clips` limits how many images are
            looked at, see `patient`.
        wanted: Images to yield.
        least: Objects that an image must have at least.
        labels: More labels, see `evaluation.clips`.

    Yields:
        `(number, inputs, outputs, labels)`: of one image, with batches of one;
        the last one is what the set says of it.

    Raises:
        ValueError: If there is no such image.
    """
    found = looked = 0
    for batch, inputs in subject.batches(condition, labels):
        outputs = subject.model(inputs, training=False)
        if "presence" not in outputs or "locations" not in outputs:
            raise ValueError(
                f"{subject.name} does not say where objects are; take a model "
                "whose outputs have presence and locations, such as LAVAE"
            )
        for n in np.flatnonzero(batch["valid"]):
            looked += 1
            if len(in_use(outputs, n)) < least:
                continue
            yield (
                int(batch["clip_index"][n]),
                {name: value[n : n + 1] for name, value in inputs.items()},
                {k: np.asarray(v)[n : n + 1] for k, v in outputs.items()},
                {name: batch[name][n] for name in labels},
            )
            found += 1
            if found == wanted:
                return
    if not found:
        raise ValueError(
            f"{subject.name} finds {least} or more objects in none of "
            f"{looked} images of {condition.dataset}:{condition.split}; is it "
            "trained? Try another --split or --dataset"
        )


def patient(wanted):
    """How many images to look at for so many."""
    return _PATIENCE * wanted
