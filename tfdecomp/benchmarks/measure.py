"""Measures what a config costs: seconds, bytes, and how well they are used."""

import resource
import sys
import time

import keras
import numpy as np
import tensorflow as tf

from tfdecomp import builders
from tfdecomp.data import pipeline as pipeline_lib
from tfdecomp.layers.encoders.frame_encoder import GRID
from tfdecomp.training import settings as settings_lib
from tfdecomp.training import strategy as strategy_lib
from tfdecomp.training.step import TrainStep


def measure(num_frames=None, repeats=3, seed=0, strategy=None):
    """Runs training steps and decompositions of the active config.

    Args:
        num_frames: Frames per clip; by default what the run starts with.
        repeats: Timed runs of each; the best counts.
        seed: Seed of weights and of the random clips.
        strategy: `tf.distribute` strategy; by default what fits the machine.

    Returns:
        A dictionary, JSON-safe: `parameters`, `step_seconds`,
        `inference_seconds`, `frames_per_second` (training),
        `inference_frames_per_second`, `first_step_seconds` (from the start to
        the end of the first step), `tracing_seconds` (the same without the
        step), `peak_bytes` (of the process), `step_flops` (of the
        architecture as published), `peak_flops` (convolutions per second, see
        `yardstick`), `yardstick`, `utilisation` (`step_flops / step_seconds /
        peak_flops`; absent without `step_flops`), `dtype`, `batch_size`,
        `num_frames`, `num_slots`, `num_refinements`, `micro_batch_size`.
    """
    begin = time.perf_counter()
    strategy = strategy or strategy_lib.make_strategy()
    with strategy.scope():
        settings = settings_lib.build_settings()
        variables = settings.model.trainable_variables
        weights = [v.value for v in variables]
        settings.optimizer.build(weights, [v.path for v in variables])
    model = settings.model
    num_frames = num_frames or settings.frames_at(0)
    batch = random_batch(model, settings.batch_size, num_frames, seed)
    step = TrainStep(strategy, settings, noise_seed=seed)
    dataset = tf.data.Dataset.from_tensors(batch).repeat()
    iterator = iter(strategy_lib.distribute(strategy, dataset))

    def train():
        rows, _ = step(iterator, 0, 1, step.initial_carry())
        return rows.numpy()

    train()
    first = time.perf_counter() - begin
    peak = peak_bytes()
    step_seconds = best(train, repeats)
    peak = max(peak, peak_bytes())
    micro = step.micro
    results = {
        "parameters": model.count_params(),
        "step_seconds": step_seconds,
        "frames_per_second": settings.batch_size * num_frames / step_seconds,
        "first_step_seconds": first,
        "tracing_seconds": first - step_seconds,
        "peak_bytes": peak,
        "dtype": keras.config.dtype_policy().compute_dtype,
        "batch_size": settings.batch_size,
        "micro_batch_size": micro,
        "num_frames": num_frames,
        "num_slots": model.num_slots,
        "num_refinements": getattr(model, "num_refinements", None),
    }
    results |= _inference(model, batch, repeats)
    if hasattr(model, "step_flops"):
        results |= yardstick(model, micro, num_frames)
        flops = model.step_flops(settings.batch_size, num_frames)
        results["step_flops"] = flops
        results["utilisation"] = flops / step_seconds / results["peak_flops"]
    return results


def _inference(model, batch, repeats):
    """Seconds to decompose the batch, or one clip where that is too much."""
    clips = min(batch["video"].shape[0], 4)
    video = tf.constant(batch["video"][:clips])

    @tf.function(autograph=False)
    def decompose(video):
        outputs = model({"video": video})
        return outputs.get("masks", outputs["recon"])

    def run():
        return decompose(video).numpy()

    run()
    seconds = best(run, repeats) * batch["video"].shape[0] / clips
    frames = batch["video"].shape[0] * batch["video"].shape[1]
    return {
        "inference_seconds": seconds,
        "inference_frames_per_second": frames / seconds,
    }


