"""Runs of frames in which things move before a known ground, for tests."""

import numpy as np

from tfdecomp.motion import background, scene

GAIN, SIDE = 70, 8  # grey levels and pixels of a thing


def ground(size=(72, 104)):
    """`[h, w, 3]` a ground that is another one everywhere."""
    random = np.random.default_rng(7)
    rough = random.uniform(60, 140, (size[0] // 4 + 1, size[1] // 4 + 1, 3))
    fine = rough.repeat(4, 0).repeat(4, 1)[: size[0], : size[1]]
    return np.rint(fine)


def places(number, count, frames, size=(72, 104)):
    """`[T, N, 2]` upper left corners of things in a run."""
    random = np.random.default_rng([1, number])
    room = np.array(size) - SIDE
    start = random.uniform(0, room, (count, 2))
    step = random.uniform(-1.5, 1.5, (count, 2))
    path = start + step * np.arange(frames)[:, None, None]
    return np.clip(np.rint(path), 0, room).astype(int)


def run(number, count=2, frames=12, size=(72, 104)):
    """`[T, h, w, 3]` uint8, squares that are brighter than the ground."""
    random = np.random.default_rng([2, number])
    video = ground(size) + random.normal(0, 1.0, (frames, *size, 3))
    for t, corners in enumerate(places(number, count, frames, size)):
        for y, x in corners:
            patch = np.s_[y : y + SIDE, x : x + SIDE]
            video[t][patch] = ground(size)[patch] + GAIN
    return np.clip(np.rint(video), 0, 255).astype(np.uint8)


def view(size=(72, 104), **changes):
    """The `Scene` of these runs."""
    noise = np.full(size, 1.0, np.float32)
    fields = {"length": SIDE, "width": SIDE, "min_area": 9.0, **changes}
    ground_ = background.Background(ground(size), noise, polarity=1)
    return scene.Scene(ground_, gain=GAIN, **fields)
