"""Where the clips of an evaluation come from: stored, or newly generated.

An opener is a function `(condition, model, batch_size)` that yields batches
of one size as NumPy arrays: `video` `[B, T, H, W, C]` uint8, the labels that
the set has among `segmentation` `[B, T, H, W, 1]`, `num_objects` `[B]`,
`visibility` `[B, T, L]`, `position` `[B, T, L, 2]` and `boxes`
`[B, T, L, 4]`, where a condition asks for it `entities` of the shape of the
segmentation, and `clip_index` `[B]` and `valid` `[B]`; clips
that are not valid pad the last batch. Openers also take `labels`, more of them
to hand out, and any argument of `data.make_dataset` to replace the config's.
"""

import inspect
import itertools

import gin

from tfdecomp.data import pipeline, reader, stored_records

# What a run's config may say about `data.make_dataset` and holds for
# evaluation too; the rest (order, clip starts, caches) is decided here.
_PICTURE_ARGUMENTS = (
    "frame_stride",
    "max_frames",
    "crop",
    "resize",
    "resize_method",
    "filter_objects",
    "grey",
)

# All but the first are small; whether they are of use depends on the model.
LABELS = ("segmentation", "num_objects", "visibility", "boxes")


def picture_arguments() -> dict:
    """What the active config says of pictures, defaults included.

    Handed to an opener, they hold whatever config is active by then.
    """
    parameters = inspect.signature(pipeline.make_dataset).parameters
    bound = gin.get_bindings("data.make_dataset")
    return {
        name: bound.get(name, parameters[name].default)
        for name in _PICTURE_ARGUMENTS
    }


def opener(data_dir=None, prepare=None, fresh_clips=None):
    """An opener for the clips that a condition names.

    Args:
        data_dir: Where prepared sets are; by default as TFDS has it.
        prepare: Function of a set's name and `data_dir` that builds the set
            if it is missing.
        fresh_clips: Function `(name, split, seed=, num_clips=)` that yields
            newly generated examples.
    """

    def open_clips(condition, model, batch_size, **changes):
        arguments = (condition, model, batch_size)
        if condition.fresh_seed is None:
            if prepare is not None:
                prepare(condition.dataset, data_dir)
            return open_stored(*arguments, data_dir=data_dir, **changes)
        if fresh_clips is None:
            raise ValueError("newly generated clips need their generator")
        return open_fresh(
            *arguments, fresh_clips=fresh_clips, data_dir=data_dir, **changes
        )

    return open_clips


def wanted_frames(condition) -> int | None:
    """Stored frames that a condition reads; None for all."""
    if condition.num_frames is None:
        return None
    return condition.num_frames + condition.num_predicted


def open_stored(
    condition, model, batch_size, *, data_dir=None, labels=(), **changes
):
    """Yields the clips of a prepared set, in stored order.

    Args:
        condition: A `Protocol` without conditions of its own.
        model: Only its `channels` are asked for.
        batch_size: Clips at a time.
        data_dir: Where prepared sets are; by default as TFDS has it.
        labels: More labels to hand out, or a function of the set's
            `reader.Source` that names them.
        **changes: Arguments of `data.make_dataset` that replace the config's.

    Raises:
        ValueError: If the set does not have what the condition wants.
    """
    source = reader.open_source(condition.dataset, data_dir)
    arguments = _arguments(condition, model, batch_size, source, labels)
    dataset = pipeline.make_dataset(
        condition.dataset,
        _joined(_shares(condition, source)),
        data_dir=data_dir,
        shuffle=False,
        repeat=False,
        cache="none",
        **{**arguments, **changes},
    )
    clips = _limited(dataset.as_numpy_iterator(), condition.num_clips)
    return _explained(clips, condition.dataset)


def _explained(clips, name):
    with stored_records.explained(name):
        yield from clips


