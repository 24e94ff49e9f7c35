"""Measures on a model's own data how far to trust its predictions.

    python -m tfdecomp.calibrate --model=provide_balls_quick
    python -m tfdecomp.calibrate --workdir=~/runs/a --num_clips=500
    python -m tfdecomp.calibrate --model=out/ --fresh_seed=1 --num_clips=200

The model takes test clips of the dataset that it was trained on apart, or new
cuts of the video that it was fitted to, as `python -m tfdecomp.predict` would.
The numbers that one clip in a hundred is
beyond (see `tfdecomp.prediction.trust`) are written to `info.json` in the
folder of the model, under `reference`, or for a work directory printed alone.
A prediction whose figures are far beyond them is called bad.

To check what is written, --only_check says how many of the clips are good,
doubtful and bad by the reference that is there, and changes nothing.
"""

import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

from tfdecomp.console import commands

_MODEL = flags.DEFINE_string(
    "model", None, "Name of a shipped model, or a folder of one."
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Work directory of a run.")
_DATASET = flags.DEFINE_string(
    "dataset", None, "Dataset; by default the one of the training."
)
_SPLIT = flags.DEFINE_string(
    "split",
    None,
    "Split, or a pattern of several; by default that of the model's scores.",
)
_NUM_CLIPS = flags.DEFINE_integer(
    "num_clips", 200, "Clips, from the first.", lower_bound=1
)
_FRESH_SEED = flags.DEFINE_integer(
    "fresh_seed",
    None,
    "Take newly generated clips of this seed (generated sets only).",
    lower_bound=0,
)
_ONLY_CHECK = flags.DEFINE_boolean(
    "only_check", False, "Count levels by the present reference instead."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Where prepared datasets are. By default, as TFDS."
)
_TRUST_CONFIG = flags.DEFINE_boolean(
    "trust_config", False, commands.TRUST_CONFIG
)
_BATCH_SIZE = 16
_CUT_FRAMES = 8  # of a clip that is cut from a longer video


def main(argv):
    commands.refuse_words(argv)
    return commands.finish(_calibrate)


def _calibrate():
    from tfdecomp.prediction import trust
    from tfdecomp.sharing import hub
    from tfdecomp.storage import configs

    folder = commands.model_folder(_WORKDIR.value, _MODEL.value)
    configs.restore(folder, trusted=_TRUST_CONFIG.value)
    loaded = hub.load(folder)
    info_file = folder / hub.INFO_NAME
    info = loaded.info if info_file.is_file() else {}
    dataset = _DATASET.value or loaded.trained_on
    if dataset is None:
        clips, source = _cut_clips()
    else:
        clips, source = _test_clips(loaded.model, dataset, info)
    gauges = []
    with commands.Bar("clips", _NUM_CLIPS.value) as bar:
        for clip in clips:
            gauges.append(loaded.gauge(clip))
            bar.update(len(gauges))
    if _ONLY_CHECK.value:
        return _check(gauges, info)
    reference = source | trust.reference_of(gauges)
    print(json.dumps(reference, indent=2))
    if info:
        from tfdecomp.storage import saving

        saving.write_json(info_file, info | {"reference": reference})
        print(f"wrote the reference to {info_file}")
    return 0


def _test_clips(model, dataset, info):
    """Clips of a dataset, and what to call them."""
    from tfdecomp.data import naming
    from tfdecomp.evaluation import protocol

    own = (info.get("protocol") or {}).get("split", "test")
    condition = protocol.Protocol(
        name="reference",
        dataset=naming.full_name(dataset),
        split=_SPLIT.value or own,
        num_clips=_NUM_CLIPS.value,
        fresh_seed=_FRESH_SEED.value,
    )
    batches = commands.open_clips(_DATA_DIR.value)(
        condition, model, _BATCH_SIZE
    )
    clips = (
        clip for batch in batches for clip in batch["video"][batch["valid"]]
    )
    return clips, {"dataset": condition.dataset, "split": condition.split}


def _cut_clips():
    """New cuts of the video that the model was fitted to."""
    from tfdecomp.data.building import moving_clips
    from tfdecomp.storage import configs

    folder = configs.parameter("data.moving_clips.folder")
    if folder is None:
        raise ValueError(
            "the model does not say which dataset it was trained on; give "
            "--dataset=NAME"
        )
    size = configs.parameter("data.moving_clips.size")
    seed = 1 if _FRESH_SEED.value is None else _FRESH_SEED.value
    cutter = moving_clips.Cutter(folder, size, seed=seed)
    length = min(_CUT_FRAMES, cutter.frames.shape[1])
    clips = (
        cutter.clip(number, length)["video"]
        for number in range(_NUM_CLIPS.value)
    )
    return clips, {"dataset": "cuts of its video"}


def _check(gauges, info):
    from tfdecomp.prediction import trust

    if "reference" not in info:
        raise ValueError(
            "the model has no reference yet; leave out --only_check first"
        )
    found = [gauge.verdict(info["reference"])["level"] for gauge in gauges]
    shares = (
        f"{100 * found.count(level) / len(found):.1f} % {level}"
        for level in trust.LEVELS
    )
    print(f"{len(gauges)} clips: {', '.join(shares)}")
    return 0


def run():
    """Entry point of the console command."""
    app.run(main)


if __name__ == "__main__":
    run()
