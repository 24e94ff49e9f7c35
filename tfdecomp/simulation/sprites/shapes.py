"""Binary images of squares and triangles that may overlap."""

import dataclasses

import numpy as np

from tfdecomp.simulation import stills, streams

DATASET = "shapes"
SINGLE = "single"  # the split with one shape per image
EXTRA_SPLITS = (SINGLE,)  # in the order of their streams
SHARED = 255  # label of pixels of several shapes: counted by nobody


def _bitmap(text):
    return np.array([[c == "#" for c in line] for line in text.split()])


_SQUARE = _bitmap("""
#######
#######
##...##
##...##
##...##
#######
#######
""")
_TRIANGLE = _bitmap("""
.....##.....
....####....
...######...
..###..###..
.###....###.
############
############
""")
# Ids count from 1: square, triangle, inverted triangle.
BITMAPS = (_SQUARE, _TRIANGLE, _TRIANGLE[::-1])


@dataclasses.dataclass(frozen=True)
class Shapes:
    """What an image looks like.

    Args:
        size: Side of the frame.
        num_shapes: Shapes per image; the split `single` has one.
        max_objects: `K`, slots of every label.
    """

    size: int = 28
    num_shapes: int = 3
    max_objects: int = 3

    def __post_init__(self):
        if not 1 <= self.num_shapes <= self.max_objects:
            raise ValueError(
                f"num_shapes is {self.num_shapes}, expected 1 to max_objects, "
                f"{self.max_objects}"
            )
        widest = max(max(bitmap.shape) for bitmap in BITMAPS)
        if self.size < widest:
            raise ValueError(
                f"shapes are up to {widest} px wide, but the frame has "
                f"{self.size} px; use a larger frame"
            )


def generate(look, split, start, stop, *, seed, stream, fresh=False):
    """Makes the images `start`, ..., `stop - 1` of a split.

    Per example, in this order: the shapes, then their places.

    Args:
        look: A `Shapes`.
        split: Name of the split.
        start: First index.
        stop: Index after the last one.
        seed: Seed of the dataset.
        stream: Name of the stream of images.
        fresh: Whether to make images that no stored split holds.

    Returns:
        A list of dicts with `video`, `segmentation`, `boxes`, `visibility`,
        `visible_fraction`, `num_objects` and `factors`.
    """
    number = streams.split_id(split, EXTRA_SPLITS, fresh)
    count = 1 if split == SINGLE else look.num_shapes
    shape = np.zeros((stop - start, look.max_objects), np.int32)
    masks = np.zeros((*shape.shape, look.size, look.size), bool)
    for n, index in enumerate(range(start, stop)):
        rng = streams.example_rng(seed, DATASET, stream, number, index)
        shape[n, :count] = 1 + rng.integers(len(BITMAPS), size=count)
        for slot in range(count):
            bitmap = BITMAPS[shape[n, slot] - 1]
            height, width = bitmap.shape
            room = np.array([look.size - height, look.size - width])
            top, left = rng.integers(room + 1)
            window = masks[n, slot, top : top + height, left : left + width]
            window[:] = bitmap
    layers = stills.stack(masks, shared=SHARED)
    video = np.where(layers.owner > 0, 255, 0).astype(np.uint8)
    low, high = layers.boxes[..., :2], layers.boxes[..., 2:]
    factors = {"shape": shape, "position": (low + high) / 2, "corner": low}
    return stills.examples(video[..., None], layers, factors)
