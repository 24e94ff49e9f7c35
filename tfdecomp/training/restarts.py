"""Runs whose slots have collapsed begin anew, with another seed."""

import gin
import numpy as np

from tfdecomp.training.early_stopping import MODES


@gin.register(module="training")
class Restarts:
    """Gives a run up that learns nothing, and begins it anew.

    Some seeds end where slots stay twins or share what is one object. A score
    that needs no labels tells them early, such as the error of what is drawn:
    twins leave an object to nobody. Then weights, noise and the order of the
    clips are drawn with another seed, and the run is at step 0 again. Its
    minutes count on, and `run.json` lists what was given up.

    Args:
        step: Step of the evaluation that decides, a multiple of
            `training.run.eval_every`.
        limit: What the score must reach there.
        metric: Score of the evaluations; `"mse"` needs no labels.
        mode: "max" or "min", which the better score is.
        most: Restarts after which a run goes on whatever its score.

    Raises:
        ValueError: If a value makes no sense.

    In a config, for example:

        training.run.restarts = @training.Restarts()
        training.Restarts.step = 4000
        training.Restarts.limit = 0.018
    """

    def __init__(
        self,
        step=gin.REQUIRED,
        limit=gin.REQUIRED,
        metric="mse",
        mode="min",
        most=3,
    ):
        self.step = step
        self.limit = limit
        self.metric = metric
        self.mode = mode
        self.most = most
        if mode not in MODES:
            raise ValueError(
                f"training.Restarts.mode must be 'max' or 'min', got {mode!r}"
            )
        for name in ("step", "most"):
            value = getattr(self, name)
            if value < 1 or value != int(value):
                raise ValueError(
                    f"training.Restarts.{name} must be a whole number from 1, "
                    f"got {value}"
                )

    def gives_up(self, scores, step, restarts) -> bool:
        """Whether to begin anew after an evaluation.

        Args:
            scores: Name -> number of the last evaluation, with its `step`;
                None before the first.
            step: Step of the run.
            restarts: How often it began anew already.

        Raises:
            ValueError: If the evaluation has no such score.
        """
        is_asked = step == self.step and restarts < self.most
        if not is_asked or (scores or {}).get("step") != step:
            return False
        if self.metric not in scores:
            raise ValueError(
                f"training.Restarts.metric is {self.metric!r}, but evaluations "
                f"of this run give {', '.join(sorted(scores))}; name one of "
                "these"
            )
        sign, score = MODES[self.mode], scores[self.metric]
        return bool(np.isnan(score) or sign * score < sign * self.limit)
