"""Pictures of simple solids on a grey ground, in the manner of CLEVR."""

import dataclasses
import functools

import numpy as np

from tfdecomp.simulation import streams
from tfdecomp.simulation.rays import cameras, ray_scenes, raycast

DATASET = "raycast"
# Codes start at 1; 0 means no object. The order is that of CLEVR's own list.
SHAPES = ("cube", "sphere", "cylinder")
SIZES = ("small", "large")
MATERIALS = ("rubber", "metal")
COLOURS = {
    "gray": (87, 87, 87),
    "red": (173, 35, 35),
    "blue": (42, 75, 215),
    "green": (29, 105, 20),
    "brown": (129, 74, 25),
    "purple": (129, 38, 192),
    "cyan": (41, 208, 208),
    "yellow": (255, 238, 51),
}
RADII = np.array([0.35, 0.7])
NATIVE = (240, 320)
WHOLE = (0, 0, *NATIVE)
# Top, left, height and width of the part that models are shown, at 128 x 128.
CROP = (29, 64, 192, 192)
CROP_SIZE = 128

_FOCAL = 350.0 / 320.0  # in widths of the whole picture: 49 degrees across
_DISTANCE, _ELEVATION, _AZIMUTH = 12.0, np.deg2rad(35.0), np.deg2rad(45.0)
_TARGET = np.array([0.0, 0.0, 0.45])
_LIGHT = np.array([-1.0, 7.0, 12.0])
_GROUND = 0.6


@dataclasses.dataclass(frozen=True)
class ClevrPicture:
    """How the pictures look.

    Args:
        num_objects: Possible numbers of objects, drawn uniformly.
        max_objects: `K`, slots of every label.
        height: `H`.
        width: `W`.
        window: `(top, left, height, width)` of the part of CLEVR's picture of
            240 x 320 pixels that is filmed.
        samples: Rays per pixel along both axes; 1: hard edges.
        area: Objects have their centres within this far of the middle, along
            both axes of the ground.
        gap: Least distance between outlines on the ground.
        jitter: The camera moves by up to this along each axis.
        light_jitter: The light does.
        min_visible: Pixels seen of every object in the usual window at
            128 x 128 pixels, whatever the window and size that are filmed.
        shadows: Whether objects throw shadows.
    """

    num_objects: tuple = (3, 4, 5, 6, 7, 8, 9, 10)
    max_objects: int = 10
    height: int = CROP_SIZE
    width: int = CROP_SIZE
    window: tuple = CROP
    samples: int = 2
    area: float = 3.0
    gap: float = 0.25
    jitter: float = 0.2
    light_jitter: float = 1.0
    min_visible: int = 20
    shadows: bool = True

    def __post_init__(self):
        counts = self.num_objects
        if not counts or min(counts) < 0 or max(counts) > self.max_objects:
            raise ValueError(
                "num_objects are numbers from 0 to max_objects = "
                f"{self.max_objects}, not {list(counts)}"
            )
        if self.samples < 1:
            raise ValueError(f"samples is at least 1, not {self.samples}")
        if len(self.window) != 4 or min(self.window[2:]) < 1:
            raise ValueError(
                f"window is (top, left, height, width), not {list(self.window)}"
            )
        # Outlines with half of the gap around them, as if all were average.
        taken = max(counts) * np.pi * np.mean((RADII + self.gap / 2) ** 2)
        room = (2 * self.area) ** 2
        if taken > 0.6 * room:
            raise ValueError(
                f"{max(counts)} objects take {taken:.1f} of the ground's "
                f"{room:.1f} square units; at most 60% can be filled: lower "
                "num_objects or gap, or raise area"
            )


def generate(look, split, start, stop, *, seed, stream, fresh=False):
    """Makes the pictures `start`, ..., `stop - 1` of a split.

    The order of the draws: number of objects, camera, light; then, until all
    objects are seen, shapes, sizes, materials, colours, turns and places.

    Args:
        look: A `ClevrPicture`.
        split: Name of the split.
        start: First index.
        stop: Index after the last one.
        seed: Seed of the dataset.
        stream: Name of the stream of scenes.
        fresh: Whether to make pictures that no stored split holds.

    Returns:
        A list of dicts with `video`, `segmentation`, `boxes`, `visibility`,
        `visible_fraction`, `num_objects` and `factors`.
    """
    number = streams.split_id(split, fresh=fresh)
    count, eye, light, draws = [], [], [], []
    for index in range(start, stop):
        rng = streams.example_rng(seed, DATASET, stream, number, index)
        count.append(int(rng.choice(look.num_objects)))
        eye.append(draw_eye(rng, look))
        light.append(draw_light(rng, look))
        draws.append(functools.partial(draw_objects, rng, look, count[-1]))
    eye, light = np.array(eye), np.array(light)
    checked = dataclasses.replace(
        look, height=CROP_SIZE, width=CROP_SIZE, window=CROP
    )

    def pixels(drawn):
        chosen = [n for n, _ in drawn]
        scene = make_scene(_stack([s for _, s in drawn]), light[chosen])
        view = raycast.film(scene, _camera(eye[chosen], checked), samples=0)
        return view.visible_pixels, np.array(count)[chosen]

    objects = _stack(ray_scenes.settle(draws, pixels, look.min_visible))
    shot = _camera(eye, look)
    view = raycast.film(
        make_scene(objects, light),
        shot,
        shadows=look.shadows,
        samples=look.samples,
    )
    factors = _factors(objects, shot, count, look)
    return ray_scenes.examples(view, count, 1, factors)


