"""The models that a server was started with, by name."""

import dataclasses
import functools
import pathlib
import threading

import numpy as np
import tensorflow as tf

from tfdecomp.prediction import stream
from tfdecomp.prediction.files import arrays
from tfdecomp.serving.footage import UploadedFootage
from tfdecomp.serving.refusals import Refused
from tfdecomp.sharing import hub
from tfdecomp.storage import catalogue


@dataclasses.dataclass(frozen=True)
class Key:
    """What clips share that a model takes at once.

    Attributes:
        model: Name of the model.
        shape: `(T, h, w, C)`.
        kind: Name of the dtype.
    """

    model: str
    shape: tuple
    kind: str


class ServedModel:
    """A model that answers requests, and does jobs beside them.

    Args:
        name: What requests call it.
        folder: Its folder, as for `hub.load`.

    Attributes:
        name: What requests call it.
        loaded: The `hub.Loaded`.
    """

    def __init__(self, name, folder):
        self.name, self._folder = name, folder
        self.loaded = hub.load(folder)
        self._clips = stream.Clips(self.loaded.model)
        self._lock = threading.Lock()

    @functools.cached_property
    def for_jobs(self) -> hub.Loaded:
        """The model once more: a video that is read keeps its state in it."""
        with self._lock:
            return hub.load(self._folder)

    def describe(self) -> dict:
        """What `/v1/models` says of it."""
        model = self.loaded.model
        height, width = model.image_size
        return {
            "name": self.name,
            "system": type(model).__name__,
            "clips": [None, height, width, model.channels],
            "sees": self.loaded.sees,
            "follows": bool(getattr(model, "any_size", False)),
            "trained_on": self.loaded.trained_on,
        }

    def takes(self, array) -> bool:
        """Whether `[T, H, W, C]` are frames as the model reads them."""
        model = self.loaded.model
        return array.shape[1:] == (*model.image_size, model.channels)

    def key(self, clip) -> Key:
        """The `Key` of a clip that the model `takes`."""
        return Key(self.name, clip.shape, clip.dtype.name)

    def of_clips(self, clips, seeds) -> list[dict]:
        """Answers clips of one shape; each as if it had come alone.

        Args:
            clips: A list of `[T, h, w, C]`.
            seeds: A seed for each.

        Returns:
            A `tfdecomp.types.Decomposition` for each, without the axis `B`.
        """
        pairs = np.array([[seed, 0] for seed in seeds], np.int32)
        outputs = self._clips(np.stack(clips), pairs)
        # What goes on in the next chunk of a video has no place in an answer.
        outputs.pop("state", None)
        return [
            tf.nest.map_structure(
                lambda a, n=n: a[n] if np.ndim(a) else a, outputs
            )
            for n in range(len(clips))
        ]

    def of_footage(self, footage, **options) -> dict:
        """Answers a video of any size, as `hub.Loaded.decompose`.

        Args:
            footage: A `Footage`.
            **options: As of `hub.Loaded.decompose`.
        """
        return self.loaded.decompose(footage, **options)


def clip_of(array) -> np.ndarray:
    """An array as models read it, in memory: uint8 or float32."""
    return np.ascontiguousarray(arrays.for_model(np.asarray(array)))


def footage_of(upload, settings, most, is_abandoned, options):
    """Opens an upload within the bounds of a server.

    Args:
        upload: An `uploads.Upload`.
        settings: The `Settings`.
        most: Most frames.
        is_abandoned: Asked before every frame; true ends the reading.
        options: A dict that may have `fps` and `source_fps`.

    Returns:
        An `UploadedFootage`.
    """
    rates = {n: options[n] for n in ("fps", "source_fps") if n in options}
    return UploadedFootage(
        upload.path,
        upload.name,
        most,
        settings.max_pixels,
        is_abandoned,
        **rates,
    )


class ServedModels:
    """The models of a server; requests name one of them, and nothing else.

    Args:
        models: A list of `ServedModel`, the default first.

    Examples:
        >>> from tfdecomp.serving.served import ServedModels
        >>> ServedModels([]).get("../secret")
        Traceback (most recent call last):
            ...
        tfdecomp.serving.refusals.Refused: there is no model '../secret' ...
    """

    def __init__(self, models):
        self._models = {model.name: model for model in models}

    def __iter__(self):
        return iter(self._models.values())

    def get(self, name=None) -> ServedModel:
        """A model by its name; the first one where none is named.

        Raises:
            Refused: If the server was not started with it.
        """
        if name is None and self._models:
            return next(iter(self._models.values()))
        if name not in self._models:
            known = ", ".join(self._models)
            raise Refused(
                404, f"there is no model {str(name)!r} here; there are: {known}"
            )
        return self._models[name]


def load(names) -> ServedModels:
    """Loads the models that a server is started with.

    Args:
        names: Names of shipped models, folders, or Hugging Face repositories,
            as for `hub.load`. Requests call a folder by its last part.

    Raises:
        HubError: If there is no such model.
        ValueError: If two would have one name.
    """
    found = {}
    for name in names:
        folder = catalogue.resolve(name)
        short = short_name(name)
        if short in found:
            raise ValueError(
                f"two models would be called {short!r}: {found[short]} and "
                f"{folder}; rename one of the folders"
            )
        found[short] = folder
    if not found:
        raise ValueError("a server needs a model; name one with --model")
    return ServedModels([ServedModel(*pair) for pair in found.items()])


def short_name(name) -> str:
    """What requests call a model.

    Examples:
        >>> from tfdecomp.serving.served import short_name
        >>> short_name("~/runs/balls/"), short_name("hf://owner/fish")
        ('balls', 'fish')
    """
    return pathlib.PurePath(str(name)).name or str(name)
