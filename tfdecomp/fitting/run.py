"""From a video to a model of its own, and to tracks.

    look      what moves, how large, how many: chooses scale, crops, slots
    train     SILOT goes on from shipped weights, on crops of what moves
    choose    the weights that follow best, by a score without labels
    predict   with them

Everything is in one folder, and the same call goes on where it stopped.
"""

import dataclasses
import json
import math
import os
import pathlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tfdecomp import training
from tfdecomp.data import errors
from tfdecomp.data.building import moving_clips
from tfdecomp.fitting import doubts as doubts_lib
from tfdecomp.fitting import inputs as inputs_lib
from tfdecomp.fitting import plan as plan_lib
from tfdecomp.fitting import score as score_lib
from tfdecomp.fitting import stopping
from tfdecomp.fitting.folder import (
    FOOTAGE,
    GIN_NAME,
    LOOKED,
    OUT,
    RUN,
    STATE_NAME,
    FitError,
    FitFolder,
)
from tfdecomp.fitting.request import Request
from tfdecomp.prediction import (
    choosing,
    looking,
    regions,
    runner,
    stream,
    trust,
)
from tfdecomp.prediction import options as options_lib
from tfdecomp.prediction.files import folder as folder_lib
from tfdecomp.prediction.view import View
from tfdecomp.sharing import hub, packing
from tfdecomp.storage import configs, saving
from tfdecomp.types import Path, ShouldStop, StageProgress

__all__ = ["OUT", "RUN", "STATE_NAME", "Fit", "FitError", "Request", "fit"]

# Without these nothing can be learned.
FATAL = ("too_short", "nothing_moves", "camera_moves", "everything_moves")
_HELD_OUT = 6  # runs to score on
_CALIBRATION = 12  # steps whose time is measured
_FIRST_CALLS = 3  # of a training, whose time says nothing of the others
_WRITING = 40.0  # frames a second of decoding and drawing, about, at 1 MP
_SHARE = 0.9  # of the time that is planned; the rest is for what goes wrong
_MODEL_BYTES = 48 * 2**20  # of checkpoints and what goes with them, about
_LEAST = 60.0  # seconds of training that are worth it