def draw_objects(rng, look, count):
    """Draws the objects of a picture.

    Args:
        rng: A `np.random.Generator`.
        look: A `ClevrPicture`.
        count: How many.

    Returns:
        Dict of `shape`, `size`, `material` and `color` `[K]` codes from 1, 0
        for no object; `rotation` `[K]` in degrees; `half` and `centre`
        `[K, 3]`.
    """
    shape = rng.integers(1, 1 + len(SHAPES), count)
    size = rng.integers(1, 1 + len(SIZES), count)
    drawn = {
        "shape": shape,
        "size": size,
        "material": rng.integers(1, 1 + len(MATERIALS), count),
        "color": rng.integers(1, 1 + len(COLOURS), count),
        "rotation": rng.uniform(0.0, 360.0, count),
    }
    radii = RADII[size - 1]
    places = ray_scenes.place(
        rng, radii, look.gap, lambda r: r.uniform(-look.area, look.area, 2)
    )
    drawn["half"] = ray_scenes.half_sides(shape, radii)
    drawn["centre"] = ray_scenes.on_ground(places, drawn["half"])
    return {
        name: ray_scenes.pad(values, look.max_objects)
        for name, values in drawn.items()
    }


def draw_light(rng, look):
    """Draws the place `[3]` of the light."""
    return _LIGHT + rng.uniform(-look.light_jitter, look.light_jitter, 3)


def draw_eye(rng, look):
    """Draws the place `[3]` of the camera."""
    flat = np.cos(_ELEVATION)
    away = [
        flat * np.cos(_AZIMUTH),
        flat * np.sin(_AZIMUTH),
        np.sin(_ELEVATION),
    ]
    jitter = rng.uniform(-look.jitter, look.jitter, 3)
    return _TARGET + _DISTANCE * np.array(away) + jitter


def _stack(scenes):
    return {
        name: np.stack([scene[name] for scene in scenes]) for name in scenes[0]
    }


def make_scene(objects, light):
    """Objects on the ground.

    Args:
        objects: Dict of what `draw_objects` returns, stacked: `[M, K, ...]`.
        light: `[M, 3]`.

    Returns:
        A `raycast.Scene`.
    """
    table = np.array([(0, 0, 0), *COLOURS.values()]) / 255
    return raycast.Scene(
        kind=objects["shape"],
        centre=objects["centre"],
        half=objects["half"],
        yaw=np.deg2rad(objects["rotation"]),
        colour=table[objects["color"]],
        metal=objects["material"] == 1 + MATERIALS.index("metal"),
        light=light,
        plane_normal=np.array([[0.0, 0.0, 1.0]]),
        plane_offset=np.zeros(1),
        plane_colour=np.full((len(light), 1, 3), _GROUND),
        plane_glows=np.zeros(1, bool),
    )


def camera(eye, native, window, size):
    """A camera that looks at the middle of the ground.

    Args:
        eye: `[M, 3]` places.
        native: `(height, width)` in pixels of the whole picture.
        window: `(top, left, height, width)` of the part that is filmed.
        size: `(H, W)` of the frames that are made of it.

    Returns:
        A `cameras.Camera`.
    """
    away = _TARGET - eye
    flat = np.hypot(away[:, 0], away[:, 1])
    axes = cameras.aim(
        np.arctan2(away[:, 1], away[:, 0]), np.arctan2(away[:, 2], flat)
    )
    top, left, height, width = window
    rows = top + (np.arange(size[0]) + 0.5) * height / size[0]
    columns = left + (np.arange(size[1]) + 0.5) * width / size[1]
    middle = (native[0] / 2, native[1] / 2)
    focal = _FOCAL * native[1]
    return cameras.Camera(eye, axes, focal, middle, rows, columns)


def in_window(pixels, window, size):
    """Places in the whole picture as places in frames, see `camera`."""
    scale = np.array([size[0] / window[2], size[1] / window[3]])
    return (pixels - np.array(window[:2])) * scale


def _camera(eye, look):
    return camera(eye, NATIVE, look.window, (look.height, look.width))


def _factors(objects, shot, count, look):
    """What is known of every object, in the pixels of the picture."""
    pixels, depth = shot.project(objects["centre"])
    timed = {
        "position": in_window(pixels, look.window, (look.height, look.width)),
        "depth": depth,
        "location_3d": objects["centre"],
    }
    factors = {
        name: ray_scenes.hidden_where_absent(values[:, None], count).astype(
            np.float32
        )
        for name, values in timed.items()
    }
    for name in ("shape", "size", "material", "color"):
        factors[name] = objects[name].astype(np.int32)
    factors["rotation"] = objects["rotation"].astype(np.float32)
    return factors
