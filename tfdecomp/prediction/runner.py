"""Decomposes a video of any length and writes what comes of it."""

import collections
import contextlib
import dataclasses
import itertools
import os
from typing import Any

import numpy as np
from absl import logging

from tfdecomp.data import errors
from tfdecomp.data.video import video_io, video_writer
from tfdecomp.prediction import footage as footage_lib
from tfdecomp.prediction import options as options_lib
from tfdecomp.prediction import tracking, trust
from tfdecomp.prediction.ahead import AtOnce, ahead
from tfdecomp.prediction.files import folder as folder_lib
from tfdecomp.prediction.files import kinds, tracks
from tfdecomp.prediction.files.growing_npz import GrowingNpz
from tfdecomp.prediction.fit import Fit
from tfdecomp.prediction.footage import Footage
from tfdecomp.prediction.options import Options as Options  # known by this name
from tfdecomp.prediction.stream import PER_FRAME, Stream, check_future
from tfdecomp.types import Path, Progress, ShouldStop, Source
from tfdecomp.version import __version__
from tfdecomp.visualization import (
    palette,
    rollout,
    slot_grid,
    tracking_video,
)

BACKGROUND_FRAMES = 32  # that decide which slot is the background
_CONTEXT = 12  # observed frames shown before predicted ones
_FRAME_BYTES = 256 * 2**20  # of decoded frames kept at once
# Of which one is being decoded, one seen by the model and one written.
_CHUNKS = 3
_DRAWING = 2  # threads that draw and encode
_GRID_SIDE = 144  # pixels
_LATENTS = ("slots", "presence", "locations", "track_ids")
_OF_OBJECTS = frozenset(["masks", "overlay", "tracks"])  # of `files.kinds`


class PredictionError(ValueError):
    """A video that ended badly; says what is usable."""


class Job:
    """One video and one model.

    Args:
        stream: A `Stream` of the model.
        footage: A `Footage`, or what it takes as source.
        options: `Options`.

    Attributes:
        footage: The `Footage`.
        background: Slot of the background: the model's if it knows, else the
            one with the largest masks over the first frames; None without
            masks.
    """

    def __init__(self, stream, footage, options):
        self.stream, self.model, self.options = stream, stream.model, options
        self._slots = options.num_slots or self.model.num_slots
        if options.num_future:
            check_future(self.model)
            options_lib.check_future(
                options.num_future, self._slots, self.model.image_size
            )
        if not isinstance(footage, Footage):
            footage = options.footage(footage)
        self.footage = footage
        self.fit = Fit(
            footage.size,
            self.model.image_size,
            self.model.channels,
            options.fit,
        )
        # Also notices early what the model does not take.
        self.background = self._find_background()

    def _find_background(self):
        known = getattr(self.model, "background_slot", None)
        if known is not None:
            return known
        pictures = []
        with (
            contextlib.closing(self.footage.frames()) as frames,
            # What comes before a fault is enough here.
            contextlib.suppress(errors.DatasetInputError),
        ):
            for frame in itertools.islice(frames, BACKGROUND_FRAMES):
                pictures.append(self.fit.picture(frame.pixels))
        self.stream.restart(self.options.seed)
        outputs = self.stream(np.stack(pictures))
        if "masks" not in outputs:
            return None
        return palette.background_slot(outputs["masks"])

    def run(self):
        """Yields `(frame, picture, outputs)` of every frame.

        `outputs` has those of `PER_FRAME` that the model gives, for this
        frame.
        """
        self.stream.restart(self.options.seed)
        with contextlib.closing(self._chunks()) as chunks:
            for chunk in chunks:
                frames, pictures = zip(*chunk)
                outputs = self.stream(np.stack(pictures))
                for t, frame in enumerate(frames):
                    here = {name: value[t] for name, value in outputs.items()}
                    yield frame, pictures[t], here

    @property
    def length(self):
        """Frames that the model gets at once."""
        size = max(
            3 * int(np.prod(self.footage.size)),
            options_lib.frame_bytes(self._slots, self.model.image_size),
        )
        most = _FRAME_BYTES // (_CHUNKS * size)
        # The parts that DVIP draws refer to a video's second frame.
        return max(2, min(self.options.chunk, most))

    def _pictured(self):
        """Yields every frame with what the model sees of it."""
        with contextlib.closing(self.footage.frames()) as frames:
            for frame in frames:
                yield frame, self.fit.picture(frame.pixels)

    def _chunks(self):
        length, chunk = self.length, []
        with contextlib.closing(ahead(self._pictured(), length)) as source:
            try:
                for pair in source:
                    chunk.append(pair)
                    if len(chunk) == length:
                        yield chunk
                        chunk = []
            except errors.DatasetInputError:
                if chunk:  # what came before the fault is good
                    yield chunk
                raise
        if chunk:
            yield chunk

    def objects(self, outputs):
        """`(id picture [H, W] uint8, list of tracks.Object)` of one frame."""
        slots = self.fit.slots(outputs["masks"])
        ids = tracks.slot_ids(outputs, self.background)
        found = tracks.find(slots, ids, outputs, self.fit)
        return tracks.id_picture(slots, ids), found


