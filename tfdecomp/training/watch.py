"""What a run does between its steps: looks, writes, scores, stops."""

import os
import sys
import time

import numpy as np
import tensorflow as tf

from tfdecomp.data import stored_records
from tfdecomp.storage import configs, saving
from tfdecomp.training import callbacks, workdir
from tfdecomp.training import strategy as strategy_lib
from tfdecomp.training.evaluator import Evaluator

CALL_SECONDS = 5.0  # the host looks at least so often, for Ctrl-C's sake
COPY_SHARE = 0.02  # of the time that copying the state may take


class Watch:
    """What happens between calls, in the order in which it happens.

    Args:
        session: The `Session`.
        stop: The `StopOnSignal`.
        may_exit: See `run`.
    """

    def __init__(self, session, stop, may_exit):
        self.session = session
        self.stop = stop
        # Hosts that wait for one another are not left by one of them.
        self.may_exit = may_exit and strategy_lib.num_hosts() == 1
        self.settings = session.settings
        self.state = session.state
        folder, writes = session.folder, session.is_writer
        self.progress = callbacks.Progress(
            self.settings.num_steps, self.state.step, writes
        )
        self.board = callbacks.TensorBoard(folder.path / "train", writes)
        self.eval_board = callbacks.TensorBoard(folder.path / "eval", writes)
        self.history = workdir.History(
            folder.path / "train" / "scalars.jsonl", writes
        )
        self.evaluator = Evaluator(session)
        self.nonfinite = callbacks.NonFiniteGuard(self.settings.max_nonfinite)
        self.collapse = callbacks.CollapseGuard(
            self.settings.collapse_after,
            self.settings.on_collapse,
            getattr(self.settings.model, "num_slots", 1),
        )
        self._saved = time.monotonic()
        self._copy = None
        self._copied_at = -np.inf
        self._copy_seconds = 0.0

    def start(self):
        """Writes what a run begins with."""
        session, step = self.session, self.state.step
        is_pending = self.is_evaluation_pending()
        self.history.forget_after(step)
        self.evaluator.history.forget_after(step - is_pending)
        if session.is_writer:
            self._write_model()
            self._check_held_out()
        self.board.text(step, "config", configs.operative())
        if not step:
            self.save()
            return
        self.progress.say(f"going on from step {step}")
        if is_pending:
            with self.stop.leaving(self._leaver()):
                self.evaluate()
            self.save(again=True)

    def _write_model(self):
        """Writes `model.json`, and says so where a run has lost it."""
        folder = self.session.folder.path
        if self.state.step and not (folder / saving.MODEL_NAME).is_file():
            self.progress.say(
                f"{folder / saving.MODEL_NAME} was missing; written again, "
                "from the config"
            )
        saving.save_model(folder, self.settings.model)

    def _check_held_out(self):
        """Finds out before the first step what evaluations would lack."""
        if self.settings.eval_every:
            self.evaluator.check()

    def is_evaluation_pending(self):
        """Whether the process before ended between a save and the scores."""
        evaluated = (self.state.last_evaluation or {}).get("step")
        step = self.state.step
        return (
            step > 0
            and self.is_due(self.settings.eval_every)
            and evaluated != step
        )

    def is_stage_over(self):
        """Whether to stop early here.

        A function of what a checkpoint holds, so that a run which resumes at
        a stop meets it again.
        """
        state, rule = self.state, self.settings.early_stopping
        evaluated = (state.last_evaluation or {}).get("step")
        if rule is None or evaluated != state.step:
            return False
        return rule.is_over(state.step, state.resumed_at, state.best)

    def is_done(self):
        """Whether no step is left."""
        state, rule = self.state, self.settings.early_stopping
        if state.step >= self.settings.num_steps:
            return True
        if rule is None:
            return False
        return state.stops + self.is_stage_over() >= rule.num_stops

    def is_given_up(self):
        """Whether the slots have collapsed, and the run begins anew.

        A function of what a checkpoint holds, as `is_stage_over` is.
        """
        state, rule = self.state, self.settings.restarts
        if rule is None or state.step != rule.step:
            return False
        session = self.session
        return session.hosts.from_chief(
            session.is_writer
            and rule.gives_up(
                state.last_evaluation,
                state.step,
                session.folder.run.get("restarts", 0),
            )
        )

    def give_up(self):
        """Leaves this attempt; its checkpoints go."""
        state, rule, folder = (
            self.state,
            self.settings.restarts,
            self.session.folder,
        )
        scores = state.last_evaluation or {}
        folder.give_up({**scores, "seconds": round(state.seconds, 3)})
        self.progress.say(
            f"{rule.metric} is {scores.get(rule.metric, np.nan):.4g} at step "
            f"{state.step}, and training.Restarts.limit {rule.limit:g}: begins "
            f"anew with another seed, {folder.run['restarts']} of {rule.most}"
        )
        self.progress.close()

    def begin_stage(self):
        """Goes on from the best weights after an early stop."""
        state, rule = self.state, self.settings.early_stopping
        self.session.go_on_from_best()
        self.progress.say(
            f"early stop {state.stops} of {rule.num_stops} at step "
            f"{state.step}; the best weights, of step {best_step(state)}, go "
            f"on with {float(rule.rate(state.stops)):.3g} of the learning rate"
        )
        if rule.best_of == "stage":
            self._score_stage()

    def _score_stage(self):
        """Begins a stage's scores with that of the weights it begins with."""
        self.state.best = None
        self.evaluate()
        # They may stay the best of the stage; the checkpoint of this step
        # still has those that the stage before ended with.
        self.session.checkpoints.save(again=True)

    def call_size(self):
        """Steps up to the next thing to do, and not for too long."""
        step, settings = self.state.step, self.settings
        periods = (
            settings.log_every,
            settings.eval_every,
            settings.pictures_every,
            settings.checkpoint_every,
        )
        ends = [step + p - step % p for p in periods if p]
        size = min(*ends, session_end(self.session)) - step
        if strategy_lib.num_hosts() > 1:
            # What hosts exchange is matched by its place in the call, so all
            # must cut the run alike, whatever their speed.
            return min(size, settings.steps_per_call)
        if self.progress.rate is None:
            return 1  # the speed is not known yet
        affordable = max(1, int(CALL_SECONDS * self.progress.rate))
        return min(size, settings.steps_per_call, affordable)

    def take_steps(self):
        """One call, and moves the bar."""
        size = self.call_size()
        before = self._copied_state() if self.may_exit else None
        with self.stop.leaving(self._leaver(before)):
            _call(self.session, size)
        self.progress.advance(self.state.step - self.progress.step)

    def _copied_state(self):
        """A copy of the state, since a step writes over it.

        Some calls old where copying it each time would slow the run down.
        """
        begin = time.monotonic()
        if begin - self._copied_at >= self._copy_seconds / COPY_SHARE:
            self._copy = self.state.capture()
            self._copied_at = time.monotonic()
            self._copy_seconds = self._copied_at - begin
        return self._copy

    def _leaver(self, before=None):
        """What ends the process in the middle of a call or an evaluation.

        Args:
            before: `State.capture()` of the state to save; None where that
                of the last checkpoint has to do.
        """
        folder, checkpoints = self.session.folder, self.session.checkpoints

        def leave():
            if before and before[1]["step"] > (checkpoints.last_step or 0):
                checkpoints.write(*before)
            folder.update(state="interrupted", step=checkpoints.last_step)
            self.progress.say(
                f"stopped in the middle of a step; the same command goes on "
                f"from {checkpoints.last_path()}"
            )
            sys.stdout.flush()
            os._exit(130)

        return leave if self.may_exit else None

    def is_due(self, period):
        """Whether a multiple of `period`, or the end, was reached."""
        if not period:
            return False
        step = self.state.step
        return step % period == 0 or step == self.settings.num_steps

    def is_checkpoint_due(self):
        """By steps or by the clock."""
        minutes = (time.monotonic() - self._saved) / 60.0
        return (
            self.is_due(self.settings.checkpoint_every)
            or minutes >= self.settings.checkpoint_minutes
        )

    def log(self):
        """Reads the scalars of the window and shows their means."""
        window = self._take_window()
        scalars = window_means(window)
        state, step = self.state, self.state.step
        self.history.add(
            {"step": step, **scalars, "seconds": round(state.seconds, 3)}
        )
        speed = {
            "steps_per_second": self.progress.rate,
            "memory_gib": callbacks.peak_memory() / 2**30,
        }
        self.board.scalars(step, scalars | speed)
        self.progress.log(scalars, state.last_evaluation)
        self.nonfinite.check(
            window,
            state.carry,
            self.progress.say,
            self.session.checkpoints.last_path(),
        )
        self.collapse.check(step, scalars, self.progress.say)

    def _take_window(self):
        """Scalars of the steps since the last line: name -> `[n]`."""
        rows = np.concatenate([np.asarray(rows) for rows in self.state.window])
        self.state.window = []
        return dict(zip(self.session.train_step.names, rows.T))

    def look_at_held_out(self):
        """Scores and pictures, where they are due."""
        is_scored = self.is_due(self.settings.eval_every)
        is_drawn = self.is_due(self.settings.pictures_every)
        if is_scored or is_drawn:
            self.save()  # what goes wrong from here on costs no step
        with self.stop.leaving(self._leaver()):
            if is_scored:
                self.evaluate()
            if is_drawn:
                self.draw()
        if is_scored:
            self.save(again=True)

    def evaluate(self):
        """Scores held-out clips; the writer does, the others go on."""
        if self.session.is_writer:
            scores = self.evaluator.evaluate()
            self.eval_board.scalars(self.state.step, scores)
            shown = (f"{name} {value:.4f}" for name, value in scores.items())
            self.progress.say(
                f"step {self.state.step} held-out " + " ".join(shown)
            )
        if self.settings.early_stopping is not None:
            self._share_evaluation()
        self.progress.restart_clock()

    def _share_evaluation(self):
        """Tells all hosts whether this evaluation, the writer's, is best."""
        state, here = self.state, {"step": self.state.step}
        is_best = bool(state.best) and state.best["step"] == state.step
        is_best = self.session.hosts.from_chief(is_best)
        if not self.session.is_writer:
            state.last_evaluation = here
            state.best = here if is_best else state.best

    def draw(self):
        """Writes pictures of held-out clips."""
        if self.session.is_writer:
            self.evaluator.draw(self.board)
        self.progress.restart_clock()

    def save(self, again=False):
        """Writes a checkpoint, then says in `run.json` how far it is."""
        self.session.checkpoints.save(again)
        self.session.folder.update(step=self.state.step)
        self._saved = time.monotonic()
        self.progress.restart_clock()

    def finish(self):
        """The last checkpoint."""
        self.save()
        if self.is_stage_over() and self.is_done():
            self.session.go_on_from_best()
            self.session.checkpoints.save(again=True)
            self.progress.say(
                f"stopped early at step {self.state.step}; the weights are "
                f"now the best ones, of step {best_step(self.state)}"
            )
        self.progress.close()


