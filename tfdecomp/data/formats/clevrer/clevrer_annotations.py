"""Reads CLEVRER's annotations: who is there, where, and in view or not."""

import dataclasses
import json

import numpy as np

from tfdecomp.data import errors
from tfdecomp.data.formats.clevrer import clevrer_layout
from tfdecomp.simulation.rays import clevr_scenes

# Codes are places in these, from 1; they are those of the stand-ins.
VALUES = {
    "color": tuple(clevr_scenes.COLOURS),
    "material": clevr_scenes.MATERIALS,
    "shape": clevr_scenes.SHAPES,
}


@dataclasses.dataclass(frozen=True)
class Annotation:
    """What is known of a video of `T` frames and `n` objects.

    Args:
        kinds: `(colour, material, shape)` of each object, by name.
        in_view: `[T, n]` bool, whether it is in the camera's view.
        location: `[T, n, 3]`, in units of the scene.
        velocity: `[T, n, 3]`.
        collision: `[T, n]` uint8, 1 where it collides.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.formats.clevrer.clevrer_annotations import (
        ...     Annotation,
        ... )
        >>> place, seen = np.zeros([2, 1, 3]), np.ones([2, 1], np.uint8)
        >>> kinds = (("red", "metal", "cube"),)
        >>> known = Annotation(kinds, seen > 0, place, place, seen)
        >>> known.factors(slice(0, 2), slots=3)["location_3d"].shape
        (2, 3, 3)
    """

    kinds: tuple
    in_view: np.ndarray
    location: np.ndarray
    velocity: np.ndarray
    collision: np.ndarray

    def factors(self, frames, slots):
        """Values of each factor, with zeros in slots without an object.

        Args:
            frames: Slice of the frames.
            slots: `K`.
        """
        count = len(self.kinds)
        codes = np.zeros((len(VALUES), slots), np.int32)
        for n, kind in enumerate(self.kinds):
            for row, (names, value) in enumerate(zip(VALUES.values(), kind)):
                codes[row, n] = 1 + names.index(value)
        timed = {
            "location_3d": self.location.astype(np.float32),
            "velocity_3d": self.velocity.astype(np.float32),
            "inside_camera_view": self.in_view.astype(np.uint8),
            "collision": self.collision,
        }
        factors = dict(zip(VALUES, codes))
        for name, values in timed.items():
            values = values[frames]
            widths = [(0, 0)] * values.ndim
            widths[1] = (0, slots - count)
            factors[name] = np.pad(values, widths)
        return factors


def load(path, dataset):
    """A JSON file of the dataset.

    Args:
        path: The file.
        dataset: Name of the dataset, for messages.

    Raises:
        AnnotationError: If it is no complete JSON.

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.formats.clevrer.clevrer_annotations import load
        >>> _ = Path("a.json").write_text("[1, 2")
        >>> load(Path("a.json"), dataset="a")
        Traceback (most recent call last):
            ...
        tfdecomp.data.errors.AnnotationError: a: a.json is no complete ...
    """
    try:
        return json.loads(path.read_bytes())
    except ValueError as bad:
        size = path.stat().st_size
        raise clevrer_layout.error(
            errors.AnnotationError,
            f"{path} is no complete JSON ({bad}); it has {size:,} bytes",
            path=path,
            dataset=dataset,
            expected="JSON",
            found=f"{size} bytes",
        ) from bad


def read(path, dataset, number, num_frames):
    """Reads and checks the annotation of a video.

    Args:
        path: The file.
        dataset: Name of the dataset, for messages.
        number: Number of the video.
        num_frames: Frames that it must describe.

    Returns:
        An `Annotation`.

    Raises:
        AnnotationError: If a field is missing or has an impossible value.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.formats.clevrer import clevrer_layout
        >>> from tfdecomp.data.formats.clevrer.clevrer_annotations import read
        >>> folder = builders.folder() / "clevrer" / "dummy_data"
        >>> path = folder / clevrer_layout.annotation("validation", 10000)
        >>> len(read(path, "a", 10000, num_frames=8).kinds)  # objects
        3
    """
    return _Reader(path, dataset).read(load(path, dataset), number, num_frames)


class _Reader:
    def __init__(self, path, dataset):
        self.path = path
        self.dataset = dataset

    def read(self, tree, number, num_frames):
        try:
            return self._read(tree, number, num_frames)
        except (KeyError, TypeError, IndexError, AttributeError) as bad:
            missing = f"no field {bad}" if isinstance(bad, KeyError) else bad
            raise self.error("its structure", "fields as below", missing) from (
                bad
            )

    def _read(self, tree, number, num_frames):
        name = f"video_{number:05d}.mp4"
        self._expect("video_filename", name, tree["video_filename"])
        kinds = self._kinds(tree["object_property"])
        frames = tree["motion_trajectory"]
        self._expect(
            "motion_trajectory",
            f"{num_frames} entries",
            f"{len(frames)} entries",
        )
        shape = (num_frames, len(kinds))
        in_view = np.zeros(shape, bool)
        location, velocity = np.zeros((2, *shape, 3))
        for t, frame in enumerate(frames):
            where = f"motion_trajectory[{t}]"
            self._expect(f"{where}.frame_id", t, frame["frame_id"])
            # An object that is not listed is not in view.
            for thing in frame["objects"]:
                n = self._known(where, thing["object_id"], len(kinds))
                in_view[t, n] = thing["inside_camera_view"]
                location[t, n] = self._vector(where, thing, "location")
                velocity[t, n] = self._vector(where, thing, "velocity")
        collision = np.zeros(shape, np.uint8)
        for entry in tree["collision"]:
            t = entry["frame_id"]
            if not 0 <= t < num_frames:
                raise self.error(
                    "collision.frame_id", f"0 to {num_frames - 1}", t
                )
            for n in entry["object_ids"]:
                collision[t, self._known("collision", n, len(kinds))] = 1
        return Annotation(kinds, in_view, location, velocity, collision)

    def _kinds(self, entries):
        ids = [entry["object_id"] for entry in entries]
        wanted = list(range(len(ids)))
        if sorted(ids) != wanted:
            raise self.error("object_property.object_id", wanted, ids)
        for entry in entries:
            for name, known in VALUES.items():
                if entry[name] not in known:
                    raise self.error(
                        f"object_property.{name}",
                        f"one of {list(known)}",
                        repr(entry[name]),
                    )
        order = sorted(entries, key=lambda entry: entry["object_id"])
        return tuple(tuple(entry[name] for name in VALUES) for entry in order)

    def _known(self, where, number, count):
        if number not in range(count):
            raise self.error(
                f"{where}.object_id", f"0 to {count - 1}", repr(number)
            )
        return number

    def _vector(self, where, thing, name):
        value = np.asarray(thing[name], float)
        if value.shape != (3,) or not np.isfinite(value).all():
            raise self.error(f"{where}.{name}", "3 numbers", thing[name])
        return value

    def _expect(self, field, wanted, found):
        if found != wanted:
            raise self.error(field, wanted, found)

    def error(self, field, expected, found):
        return clevrer_layout.annotation_error(self, field, expected, found)
