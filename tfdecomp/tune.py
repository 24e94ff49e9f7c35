"""Tunes the connected components baseline and scores it.

    python -m tfdecomp.tune --dataset=scattered_shapes/quick \
        --workdir=~/runs/conncomp
    python -m tfdecomp.tables --results=~/runs/conncomp

For every number of objects in the test clips of the protocol, and for each of
MOTA, AP and count error, the two thresholds are chosen that are best on new
validation clips with as many objects: the baseline of SILOT's Figure 5. The
scores are added to results.json in the work directory. The folder also holds
the model with the thresholds that have the best MOTA on validation clips of all
numbers, for `python -m tfdecomp.evaluate --workdir=...` and the other commands.

The dataset must be able to make clips of a given number of objects, or hold
them in splits `validation_n01`, `validation_n02`, ...: scattered_digits and
scattered_shapes, with a prepared config of one's own as with any other. Digits
of MNIST are made anew where its files are (--manual_dir). Where none can be
made, those of the stored `validation` serve which have as many objects, if
there are enough.
"""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

from tfdecomp.console import commands

_DATASET = flags.DEFINE_string(
    "dataset", None, "Name of the dataset with its config.", required=True
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder for the model and results.json.", required=True
)
_PROTOCOL = flags.DEFINE_string(
    "protocol",
    "silot",
    "How tracks are scored: a name in gin/evaluation/, or a .gin file.",
)
_NUM_CLIPS = flags.DEFINE_integer(
    "num_clips", None, "Test clips; by default all.", lower_bound=1
)
_FRESH_SEED = flags.DEFINE_integer(
    "fresh_seed",
    None,
    "Score newly generated clips of this seed (generated sets only).",
    lower_bound=0,
)
_VALIDATION_CLIPS = flags.DEFINE_integer(
    "validation_clips",
    128,
    "Validation clips of each number of objects.",
    lower_bound=1,
)
_WHOLE_GRID = flags.DEFINE_boolean(
    "whole_grid",
    False,
    "Whether to try all pairs of thresholds, which takes ten times as long, "
    "instead of each threshold in turn.",
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Where prepared datasets are. By default, as TFDS."
)
_MANUAL_DIR = flags.DEFINE_string(
    "manual_dir",
    None,
    "Folder of files that the dataset was made from, such as mnist.npz, for "
    "new validation clips. By default that of the downloads in --data_dir.",
)
_BATCH_SIZE = 16
_SEED = 0  # of new validation clips


def main(argv):
    commands.refuse_words(argv)
    return commands.finish(_tune)


def _tune():
    import dataclasses

    from tfdecomp.data import naming
    from tfdecomp.evaluation import results

    folder = pathlib.Path(os.path.expanduser(_WORKDIR.value))
    dataset = naming.full_name(_DATASET.value)
    protocol = dataclasses.replace(
        _protocol(_PROTOCOL.value),
        num_clips=_NUM_CLIPS.value,
        fresh_seed=_FRESH_SEED.value,
    )
    conditions = protocol.expand(dataset)
    parts = [_score(condition) for condition in conditions]
    model = _model(dataset)
    best = _best(model, conditions[0], dataset, "validation")
    model.mask_threshold, model.color_threshold, _ = best["mota"]
    _write_model(folder, model, dataset)
    headline = parts[conditions.index(protocol.headline(conditions))]
    result = {
        "model": f"{type(model).__name__}, tuned for each number and score",
        "trained_on": dataset,
        "protocol": protocol.describe(),
        "run": {
            "workdir": str(folder.resolve()),
            "seed": None,
            "validation_clips": _VALIDATION_CLIPS.value,
            "whole_grid": _WHOLE_GRID.value,
        },
        **headline,
        "conditions": parts,
    }
    print(f"added to {results.append(folder, result)}")
    for part in parts:
        _show(part)


def _score(condition):
    """Scores of one condition, with thresholds tuned on its dataset."""
    from tfdecomp.evaluation import component_thresholds

    model = _model(condition.dataset)
    with commands.Bar("clips") as bar:
        scores = component_thresholds.evaluate(
            model,
            commands.open_clips(_DATA_DIR.value)(condition, model, _BATCH_SIZE),
            condition,
            lambda count: _best_of_count(model, condition, count),
            bar.update,
        )
    shared = {name: getattr(condition, name) for name in ("dataset", "split")}
    return {**shared, **scores}