def yardstick(model, batch_size, num_frames, repeats=12):
    """How fast convolutions like the decoder's run in this process.

    Forward and both gradients of the decoder's hidden convolution at the
    step's batch, slots and picture, in the model's precision; the best of
    `repeats` runs. Of a model without a decoder of slots it is the encoder's
    last strided convolution, at the step's frames.

    Returns:
        `peak_flops` per second, and `yardstick`: its shapes and seconds.
    """
    dtype = keras.config.dtype_policy().compute_dtype
    if hasattr(model, "decoder"):
        conv, size = _hidden(model.decoder)
        count = batch_size * model.num_slots
    else:
        conv, size = model.encoder.convs[-1], (2 * GRID, 2 * GRID)
        count = batch_size * num_frames
    strides, kernel = conv.strides, conv.kernel
    shape = (count, *size, kernel.shape[2])
    rng = np.random.default_rng(0)
    inputs = tf.cast(rng.standard_normal(shape), dtype)
    kernel = tf.cast(0.05 * rng.standard_normal(kernel.shape), dtype)

    @tf.function(autograph=False)
    def convolve(inputs, kernel):
        with tf.GradientTape() as tape:
            tape.watch((inputs, kernel))
            outputs = tf.nn.conv2d(inputs, kernel, strides, "SAME")
        return tape.gradient(outputs, (inputs, kernel), outputs)

    def run():
        return tf.cast(convolve(inputs, kernel)[1], tf.float32).numpy()

    run()
    seconds = best(run, repeats)
    flops = 3 * 2 * int(np.prod(shape)) * int(np.prod(kernel.shape))
    flops //= kernel.shape[2] * int(np.prod(strides))
    shown = {
        "inputs": list(shape),
        "kernel": list(kernel.shape),
        "seconds": seconds,
    }
    return {"peak_flops": flops / seconds, "yardstick": shown}


def _hidden(decoder):
    """A hidden convolution of a decoder, and the size of what it reads.

    A transposed one stands for the convolution whose gradient it is.
    """
    if hasattr(decoder, "grid_size"):
        return decoder.convs[-1], decoder.grid_size
    # Each of them doubles the picture, and the last one makes the pixels.
    convs = decoder.convs if hasattr(decoder, "convs") else decoder.deconvs
    return convs[-2:][0], tuple(side // 2 for side in decoder.image_size)


def growth(frames, repeats=3):
    """Measures several clip lengths, each in a fresh graph.

    Args:
        frames: Numbers of frames, rising.
        repeats: See `measure`.

    Returns:
        Dictionary with `rows` (one `measure` each), and of the straight line
        through seconds per clip against frames: `seconds_per_frame`,
        `seconds_offset`, `largest_residual` (as a share of the longest).
    """
    strategy = strategy_lib.make_strategy()  # one: they do not mix
    rows = [measure(count, repeats, strategy=strategy) for count in frames]
    lengths = np.array([row["num_frames"] for row in rows], float)
    seconds = [row["step_seconds"] / row["batch_size"] for row in rows]
    slope, offset = np.polyfit(lengths, seconds, 1)
    residual = np.abs(slope * lengths + offset - seconds).max() / max(seconds)
    return {
        "rows": rows,
        "seconds_per_frame": float(slope),
        "seconds_offset": float(offset),
        "largest_residual": float(residual),
    }


def pipeline(results, data_dir=None, seconds=5.0):
    """Measures the input pipeline of the active config's run.

    Args:
        results: What `measure` returned.
        data_dir: Where prepared datasets are.
        seconds: How long to read.

    Returns:
        `pipeline_frames_per_second`, and `pipeline_ratio` to what the
        training step eats.
    """
    settings = settings_lib.build_settings()
    builders.prepare(settings.dataset, data_dir=data_dir)
    dataset = pipeline_lib.make_dataset(
        settings.dataset,
        settings.split,
        data_dir=data_dir,
        labels=(),
        batch_size=settings.batch_size,
        num_frames=results["num_frames"],
    )
    measured = pipeline_lib.measure_throughput(dataset, seconds)
    frames = measured["frames_per_second"]
    return {
        "pipeline_frames_per_second": frames,
        "pipeline_ratio": frames / results["frames_per_second"],
    }


def random_batch(model, batch_size, num_frames, seed=0):
    """Random clips of the shape that the model reads."""
    rng = np.random.default_rng(seed)
    shape = (batch_size, num_frames, *model.image_size, model.channels)
    return {
        "video": rng.integers(0, 256, shape, dtype=np.uint8),
        "clip_index": np.arange(batch_size, dtype=np.int64),
    }


def best(function, repeats):
    """Seconds of the fastest of `repeats` calls."""
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def in_turn(runs, repeats):
    """Times functions in turn, so that other work on the machine slows all.

    Args:
        runs: Name to function.
        repeats: Timed calls of each.

    Returns:
        `(shortest, median)`, each name to seconds.
    """
    seconds = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begin)
    shortest = {name: min(values) for name, values in seconds.items()}
    return shortest, {n: float(np.median(v)) for n, v in seconds.items()}


def compiled_step(model, loss_of):
    """A compiled step of Adam as a function that returns its loss.

    Args:
        model: The `keras.Model` whose weights are trained.
        loss_of: Function to the loss `[B]` of its clips.
    """
    optimizer = keras.optimizers.Adam(3e-4, epsilon=1e-8)
    optimizer.build(model.trainable_variables)

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(loss_of())
        weights = model.trainable_variables
        pairs = zip(tape.gradient(loss, weights), weights)
        optimizer.apply_gradients([p for p in pairs if p[0] is not None])
        return loss

    return lambda: float(step())


def peak_bytes():
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024)
