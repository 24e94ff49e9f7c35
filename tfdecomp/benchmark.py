"""Measures speed, memory and utilisation of a config, or one operation.

    python -m tfdecomp.benchmark --gin_file=gin/provide.gin
    python -m tfdecomp.benchmark --gin_file=gin/provide.gin \\
        --gin_param="BATCH_SIZE = 2" --frames=4,10,20,40 --output=growth.json
    python -m tfdecomp.benchmark --gin_file=gin/dvip.gin --plain_loop
    python -m tfdecomp.benchmark --placement
    python -m tfdecomp.benchmark --renderer
    python -m tfdecomp.benchmark --renderer --gin_file=gin/silot.gin \\
        --gin_param="BATCH_SIZE = 2"
    python -m tfdecomp.benchmark \\
        --gin_file=gin/papers/silot/silot_shapes_full.gin \\
        --gin_param="BATCH_SIZE = 1" --frame_sizes=48,96,192,384
    python -m tfdecomp.benchmark --all_models
    python -m tfdecomp.benchmark --all_models --models=silot_motion \\
        --frames=60 --output=speed.csv
    python -m tfdecomp.benchmark --agreement --models=provide_balls_quick

`utilisation` is the arithmetic of the architecture as the paper writes it,
divided by time, divided by the throughput of a convolution like the
decoder's, measured in the same process at the same precision. Above 1, exact
algebra saves more than everything else costs.

`--plain_loop` compares DVIP's training step with a loop over frames and
factors in plain Keras, at equal weights.

`--placement` needs no config: it places ten sprites on each of 64 pictures,
with gradients, and does the same with dense convolutions.

`--renderer` needs no config either: it draws SILOT's objects, 36 on frames of
96x96, with gradients, and does the same by a picture for every object. With a
config it times whole training steps with either way of drawing.

`--frame_sizes` measures SILOT on larger and larger frames with as many more
object slots, each size in a process of its own.

`--all_models` takes a video apart with every model that ships, in float32 and,
where the device has it, in bfloat16, each in a process of its own: frames a
second from file to files and of the model alone, seconds to the first frame,
memory. Rows go to results/speed.csv of the checkout, or to --output.

`--agreement` tells, on newly generated clips of a model's own set, of which
share of the pixels the slot is the same in bfloat16 as in float32.
"""

import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags, logging

from tfdecomp.console import commands, quiet

if __name__ == "__mp_main__":  # a process that measures one model
    quiet.tensorflow()

_GIN_FILE = flags.DEFINE_multi_string(
    "gin_file", None, "Config, as for training."
)
_GIN_PARAM = flags.DEFINE_multi_string(
    "gin_param", [], "A binding that overrides the files: 'BATCH_SIZE = 2'."
)
_FRAMES = flags.DEFINE_list(
    "frames", [], "Clip lengths to measure; the config's first by default."
)
_REPEATS = flags.DEFINE_integer("repeats", 3, "Timed runs; the best counts.")
_PIPELINE = flags.DEFINE_bool(
    "pipeline", False, "Also measures the input pipeline on the real dataset."
)
_PLAIN_LOOP = flags.DEFINE_bool(
    "plain_loop", False, "Measures DVIP against a plain loop over frames."
)
_PLACEMENT = flags.DEFINE_bool(
    "placement", False, "Measures the placing of sprites; no config is used."
)
_RENDERER = flags.DEFINE_bool(
    "renderer", False, "Measures the drawing of objects, or a config's steps."
)
_FRAME_SIZES = flags.DEFINE_list(
    "frame_sizes", [], "Sides of frames to measure SILOT on, rising."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Where prepared datasets are. By default, as TFDS."
)
_ALL_MODELS = flags.DEFINE_bool(
    "all_models", False, "Measures the prediction of all models that ship."
)
_AGREEMENT = flags.DEFINE_bool(
    "agreement", False, "Measures whether bfloat16 finds what float32 finds."
)
_MODELS = flags.DEFINE_list(
    "models", [], "Models of --all_models and --agreement, if not all."
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "JSON file for the results; of --all_models one of csv."
)

_UNITS = {
    "seconds": "s",
    "bytes": "B",
    "flops": "FLOP",
    "frames_per_second": "frames/s",
}


def table(results) -> str:
    """Results as lines of name, value and unit."""
    lines = []
    for name, value in results.items():
        if isinstance(value, (dict, list)):
            value, unit = json.dumps(value), ""
        else:
            unit = next((u for n, u in _UNITS.items() if name.endswith(n)), "")
            value = f"{value:,.4g}" if isinstance(value, float) else value
        if name == "peak_bytes":
            value, unit = f"{results[name] / 2**30:.2f}", "GiB"
        lines.append(f"{name:28s} {value} {unit}".rstrip())
    return "\n".join(lines)


