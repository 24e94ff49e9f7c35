"""Decomposes your own video, folder of frames or picture.

    python -m tfdecomp.predict --model=provide_balls_quick \\
        --input=clip.mp4 --output=out/
    python -m tfdecomp.predict --model=~/runs/a --input=frames/ --output=out/ \\
        --fps=10 --future=20
    python -m tfdecomp.predict --model=silot_motion --input=fish.mp4 \\
        --output=out/ --objects=8
    python -m tfdecomp.predict --model=silot_motion --input='videos/*.mp4' \\
        --output=out/ --workers=2

The output folder then holds

    masks/000000.png   ids of the objects in pixels of the input, in colour;
                       0 is the background, 255 what the model did not see
    overlay.mp4        the video with the objects marked
    slots.mp4          input, reconstruction, masks and each slot
    tracks.csv         a row for each object and frame: id, slot, box (ymin,
                       xmin, ymax, xmax in pixels of the input), area,
                       presence, filled, doubt
    tracks.json        the same after COCO, with bbox and run-length masks;
                       what shows no pixel is in tracks.csv alone
    frames.csv         a row for each frame: its number, time and picture in
                       the input
    latents.npz        slots [T, K, D], frame [T], time [T]
    future.mp4, .npz   predicted frames, with --future
    prediction.json    model, options, how far it came, and under trust how
                       far to trust it

and from models that follow what moves before a fixed camera ('silot_motion',
'background_subtraction', what 'tfdecomp fit' makes) also

    report.html        all tracks over time, frames to doubt, paths; beside
                       background subtraction
    doubtful.csv       the frames to doubt
    mot.txt            the tracks after MOTChallenge

What a model does not give has no file, and with --write=masks,tracks nothing
else is computed or written (all of masks, overlay, slots, tracks, mot, frames,
latents, future, report, doubtful by default). --precision=auto computes in
bfloat16 where the machine has it and the model finds the same.

Videos are read in pieces: their length does not matter. Frames are resized to
what the model reads, between black bars if the proportions differ (--fit), and
every frame is used unless --fps says otherwise. After Ctrl-C the frames that
are done stay usable.

A pattern or a folder of videos gives each video a folder of its own below the
output, and summary.csv with a row for each. Videos that are done are left
alone by the next call, so the same command goes on after an interruption.
With --scheduler=ADDRESS the workers of a Dask cluster share the videos.

The last line says how far to trust the result: good, doubtful or bad, with
the figures that say so (`tfdecomp.prediction.trust`).
"""

import sys

from absl import app, flags

from tfdecomp.console import commands, tracking_flags

