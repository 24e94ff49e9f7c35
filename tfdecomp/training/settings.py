"""What a run is: the arguments that gin knows as `training.run`."""

import copy
import dataclasses
import hashlib
from collections.abc import Callable

import gin
import keras

from tfdecomp.ops import schedules as schedules_lib
from tfdecomp.storage import configs, saving
from tfdecomp.training import optimizers, strategy
from tfdecomp.training.early_stopping import EarlyStopping
from tfdecomp.training.restarts import Restarts


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything about a run that changes its result.

    Args:
        model: The model, as a reference (`@models.PROVIDE()`).
        dataset: Name of a TFDS dataset with its config, or a function with
            the arguments `batch_size`, `num_frames`, `seed`, `start` that
            returns a `tf.data.Dataset` of batches.
        num_steps: Optimizer steps of the whole run.
        batch_size: Clips per step, all devices together.
        clip_length: Frames per clip.
        clip_lengths: Curriculum `((0, 4), (20_000, 10))`: from which step on
            clips have how many frames; overrides `clip_length`.
        split: Split of the dataset.
        optimizer: What updates weights, such as `@training.Adam()`.
        rewrite_arithmetic: Whether TensorFlow may reorder the graph's
            arithmetic, which saves some per cent of time. In a graph with
            many sums their order then differs from process to process, and
            the last bit of what they give: a resumed run would not be exact.
        clip_norm: Largest global norm of the gradient, after summing over
            devices; `None` for no clipping.
        micro_batch_size: Clips that a device holds in memory at a time; the
            gradient is summed over micro-batches. `None` for all at once.
        schedules: Name of a weight in the model's `scheduled_weights` ->
            schedule of the step.
        beta_schedule: `None`, "nll_threshold", or a `NllThreshold`.
        ema_decay: Decay of averaged weights, used by evaluation; `None` for
            none.
        jit_compile: Whether XLA compiles the gradient.
        steps_per_call: Most steps between two looks of the host.
        log_every: Steps between lines, scalars and checks.
        checkpoint_every: Steps between checkpoints.
        checkpoint_minutes: Minutes after which one is written anyway.
        keep_checkpoints: Newest checkpoints that stay, besides the best.
        eval_every: Steps between evaluations; 0 for none.
        protocol: What an evaluation counts (`@evaluation.Protocol()`).
        early_stopping: When to stop before `num_steps`, and what changes then
            (`@training.EarlyStopping()`); `None` for never.
        restarts: When a run is given up and begun anew with another seed
            (`@training.Restarts()`); `None` for never.
        pictures_every: Steps between pictures; 0 for none.
        max_nonfinite: Non-finite steps in a row that stop the run.
        collapse_after: Steps in a collapsed state before it is reported; 0
            for never.
        on_collapse: "warn" or "stop".
        allow_few_slots: Whether a model may have fewer slots than the
            pictures have objects.
        initial_model: Name or folder of a model whose weights a new run
            begins with, see `training.initial_model`; `None` for fresh ones.
    """

    model: keras.Model = gin.REQUIRED
    dataset: str | Callable = gin.REQUIRED
    num_steps: int = gin.REQUIRED
    batch_size: int = gin.REQUIRED
    clip_length: int = 1
    clip_lengths: tuple | None = None
    split: str = "train"
    optimizer: optimizers.Moments | optimizers.Groups | None = None
    rewrite_arithmetic: bool = True
    clip_norm: float | None = 5.0
    micro_batch_size: int | None = None
    schedules: dict | None = None
    beta_schedule: str | optimizers.NllThreshold | None = None
    ema_decay: float | None = None
    jit_compile: bool = False
    steps_per_call: int = 10
    log_every: int = 100
    checkpoint_every: int = 1000
    checkpoint_minutes: float = 10.0
    keep_checkpoints: int = 3
    eval_every: int = 0
    protocol: object | None = None
    early_stopping: EarlyStopping | None = None
    restarts: Restarts | None = None
    pictures_every: int = 0
    max_nonfinite: int = 20
    collapse_after: int = 2000
    on_collapse: str = "warn"
    allow_few_slots: bool = False
    initial_model: str | None = None

    def __post_init__(self):
        _check_positive(
            self,
            "num_steps batch_size clip_length steps_per_call log_every "
            "checkpoint_every keep_checkpoints max_nonfinite",
        )
        if self.on_collapse not in ("warn", "stop"):
            raise ValueError(
                "training.run.on_collapse must be 'warn' or 'stop', got "
                f"{self.on_collapse!r}"
            )
        if getattr(self.model, "cannot_train", None):
            raise ValueError(self.model.cannot_train)
        _set(self, "optimizer", self.optimizer or optimizers.Adam())
        _set(self, "schedules", dict(self.schedules or {}))
        _set(self, "clip_lengths", _stages(self))
        _set(self, "beta_schedule", _beta_schedule(self.beta_schedule))
        _check_schedules(self)
        _check_early_stopping(self)
        _check_restarts(self)

    def frames_at(self, step: int) -> int:
        """Frames per clip at a step."""
        return [n for begin, n in self.clip_lengths if begin <= step][-1]

    def stage_end(self, step: int) -> int:
        """First step after `step` at which the clip length changes."""
        later = [begin for begin, _ in self.clip_lengths if begin > step]
        return min([*later, self.num_steps])


gin.register("run", module="training")(Settings)


def build_settings() -> Settings:
    """The `training.run` of the active config, its model built.

    Sets the process' precision and graph rewrites, too. Call it in the scope
    of a strategy to create the weights there.
    """
    strategy.set_precision()
    settings = gin.get_configurable(Settings)()
    strategy.set_rewrites(settings.rewrite_arithmetic)
    saving.build(settings.model)
    return settings


def build_model():
    """The model of the active config, with fresh weights."""
    strategy.set_precision()
    try:
        reference = gin.query_parameter("training.run.model")
    except ValueError:
        raise configs.ConfigError(
            "the config sets no training.run.model; a runnable config has a "
            "line such as training.run.model = @models.PROVIDE()"
        ) from None
    # gin evaluates a reference when it is copied.
    return saving.build(copy.deepcopy(reference))


def derive_seed(seed: int, purpose: str) -> int:
    """An int32 seed of its own for each use of a run's seed."""
    digest = hashlib.sha256(f"{purpose}:{seed}".encode()).digest()
    return int.from_bytes(digest[:4], "little") & 0x7FFFFFFF


