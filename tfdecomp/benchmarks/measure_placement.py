"""Measures how sprites are placed against convolutions that do the same."""

import functools

import numpy as np
import tensorflow as tf

from tfdecomp.benchmarks.measure import in_turn
from tfdecomp.ops import placement

KINDS = ("soft", "straight_through", "hard")


def compare(kinds=KINDS, channels=(1, 3), repeats=3, **sizes):
    """Yields `measure` for every kind and number of channels, in turn."""
    for count in channels:
        for kind in kinds:
            yield measure(kind, count, repeats=repeats, **sizes)


def measure(
    kind="soft",
    channels=1,
    *,
    batch_size=64,
    num_slots=10,
    image_side=64,
    sprite_side=17,
    repeats=3,
    seed=0,
):
    """Times a placement with its gradients, and the same by convolution.

    The methods run one after the other within each repeat, so that other work
    on the machine slows all of them. The rivals convolve the maps, one-hot
    unless soft, with the sprites: as one depthwise convolution with pictures
    and slots among the channels, and as one grouped convolution with a group
    for each picture. The faster of them counts; of the grouped one TensorFlow
    has gradients where it computes with oneDNN, else it is left out.

    Args:
        kind: "soft"; or "straight_through", both with gradients of sprites
            and maps; or "hard", with gradients of sprites alone.
        channels: Colour channels `C`.
        batch_size: `B`.
        num_slots: `K`.
        image_side: `H` and `W`.
        sprite_side: `S`.
        repeats: Timed runs of each method.
        seed: Seed of sprites, maps and gradient.

    Returns:
        A dictionary, JSON-safe: the arguments but `repeats` and `seed`;
        `min_seconds` and `median_seconds`, each by method; `rival`, the
        faster convolution; `ratio` of its shortest time to ours, and
        `median_ratio`; `difference` of the canvas and of each gradient, the
        largest relative to the rival's largest value.

    Raises:
        ValueError: If the kind is unknown.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}, got {kind!r}")
    shape = (batch_size, num_slots, image_side, sprite_side, channels)
    sprites, maps, locations, upstream = _draw(kind, shape, seed)
    watched = 1 if kind == "hard" else 2
    methods = {
        name: _differentiated(function, watched, locations, upstream)
        for name, function in {
            "placement": _placement(kind),
            "depthwise": _depthwise,
            "grouped": _grouped,
        }.items()
    }
    runs = {
        name: functools.partial(run, sprites, maps)
        for name, run in methods.items()
    }
    results = _results(runs)
    runs = {name: runs[name] for name in results}
    shortest, median = in_turn(runs, repeats)
    rivals = [name for name in results if name != "placement"]
    rival = min(rivals, key=shortest.get)
    parts = ("canvas", "sprites", "maps")
    return {
        "kind": kind,
        "batch_size": batch_size,
        "num_slots": num_slots,
        "image_side": image_side,
        "sprite_side": sprite_side,
        "channels": channels,
        "min_seconds": shortest,
        "median_seconds": median,
        "rival": rival,
        "ratio": shortest[rival] / shortest["placement"],
        "median_ratio": median[rival] / median["placement"],
        "difference": {
            part: float(np.abs(ours - theirs).max() / np.abs(theirs).max())
            for part, ours, theirs in zip(
                parts, results["placement"], results[rival]
            )
        },
    }


def _results(runs):
    """What each method gives, without a rival that this machine cannot do."""
    results = {}
    for name, run in runs.items():
        try:
            results[name] = run()
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            if name != "grouped":
                raise
    return results


def _draw(kind, shape, seed):
    """Sprites, maps (peaked, or one-hot), locations, canvas' gradient."""
    batch, slots, side, sprite, channels = shape
    rng = np.random.default_rng(seed)
    sprites = rng.random((batch, slots, sprite, sprite, channels), np.float32)
    locations = rng.integers(0, side**2, (batch, slots), dtype=np.int32)
    if kind == "soft":
        logits = 4.0 * rng.gumbel(size=(batch, slots, side**2))
        maps = tf.nn.softmax(tf.constant(logits, tf.float32))
    else:
        maps = tf.one_hot(locations, side**2)
    maps = tf.reshape(maps, [batch, slots, side, side])
    upstream = rng.standard_normal((batch, side, side, channels))
    return (
        tf.constant(sprites),
        maps,
        tf.constant(locations),
        tf.constant(upstream, tf.float32),
    )


def _differentiated(function, watched, locations, upstream):
    """A compiled graph of canvas and gradients, as a NumPy function."""

    @tf.function(autograph=False)
    def graph(sprites, maps, locations, upstream):
        inputs = (sprites, maps)[:watched]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            canvas = function(sprites, maps, locations)
        return canvas, *tape.gradient(canvas, inputs, upstream)

    def run(sprites, maps):
        outputs = graph(sprites, maps, locations, upstream)
        return [value.numpy() for value in outputs]

    return run


def _placement(kind):
    if kind == "soft":
        return lambda sprites, maps, _: placement.place_soft(sprites, maps)
    if kind == "straight_through":
        return lambda sprites, maps, locations: (
            placement.place_straight_through(sprites, locations, maps)
        )
    return lambda sprites, maps, locations: placement.place_hard(
        sprites, locations, maps.shape[2:]
    )


def _depthwise(sprites, maps, _):
    """Pictures and slots among the channels of one depthwise convolution."""
    batch, slots, height, width = maps.shape
    side, channels = sprites.shape[3:]
    count = batch * slots
    inputs = tf.reshape(maps, [count, height, width])
    inputs = tf.transpose(inputs, [1, 2, 0])[None]
    kernel = tf.reshape(sprites, [count, side, side, channels])
    kernel = tf.reverse(tf.transpose(kernel, [1, 2, 0, 3]), [0, 1])
    placed = tf.nn.depthwise_conv2d(inputs, kernel, [1, 1, 1, 1], "SAME")
    placed = tf.reshape(placed, [height, width, batch, slots, channels])
    return tf.transpose(tf.reduce_sum(placed, axis=3), [2, 0, 1, 3])


def _grouped(sprites, maps, _):
    """One convolution with a group for each picture, from slots to colours."""
    batch, slots, height, width = maps.shape
    side, channels = sprites.shape[3:]
    inputs = tf.transpose(maps, [2, 3, 0, 1])
    inputs = tf.reshape(inputs, [1, height, width, batch * slots])
    kernel = tf.transpose(sprites, [2, 3, 1, 0, 4])
    kernel = tf.reshape(kernel, [side, side, slots, batch * channels])
    placed = tf.nn.conv2d(inputs, tf.reverse(kernel, [0, 1]), 1, "SAME")
    placed = tf.reshape(placed, [height, width, batch, channels])
    return tf.transpose(placed, [2, 0, 1, 3])
