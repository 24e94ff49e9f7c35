"""Steps of the input pipeline.

Each takes and returns the example dictionary. Steps that move pixels move the
boxes, positions, velocities and radii with them. Leading axes (`[T, ...]` or
`[B, T, ...]`) do not matter.
"""

import tensorflow as tf

IGNORE_ID = 255
PIXEL_LABELS = ("segmentation", "entities")
RESIZE_METHODS = ("bilinear", "bicubic", "area", "nearest", "lanczos3")
# Labels whose last axis is (y, x) in pixels of the frame.
_POINTS = ("factors/position", "factors/corner")
_OFFSET = "crop_offset"  # of the frame in the scene, (y, x)
_SPEEDS = ("factors/velocity",)
_LENGTHS = ("factors/radius",)
# Axis of the slots, counted from the start of one example.
_SLOT_AXIS = {"boxes": 1, "visibility": 1, "visible_fraction": 1}


def count_filter(low, high):
    """A predicate that keeps examples with `low` to `high` objects.

    Examples:
        >>> from tfdecomp.data.preprocess import count_filter
        >>> keep = count_filter(low=2, high=4)
        >>> keep({"num_objects": 3}), keep({"num_objects": 5})
        (True, False)
    """

    def keep(example):
        count = example["num_objects"]
        return (count >= low) & (count <= high)

    return keep


def combination_filter(values, wanted):
    """A predicate that looks for an object with several properties at once.

    Args:
        values: Name of a label, such as `factors/shape`, to `(value, whether
            the label has frames)`.
        wanted: Whether to keep the examples with such an object, in the first
            frame, or those without.

    Returns:
        A function of an example with these labels and `num_objects`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.data.preprocess import combination_filter
        >>> keep = combination_filter({"factors/color": (7, False)}, True)
        >>> colors = tf.constant([4, 7, 0])
        >>> bool(keep({"factors/color": colors, "num_objects": 2}))
        True
    """

    def keep(example):
        found = True
        for name, (value, has_time) in values.items():
            label = example[name][0] if has_time else example[name]
            same = label == tf.constant(value, label.dtype)  # [K] or [K, n]
            found &= tf.reduce_all(tf.reshape(same, (len(label), -1)), 1)
        real = tf.range(tf.size(found)) < example["num_objects"]
        return tf.reduce_any(found & real) == wanted

    return keep


def decode_frames(data, encoding, shape, start, num_frames, stride=1):
    """Frames of a stored video, without touching the others.

    Args:
        data: Scalar string as stored.
        encoding: `"zlib"` or `"bytes"`.
        shape: `(T, H, W, C)` as stored.
        start: First frame, a scalar tensor.
        num_frames: `n`, frames to return.
        stride: Distance between them.

    Returns:
        `[n, H, W, C]` uint8.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.preprocess import decode_frames
        >>> video = np.zeros([20, 4, 4, 3], np.uint8)
        >>> stored = video.tobytes()
        >>> decode_frames(stored, "bytes", video.shape, 2, num_frames=5).shape
        TensorShape([5, 4, 4, 3])
    """
    if encoding == "zlib":
        data = tf.io.decode_compressed(data, "ZLIB")
    frame = shape[1] * shape[2] * shape[3]
    span = (num_frames - 1) * stride + 1
    if span < shape[0]:
        data = tf.strings.substr(
            data, tf.cast(start, tf.int32) * frame, span * frame
        )
    frames = tf.reshape(tf.io.decode_raw(data, tf.uint8), (span, *shape[1:]))
    return frames[::stride]


def cut(values, start, num_frames, stride=1):
    """The frames of a clip out of `[T, ...]` values.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.data.preprocess import cut
        >>> cut(tf.range(20), start=3, num_frames=4, stride=2).numpy()
        array([3, 5, 7, 9], dtype=int32)
    """
    span = (num_frames - 1) * stride + 1
    clip = values[start : start + span : stride]
    return tf.ensure_shape(clip, (num_frames, *values.shape[1:]))


