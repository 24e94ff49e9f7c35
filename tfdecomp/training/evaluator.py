"""Scores and pictures of held-out clips in the middle of a run."""

from tfdecomp import saving
from tfdecomp.training import workdir


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
        self.is_writer = session.is_writer
        self.history = workdir.History(
            self.folder / "eval" / "scalars.jsonl", self.is_writer
        )
        self._model = None

    def model(self):
        """The copy, with the weights of now."""
        if self._model is None:
            self._model = saving.load_model(self.folder)
        source = self.state.model
        for copy, variable in zip(self._model.variables, source.variables):
            copy.assign(variable.numpy())
        averages = zip(self._model.trainable_variables, self.state.averages)
        for copy, variable in averages:
            copy.assign(variable.numpy())
        return self._model

    def evaluate(self):
        """Scores the protocol's clips and remembers the best step."""
        raise NotImplementedError

    def draw(self, board):
        """Writes pictures to the folder and to TensorBoard."""
        raise NotImplementedError