def decompose(
    stream: Stream,
    source: Source | Footage,
    options: Options,
    reference: dict | None = None,
) -> dict[str, Any]:
    """Decomposes a video in memory.

    Args:
        stream: A `Stream` of the model.
        source: What `Footage` takes.
        options: `Options`.
        reference: What the model's own data have, see `trust.reference_of`.

    Returns:
        What the model gives for each frame (`stream.PER_FRAME`, `[T, ...]`,
        in the model's pixels), and where it has masks `ids` `[T, H, W]`
        uint8, the objects in pixels of the input (0 is the background, slot
        `k` is `k + 1`), and `tracks`, a list of `tracks.Object` per frame.
        `trust` says how far to trust them, see `trust.judge`. With
        `num_future`, `future` has the same for predicted frames, in the
        model's pixels alone.
    """
    job = Job(stream, source, options)
    gauge = trust.Gauge(job.fit, job.background)
    gathered = collections.defaultdict(list)
    with contextlib.closing(job.run()) as results:
        for _, picture, outputs in results:
            gauge.add(picture, outputs)
            for name, value in outputs.items():
                gathered[name].append(value)
            if "masks" in outputs:
                ids, found = job.objects(outputs)
                gathered["ids"].append(ids)
                gathered["tracks"].append(found)
    found = gathered.pop("tracks", None)
    result: dict[str, Any] = {
        name: np.stack(values) for name, values in gathered.items()
    }
    if found is not None:
        result["tracks"] = found
    result["trust"] = gauge.verdict(reference)
    trust.warn(result["trust"])
    if options.num_future:
        result["future"] = job.stream.predict_frames(options.num_future)
    return result


def gauge(
    stream: Stream, source: Source | Footage, options: Options
) -> trust.Gauge:
    """The `trust.Gauge` of a video; arguments as for `decompose`."""
    job = Job(stream, source, options)
    result = trust.Gauge(job.fit, job.background)
    with contextlib.closing(job.run()) as results:
        for _, picture, outputs in results:
            result.add(picture, outputs)
    return result


