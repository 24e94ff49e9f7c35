"""The one input pipeline: read, shuffle, decode and clip, crop, batch, resize.

The order of the data is a function of (seed, step): epoch `e` is shuffled
with a seed made of `(seed, e)`, the start of clip `g` is drawn from
`(seed, g)`. So a run that resumes at clip `g` enters the stream there.
"""

import dataclasses
import os
import time

import gin
import numpy as np
import tensorflow as tf

from tfdecomp.data import plan as plan_lib
from tfdecomp.data import preprocess, reader

_CROP = 1  # folded into a clip's seed for its crop


@gin.configurable(
    module="data", denylist=["data_dir", "start", "input_context"]
)
def make_dataset(
    name,
    split,
    *,
    data_dir=None,
    batch_size,
    num_frames=None,
    clip="random",
    frame_stride=1,
    max_frames=None,
    crop=None,
    resize=None,
    resize_method="bilinear",
    channels=3,
    dtype="uint8",
    labels=("segmentation",),
    shuffle=True,
    shuffle_buffer=1000,
    seed=0,
    repeat=True,
    cache="none",
    max_objects=None,
    deterministic=True,
    drop_remainder=True,
    pad_last=False,
    filter_objects=None,
    without=None,
    only=None,
    grey=False,
    start=0,
    input_context=None,
):
    """Batches of clips of a prepared dataset.

    Args:
        name: Such as `"bouncing_balls/color4"`.
        split: Split or slice of one, such as `"train[:90%]"`.
        data_dir: Where prepared data are; by default as TFDS has it.
        batch_size: `B`, of all replicas together.
        num_frames: `T`; None: all frames.
        clip: Where a clip begins: `"random"`, `"first"` frame, `"windows"`:
            all disjoint windows of a video, each once per epoch; `"all"`:
            the whole video.
        frame_stride: Distance between the frames of a clip.
        max_frames: Use only so many frames from the start of each video.
        crop: `(top, left, height, width)` in pixels, or `("random", height,
            width)`: somewhere else in each clip.
        resize: Side, or `(height, width)`, after the crop.
        resize_method: For pictures; labels take the nearest pixel.
        channels: 1 or 3; grey frames are copied into three channels, coloured
            ones averaged into one.
        dtype: `"uint8"`, or `"float32"` in `[0, 1]`.
        labels: Labels to hand out; `position` is short for
            `factors/position`.
        shuffle: Whether the order changes with seed and epoch.
        shuffle_buffer: Clips among which the next one is drawn.
        seed: Seed of order and clip starts.
        repeat: Whether epochs follow without end.
        cache: `"none"`, `"memory"` or `"file:PATH"`; holds encoded videos.
        max_objects: Slots that labels are filled up to.
        deterministic: Whether speed may not change the order.
        drop_remainder: Whether an incomplete last batch is left out.
        pad_last: Fill an incomplete last batch with zeros instead, and say in
            `valid` `[B]` which clips are real. Overrides `drop_remainder`.
        filter_objects: `(least, most)` number of objects, the background not
            counted.
        without: Leave out examples with an object that has all of these
            properties: `("green", "sphere")` if the set knows the names, or
            `{"color": 4, "shape": "sphere"}`.
        only: Keep such examples only.
        grey: Whether to take the colours out.
        start: Clips to skip, to resume.
        input_context: `tf.distribute.InputContext` of a worker.

    Returns:
        `tf.data.Dataset` of dictionaries with `video` `[B, T, H, W, C]`, the
        labels, and `clip_index` `[B]` int64, the number of the clip in the
        stream. Of stored windows of scenes and of random crops also
        `crop_offset` `[B, 2]`, `(y, x)` in pixels of their corner.

    Raises:
        ValueError: If the arguments do not fit the dataset.
        MissingFileError: If it has not been prepared.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.pipeline import make_dataset
        >>> name = "tetrominoes/quick14_tiny"
        >>> _ = builders.prepare(name, data_dir="data", progress=False)
        >>> batches = make_dataset(name, "train", data_dir="data", batch_size=2)
        >>> next(iter(batches))["video"].shape
        TensorShape([2, 1, 14, 14, 3])
    """
    source = reader.open_source(name, data_dir)
    plan = plan_lib.Plan(
        source=source,
        batch_size=batch_size,
        num_frames=num_frames,
        clip=clip,
        frame_stride=frame_stride,
        max_frames=max_frames,
        crop=crop,
        resize=resize,
        resize_method=resize_method,
        channels=channels,
        dtype=dtype,
        labels=labels,
        shuffle=shuffle,
        shuffle_buffer=shuffle_buffer,
        seed=seed,
        repeat=repeat,
        cache=cache,
        max_objects=max_objects,
        deterministic=deterministic,
        drop_remainder=drop_remainder,
        pad_last=pad_last,
        filter_objects=filter_objects,
        without=without,
        only=only,
        grey=grey,
    )
    per_epoch = source.num_examples(split) * plan.windows
    records = source.read(split, plan.names(), input_context)
    if plan.filters or input_context is not None:
        per_epoch = None  # not known without reading
    return _assemble(records, plan, start, per_epoch)


