"""Objects that are new in a frame."""

import gin
import keras
import tensorflow as tf

from tfdecomp.distributions.gaussians import DiagonalGaussian
from tfdecomp.layers.tracks.slot_glimpse import FLOOR
from tfdecomp.layers.tracks.slot_networks import (
    decide,
    mlp,
    recurrent,
    rows,
    start_weight,
)
from tfdecomp.ops.slot_scan import scan_slots
from tfdecomp.ops.sprites import WHERE

SPREAD = -3.0  # added to the raw scale of where: it starts small


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class SlotDiscovery(keras.layers.Layer):
    """SQAIR's discovery: one object after the other, until none is new.

    Args:
        what_dim: Length of an appearance, `A`.
        units: `D`, of all recurrent states.
        hidden: Hidden widths of where's network.
        head_hidden: Hidden widths of presence's network.
        presence_bias: Added to the logit that there is one more.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        code: What the whole frame tells, `[N, E]`.
        known: `what` `[N, K, A]`, `where` `[N, K, 4]` and `presence`
            `[N, K, 1]` of the objects that are still there.
        look: `(where [N, 1, 4]) -> (loc, scale)`, what is seen there.
        noise: `normal` `[N, K, 4 + A]` and `uniform` `[N, K, 1]`, or None for
            means and the likelier choices.
        given: `[N]`, how many there are; None where it is found.

    Returns:
        `(new, posterior)`: the former as `known`, with `hidden` `[N, K, D]`
        that they start with; the latter `mean`, `deviation` and `value`
        `[N, K, 4 + A]` of where and what, `logit` and `active` `[N, K, 1]`:
        whether there was a choice.

    Examples:
        >>> from tfdecomp.layers.tracks.slot_discovery import SlotDiscovery
        >>> SlotDiscovery(what_dim=8, units=16, presence_bias=2.5).presence_bias
        2.5

    References:
        Kosiorek et al., Sequential Attend, Infer, Repeat. NeurIPS 2018.
    """

    def __init__(
        self,
        what_dim=50,
        units=256,
        hidden=(256, 256),
        head_hidden=(128,),
        presence_bias=5.0,
        **kwargs,
    ):
        kwargs["dtype"] = "float32"  # as of propagation
        super().__init__(**kwargs)
        self.what_dim = what_dim
        self.units = units
        self.hidden = tuple(hidden)
        self.head_hidden = tuple(head_hidden)
        self.presence_bias = presence_bias
        # As wide as the other states.
        self.summary = mlp((units,), units, "summary")
        self.recurrence = recurrent(units, "recurrence")
        self.where = mlp(self.hidden, 2 * WHERE, "where")
        self.more = mlp(self.head_hidden, 1, "more")

    def build(self, code_shape, *shapes):
        width = self.what_dim + WHERE
        inputs = {
            self.summary: width,
            self.recurrence: code_shape[-1] + self.units + width + 1,
            self.where: self.units,
            self.more: self.units + self.what_dim,
        }
        for part, size in inputs.items():
            part.build((None, size))
        self.start = start_weight(self, self.units, "start")
        self.first_hidden = start_weight(self, self.units, "first_hidden")
        self.built = True

    def call(self, code, known, look, noise=None, given=None):
        pairs = tf.concat([known["what"], known["where"]], axis=-1)
        there = known["presence"]
        told = tf.reduce_sum(there * self.summary(pairs), axis=1)
        told = tf.concat([tf.cast(code, tf.float32), told], axis=-1)
        number = tf.cumsum(tf.ones_like(there), axis=1)  # 1, 2, ..., K
        room = tf.reduce_sum(1.0 - there, axis=1, keepdims=True)
        slots = {"may_be": tf.cast(number <= room, tf.float32), **(noise or {})}
        if given is not None:
            is_one = number <= given[:, None, None]
            slots["given"] = tf.cast(is_one, tf.float32)

        def step(carry, slot):
            return self._one(carry, slot, look, told)

        count = tf.shape(told)[0]
        start = {
            "state": rows(self.start, told),
            "last": tf.zeros([count, self.what_dim + WHERE + 1]),
            "goes_on": tf.ones([count, 1]),
        }
        _, found = scan_slots(step, start, slots)
        value, presence = found["value"], found.pop("presence")
        new = {
            "what": value[..., WHERE:],
            "where": value[..., :WHERE],
            "presence": presence,
            "hidden": tf.convert_to_tensor(self.first_hidden)
            + tf.zeros_like(presence),
        }
        return new, found

    def _one(self, carry, slot, look, told):
        """One object: `(carry, records)`."""
        state, _ = self.recurrence(
            tf.concat([told, carry["last"]], axis=-1), [carry["state"]]
        )
        loc, raw = tf.split(self.where(state), 2, axis=-1)
        place = DiagonalGaussian.of_deviation(
            loc, tf.nn.softplus(raw + SPREAD) + FLOOR
        )
        normal = slot.get("normal")
        where = loc
        if normal is not None:
            where = place.from_noise(normal[:, :WHERE])
        seen = (part[:, 0] for part in look(where[:, None]))
        looks = DiagonalGaussian.of_deviation(*seen)
        what = looks.loc
        if normal is not None:
            what = looks.from_noise(normal[:, WHERE:])
        logit = self.more(tf.concat([state, what], axis=-1))
        logit += self.presence_bias
        active = carry["goes_on"] * slot["may_be"]
        presence = slot.get("given")
        if presence is None:
            presence = active * decide(logit, slot.get("uniform"))
        carry = {
            "state": state,
            "last": tf.concat([what, where, presence], axis=-1),
            "goes_on": presence,
        }
        return carry, {
            "mean": tf.concat([loc, looks.loc], axis=-1),
            "deviation": tf.concat([place.raw_scale, looks.raw_scale], -1),
            "value": tf.concat([where, what], axis=-1),
            "logit": logit,
            "active": active,
            "presence": presence,
        }

    def get_config(self):
        return {
            **super().get_config(),
            "what_dim": self.what_dim,
            "units": self.units,
            "hidden": self.hidden,
            "head_hidden": self.head_hidden,
            "presence_bias": self.presence_bias,
        }
