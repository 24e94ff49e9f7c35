"""New objects: one for every cell of the grid."""

import gin
import keras
import tensorflow as tf

from tfdecomp.distributions.concrete import BinaryConcrete
from tfdecomp.layers.conv import Conv2D
from tfdecomp.layers.mlp import MLP
from tfdecomp.layers.objects import object_latents
from tfdecomp.ops import object_record as records
from tfdecomp.ops import spatial_transformer

HEADS = ("reference", "paper")
FUSIONS = ("reference", "paper")


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class Discovery(keras.layers.Layer):
    """SILOT's discovery: where, what, depth and presence, in this order.

    Cells do not see each other but through the features.

    Args:
        channels: Colour channels, `C`.
        what_dim: Length of an appearance, `A`.
        units: `D`, size of the recurrent state that new objects start with.
        features: Width of what heads hand on, and of fused features.
        fuse_filters: Hidden width of the convolutions that fuse what is seen
            with what is known.
        glimpse_size: Side of a glimpse in samples, `G`.
        glimpse_hidden: Hidden widths of the encoder of glimpses.
        glimpse_units: Width of its output.
        offset_range: Where a centre may lie, in cells from the cell's corner.
        size_range: Smallest and largest side, in anchors.
        presence_temperature: Divides the logit of presence.
        relaxation: Temperature of the relaxed Bernoulli variable.
        glimpse_align: Where a glimpse's samples lie: `"corners"`, as published,
            or `"half_pixel"`; see `ops.spatial_transformer`.
        initial_presence: Bias of the logit of presence.
        head: `"reference"`: as in the authors' code, heads have one hidden
            layer as wide as their input, and hand features on to the next;
            `"paper"`: as in the paper's Table 2, they have the hidden layers
            `head_hidden` and hand nothing on.
        fusion: `"reference"`: as in the authors' code, two convolutions of
            3x3 fuse what is seen with what is known; `"paper"`: as in the
            paper's Table 2, a network of every cell by itself, with the
            hidden layers `head_hidden`.
        head_hidden: Hidden widths that the paper's options share.
        seen_features: Width of the backbone's output; by default `features`.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        seen: Features of the backbone, `[B, Hg, Wg, seen_features]`.
        known: Features of propagated objects, `[B, Hg, Wg, features]`.
        frame: `[B, H, W, C]`.
        geometry: `cell` and `anchor` `[2]`, `(h, w)` in pixels, and `offset`
            `[B, 2]`, the frame's corner in the scene, in anchors.
        noise: `normal` `[B, n, 4 + A + 1]` and `uniform` `[B, n, 1]`, or None
            for means.
        training_wheels: 1 keeps gradients from where, depth and presence.

    Returns:
        `(objects, posterior)`: a record (see `ops.object_record`) of
        `n = Hg Wg` objects, and `mean`, `deviation` `[B, n, 4 + A + 1]` of
        where, what and depth, and `logit` `[B, n, 1]` of presence.

    Raises:
        ValueError: If `head` or `fusion` is unknown.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.objects.discovery import Discovery
        >>> cell, seen = tf.constant([12.0, 12.0]), tf.zeros([1, 2, 3, 64])
        >>> geometry = dict(cell=cell, anchor=cell, offset=tf.zeros([1, 2]))
        >>> new, _ = Discovery()(seen, seen, tf.zeros([1, 24, 36, 3]), geometry)
        >>> new["box"].shape  # one for each of the 2 x 3 cells
        TensorShape([1, 6, 4])

    References:
        Crawford and Pineau, SILOT. AAAI 2020, section 3.3.
    """

    def __init__(
        self,
        channels=3,
        what_dim=64,
        units=128,
        features=64,
        fuse_filters=128,
        glimpse_size=14,
        glimpse_hidden=(256, 128),
        glimpse_units=64,
        offset_range=(-0.5, 1.5),
        size_range=(0.0, 1.0),
        presence_temperature=1.0,
        relaxation=1.0,
        glimpse_align="corners",
        initial_presence=0.0,
        head="reference",
        fusion="reference",
        head_hidden=(100, 100),
        seen_features=None,
        **kwargs,
    ):
        # Places and likelihoods are float32 under any policy.
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        self.channels = channels
        self.what_dim = what_dim
        self.units = units
        self.features = features
        self.fuse_filters = fuse_filters
        self.glimpse_size = glimpse_size
        self.glimpse_hidden = tuple(glimpse_hidden)
        self.glimpse_units = glimpse_units
        self.offset_range = tuple(offset_range)
        self.size_range = tuple(size_range)
        self.presence_temperature = presence_temperature
        self.relaxation = relaxation
        self.glimpse_align = glimpse_align
        self.initial_presence = initial_presence
        if head not in HEADS:
            raise ValueError(f"head must be one of {HEADS}, got {head!r}")
        if fusion not in FUSIONS:
            raise ValueError(f"fusion must be one of {FUSIONS}, got {fusion!r}")
        self.head = head
        self.fusion = fusion
        self.head_hidden = tuple(head_hidden)
        self.seen_features = seen_features
        self.fuse = self._fusing_layers()
        self.passed = features if head == "reference" else 0
        base, passed = features + 2, self.passed
        inner = base + passed + 4  # base, passed on, where in the cell
        self.encoder = self._mlp(glimpse_hidden, glimpse_units, "encoder")
        width = inner + glimpse_units
        outputs = {
            "where": (base, 8 + passed),
            "what": (width, 2 * what_dim + passed),
            "depth": (inner + what_dim, 2 + passed),
            "presence": (inner + what_dim + 1, 1),
        }
        self.heads = {
            name: self._mlp(
                (width,) if head == "reference" else self.head_hidden,
                size,
                name,
            )
            for name, (width, size) in outputs.items()
        }
        self.inputs = {name: width for name, (width, _) in outputs.items()}

    def _mlp(self, hidden, units, name):
        return MLP(hidden, units, dtype="float32", name=name)

    def _fusing_layers(self):
        if self.fusion == "paper":
            return [self._mlp(self.head_hidden, self.features, "fuse")]
        options = {
            "kernel_initializer": "glorot_uniform",
            "bias": "zeros",
            "dtype": "float32",
        }
        return [
            Conv2D(
                self.fuse_filters,
                3,
                activation="relu",
                name="fuse_0",
                **options,
            ),
            Conv2D(self.features, 3, name="fuse_1", **options),
        ]

    def build(self, seen_shape=None):
        """Creates the weights; no shape is needed."""
        grid = (None, None, None)
        width = self.features + (self.seen_features or self.features)
        for layer in self.fuse:
            layer.build((*grid, width))
            width = self.fuse_filters
        self.encoder.build((None, self.glimpse_size**2 * self.channels))
        for name, head in self.heads.items():
            head.build((None, self.inputs[name]))
        bias = self.heads["presence"].biases[-1]
        bias.assign(tf.fill(bias.shape, float(self.initial_presence)))
        self.initial_state = self.add_weight(
            shape=(self.units,),
            initializer="zeros",
            autocast=False,
            name="initial_state",
        )
        self.built = True

    def call(
        self,
        seen,
        known,
        frame,
        geometry,
        noise=None,
        training_wheels=None,
    ):
        base = self._fuse(seen, known)
        noise = records.split_noise(noise, self.what_dim)
        # Where.
        raw, passed = self._split("where", base, [8, self.passed])
        where = object_latents.normal(raw, training_wheels)
        drawn = where.draw(noise[0])
        local, box = self._place(drawn, seen.shape[1:3], geometry)
        # What.
        encoded = self.encoder(self._glimpse(frame, box, geometry))
        inputs = tf.concat([base, passed, encoded, local], axis=-1)
        raw, passed = self._split(
            "what", inputs, [2 * self.what_dim, self.passed]
        )
        what = object_latents.normal(raw)  # learns from the start
        appearance = what.draw(noise[1])
        # Depth.
        inputs = tf.concat([base, passed, local, appearance], axis=-1)
        raw, passed = self._split("depth", inputs, [2, self.passed])
        depth = object_latents.normal(raw, training_wheels)
        depth_logit = depth.draw(noise[2])
        nearness = records.squash(depth_logit)
        # Presence.
        inputs = tf.concat([base, passed, local, appearance, nearness], axis=-1)
        logit = records.bounded_logit(
            self.heads["presence"](inputs),
            self.presence_temperature,
            training_wheels,
        )
        present = BinaryConcrete(logit, self.relaxation)
        presence = tf.sigmoid(present.from_noise(noise[3]))
        state = tf.tile(
            tf.convert_to_tensor(self.initial_state)[None, None],
            [*tf.unstack(tf.shape(presence)[:2]), 1],
        )
        objects = {
            "box": box,
            "size_logit": drawn[..., 2:],
            "position": box[..., :2] + geometry["offset"][:, None],
            "what": appearance,
            "depth": nearness,
            "depth_logit": depth_logit,
            "presence": presence,
            "used": tf.ones_like(presence),
            "hidden": state,
            "prior_hidden": state,
        }
        mean, spread = object_latents.joined(where, what, depth)
        return objects, {"mean": mean, "deviation": spread, "logit": logit}

    def _fuse(self, seen, known):
        """What is seen and known of every cell, `[B, n, features + 2]`."""
        fused = tf.concat([known, seen], axis=-1)
        for layer in self.fuse:
            fused = layer(fused)
        count = fused.shape[1] * fused.shape[2]
        fused = tf.reshape(fused, [-1, count, self.features])
        flag = tf.constant([[[1.0, 0.0]]])
        flag = tf.tile(flag, [tf.shape(fused)[0], count, 1])
        return tf.concat([fused, flag], axis=-1)

    def _split(self, name, inputs, sizes):
        return tf.split(self.heads[name](inputs), sizes, axis=-1)

    def _place(self, drawn, grid, geometry):
        """`(in the cell [B, n, 4], box [B, n, 4])` of what was drawn."""
        offset = records.squash(drawn[..., :2], self.offset_range)
        size = records.squash(drawn[..., 2:], self.size_range)
        rows, columns = tf.meshgrid(
            tf.range(grid[0], dtype=tf.float32),
            tf.range(grid[1], dtype=tf.float32),
            indexing="ij",
        )
        corner = tf.reshape(tf.stack([rows, columns], -1), [-1, 2])
        centre = (corner + offset) * geometry["cell"] / geometry["anchor"]
        return tf.concat([offset, size], -1), tf.concat([centre, size], -1)

    def _glimpse(self, frame, box, geometry):
        """`[B, n, G G C]`."""
        scale = tf.tile(geometry["anchor"], [2])
        cut = spatial_transformer.take_glimpses(
            frame,
            box * scale,
            (self.glimpse_size,) * 2,
            self.glimpse_align,
        )
        size = self.glimpse_size**2 * self.channels
        return tf.reshape(cut, [-1, box.shape[1], size])

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "what_dim": self.what_dim,
            "units": self.units,
            "features": self.features,
            "fuse_filters": self.fuse_filters,
            "glimpse_size": self.glimpse_size,
            "glimpse_hidden": self.glimpse_hidden,
            "glimpse_units": self.glimpse_units,
            "offset_range": self.offset_range,
            "size_range": self.size_range,
            "presence_temperature": self.presence_temperature,
            "relaxation": self.relaxation,
            "glimpse_align": self.glimpse_align,
            "initial_presence": self.initial_presence,
            "head": self.head,
            "fusion": self.fusion,
            "head_hidden": self.head_hidden,
            "seen_features": self.seen_features,
        }