def predict(
    stream: Stream,
    source: Source | Footage,
    output: Path,
    options: Options,
    *,
    info: dict | None = None,
    reference: dict | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> dict[str, Any]:
    """Decomposes a video into a folder, in memory that does not grow with it.

    Args:
        stream: A `Stream` of the model.
        source: What `Footage` takes, or one.
        output: Folder for the results; see `tfdecomp.predict` for its
            content.
        options: `Options`.
        info: JSON-able facts about the model, kept in `prediction.json`.
        reference: What the model's own data have, see `trust.reference_of`.
        overwrite: Whether an earlier prediction in the folder is replaced.
        progress: Called with the numbers of frames done and of all frames.
        should_stop: Called after each frame; true ends the work there, and
            all files are complete up to it.

    Returns:
        The content of `prediction.json`.

    Raises:
        DatasetInputError: If the source cannot be read.
        OutputError: If the folder cannot be written to.
        PredictionError: If the source ends badly after its first frames; what
            was written until then is complete.
    """
    folder_lib.check(output, overwrite)
    has_future = bool(options.num_future)
    write = kinds.of_a_pass(options.write, kinds.ONE_PASS, has_future)
    job = Job(stream, source, options)

    def fill(folder, record, progress, should_stop):
        done, total = 0, job.footage.num_frames
        with (
            _Writers(folder.path, job, record, write, reference) as writers,
            contextlib.closing(ahead(job.run(), job.length)) as found,
        ):
            for frame, picture, outputs in found:
                writers.add(frame, picture, outputs)
                done += 1
                record["num_frames"] = done
                progress(done, total)
                if should_stop():
                    return folder_lib.INTERRUPTED
            writers.add_future()
        return folder_lib.FINISHED

    return _filled(
        fill, job, write, output, info, overwrite, progress, should_stop
    )


def track(
    job: tracking.Job,
    output: Path,
    *,
    info: dict | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> dict[str, Any]:
    """The same in two passes, with identities decided over the whole video.

    Args:
        job: A `tracking.Job`.
        output: As for `predict`, and so on.
        info: The same.
        overwrite: The same.
        progress: The same; each of the two passes counts for half.
        should_stop: The same. What was found until then is written; true
            anew, after it was false in between, ends the writing, too.

    Returns:
        The content of `prediction.json`.

    Raises:
        PredictionError: If the source ends badly after its first frames; what
            was written until then is complete.
    """
    write = kinds.of_a_pass(job.options.write, kinds.TWO_PASSES)
    if job.can_fit:  # else whoever fitted the model has said so
        for _, words in job.problems:
            # It ends the verdict, too; a long video is better stopped now.
            logging.warning("%s: %s", job.footage.name, words)

    def fill(folder, record, progress, should_stop):
        state = tracking.run(
            job, folder.path, record, progress, should_stop, write
        )
        if state == folder_lib.FAILED:
            raise errors.DatasetInputError(record["error"])
        return state

    return _filled(
        fill, job, write, output, info, overwrite, progress, should_stop
    )


def _filled(fill, job, write, output, info, overwrite, progress, should_stop):
    """Opens a folder, fills it, and says in it how far that came."""
    folder_lib.check(output, overwrite)
    folder = folder_lib.OutputFolder(output, overwrite)
    record = _record(job, info) | {"num_frames": 0}
    state = folder_lib.FAILED
    try:
        state = fill(
            folder,
            record,
            progress or (lambda done, total: None),
            should_stop or (lambda: False),
        )
    except KeyboardInterrupt:
        state = folder_lib.INTERRUPTED
        raise
    except (ValueError, OSError) as error:
        words = record["error"] = _words(error)
        done, total = record["num_frames"], job.footage.num_frames
        if not done and getattr(error, "errno", None) not in folder_lib.FULL:
            raise
        left = f"the first {done} of {total} frames are in {folder.path}"
        raise PredictionError(
            f"{words}; {left if done else 'nothing was written'}"
        ) from error
    finally:
        if "frames" in write:
            _write_index(folder.path, job.footage, record)
        record["written"] = kinds.written(folder.path)
        folder.finish(record | {"state": state})
    trust.warn(record.get("trust"))
    return {**record, "state": state, "output": str(folder.path)}


def _write_index(path, footage, record):
    """Which frame of the source each result is of."""
    if not record["num_frames"]:
        return
    try:
        footage_lib.write_index(
            path / footage_lib.INDEX_NAME, footage, record["num_frames"]
        )
    except OSError as error:  # what is done is worth more
        logging.warning(
            "%s could not be written (%s)", footage_lib.INDEX_NAME, error
        )


def _words(error):
    """What went wrong, in words."""
    if getattr(error, "errno", None) not in folder_lib.FULL:
        return str(error)
    name = error.filename and os.path.basename(os.fspath(error.filename))
    if name:  # as the user knows it
        name = name.replace(".partial", "").removeprefix(".")
    beside = f" ({name} could not be finished)" if name else ""
    return f"the disk is full{beside}; make room, or choose another folder"


def _record(job, info):
    footage, options = job.footage, dataclasses.asdict(job.options)
    return {
        "model": info or {"model": type(job.model).__name__},
        "source": {
            "name": footage.name,
            "height": footage.size[0],
            "width": footage.size[1],
            "num_frames": footage.num_frames,
            "fps": footage.rate,
            "has_variable_rate": footage.is_timed,
            "notes": footage.notes,
        },
        "options": options,
        "background_slot": job.background,
        "precision": job.model.compute_dtype,
        "version": __version__,
    }


class _Writers:
    """All files of a prediction; each is closed whatever happens."""

    def __init__(self, path, job, record, write, reference):
        self.path, self.job, self._reference = path, job, reference
        self._write, self._at_once = write, AtOnce(_DRAWING)
        self._gauge = trust.Gauge(job.fit, job.background)
        self._rate = job.footage.rate
        self._overlay = self._video("overlay.mp4")
        self._grid = self._video("slots.mp4")
        self._latents = GrowingNpz(path / "latents.npz")
        self._tracks, self._record = None, record
        self._painter = tracking_video.TrackPainter()
        self._recent = collections.deque(maxlen=_CONTEXT)

    def _video(self, name):
        return video_writer.VideoWriter(
            self.path / name, self._rate, self.job.footage.is_timed
        )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with contextlib.ExitStack() as closing:
            closing.callback(self._at_once.close)
            # The videos come first: if they fail, that makes room.
            closing.callback(self._latents.close, self._record["num_frames"])
            if self._tracks is not None:
                closing.callback(self._tracks.close)
            closing.callback(self._grid.close)
            closing.callback(self._overlay.close)
            if self._gauge.frames:
                self._record["trust"] = self._gauge.verdict(self._reference)

    def add(self, frame, picture, outputs):
        """Writes one frame to all files, or to none."""
        self._gauge.add(picture, outputs)
        mask = self.path / "masks" / tracks.mask_name(frame.number)
        ids = found = None
        if "masks" in outputs and not _OF_OBJECTS.isdisjoint(self._write):
            ids, found = self.job.objects(outputs)

        def draw_slots():
            self._grid.add(self._grid_frame(picture, outputs), frame.time)

        def draw_objects():
            boxes = {object.id: object.box for object in found}
            marked = self._painter.paint(frame.pixels, boxes, ids)
            self._overlay.add(marked, frame.time)

        drawings = []
        if "slots" in self._write:
            drawings.append(draw_slots)
        if "overlay" in self._write and found is not None:
            drawings.append(draw_objects)
        with folder_lib.taken_back(mask):
            self._at_once(
                lambda: self._add_numbers(mask, frame, outputs, ids, found),
                *drawings,
            )
        if self._tracks is not None:
            self._tracks.keep()
        if "future" in self._write:
            kept = ("recon", "masks")
            kept = {name: outputs[name] for name in kept if name in outputs}
            self._recent.append({"video": picture, **kept})

    def _add_numbers(self, mask, frame, outputs, ids, found):
        """Whatever is not drawn."""
        if "masks" in self._write and ids is not None:
            video_io.write_png(mask, ids, palette.id_colors())
        if "tracks" in self._write and found is not None:
            self._track_files().add(frame, found)
        if "latents" in self._write:
            self._add_latents(frame, outputs)

    def _add_latents(self, frame, outputs):
        latents = {name: outputs[name] for name in _LATENTS if name in outputs}
        if "boxes" in outputs:
            latents["boxes"] = self.job.fit.boxes(outputs["boxes"])
        self._latents.add(
            {**latents, "frame": frame.number, "time": frame.time}
        )

    def _track_files(self):
        if self._tracks is None:
            source = self._record["source"]
            names = ("name", "height", "width")
            self._tracks = tracks.TrackFiles(
                self.path, self._record, {n: source[n] for n in names}
            )
        return self._tracks

    def _grid_frame(self, picture, outputs):
        shown = {"video": picture} | {
            name: outputs[name]
            for name in ("recon", "masks", "components")
            if name in outputs
        }
        cut = self.job.fit.without_bars
        labels = None
        if "masks" in outputs:
            ids = tracks.slot_ids(outputs, self.job.background)
            labels = [
                f"track {number}" if number else "no object" for number in ids
            ]
            if self.job.background is not None:
                labels[self.job.background] = "background"
        (result,) = slot_grid.slot_frames(
            **{name: cut(value)[None] for name, value in shown.items()},
            background=self.job.background,
            slot_labels=labels,
            min_side=_GRID_SIDE,
        )
        return result

    def add_future(self):
        """Predicts frames and writes them, if any are asked for."""
        if "future" not in self._write:
            return
        count = self.job.options.num_future
        future = self.job.stream.predict_frames(count)
        names = [name for name in PER_FRAME if name in future]
        npz = GrowingNpz(self.path / "future.npz")
        for t in range(count):
            npz.add({name: future[name][t] for name in names})
        npz.close()
        cut = self.job.fit.without_bars
        seen = {
            name: cut(np.stack([frame[name] for frame in self._recent]))
            for name in self._recent[0]
        }
        joined = {
            name: np.concatenate([seen[name], cut(future[name])])
            for name in ("recon", "masks")
            if name in seen
        }
        frames = rollout.rollout_video(
            seen["video"], num_observed=len(self._recent), **joined
        )
        video_io.write_video(self.path / "future.mp4", frames, self._rate)