def _best_of_count(model, condition, count):
    """The best thresholds for clips with a number of objects."""
    from tfdecomp.data import errors

    dataset = condition.dataset
    try:
        return _best(model, condition, dataset, f"validation_n{count:02d}")
    except errors.DatasetInputError as error:
        try:
            return _best(model, condition, dataset, "validation", count)
        except ValueError as lack:
            raise ValueError(
                f"{lack}, and no new ones can be made ({error.problem}); give "
                "--manual_dir=FOLDER with the files that the set was made of, "
                "or a smaller --validation_clips if the split holds some"
            ) from error


def _best(model, condition, dataset, split, count=None):
    """The best thresholds on clips of a validation split, for each score.

    Those with a number of objects alone if one is given, all of them stored.
    """
    import dataclasses

    from tfdecomp.evaluation import component_thresholds

    wanted = _VALIDATION_CLIPS.value
    is_stored = count is not None or _has(dataset, split)
    condition = dataclasses.replace(
        condition,
        dataset=dataset,
        split=split,
        num_clips=wanted if count is None else None,
        fresh_seed=None if is_stored else _SEED,
    )
    open_clips = commands.open_clips(_DATA_DIR.value, _MANUAL_DIR.value)
    batches = open_clips(condition, model, _BATCH_SIZE)
    if count is not None:
        batches = component_thresholds.of_count(batches, count, wanted)
    clips = component_thresholds.read(model, batches)
    if count is not None and len(clips[0]) < wanted:
        raise ValueError(
            f"thresholds for {count} objects are chosen on {wanted} validation "
            f"clips with as many (--validation_clips), but the split {split!r} "
            f"of {dataset} holds {len(clips[0])}"
        )
    return component_thresholds.tune(
        model, *clips, condition, whole_grid=_WHOLE_GRID.value
    )


def _show(part):
    """Prints the scores of a condition by number of objects."""
    print(f"{part['dataset']}, {part['num_clips']} clips")
    for count, scores in part["by_objects"].items():
        values = "  ".join(
            f"{name} {scores[name]:.3f}"
            for name in ("mota", "ap", "count_error")
            if scores[name] is not None
        )
        print(f"  {count} objects, {scores['num_clips']} clips: {values}")


def _protocol(name):
    import gin

    from tfdecomp.storage import configs

    path = name if name.endswith(".gin") else f"evaluation/{name}.gin"
    with configs.parsed([configs.find(path)]):
        return gin.get_configurable("evaluation.Protocol")()


def _model(dataset):
    """The baseline for a set: its frames, and its colours if it names some."""
    from tfdecomp.data import reader
    from tfdecomp.models.connected_components import ConnectedComponents

    source = reader.open_source(dataset, _DATA_DIR.value, prepared=False)
    names = source.metadata.get("value_names") or {}
    return ConnectedComponents(
        colors=tuple((names.get("color") or {}).values()),
        image_size=source.video_shape[1:3],
        channels=source.video_shape[3],
    )


def _has(dataset, split):
    """Whether a prepared set has a split."""
    from tfdecomp.data import reader

    source = reader.open_source(dataset, _DATA_DIR.value, prepared=False)
    return split in source.builder.info.splits


def _write_model(folder, model, dataset):
    """What other commands read of a run."""
    from tfdecomp.storage import configs, saving

    folder.mkdir(parents=True, exist_ok=True)
    saving.save_model(folder, model)
    text = f"training.run.dataset = '{dataset}'\n"
    saving.atomic_write(folder / configs.CONFIG_NAME, text.encode())
    checkpoints = folder / saving.CHECKPOINT_FOLDER
    checkpoints.mkdir(exist_ok=True)
    meta = {"step": 0, "best": None}
    saving.write_checkpoint(checkpoints, 0, {}, meta)


def run():
    """Entry point of the console command."""
    app.run(main)


if __name__ == "__main__":
    run()
