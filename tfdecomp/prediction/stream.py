"""A model that reads a long video piece by piece and forgets nothing."""

import inspect

import numpy as np
import tensorflow as tf

# What a model gives for each frame; the rest of its outputs are sums.
PER_FRAME = (
    "recon",
    "masks",
    "components",
    "slots",
    "presence",
    "boxes",
    "locations",
    "track_ids",
)


# What only pictures of slots need of it.
SHOWN_ALONE = ("components",)


class Stream:
    """Runs a model over consecutive chunks of one video.

    The model's state, or the number of the first frame where it has none, is
    carried from chunk to chunk, so that the result does not depend on where
    the video is cut. Two functions are compiled, whatever the lengths of the
    chunks and however many videos follow each other.

    Args:
        model: A built `DecompositionModel`.
        num_slots: `K`, if not the model's.
        num_refinements: `R`, if not the model's.
        names: Which outputs to give; the others are not computed. Besides
            those of `PER_FRAME` there is `owner` `[T, h, w]` int32, the slot
            with the largest mask.
        given: What the model reads beside every chunk, such as `background`
            `[1, h, w, C]`.
        least_share: Share of a pixel above which the object with the largest
            one is its `owner`; None: the background takes part as any slot.

    Raises:
        ValueError: If the model does not take one of these.
    """

    def __init__(
        self,
        model,
        num_slots=None,
        num_refinements=None,
        names=PER_FRAME,
        given=None,
        least_share=None,
    ):
        self.num_slots = num_slots
        self._least_share = least_share
        self._names = tuple(names)
        self._given = {
            name: tf.constant(value) for name, value in (given or {}).items()
        }
        self._asked = _asked(model, num_slots, num_refinements)
        self.model = model
        self._compiled = {}
        self.restart()

    def restart(self, seed=0):
        """Forgets the video; the next frames are the first ones of another.

        Args:
            seed: Seed of its samples.
        """
        self._seed = tf.constant([[seed, 0]], tf.int32)
        self._state, self._count = None, 0

    def __call__(self, pictures) -> dict:
        """Decomposes the next frames.

        Args:
            pictures: `[T, h, w, C]` uint8.

        Returns:
            Those of `PER_FRAME` that the model gives, as arrays `[T, ...]`.
        """
        inputs = {
            "video": tf.constant(pictures[None]),
            "seed": self._seed,
            "first_frame": tf.constant(self._count, tf.int32),
            **self._given,
        }
        if self._state is not None:
            inputs["state"] = self._state
        outputs = self._function(inputs)(inputs)
        self._state = outputs.pop("state", None)
        self._count += len(pictures)
        return {name: value[0].numpy() for name, value in outputs.items()}

    def predict_frames(self, num_frames) -> dict:
        """The frames that follow; the same keys as for observed ones.

        Raises:
            ValueError: If the model does not predict, or has seen nothing.
        """
        check_future(self.model)
        if self._state is None:
            raise ValueError("there is nothing to continue: no frame was read")
        outputs = self.model.predict_frames(self._state, self._seed, num_frames)
        return {
            name: np.asarray(outputs[name][0])
            for name in PER_FRAME
            if name in outputs
        }

    def _function(self, inputs):
        """The compiled function for inputs with these keys."""
        key = "state" in inputs
        if key not in self._compiled:
            specs = tf.nest.map_structure(
                lambda t: tf.TensorSpec(t.shape, t.dtype), inputs
            )
            specs["video"] = tf.TensorSpec(
                self._specs(inputs), inputs["video"].dtype
            )
            self._compiled[key] = tf.function(
                self._call, input_signature=[specs], autograph=False
            )
        return self._compiled[key]

    def _specs(self, inputs):
        """Shape of the video, whatever its length."""
        return [1, None, *inputs["video"].shape[2:]]

    def _call(self, inputs):
        outputs = self.model(inputs, training=False, **self._asked)
        if "owner" in self._names and "owner" not in outputs:
            outputs["owner"] = self._owner(outputs["masks"][..., 0])
        names = (*self._names, "state")
        return {name: outputs[name] for name in names if name in outputs}

    def _owner(self, masks):
        """Slot of every pixel, of masks `[B, T, K, H, W]`."""
        if self._least_share is None:
            return tf.argmax(masks, axis=2, output_type=tf.int32)
        masks = masks[:, :, 1:]
        best = 1 + tf.argmax(masks, axis=2, output_type=tf.int32)
        is_any = tf.reduce_max(masks, axis=2) > self._least_share
        return tf.where(is_any, best, 0)


class Clips:
    """Runs a model over whole clips, compiled once for all their lengths.

    Args:
        model: A built `DecompositionModel`.
        num_slots: `K`, if not the model's.
        num_refinements: `R`, if not the model's.

    Raises:
        ValueError: If the model does not take one of these.
    """

    def __init__(self, model, num_slots=None, num_refinements=None):
        self.model = model
        self._asked = _asked(model, num_slots, num_refinements)
        self._compiled = {}

    def __call__(self, clips, seeds) -> dict:
        """Decomposes clips.

        Args:
            clips: `[B, T, h, w, C]` uint8, or float32 in `[0, 1]`.
            seeds: `[B, 2]` int32.

        Returns:
            All outputs of the model, as arrays.
        """
        kind = clips.dtype.name
        if kind not in self._compiled:
            size = (*self.model.image_size, self.model.channels)
            specs = {
                "video": tf.TensorSpec([None, None, *size], clips.dtype),
                "seed": tf.TensorSpec([None, 2], tf.int32),
            }
            self._compiled[kind] = tf.function(
                self._call, input_signature=[specs], autograph=False
            )
        inputs = {
            "video": tf.constant(clips),
            "seed": tf.constant(seeds, tf.int32),
        }
        outputs = self._compiled[kind](inputs)
        return tf.nest.map_structure(lambda t: t.numpy(), outputs)

    def _call(self, inputs):
        return self.model(inputs, training=False, **self._asked)


def _asked(model, num_slots, num_refinements):
    """What to call a model with."""
    asked = {"num_slots": num_slots, "num_refinements": num_refinements}
    asked = {k: v for k, v in asked.items() if v is not None}
    known = inspect.signature(model.call).parameters
    for name in asked:
        if name not in known:
            raise ValueError(
                f"{type(model).__name__} has no choice of {name}; leave it out"
            )
    return asked


def given_of(scene) -> dict:
    """What a model that is given the background reads of a `Scene`."""
    background = scene.background
    return {
        "background": background.picture[None] / 255,
        "background_noise": background.noise[None] / 255,
    }


def check_future(model):
    """Raises `ValueError` unless a model predicts frames."""
    if not hasattr(model, "predict_frames"):
        raise ValueError(
            f"{type(model).__name__} does not predict frames; leave out "
            "num_future"
        )