def run_benchmark():
    """Measures the active config as the flags say."""
    from tfdecomp.benchmarks import measure

    frames = [int(count) for count in _FRAMES.value]
    if len(frames) > 1:
        results = measure.growth(frames, _REPEATS.value)
        for row in results["rows"]:
            print(table(row), end="\n\n")
        print(table({k: v for k, v in results.items() if k != "rows"}))
    else:
        results = measure.measure(frames[0] if frames else None, _REPEATS.value)
        if _PIPELINE.value:
            results |= measure.pipeline(results, _DATA_DIR.value)
        print(table(results))
    return results


def _one_length(flag):
    """The one of --frames, or None; what `flag` compares has one length."""
    if len(_FRAMES.value) > 1:
        raise ValueError(f"--{flag} measures one of the --frames at a time")
    return int(_FRAMES.value[0]) if _FRAMES.value else None


def run_plain_loop():
    """Measures the active config's DVIP against a plain loop."""
    from tfdecomp.benchmarks import measure_plain_loop

    results = measure_plain_loop.compare(
        _one_length("plain_loop"), repeats=_REPEATS.value
    )
    print(table(results))
    return results


def run_placement():
    """Measures the placing of sprites."""
    from tfdecomp.benchmarks import measure_placement

    rows = []
    for row in measure_placement.compare(repeats=_REPEATS.value):
        print(table(row), end="\n\n", flush=True)
        rows.append(row)
    return {"rows": rows}


def run_renderer():
    """Measures the drawing of objects, or the active config's steps."""
    from tfdecomp.benchmarks import measure_renderer

    if _GIN_FILE.value:
        results = measure_renderer.compare_steps(
            _one_length("renderer"), repeats=_REPEATS.value
        )
    else:
        results = measure_renderer.measure(repeats=_REPEATS.value)
    print(table(results))
    return results


def run_frame_sizes():
    """Measures the active config's SILOT on frames of several sizes."""
    from tfdecomp.benchmarks import measure_frame_sizes

    frames = _one_length("frame_sizes")
    sides = [int(side) for side in _FRAME_SIZES.value]
    rows = []
    for row in measure_frame_sizes.compare(
        sides, frames, repeats=_REPEATS.value
    ):
        print(table(row), end="\n\n", flush=True)
        rows.append(row)
    return {"rows": rows[:-1], **rows[-1]}


def run_all_models():
    """Measures the prediction of models; writes rows as they come."""
    from tfdecomp.benchmarks import measure_models
    from tfdecomp.evaluation import runs

    output = _OUTPUT.value or runs.root() / "speed.csv"
    options = {}
    if frames := _one_length("all_models"):
        options["num_frames"] = frames
    for row in measure_models.compare(_MODELS.value or None, **options):
        measure_models.record(output, [row])
        print(table(row), end="\n\n", flush=True)
    print(f"wrote {output}")


def run_agreement():
    """Measures what models find in bfloat16 against float32."""
    from tfdecomp import builders
    from tfdecomp.benchmarks import measure_precision

    rows = []
    for row in measure_precision.compare(
        builders.fresh_clips, _MODELS.value or None
    ):
        print(table(row), end="\n\n", flush=True)
        rows.append(row)
    return {"rows": rows}


def main(argv):
    commands.refuse_words(argv)
    return commands.finish(_benchmark, quiet=logging.ERROR)


def _benchmark():
    from tfdecomp.storage import configs

    if _ALL_MODELS.value:
        return run_all_models()
    if _GIN_FILE.value:
        configs.parse(_GIN_FILE.value, _GIN_PARAM.value)
    if _AGREEMENT.value:
        results = run_agreement()
    elif _PLACEMENT.value:
        results = run_placement()
    elif _RENDERER.value:
        results = run_renderer()
    elif _GIN_FILE.value:
        if _FRAME_SIZES.value:
            results = run_frame_sizes()
        else:
            results = run_plain_loop() if _PLAIN_LOOP.value else run_benchmark()
    else:
        raise ValueError(
            "give the --gin_file to measure, or --placement, --renderer, "
            "--all_models or --agreement"
        )
    if _OUTPUT.value:
        path = os.path.expanduser(_OUTPUT.value)
        with open(path, "w") as file:
            json.dump(results, file, indent=2)


if __name__ == "__main__":
    app.run(main)