class Fit:
    """A fit in a folder.

    Args:
        request: `Request`.
        output: The folder.
        say: Called with lines of text.
        progress: Called with a stage, and the numbers done and of all.
        should_stop: Whether to stop soon.

    Raises:
        FitError: If the folder holds something else.
        DatasetInputError: If a video cannot be read.
    """

    def __init__(
        self,
        request: Request,
        output: Path,
        say: Callable[[str], object] = print,
        progress: StageProgress | None = None,
        should_stop: ShouldStop | None = None,
    ):
        self.folder = FitFolder(output)
        self.path = self.folder.path
        self.say = say
        self.progress = progress or (lambda stage, done, total: None)
        self.should_stop = should_stop or (lambda: False)
        self._begin = time.monotonic()
        options = request.options
        self.footages = [options.footage(source) for source in request.sources]
        # A picture may be gone when it is asked for again.
        region = regions.kept(options.region, self.footages[0].size)
        options = dataclasses.replace(options, region=region)
        self.request = dataclasses.replace(request, options=options)
        self._identity = self.request.identity()
        self._read_state()

    # ---- state -------------------------------------------------------------

    def _read_state(self):
        self.state = self.folder.read(self._identity)
        self._spent = self.state.get("seconds", 0.0)

    def _write_state(self, **changes):
        seconds = self._spent + time.monotonic() - self._begin
        self.state |= {
            "request": self._identity,
            "seconds": round(seconds, 1),
            **changes,
        }
        self.folder.write(self.state)

    def _elapsed(self):
        return self._spent + time.monotonic() - self._begin

    # ---- stages ------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        """Does what is left; returns the content of `fit.json`."""
        if not self._is_finished():
            with self.folder.held():
                self._read_state()  # another process may have gone on
                self.folder.settle()
                return self._run_with_room()
        self.say(f"{self.path} is finished")
        return self.state

    def _run_with_room(self):
        try:
            return self._run()
        except OSError as error:
            if error.errno not in folder_lib.FULL:
                raise
            raise self._full() from error

    def _full(self, needed=""):
        return FitError(
            f"the disk of {self.path} is full{needed}; make room, and the same "
            "command goes on"
        )

    def _is_finished(self):
        return self.state.get("stage") == "finished"

    def _run(self):
        if self._is_finished():
            return self.state
        initial = hub.load(self.request.model)
        if not hasattr(initial.model, "largest_box"):
            raise FitError(
                f"{self.request.model} cannot be fitted to a video; begin "
                "with 'silot_motion'"
            )
        choice = self._look(initial)
        if "plan" not in self.state:
            self._plan(initial, choice)
        if self.state["stage"] == "planned" and not self._train():
            return self.state
        if self.state["stage"] == "trained":
            self._choose_weights(choice)
        self._predict(choice)
        return self.state

    def _look(self, initial):
        """Looks at the videos; what was chosen once stays."""
        glance = looking.glance(
            self.footages,
            lambda done, total: self.progress("looking", done, total),
            self.should_stop,
        )
        asked = choosing.asked(self.request.options, glance.frame_size)
        choice = choosing.choose(
            glance,
            asked,
            initial.model.largest_box,
            self.state.get("scale"),
            self.request.inputs == "difference",
        )
        fatal = [words for kind, words in choice.problems if kind in FATAL]
        dark = doubts_lib.in_the_dark(glance)
        fatal = [dark] if dark else fatal  # all else follows from it
        if fatal:
            raise FitError("; ".join(fatal))
        doubts = [words for _, words in choice.problems]
        doubts += doubts_lib.of_video(glance, choice.survey, asked.objects)
        for words in doubts:
            self.say(f"warning: {words}")
        self.say(table(choice.facts))
        return choice

    def _plan(self, initial, choice):
        """Keeps frames to train on, measures the speed, plans the rest."""
        view = choice.view
        plain = View(view.frame_size, view.size)
        runs = _of_one_length(
            looking.runs_of(
                self.footages,
                plain,
                plan_lib.runs_to_keep(view.size),
                plan_lib.RUN_LENGTH,
                lambda done, total: self.progress("reading", done, total),
                self.should_stop,
            )
        )
        self._check_room(sum(run.nbytes for run in runs))
        # From here on the folder says whose it is, wherever it stops.
        self._write_state(stage=LOOKED)
        folder = self.path / FOOTAGE
        shutil.rmtree(folder, ignore_errors=True)
        moving_clips.write(folder, runs, view.scene)
        first = plan_lib.plan(
            folder,
            initial.model.largest_box,
            initial=self.request.model,
            inputs=self.request.inputs,
        )
        self.say("measuring how fast this machine is ...")
        before = self._score(initial.model, choice)
        self.say(f"before training: {words(before)}")
        rate = self._steps_per_second(first)
        frames = sum(footage.num_frames for footage in self.footages)
        size = np.prod(view.frame_size) / 1e6
        ahead = frames / before.rate + frames * max(0.3, size) / _WRITING
        left = 60 * self.request.minutes * _SHARE - self._elapsed() - ahead
        if left < _LEAST:
            self.say(
                f"the video alone takes {duration(ahead)}; training for "
                f"{duration(_LEAST)} all the same"
            )
        settled = first.with_steps(rate * max(left, _LEAST), rate)
        path, workdir = self.path / GIN_NAME, self.path / RUN
        saving.atomic_write(path, settled.text(path, workdir, folder).encode())
        self.say(
            f"training {settled.num_steps} steps on clips of "
            f"{settled.size}x{settled.size} pixels with "
            f"{settled.num_slots - 1} slots, "
            f"{duration(settled.num_steps / rate)}; then the whole video, "
            f"{duration(ahead)}"
        )
        self._write_state(
            stage="planned",
            plan=dataclasses.asdict(settled),
            # As it is: the ratio of two rounded sides may give another width.
            scale=choice.scale,
            before=dataclasses.asdict(before),
        )

    def _check_room(self, size):
        """Refuses a disk without room for the frames, and a model beside."""
        needed = size + _MODEL_BYTES
        free = shutil.disk_usage(self.path).free
        if free < needed:
            raise self._full(
                f": {free / 2**20:.0f} MiB are free, and the training needs "
                f"{needed / 2**20:.0f} MiB"
            )

    def _steps_per_second(self, first):
        """Steps a second of training, measured on the longest clips."""
        pace = Pace(self.should_stop)
        with tempfile.TemporaryDirectory() as scratch:
            longest = dataclasses.replace(
                first, clip_lengths=((0, first.frames),)
            )
            self._run_training(
                longest, pathlib.Path(scratch), pace, is_quiet=True
            )
        if self.should_stop() or not pace.is_known:
            raise KeyboardInterrupt  # which the training took as its end
        return pace.rate

    def _run_training(self, plan, workdir, should_stop=None, is_quiet=False):
        text = plan.text("fit.gin", workdir, self.path / FOOTAGE)
        with configs.isolated():
            path = pathlib.Path(tempfile.mkdtemp()) / GIN_NAME
            path.write_text(text)
            try:
                configs.parse([path])
                with _muted(is_quiet):
                    return training.run(
                        workdir,
                        seed=self.request.seed,
                        command="tfdecomp fit",
                        should_stop=should_stop,
                    )
            finally:
                shutil.rmtree(path.parent)

    def _train(self):
        """Trains to the end, or until stopped; returns whether to its end."""
        fields = dict(self.state["plan"])
        fields["clip_lengths"] = tuple(map(tuple, fields["clip_lengths"]))
        result = self._run_training(
            plan_lib.Plan(**fields),
            self.path / RUN,
            lambda step: self.should_stop(),
        )
        is_done = result["state"] == "finished"
        self._write_state(stage="trained" if is_done else "planned")
        if not is_done:
            self._pack("latest", {})
            self.say(
                f"stopped; the weights so far are in {self.path}, and the "
                "same command goes on"
            )
        return is_done

    def _choose_weights(self, choice):
        """Takes the best of the last checkpoints and of those before."""
        folder = self.path / RUN / saving.CHECKPOINT_FOLDER
        best, best_step = score_lib.Score(**self.state["before"]), None
        for step in saving.checkpoint_steps(folder):
            model, _ = saving.restore_model(self.path / RUN, step)
            found = self._score(model, choice)
            self.say(f"step {step}: {words(found)}")
            if found.total >= best.total:
                best, best_step = found, step
        if best_step is None:
            self.say(
                "training did not help; the weights it began with are kept"
            )
        self._pack(best_step, dataclasses.asdict(best))
        self._write_state(
            stage="chosen", best_step=best_step, after=dataclasses.asdict(best)
        )

    def _score(self, model, choice):
        """Scores a model on some of the runs that were kept."""
        frames = np.load(
            self.path / FOOTAGE / moving_clips.FRAMES_NAME, mmap_mode="r"
        )
        count = min(_HELD_OUT, len(frames))
        chosen = np.linspace(0, len(frames) - 1, count).astype(int)
        names = ("boxes", "presence", "track_ids")
        given = None
        if self.request.inputs == "given":
            given = stream.given_of(choice.view.scene)
        reader = stream.Stream(model, choice.num_slots, None, names, given)
        return score_lib.score(
            reader, choice.view, frames[chosen], self.should_stop
        )

    def _pack(self, which, score):
        """Writes the model that `tfdecomp.load` takes."""
        workdir = self.path / RUN
        options = self.request.options
        extra = {
            "sees": "difference"
            if self.request.inputs == "difference"
            else "background",
            "fitted": {
                "frame_size": list(self.footages[0].size),
                "scale": self.state["scale"],
                "region": options.region,
                "objects": options.objects,
                "object_size": options.object_size,
                "min_area": options.min_area,
                "max_area": options.max_area,
            },
        }
        which = 0 if which is None else which
        if which == 0:
            which = self._step_zero()
        packing.pack(
            workdir,
            self.path,
            self.path.name,
            which=which,
            score={k: v for k, v in score.items() if _is_number(v)},
            extra=extra,
        )

    def _step_zero(self):
        """A checkpoint of the weights that training began with."""
        folder = self.path / RUN / saving.CHECKPOINT_FOLDER
        steps = saving.checkpoint_steps(folder)
        if 0 in steps:
            return 0
        arrays, meta = saving.read_checkpoint(
            saving.checkpoint_path(folder, steps[-1])
        )
        model = hub.load(self.request.model).model
        arrays |= saving.variable_arrays("model", model.variables)
        saving.write_checkpoint(folder, 0, arrays, {**meta, "step": 0})
        return 0

    def _predict(self, choice):
        loaded = hub.load(self.path)
        # It begins anew where it was stopped, so little is worth writing.
        should_stop = stopping.Grace(self.should_stop)
        verdicts = []
        for number, footage in enumerate(self.footages):
            out = self.path / OUT
            if len(self.footages) > 1:
                out = out / f"{number + 1:02d}_{footage.name}"
            record = folder_lib.read_record(out)
            if record.get("state") == "finished":
                verdicts.append(record["trust"])
                continue
            own = choice if len(self.footages) == 1 else None
            job = loaded.job(footage, self.request.options, should_stop, own)
            job.facts += self._facts()
            job.can_fit = False  # that is what was done
            result = runner.track(
                job,
                out,
                info=loaded._summary(),
                overwrite=True,
                progress=lambda done, total: self.progress(
                    "predicting", done, total
                ),
                should_stop=should_stop,
            )
            if result["state"] != "finished":
                self.say(
                    f"stopped: the first {result['num_frames']} frames are in "
                    f"{result['output']}; the same command goes on"
                )
                return
            verdicts.append(result["trust"])
        self._keep_reference(verdicts)
        self._write_state(stage="finished", trust=verdicts, out=OUT)

    def _keep_reference(self, verdicts):
        """Later videos are compared with those that were fitted."""
        own = [verdict["own"] for verdict in verdicts if "own" in verdict]
        path = self.path / hub.INFO_NAME
        info = json.loads(path.read_text())
        saving.write_json(
            path, info | {"reference": trust.joined_reference(own)}
        )

    def _facts(self):
        plan = self.state["plan"]
        rows = [
            (
                "training",
                f"{plan['num_steps']} steps from {plan['initial']}",
                f"{self.request.minutes:g} minutes in all",
            )
        ]
        for name, title in (("before", "before it"), ("after", "after it")):
            if name in self.state:
                score = score_lib.Score(**self.state[name])
                rows.append((title, words(score), "a score without labels"))
        return rows


