"""Looks at a video before anything is decided: frames from all over it."""

import contextlib
import dataclasses

import numpy as np

from tfdecomp.data import errors
from tfdecomp.prediction.view import View

SIDE = 640  # pixels of the longer side at which videos are looked at
_SCATTERED = 100
_RUNS, _LENGTH = 12, 8  # runs of consecutive frames
_SPARSE = 64  # rows and columns, about, that tell the light
_FEW_LIT = 0.2  # share of the pixels
_DARK = 8  # grey levels below which a pixel tells nothing of the light


@dataclasses.dataclass
class Glance:
    """Frames of one or several videos of one scene, scaled down.

    Attributes:
        frame_size: `(H, W)` of the videos.
        size: `(h, w)` of the frames here.
        scattered: `[N, h, w, 3]` uint8, evenly spaced.
        runs: List of `[R, h, w, 3]`, consecutive frames.
        levels: Per video `[T]` grey level of every frame, from the change of
            most pixels since the one before: who moves does not count.
        rate: Frames per second.
        num_frames: Of all videos together.
    """

    frame_size: tuple
    size: tuple
    scattered: np.ndarray
    runs: list
    levels: list
    rate: float
    num_frames: int


def scaled(frame_size, scale):
    """`(h, w)` of a frame at a scale, at least one pixel each."""
    return tuple(max(1, round(side * scale)) for side in frame_size)


def glance(footages, progress=None, should_stop=None, is_strict=True) -> Glance:
    """Reads videos once and keeps a few of their frames.

    Args:
        footages: List of `Footage`s of one size.
        progress: Called with the numbers of frames read and of all.
        should_stop: Called after every frame; true ends the look.
        is_strict: Whether a video that ends early is refused, or what comes
            before its fault is enough.

    Raises:
        DatasetInputError: If a video ends early.
        ValueError: If the videos differ in size.
        KeyboardInterrupt: If it was stopped.
    """
    sizes = {tuple(footage.size) for footage in footages}
    if len(sizes) > 1:
        raise ValueError(
            "videos of one scene have frames of one size, got "
            + ", ".join(f"{w}x{h}" for h, w in sorted(sizes))
        )
    (frame_size,) = sizes
    size = scaled(frame_size, min(1.0, SIDE / max(frame_size)))
    view = View(frame_size, size)
    total = sum(footage.num_frames for footage in footages)
    alike = [1] * len(footages)
    shares = zip(_shares(alike, _SCATTERED), _shares(alike, _RUNS))
    scattered, runs, levels, done = [], [], [], 0
    for footage, (num_single, num_runs) in zip(footages, shares):
        count = footage.num_frames
        single = _evenly(count, num_single)
        starts = _evenly(max(1, count - _LENGTH + 1), num_runs)
        own = {start: [] for start in starts}
        level, before = [], None
        try:
            with contextlib.closing(footage.frames()) as frames:
                for number, frame in enumerate(frames):
                    done += 1
                    before = _sparse(frame.pixels, before, level)
                    wants = [s for s in starts if s <= number < s + _LENGTH]
                    if wants or number in single:
                        small = view.small(frame.pixels)
                        for start in wants:
                            own[start].append(small)
                        if number in single:
                            scattered.append(small)
                    if progress is not None:
                        progress(done, total)
                    if should_stop is not None and should_stop():
                        raise KeyboardInterrupt
        except errors.DatasetInputError:
            if is_strict or not level:
                raise
        runs += [np.stack(run) for run in own.values() if len(run) > 1]
        levels.append(np.array(level))
    return Glance(
        frame_size,
        size,
        np.stack(scattered),
        runs,
        levels,
        float(footages[0].rate),
        total,
    )


def _sparse(frame, before, level):
    """Some of a frame's pixels; adds its grey level to `level`, `[]`."""
    step = max(1, min(frame.shape[:2]) // _SPARSE)
    here = frame[::step, ::step].astype(np.float32)
    if before is None:
        level.append(float(here.mean()))
        return here
    lit = (before > _DARK) | (here > _DARK)
    if lit.mean() < _FEW_LIT:
        # They may be what moves; and in the dark, rounding is no light.
        level.append(level[-1] + float(np.median(here - before)))
        return here
    ratio = np.median((here[lit] + 1) / (before[lit] + 1))
    level.append(level[-1] * float(ratio))
    return here


def _evenly(count, wanted):
    """At most `wanted` numbers below `count`, evenly spaced, ascending."""
    wanted = min(wanted, count)
    return sorted(set(np.linspace(0, count - 1, wanted).astype(int).tolist()))


def _shares(sizes, wanted):
    """How many of `wanted` each of several gives, in proportion to its size.

    Each gives one at least where there are enough; else evenly many do.
    """
    if len(sizes) > wanted:
        chosen = _evenly(len(sizes), wanted)
        return [int(number in chosen) for number in range(len(sizes))]
    total = sum(sizes)
    shares = [max(1, round(wanted * size / total)) for size in sizes]
    while sum(shares) > wanted:
        shares[int(np.argmax(shares))] -= 1
    return shares


def runs_of(footages, view, count, length, progress=None, should_stop=None):
    """Yields `count` runs `[length, h, w, 3]` from all over the videos.

    Args:
        footages: List of `Footage`s.
        view: A `View` of the size to keep.
        count: How many runs, of all videos together, at most.
        length: Frames of a run; a video with fewer gives a shorter one.
        progress: As in `glance`.
        should_stop: The same.
    """
    total = sum(footage.num_frames for footage in footages)
    ahead = 0
    shares = _shares([footage.num_frames for footage in footages], count)
    for footage, wanted in zip(footages, shares):
        own = footage.num_frames
        starts = _evenly(max(1, own - length + 1), wanted)
        waiting = {}
        with contextlib.closing(footage.frames()) as frames:
            for number, frame in enumerate(frames):
                if progress is not None:
                    progress(ahead + number + 1, total)
                if should_stop is not None and should_stop():
                    raise KeyboardInterrupt
                if starts and number == starts[0]:
                    waiting[starts.pop(0)] = []
                if not waiting:
                    if not starts:
                        break
                    continue
                small = view.small(frame.pixels)
                for start in list(waiting):
                    waiting[start].append(small)
                    if len(waiting[start]) == length:
                        yield np.stack(waiting.pop(start))
        for run in waiting.values():  # of a video shorter than a run
            yield np.stack(run)
        ahead += own
