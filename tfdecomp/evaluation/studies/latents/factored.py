"""What studies of models with factors (DVIP) have in common."""

import numpy as np
import tensorflow as tf

from tfdecomp.evaluation import latents
from tfdecomp.evaluation.studies import objects
from tfdecomp.metrics import mutual_information
from tfdecomp.models import base

SHARED = 2  # frames before any factor is varied


def require(subject, does):
    """Raises `ValueError` unless the model has factors to vary."""
    objects.require(subject, "vary", does, "dvip_digits_quick")


def check_frames(study, batch):
    """Raises `ValueError` if a batch has no frame in which factors vary."""
    count = batch["video"].shape[1]
    if count <= SHARED:
        raise ValueError(
            f"{study.name} varies factors from frame {SHARED} on, but the "
            f"clips have {count} frames; give studies.{type(study).__name__}"
            f".num_frames of {SHARED + 1} or more, or another --dataset"
        )


def follow(model, inputs) -> dict:
    """Follows a video by posterior means, from which no sample is drawn.

    Args:
        model: Has the parts of a `models.DVIP`.
        inputs: As for its `call`.

    Returns:
        `latents` `[B, T, Z]`, `recon` `[B, T, H, W, C]`, and the `state` from
        which the model can go on.
    """
    video = base.as_float(tf.convert_to_tensor(inputs["video"]))
    shape = tf.shape(video)
    features = model.encoder(tf.reshape(video, [-1, *video.shape[2:]]))
    features = tf.reshape(features, [shape[0], shape[1], features.shape[-1]])
    records, state = model.filter(inputs, features, use_means=True)
    recon = model.draw(records["latents"])
    return {"latents": records["latents"], "recon": recon, "state": state}


def gather(subject, condition, num_pairs, neighbours) -> latents.Latents:
    """Latents of a condition's last pairs of neighbouring frames.

    Args:
        subject: A `study.Subject`.
        condition: A `Protocol` without conditions of its own.
        num_pairs: Pairs to keep.
        neighbours: Of the estimate of mutual information.

    Raises:
        ValueError: If the model has no factors, or there are too few frames.
    """
    found = latents.Latents(
        num_pairs, neighbours, latents.num_groups(subject.model)
    )
    forward = subject.forward(condition)
    for batch, inputs in subject.batches(condition):
        seen = forward(inputs)["observed"]
        if "samples" not in seen:
            raise ValueError(
                f"{subject.name} has no factors that predict themselves; take "
                "a model that has, such as dvip_digits_quick"
            )
        chosen = np.flatnonzero(batch["valid"])
        found.add(*(np.asarray(seen[n])[chosen] for n in latents.READ))
    count = len(found.pairs)
    if count <= neighbours:
        raise ValueError(
            f"{count} pairs of neighbouring frames are too few for "
            f"{neighbours} neighbours; give more clips, or longer ones"
        )
    return found


def information(found) -> dict:
    """What each group of latents says of itself, and of others, a frame later.

    Args:
        found: From `gather`.

    Returns:
        `matrix` `[k, k]` nats, row i being what group i a frame later has in
        common with each one; its means `same` and `cross` (NaN for a single
        group); and `order` `[Z]`, the latents of all groups one after the
        other. The groups are the factors or, for an entangled model, the best
        of random partitions (section 3.1 of the DVIP paper).
    """
    before, after = found.pairs[:, 0], found.pairs[:, 1]
    if found.num_groups is None:
        order = np.arange(before[0].size)
        return {
            **mutual_information.factor_scores(before, after, found.neighbours),
            "order": order,
        }
    flat = (len(before), -1)
    return mutual_information.partition_scores(
        before.reshape(flat),
        after.reshape(flat),
        found.num_groups,
        neighbours=found.neighbours,
    )


def members(order, num_groups) -> np.ndarray:
    """`[Z]` latents, group after group -> `[k, Z]` bool, which are in each."""
    group = np.empty(len(order), int)
    group[order] = np.repeat(np.arange(num_groups), len(order) // num_groups)
    return group == np.arange(num_groups)[:, None]


def move(values, group):
    """Latents of which one group moves, from the second frame on.

    Args:
        values: `[B, T, Z]` latents.
        group: `[Z]` bool, those that move.

    Returns:
        `[B, T, Z]`; the first two frames are as given.
    """
    values = tf.convert_to_tensor(values)
    still = values[:, SHARED - 1 : SHARED]
    moved = tf.where(group, values[:, SHARED:], still)
    return tf.concat([values[:, :SHARED], moved], axis=1)
