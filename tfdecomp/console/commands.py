"""What the commands share: one-line errors, and opening a trained model.

Imports neither TensorFlow nor a model by itself, so that a mistake in the
flags is reported at once.
"""

import dataclasses
import functools
import hashlib
import os
import pathlib
import sys

from absl import app, flags, logging

from tfdecomp.console import quiet as quiet_lib

TRUST_CONFIG = (
    "Lets the config import modules, as in training, which runs their code: "
    "only for a config of your own. By default a config is read as data and "
    "nothing of it is run."
)


def finish(work, quiet=logging.WARNING):
    """Does the work of a command; an error becomes one line.

    Args:
        work: Function without arguments that returns the exit status, or
            None for success.
        quiet: Verbosity of the log unless the user asks for another; TFDS and
            TensorFlow report each file they read.

    Returns:
        The exit status. With `--verbosity=1` errors are raised instead.
    """
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(quiet)
    quiet_lib.tensorflow()
    try:
        return work() or 0
    except (ValueError, OSError, RuntimeError) as error:
        if flags.FLAGS.verbosity > 0:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1


def refuse_words(argv):
    """Raises unless the command line has flags alone."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")


def default_workdir(gin_file, seed) -> str:
    """`gin/quick/provide.gin -> "~/runs/quick_provide"`."""
    from tfdecomp.storage import configs

    path = configs.find(gin_file).resolve()
    root = configs.root().resolve()
    inside = path.is_relative_to(root)
    name = path.relative_to(root) if inside else pathlib.Path(path.name)
    name = "_".join(name.with_suffix("").parts)
    return f"~/runs/{name}" + (f"_seed{seed}" if seed else "")


def model_folder(workdir, model) -> pathlib.Path:
    """The folder of the model that `--workdir` or `--model` names.

    Args:
        workdir: Work directory of a run, or None.
        model: Name of a shipped model or its folder, or None.

    Raises:
        ValueError: If not exactly one is given, or it does not exist.
    """
    if (workdir is None) == (model is None):
        raise ValueError(
            "give either --workdir=DIR of a run or --model=NAME of a trained "
            "model"
        )
    if workdir is None:
        from tfdecomp.storage import catalogue

        return catalogue.resolve(model)
    folder = pathlib.Path(os.path.expanduser(workdir))
    if not folder.is_dir():
        raise ValueError(
            f"there is no work directory {folder}; give the folder that was "
            "--workdir in training"
        )
    return folder


@dataclasses.dataclass
class Opened:
    """A trained model whose config is the active one.

    Attributes:
        model: The `DecompositionModel`, with its weights.
        name: Its name if it was published under one.
        trained_on: Dataset it was trained on, if that has a name.
        run: Where the weights come from; what tells runs and seeds apart.
    """

    model: object
    name: str | None
    trained_on: str | None
    run: dict


def open_model(folder, bindings=(), trust_config=False) -> Opened:
    """Loads a model and makes its config the active one.

    Args:
        folder: From `model_folder`.
        bindings: Lines that override the config.
        trust_config: Whether the config may import modules, which runs their
            code.

    Raises:
        ValueError: If it was fitted to footage, which has no labels.
    """
    from tfdecomp.storage import configs

    configs.restore(folder, bindings, trust_config)
    _refuse_footage(configs, folder)

    from tfdecomp.sharing import hub

    loaded = hub.load(folder)
    trained_on = configs.literal("training.run.dataset")
    return Opened(
        model=loaded.model,
        name=loaded.info.get("name"),
        trained_on=trained_on if isinstance(trained_on, str) else None,
        run=_run_info(folder, loaded.info),
    )


def _refuse_footage(configs, folder):
    if configs.refers_to("training.run.dataset", "data.moving_clips"):
        raise ValueError(
            f"{folder} was fitted to footage, which has no labels to score "
            "it by; predict a video whose tracks are known, and score that: "
            f"'tfdecomp predict --model={folder} --input=VIDEO --output=OUT', "
            "then 'tfdecomp evaluate --tracks=OUT --truth=gt.txt'"
        )


def open_clips(data_dir, manual_dir=None):
    """The opener of stored and newly generated clips; prepares what lacks.

    Args:
        data_dir: Where prepared sets are; None: as TFDS has it.
        manual_dir: Files that sets were made from, for new clips of them.
    """
    from tfdecomp import builders
    from tfdecomp.evaluation import clips

    fresh_clips = functools.partial(
        builders.fresh_clips, data_dir=data_dir, manual_dir=manual_dir
    )
    return clips.opener(data_dir, builders.prepare, fresh_clips)


def score(opened, protocol, data_dir=None, **options) -> dict:
    """Scores an opened model while its config is the active one.

    Args:
        opened: From `open_model`.
        protocol: A `tfdecomp.evaluation.protocol.Protocol`.
        data_dir: Where prepared sets are; None: as TFDS has it.
        **options: Further arguments of `evaluation.runner.Evaluator`.

    Returns:
        What the evaluator returns, and `run`: where the weights come from.
    """
    from tfdecomp.evaluation import runner

    result = runner.evaluate(
        opened.model,
        protocol,
        name=opened.name,
        trained_on=opened.trained_on,
        open_clips=open_clips(data_dir),
        **options,
    )
    return result | {"run": opened.run}


def _run_info(folder, info):
    from tfdecomp.sharing import recording
    from tfdecomp.storage import configs
    from tfdecomp.training import workdir

    asked, _ = configs.split_operative(configs.saved(folder))
    run = recording.run_file(folder)
    command = run.get("command") or info.get("command")
    return {
        "workdir": str(folder.resolve()),
        "seed": run.get("seed", info.get("seed")),
        "step": info.get("step"),
        "weights": info.get("weights"),
        "gin_file": recording.asked(command)[0],
        "config": hashlib.sha256(asked.encode()).hexdigest(),
        "commit": workdir.commit(),
        "versions": workdir.versions(),
    }


class Bar:
    """A progress bar on a terminal; nothing in a pipe.

    Args:
        unit: What is counted.
        total: How many there are, if known.
    """

    def __init__(self, unit, total=None):
        self.unit, self.total = unit, total

    def __enter__(self):
        import tqdm

        self._bar = tqdm.tqdm(
            total=self.total, unit=f" {self.unit}", disable=None, leave=False
        )
        return self

    def update(self, done, total=None):
        """Takes the number done in the present pass, and of all if known."""
        self._bar.total = total or self._bar.total
        self._bar.n = done
        self._bar.refresh()

    def __exit__(self, *exception):
        self._bar.close()


class StageBar:
    """A bar on a terminal for each stage of a longer work; lines in a pipe."""

    def __init__(self):
        self._stage, self._bar = None, None

    def __enter__(self):
        return self

    def update(self, stage, done, total):
        """Takes the number done in a stage."""
        import tqdm

        if stage != self._stage:
            self._close()
            self._stage = stage
            self._bar = tqdm.tqdm(
                total=total,
                desc=stage,
                unit=" frames",
                disable=None,
                leave=False,
            )
        self._bar.n = done
        self._bar.refresh()

    def say(self, text):
        """Prints lines without breaking the bar."""
        self._close()
        print(text, flush=True)

    def _close(self):
        if self._bar is not None:
            self._bar.close()
        self._stage = self._bar = None

    def __exit__(self, *exception):
        self._close()
