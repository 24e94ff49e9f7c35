"""Clips made of shapes alone: moving squares and discs on black.

Tests and smoke runs that need data but no dataset use these.
"""

import numpy as np

from tfdecomp.simulation import palettes
from tfdecomp.simulation.balls import discs


def fake_batch(
    batch,
    frames,
    height,
    width,
    channels=3,
    num_objects=2,
    seed=0,
):
    """A batch as `make_dataset` yields it.

    Args:
        batch: `B`.
        frames: `T`.
        height: `H`.
        width: `W`.
        channels: 1 or 3.
        num_objects: Objects per clip, squares and discs in turn.
        seed: Same seed, same batch.

    Returns:
        Dictionary of NumPy arrays: `video` uint8 `[B, T, H, W, C]`,
        `segmentation` uint8 `[B, T, H, W, 1]` that says which pixel shows
        which object, `boxes` float32 `[B, T, K, 4]` of what is seen of each,
        `visibility`, `num_objects`, `object_ids`, `factors/position`,
        `factors/velocity` and `clip_index`.

    Examples:
        >>> from tfdecomp.data.fake import fake_batch
        >>> batch = fake_batch(batch=2, frames=5, height=16, width=24)
        >>> batch["video"].shape, batch["boxes"].shape
        ((2, 5, 16, 24, 3), (2, 5, 2, 4))
    """
    if channels not in (1, 3):
        raise ValueError(f"channels is 1 or 3, not {channels}")
    rng = np.random.default_rng(seed)
    size = np.array([height, width], np.float64)
    radius = max(1.5, 0.16 * min(height, width))
    start = rng.uniform(radius, size - radius, (batch, num_objects, 2))
    speed = 0.05 * min(height, width)
    angle = rng.uniform(0, 2 * np.pi, (batch, num_objects))
    velocity = speed * np.stack([np.sin(angle), np.cos(angle)], -1)
    position, velocity = _bounce(start, velocity, frames, radius, size)
    owner = _owner(position, radius, height, width)  # [B, T, H, W]
    colours = _colours(rng, batch, num_objects, channels)
    flat = owner.reshape(-1, height, width)
    video = discs.paint(flat, np.repeat(colours, frames, 0))
    boxes, visibility = _boxes(owner, num_objects)
    ids = np.arange(1, num_objects + 1, dtype=np.int32)
    return {
        "video": video.reshape(batch, frames, height, width, channels),
        "segmentation": owner[..., None],
        "boxes": boxes,
        "visibility": visibility,
        "num_objects": np.full(batch, num_objects, np.int32),
        "object_ids": np.tile(ids, (batch, 1)),
        "factors/position": position.astype(np.float32),
        "factors/velocity": velocity.astype(np.float32),
        "clip_index": np.arange(batch, dtype=np.int64),
    }


def fake_dataset(batch_size, num_batches=None, **shape):
    """The same as a `tf.data.Dataset`.

    Args:
        batch_size: `B`.
        num_batches: Different batches; None: one, repeated without end.
        **shape: Arguments of `fake_batch`.

    Returns:
        `tf.data.Dataset` of batches with consecutive `clip_index`.

    Examples:
        >>> from tfdecomp.data.fake import fake_dataset
        >>> dataset = fake_dataset(2, frames=5, height=16, width=24)
        >>> dataset.element_spec["video"].shape
        TensorShape([2, 5, 16, 24, 3])
    """
    import tensorflow as tf

    seed = shape.pop("seed", 0)
    batches = [
        fake_batch(batch_size, seed=seed + number, **shape)
        for number in range(num_batches or 1)
    ]
    whole = {
        key: np.concatenate([batch[key] for batch in batches])
        for key in batches[0]
    }
    del whole["clip_index"]
    dataset = tf.data.Dataset.from_tensor_slices(whole)
    if num_batches is None:
        dataset = dataset.repeat()
    numbered = dataset.enumerate().map(
        lambda number, clip: {**clip, "clip_index": number}
    )
    return numbered.batch(batch_size, drop_remainder=True)


def _bounce(start, velocity, frames, radius, size):
    """Positions and velocities `[B, T, K, 2]` between the walls."""
    position = np.zeros((*start.shape[:1], frames, *start.shape[1:]))
    speed = np.zeros_like(position)
    here, going = start, velocity
    for frame in range(frames):
        position[:, frame], speed[:, frame] = here, going
        there = here + going
        outside = (there < radius) | (there > size - radius)
        going = np.where(outside, -going, going)
        here = np.where(outside, here, there)
    return position, speed


def _owner(position, radius, height, width):
    rows = np.arange(height)[:, None] + 0.5
    columns = np.arange(width)[None, :] + 0.5
    owner = np.zeros((*position.shape[:2], height, width), np.uint8)
    for slot in range(position.shape[2]):
        y = rows - position[:, :, slot, 0, None, None]
        x = columns - position[:, :, slot, 1, None, None]
        if slot % 2:
            inside = y**2 + x**2 < radius**2
        else:
            inside = np.maximum(np.abs(y), np.abs(x)) < 0.9 * radius
        owner[inside] = slot + 1
    return owner


def _colours(rng, batch, num_objects, channels):
    if channels == 1:
        return np.full((batch, num_objects, 1), 255, np.uint8)
    order = np.stack([rng.permutation(8) for _ in range(batch)])
    entries = order[:, np.arange(num_objects) % 8] + 1
    return palettes.lookup(entries)


def _boxes(owner, num_objects):
    lead = owner.shape[:2]
    boxes = np.zeros((*lead, num_objects, 4), np.float32)
    visibility = np.zeros((*lead, num_objects), np.uint8)
    for slot in range(num_objects):
        mask = owner == slot + 1
        for axis, offset in ((3, 0), (2, 1)):
            line = mask.any(axis)
            size = line.shape[-1]
            boxes[..., slot, offset] = line.argmax(-1)
            boxes[..., slot, offset + 2] = size - line[..., ::-1].argmax(-1)
        visibility[..., slot] = mask.any((2, 3))
    return boxes * visibility[..., None], visibility