def _set(settings, name, value):
    object.__setattr__(settings, name, value)


def _check_positive(settings, names):
    for name in names.split():
        value = getattr(settings, name)
        if value < 1 or value != int(value):
            raise ValueError(
                f"training.run.{name} must be a whole number from 1, got "
                f"{value}"
            )


def _stages(settings):
    stages = settings.clip_lengths or ((0, settings.clip_length),)
    stages = tuple((int(begin), int(frames)) for begin, frames in stages)
    begins = [begin for begin, _ in stages]
    if begins[0] != 0 or begins != sorted(set(begins)):
        raise ValueError(
            "training.run.clip_lengths must start at step 0 and rise, such as "
            f"((0, 4), (20_000, 10)); got {stages}"
        )
    if min(frames for _, frames in stages) < 1:
        raise ValueError(f"clips need at least one frame, got {stages}")
    return stages


def _beta_schedule(value):
    if value is None or not isinstance(value, str):
        return value
    if value not in optimizers.BETA_SCHEDULES:
        raise ValueError(
            "training.run.beta_schedule must be None or one of "
            f"{sorted(optimizers.BETA_SCHEDULES)}, got {value!r}"
        )
    return optimizers.BETA_SCHEDULES[value]()


def _check_schedules(settings):
    names = list(settings.schedules)
    if settings.beta_schedule is not None:
        names.append(settings.beta_schedule.name)
    known = tuple(getattr(settings.model, "scheduled_weights", ()))
    for name in names:
        if name not in known:
            raise ValueError(
                f"{type(settings.model).__name__} has no scheduled weight "
                f"{name!r}; it has {known}"
            )
    if len(set(names)) < len(names):
        raise ValueError(
            f"{settings.beta_schedule.name} has both a schedule and "
            "beta_schedule; drop one"
        )
    for name, schedule in settings.schedules.items():
        if not isinstance(schedule, schedules_lib.Schedule):
            raise ValueError(
                f"training.run.schedules[{name!r}] must be a schedule such as "
                f"@schedules.Linear(), got {schedule!r}"
            )


def _check_early_stopping(settings):
    rule = settings.early_stopping
    if rule is None:
        return
    if not settings.eval_every:
        raise ValueError(
            "training.run.early_stopping compares evaluations; set "
            "training.run.eval_every to the steps between them"
        )
    grown = settings.clip_lengths[-1][0]
    if rule.start < grown:
        raise ValueError(
            f"training.EarlyStopping.start is {rule.start}, but clips grow "
            f"until step {grown} (training.run.clip_lengths); scores of "
            "shorter clips would count"
        )
    for name in rule.schedules:
        if name not in settings.schedules:
            raise ValueError(
                f"training.EarlyStopping.schedules has {name!r}, but "
                f"training.run.schedules has only {sorted(settings.schedules)}"
            )


def _check_restarts(settings):
    rule, every = settings.restarts, settings.eval_every
    if rule is None:
        return
    if not every or rule.step % every or rule.step >= settings.num_steps:
        raise ValueError(
            f"training.Restarts.step is {rule.step}; it must be below the "
            f"{settings.num_steps} steps of the run and a multiple of "
            f"training.run.eval_every, which is {every}"
        )