def pad_slots(example, max_objects, time_factors):
    """Fills the slot axes up to `max_objects` with zeros.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.data.preprocess import pad_slots
        >>> example = {"object_ids": tf.constant([1, 2])}
        >>> padded = pad_slots(example, max_objects=4, time_factors=[])
        >>> padded["object_ids"].numpy()
        array([1, 2, 0, 0], dtype=int32)
    """
    out = dict(example)
    for name, value in example.items():
        axis = _slot_axis(name, time_factors)
        if axis is None:
            continue
        missing = max_objects - value.shape[axis]
        padding = [[0, 0] for _ in value.shape]
        padding[axis][1] = missing
        out[name] = tf.pad(value, padding)
    return out


def _slot_axis(name, time_factors):
    if name == "object_ids":
        return 0
    if name.startswith("factors/"):
        return 1 if name.removeprefix("factors/") in time_factors else 0
    return _SLOT_AXIS.get(name)


def crop(example, window):
    """Cuts a window out of the frames.

    Args:
        example: Dictionary with `video` `[..., H, W, C]`.
        window: `(top, left, height, width)` in pixels; the first two may be
            tensors.

    Returns:
        The dictionary; boxes are cut to the window, and one that is left
        empty gets zeros and `visibility` 0.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.data.preprocess import crop
        >>> example = {"video": tf.zeros([5, 64, 64, 3])}
        >>> crop(example, window=(8, 0, 48, 32))["video"].shape
        TensorShape([5, 48, 32, 3])
    """
    top, left, height, width = window
    out = dict(example)
    for name in ("video", *PIXEL_LABELS):
        if name in out:
            rows = out[name][..., top : top + height, :, :]
            rows = rows[..., left : left + width, :]
            shape = (*out[name].shape[:-3], height, width, rows.shape[-1])
            out[name] = tf.ensure_shape(rows, shape)
    corner = tf.cast(tf.stack([top, left]), tf.float32)
    for name in _POINTS:
        if name in out:
            out[name] -= corner
    if _OFFSET in out:
        out[_OFFSET] += corner
    if "boxes" in out:
        out["boxes"] -= tf.tile(corner, [2])
        out = _cut_boxes(out, height, width)
    return out


def _cut_boxes(example, height, width):
    limit = tf.constant([height, width, height, width], tf.float32)
    boxes = tf.clip_by_value(example["boxes"], 0.0, limit)
    sides = boxes[..., 2:] - boxes[..., :2]
    kept = tf.reduce_min(sides, -1) >= 1e-6
    out = {**example, "boxes": boxes * tf.cast(kept, tf.float32)[..., None]}
    if "visibility" in out:
        out["visibility"] *= tf.cast(kept, out["visibility"].dtype)
    return out


def resize(example, size, method="bilinear"):
    """Scales the frames.

    Args:
        example: Dictionary with `video` `[B, T, H, W, C]`.
        size: `(height, width)`.
        method: How pictures are resampled, with anti-aliasing; labels take
            the nearest pixel.

    Returns:
        The dictionary.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.data.preprocess import resize
        >>> example = {"video": tf.zeros([2, 5, 64, 64, 3])}
        >>> resize(example, size=(32, 16))["video"].shape
        TensorShape([2, 5, 32, 16, 3])
    """
    height, width = example["video"].shape[-3:-1]
    scale = tf.constant([size[0] / height, size[1] / width], tf.float32)
    out = dict(example)
    video = _resize_pixels(example["video"], size, method)
    if example["video"].dtype == tf.uint8:
        video = tf.cast(tf.clip_by_value(tf.round(video), 0, 255), tf.uint8)
    out["video"] = video
    for name in PIXEL_LABELS:
        if name in out:
            out[name] = _resize_pixels(out[name], size, "nearest")
    for name in (*_POINTS, *_SPEEDS, _OFFSET):
        if name in out:
            out[name] *= scale
    for name in _LENGTHS:
        if name in out:
            # A disc becomes an ellipse; keep its area.
            out[name] *= tf.sqrt(tf.reduce_prod(scale))
    if "boxes" in out:
        out["boxes"] *= tf.concat([scale, scale], 0)
    return out


