"""Scores and pictures of held-out clips in the middle of a run."""

import dataclasses

import numpy as np

from tfdecomp import builders
from tfdecomp.data import reader, stored_records
from tfdecomp.evaluation import clips, pictures, runner
from tfdecomp.evaluation.protocol import Protocol
from tfdecomp.storage import configs, saving
from tfdecomp.training import workdir

SCORES = (
    "f_ari",
    "ari",
    "f_ari_clip",
    "ari_clip",
    "mse",
    "apart",
    "count_accuracy",
    "location_accuracy",
    "mota",
    "elbo",
)

PREDICTED = "predicted_"
NUM_DRAWN = 2  # clips


class Evaluator:
    """Evaluates a copy of the model, so that training stays untouched.

    The copy has the averaged weights where the run keeps some.

    Args:
        session: The run's `Session`.
    """

    def __init__(self, session):
        self.session = session
        self.state = session.state
        self.folder = session.folder.path
        self.history = workdir.History(
            self.folder / "eval" / "scalars.jsonl", session.is_writer
        )
        self.protocol = session.settings.protocol or Protocol(num_clips=64)
        dataset = session.settings.dataset
        self.trained_on = dataset if isinstance(dataset, str) else None
        self._model = None
        self._runner = None
        self._painter = None
        self._open = clips.opener(session.data_dir, prepare=builders.prepare)

    def check(self):
        """Finds out whether the clips that the protocol wants are there.

        Raises:
            ValueError: If there are too few, or they lack something.
        """
        for condition in self.protocol.expand(self.trained_on):
            wanted = condition.num_clips or 1
            found = self._count(condition, wanted)
            if found < wanted:
                raise ValueError(
                    f"evaluations during this run want {wanted} clips, but "
                    f"{condition.dataset}:{condition.split} has {found}; set "
                    f"evaluation.Protocol.num_clips = {max(found, 1)}, take "
                    "another evaluation.Protocol.split, or set "
                    "training.run.eval_every = 0"
                )

    def _count(self, condition, wanted):
        """Clips of a condition; need not count beyond `wanted`."""
        model = self.session.settings.model
        batches = iter(self._open(condition, model, min(wanted, 8)))
        first = int(np.sum(next(batches, {"valid": 0})["valid"]))
        filtered = configs.parameter("data.make_dataset.filter_objects")
        is_stored = condition.fresh_seed is None and "*" not in condition.split
        if is_stored and not filtered:
            source = reader.open_source(
                condition.dataset, self.session.data_dir
            )
            return source.num_examples(condition.split)
        return first + sum(int(np.sum(b["valid"])) for b in batches)

    def evaluate(self):
        """Scores the protocol's clips; remembers them and the best step.

        Returns:
            Name -> score.
        """
        model = self._refreshed()
        if self._runner is None:
            # Mutual information takes up to a minute; `evaluate` has it.
            self._runner = runner.Evaluator(
                model,
                dataclasses.replace(self.protocol, mi_samples=0),
                trained_on=self.trained_on,
                open_clips=self._open,
            )
        with stored_records.explained(self.trained_on):
            results = self._runner.run()
        rule = self.session.settings.early_stopping
        scores = named_scores(results, rule.metric if rule else ())
        row = {"step": self.state.step, **scores}
        self.history.add(row)
        self.state.last_evaluation = row
        best = self.state.best
        better = (
            is_better(scores, best)
            if rule is None
            else rule.is_better(scores, self.state.step, best)
        )
        if better:
            self.state.best = row
        return scores

    def draw(self, board):
        """Writes pictures of the first held-out clips.

        Args:
            board: The `TensorBoard` that also gets those that do not move.
        """
        model = self._refreshed()
        if self._painter is None:
            self._painter = pictures.Painter(
                model,
                self.protocol,
                trained_on=self.trained_on,
                num_clips=NUM_DRAWN,
                open_clips=self._open,
            )
        # Sweeping latents takes hundreds of decodes; evaluation does it.
        drawn = self._painter.draw(latents=False)
        step = self.state.step
        folder = self.folder / "pictures"
        pictures.write(folder, drawn, prefix=f"step_{step:09d}_")
        for name, picture in drawn.items():
            if picture.ndim == 3:
                board.picture(step, name, picture)

    def _refreshed(self):
        """The copy, with the weights of now."""
        if self._model is None:
            self._model = saving.load_model(self.folder)
        source, averages = self.state.model.variables, self.state.averages
        for copy, variable in zip(self._model.variables, source):
            copy.assign(variable.numpy())
        for copy, variable in zip(self._model.trainable_variables, averages):
            copy.assign(variable.numpy())
        return self._model


def named_scores(results, more) -> dict:
    """Name -> number of those that a run remembers.

    Args:
        results: What an evaluation gave.
        more: Names to remember besides `SCORES`. Those that begin with
            `predicted_` are of the condition that predicts frames, where it
            is not the one that stands for all.
    """
    found = {name: results.get(name) for name in (*SCORES, *more)}
    for condition in results.get("conditions", ()):
        if condition["num_predicted"]:
            for name in more:
                plain = name.removeprefix(PREDICTED)
                if plain != name:
                    found[name] = condition.get(plain)
    return {n: float(v) for n, v in found.items() if v is not None}


def is_better(scores, best) -> bool:
    """Whether scores are the best so far.

    By F-ARI where there is one, else by the ELBO, else by the error.

    Args:
        scores: Name -> score.
        best: The same of the best evaluation so far, or None.
    """
    if best is None:
        return bool(scores)
    for name in ("f_ari", "elbo"):
        if name in scores:
            return scores[name] > best.get(name, -np.inf)
    return scores.get("mse", np.inf) < best.get("mse", np.inf)
