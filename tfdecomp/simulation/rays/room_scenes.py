"""Rooms with a few solids, filmed from inside, still or in flight."""

import colorsys
import dataclasses
import functools

import numpy as np

from tfdecomp.simulation import streams
from tfdecomp.simulation.rays import cameras, ray_scenes, raycast

DATASET = "raycast"
# Codes start at 1; 0 means no object.
SHAPES = ("cube", "sphere", "cylinder")
# Values of `entities`; objects follow.
CEILING, FLOOR, WALL_A, WALL_B = range(4)

SIDE = 6.0
RING = 2.4  # radius of the circle on which the camera is
PITCH = (-25.0, 22.0)  # degrees upwards
VIEW = 60.0  # degrees, across and down
_EYE_HEIGHT = 0.9
_LIGHT = np.array([1.7, 1.0, 4.0])
_SKY = (0.62, 0.79, 0.95)
# Ceiling, floor, and the walls: one half has the walls at +x and +y.
_NORMALS = np.array(
    [(0, 0, -1), (0, 0, 1), (-1, 0, 0), (0, -1, 0), (1, 0, 0), (0, 1, 0)],
    float,
)
_OFFSETS = np.array([-SIDE, 0, *[-SIDE / 2] * 4])
_PLANE_ENTITY = np.array([CEILING, FLOOR, WALL_A, WALL_A, WALL_B, WALL_B])


@dataclasses.dataclass(frozen=True)
class RoomFilm:
    """How the films look; lengths in units, the room has a side of 6.

    Args:
        num_frames: `T`.
        size: Side of the frames in pixels.
        num_objects: Possible numbers of objects, drawn uniformly.
        max_objects: `K`, slots of every label.
        identical_color: Whether all objects of a scene have one colour.
        radius: Least and largest radius of an object on the ground.
        spread: Objects have their centres within this far of the middle.
        gap: Least distance between outlines on the ground.
        max_yaw_speed: The camera moves along its circle by up to this many
            degrees per frame, in either sense.
        max_pitch_speed: It tilts by up to this many degrees per frame.
        min_visible: Pixels seen of every object in the first frame.
        shadows: Whether objects throw shadows.
        samples: Rays per pixel along both axes; 1: hard edges.
    """

    num_frames: int = 1
    size: int = 64
    num_objects: tuple = (3,)
    max_objects: int = 3
    identical_color: bool = False
    radius: tuple = (0.3, 0.45)
    spread: float = 1.4
    gap: float = 0.1
    max_yaw_speed: float = 6.0
    max_pitch_speed: float = 1.5
    min_visible: int = 20
    shadows: bool = True
    samples: int = 1

    def __post_init__(self):
        counts = self.num_objects
        if not counts or min(counts) < 0 or max(counts) > self.max_objects:
            raise ValueError(
                "num_objects are numbers from 0 to max_objects = "
                f"{self.max_objects}, not {list(counts)}"
            )
        if self.samples < 1:
            raise ValueError(f"samples is at least 1, not {self.samples}")
        if not 0 < self.radius[0] <= self.radius[1]:
            raise ValueError(
                "radius is (least, largest), both positive, not "
                f"{list(self.radius)}"
            )
        if self.spread + self.radius[1] >= RING:
            raise ValueError(
                f"objects with spread = {self.spread} and radius up to "
                f"{self.radius[1]} reach the camera's circle of radius {RING}"
            )
        # Outlines with half of the gap around them, as if all were average.
        around = np.mean(self.radius) + self.gap / 2
        taken = max(counts) * around**2
        room = (self.spread + around) ** 2
        if taken > 0.6 * room:
            raise ValueError(
                f"{max(counts)} objects take {taken / room:.0%} of the "
                "ground; at most 60% can be filled: lower num_objects, radius "
                "or gap, or raise spread"
            )


def generate(look, split, start, stop, *, seed, stream, fresh=False):
    """Makes the films `start`, ..., `stop - 1` of a split.

    The order of the draws: number of objects, start and speed of the camera,
    colours of floor and walls; then, until all objects are seen in the first
    frame, shapes, radii, colours, turns and places.

    Args:
        look: A `RoomFilm`.
        split: Name of the split.
        start: First index.
        stop: Index after the last one.
        seed: Seed of the dataset.
        stream: Name of the stream of scenes.
        fresh: Whether to make films that no stored split holds.

    Returns:
        A list of dicts with `video`, `segmentation`, `entities`, `boxes`,
        `visibility`, `visible_fraction`, `num_objects` and `factors`.
    """
    number = streams.split_id(split, fresh=fresh)
    count, flights, planes, draws = [], [], [], []
    for index in range(start, stop):
        rng = streams.example_rng(seed, DATASET, stream, number, index)
        count.append(int(rng.choice(look.num_objects)))
        flights.append(draw_flight(rng, look))
        planes.append(_plane_colours(rng))
        draws.append(functools.partial(draw_objects, rng, look, count[-1]))
    flights, planes = _stack(flights), np.array(planes)

    def pixels(drawn):
        chosen = [n for n, _ in drawn]
        scene = _scene(_stack([s for _, s in drawn]), planes[chosen], 1)
        first = {k: v[chosen, :1] for k, v in flights.items()}
        view = raycast.film(scene, _camera(first, look), samples=0)
        return view.visible_pixels, np.array(count)[chosen]

    objects = _stack(ray_scenes.settle(draws, pixels, look.min_visible))
    camera = _camera(flights, look)
    scene = _scene(objects, planes, look.num_frames)
    view = raycast.film(
        scene, camera, shadows=look.shadows, samples=look.samples
    )
    behind = np.append(_PLANE_ENTITY, CEILING).astype(np.uint8)[view.plane]
    entities = np.where(view.owner > 0, view.owner + WALL_B, behind)
    factors = _factors(objects, camera, count, look)
    return ray_scenes.examples(
        view, count, look.num_frames, factors, entities.astype(np.uint8)
    )


