"""Trained models by name, ready to use.

    import tfdecomp

    model = tfdecomp.load("provide_balls_quick")
    parts = model.decompose(video)  # [T, H, W, C], or a path
    parts["masks"]                  # [T, K, h, w, 1]
    model.predict("clip.mp4", "out/")  # a video of any length, into files

Folders of weights are made by `packing.pack`. Those below `tfdecomp/weights/`
ship with the package; others come from a folder or from a Hugging Face
repository. Nothing here reads or changes the active gin config.
"""

import dataclasses
import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfdecomp.prediction import (
    choosing,
    looking,
    runner,
    stream,
    tiles,
    tracking,
    trust,
)
from tfdecomp.prediction import footage as footage_lib
from tfdecomp.prediction import options as options_lib
from tfdecomp.prediction.files import arrays, kinds
from tfdecomp.prediction.files import folder as folder_lib
from tfdecomp.sharing import packing
from tfdecomp.sharing.packing import pack
from tfdecomp.storage import (
    catalogue,
    configs,
    model_info,
    saving,
)
from tfdecomp.storage import precision as precision_lib
from tfdecomp.storage.catalogue import (
    FILES,
    HUGGING_FACE,
    INFO_NAME,
    WEIGHTS_NAME,
    HubError,
    folder,
    list_models,
    resolve,
    table,
)
from tfdecomp.types import Path, Progress, ShouldStop, Source
from tfdecomp.untrusted import model_files, shipped
from tfdecomp.version import __version__

__all__ = [
    "FILES",
    "HUGGING_FACE",
    "INFO_NAME",
    "WEIGHTS_NAME",
    "HubError",
    "Loaded",
    "folder",
    "list_models",
    "load",
    "pack",
    "resolve",
    "table",
]

AUTO_FIT = "auto"
# Of a pixel that is known to move: an object's masks are soft at its borders.
_LEAST_SHARE = 0.1
_MOST_COMPILED = 4  # numbers of slots and refinements; each is a graph
_FITTED = ("objects", "object_size", "min_area", "max_area", "region")


