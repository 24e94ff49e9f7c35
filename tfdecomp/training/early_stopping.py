"""Stages of training: stop early, go back to the best weights, go on slower."""

import gin
import numpy as np
import tensorflow as tf

from tfdecomp.ops import schedules as schedules_lib

MODES = {"max": 1.0, "min": -1.0}
WAYS = ("continue", "restart", "final")
SCOPES = ("run", "stage")
_END = 2**31 - 1  # a step at which every schedule has reached its end


@gin.register(module="training")
class EarlyStopping:
    """Stops where a score no longer gets better, possibly several times.

    After all but the last stop training goes on from the best weights, with a
    lower learning rate and an optimizer that has forgotten everything.
    Steps and the position in the data count on. After the last one the best
    weights are those of the last checkpoint; a run whose `num_steps` end
    before keeps its last weights, as without this.

    Args:
        metric: Score of the evaluations, or several that are added up. Scores
            of a condition of the protocol that predicts frames begin with
            `predicted_`, such as `"predicted_mota"`.
        mode: "max" or "min", which the better score is.
        patience: Steps without a better score after which to stop.
        start: Step from which on scores count. What was best before is
            forgotten there.
        num_stops: Stop that ends the run.
        rate_factor: Learning rates are multiplied by it at every stop.
        schedules: Name of a scheduled weight -> what it does after the first
            stop: `"continue"`, `"restart"` from step 0 at every stop,
            `"final"`: the value that its schedule ends with, or a schedule of
            the steps since the last stop. Those not named continue.
        best_of: Among which scores the best one is looked for: `"run"`: all
            that count so far, or `"stage"`: those since the last stop. A
            stage then begins by scoring the weights that it goes on from,
            and what came before is forgotten.
        longest: Steps after which a stage is stopped anyway; `None` for no
            limit. Looked at, as the score is, at evaluations.

    Raises:
        ValueError: If a value makes no sense.

    In a config, for example:

        training.run.early_stopping = @training.EarlyStopping()
        training.EarlyStopping.metric = 'mota'
        training.EarlyStopping.patience = 30_000
        training.EarlyStopping.num_stops = 3

    References:
        Crawford and Pineau, SILOT. AAAI 2020, supplement E.1.
    """

    def __init__(
        self,
        metric=gin.REQUIRED,
        mode="max",
        patience=gin.REQUIRED,
        start=0,
        num_stops=1,
        rate_factor=1.0 / 3.0,
        schedules=None,
        best_of="run",
        longest=None,
    ):
        self.metric = (metric,) if isinstance(metric, str) else tuple(metric)
        self.mode = mode
        self.patience = patience
        self.start = start
        self.num_stops = num_stops
        self.rate_factor = rate_factor
        self.schedules = dict(schedules or {})
        self.best_of = best_of
        self.longest = longest
        self._check()

    def _check(self):
        if self.mode not in MODES:
            raise ValueError(
                "training.EarlyStopping.mode must be 'max' or 'min', got "
                f"{self.mode!r}"
            )
        if self.best_of not in SCOPES:
            raise ValueError(
                f"training.EarlyStopping.best_of must be one of {SCOPES}, got "
                f"{self.best_of!r}"
            )
        least = {"patience": 0, "start": 0, "num_stops": 1, "longest": 1}
        for name, lowest in least.items():
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise ValueError(
                    f"training.EarlyStopping.{name} must be at least {lowest}, "
                    f"got {value}"
                )
        if not 0 < self.rate_factor <= 1:
            raise ValueError(
                "training.EarlyStopping.rate_factor must be above 0 and at "
                f"most 1, got {self.rate_factor}"
            )
        for name, way in self.schedules.items():
            known = way in WAYS if isinstance(way, str) else False
            if not known and not isinstance(way, schedules_lib.Schedule):
                raise ValueError(
                    f"training.EarlyStopping.schedules[{name!r}] must be one "
                    f"of {WAYS} or a schedule such as @schedules.Constant(), "
                    f"got {way!r}"
                )

    def criterion(self, scores) -> float:
        """What is compared: larger is better.

        Args:
            scores: Name -> number of an evaluation.

        Raises:
            ValueError: If a score is missing.
        """
        for name in self.metric:
            if name not in scores:
                raise ValueError(
                    f"training.EarlyStopping.metric names {name!r}, but "
                    f"evaluations of this run give {', '.join(sorted(scores))};"
                    " name one of these, or let training.run.protocol ask for "
                    "it (evaluation.Protocol.tracking = 'auto', conditions "
                    "that predict)"
                )
        return MODES[self.mode] * sum(scores[name] for name in self.metric)

    def is_better(self, scores, step, best) -> bool:
        """Whether the scores of `step` are the best that count."""
        value = self.criterion(scores)
        if best is None or best["step"] < self.start <= step:
            return not np.isnan(value)
        return value > self.criterion(best)

    def is_over(self, step, resumed_at, best) -> bool:
        """Whether to stop at an evaluation.

        Args:
            step: Step of the evaluation.
            resumed_at: Step of the last stop, 0 before the first.
            best: Row of the best evaluation, or None.
        """
        if self.longest is not None and step - resumed_at >= self.longest:
            return True
        last = max(self.start, resumed_at, best["step"] if best else 0)
        return step - last > self.patience

    def rate(self, stops):
        """Factor of the learning rates after so many stops, a scalar."""
        return self.rate_factor ** tf.cast(stops, tf.float32)

    def value(self, name, schedule, step, stops, resumed_at):
        """The value of a scheduled weight, a float32 scalar.

        Args:
            name: Name of the weight.
            schedule: Its schedule before the first stop.
            step: Number of the step.
            stops: Stops so far, a scalar.
            resumed_at: Step of the last one.
        """
        way = self.schedules.get(name, "continue")
        first = schedule(step)
        if way == "continue":
            return first
        if way == "final":
            later = schedule(tf.constant(_END, tf.int64))
        else:
            later = schedule if way == "restart" else way
            later = later(step - resumed_at)
        return tf.where(stops > 0, later, first)
