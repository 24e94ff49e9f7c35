"""Images as videos of one frame: from masks of objects to labelled examples."""

import dataclasses

import numpy as np

TIMED = {"position"}  # factors that could differ from frame to frame


@dataclasses.dataclass
class Layers:
    """Objects drawn one over the other on `N` images.

    Args:
        owner: `[N, H, W]` uint8, 0 or 1 + the object that is seen.
        own_pixels: `[N, K]` pixels of each object alone.
        visible_pixels: `[N, K]` pixels of each object that are seen.
        boxes: `[N, K, 4]` float32 tight boxes of each object alone, pixel
            edges; zeros where there is none.
    """

    owner: np.ndarray
    own_pixels: np.ndarray
    visible_pixels: np.ndarray
    boxes: np.ndarray


def stack(masks, shared=None):
    """Draws objects in the order of their slots; later ones cover earlier ones.

    Args:
        masks: `[N, K, H, W]` bool, each object alone.
        shared: Owner of pixels of several objects, if not the last of them.

    Returns:
        `Layers`.
    """
    count, slots, height, width = masks.shape
    owner = np.zeros((count, height, width), np.uint8)
    for slot in range(slots):
        owner[masks[:, slot]] = slot + 1
    if shared is not None:
        owner[np.count_nonzero(masks, 1) > 1] = shared
    visible = [np.count_nonzero(owner == k + 1, (1, 2)) for k in range(slots)]
    own = np.count_nonzero(masks, (2, 3))
    edges = []
    for axis, size in ((3, height), (2, width)):
        line = masks.any(axis)
        edges.append((line.argmax(2), size - line[..., ::-1].argmax(2)))
    (top, bottom), (left, right) = edges
    boxes = np.stack([top, left, bottom, right], -1).astype(np.float32)
    boxes *= (own > 0)[..., None]
    return Layers(owner, own, np.stack(visible, 1), boxes)


def examples(video, layers, factors):
    """The labelled examples of a block of images.

    Args:
        video: `[N, H, W, C]` uint8.
        layers: `Layers`; an object exists if it has pixels of its own.
        factors: Name to `[N, K, ...]` values; rows of objects that do not
            exist become 0, and `TIMED` ones get an axis of time.

    Returns:
        A list of `N` dicts with `video`, `segmentation`, `boxes`,
        `visibility`, `visible_fraction`, `num_objects` and `factors`.
    """
    exists = layers.own_pixels > 0  # [N, K]
    fraction = layers.visible_pixels / np.maximum(layers.own_pixels, 1)
    arrays = {
        "video": video,
        "segmentation": layers.owner[..., None],
        "boxes": layers.boxes,
        "visibility": (layers.visible_pixels > 0).astype(np.uint8),
        "visible_fraction": fraction.astype(np.float32),
    }
    arrays = {name: array[:, None] for name, array in arrays.items()}
    factors = {name: _only(exists, a) for name, a in factors.items()}
    for name in TIMED & factors.keys():
        factors[name] = factors[name][:, None]
    return [
        {
            **{name: array[n] for name, array in arrays.items()},
            "num_objects": int(exists[n].sum()),
            "factors": {name: array[n] for name, array in factors.items()},
        }
        for n in range(len(video))
    ]


def _only(exists, values):
    """Zeros in the rows of objects that do not exist."""
    keep = exists.reshape(exists.shape + (1,) * (values.ndim - 2))
    return np.where(keep, values, np.zeros((), values.dtype))