def _resize_pixels(values, size, method):
    shape = tf.shape(values)
    flat = tf.reshape(values, (-1, *values.shape[-3:]))
    flat = tf.image.resize(flat, size, method, antialias=method != "nearest")
    result = tf.reshape(flat, tf.concat([shape[:-3], size, shape[-1:]], 0))
    result.set_shape((*values.shape[:-3], *size, values.shape[-1]))
    return result


def to_channels(example, channels):
    """Grey frames by the mean of the channels, coloured ones by copying.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.data.preprocess import to_channels
        >>> to_channels({"video": tf.zeros([5, 8, 8, 3])}, 1)["video"].shape
        TensorShape([5, 8, 8, 1])
    """
    video = example["video"]
    have = video.shape[-1]
    if have == channels:
        return example
    if channels == 3:
        video = tf.repeat(video, 3, axis=-1)
    else:
        mean = tf.reduce_mean(tf.cast(video, tf.float32), -1, keepdims=True)
        video = tf.cast(tf.round(mean), video.dtype)
    return {**example, "video": video}


def to_grey(example):
    """Frames without colour: every channel is the mean of all.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.data.preprocess import to_grey
        >>> video = tf.constant([[[[0, 90, 0]]]], tf.uint8)
        >>> to_grey({"video": video})["video"].numpy().ravel()
        array([30, 30, 30], dtype=uint8)
    """
    channels = example["video"].shape[-1]
    return to_channels(to_channels(example, 1), channels)


def to_float(example):
    """uint8 frames as float32 in `[0, 1]`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.data.preprocess import to_float
        >>> example = {"video": tf.constant([0, 255], tf.uint8)}
        >>> to_float(example)["video"].numpy()
        array([0., 1.], dtype=float32)
    """
    return {**example, "video": tf.cast(example["video"], tf.float32) / 255.0}


def to_one_hot(segmentation, num_objects):
    """Masks of background and objects.

    Args:
        segmentation: `[..., H, W, 1]` integers.
        num_objects: `K`.

    Returns:
        `(masks [..., H, W, K + 1], weights [..., H, W])`, both float32; the
        weight is 0 where a pixel is to be ignored.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.data.preprocess import to_one_hot
        >>> masks, weights = to_one_hot(tf.constant([[[0], [2], [255]]]), 2)
        >>> masks.numpy().argmax(-1), weights.numpy()  # 255 is ignored
        (array([[0, 2, 0]]), array([[1., 1., 0.]], dtype=float32))
    """
    ids = tf.cast(segmentation[..., 0], tf.int32)
    weights = tf.cast(ids != IGNORE_ID, tf.float32)
    masks = tf.one_hot(ids, num_objects + 1)
    return masks, weights


def to_bits(video):
    """Frames for a Bernoulli likelihood: 1 where the value exceeds 127.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.data.preprocess import to_bits
        >>> to_bits(tf.constant([127, 128])).numpy()
        array([0., 1.], dtype=float32)
    """
    return tf.cast(video > 127, tf.float32)


def foreground_mask(segmentation):
    """`[..., H, W, 1]` bool: pixels of an object, ignored ones left out.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.data.preprocess import foreground_mask
        >>> foreground_mask(tf.constant([0, 2, 255])).numpy()
        array([False,  True, False])
    """
    return (segmentation > 0) & (segmentation != IGNORE_ID)


def boxes_yxhw(boxes):
    """Boxes as centre and size `(y, x, height, width)`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.data.preprocess import boxes_yxhw
        >>> boxes_yxhw(tf.constant([[0.0, 2.0, 4.0, 8.0]])).numpy()
        array([[2., 5., 4., 6.]], dtype=float32)
    """
    low, high = boxes[..., :2], boxes[..., 2:]
    return tf.concat([(low + high) / 2, high - low], -1)


def to_reference_boxes(boxes):
    """Boxes shifted by half a pixel, as SILOT's evaluation counts them.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.data.preprocess import to_reference_boxes
        >>> to_reference_boxes(tf.constant([[1.0, 2.0, 4.0, 8.0]])).numpy()
        array([[0.5, 1.5, 3.5, 7.5]], dtype=float32)
    """
    return boxes - 0.5