_MODEL = flags.DEFINE_string(
    "model",
    None,
    "Name of a shipped model ('tfdecomp models' lists them), its folder, the "
    "work directory of a run, or a Hugging Face repository.",
    required=True,
)
_INPUT = flags.DEFINE_string(
    "input",
    None,
    "Video (mp4, webm, gif, avi, ...), folder of numbered pictures, picture, "
    "or .npy file; a quoted pattern or a folder of videos for many of them.",
    required=True,
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder for the results.", required=True
)
_OVERWRITE = flags.DEFINE_boolean(
    "overwrite", False, "Whether to replace an earlier prediction there."
)
_FPS = flags.DEFINE_float(
    "fps",
    None,
    "Frames per second to keep, such as the model was trained on. By default "
    "every frame.",
)
_SOURCE_FPS = flags.DEFINE_float(
    "source_fps",
    10.0,
    "Frames per second of folders and arrays, which do not say.",
)
_FIT = flags.DEFINE_enum(
    "fit",
    "auto",
    ["auto", "letterbox", "crop", "stretch"],
    "How a frame becomes the model's picture: whole between black bars, its "
    "middle, or squashed. By default crop if the model was trained on crops, "
    "else letterbox.",
)
_NUM_SLOTS = flags.DEFINE_integer(
    "num_slots", None, "Slots. By default the model's."
)
_NUM_REFINEMENTS = flags.DEFINE_integer(
    "num_refinements", None, "Refinements. By default the model's."
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the samples.", lower_bound=0)
_CHUNK = flags.DEFINE_integer(
    "chunk",
    32,
    "Frames at a time, at most; changes memory and speed, not the result.",
    lower_bound=1,
)
_FUTURE = flags.DEFINE_integer(
    "future", 0, "Frames to predict after the last one.", lower_bound=0
)
_WRITE = flags.DEFINE_list(
    "write",
    ["all"],
    "What to write, with commas between: all, or some of masks, overlay, "
    "slots, tracks, mot, frames, latents, future, report, doubtful. The rest "
    "is not computed. prediction.json is always there.",
)
_PRECISION = flags.DEFINE_enum(
    "precision",
    None,
    ["auto", "float32", "bfloat16"],
    "Numbers to compute with, by default the model's own. auto: bfloat16 where "
    "the device has it natively and the model was measured to find the same "
    "in it.",
)
_WORKERS = flags.DEFINE_integer(
    "workers",
    1,
    "Processes that share many videos; each loads the model once and takes its "
    "share of the cores.",
    lower_bound=1,
)
_SCHEDULER = flags.DEFINE_string(
    "scheduler",
    None,
    "Address of a Dask scheduler whose workers share many videos, in place of "
    "--workers: tcp://10.0.0.1:8786. They see the same folders.",
)


def main(argv):
    commands.refuse_words(argv)
    try:
        return commands.finish(_predict)
    except KeyboardInterrupt:  # while loading, or a second time
        print("interrupted", file=sys.stderr)
        return 130


def _predict():
    from tfdecomp.jobs import cluster, videos
    from tfdecomp.prediction import footage, regions
    from tfdecomp.prediction.files import folder as folder_lib
    from tfdecomp.storage import catalogue

    # What is wrong with files and flags shows before TensorFlow is loaded.
    options = _options()
    model = catalogue.resolve(_MODEL.value)
    if _SCHEDULER.value is not None and flags.FLAGS["workers"].present:
        raise ValueError(cluster.NOT_BOTH)
    if videos.is_many(_INPUT.value):
        return _predict_many(model, options)
    if _WORKERS.value > 1 or _SCHEDULER.value is not None:
        name = "--workers" if _SCHEDULER.value is None else "--scheduler"
        raise ValueError(
            f"{name} shares many videos, and {_INPUT.value} is one; give a "
            "quoted pattern or a folder of videos"
        )
    folder_lib.check(_OUTPUT.value, _OVERWRITE.value)
    source = footage.Footage(
        _INPUT.value, _FPS.value, _SOURCE_FPS.value, options["range"]
    )
    regions.read(options["region"], source.size)

    from tfdecomp.sharing import hub
    from tfdecomp.signals import StopOnSignal

    loaded = hub.load(model)
    with (
        commands.Bar("frames", source.num_frames) as bar,
        StopOnSignal("stopping after this frame ...") as stop,
    ):
        record = loaded.predict(
            source,
            _OUTPUT.value,
            overwrite=_OVERWRITE.value,
            progress=lambda done, total: bar.update(done),
            should_stop=lambda: stop.requested,
            fit=_FIT.value,
            **options,
        )
    done, total = record["num_frames"], source.num_frames
    if record["state"] != folder_lib.FINISHED:
        print(
            f"stopped: the first {done} of {total} frames are in "
            f"{record['output']}"
        )
        return 130
    print(f"wrote {done} frames to {record['output']}")
    if "trust" in record:
        print(f"{record['trust']['level']}: {record['trust']['sentence']}")
    return 0


def _predict_many(model, options):
    from tfdecomp.jobs import videos
    from tfdecomp.signals import StopOnSignal

    with (
        commands.Bar("videos") as bar,
        StopOnSignal("stopping after these frames ...") as stop,
    ):
        rows = videos.predict(
            model,
            _INPUT.value,
            _OUTPUT.value,
            num_workers=_WORKERS.value,
            overwrite=_OVERWRITE.value,
            options={**options, "fit": _FIT.value},
            on_row=lambda done, total: bar.update(done, total),
            should_stop=lambda: stop.requested,
            scheduler=_SCHEDULER.value,
        )
    print(videos.text(rows))
    states = [row["state"] for row in rows]
    if any(row["error"] for row in rows):
        failed = sum(bool(row["error"]) for row in rows)
        print(f"error: {failed} of {len(rows)} videos failed", file=sys.stderr)
        return 1
    if videos.STOPPED in states:
        print(
            f"stopped: {states.count(videos.STOPPED)} of {len(rows)} videos "
            "are not done; the same command goes on"
        )
        return 130
    print(f"wrote {len(rows)} videos to {_OUTPUT.value}")
    return 0


def _options():
    """Fields of `prediction.options.Options`, checked; without `fit`."""
    from tfdecomp.prediction.options import Options

    options = {
        "fps": _FPS.value,
        "source_fps": _SOURCE_FPS.value,
        "num_slots": _NUM_SLOTS.value,
        "num_refinements": _NUM_REFINEMENTS.value,
        "seed": _SEED.value,
        "chunk": _CHUNK.value,
        "num_future": _FUTURE.value,
        "precision": _PRECISION.value,
        **tracking_flags.options(),
    }
    # In one order, as an earlier prediction has it.
    return options | {"write": Options(**options, write=_WRITE.value).write}


def run():
    """Entry point of the console command."""
    app.run(main)


if __name__ == "__main__":
    run()