def element_spec(name, data_dir=None, **arguments):
    """Structure of the batches of `make_dataset`, without reading records.

    Args:
        name: As in `make_dataset`; the set need not have been prepared if
            `tfdecomp.builders` has been imported.
        data_dir: Where prepared data may be.
        **arguments: As in `make_dataset`.

    Returns:
        Dictionary of `tf.TensorSpec`.

    Examples:
        >>> from tfdecomp import builders  # knows sets that are not prepared
        >>> from tfdecomp.data.pipeline import element_spec
        >>> name = "bouncing_balls/color4"
        >>> spec = element_spec(name, batch_size=2, num_frames=5)
        >>> spec["video"].shape
        TensorShape([2, 5, 64, 64, 3])
    """
    source = reader.open_source(name, data_dir, prepared=False)
    plan = plan_lib.Plan(source=source, **arguments)
    signature = source.signature(plan.names())
    nothing = {
        key: tf.zeros(spec.shape, spec.dtype)
        if spec.dtype != tf.string
        else tf.constant("")
        for key, spec in signature.items()
    }
    records = tf.data.Dataset.from_tensors(nothing)
    return _assemble(records, plan, 0, None).element_spec


def from_examples(examples, source, **arguments):
    """The same batches from examples in memory, e.g. freshly made ones.

    Args:
        examples: Iterable of examples of the common schema, NumPy arrays.
        source: `Source` that they belong to, see `reader.from_builder`.
        **arguments: As in `make_dataset`, where they make sense.

    Returns:
        `tf.data.Dataset`, see `make_dataset`. It can be read once if
        `examples` can.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data import reader
        >>> from tfdecomp.data.pipeline import from_examples
        >>> source = reader.from_builder(builders.make("tetrominoes/quick14"))
        >>> clips = builders.fresh_clips(source.label, seed=1, num_clips=2)
        >>> batches = from_examples(clips, source, batch_size=2)
        >>> next(iter(batches))["video"].shape
        TensorShape([2, 1, 14, 14, 3])
    """
    metadata = dict(source.metadata)
    metadata["config"] = {**metadata["config"], "encoding": "bytes"}
    source = dataclasses.replace(source, metadata=metadata)
    settings = {"shuffle": False, "repeat": False, "clip": "first"}
    plan = plan_lib.Plan(source=source, **{**settings, **arguments})
    names = plan.names()

    def generate():
        for example in examples:
            flat = reader.flatten(example)
            yield {
                name: flat[name].tobytes()
                if name in ("video", *preprocess.PIXEL_LABELS)
                else flat[name]
                for name in names
            }

    records = tf.data.Dataset.from_generator(
        generate, output_signature=source.signature(names)
    )
    return _assemble(records, plan, 0, None)


def _assemble(records, plan, start, per_epoch):
    """Everything behind the reading of records."""
    for keep in plan.filters:
        records = records.filter(keep)
    if plan.cache == "memory":
        records = records.cache()
    elif plan.cache.startswith("file:"):
        path = os.path.expanduser(plan.cache.removeprefix("file:"))
        records = records.cache(path)
    elif plan.cache != "none":
        plan.refuse("cache", plan.cache, "'none', 'memory' or 'file:PATH'")
    if plan.windows > 1:
        records = records.flat_map(_expand(plan.windows))
    clips = _stream(records, plan, start, per_epoch)
    clips = clips.map(
        lambda number, record: _clip(record, number, plan),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=plan.deterministic,
    )
    keep_all = plan.pad_last or not plan.drop_remainder
    batches = clips.batch(plan.batch_size, drop_remainder=not keep_all)
    batches = batches.map(
        lambda batch: _finish(batch, plan),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=plan.deterministic,
    )
    return batches.prefetch(tf.data.AUTOTUNE).with_options(_options(plan))


def _expand(windows):
    def expand(record):
        copies = tf.data.Dataset.from_tensors(record).repeat(windows)
        numbers = tf.data.Dataset.range(windows)
        return tf.data.Dataset.zip(copies, numbers).map(
            lambda copy, window: {**copy, "window": window}
        )

    return expand


def _stream(records, plan, start, per_epoch):
    """`(number, record)` of the clips from number `start` on."""
    first_epoch, skipped = 0, start
    if per_epoch:
        first_epoch, skipped = divmod(start, per_epoch)
    if not plan.repeat and first_epoch > 0:
        skipped, first_epoch = start, 0
    epochs = tf.data.Dataset.range(
        first_epoch, np.iinfo(np.int64).max if plan.repeat else 1
    )

    def epoch(number):
        if not plan.shuffle:
            return records
        # Without this a global seed would change the order, too.
        tf.random.set_seed(1)
        seed = tf.random.stateless_uniform(
            [],
            [tf.cast(plan.seed, tf.int64), number],
            maxval=tf.int64.max,
            dtype=tf.int64,
        )
        return records.shuffle(
            plan.shuffle_buffer, seed=seed, reshuffle_each_iteration=False
        )

    stream = epochs.flat_map(epoch).skip(skipped)
    return stream.enumerate(start=start)


