"""What each group takes from each of the others."""

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.conv import Dense
from tfdecomp.layers.residual import INITIAL
from tfdecomp.layers.spatial_layer_norm import SpatialLayerNorm


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class PairwiseInteraction(keras.layers.Layer):
    """The sum of effects of all others, each weighed by an attention.

        e_k = enc(h_k),  xi_ki = emb([e_k, e_i])  for all i != k
        E_k = sum_i att(xi_ki) eff(xi_ki)

    `enc`, `emb` and `eff` are dense, layer norm and ReLU; `att` is that with
    tanh, then a dense layer with a sigmoid. Attentions do not sum to one. A
    group alone has no effects, E = 0.

    Args:
        units: `U`, width of features and effects.
        attention_units: Width of the attention's hidden layer.
        attention: Whether there is one; else effects are summed.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        states: `[B, K, D]`.

    Returns:
        `(features, effects)`: `e` and `E`, each `[B, K, U]`, float32.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.pairwise_interaction import PairwiseInteraction
        >>> interaction = PairwiseInteraction(units=8)
        >>> features, effects = interaction(tf.zeros([2, 3, 5]))
        >>> effects.shape
        TensorShape([2, 3, 8])

    References:
        van Steenkiste et al., Relational Neural Expectation Maximization.
        ICLR 2018.
    """

    def __init__(
        self, units=250, attention_units=100, attention=True, **kwargs
    ):
        super().__init__(**kwargs)
        self.units = units
        self.attention_units = attention_units
        self.attention = attention
        widths = {"encoder": units, "embedding": units, "effect": units}
        if attention:
            widths["attention_hidden"] = attention_units
        options = {"dtype": self.dtype_policy}
        self.denses = {
            name: Dense(width, name=name, **INITIAL, **options)
            for name, width in widths.items()
        }
        self.norms = {
            name: SpatialLayerNorm(name=f"{name}_norm", **options)
            for name in widths
        }
        if attention:
            self.gate = Dense(1, name="attention", **INITIAL, **options)

    def build(self, states_shape):
        inputs = {"encoder": states_shape[-1], "embedding": 2 * self.units}
        for name, dense in self.denses.items():
            dense.build((None, inputs.get(name, self.units)))
            self.norms[name].build((None, dense.units))
        if self.attention:
            self.gate.build((None, self.attention_units))
        self.built = True

    def call(self, states):
        batch, groups = tf.unstack(tf.shape(states)[:2])
        rows = tf.reshape(states, [-1, states.shape[-1]])
        rows = tf.cast(rows, self.compute_dtype)
        features = self._layer("encoder", rows)
        pairs = self._pairs(features, groups)
        effects = self._layer("effect", pairs)
        if self.attention:
            hidden = self._layer("attention_hidden", pairs, tf.tanh)
            effects *= tf.sigmoid(self.gate(hidden))
        # Known in full: nothing can be inferred from the pairs of one group.
        shape = [batch, groups, groups - 1, self.units]
        effects = tf.reshape(tf.cast(effects, tf.float32), shape)
        features = tf.reshape(
            tf.cast(features, tf.float32), [batch, groups, self.units]
        )
        known = [*states.shape[:2], self.units]
        return (
            tf.ensure_shape(features, known),
            tf.ensure_shape(tf.reduce_sum(effects, axis=2), known),
        )

    def _layer(self, name, rows, activate=tf.nn.relu):
        return activate(self.norms[name](self.denses[name](rows)))

    def _pairs(self, features, groups):
        """xi of all ordered pairs, `[B K (K - 1), U]`.

        The layer is linear in both halves of what it reads, so each group is
        multiplied once and not once a pair.
        """
        dense = self.denses["embedding"]
        kernel = tf.cast(tf.convert_to_tensor(dense.kernel), features.dtype)
        bias = tf.cast(tf.convert_to_tensor(dense.bias), features.dtype)
        focus, context = (
            tf.reshape(tf.matmul(features, half), [-1, groups, self.units])
            for half in (kernel[: self.units], kernel[self.units :])
        )
        context = tf.gather(context, others(groups), axis=1)
        pairs = focus[:, :, None] + context  # [B, K, K - 1, U]
        rows = tf.reshape(pairs, [-1, self.units]) + bias
        return tf.nn.relu(self.norms["embedding"](rows))

    def compute_output_shape(self, states_shape):
        shape = (*states_shape[:-1], self.units)
        return shape, shape

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "attention_units": self.attention_units,
            "attention": self.attention,
        }


def others(groups):
    """The numbers of all groups but one, for each: `[K, K - 1]`.

    Examples:
        >>> from tfdecomp.layers.pairwise_interaction import others
        >>> others(3).numpy().tolist()
        [[1, 2], [0, 2], [0, 1]]
    """
    number = tf.range(groups)[:, None]
    place = tf.range(groups - 1)[None]
    return place + tf.cast(place >= number, tf.int32)
