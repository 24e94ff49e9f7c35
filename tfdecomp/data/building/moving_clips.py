"""Clips cut from one's own video where something moves.

`write` keeps runs of consecutive frames of a video, at the size at which the
model sees them, with what is behind. `moving_clips` cuts small clips out of
them around what moves; most clips cut anywhere would be empty, and a model
that sees little else learns that nothing is there.

The folder holds

    frames.npy    [S, R, h, w, 3] uint8, S runs of R frames
    scene.npz     the background and what goes with it, see `motion.scene`
    moving.npz    run, frame, y, x of everything that moves
"""

import os
import pathlib

import gin
import numpy as np
import tensorflow as tf

from tfdecomp.data import errors
from tfdecomp.motion import scene as scene_lib

FRAMES_NAME, MOVING_NAME = "frames.npy", "moving.npz"
INPUTS = ("difference", "given")
_ANYWHERE = 0.1  # share of the clips that are cut anywhere
_OFF = 0.3  # how far from the middle what moves may be, in sides


def write(folder, runs, scene):
    """Keeps runs of frames to cut clips from.

    Args:
        folder: Where to; made if missing.
        runs: Iterable of `[R, h, w, 3]` uint8, as `scene.resize` gives them.
        scene: A `motion.scene.Scene`.

    Returns:
        How many things that move were found.

    Raises:
        DatasetInputError: If nothing moves in them.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.motion.background import Background
        >>> from tfdecomp.motion.scene import Scene
        >>> from tfdecomp.data.building.moving_clips import write
        >>> run = np.full([3, 24, 32, 3], 100, np.uint8)
        >>> back = Background(run[0].astype(float), np.ones([24, 32]))
        >>> run[:, 8:16, 8:16] = 200  # a square, in three frames
        >>> write("kept", [run], Scene(back, gain=100.0, length=8.0, width=8.0))
        3
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    kept, rows = [], []
    for number, run in enumerate(runs):
        # Clips do not show enough of a frame to tell its light.
        lit = [scene.in_its_light(frame) for frame in run]
        kept.append(np.clip(np.rint(lit), 0, 255).astype(np.uint8))
        for t, frame in enumerate(kept[-1]):
            for y, x in scene.moving(frame).centres:
                rows.append((number, t, y, x))
    if not rows:
        raise errors.LayoutError(
            "nothing moves in the frames that were looked at",
            hint="check the region, or give object_size",
        )
    run, frame, y, x = np.array(rows).T
    moving = {
        "run": run.astype(int),
        "frame": frame.astype(int),
        "y": y,
        "x": x,
    }
    hidden = [folder / f".{name}" for name in (MOVING_NAME, FRAMES_NAME)]
    try:
        with open(hidden[0], "wb") as file:
            np.savez(file, **moving)
        with open(hidden[1], "wb") as file:
            np.save(file, np.stack(kept))
        scene.save(folder / scene_lib.FILE_NAME)
        for path in hidden:  # the frames come last: with them it is whole
            os.replace(path, folder / path.name.removeprefix("."))
    finally:
        for path in hidden:
            path.unlink(missing_ok=True)
    return len(rows)


class Cutter:
    """Cuts clips; the clip of a number is a function of (seed, number).

    Args:
        folder: Where `write` put them.
        size: Side of the clips in pixels.
        inputs: `"difference"`: clips show how far pixels are from the
            background; `"given"`: pixels as they are, with the background
            under `background`.
        seed: Seed of the order.

    Raises:
        MissingFileError: If there is nothing to cut from.
        ValueError: If `inputs` is unknown, or frames are smaller than clips.

    Examples:
        >>> from tfdecomp.data.building.moving_clips import Cutter
        >>> Cutter("kept", size=16)
        Traceback (most recent call last):
            ...
        tfdecomp.data.errors.MissingFileError: kept holds no frames ...
    """

    def __init__(self, folder, size, inputs="difference", seed=0):
        if inputs not in INPUTS:
            raise ValueError(f"inputs must be one of {INPUTS}, got {inputs!r}")
        folder = pathlib.Path(os.path.expanduser(folder))
        if not (folder / FRAMES_NAME).is_file():
            raise errors.MissingFileError(
                f"{folder} holds no frames to cut clips from",
                path=str(folder),
                expected=FRAMES_NAME,
                hint="'tfdecomp fit' writes them; run it again",
            )
        self.frames = np.load(folder / FRAMES_NAME, mmap_mode="r")
        self.scene = scene_lib.load(folder / scene_lib.FILE_NAME)
        with np.load(folder / MOVING_NAME) as moving:
            self.moving = {name: moving[name] for name in moving.files}
        self.size, self.inputs, self.seed = size, inputs, seed
        least = min(self.frames.shape[2:4])
        if least < size:
            raise ValueError(
                f"clips have {size} pixels, but frames only {least}; lower "
                "data.moving_clips.size"
            )

    def clip(self, number, num_frames):
        """One clip.

        Returns:
            `video` `[T, size, size, 3]` uint8, and with `inputs="given"`
            `background` `[size, size, 3]`.

        Raises:
            ValueError: If runs are shorter than `num_frames`.
        """
        length, height, width = self.frames.shape[1:4]
        if num_frames > length:
            raise ValueError(
                f"runs have {length} frames, fewer than a clip's {num_frames}"
            )
        key = [self.seed, number]
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
        chosen = rng.integers(len(self.moving["run"]))
        run, frame, y, x = (
            self.moving[name][chosen] for name in ("run", "frame", "y", "x")
        )
        first = frame - rng.integers(num_frames)
        first = int(np.clip(first, 0, length - num_frames))
        corner = np.array([y, x]) - self.size * (
            0.5 + rng.uniform(-_OFF, _OFF, 2)
        )
        last = np.array([height, width]) - self.size
        if rng.random() < _ANYWHERE:
            corner = rng.uniform(0, last + 1)
        top, left = np.clip(np.floor(corner), 0, last).astype(int)
        window = (
            slice(top, top + self.size),
            slice(left, left + self.size),
        )
        pixels = self.frames[run, first : first + num_frames, *window]
        turn = rng.integers(4), rng.random() < 0.5
        if self.inputs == "difference":
            return {"video": _turned(self.scene.pictures(pixels, window), turn)}
        back = np.rint(self.scene.background.picture[window]).astype(np.uint8)
        return {
            "video": _turned(pixels, turn),
            "background": _turned(back[None], turn)[0],
        }


def _turned(video, turn):
    """`[T, h, h, C]` seen from another side: things have none."""
    quarters, is_mirrored = turn
    video = np.rot90(video, quarters, (1, 2))
    video = video[:, :, ::-1] if is_mirrored else video
    return np.ascontiguousarray(video)


@gin.configurable(module="data", denylist=["seed", "start"])
def moving_clips(
    batch_size,
    num_frames,
    seed=0,
    start=0,
    *,
    folder=gin.REQUIRED,
    size=64,
    inputs="difference",
):
    """Batches of clips cut where something moves; see the module.

    Args:
        batch_size: Clips in a batch, `B`.
        num_frames: Frames in a clip, `T`.
        seed: Seed of the order.
        start: Clips to skip, to resume.
        folder: Where `write` put them.
        size: Side of the clips in pixels.
        inputs: See `Cutter`.

    Returns:
        `tf.data.Dataset` without end, of `video` `[B, T, size, size, 3]`
        uint8, `clip_index` `[B]` and with `inputs="given"` `background`
        `[B, size, size, 3]`.

    Raises:
        MissingFileError: If there is nothing to cut from.
        ValueError: If sizes do not fit.

    Examples:
        >>> from tfdecomp.data.building import moving_clips
        >>> clips = moving_clips.moving_clips(2, 5, folder="kept", size=32)
        Traceback (most recent call last):
            ...
        tfdecomp.data.errors.MissingFileError: kept holds no frames ...
    """
    cutter = Cutter(folder, size, inputs, seed)
    cutter.clip(start, num_frames)  # what is wrong shows here
    shapes = {"video": [num_frames, size, size, 3]}
    if inputs == "given":
        shapes["background"] = [size, size, 3]

    def cut(number):
        clip = cutter.clip(int(number), num_frames)
        return [clip[name] for name in shapes]

    def example(number):
        parts = tf.numpy_function(cut, [number], [tf.uint8] * len(shapes))
        parts = {
            name: tf.ensure_shape(part, shape)
            for (name, shape), part in zip(shapes.items(), parts)
        }
        return {**parts, "clip_index": number}

    numbers = tf.data.Dataset.range(start, np.iinfo(np.int64).max)
    clips = numbers.map(example, num_parallel_calls=2, deterministic=True)
    return clips.batch(batch_size, drop_remainder=True).prefetch(2)
