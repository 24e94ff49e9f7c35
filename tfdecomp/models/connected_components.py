"""ConnComp: connected components of equal colour, matched between frames.

    lit_t = pixels that differ from the background
    objects of frame t = connected components of lit_t, colour by colour
    tracks = components of one colour whose centres move least

A baseline without anything to train but two thresholds. It works as long as
colour or place keep objects apart.

References:
    Crawford and Pineau, Exploiting Spatial Invariance for Scalable
    Unsupervised Object Tracking. AAAI 2020, the baseline of Figure 5,
    appendix C.
"""

import gin
import keras
import numpy as np
import tensorflow as tf

from tfdecomp.models import base
from tfdecomp.models.iterative import check_slots
from tfdecomp.models.parts import components

_STATE = components.State._fields


@gin.register(module="models")
@keras.saving.register_keras_serializable(package="tfdecomp")
class ConnectedComponents(base.DecompositionModel):
    """Finds objects as connected components and follows them.

    Has no weights. What it computes is NumPy's and SciPy's, so it runs
    compiled, but cannot be exported.

    Args:
        colors: Colours of objects, `(r, g, b)` in `[0, 1]` each; a pixel
            belongs to all that it is similar enough to. Empty: all objects
            have one colour.
        equal_colors: As in the paper's appendix C: pixels belong together
            where they are neighbours of exactly the same colour, whatever it
            is; `colors` and `color_threshold` are not used. Of anti-aliased
            objects every shade is an object of its own.
        max_distance: Pixels that a centre may move between two frames; None,
            as in the appendix, for any number.
        mask_threshold: Least difference from the background, summed over the
            channels, of an object's pixel.
        color_threshold: Least cosine between a pixel and a colour.
        background_color: One number per channel or one for all.
        image_size: `(H, W)` of the frames, or one side.
        channels: Colour channels, `C`.
        num_slots: `K`: one for the background, the others for components. In
            frames with more of them the smallest are left out.
        **kwargs: Passed to `keras.Model`.

    Call arguments:
        inputs: A `tfdecomp.types.Batch`, possibly with the `state` of an
            earlier chunk.
        training: Must be False.
        num_slots: As above; by default the model's.

    Returns:
        A `tfdecomp.types.Decomposition` with the background in slot 0:
        `masks`, `presence`, `boxes`, `track_ids`, all of them certain, and
        `state`. Nothing is reconstructed, and there is no loss.

    Raises:
        ValueError: If a colour has no length or other channels, or there are
            more than three channels to be equal, or the model is to be
            trained.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.models.connected_components import ConnectedComponents
        >>> model = ConnectedComponents(colors=[(1, 0, 0)], num_slots=9)
        >>> outputs = model({"video": np.zeros([1, 5, 48, 48, 3], np.uint8)})
        >>> outputs["track_ids"].shape
        TensorShape([1, 5, 9])
    """

    looks_ahead = False
    num_refinements = 0
    background_slot = 0
    cannot_train = (
        "connected components have no weights, so gradients train nothing; "
        "python -m tfdecomp.tune chooses their two thresholds. Train another "
        "system, such as gin/quick/silot.gin, to compare them with"
    )
    cannot_export = (
        "connected components are found by NumPy and SciPy, which a SavedModel "
        "cannot hold; run them from Python (python -m tfdecomp.predict "
        "--model=connected_components, or tfdecomp.load), or export a system "
        "that learns, such as --model=silot_quick"
    )

    def __init__(
        self,
        colors=(),
        *,
        equal_colors=False,
        max_distance=components.MAX_DISTANCE,
        mask_threshold=0.0589,
        color_threshold=0.9616,
        background_color=0.0,
        image_size=48,
        channels=3,
        num_slots=65,
        **kwargs,
    ):
        super().__init__(**kwargs)
        side = (image_size,) * 2 if isinstance(image_size, int) else image_size
        self.image_size = tuple(side)
        self.channels = channels
        self.num_slots = num_slots
        self.colors = tuple(tuple(map(float, color)) for color in colors)
        self.equal_colors = equal_colors
        self.max_distance = max_distance
        self.mask_threshold = mask_threshold
        self.color_threshold = color_threshold
        self.background_color = background_color
        self._check()

    def _check(self):
        for color in self.colors:
            if len(color) != self.channels or not any(color):
                raise ValueError(
                    f"a colour is {self.channels} numbers, not all 0, got "
                    f"{color}"
                )
        if self.equal_colors and self.channels > 3:
            raise ValueError(
                "equal_colors compares up to three channels, got "
                f"{self.channels}; take colors in place of it"
            )
        if np.size(self.background_color) not in (1, self.channels):
            raise ValueError(
                "background_color is one number, or one for each of the "
                f"{self.channels} channels, got {self.background_color}"
            )
        check_slots(None, self.num_slots)

    def build(self, input_shape=None):
        """There is nothing to build."""
        self.built = True

    def call(self, inputs, training=False, num_slots=None):
        if training:
            raise ValueError(self.cannot_train)
        self.check_video(inputs["video"])
        slots = check_slots(num_slots, self.num_slots)
        video = base.as_float(tf.convert_to_tensor(inputs["video"]))
        batch, frames = tf.shape(video)[0], tf.shape(video)[1]
        state = inputs.get("state") or _before(batch, slots - 1)
        before = [state[name] for name in _STATE]
        kinds = (tf.int32, tf.int32, tf.float32, *(a.dtype for a in before))
        owner, ids, boxes, *after = tf.numpy_function(
            self._of_batch, [video, *before], kinds, stateful=False
        )
        owner = tf.reshape(owner, [batch, frames, *self.image_size])
        ids = tf.reshape(ids, [batch, frames, slots])
        masks = tf.one_hot(owner, slots, axis=2)
        background = tf.range(slots) == 0
        return {
            "masks": tf.ensure_shape(
                masks[..., None], (None, None, None, *self.image_size, 1)
            ),
            "presence": tf.cast((ids > 0) | background, tf.float32),
            "boxes": tf.reshape(boxes, [batch, frames, slots, 4]),
            "track_ids": ids,
            "state": {
                name: tf.ensure_shape(value, state[name].shape)
                for name, value in zip(_STATE, after)
            },
        }

    def compare(self, video):
        """What of a clip `[T, H, W, C]` in `[0, 1]` the thresholds decide."""
        return components.compare(
            video, self.background_color, self.colors, self.equal_colors
        )

    def decide(self, maps, num_slots, thresholds=None, state=None):
        """Tracks of one clip, as arrays.

        Args:
            maps: From `compare`.
            num_slots: `K`.
            thresholds: `(mask_threshold, color_threshold)` in place of the
                model's.
            state: `components.State`; by default before the first frame.

        Returns:
            `(track_ids [T, K], boxes [T, K, 4], found, slots, state)`, the
            latter three as in `components.track`. Of each frame as many
            components are found as there are slots, the largest.
        """
        if thresholds is None:
            thresholds = self.mask_threshold, self.color_threshold
        found = components.find(maps, *thresholds, most=num_slots - 1)
        frames = len(maps.difference)
        if state is None:
            state = components.nothing(num_slots - 1)
        ids, slots, state = components.track(
            found, frames, state, self.max_distance
        )
        kept = slots >= 0
        places = found.frames[kept], slots[kept] + 1
        track_ids = np.zeros((frames, num_slots), np.int32)
        boxes = np.zeros((frames, num_slots, 4), np.float32)
        track_ids[places], boxes[places] = ids[kept], found.boxes[kept]
        return track_ids, boxes, found, slots, state

    def _of_batch(self, video, *state):
        """Arrays of all clips of a batch, see `call`."""
        num_slots = state[0].shape[1] + 1
        rows = []
        for clip, *before in zip(video, *state):
            ids, boxes, found, slots, after = self.decide(
                self.compare(clip), num_slots, state=components.State(*before)
            )
            owner = components.owners(found, slots)
            rows.append((owner, ids, boxes, *after))
        return tuple(map(np.stack, zip(*rows)))

    def get_config(self):
        names = (
            "colors",
            "equal_colors",
            "max_distance",
            "mask_threshold",
            "color_threshold",
            "background_color",
            "image_size",
            "channels",
            "num_slots",
        )
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
        }


def _before(batch, num_slots):
    """The state of a batch before its first frame."""
    nobody = tf.zeros([batch, num_slots], tf.int32)
    return {
        "ids": nobody,
        "colors": nobody,
        "centres": tf.zeros([batch, num_slots, 2]),
        "next_id": tf.ones([batch], tf.int32),
    }
