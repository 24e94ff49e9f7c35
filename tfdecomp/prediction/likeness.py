"""Learns from a video what tells its animals apart, without a label.

What is one animal for some frames, and those that are beside it, say enough: a
small network learns to find a portrait's animal again, at another time, among
all that were there at once.
"""

import keras
import numpy as np
import tensorflow as tf

from tfdecomp.motion.portraits import Album

MOST = 20_000  # portraits that are learned from
STEPS = 1500
_MOMENTS = 12  # frames of a step
_MOST = 8  # animals of a moment
_MOSTLY = 0.6  # of portraits that are clear, to take these alone
_FEWEST = 4  # portraits of a stretch that is learned from
_ENOUGH = 12  # moments with two animals, below which nothing is learned
_APART = 10  # frames between two portraits of one, if it is there that long
_FEATURES = 16
_BATCH = 256
_RATE = 1e-3
_SPREAD = 1e-3  # weight that keeps features small
_SHIFT = 2  # pixels
_LIGHT = 0.05  # deviation of the logarithm of brightness
_TURNED = 0.05  # share of portraits that stand on their heads


class Likeness:
    """What portraits look like, as far as it tells animals apart.

    Args:
        portraits: `[n, h, w, C]` int8, see `motion.portraits`.
        times: `[n]` their frames.
        seed: Of everything random.
        should_stop: Called between steps; true ends the learning, of which
            nothing is left then. None: never.
    """

    def __init__(self, portraits, times, seed=0, should_stop=None):
        grey = (portraits == portraits[..., :1]).all()
        shown = portraits[..., :1] if grey else portraits
        self.portraits = np.ascontiguousarray(shown)
        deviation = np.std(shown[shown != 0]) if shown.any() else 1.0
        self.scale = np.float32(0.5 / max(float(deviation), 1.0))
        self.times = np.asarray(times)
        self.seed = seed
        self.should_stop = should_stop or bool

    def describe(self, stretch):
        """Features that differ between animals.

        Args:
            stretch: `[n]` which part of a track each is known to belong to;
                -1 for none.

        Returns:
            `[n, D]` float32; None where too few are ever seen together, or
            after a stop.
        """
        pairs = _Pairs(stretch, self.times, self.seed)
        if not pairs.enough:
            return None
        network = _network(self.portraits.shape[1:], self.seed)
        optimizer = keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(_RATE, STEPS)
        )
        step = _step(network, optimizer)
        for _ in range(STEPS):
            if self.should_stop():
                return None
            one, two, moment = pairs.sample()
            pictures = self._varied(np.concatenate([one, two]), pairs.random)
            step(pictures, moment)
        return self._features(network)

    def _varied(self, rows, random):
        """Portraits shifted, mirrored, turned and lit a little otherwise."""
        count, (height, width) = len(rows), self.portraits.shape[1:3]
        mirrored = random.random(count) < 0.5
        turned = random.random(count) < _TURNED
        shifts = random.integers(-_SHIFT, _SHIFT + 1, (count, 2))
        light = np.exp(random.normal(0, _LIGHT, (count, 1, 1, 1)))
        # Which row and column of its portrait each one of a picture is.
        y = (np.arange(height) - shifts[:, :1]) % height
        x = (np.arange(width) - shifts[:, 1:]) % width
        y = np.where(turned[:, None], height - 1 - y, y)
        x = np.where((turned ^ mirrored)[:, None], width - 1 - x, x)
        rows = rows[:, None, None]
        pictures = self.portraits[rows, y[:, :, None], x[:, None]]
        return self.scale * pictures * light.astype(np.float32)

    def _features(self, network):
        """Means over both mirrored views."""
        parts = []
        for start in range(0, len(self.portraits), _BATCH):
            part = self.scale * self.portraits[start : start + _BATCH]
            both = network(part), network(part[:, :, ::-1])
            parts.append(0.5 * (both[0] + both[1]))
        return np.concatenate(parts)


def album(found, seed=0, should_stop=None):
    """`motion.portraits.Album` of what a first pass found.

    Args:
        found: `finding.Found` whose maps have portraits.
        seed: Of everything random.
        should_stop: See `Likeness`.

    Returns:
        None where there are no portraits.
    """
    rows, pictures, times = [], [], []
    kept = _chosen(found)
    for number, chosen in enumerate(kept):
        rows.append({})
        if len(chosen):
            numbers = found.maps.get(number, "portrayed")[chosen]
            rows[-1] = {int(n): len(times) + k for k, n in enumerate(numbers)}
            times.extend([number] * len(chosen))
            pictures.append(found.maps.get(number, "portraits")[chosen])
    if not pictures:
        return None
    likeness = Likeness(np.concatenate(pictures), times, seed, should_stop)
    return Album(rows, likeness.describe)