def _call(session, num_steps):
    """Takes steps and moves the state on."""
    state = session.state
    begin = time.perf_counter()
    try:
        with stored_records.explained(_name(session.settings.dataset)):
            rows, state.carry = session.train_step(
                session.iterator,
                state.step,
                num_steps,
                state.carry,
                state.stops,
                state.resumed_at,
            )
    except tf.errors.OutOfRangeError as error:
        raise callbacks.TrainingError(
            f"the dataset ended before step {state.step + num_steps}; let it "
            "repeat (data.make_dataset.repeat = True)"
        ) from error
    except tf.errors.ResourceExhaustedError as error:
        raise callbacks.TrainingError(
            "out of memory; lower training.run.micro_batch_size, or set "
            f"rematerialize = True on the model ({error.message[:200]})"
        ) from error
    state.step += num_steps
    state.clips += num_steps * session.settings.batch_size
    state.window.append(rows)
    state.seconds += time.perf_counter() - begin


def _name(dataset):
    """What to call a dataset in a message."""
    return dataset if isinstance(dataset, str) else "the dataset"


def session_end(session):
    """Step at which the current stage or the run ends."""
    return min(session.stage_end, session.settings.num_steps)


def best_step(state):
    """Step of the best evaluation; now, where no score could be taken."""
    return state.best["step"] if state.best else state.step


def window_means(window):
    """Means over the steps that were taken, in float64.

    Args:
        window: Name -> `[n]`, with `is_taken`.

    Returns:
        Name -> number, with `skipped` in place of `is_taken`.
    """
    taken = window["is_taken"] > 0.5
    means = {
        name: float(np.mean(values[taken], dtype=np.float64))
        for name, values in window.items()
        if name != "is_taken" and taken.any()
    }
    return means | {"skipped": int(np.sum(~taken))}
