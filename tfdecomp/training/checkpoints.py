"""What a checkpoint holds, which ones stay, and how a run finds them."""

import numpy as np
import tensorflow as tf

from tfdecomp import saving
from tfdecomp.saving import CheckpointError, restore_model

__all__ = ["CheckpointError", "Checkpoints", "State", "restore_model"]


class State:
    """Everything that the rest of a run depends on.

    Args:
        settings: The run's `Settings`.
        averages: EMA variables; may be empty.
        carry: `TrainStep.initial_carry()`.

    Attributes:
        step: Optimizer steps taken.
        clips: Clips read from the stream; the position in the data.
        window: Scalars of the steps since the last line, `[n, S]` arrays.
        best: Step and scores of the best evaluation so far.
        last_evaluation: Scores of the last one.
        seconds: Time spent training, all processes together.
        stops: Early stops so far.
        resumed_at: Step of the last one, 0 before the first.
    """

    def __init__(self, settings, averages, carry):
        self.model = settings.model
        self.optimizer = settings.optimizer
        self.averages = averages
        self.carry = carry
        self.step = 0
        self.clips = 0
        self.window = []
        self.best = None
        self.last_evaluation = None
        self.seconds = 0.0
        self.stops = 0
        self.resumed_at = 0

    def groups(self):
        """Name -> variables."""
        return {
            "model": self.model.variables,
            "optimizer": self.optimizer.variables,
            "ema": self.averages,
        }

    def capture(self):
        """`(arrays, meta)` for a checkpoint."""
        arrays = {}
        for name, variables in self.groups().items():
            arrays |= saving.variable_arrays(name, variables)
        for name, value in self.carry.items():
            arrays[f"carry/{name}"] = np.asarray(value)
        if self.window:
            arrays["window"] = np.concatenate(
                [np.asarray(rows) for rows in self.window]
            )
        meta = {
            "step": self.step,
            "clips": self.clips,
            "best": self.best,
            "last_evaluation": self.last_evaluation,
            "seconds": self.seconds,
            "stops": self.stops,
            "resumed_at": self.resumed_at,
        }
        return arrays, meta

    def restore(self, arrays, meta):
        """Inverse of `capture`."""
        for name, variables in self.groups().items():
            saving.assign_arrays(name, variables, arrays)
        self.carry = {
            name: tf.constant(arrays[f"carry/{name}"]) for name in self.carry
        }
        self.window = [arrays["window"]] if "window" in arrays else []
        self.step = meta["step"]
        self.clips = meta["clips"]
        self.best = meta["best"]
        self.last_evaluation = meta["last_evaluation"]
        self.seconds = meta["seconds"]
        self.stops = meta.get("stops", 0)
        self.resumed_at = meta.get("resumed_at", 0)

    def go_on_from(self, arrays):
        """Goes on at this step with earlier weights after an early stop.

        The weights and what belongs to them (averages, `beta`) are the
        earlier ones; the optimizer starts anew.

        Args:
            arrays: Those of the earlier checkpoint.
        """
        saving.assign_arrays("model", self.model.variables, arrays)
        saving.assign_arrays("ema", self.averages, arrays)
        for variable in self.optimizer.variables:
            variable.assign(tf.zeros(variable.shape, variable.dtype))
        zero = tf.zeros_like(self.carry["updates"])
        self.carry |= {
            "updates": zero,
            "streak": zero,
            "beta": tf.constant(arrays["carry/beta"]),
        }
        self.stops += 1
        self.resumed_at = self.step


class Checkpoints:
    """Writes checkpoints of a state, and keeps the newest and the best.

    Args:
        folder: The `checkpoints/` folder.
        state: The `State`.
        keep: How many of the newest stay.
        seed: The run's seed, stored with each.
        is_writer: Whether this process writes.
    """

    def __init__(self, folder, state, keep, seed, is_writer=True):
        self.folder = folder
        self.state = state
        self.keep = keep
        self.seed = seed
        self.is_writer = is_writer
        self.last_step = None

    def restore_latest(self) -> bool:
        """Restores the newest readable checkpoint; false without one."""
        newest = saving.newest_checkpoint(self.folder)
        if newest is None:
            return False
        arrays, meta, _ = newest
        self.state.restore(arrays, meta)
        self.last_step = meta["step"]
        return True

    def save(self, again=False):
        """Writes a checkpoint of now, then drops old ones.

        Args:
            again: Whether to replace one of the same step.

        Raises:
            CheckpointError: If the disk is full; the older ones stay.
        """
        step = self.state.step
        if self.is_writer and (again or step != self.last_step):
            arrays, meta = self.state.capture()
            meta["seed"] = self.seed
            saving.write_checkpoint(self.folder, step, arrays, meta)
            self.last_step = step
            self._drop_old()

    def last_path(self):
        """Path of the newest checkpoint, or `None`."""
        steps = saving.checkpoint_steps(self.folder)
        return saving.checkpoint_path(self.folder, steps[-1]) if steps else None

    def _drop_old(self):
        steps = saving.checkpoint_steps(self.folder)
        best = (self.state.best or {}).get("step")
        # After a resume from an older file, newer damaged ones may be left.
        stale = [step for step in steps if step > self.state.step]
        for step in [*steps[: -self.keep], *stale]:
            if step != best:
                path = saving.checkpoint_path(self.folder, step)
                path.unlink(missing_ok=True)
