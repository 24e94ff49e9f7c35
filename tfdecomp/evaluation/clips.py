"""Where the clips of an evaluation come from: stored, or newly generated.

An opener is a function `(condition, model, batch_size)` that yields batches
of one size as NumPy arrays: `video` `[B, T, H, W, C]` uint8, the labels that
the set has among `segmentation` `[B, T, H, W, 1]`, `position` `[B, T, L, 2]`
and `visibility` `[B, T, L]`, and `clip_index` `[B]` and `valid` `[B]`; clips
that are not valid pad the last batch.
"""

import functools
import itertools

import numpy as np


def opener(data_dir=None, prepare=None, fresh_clips=None):
    """An opener for the clips that a condition names.

    Args:
        data_dir: Where prepared sets are; by default as TFDS has it.
        prepare: Function of a set's name and `data_dir` that builds the set
            if it is missing.
        fresh_clips: Function `(name, split, seed=, num_clips=)` that yields
            newly generated examples.
    """

    def open_clips(condition, model, batch_size):
        if condition.fresh_seed is None:
            if prepare is not None:
                prepare(condition.dataset, data_dir)
            return open_stored(condition, model, batch_size, data_dir=data_dir)
        if fresh_clips is None:
            raise ValueError("newly generated clips need their generator")
        return open_fresh(
            condition, model, batch_size, fresh_clips=fresh_clips
        )

    return open_clips


def wanted_frames(condition) -> int | None:
    """Stored frames that a condition reads; None for all."""
    if condition.num_frames is None:
        return None
    return condition.num_frames + condition.num_predicted


def open_stored(condition, model, batch_size, *, data_dir=None):
    """Yields the clips of a prepared set, in stored order.

    Args:
        condition: A `Protocol` without conditions of its own.
        model: Only its `channels` are asked for.
        batch_size: Clips at a time.
        data_dir: Where prepared sets are; by default as TFDS has it.

    Raises:
        ValueError: If the set does not have what the condition wants.
    """
    from tfdecomp.data import pipeline

    num_frames = wanted_frames(condition)
    dataset = pipeline.make_dataset(
        condition.dataset,
        condition.split,
        data_dir=data_dir,
        batch_size=batch_size,
        num_frames=num_frames,
        clip="all" if num_frames is None else "first",
        labels=_labels(condition, data_dir),
        shuffle=False,
        repeat=False,
        cache="none",
        drop_remainder=False,
        pad_last=True,
    )
    return _limited(dataset.as_numpy_iterator(), condition.num_clips)


def open_fresh(condition, model, batch_size, *, fresh_clips):
    """Yields clips generated for the condition's `fresh_seed`.

    Args:
        condition: A `Protocol` without conditions of its own.
        model: Its `channels` say whether grey pictures become colour ones.
        batch_size: Clips at a time.
        fresh_clips: As in `opener`.

    Raises:
        ValueError: If the clips are shorter than the condition wants.
    """
    count = condition.num_clips
    if count is None:
        raise ValueError(
            "newly generated clips need a number of clips; set num_clips "
            "(--num_clips)"
        )
    examples = fresh_clips(
        condition.dataset,
        condition.split,
        seed=condition.fresh_seed,
        num_clips=count,
    )
    prepared = map(
        functools.partial(_fresh_example, condition=condition, model=model),
        examples,
    )
    for first in itertools.count(0, batch_size):
        chosen = list(itertools.islice(prepared, batch_size))
        if not chosen:
            return
        missing = batch_size - len(chosen)
        padded = chosen + [chosen[0]] * missing
        batch = {k: np.stack([e[k] for e in padded]) for k in padded[0]}
        index = np.arange(first, first + batch_size)
        batch["clip_index"] = index
        batch["valid"] = index < first + len(chosen)
        yield batch


def _fresh_example(example, condition, model):
    """Cuts one generated example to what the condition reads."""
    length = len(example["video"])
    num_frames = wanted_frames(condition) or length
    if num_frames > length:
        raise ValueError(
            f"{condition.dataset} has {length} frames per clip, the protocol "
            f"{condition.name!r} wants {num_frames}; ask for fewer"
        )
    chosen = {name: example[name] for name in ("video", "segmentation")}
    chosen["visibility"] = example["visibility"]
    factors = example.get("factors", {})
    if condition.centres != "segmentation" and "position" in factors:
        chosen["position"] = factors["position"]
    chosen = {k: np.asarray(v)[:num_frames] for k, v in chosen.items()}
    channels = getattr(model, "channels", 3)
    if chosen["video"].shape[-1] == 1 and channels == 3:
        chosen["video"] = np.repeat(chosen["video"], 3, axis=-1)
    return chosen


def _limited(batches, count):
    """Ends after `count` clips; those beyond are marked as padding."""
    for batch in batches:
        if count is None:
            yield batch
            continue
        within = batch["clip_index"] < count
        if not within.any():
            return
        yield {**batch, "valid": batch["valid"] & within}
        if not within.all():
            return
