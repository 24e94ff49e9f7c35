"""Objects that are known, from one frame to the next."""

import gin
import keras
import tensorflow as tf

from tfdecomp.distributions.gaussians import DiagonalGaussian
from tfdecomp.distributions.triangular_gaussian import TriangularGaussian
from tfdecomp.layers.tracks.slot_glimpse import FLOOR
from tfdecomp.layers.tracks.slot_networks import (
    decide,
    gated,
    mlp,
    recurrent,
    rows,
    start_weight,
)
from tfdecomp.ops.slot_scan import scan_slots
from tfdecomp.ops.sprites import WHERE

BIAS_SCALE = 0.1  # of how far from its place an object is looked for at first
SPREAD = -4.0  # added to the raw scale of where: it starts small
GATE_LIMIT = 0.9999


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class SlotPropagation(keras.layers.Layer):
    """SQAIR's propagation: each object looks where it was, then where it is.

    Objects that are absent are passed through: the others do not see them.

    Args:
        what_dim: Length of an appearance, `A`.
        units: `D`, of all recurrent states.
        hidden: Hidden widths of where's network.
        head_hidden: Hidden widths of the networks of the window's bias and
            mask, and of presence.
        glimpse_size: Side of a glimpse, `G`.
        keep_bias: Added to the logit of staying present.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        before: `what` `[N, K, A]`, `where` `[N, K, 4]`, `presence`
            `[N, K, 1]`, 0 or 1, and `hidden` `[N, K, D]`.
        look: `(where [N, n, 4], mask [N, n, G G]) -> (loc, scale)`, what is
            seen there: a `layers.SlotGlimpse` of the frame.
        noise: `normal` `[N, K, 4 + A]` and `uniform` `[N, K, 1]`, or None for
            means and the likelier choices.
        keeps_all: Whether all that was present stays.

    Returns:
        `(after, posterior)`: the former as `before`; the latter `mean`,
        `deviation` and `value` `[N, K, 4 + A]` of where and what, `logit` and
        `active` `[N, K, 1]`: whether there was a choice.

    Examples:
        >>> from tfdecomp.layers.tracks.slot_propagation import SlotPropagation
        >>> SlotPropagation(what_dim=8, units=16, keep_bias=5.0).keep_bias
        5.0

    References:
        Kosiorek et al., Sequential Attend, Infer, Repeat. NeurIPS 2018.
    """

    def __init__(
        self,
        what_dim=50,
        units=256,
        hidden=(256, 256),
        head_hidden=(128,),
        glimpse_size=14,
        keep_bias=5.0,
        **kwargs,
    ):
        # States are carried over all frames, places by fractions of pixels.
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.what_dim = what_dim
        self.units = units
        self.hidden = tuple(hidden)
        self.head_hidden = tuple(head_hidden)
        self.glimpse_size = glimpse_size
        self.keep_bias = keep_bias
        self.bias = mlp(self.head_hidden, WHERE, "bias")
        self.mask = mlp(self.head_hidden, glimpse_size**2, "mask")
        self.relation = recurrent(units, "relation")
        self.where = mlp(self.hidden, 2 * WHERE, "where")
        self.temporal = gated(units, "temporal")
        self.what = mlp((), 2 * what_dim, "what")
        self.gates = mlp((), 3 * what_dim, "gates")
        self.keep = mlp(self.head_hidden, 1, "keep")

    def build(self, *shapes):
        units, width = self.units, self.what_dim + WHERE
        inputs = {
            self.bias: units,
            self.mask: units,
            self.relation: self.what_dim + 2 * (width + 1) + units,
            self.where: 2 * units + WHERE,
            self.temporal: units + WHERE + 2 * self.what_dim,
            self.what: units,
            self.gates: units,
            self.keep: 2 * units + self.what_dim,
        }
        for part, size in inputs.items():
            part.build((None, size))
        self.start = start_weight(self, units, "start")
        self.mix = self.add_weight(
            shape=(WHERE * (WHERE - 1) // 2,), initializer="zeros", name="mix"
        )
        self.built = True

    def mixing(self):
        """How dimensions of where lean on those before them, `[4, 4]`."""
        places = [[i, j] for i in range(WHERE) for j in range(i)]
        return tf.scatter_nd(
            places, tf.convert_to_tensor(self.mix), [WHERE, WHERE]
        )

    def call(self, before, look, noise=None, keeps_all=False):
        hidden = before["hidden"]
        mask = tf.sigmoid(self.mask(hidden) + 1.0)
        near, _ = look(before["where"] + BIAS_SCALE * self.bias(hidden), mask)
        slots = {**before, "mask": mask, "near": near, **(noise or {})}
        mixing = self.mixing()

        def step(carry, slot):
            return self._one(carry, slot, look, mixing, keeps_all)

        like = before["what"][:, 0]
        nothing = tf.zeros([tf.shape(like)[0], self.what_dim + WHERE + 1])
        start = {"relation": rows(self.start, like), "last": nothing}
        _, found = scan_slots(step, start, slots)
        what, where = found["value"][..., WHERE:], found["value"][..., :WHERE]
        after = {
            "what": what,
            "where": where,
            "presence": found.pop("presence"),
            "hidden": found.pop("hidden"),
        }
        return after, {**found, "active": before["presence"]}

    def _one(self, carry, slot, look, mixing, keeps_all):
        """One slot: `(carry, records)`."""
        what, where = slot["what"], slot["where"]
        presence, state = slot["presence"], slot["hidden"]
        own = [slot["near"], what, where, presence, state]
        relation, _ = self.relation(
            tf.concat([carry["last"], *own], axis=-1), [carry["relation"]]
        )
        raw = self.where(tf.concat([relation, where, state], axis=-1))
        move, raw = tf.split(raw, 2, axis=-1)
        place = TriangularGaussian(
            where + move, tf.nn.softplus(raw + SPREAD) + FLOOR, mixing
        )
        normal = slot.get("normal")
        there = place.loc
        if normal is not None:
            there = place.from_noise(normal[:, :WHERE])
        loc, scale = look(there[:, None], slot["mask"][:, None])
        seen = loc[:, 0], scale[:, 0]
        temporal, _ = self.temporal(
            tf.concat([relation, there, *seen], axis=-1), [state]
        )
        look_now = self._appearance(what, seen, temporal)
        now = look_now.loc
        if normal is not None:
            now = look_now.from_noise(normal[:, WHERE:])
        logit = self.keep(tf.concat([relation, temporal, now], axis=-1))
        logit += self.keep_bias
        stays = presence
        if not keeps_all:
            stays = presence * decide(logit, slot.get("uniform"))
        was = presence > 0.5
        last = tf.concat([now, there, stays], axis=-1)
        carry = {
            "relation": tf.where(was, relation, carry["relation"]),
            "last": tf.where(was, last, carry["last"]),
        }
        return carry, {
            "mean": tf.concat([place.loc, look_now.loc], axis=-1),
            "deviation": tf.concat(
                [place.deviation, look_now.raw_scale], axis=-1
            ),
            "value": tf.concat([there, now], axis=-1),
            "logit": logit,
            "presence": stays,
            "hidden": temporal,
        }

    def _appearance(self, what, seen, temporal):
        """Between the old appearance, what is seen and what is expected."""
        loc, raw = tf.split(self.what(temporal), 2, axis=-1)
        gates = GATE_LIMIT * tf.sigmoid(self.gates(temporal) + 1.0)
        forget, take, turn = tf.split(gates, 3, axis=-1)
        mean = forget * what + (1.0 - take) * seen[0] + (1.0 - turn) * loc
        spread = tf.nn.softplus(raw) + FLOOR
        return DiagonalGaussian.of_deviation(
            mean, (1.0 - take) * seen[1] + (1.0 - turn) * spread
        )

    def get_config(self):
        return {
            **super().get_config(),
            "what_dim": self.what_dim,
            "units": self.units,
            "hidden": self.hidden,
            "head_hidden": self.head_hidden,
            "glimpse_size": self.glimpse_size,
            "keep_bias": self.keep_bias,
        }
