"""Measures speed, memory and utilisation of a config, or one operation.

    python -m tfdecomp.benchmark --gin_file=gin/provide.gin
    python -m tfdecomp.benchmark --gin_file=gin/provide.gin \\
        --gin_param="BATCH_SIZE = 2" --frames=4,10,20,40 --output=growth.json
    python -m tfdecomp.benchmark --placement

`utilisation` is the arithmetic of the architecture as the paper writes it,
divided by time, divided by the throughput of a convolution like the
decoder's, measured in the same process at the same precision. Above 1, exact
algebra saves more than everything else costs.

`--placement` needs no config: it places ten sprites on each of 64 pictures,
with gradients, and does the same with dense convolutions.
"""

import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags, logging

from tfdecomp import commands

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
_PLACEMENT = flags.DEFINE_bool(
    "placement", False, "Measures the placing of sprites; no config is used."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Where prepared datasets are. By default, as TFDS."
)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the results.")

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
    from tfdecomp.training import measure

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


def run_placement():
    """Measures the placing of sprites."""
    from tfdecomp.training import measure_placement

    rows = []
    for row in measure_placement.compare(repeats=_REPEATS.value):
        print(table(row), end="\n\n", flush=True)
        rows.append(row)
    return {"rows": rows}


def main(argv):
    commands.refuse_words(argv)
    return commands.finish(_benchmark, quiet=logging.ERROR)


def _benchmark():
    from tfdecomp import configs

    if _PLACEMENT.value:
        results = run_placement()
    elif _GIN_FILE.value:
        configs.parse(_GIN_FILE.value, _GIN_PARAM.value)
        results = run_benchmark()
    else:
        raise ValueError("give the --gin_file to measure, or --placement")
    if _OUTPUT.value:
        path = os.path.expanduser(_OUTPUT.value)
        with open(path, "w") as file:
            json.dump(results, file, indent=2)


if __name__ == "__main__":
    app.run(main)
