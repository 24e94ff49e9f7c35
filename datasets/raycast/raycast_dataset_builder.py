"""Ray-cast stand-ins for CLEVR, CLEVRER and the Objects Room, generated."""

import dataclasses
import functools

import numpy as np
import tensorflow_datasets as tfds

from tfdecomp.data.building import builder_base
from tfdecomp.simulation.rays import clevr_scenes, room_scenes, slide_scenes

_SCENES = {
    "clevr": clevr_scenes,
    "clevrer": slide_scenes,
    "room": room_scenes,
}


@dataclasses.dataclass
class RaycastConfig(builder_base.Config):
    """A set of ray-cast scenes.

    Args:
        scene: `"clevr"`: pictures of solids on a grey ground, `"clevrer"`:
            videos of solids that slide on it, or `"room"`: films of solids in
            a room.
        num_objects: Possible numbers of objects, drawn uniformly.
        min_visible: Pixels seen of every object in the first frame, of
            `"room"` scenes, or in CLEVR's window at 128 x 128 pixels.
        shadows: Whether objects throw shadows.
        samples: Rays per pixel along both axes; 1: hard edges.
        window: `(top, left, height, width)` of the part of CLEVR's picture of
            240 x 320 pixels that is filmed; of `"clevr"` scenes.
        identical_color: Whether all objects of a scene have one colour; of
            `"room"` scenes.
        together: Whether the frames begin with the first that shows all
            objects, and all are in view in all of them; of `"clevrer"` scenes.
        friction: Speed in units per second that sliding objects lose in a
            second; of `"clevrer"` scenes.
    """

    scene: str = "clevr"
    num_objects: tuple = (3,)
    min_visible: int = 20
    shadows: bool = True
    samples: int = 2
    window: tuple = clevr_scenes.CROP
    identical_color: bool = False
    together: bool = False
    friction: float = 0.15

    def __post_init__(self):
        super().__post_init__()
        self.num_objects = tuple(self.num_objects)
        self.window = tuple(self.window)
        if self.scene not in _SCENES:
            raise ValueError(
                f"scene is one of {list(_SCENES)}, not {self.scene!r}"
            )
        if self.channels != 3:
            raise ValueError(
                f"the scenes have colours: channels must be 3, not "
                f"{self.channels}; grey pictures are made while reading"
            )
        if self.scene == "clevr" and self.num_frames != 1:
            raise ValueError(
                "scenes of 'clevr' are pictures: num_frames must be 1, not "
                f"{self.num_frames}"
            )
        if self.scene != "clevr" and self.height != self.width:
            raise ValueError(
                f"frames of {self.scene!r} are square: height and width must "
                f"be equal, not {self.height} and {self.width}"
            )
        self.look()  # checks the rest

    def look(self):
        """The picture or film that these fields describe."""
        names = ["num_objects", "max_objects", "shadows", "samples"]
        if self.scene == "clevr":
            cls = clevr_scenes.ClevrPicture
            names += ["min_visible", "height", "width", "window"]
            return cls(**{name: getattr(self, name) for name in names})
        if self.scene == "clevrer":
            cls = slide_scenes.SlideFilm
            names += ["num_frames", "together", "friction"]
        else:
            cls = room_scenes.RoomFilm
            names += ["num_frames", "min_visible", "identical_color"]
        fields = {name: getattr(self, name) for name in names}
        return cls(size=self.height, **fields)


_CLEVR = {
    "scene": "clevr",
    "num_train": 10_000,
    "num_validation": 500,
    "num_test": 320,
    "num_objects": tuple(range(3, 11)),
    "max_objects": 10,
    "stream": "clevr_like",
}
_NATIVE = {
    "height": clevr_scenes.NATIVE[0],
    "width": clevr_scenes.NATIVE[1],
    "window": clevr_scenes.WHOLE,
    "samples": 1,
}
_CLEVRER = {
    "scene": "clevrer",
    "num_objects": (3, 4, 5, 6),
    "max_objects": 6,
    "block_size": 8,  # films are large
}
_SLICES = {**_CLEVRER, "num_frames": 40, "together": True}
_ROOM = {"scene": "room", "max_objects": 3}
_ROOM_TEST = {"scene": "room", "num_test": 1_000, "max_objects": 6}
_CONFIGS = {
    "clevr_like": {**_CLEVR, "height": 128, "width": 128},
    "clevr_like_64": {**_CLEVR, "height": 64, "width": 64},
    "clevr_like_native": {**_CLEVR, **_NATIVE},
    "clevrer_like": {
        **_CLEVRER,
        "num_frames": 128,
        "num_train": 2_000,
        "num_validation": 100,
        "num_test": 100,
    },
    "clevrer_like_slices345": {
        **_SLICES,
        "num_test": 500,
        "num_objects": (3, 4, 5),
    },
    "clevrer_like_slices6": {**_SLICES, "num_test": 250, "num_objects": (6,)},
    "room": {
        **_ROOM,
        "num_train": 60_000,
        "num_validation": 1_000,
        "num_test": 320,
    },
    "room_sequence": {
        **_ROOM,
        "num_frames": 16,
        "num_train": 10_000,
        "num_validation": 500,
        "num_test": 320,
    },
    "room_empty": {**_ROOM_TEST, "num_objects": (0,), "max_objects": 3},
    "room_six_objects": {**_ROOM_TEST, "num_objects": (6,)},
    "room_identical_color": {
        **_ROOM_TEST,
        "num_objects": (4, 5, 6),
        "identical_color": True,
    },
}


class Builder(builder_base.DecompositionBuilder):
    """Boxes, spheres and cylinders on a ground or in a room."""

    name = "tfdecomp_raycast"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    DEFAULT_BUILDER_CONFIG_NAME = "clevr_like"
    BUILDER_CONFIGS = builder_base.with_tiny(RaycastConfig, _CONFIGS)

    @property
    def OPTIONAL(self):
        # Of the background, rooms alone have several parts.
        entities = ("entities",) if self._in_room() else ()
        return ("visible_fraction", *entities)

    def _in_room(self):
        return self.builder_config.scene == "room"

    def factors(self):
        number, code = ("K", (), np.float32), ("K", (), np.int32)
        factors = {
            "position": ("TK", (2,), np.float32),
            "depth": ("TK", (), np.float32),
            "location_3d": ("TK", (3,), np.float32),
            "rotation": number,
            "shape": code,
        }
        if self._in_room():
            color = ("K", (3,), np.float32)
            return {**factors, "scale": number, "color": color}
        factors |= {"material": code, "color": code}
        if self.builder_config.scene == "clevr":
            return {**factors, "size": code}
        return {
            **factors,
            "velocity": ("TK", (2,), np.float32),
            "collision": ("TK", (), np.uint8),
            "inside_camera_view": ("TK", (), np.uint8),
        }

    def extra_metadata(self):
        if self._in_room():
            names = {"shape": room_scenes.SHAPES}
        else:
            names = {
                "shape": clevr_scenes.SHAPES,
                "size": clevr_scenes.SIZES,
                "material": clevr_scenes.MATERIALS,
                "color": tuple(clevr_scenes.COLOURS),
            }
            if "size" not in self.factors():
                del names["size"]
        return {
            "has_entities": self._in_room(),
            "value_names": {
                factor: {name: 1 + n for n, name in enumerate(order)}
                for factor, order in names.items()
            },
        }

    def make_block(self, config, fresh=False):
        return functools.partial(
            _SCENES[config.scene].generate,
            config.look(),
            seed=config.seed,
            stream=config.stream,
            fresh=fresh,
        )