@dataclasses.dataclass
class Loaded:
    """A trained model.

    Attributes:
        model: The `DecompositionModel`, with its weights.
        info: Where it comes from: the content of `info.json`, or for a work
            directory the step and the checkpoint.
        config: Text of the gin config that it was trained with.
        precision: What it computes in unless a call says else: `"float32"`,
            `"bfloat16"`, or `"auto"`, see `storage.precision.chosen`; None:
            as the model is.
    """

    model: keras.Model
    info: dict
    config: str = ""
    precision: str | None = None

    def __post_init__(self):
        self._streams, self._clips, self._others = {}, {}, {}
        if self.precision is not None:
            self.model = self._at(self.precision)

    def decompose(
        self,
        video: Source,
        num_slots: int | None = None,
        num_refinements: int | None = None,
        seed: int = 0,
        precision: str | None = None,
        **fitting: Any,
    ) -> dict[str, Any]:
        """Takes a video apart.

        A path, or frames of another size than the model's, are fitted to the
        model first; the result then also says, in pixels of the input, where
        the objects are. It is kept in memory: `predict` writes files instead.

        Args:
            video: `[T, H, W, C]`, or `[B, T, H, W, C]` of the model's size;
                uint8, uint16, bool, or floating point in `[0, 1]`: what the
                model reads, so of one that `sees` differences they are such
                pictures. Or what
                `tfdecomp.prediction.footage.Footage` takes: the path of a
                video, a folder of frames, a picture, a `.npy` file.
            num_slots: `K`; by default the model's.
            num_refinements: `R`; by default the model's.
            seed: Seed of the samples; each clip of a batch has its own.
            precision: `"float32"`, `"bfloat16"` or `"auto"`; by default as it
                was loaded.
            **fitting: For what is fitted: `fit`, `fps`, `source_fps`,
                `chunk`, `num_future`; see `predict`.

        Returns:
            A `tfdecomp.types.Decomposition` of NumPy arrays; without the
            axis `B` if the video has none. For what is fitted it has values
            per frame alone, and `ids`, `tracks` and `trust`, how far to
            trust them, as in `tfdecomp.prediction.runner.decompose`; of
            models that follow what moves, as in `tracking.decompose`.

        Raises:
            HubError: If the video does not fit the model.
            DatasetInputError: If it cannot be read.
        """
        options = self._options(
            num_slots=num_slots,
            num_refinements=num_refinements,
            seed=seed,
            precision=precision,
            **fitting,
        )
        video = arrays.source(video)
        if fitting or not self._fits(video):
            if self._tracks(options):
                return tracking.decompose(self.job(video, options))
            return runner.decompose(
                self._stream(options), video, options, self.reference
            )
        has_batch = video.ndim == 5
        clips = self._checked(video if has_batch else video[None])
        options_lib.check_slots(
            options.num_slots,
            self.model.image_size,
            clips.shape[0] * clips.shape[1],
        )
        count = len(clips)
        seeds = np.stack(
            [np.full(count, options.seed), np.arange(count)], axis=-1
        )
        outputs = self._of_clips(options)(clips, seeds)
        if has_batch:
            return outputs
        return tf.nest.map_structure(
            lambda a: a[0] if np.ndim(a) else a, outputs
        )

    def predict(
        self,
        source: Source,
        output: Path,
        *,
        overwrite: bool = False,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Decomposes a video of any length and size into a folder.

        Args:
            source: Path of a video, a folder of frames, a picture or a `.npy`
                file; or an array. See `tfdecomp.prediction.footage.Footage`.
            output: Folder for masks, videos, tracks and latents; its content
                is that of `python -m tfdecomp.predict`.
            overwrite: Whether an earlier prediction there is replaced.
            progress: Called with the numbers of frames done and of all.
            should_stop: Called after each frame; true ends the work there.
            **options: Fields of `tfdecomp.prediction.runner.Options`. `fit`
                is by default `"auto"`: `"crop"` if the model was trained on
                crops, else `"letterbox"`.

        Returns:
            The content of `prediction.json`, and `output`.

        Raises:
            DatasetInputError: If the source cannot be read.
            ValueError: If the folder or an option does not suit.
        """
        settings = self._options(**options)
        source = arrays.source(source)
        options_lib.check_calls(progress=progress, should_stop=should_stop)
        rest = {
            "info": self._summary(),
            "overwrite": overwrite,
            "progress": progress,
            "should_stop": should_stop,
        }
        if not self._tracks(settings):
            return runner.predict(
                self._stream(settings),
                source,
                output,
                settings,
                reference=self.reference,
                **rest,
            )
        folder_lib.check(output, overwrite)
        job = self.job(source, settings, should_stop)
        return runner.track(job, output, **rest)

    def gauge(self, source: Source, **options: Any) -> trust.Gauge:
        """Measures what tells how far to trust a decomposition.

        Args:
            source: What `predict` takes.
            **options: As for `predict`.

        Returns:
            The `tfdecomp.prediction.trust.Gauge` of the whole video.
        """
        settings = self._options(**options)
        source = arrays.source(source)
        return runner.gauge(self._stream(settings), source, settings)

    @property
    def reference(self) -> dict | None:
        """What its own data have, see `prediction.trust.reference_of`; or None.

        Raises:
            HubError: If what the model says of that is no reference.
        """
        found = self.info.get("reference")
        try:
            trust.check_reference(found)
        except ValueError as error:
            raise HubError(
                f"{INFO_NAME} of the model is damaged ({error}); copy its "
                "folder again"
            ) from error
        return found

    @property
    def sees(self) -> str:
        """What it reads: `"frames"`, their `"difference"` from a background,
        or both, frames and `"background"`."""
        return self.info.get("sees") or model_info.sees(self.config)

    def job(self, source, options, should_stop=None, choice=None):
        """Looks at a video and chooses what is left open.

        Args:
            source: What `Footage` takes, or one.
            options: `runner.Options`.
            should_stop: Called after every frame that is looked at.
            choice: What was chosen before for this video.

        Returns:
            A `prediction.tracking.Job`.

        Raises:
            ValueError: If the model cannot follow objects, or an option does
                not suit the video.
        """
        if not getattr(self.model, "any_size", False):
            raise HubError(
                f"{type(self.model).__name__} knows one size of frames and "
                "gives no boxes: leave out size, region, objects, areas and "
                "link, or take a model such as 'silot_motion' or "
                "'background_subtraction'"
            )
        footage = arrays.source(source)
        if not isinstance(footage, footage_lib.Footage):
            footage = options.footage(footage)
        if options.num_future:
            raise HubError(
                "no frames are predicted where objects are followed over the "
                "whole video; leave out num_future"
            )
        options, scale = self._settled(options, footage.size)
        if options.link in (None, "model"):
            options = dataclasses.replace(options, link="offline")
        if choice is None:
            glance = looking.glance(
                [footage], should_stop=should_stop, is_strict=False
            )
            choice = choosing.choose(
                glance,
                choosing.asked(options, footage.size),
                getattr(self.model, "largest_box", None),
                scale,
                self.sees == "difference",
            )
        choice.view.channels = self.model.channels
        num_slots = options.num_slots or choice.num_slots
        given, model = {}, self._at(options.precision)
        if self.sees == "background":
            model = self._for_scene(model, choice.view.scene)
            given = stream.given_of(choice.view.scene)
        names = ("owner", "boxes", "presence", "track_ids", "slots", "recon")
        size = choice.view.size
        tile = [min(side, tiles.SIDE) for side in size]
        options_lib.check_slots(options.num_slots, tile, working=0)
        if self._takes_tiles(num_slots, size):
            overlap = 2 * int(np.ceil(model.largest_box))
            model_stream = tiles.TiledStream(
                model,
                tiles.tiling(size, overlap, tiles.side_for(num_slots)),
                num_slots,
                names=names,
                given=given,
                least_share=_LEAST_SHARE,
            )
        else:
            model_stream = stream.Stream(
                model,
                num_slots,
                options.num_refinements,
                names,
                given,
                _LEAST_SHARE,
            )
        return tracking.Job(
            model_stream,
            footage,
            choice,
            options,
            self.reference,
        )

    def _takes_tiles(self, num_slots, size):
        """Whether a frame is too much at once; only boxes have an overlap."""
        has_boxes = getattr(self.model, "largest_box", None) is not None
        return has_boxes and tiles.needs_tiles(size, num_slots)

    def _settled(self, options, frame_size):
        """`(options, scale)` with what a fit found where nobody says else.

        What is in pixels holds for frames like those it was fitted to.
        """
        fitted = self.info.get("fitted") or {}
        try:
            own = fitted.get("frame_size") or list(frame_size)
            is_same = list(own) == list(frame_size)
            for name in _FITTED if is_same else _FITTED[:1]:
                value = fitted.get(name)
                if name == "region" and not isinstance(value, list):
                    continue  # never a path out of somebody's file
                if value is not None and getattr(options, name) is None:
                    options = dataclasses.replace(options, **{name: value})
            scale = fitted.get("scale")
            if not is_same or options.size is not None or scale is None:
                return options, None
            dataclasses.replace(options, size=scale)  # refuses what is none
            return options, float(scale)
        except (AttributeError, TypeError, ValueError) as error:
            raise HubError(
                f"what {INFO_NAME} says of the fit of this model cannot be "
                f"used ({error}); copy the folder again, or fit it again"
            ) from error

    def _for_scene(self, model, scene):
        """The model, told how large objects are if it asks for that."""
        config = model.get_config()
        if "min_area" not in config:
            return model
        changed = {"min_area": scene.min_area, "max_area": scene.max_area}
        return type(model).from_config({**config, **changed})

    def _at(self, precision):
        """The model in a precision; None: as it is."""
        if precision is None:
            return self.model
        chosen = precision_lib.chosen(precision, self.info)
        if chosen not in self._others:
            self._others[chosen] = precision_lib.at(self.model, chosen)
        return self._others[chosen]

    def _tracks(self, options):
        """Whether a video takes two passes."""
        if options.link == "model" and self.sees != "frames":
            raise HubError(
                "link='model' shows the model frames as they are, and this "
                f"one sees their {self.sees} in a second pass; leave link "
                "out, or take 'online'"
            )
        return options.asks_for_tracks or self.sees != "frames"

    @property
    def trained_on(self) -> str | None:
        """Name of the dataset that it was trained on, if known."""
        return model_info.trained_on(self.config)

    def _options(self, fit=AUTO_FIT, **options):
        if isinstance(fit, str) and fit == AUTO_FIT:
            crop = model_info.setting(self.config, "data.make_dataset.crop")
            fit = "letterbox" if crop in (None, "None") else "crop"
        options_lib.check_names(options)
        return options_lib.Options(fit=fit, **options)

    def _stream(self, options):
        """The compiled model, the same for all videos."""
        names = stream.PER_FRAME
        if options.write != kinds.ALL and "slots" not in options.write:
            names = tuple(n for n in names if n not in stream.SHOWN_ALONE)
        return self._kept(self._streams, stream.Stream, options, names)

    def _of_clips(self, options):
        """The same for clips that are the model's as they are."""
        return self._kept(self._clips, stream.Clips, options)

    def _kept(self, kept, make, options, *more):
        """What was compiled for these options; of many, the last ones."""
        asked = options.num_slots, options.num_refinements, *more
        options_lib.check_slots(options.num_slots, self.model.image_size)
        model = self._at(options.precision)
        key = (model.compute_dtype, *asked)
        kept[key] = kept.pop(key, None) or make(model, *asked)
        if len(kept) > _MOST_COMPILED:
            del kept[next(iter(kept))]
        return kept[key]

    def _summary(self):
        """What of `info` tells models apart."""
        names = ("name", "version", "step", "weights", "checkpoint", "sha256")
        kept = {name: self.info[name] for name in names if name in self.info}
        return {"model": type(self.model).__name__, **kept}

    def _fits(self, video):
        """Whether it is an array that the model can take as it is."""
        if not isinstance(video, np.ndarray):
            return False
        shape = np.shape(video)
        size = (*self.model.image_size, self.model.channels)
        return len(shape) == 5 or (len(shape) == 4 and shape[1:] == size)

    def _checked(self, clips):
        """The clips `[B, T, H, W, C]`, if the model can read them."""
        height, width = self.model.image_size
        expected = (height, width, self.model.channels)
        if clips.shape[2:] != expected:
            raise HubError(
                f"the model reads batches [B, T, {height}, {width}, "
                f"{expected[2]}], got {list(clips.shape)}; resize the frames, "
                "or repeat a grey channel, or pass videos one by one"
            )
        if not all(clips.shape[:2]):
            raise HubError(
                f"the video is empty: {clips.shape[0]} clips of "
                f"{clips.shape[1]} frames"
            )
        return arrays.for_model(clips)


def load(name_or_dir: Path, precision: str | None = None) -> Loaded:
    """Loads a trained model.

    Args:
        name_or_dir: Name of a shipped model (see `list_models`), a folder
            made by `pack`, the work directory of a run, of which the newest
            checkpoint is taken, or a Hugging Face repository,
            `"owner/name"` or `"hf://owner/name"`, which needs the extra
            `hub`.
        precision: What it computes in: `"float32"`, `"bfloat16"`, or
            `"auto"`, which is bfloat16 where the machine has it and the model
            was measured to find the same in it. By default as it was stored,
            float32 for all that ship.

    Raises:
        HubError: If there is no such model, its files are damaged, or another
            version wrote them.
        CheckpointError: If a work directory has nothing to restore.
    """
    path = resolve(name_or_dir)
    try:
        config = configs.saved(path) or ""
        if not os.path.lexists(path / INFO_NAME):
            model, info = saving.restore_model(path)
            return Loaded(model, info, config, precision)
        info = packing.read_info(path)
        packing.check_sums(path, _expected_sums(path, info))
        model = saving.load_packed(path, WEIGHTS_NAME)
    except (configs.ConfigError, saving.CheckpointError) as error:
        if not os.path.lexists(path / INFO_NAME):
            raise
        raise HubError(_with_version(str(error), path)) from error
    return Loaded(model, info, config, precision)


def _expected_sums(path, info):
    """Checksums of a folder: of a shipped model those in the code."""
    is_shipped = path.resolve().parent == catalogue.folder().resolve()
    known = shipped.SUMS.get(path.name) if is_shipped else None
    return known or info["sha256"]


def _with_version(message, path):
    """The message, and which version wrote the folder if it was another."""
    version = str(packing.read_info(path).get("version", "?"))
    if version == __version__:
        return message
    return (
        f"{message} (written by tfdecomp "
        f"{model_files.printable(version, 40)}, and this is "
        f"{__version__})"
    )
