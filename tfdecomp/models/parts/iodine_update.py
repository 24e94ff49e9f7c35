"""IODINE's refinement network: what turns a cell's inputs into an update.

    h' = LSTM([code, dL/d lambda, lambda], h)
    lambda' = lambda + linear(h')                     "additive"

or the gated update of IODINE's code for sequences, see
`UpdateNetwork._corrected`.
"""

import tensorflow as tf

from tfdecomp.layers.conv import Dense, initial_values
from tfdecomp.layers.lstm_cell import LSTMCell
from tfdecomp.models.iterative import IterativeModel, update_initializer

UPDATE_RULES = ("additive", "predictor_corrector")
_CORRECTOR_UNITS = 64


class UpdateNetwork(IterativeModel):
    """The recurrent part of `IODINE`, which has the settings."""

    def _make_update(self):
        if self.update_rule not in UPDATE_RULES:
            raise ValueError(
                f"update_rule must be one of {UPDATE_RULES}, got "
                f"{self.update_rule!r}"
            )
        self.lstm = None
        if self.units:
            self.lstm = LSTMCell(
                self.units,
                self.forget_offset,
                self.lstm_initializer,
                name="lstm",
            )
        size = 2 * self.latent_dim
        options = {"dtype": "float32", **initial_values(self.head_initializer)}
        start = {}
        if self.update_bias is not None:
            start = {"bias": update_initializer(self.update_bias)}
        self.head = Dense(size, name="update", **{**options, **start})
        self.corrector = []
        if self.update_rule == "predictor_corrector":
            self.corrector = [
                Dense(size, name="gate", **options),
                Dense(
                    _CORRECTOR_UNITS,
                    activation="elu",
                    name="predictor_hidden",
                    **options,
                ),
                Dense(2 * size, name="predictor", **options),
            ]

    def build(self, input_shape=None):
        """Builds all weights; no input is needed."""
        if self.built:
            return
        constant = 0 if self.latent_constant is None else 1
        self.build_inference(self.latent_dim + constant)
        size = 2 * self.latent_dim
        width = self.encoder.units[-1] + size * len(self.vector_inputs)
        width += 0 if self.vector_constant is None else 1
        if self.lstm is not None:
            self.lstm.build((None, width))
            width = self.units
        self.head.build((None, width))
        if self.corrector:
            gate, hidden, predictor = self.corrector
            gate.build((None, width))
            hidden.build((None, size))
            predictor.build((None, _CORRECTOR_UNITS))
        self.built = True

    def refinement_kernels(self):
        """Kernels of the dense layers that run once per refinement."""
        lstm = [] if self.lstm is None else [self.lstm]
        return [layer.kernel for layer in [*lstm, self.head, *self.corrector]]

    def _parameter_gradient(self, tape, cell, parameters, *rest):
        if "parameter_gradient" in self.vector_inputs:
            return super()._parameter_gradient(tape, cell, parameters, *rest)
        return tf.zeros_like(parameters)

    def update(self, cell, parameters, gradient, code, state):
        """f: the LSTM, if there is one, and the linear head.

        Args:
            cell: Not read.
            parameters: `[B * K, 2 Z]`.
            gradient: dL/d lambda, normalised, `[B * K, 2 Z]`.
            code: `[B * K, U']` from the encoder.
            state: `(h, c)`, `[B * K, U]` each; `()` without an LSTM.

        Returns:
            The next state, and the update of lambda `[B * K, 2 Z]`.
        """
        del cell
        vectors = {"parameter_gradient": gradient, "parameters": parameters}
        features = tf.concat(
            [
                tf.cast(code, tf.float32),
                *(vectors[name] for name in self.vector_inputs),
            ],
            axis=-1,
        )
        if self.vector_constant is not None:
            constant = tf.fill(
                tf.shape(features[:, :1]), float(self.vector_constant)
            )
            features = tf.concat([features, constant], axis=-1)
        if self.lstm is not None:
            state = self.lstm(features, tuple(state))
            features = state[0]
        update = self.head(features)
        if self.corrector:
            update = self._corrected(parameters, features, update)
        return state, update

    def _corrected(self, parameters, features, target):
        """lambda' - lambda of the gated update.

        corrected = lambda + sigmoid(gate) (target - lambda)
        p, q = predictor(lambda)
        lambda' = corrected + sigmoid(q) (p - corrected)
        """
        gate, hidden, predictor = self.corrector
        weight = tf.sigmoid(gate(features))
        corrected = parameters + weight * (target - parameters)
        predicted, trust = tf.split(predictor(hidden(parameters)), 2, axis=-1)
        after = corrected + tf.sigmoid(trust) * (predicted - corrected)
        return after - parameters

    def zero_state(self, count):
        """The LSTM starts from zeros."""
        if self.lstm is None:
            return ()
        zeros = tf.zeros([count, self.units])
        return zeros, zeros

    def carried(self, r, parameters, state):
        if not self.truncate_bptt:
            return parameters, state
        # Never before the first cell, where lambda_0 is to be learnt.
        cut = tf.logical_and(r > 0, tf.equal(r % self.truncate_bptt, 0))

        def carry(value):
            return tf.where(cut, tf.stop_gradient(value), value)

        return carry(parameters), tf.nest.map_structure(carry, state)
