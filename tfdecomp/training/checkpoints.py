"""What a checkpoint holds, which ones stay, and how a run finds them."""

import numpy as np
import tensorflow as tf

from tfdecomp.storage import saving
from tfdecomp.storage.saving import CheckpointError, restore_model

__all__ = ["CheckpointError", "Checkpoints", "State", "restore_model"]

_BYTES_AT_A_TIME = 2**20


class OtherRunError(CheckpointError):
    """A checkpoint that is whole and of another run."""


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
        self._damaged = []

    def restore_latest(self, say=print) -> bool:
        """Restores the newest checkpoint that is whole.

        Args:
            say: Called with a line for each that is damaged.

        Returns:
            Whether there was one.

        Raises:
            CheckpointError: If the system does not let a file be read, which
                says nothing of its content, or none is whole. All files stay.
        """
        steps, first = _steps(self.folder), None
        for step in reversed(steps):
            path = saving.checkpoint_path(self.folder, step)
            _check_access(path)
            try:
                self._restore(path, step)
            except OtherRunError:
                raise
            # A damaged file meets every reader between here and the archive,
            # and each has errors of its own.
            except Exception as error:
                first = first or error
                self._damaged.append(path)
                say(
                    f"{path.name} is damaged ({_reason(error)}); going on "
                    "from the one before it"
                )
                continue
            self.last_step = step
            return True
        if not steps:
            return False
        raise CheckpointError(
            f"none of the {len(steps)} checkpoints in {self.folder} can be "
            f"used, the newest because: {_reason(first)}. Nothing was deleted. "
            "Put copies of them back, or take another --workdir to begin anew"
        ) from first

    def _restore(self, path, step):
        """Reads one file into the state; an error if it is another run's."""
        arrays, meta = saving.read_checkpoint(path)
        if meta["step"] != step:
            raise CheckpointError(f"it is one of step {meta['step']}")
        if meta.get("seed", self.seed) != self.seed:
            raise OtherRunError(
                f"{path} was trained with seed {meta['seed']}, this run has "
                f"seed {self.seed}; give --seed={meta['seed']} or take "
                "another --workdir"
            )
        self.state.restore(arrays, meta)

    def save(self, again=False):
        """Writes a checkpoint of now, then drops old ones.

        Args:
            again: Whether to replace one of the same step.

        Raises:
            CheckpointError: If the disk is full; the older ones stay.
        """
        step = self.state.step
        if self.is_writer and (again or step != self.last_step):
            self.write(*self.state.capture())
            self._drop_old()

    def write(self, arrays, meta):
        """Writes what `State.capture` gave."""
        while self._damaged:  # not written over: somebody may mend it
            path = self._damaged.pop()
            path.replace(path.with_name(f"{path.name}.damaged"))
        saving.write_checkpoint(
            self.folder, meta["step"], arrays, {**meta, "seed": self.seed}
        )
        self.last_step = meta["step"]

    def last_path(self):
        """Path of the newest checkpoint, or `None`."""
        steps = saving.checkpoint_steps(self.folder)
        return saving.checkpoint_path(self.folder, steps[-1]) if steps else None

    def _drop_old(self):
        steps = saving.checkpoint_steps(self.folder)
        best = (self.state.best or {}).get("step")
        for step in steps[: -self.keep]:
            if step != best:
                path = saving.checkpoint_path(self.folder, step)
                path.unlink(missing_ok=True)


def _steps(folder):
    """Steps of the checkpoints in a folder, rising."""
    try:
        return saving.checkpoint_steps(folder)
    except OSError as error:
        raise CheckpointError(
            f"{folder} cannot be read ({error}); nothing was deleted. Make "
            "the folder readable, then run the same command again"
        ) from error


def _check_access(path):
    """Raises unless the system hands out every byte of a file."""
    try:
        with open(path, "rb") as file:
            while file.read(_BYTES_AT_A_TIME):
                pass
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror}), which is not to say "
            "that it is damaged; nothing was deleted. Make it readable, or "
            "move it away to go on from the one before, then run the same "
            "command again"
        ) from error


def _reason(error):
    """One line of an error, never empty."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) < 300 else f"{text[:300]} ..."