def open_fresh(
    condition,
    model,
    batch_size,
    *,
    fresh_clips,
    data_dir=None,
    labels=(),
    **changes,
):
    """Yields clips generated for the condition's `fresh_seed`.

    Args:
        condition: A `Protocol` without conditions of its own.
        model: Only its `channels` are asked for.
        batch_size: Clips at a time.
        fresh_clips: As in `opener`.
        data_dir: Where prepared sets are, those with configs of one's own
            among them; by default as TFDS has it.
        labels: As in `open_stored`.
        **changes: As in `open_stored`.

    Raises:
        ValueError: If the set does not have what the condition wants.
    """
    if condition.num_clips is None:
        raise ValueError(
            "newly generated clips need a number of clips; set num_clips "
            "(--num_clips)"
        )
    source = reader.open_source(condition.dataset, data_dir, prepared=False)
    parts = [  # a list: what is amiss is said here, not in the pipeline
        fresh_clips(
            condition.dataset,
            split,
            seed=condition.fresh_seed,
            num_clips=count,
        )
        for split, count in _shares(condition, source).items()
    ]
    examples = itertools.chain.from_iterable(parts)
    arguments = _arguments(condition, model, batch_size, source, labels)
    dataset = pipeline.from_examples(
        examples, source, **{**arguments, **changes}
    )
    return _limited(dataset.as_numpy_iterator(), condition.num_clips)


def _shares(condition, source):
    """Split to the clips to take of it, None for all.

    Of several that a pattern names each gives its share.
    """
    if "*" not in condition.split:
        return {condition.split: condition.num_clips}
    sizes = source.matching_splits(condition.split)
    if condition.num_clips is None:
        return dict.fromkeys(sizes)
    share = -(-condition.num_clips // len(sizes))
    if condition.fresh_seed is not None:
        return dict.fromkeys(sizes, share)
    return {name: min(share, size) for name, size in sizes.items()}


def _joined(shares):
    """What TFDS reads several splits by; a single one is read as it is."""
    if len(shares) == 1:
        return next(iter(shares))
    parts = [n if c is None else f"{n}[:{c}]" for n, c in shares.items()]
    return "+".join(parts)


def _arguments(condition, model, batch_size, source, labels):
    """Arguments of the pipeline that stored and fresh clips share."""
    bound = gin.get_bindings("data.make_dataset")
    arguments = {k: bound[k] for k in _PICTURE_ARGUMENTS if k in bound}
    num_frames = wanted_frames(condition)
    more = labels(source) if callable(labels) else labels
    return {
        **arguments,
        "batch_size": batch_size,
        "num_frames": num_frames,
        "clip": "first" if num_frames else "all",
        "channels": getattr(model, "channels", 3),
        "labels": (*_labels(condition, source), *more),
        "drop_remainder": False,
        "pad_last": True,
    }


def _labels(condition, source):
    """Labels that scores are made of, as far as the set has them."""
    labels = [name for name in LABELS if name in source.labels]
    tells = ("segmentation", "boxes", "factors/")
    if not any(name.startswith(tells) for name in source.labels):
        labels = []  # where no object is known, their number is filler
    if source.has_time("factors/position"):
        labels.append("position")
    if condition.background_overlap is not None and (
        "entities" in source.labels
    ):
        labels.append("entities")
    if condition.velocity or condition.apart_distance:
        _check_velocity(condition, source)
    return tuple(labels)


def _check_velocity(condition, source):
    """Raises an error if the set does not know where objects are."""
    has_places = {"factors/position", "visibility"} <= set(source.labels)
    if condition.centres == "position" and not has_places:
        raise ValueError(
            f"protocol {condition.name!r} takes places from 'position', which "
            f"{condition.dataset} does not have; set "
            "evaluation.Protocol.centres = 'segmentation'"
        )
    if not has_places and "segmentation" not in source.labels:
        raise ValueError(
            f"protocol {condition.name!r} compares places, but "
            f"{condition.dataset} has neither positions nor a segmentation"
        )


def _limited(batches, count):
    """Ends after `count` clips; those beyond are marked as padding."""
    for batch in batches:
        if count is None:
            yield batch
            continue
        within = batch["clip_index"] < count
        yield {**batch, "valid": batch["valid"] & within}
        if batch["clip_index"].max() + 1 >= count:
            return