def _chosen(found):
    """`[T]` numbers of the portraits of each frame that are used.

    Those beside which nobody is, if they are most of all: another one that is
    near changes how an animal looks.
    """
    clear = [found.maps.get(n, "clear") for n in range(len(found))]
    clear = [np.zeros(0, bool) if c is None else c for c in clear]
    total = sum(len(c) for c in clear)
    if sum(c.sum() for c in clear) >= _MOSTLY * total:
        kept = [np.flatnonzero(c) for c in clear]
    else:
        kept = [np.arange(len(c)) for c in clear]
    every = max(1, -(-sum(len(k) for k in kept) // MOST))
    return [k if n % every == 0 else k[:0] for n, k in enumerate(kept)]


class _Pairs:
    """Two portraits of each animal that is there at some moments."""

    def __init__(self, stretch, times, seed):
        self.random = np.random.default_rng(seed)
        self.rows = {}
        for row, number in enumerate(stretch.tolist()):
            self.rows.setdefault(number, []).append(row)
        self.rows = {
            number: np.array(rows)
            for number, rows in self.rows.items()
            if number >= 0 and len(rows) >= _FEWEST
        }
        self.stretch = stretch.tolist()
        self.far = np.zeros((len(stretch), 2), int)
        for rows in self.rows.values():
            self.far[rows] = _far(times[rows])
        at = {}
        for row, number in enumerate(stretch.tolist()):
            if number in self.rows:
                at.setdefault(int(times[row]), []).append(row)
        self.moments = [np.array(r) for r in at.values() if len(r) > 1]

    @property
    def enough(self):
        return len(self.moments) >= _ENOUGH

    def sample(self):
        """`[b]` portraits, `[b]` others of the same, `[b]` their moments."""
        one, two, moment = [], [], []
        for number in range(_MOMENTS):
            here = self.moments[self.random.integers(len(self.moments))]
            here = self.random.permutation(here)[:_MOST]
            one.extend(here)
            two.extend(self._other(row) for row in here)
            moment.extend([number] * len(here))
        return np.array(one), np.array(two), np.array(moment, np.int32)

    def _other(self, row):
        rows = self.rows[self.stretch[row]]
        before, after = self.far[row]
        count = before + len(rows) - after
        if not count:
            return self.random.choice(rows)
        chosen = self.random.integers(count)
        return rows[chosen if chosen < before else chosen - before + after]


def _far(times):
    """`[n, 2]` how many portraits are long before each, and where later start.

    Args:
        times: `[n]` of portraits of one animal, ascending.
    """
    least = int(np.ceil(min(_APART, 0.4 * np.ptp(times))))
    before = np.searchsorted(times, times - least, side="right")
    after = np.searchsorted(times, times + least, side="left")
    return np.stack([before, np.maximum(before, after)], 1)


def _network(shape, seed):
    """A small convolutional network from portraits to features."""
    seeds = iter(np.random.default_rng(seed).integers(2**31, size=9).tolist())

    def start():
        return keras.initializers.GlorotUniform(next(seeds))

    layers = [keras.Input(shape)]
    for filters, strides in ((16, 2), (32, 2), (64, 2), (64, 1)):
        layers.append(
            keras.layers.Conv2D(
                filters,
                3,
                strides,
                "same",
                activation="relu",
                kernel_initializer=start(),
            )
        )
    layers += [
        keras.layers.Flatten(),
        keras.layers.Dropout(0.3, seed=next(seeds)),
        keras.layers.Dense(64, activation="relu", kernel_initializer=start()),
        keras.layers.Dense(_FEATURES, kernel_initializer=start()),
    ]
    return keras.Sequential(layers)


def _step(network, optimizer):
    """One step: `(pictures [2b, h, w, C], moment [b]) -> loss`."""
    optimizer.build(network.trainable_variables)

    @tf.function(reduce_retracing=True)
    def step(pictures, moment):
        with tf.GradientTape() as tape:
            features = network(pictures, training=True)
            loss = contrast(*tf.split(features, 2), moment)
            loss += _SPREAD * tf.reduce_mean(features**2)
        weights = network.trainable_variables
        optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    return step


def contrast(one, two, moment):
    """How badly each is found again among those of its moment.

    The cross-entropy of choosing by distance, in both directions: InfoNCE
    (van den Oord et al., 2018) whose negatives are those known to differ.

    Args:
        one: `[b, D]` features.
        two: `[b, D]` of the same animals at other times.
        moment: `[b]` int; those of one moment are different animals.

    Returns:
        A scalar, nats.
    """
    gap = tf.reduce_sum((one[:, None] - two[None]) ** 2, -1)
    rivals = moment[:, None] == moment[None]
    logits = tf.where(rivals, -gap, -1e9)
    own = tf.linalg.diag_part(logits)
    losses = [tf.reduce_logsumexp(logits, axis) - own for axis in (0, 1)]
    return tf.reduce_mean(tf.stack(losses))
