"""How a model is trained on one video: written as the gin file of the run."""

import dataclasses
import math

import numpy as np

from tfdecomp.data.building import moving_clips

CLIP = 64  # side of the clips in pixels
RUN_LENGTH = 12  # frames of a run that clips are cut from
_BYTES = 400 * 2**20  # of runs that are kept
_RUNS = 240
_SPARE = 3  # slots beyond the things that a clip shows
_CALL_SECONDS = 1.0  # of training during which nobody asks whether to stop
_LEAST_STEPS, _MOST_STEPS = 200, 6000
_TEXT = """\
# SILOT on one's own video; written by 'tfdecomp fit'. The same run:
#
#   python -m tfdecomp.train --gin_file={path} --workdir={workdir}
#
# Expected: what trust.txt beside it says of the result.

include 'quick/silot.gin'

IMAGE_SIZE = {size}
NUM_SLOTS = {num_slots}
NUM_STEPS = {num_steps}
CLIP_LENGTH = {frames}
COUNT_PERIOD = 1
COUNT_ODDS = {odds}
WHEELS_STEPS = 1
DATASET = @data.moving_clips

data.moving_clips.folder = {folder!r}
data.moving_clips.size = %IMAGE_SIZE
data.moving_clips.inputs = {inputs!r}
models.SILOT.background = {background!r}
models.SILOT.size_mean = {size_mean}
models.SILOT.size_deviation = {size_deviation}
training.run.initial_model = {initial!r}
training.run.dataset = @data.moving_clips
training.run.clip_lengths = {clip_lengths}
training.Adam.learning_rate = @schedules.WarmupCosine()
schedules.WarmupCosine.peak = {peak}
schedules.WarmupCosine.warmup_steps = {warmup}
schedules.WarmupCosine.num_steps = %NUM_STEPS
schedules.WarmupCosine.final = 5e-5
training.run.steps_per_call = {steps_per_call}
training.run.log_every = {log_every}
training.run.checkpoint_every = {checkpoint_every}
training.run.checkpoint_minutes = 2.0
training.run.keep_checkpoints = 4
training.run.eval_every = 0
training.run.pictures_every = 0
training.run.protocol = None
"""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a training on one video is like; fields are those of its gin file.

    Args:
        size: Side of the clips in pixels.
        num_slots: `K` in training.
        frames: Longest clips.
        clip_lengths: From which step on clips have how many frames.
        size_mean: Prior mean of the logit of boxes' sides.
        size_deviation: Its deviation.
        odds: Prior odds of one more object.
        peak: Highest learning rate.
        num_steps: Optimizer steps.
        initial: Model to begin with.
        inputs: `"difference"` or `"given"`, see `data.moving_clips`.
        steps_per_call: Steps that are taken before anyone is asked whether to
            stop.
    """

    size: int
    num_slots: int
    frames: int
    clip_lengths: tuple
    size_mean: float
    size_deviation: float
    odds: float = 0.3
    peak: float = 7e-4
    num_steps: int = _MOST_STEPS
    initial: str = "silot_motion"
    inputs: str = "difference"
    steps_per_call: int = 50

    def with_steps(self, num_steps, rate=math.inf):
        """The same for another number of steps.

        Args:
            num_steps: How many.
            rate: How many are taken in a second.
        """
        num_steps = int(np.clip(num_steps, _LEAST_STEPS, _MOST_STEPS))
        period = _checkpoint_every(num_steps)
        # A function is compiled there, which cannot be stopped; nothing is
        # lost if a checkpoint is written just before.
        later = round(0.6 * num_steps / period) * period
        stages = ((0, self.clip_lengths[0][1]), (later, self.frames))
        if stages[0][1] == self.frames or not later:
            stages = ((0, self.frames),)
        return dataclasses.replace(
            self,
            num_steps=num_steps,
            clip_lengths=stages,
            steps_per_call=int(np.clip(_CALL_SECONDS * rate, 1, 50)),
        )

    def text(self, path, workdir, folder):
        """Content of the gin file.

        Args:
            path: Of the gin file.
            workdir: Of the run.
            folder: Of `data.moving_clips.write`.
        """
        return _TEXT.format(
            **dataclasses.asdict(self),
            path=path,
            workdir=workdir,
            folder=str(folder),
            background="given" if self.inputs == "given" else "fixed",
            warmup=min(100, self.num_steps // 5),
            log_every=min(100, self.num_steps // 4),
            checkpoint_every=_checkpoint_every(self.num_steps),
        )


def _checkpoint_every(num_steps):
    return max(50, num_steps // 8)


def runs_to_keep(size):
    """How many runs of frames of this size are kept."""
    return int(np.clip(_BYTES // (3 * RUN_LENGTH * np.prod(size)), 8, _RUNS))


def plan(folder, anchor, **changes) -> Plan:
    """Plans from the runs that were kept.

    Args:
        folder: Of `data.moving_clips.write`.
        anchor: Side in pixels of the model's largest box.
        **changes: Fields of `Plan` that are settled.
    """
    cutter = moving_clips.Cutter(folder, 1)
    length, height, width = cutter.frames.shape[1:4]
    size = min(CLIP, height, width)
    sides = _sides(cutter)
    share = np.clip(np.quantile(sides, (0.1, 0.5, 0.9)) / anchor, 0.04, 0.96)
    logits = np.log(share / (1 - share))
    frames = min(6, length)
    settled = {
        "size": size,
        "num_slots": 1 + _crowd(cutter.moving, size) + _SPARE,
        "frames": frames,
        "clip_lengths": ((0, min(4, frames)),),
        "size_mean": round(float(logits[1]), 3),
        # What lies between the tenth and the ninetieth of a hundred.
        "size_deviation": round(
            float(np.clip((logits[2] - logits[0]) / 2.56, 0.4, 1.2)), 3
        ),
        **changes,
    }
    return Plan(**settled)


def _sides(cutter):
    """Sides of the boxes of what moves, in pixels."""
    count = len(cutter.frames)
    chosen = np.linspace(0, count - 1, min(count, 30)).astype(int)
    found = [cutter.scene.moving(cutter.frames[n][0]).boxes for n in chosen]
    boxes = np.concatenate(found)
    sides = (boxes[:, 2:] - boxes[:, :2]).ravel()
    return sides if len(sides) else np.array([cutter.scene.length])


def _crowd(moving, size):
    """How many things a clip shows at most, but for one in fifty clips."""
    key = moving["run"].astype(np.int64) * 10_000 + moving["frame"]
    order = np.argsort(key, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(key[order])) + 1)
    counts = []
    for part in parts[:: max(1, len(parts) // 300)]:
        y, x = moving["y"][part], moving["x"][part]
        near = (np.abs(y[:, None] - y) < size / 2) & (
            np.abs(x[:, None] - x) < size / 2
        )
        counts += near.sum(1).tolist()
    return int(np.ceil(np.quantile(counts, 0.98)))