class Pace:
    """Measures the speed of a training; true once it is known.

    Args:
        should_stop: Whether to give up.
        clock: Gives seconds.
    """

    def __init__(self, should_stop, clock=time.monotonic):
        self._should_stop, self._clock, self._times = should_stop, clock, []

    def __call__(self, step):
        self._times.append((step, self._clock()))
        return self.is_known or self._should_stop()

    @property
    def is_known(self):
        """Whether there were enough steps, and calls of several of them."""
        times = self._times
        return len(times) > _FIRST_CALLS and times[-1][0] >= _CALIBRATION

    @property
    def rate(self):
        """Steps a second."""
        (begin, start), (end, stop) = (
            self._times[_FIRST_CALLS - 1],
            self._times[-1],
        )
        return (end - begin) / max(stop - start, 1e-6)


def fit(
    source: Path | list[Path] | tuple[Path, ...],
    output: Path,
    *,
    minutes: float = 30.0,
    model: str = "silot_motion",
    inputs: str = "difference",
    seed: int = 0,
    say: Callable[[str], object] = print,
    progress: StageProgress | None = None,
    should_stop: ShouldStop | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Fits a model to a fixed-camera video and follows what moves in it.

    Args:
        source: Path of a video, of a folder of videos or of frames, or a list
            of these of one scene.
        output: Folder: it holds a model for `tfdecomp.load`, and in `out/`
            what `tfdecomp predict` writes. The same call again goes on.
        minutes: How long it may take in all, about.
        model: Model to begin with.
        inputs: `"difference"` or `"given"`, see `Request`.
        seed: Seed of the training.
        say: Called with lines of text.
        progress: Called with a stage, and the numbers done and of all.
        should_stop: Called often; true stops soon and keeps what there is.
        **options: Fields of `prediction.runner.Options`: `objects`,
            `region`, `object_size`, `size`, `min_area`, ...

    Returns:
        The content of `fit.json`.

    Raises:
        FitError: If the videos do not suit, or the folder holds something
            else.
        DatasetInputError: If a video cannot be read.
    """
    options_lib.check_names(options)
    options_lib.check_calls(say=say, progress=progress, should_stop=should_stop)
    given = source if isinstance(source, (list, tuple)) else [source]
    sources = []
    for one in given:
        sources += inputs_lib.videos_of(one)
    request = Request(
        tuple(dict.fromkeys(sources)),
        minutes,
        runner.Options(**{"chunk": 16, **options}),
        model,
        inputs,
        seed,
    )
    return Fit(request, output, say, progress, should_stop).run()


def table(rows) -> str:
    """Rows of `(name, value, how)` as lines for a terminal."""
    wide = [max(len(str(row[n])) for row in rows) for n in (0, 1)]
    return "\n".join(
        f"  {name:<{wide[0]}}  {value:<{wide[1]}}  {how}"
        for name, value, how in rows
    )


def words(score) -> str:
    """A score in words."""
    return (
        f"score {score.total:.3f} (covers {100 * score.covered:.1f} % of what "
        f"moves, {100 * score.empty:.1f} % of boxes on nothing, "
        f"{100 * score.doubled:.1f} % doubled, {100 * score.restarts:.1f} % "
        "of numbers new)"
    )


def duration(seconds) -> str:
    """Such as `40 s` or `7 min`."""
    if seconds < 90:
        return f"{max(1, math.ceil(seconds))} s"
    return f"{math.ceil(seconds / 60)} min"


def _of_one_length(runs):
    """Runs of the length that most have; longer ones are cut."""
    runs = list(runs)
    if not runs:
        raise errors.LayoutError("the video has no run of frames")
    length = int(np.median([len(run) for run in runs]))
    return [run[:length] for run in runs if len(run) >= length]


def _is_number(value):
    return isinstance(value, (int, float)) and math.isfinite(value)


class _muted:
    """Sends what is printed nowhere."""

    def __init__(self, is_quiet):
        self._is_quiet = is_quiet

    def __enter__(self):
        self._out = sys.stdout
        if self._is_quiet:
            self._null = open(os.devnull, "w")
            sys.stdout = self._null

    def __exit__(self, *error):
        if self._is_quiet:
            sys.stdout = self._out
            self._null.close()