def _clip(record, number, plan):
    """Decodes the frames of one clip and cuts its labels to them."""
    source = plan.source
    if plan.clip == "random" and plan.total > plan.span:
        begin = tf.random.stateless_uniform(
            [],
            [tf.cast(plan.seed, tf.int64), number],
            maxval=plan.total - plan.span + 1,
            dtype=tf.int32,
        )
    elif plan.clip == "windows" and plan.windows > 1:
        begin = tf.cast(record["window"], tf.int32) * plan.span
    else:
        begin = tf.constant(0, tf.int32)
    example = {"clip_index": number}
    for name in plan.names():
        value = record[name]
        if name in ("video", *preprocess.PIXEL_LABELS):
            example[name] = preprocess.decode_frames(
                value,
                source.encoding,
                source.features[name][0],
                begin,
                plan.num_frames,
                plan.frame_stride,
            )
        elif source.has_time(name):
            example[name] = preprocess.cut(
                value, begin, plan.num_frames, plan.frame_stride
            )
        else:
            example[name] = value
    if plan.has_offset:
        stored = record.get("crop_offset", tf.zeros([2], tf.int32))
        example["crop_offset"] = tf.cast(stored, tf.float32)
    if plan.crop is not None:
        example = preprocess.crop(example, _window(number, plan))
    if plan.max_objects is not None:
        time_factors = source.metadata.get("time_factors") or []
        example = preprocess.pad_slots(example, plan.max_objects, time_factors)
    return example


def _window(number, plan):
    """`(top, left, height, width)` of the crop of a clip."""
    if plan.crop[0] != "random":
        return plan.crop
    _, height, width = plan.crop
    seed = tf.random.fold_in([tf.cast(plan.seed, tf.int64), number], _CROP)
    rooms = [n - m for n, m in zip(plan.stored_size, (height, width))]
    corner = [
        tf.random.stateless_uniform(
            [], tf.random.fold_in(seed, axis), maxval=room + 1, dtype=tf.int32
        )
        for axis, room in enumerate(rooms)
    ]
    return (*corner, height, width)


def _finish(batch, plan):
    """What is cheaper on whole batches than on clips."""
    if plan.resize is not None:
        batch = preprocess.resize(batch, plan.resize, plan.resize_method)
    if plan.grey:
        batch = preprocess.to_grey(batch)
    batch = preprocess.to_channels(batch, plan.channels)
    if plan.dtype == "float32":
        batch = preprocess.to_float(batch)
    out = {"video": batch["video"]}
    for asked, stored in plan.stored.items():
        out[asked] = batch[stored]
    if plan.has_offset:
        out["crop_offset"] = batch["crop_offset"]
    out["clip_index"] = batch["clip_index"]
    if plan.pad_last:
        out = _pad_batch(out, plan.batch_size)
    return out


def _pad_batch(batch, size):
    real = tf.shape(batch["video"])[0]
    padded = {}
    for name, value in batch.items():
        if value.dtype == tf.string:
            rest = tf.fill([size - real], "")
            full = tf.concat([value, rest], 0)
        else:
            widths = [[0, size - real]] + [[0, 0]] * (value.shape.rank - 1)
            full = tf.pad(value, widths)
        padded[name] = tf.ensure_shape(full, (size, *value.shape[1:]))
    padded["valid"] = tf.range(size) < real
    return padded


def _options(plan):
    options = tf.data.Options()
    options.deterministic = plan.deterministic
    options.autotune.enabled = True
    options.threading.private_threadpool_size = min(os.cpu_count() or 1, 8)
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.OFF
    )
    return options


def measure_throughput(dataset, seconds=3.0, warm_up=2):
    """How fast a pipeline delivers.

    Args:
        dataset: What `make_dataset` returned.
        seconds: How long to measure.
        warm_up: Batches not counted.

    Returns:
        Dictionary with `frames_per_second`, `clips_per_second`,
        `batches_per_second`, `batches`, `frames` and `seconds`, all of the
        measured part.

    Examples:
        >>> from tfdecomp.data.fake import fake_dataset
        >>> from tfdecomp.data.pipeline import measure_throughput
        >>> dataset = fake_dataset(2, frames=5, height=16, width=16)
        >>> result = measure_throughput(dataset, seconds=0.01)
        >>> result["frames"] == 2 * 5 * result["batches"]
        True
    """
    batches = frames = clips = 0
    begin = spent = 0.0
    for number, batch in enumerate(dataset):
        if number >= warm_up:
            shape = batch["video"].shape
            batches += 1
            clips += shape[0]
            frames += shape[0] * shape[1]
            spent = time.perf_counter() - begin
            if spent > seconds:
                break
        else:
            begin = time.perf_counter()
    if not batches:
        raise ValueError(
            f"the dataset has no more than the {warm_up} batches of the "
            "warm-up; repeat it or lower warm_up"
        )
    return {
        "frames_per_second": frames / spent,
        "clips_per_second": clips / spent,
        "batches_per_second": batches / spent,
        "batches": batches,
        "frames": frames,
        "seconds": spent,
    }