def draw_flight(rng, look):
    """Draws how the camera moves, at constant angular velocity.

    Args:
        rng: A `np.random.Generator`.
        look: A `RoomFilm`.

    Returns:
        Dict of `angle` on the circle and `pitch`, each `[T]` in degrees.
    """
    angle = rng.uniform(0.0, 360.0)
    pitch = rng.uniform(*PITCH)
    turn = rng.uniform(-look.max_yaw_speed, look.max_yaw_speed)
    tilt = rng.uniform(-look.max_pitch_speed, look.max_pitch_speed)
    frame = np.arange(look.num_frames)
    return {
        "angle": angle + turn * frame,
        "pitch": np.clip(pitch + tilt * frame, *PITCH),
    }


def draw_objects(rng, look, count):
    """Draws the objects of a room.

    Args:
        rng: A `np.random.Generator`.
        look: A `RoomFilm`.
        count: How many.

    Returns:
        Dict of `shape` `[K]` codes from 1, 0 for no object; `scale` `[K]`
        radius; `color` `[K, 3]`; `rotation` `[K]` in degrees; `half` and
        `centre` `[K, 3]`.
    """
    shape = rng.integers(1, 1 + len(SHAPES), count)
    radii = rng.uniform(*look.radius, count)
    colour = [_hue(rng, (0.75, 1.0), (0.75, 1.0)) for _ in range(count)]
    if look.identical_color:
        colour = colour[:1] * count
    drawn = {
        "shape": shape,
        "scale": radii,
        "color": np.array(colour).reshape(-1, 3),
        "rotation": rng.uniform(0.0, 360.0, count),
    }
    places = ray_scenes.place(
        rng, radii, look.gap, lambda r: ray_scenes.in_disc(r, look.spread)
    )
    drawn["half"] = ray_scenes.half_sides(shape, radii)
    drawn["centre"] = ray_scenes.on_ground(places, drawn["half"])
    return {
        name: ray_scenes.pad(values, look.max_objects)
        for name, values in drawn.items()
    }


def _hue(rng, saturation, value):
    """A colour of uniform hue."""
    hue = rng.uniform()
    return colorsys.hsv_to_rgb(
        hue, rng.uniform(*saturation), rng.uniform(*value)
    )


def _plane_colours(rng):
    floor = _hue(rng, (0.3, 0.6), (0.7, 0.9))
    wall = _hue(rng, (0.3, 0.6), (0.7, 0.9))
    return [_SKY, floor, wall, wall, wall, wall]


def _stack(scenes):
    return {
        name: np.stack([scene[name] for scene in scenes]) for name in scenes[0]
    }


def _scene(objects, planes, frames):
    """`raycast.Scene` of objects `[N, K, ...]`, each shown `frames` times."""
    still = {k: np.repeat(v, frames, axis=0) for k, v in objects.items()}
    total = len(still["shape"])
    return raycast.Scene(
        kind=still["shape"],
        centre=still["centre"],
        half=still["half"],
        yaw=np.deg2rad(still["rotation"]),
        colour=still["color"],
        metal=np.zeros(still["shape"].shape, bool),
        light=np.tile(_LIGHT, (total, 1)),
        plane_normal=_NORMALS,
        plane_offset=_OFFSETS,
        plane_colour=np.repeat(planes, frames, axis=0),
        plane_glows=_PLANE_ENTITY == CEILING,
    )


def _camera(flight, look):
    """`cameras.Camera` of flights `[N, T]`, film after film."""
    angle = np.deg2rad(flight["angle"].reshape(-1))
    pitch = np.deg2rad(flight["pitch"].reshape(-1))
    position = np.stack(
        [
            RING * np.cos(angle),
            RING * np.sin(angle),
            np.full(angle.shape, _EYE_HEIGHT),
        ],
        -1,
    )
    places = np.arange(look.size) + 0.5
    focal = look.size / 2 / np.tan(np.deg2rad(VIEW / 2))
    middle = (look.size / 2, look.size / 2)
    axes = cameras.aim(angle + np.pi, pitch)
    return cameras.Camera(position, axes, focal, middle, places, places)


def _factors(objects, camera, count, look):
    """What is known of every object."""
    still = np.repeat(objects["centre"], look.num_frames, axis=0)
    pixels, depth = camera.project(still)
    lead = (len(count), look.num_frames, look.max_objects)
    timed = {
        "position": pixels.reshape(*lead, 2),
        "depth": depth.reshape(lead),
        "location_3d": still.reshape(*lead, 3),
    }
    factors = {
        name: ray_scenes.hidden_where_absent(values, count).astype(np.float32)
        for name, values in timed.items()
    }
    factors["shape"] = objects["shape"].astype(np.int32)
    for name in ("scale", "color", "rotation"):
        factors[name] = objects[name].astype(np.float32)
    return factors
