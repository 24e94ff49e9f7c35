"""Measures how objects are drawn against a picture for each of them.

The rival is the renderer as one would write it down: every pixel of the frame
looks up the four sprite pixels around it, for every object, and the frame is
a weighted average of these `[N, K, H, W, C + 2]` maps; gradients are what
TensorFlow derives. It reads the same inputs by the same formula, and shares
no code.
"""

import keras
import numpy as np
import tensorflow as tf

from tfdecomp.benchmarks import fresh_process
from tfdecomp.benchmarks.measure import compiled_step, in_turn, random_batch
from tfdecomp.layers.objects.object_renderer import ObjectRenderer
from tfdecomp.models.silot import SILOT
from tfdecomp.ops import compositing
from tfdecomp.training import settings as settings_lib

METHODS = ("ours", "plain")
PARTS = ("frame", "colors", "alpha", "importance", "boxes", "background")
_TINY = 1e-12


def measure(
    *,
    batch_size=4,
    num_objects=36,
    image_side=96,
    sprite_side=14,
    largest=48.0,
    channels=3,
    chunk_size=8,
    repeats=3,
    seed=0,
    memory=True,
):
    """Times frames with their gradients, drawn by us and plainly.

    The two run in turn within each repeat, so that other work on the machine
    slows both. Memory is that of one call, each in a process of its own, where
    nothing that the other left behind is reused: the largest resident memory
    of the call above what there was before.

    Args:
        batch_size: Frames, `N`.
        num_objects: `K`.
        image_side: `H` and `W`.
        sprite_side: `G`.
        largest: Largest side of a box in pixels.
        channels: `C`.
        chunk_size: See `ops.compositing.compose`.
        repeats: Timed runs of each.
        seed: Seed of the scenes and of the gradient.
        memory: Whether to measure memory.

    Returns:
        A dictionary, JSON-safe: the arguments but `repeats`, `seed` and
        `memory`; `min_seconds` and `median_seconds`, each of `ours` and
        `plain`; `ratio` of the shortest times, plain by ours, and
        `median_ratio`; `difference` of the frame and of each gradient, the
        largest relative to the plain one's largest value; with `memory` also
        `bytes` of each and `bytes_ratio`, ours by plain.
    """
    sizes = {
        "batch_size": batch_size,
        "num_objects": num_objects,
        "image_side": image_side,
        "sprite_side": sprite_side,
        "largest": largest,
        "channels": channels,
        "chunk_size": chunk_size,
    }
    runs = {name: _run(name, sizes, seed) for name in METHODS}
    results = {name: run() for name, run in runs.items()}
    shortest, median = in_turn(runs, repeats)
    row = {
        **sizes,
        "min_seconds": shortest,
        "median_seconds": median,
        "ratio": shortest["plain"] / shortest["ours"],
        "median_ratio": median["plain"] / median["ours"],
        "difference": {
            part: float(np.abs(ours - plain).max() / np.abs(plain).max())
            for part, ours, plain in zip(PARTS, *results.values())
        },
    }
    if memory:
        taken = {
            name: fresh_process.run(call_bytes, name, sizes, seed)
            for name in METHODS
        }
        row["bytes"] = taken
        row["bytes_ratio"] = taken["ours"] / taken["plain"]
    return row


@keras.saving.register_keras_serializable(package="tfdecomp")
class PlainRenderer(ObjectRenderer):
    """An `ObjectRenderer` that makes a picture of every object."""

    def call(self, objects, background, largest=None):
        del largest
        return _plain(*self.sprites(objects), objects["boxes"], background)


def compare_steps(num_frames=None, repeats=3, seed=0):
    """Times training steps of the active config with both renderers.

    All else of the two models is one code, and their weights are equal at the
    start.

    Args:
        num_frames: Frames per clip; by default what the run starts with.
        repeats: Timed steps of each, in turn.
        seed: Seed of weights and clips.

    Returns:
        A dictionary, JSON-safe: `min_seconds` and `median_seconds` of a step,
        each of `ours` and `plain`; `ratio` and `median_ratio`, plain by ours;
        `loss_difference` before the first step, relative; sizes.

    Raises:
        ValueError: If the config's model is no SILOT, or does not draw as the
            plain renderer does.
    """
    keras.utils.set_random_seed(seed)
    settings = settings_lib.build_settings()
    model = settings.model
    if not isinstance(model, SILOT):
        raise ValueError(
            "the two renderers are SILOT's, but the config trains "
            f"{type(model).__name__}; give --gin_file=gin/silot.gin"
        )
    if model.renderer.composition != "linear":
        raise ValueError(
            "the plain renderer knows composition 'linear' alone, the config "
            f"has {model.renderer.composition!r}"
        )
    num_frames = num_frames or settings.frames_at(0)
    batch = random_batch(model, settings.batch_size, num_frames, seed)
    # The same noise in both: one seed per clip.
    seeds = tf.stack([tf.range(settings.batch_size)] * 2, axis=1)
    inputs = {"video": tf.constant(batch["video"]), "seed": seeds}
    models = {"ours": model, "plain": _with_plain_renderer(model, inputs)}
    losses = {n: m(inputs, training=True)["loss"] for n, m in models.items()}
    runs = {
        name: compiled_step(
            each, lambda each=each: each(inputs, training=True)["loss"]
        )
        for name, each in models.items()
    }
    for run in runs.values():  # traces them
        run()
    shortest, median = in_turn(runs, repeats)
    difference = tf.abs(losses["ours"] / losses["plain"] - 1.0)
    return {
        "min_seconds": shortest,
        "median_seconds": median,
        "ratio": shortest["plain"] / shortest["ours"],
        "median_ratio": median["plain"] / median["ours"],
        "loss_difference": float(tf.reduce_max(difference)),
        "batch_size": settings.batch_size,
        "num_frames": num_frames,
        "num_slots": model.num_slots,
        "image_size": list(model.image_size),
    }


