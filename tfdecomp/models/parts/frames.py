"""Loops over frames, and the randomness of a clip."""

import tensorflow as tf

_CLIP = -1  # folded into a clip's seed for the noise that its frames share


def scan_frames(step, num_frames, carry, record_names, keeps_shapes=False):
    """Runs `step` over frames in a graph that does not grow with them.

    Args:
        step: `step(t, carry) -> (carry, records)`; `records` maps names to
            float32 tensors `[B, ...]`.
        num_frames: Number of frames, possibly a tensor.
        carry: Nested structure handed from frame to frame.
        record_names: Which records to keep.
        keeps_shapes: Whether all that is known of the carry's shapes holds in
            all frames, as does their number: there are fewer operations then,
            and XLA can compile a gradient. Else batch and slots are left open.

    Returns:
        `(carry, records)`, the latter `[B, T, ...]` each.
    """

    def body(t, carry, arrays):
        carry, records = step(t, carry)
        arrays = {n: a.write(t, records[n]) for n, a in arrays.items()}
        return t + 1, carry, arrays

    carry = tf.nest.map_structure(tf.convert_to_tensor, carry)
    arrays = {n: tf.TensorArray(tf.float32, num_frames) for n in record_names}
    start = (tf.constant(0), carry, arrays)
    options = {"maximum_iterations": num_frames}
    if not keeps_shapes:
        invariants = tf.nest.map_structure(open_shape, start)
        options = {"shape_invariants": invariants}
    _, carry, arrays = tf.while_loop(
        lambda t, *_: t < num_frames,
        body,
        start,
        parallel_iterations=1,
        **options,
    )
    return carry, {n: _batch_first(a.stack()) for n, a in arrays.items()}


def known_size(value, axis):
    """A number where the shape is static, a scalar elsewhere."""
    size = value.shape[axis]
    return tf.shape(value)[axis] if size is None else size


def open_shape(value):
    """The shape of a loop variable, batch and slots left open."""
    if isinstance(value, tf.TensorArray):
        return tf.TensorShape(None)
    rank = value.shape.rank
    free = min(max(rank - 1, 1), rank, 2)
    return tf.TensorShape([None] * free + value.shape[free:].as_list())


def _batch_first(values):
    """`[T, B, ...]` -> `[B, T, ...]`."""
    return tf.transpose(values, [1, 0, *range(2, values.shape.rank)])


def clip_noise(seeds, number, shape):
    """Standard normal noise that depends on the clip's seed alone.

    Args:
        seeds: `[B, 2]` int32, one per clip.
        number: Folded into every seed: a frame's number in the whole video,
            or -1 for what a clip shares.
        shape: Shape per clip.

    Returns:
        `[B, *shape]`, the same in any batch, eager or compiled.
    """

    def draw(seed):
        seed = tf.random.fold_in(seed, number, alg="philox")
        return tf.random.stateless_normal(shape, seed, alg="philox")

    noise = tf.map_fn(draw, seeds, fn_output_signature=tf.float32)
    return tf.reshape(noise, [-1, *shape])


class CellNoise:
    """Noise of every cell of a clip, frame by frame.

    Args:
        seeds: `[B, 2]`.
        shape: `(K, Z)`.
        share_first: Whether the first cell of every frame uses the clip's
            one noise.
        given: Optional `[B, T, D, K, Z]` that replaces what is drawn.
    """

    def __init__(self, seeds, shape, share_first, given=None):
        self.seeds = seeds
        self.shape = shape
        self.given = given
        self.first = None
        if share_first and given is None:
            self.first = clip_noise(seeds, _CLIP, shape)[:, None]
        elif share_first:
            self.first = given[:, 0, :1]

    def __call__(self, t, number, decodes):
        """`[B, D, K, Z]` of the clip's frame t, the video's `number`."""
        if self.given is not None:
            noise = tf.gather(self.given, t, axis=1)
        else:
            noise = clip_noise(self.seeds, number, (decodes, *self.shape))
        if self.first is None:
            return noise
        return tf.concat([self.first, noise[:, 1:]], axis=1)


def frame_noise(seeds, numbers, purpose, shape, is_normal=True):
    """Noise of every frame of every clip, for one of several purposes.

    Args:
        seeds: `[B, 2]` int32, one per clip.
        numbers: `[T]` int32, each frame's number in the whole video.
        purpose: Whole number; noise of different purposes is independent.
        shape: Shape per frame.
        is_normal: Standard normal noise; else uniform in [0, 1).

    Returns:
        `[B * T, *shape]` float32, clip by clip; the same in any batch.
    """
    shape = tuple(shape)
    draw = tf.random.stateless_uniform
    if is_normal:
        draw = tf.random.stateless_normal
    batch, count = tf.shape(seeds)[0], tf.shape(numbers)[0]

    def one(arguments):
        seed, number = arguments
        seed = tf.random.fold_in(seed, number, alg="philox")
        seed = tf.random.fold_in(seed, purpose, alg="philox")
        return draw(shape, seed, alg="philox")

    noise = tf.map_fn(
        one,
        (tf.repeat(seeds, count, axis=0), tf.tile(numbers, [batch])),
        fn_output_signature=tf.float32,
    )
    known = (None if tf.is_tensor(size) else size for size in shape)
    return tf.ensure_shape(noise, (None, *known))


class FrameNoise:
    """The noise of a batch of clips, frame by frame and purpose by purpose.

    Args:
        seeds: `[B, 2]` int32.
        numbers: `[T]` int32, each frame's number in the whole video.
    """

    def __init__(self, seeds, numbers):
        self.seeds = seeds
        self.numbers = numbers

    def normal(self, purpose, shape):
        """Standard normal, `[B * T, *shape]`."""
        return frame_noise(self.seeds, self.numbers, purpose, shape)

    def uniform(self, purpose, shape):
        """Uniform in [0, 1), `[B * T, *shape]`."""
        return frame_noise(self.seeds, self.numbers, purpose, shape, False)


def split_frames(outputs, shape):
    """What was computed by frame, as the contract has it.

    Args:
        outputs: Name -> `[B * T, ...]`; a value of rank 1 is in nats (or
            counts) per frame.
        shape: `[B, T]`.

    Returns:
        Name -> `[B, T, ...]`, and `[B]` sums over frames of the former.
    """

    def split(value):
        tail = value.shape[1:]
        value = tf.reshape(value, tf.concat([shape, tf.shape(value)[1:]], 0))
        value = tf.ensure_shape(value, [None, None, *tail])
        return value if tail.rank else tf.reduce_sum(value, axis=1)

    return {name: split(value) for name, value in outputs.items()}
