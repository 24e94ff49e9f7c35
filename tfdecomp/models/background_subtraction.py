"""Background subtraction: what differs from the ground, matched over time.

    objects of frame t = connected parts of |frame_t - background| > noise
    tracks = parts that are where their past says, as large as they were

The baseline for a fixed camera. Nothing is trained; it works as long as
objects do not touch.
"""

import gin
import keras
import numpy as np
import tensorflow as tf

from tfdecomp.models import base
from tfdecomp.models.iterative import check_slots
from tfdecomp.motion import background as background_lib
from tfdecomp.motion import blob_tracks, light

_TRACKS = blob_tracks.State._fields
_MOST_SAMPLED = 60  # frames of a clip from which the ground is estimated


@gin.register(module="models")
@keras.saving.register_keras_serializable(package="tfdecomp")
class BackgroundSubtraction(base.DecompositionModel):
    """Finds what differs from the background and follows it.

    Has no weights and knows no frame size. What it computes is NumPy's and
    SciPy's, so it runs compiled, but cannot be exported.

    Args:
        sensitivity: Above 1 finds fainter objects, and more of the noise.
        min_area: Least pixels of an object; None: a share of what is typical
            in the video so far.
        max_area: Most pixels; None: any.
        patience: Frames that a track may go unseen.
        follows_light: Whether frames are compared in their own light, one
            gain for all of a frame.
        image_size: `(H, W)` or one side, where a size has to be named;
            others are read as well.
        channels: Colour channels, `C`.
        num_slots: `K`: one for the background, the others for objects. In
            frames with more of them the smallest are left out.
        **kwargs: Passed to `keras.Model`.

    Call arguments:
        inputs: A `tfdecomp.types.Batch`, possibly with `background`
            `[B, H, W, C]`, as the video, and `background_noise` `[B, H, W]`,
            deviation of a pixel in units of a picture in `[0, 1]`. Without
            them the background is estimated from the first clip of a video,
            and kept in the `state` for the chunks that follow.
        training: Must be False.
        num_slots: As above; by default the model's.

    Returns:
        A `tfdecomp.types.Decomposition` with the background in slot 0:
        `masks`, `presence`, `boxes`, `track_ids`, all of them certain,
        `state`, and `owner` `[B, T, H, W]` int32, the slot that each pixel
        belongs to. Nothing is reconstructed, and there is no loss.

    Raises:
        ValueError: If the model is to be trained, or an argument makes no
            sense.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.models.background_subtraction import (
        ...     BackgroundSubtraction,
        ... )
        >>> model = BackgroundSubtraction(num_slots=9)
        >>> outputs = model({"video": np.zeros([1, 5, 32, 48, 3], np.uint8)})
        >>> outputs["track_ids"].shape
        TensorShape([1, 5, 9])
    """

    looks_ahead = False
    num_refinements = 0
    background_slot = 0
    any_size = True
    config_values = (
        "sensitivity",
        "min_area",
        "max_area",
        "patience",
        "follows_light",
        "image_size",
        "channels",
        "num_slots",
    )
    cannot_train = (
        "background subtraction has no weights, so gradients train nothing; "
        "give it the background and noise of the video instead, or train "
        "another system, such as gin/quick/silot.gin, to compare it with"
    )
    cannot_export = (
        "background subtraction is done by NumPy and SciPy, which a "
        "SavedModel cannot hold; run it from Python (python -m "
        "tfdecomp.predict --model=background_subtraction, or tfdecomp.load), "
        "or export a system that learns, such as --model=silot_quick"
    )

    def __init__(
        self,
        sensitivity=1.0,
        *,
        min_area=None,
        max_area=None,
        patience=5,
        follows_light=True,
        image_size=48,
        channels=3,
        num_slots=33,
        **kwargs,
    ):
        super().__init__(**kwargs)
        side = (image_size,) * 2 if isinstance(image_size, int) else image_size
        self.image_size = tuple(side)
        self.channels = channels
        self.num_slots = num_slots
        self.sensitivity = sensitivity
        self.min_area = min_area
        self.max_area = max_area
        self.patience = patience
        self.follows_light = follows_light
        self._check()

    def _check(self):
        if not self.sensitivity > 0:
            raise ValueError(
                f"sensitivity is above 0, got {self.sensitivity}; 1 is usual"
            )
        if self.min_area and self.max_area and self.min_area > self.max_area:
            raise ValueError(
                "min_area is at most max_area, got "
                f"{self.min_area} and {self.max_area}"
            )
        check_slots(None, self.num_slots)

    def build(self, input_shape=None):
        """There is nothing to build."""
        self.built = True

    def call(self, inputs, training=False, num_slots=None):
        if training:
            raise ValueError(self.cannot_train)
        video = tf.convert_to_tensor(inputs["video"])
        self.check_video(video)
        slots = check_slots(num_slots, self.num_slots)
        batch, frames = tf.shape(video)[0], tf.shape(video)[1]
        size = tuple(video.shape[2:4])
        state = inputs.get("state")
        if state is None:
            state = self._before(batch, slots - 1, size)
        given = self._given(inputs, video)
        names = tuple(state)
        before = [state[name] for name in names]
        kinds = (tf.int32, tf.int32, tf.float32, *(a.dtype for a in before))
        owner, ids, boxes, *after = tf.numpy_function(
            lambda video, picture, noise, *parts: self._of_batch(
                video, picture, noise, dict(zip(names, parts))
            ),
            [video, *given, *before],
            kinds,
            stateful=False,
        )
        owner = tf.reshape(owner, [batch, frames, *size])
        ids = tf.reshape(ids, [batch, frames, slots])
        background = tf.range(slots) == 0
        return {
            "masks": tf.one_hot(owner, slots, axis=2)[..., None],
            "owner": owner,
            "presence": tf.cast((ids > 0) | background, tf.float32),
            "boxes": tf.reshape(boxes, [batch, frames, slots, 4]),
            "track_ids": ids,
            "state": {
                name: tf.ensure_shape(value, state[name].shape)
                for name, value in zip(names, after)
            },
        }

    def _before(self, batch, slots, size):
        """The state of a batch before its first frame."""
        tracks = blob_tracks.start(slots)._asdict()
        parts = {
            name: tf.repeat(tf.constant(value)[None], batch, 0)
            for name, value in tracks.items()
        }
        return {
            **parts,
            "background": tf.zeros([batch, *size, self.channels]),
            # Deviations up to the threshold; 0 until there is a background.
            "level": tf.zeros([batch, *size]),
        }

    def _given(self, inputs, video):
        """`(background, noise)` in grey levels; empty where not given."""
        picture, noise = (
            inputs.get("background"),
            inputs.get("background_noise"),
        )
        none = tf.zeros([tf.shape(video)[0], 0])
        if picture is None:
            return none, none
        picture = tf.convert_to_tensor(picture)
        picture = 255.0 * base.as_float(picture)
        if picture.shape.rank == 5:  # of a camera that moves; ours does not
            picture = picture[:, 0]
        if noise is None:
            return picture, none
        return picture, 255.0 * tf.cast(noise, tf.float32)

    def _of_batch(self, video, pictures, noises, state):
        """Arrays of all clips of a batch, see `call`."""
        if video.dtype != np.uint8:
            video = np.float32(255) * video.astype(np.float32)
        rows = []
        for b, clip in enumerate(video):
            known = {name: part[b] for name, part in state.items()}
            tracks = blob_tracks.State(*(known[name] for name in _TRACKS))
            if not known["level"].any():
                ground = _ground(clip, pictures[b], noises[b])
                known["background"] = ground.picture
                known["level"] = ground.threshold(self.sensitivity)
            owner, ids, boxes, tracks = self._of_clip(clip, known, tracks)
            known.update(tracks._asdict())
            rows.append((owner, ids, boxes, *known.values()))
        return tuple(map(np.stack, zip(*rows)))

    def _of_clip(self, clip, known, tracks):
        level = known["level"]
        # The noise has no part in a difference.
        ground = background_lib.Background(known["background"], level)
        slots = 1 + len(tracks.ids)
        owner = np.zeros(clip.shape[:3], np.int32)
        ids = np.zeros((len(clip), slots), np.int32)
        boxes = np.zeros((len(clip), slots, 4), np.float32)
        for t, frame in enumerate(clip):
            gain = self._gain(frame, ground.picture, level)
            difference = ground.difference(frame, gain)
            found, tracks = blob_tracks.find(
                difference, level, tracks, self.min_area, self.max_area
            )
            places, tracks = blob_tracks.link(found, tracks, self.patience)
            kept = places >= 0
            ids[t, 1 + places[kept]] = tracks.ids[places[kept]]
            boxes[t, 1 + places[kept]] = found.boxes[kept]
            table = np.append(0, places + 1).astype(np.int32)
            owner[t] = table[found.labels]
        return owner, ids, boxes, tracks

    def _gain(self, frame, picture, level):
        if not self.follows_light:
            return 1.0
        step = max(1, int((level.size / 4096) ** 0.5))
        some = slice(step // 2, None, step), slice(step // 2, None, step)
        return light.gain_of(frame[some], picture[some], level[some])


def _ground(clip, picture, noise):
    """`Background` of a clip `[T, H, W, C]`: the given one, or an estimate."""
    if not picture.size:
        chosen = np.linspace(0, len(clip) - 1, min(len(clip), _MOST_SAMPLED))
        sampled = clip[chosen.round().astype(int)]
        return background_lib.estimate(np.round(sampled).astype(np.uint8))
    if noise.size:
        return background_lib.Background(picture, np.maximum(noise, 1e-3))
    # The first frame alone, so that chunks of any length give the same.
    plain = background_lib.Background(picture, np.ones(picture.shape[:2]))
    deviation = 1.4826 * np.median(plain.difference(clip[0]))
    return background_lib.Background(
        picture, np.full(picture.shape[:2], max(deviation, 12**-0.5))
    )