def _with_plain_renderer(model, inputs):
    """The same model, weights included, with a `PlainRenderer`."""
    config = model.get_config()
    renderer = PlainRenderer.from_config(model.renderer.get_config())
    config["renderer"] = keras.saving.serialize_keras_object(renderer)
    plain = type(model).from_config(config)
    model(inputs)  # builds it
    plain(inputs)
    plain.set_weights(model.get_weights())
    return plain


def call_bytes(method, sizes, seed=0):
    """What one call adds to this process' largest resident memory.

    Args:
        method: One of `METHODS`.
        sizes: Arguments of `measure`, `batch_size` to `chunk_size`.
        seed: See `measure`.
    """
    # What TensorFlow sets up once is no part of it.
    _run(method, {**sizes, "batch_size": 1, "num_objects": 1}, seed)()
    run = _run(method, sizes, seed)
    before = fresh_process.resident_bytes()
    run()
    return fresh_process.peak_bytes() - before


def _run(method, sizes, seed):
    """A compiled graph of frame and gradients, as a NumPy function."""
    inputs, upstream = _scene(sizes, seed)
    if method == "ours":
        side = sizes["largest"]
        options = {"largest": (side, side), "chunk_size": sizes["chunk_size"]}

        def draw(inputs):
            return compositing.compose(*inputs, **options)

    else:

        def draw(inputs):
            return _plain(*inputs)

    @tf.function(autograph=False)
    def graph(inputs, upstream):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            frame = draw(inputs)
        return frame, *tape.gradient(frame, inputs, upstream)

    return lambda: [value.numpy() for value in graph(inputs, upstream)]


def _scene(sizes, seed):
    """`compose`'s inputs in their order, and the gradient of its output."""
    rng = np.random.default_rng(seed)
    lead = [sizes["batch_size"], sizes["num_objects"]]
    sprite = [sizes["sprite_side"]] * 2
    frame = [lead[0], *[sizes["image_side"]] * 2, sizes["channels"]]
    alpha = rng.random([*lead, *sprite])
    importance = np.maximum(4.0 * alpha * rng.random([*lead, 1, 1]), 0.01)
    centre = rng.uniform(0.0, sizes["image_side"], [*lead, 2])
    side = rng.uniform(0.2, 1.0, [*lead, 2]) * sizes["largest"]
    inputs = (
        rng.random([*lead, *sprite, sizes["channels"]]),
        alpha,
        importance,
        np.concatenate([centre, side], axis=-1),
        rng.random(frame),
    )
    upstream = tf.constant(rng.standard_normal(frame), tf.float32)
    return tuple(tf.constant(v, tf.float32) for v in inputs), upstream


def _plain(colors, alpha, importance, boxes, background):
    """The frame, by a map for every object; see `ops.compositing`."""
    length = alpha.shape[2]
    planes = tf.concat(
        [colors, alpha[..., None], importance[..., None]], axis=-1
    )
    y, x, h, w = (v[..., None] for v in tf.unstack(boxes, axis=-1))
    rows = tf.range(background.shape[1], dtype=tf.float32) + 0.5
    columns = tf.range(background.shape[2], dtype=tf.float32) + 0.5
    row = (length * (rows - y + 0.5 * h) / h - 0.5)[..., None]
    column = (length * (columns - x + 0.5 * w) / w - 0.5)[:, :, None]
    maps, cover = 0.0, 0.0
    for down in (0.0, 1.0):
        for right in (0.0, 1.0):
            i, j = tf.floor(row) + down, tf.floor(column) + right
            share = (1.0 - tf.abs(row - i)) * (1.0 - tf.abs(column - j))
            inside = (i >= 0.0) & (i < length) & (j >= 0.0) & (j < length)
            share = tf.where(inside, share, 0.0)
            places = [
                tf.broadcast_to(
                    tf.cast(tf.clip_by_value(v, 0.0, length - 1.0), tf.int32),
                    tf.shape(share),
                )
                for v in (i, j)
            ]
            values = tf.gather_nd(planes, tf.stack(places, -1), batch_dims=2)
            maps += share[..., None] * values
            cover += share
    color, alpha, weight = tf.split(maps, [colors.shape[-1], 1, 1], axis=-1)
    ground = background[:, None]
    color += (1.0 - cover[..., None]) * ground
    shown = alpha * color + (1.0 - alpha) * ground
    total = tf.reduce_sum(weight, axis=1)
    mixed = tf.reduce_sum(weight * shown, axis=1) / tf.maximum(total, _TINY)
    return tf.where(total > 0.0, mixed, background)
