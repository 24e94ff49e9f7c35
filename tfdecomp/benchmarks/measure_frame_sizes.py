"""Measures what SILOT costs against the size of frames, at equal density.

Weights know neither the size of frames nor the number of objects, so the
same config runs on all of them; object slots grow with the area. Attention
looks at a fixed number of neighbours (its kernel ends after six deviations)
and not at empty slots, which all lie in one corner before the first frame and
would be more than these.

Inference fetches what tracking reads: reconstruction, boxes, presences and
identities. Masks and components are a picture for each object, so they grow
with the square of the area at equal density, whoever makes them; a graph that
does not fetch them does not compute them.
"""

import concurrent.futures
import resource

import keras
import tensorflow as tf

from tfdecomp.benchmarks import fresh_process, measure
from tfdecomp.models.silot import SILOT
from tfdecomp.storage import configs
from tfdecomp.training import settings as settings_lib
from tfdecomp.training import strategy as strategy_lib
from tfdecomp.training.step import TrainStep

_FETCHED = ("recon", "boxes", "presence", "track_ids", "attention_overflow")
_OBJECTS, _SIDE = 4, 48  # slots on a frame of this side
_PURPOSES = ("inference", "training")


def compare(
    sides,
    num_frames=None,
    *,
    repeats=3,
    max_neighbours=24,
    limit=24 * 2**30,
    purposes=_PURPOSES,
):
    """Yields a row for each size of frames, and at last the growth.

    Every measurement has a process of its own.

    Args:
        sides: `H` and `W`, rising. There are four slots for every 48x48
            pixels.
        num_frames: Frames per clip; by default what the run starts with.
        repeats: Timed runs; the best counts.
        max_neighbours: See `models.SILOT`.
        limit: Bytes that a process may map, or None; what needs more is left
            out.
        purposes: Of `"inference"` and `"training"`, what is measured.

    Yields:
        Dictionaries, JSON-safe: `side`, `num_objects` and, where it fits,
        for each purpose a dictionary as `measure_purpose` returns it. The
        last one has `time_growth` and `bytes_growth` of each purpose: from a
        size to the next, the growth of seconds or bytes per frame over that
        of the area. At most 1 means no faster than the area.
    """
    config = configs.asked()
    rows = []
    for side in sides:
        objects = max(1, round(_OBJECTS * (side / _SIDE) ** 2))
        row = {"side": side, "num_objects": objects}
        bindings = [
            config,
            f"IMAGE_SIZE = {side}",
            f"NUM_SLOTS = {objects + 1}",
            f"models.SILOT.max_neighbours = {max_neighbours}",
            "models.SILOT.mask_empty_slots = True",
        ]
        for purpose in purposes:
            try:
                row[purpose] = fresh_process.run(
                    measure_purpose,
                    purpose,
                    bindings,
                    num_frames,
                    repeats,
                    limit,
                )
            except (
                concurrent.futures.process.BrokenProcessPool,
                MemoryError,
                tf.errors.ResourceExhaustedError,
            ):
                row[purpose] = None  # does not fit
        rows.append(row)
        yield row
    growth = {}
    for name, key in (("time", "seconds_per_frame"), ("bytes", "bytes")):
        growth[f"{name}_growth"] = {
            purpose: [
                after[purpose][key]
                / before[purpose][key]
                * (before["side"] / after["side"]) ** 2
                for before, after in zip(rows, rows[1:])
                if before[purpose] and after[purpose]
            ]
            for purpose in purposes
        }
    yield growth


def measure_purpose(purpose, bindings, num_frames, repeats, limit):
    """Measures one purpose of a config, in this process.

    Args:
        purpose: `"inference"` or `"training"`.
        bindings: Lines of the config.
        num_frames: See `compare`.
        repeats: See `compare`.
        limit: See `compare`.

    Returns:
        `seconds_per_frame`, `bytes` (what the first run added to the resident
        memory: of the whole batch, and of the graph), `peak_bytes` of the
        process, `batch_size`, `num_frames`; of inference also
        `attention_overflow`, the mean number of places in a frame with more
        neighbours.

    Raises:
        ValueError: If the config's model is no SILOT.
    """
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    configs.parse((), bindings)
    keras.utils.set_random_seed(0)
    strategy = strategy_lib.make_strategy()
    with strategy.scope():
        settings = settings_lib.build_settings()
        if not isinstance(settings.model, SILOT):
            raise ValueError(
                "sizes of frames are those of SILOT, but the config trains "
                f"{type(settings.model).__name__}; give "
                "--gin_file=gin/papers/silot/silot_shapes_full.gin"
            )
        variables = settings.model.trainable_variables
        weights = [v.value for v in variables]
        settings.optimizer.build(weights, [v.path for v in variables])
    num_frames = num_frames or settings.frames_at(0)
    batch = measure.random_batch(
        settings.model, settings.batch_size, num_frames
    )
    make = _inference if purpose == "inference" else _training
    run = make(strategy, settings, batch)
    before = fresh_process.resident_bytes()
    found = run()
    peak = fresh_process.peak_bytes()
    seconds = measure.best(run, repeats)
    results = {
        "seconds_per_frame": seconds / settings.batch_size / num_frames,
        "bytes": peak - before,
        "peak_bytes": peak,
        "batch_size": settings.batch_size,
        "num_frames": num_frames,
    }
    if purpose == "inference":
        over = found["attention_overflow"]
        results["attention_overflow"] = float(over.mean())
    return results


def _inference(strategy, settings, batch):
    video = tf.constant(batch["video"])

    @tf.function(autograph=False)
    def track(video):
        outputs = settings.model({"video": video})
        return {name: outputs[name] for name in _FETCHED}

    return lambda: {n: v.numpy() for n, v in track(video).items()}


def _training(strategy, settings, batch):
    step = TrainStep(strategy, settings, noise_seed=0)
    dataset = tf.data.Dataset.from_tensors(batch).repeat()
    iterator = iter(strategy_lib.distribute(strategy, dataset))

    def train():
        rows, _ = step(iterator, 0, 1, step.initial_carry())
        return rows.numpy()

    return train
