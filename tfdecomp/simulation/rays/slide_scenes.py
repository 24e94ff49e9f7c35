"""Videos of solids that slide and collide, in the manner of CLEVRER."""

import dataclasses
import functools

import numpy as np

from tfdecomp.simulation import streams
from tfdecomp.simulation.balls import ball_physics
from tfdecomp.simulation.rays import clevr_scenes, ray_scenes, raycast

DATASET = "raycast"
NATIVE = (320, 480)
# Top, left, height and width of the part that models are shown.
CROP = (0, 80, 320, 320)
FRAMES_PER_SECOND = 25
RADIUS = 0.5  # of all objects on the ground
_REST = 3.0  # resting objects are this near to the middle at first
_START = (6.0, 8.5)  # entering objects are this far from it
_AIM = 2.0  # and pass it this closely
_GAP = 0.1


@dataclasses.dataclass(frozen=True)
class SlideFilm:
    """How the videos look; lengths in units, times in seconds.

    Args:
        num_frames: `T` frames that are kept.
        size: Side of the frames in pixels; None: they are the whole pictures,
            `NATIVE`.
        num_objects: Possible numbers of objects, drawn uniformly.
        max_objects: `K`, slots of every label.
        total_frames: Frames that are simulated.
        together: Whether the kept frames begin with the first in which all
            objects are in view, and all are in view in all of them; else the
            first frames are kept.
        speed: Least and largest speed at which objects enter.
        friction: Speed that is lost per second.
        rest_probability: Probability that an object rests at first, but for
            the first object.
        substeps: Steps of the simulation per frame.
        min_frames: Frames in which every object is in view, at least.
        shadows: Whether objects throw shadows.
        samples: Rays per pixel along both axes; 1: hard edges.
        jitter: The camera moves by up to this along each axis.
        light_jitter: The light does.
    """

    num_frames: int = 128
    size: int | None = 64
    num_objects: tuple = (3, 4, 5, 6)
    max_objects: int = 6
    total_frames: int = 128
    together: bool = False
    speed: tuple = (1.0, 3.0)
    friction: float = 0.15
    rest_probability: float = 0.5
    substeps: int = 10
    min_frames: int = 20
    shadows: bool = True
    samples: int = 2
    jitter: float = 0.2
    light_jitter: float = 1.0

    def __post_init__(self):
        counts = self.num_objects
        if not counts or min(counts) < 1 or max(counts) > self.max_objects:
            raise ValueError(
                "num_objects are numbers from 1 to max_objects = "
                f"{self.max_objects}, not {list(counts)}"
            )
        if not 1 <= self.num_frames <= self.total_frames:
            raise ValueError(
                f"num_frames is at most total_frames = {self.total_frames}, "
                f"not {self.num_frames}"
            )
        if self.samples < 1:
            raise ValueError(f"samples is at least 1, not {self.samples}")
        if max(counts) > 10:
            raise ValueError(
                f"there is room for 10 objects on the ground, not for "
                f"{max(counts)}; lower num_objects"
            )


def generate(look, split, start, stop, *, seed, stream, fresh=False):
    """Makes the videos `start`, ..., `stop - 1` of a split.

    The order of the draws: number of objects, camera, light; then, until all
    objects are in view for long enough, kinds, turns, places and velocities.

    Args:
        look: A `SlideFilm`.
        split: Name of the split.
        start: First index.
        stop: Index after the last one.
        seed: Seed of the dataset.
        stream: Name of the stream of scenes.
        fresh: Whether to make videos that no stored split holds.

    Returns:
        A list of dicts with `video`, `segmentation`, `boxes`, `visibility`,
        `visible_fraction`, `num_objects`, `frame_index` and `factors`.
    """
    number = streams.split_id(split, fresh=fresh)
    count, eye, light, draws = [], [], [], []
    for index in range(start, stop):
        rng = streams.example_rng(seed, DATASET, stream, number, index)
        count.append(int(rng.choice(look.num_objects)))
        eye.append(clevr_scenes.draw_eye(rng, look))
        light.append(clevr_scenes.draw_light(rng, look))
        draws.append(
            functools.partial(draw_objects, rng, look, count[-1], eye[-1])
        )
    eye, light, count = np.array(eye), np.array(light), np.array(count)

    def lasts(drawn):
        chosen = [n for n, _ in drawn]
        movie = _Movie(look, [s for _, s in drawn], eye[chosen])
        return movie.frames_in_view(), count[chosen]

    needed = look.num_frames if look.together else look.min_frames
    objects = ray_scenes.settle(draws, lasts, needed)
    return _Movie(look, objects, eye).film(light)


def draw_objects(rng, look, count, eye):
    """Draws the objects of a video, no two of the same kind.

    Args:
        rng: A `np.random.Generator`.
        look: A `SlideFilm`.
        count: How many.
        eye: `[3]` place of the camera.

    Returns:
        Dict of `shape`, `material` and `color` `[K]` codes from 1, 0 for no
        object; `rotation` `[K]` in degrees; `half` `[K, 3]`; `place` and
        `velocity` `[K, 2]`, the latter per frame; and the number, `count`.
    """
    kinds = (
        len(clevr_scenes.SHAPES),
        len(clevr_scenes.MATERIALS),
        len(clevr_scenes.COLOURS),
    )
    kind = rng.choice(np.prod(kinds), count, replace=False)
    shape, material, colour = np.unravel_index(kind, kinds)
    rests = rng.random(count) < look.rest_probability
    rests[0] = False
    radii = np.full(count, RADIUS)
    drawn = {
        "shape": shape + 1,
        "material": material + 1,
        "color": colour + 1,
        "rotation": rng.uniform(0.0, 360.0, count),
        "half": ray_scenes.half_sides(shape + 1, radii),
    }
    inside = ray_scenes.place(rng, radii[rests], _GAP, _resting)
    outside = ray_scenes.place(
        rng, radii[~rests], _GAP, functools.partial(_outside, eye=eye)
    )
    place = np.zeros((count, 2))
    place[rests], place[~rests] = inside, outside
    drawn["place"] = place
    drawn["velocity"] = np.zeros((count, 2))
    drawn["velocity"][~rests] = _entering(rng, look, outside)
    padded = {
        name: ray_scenes.pad(values, look.max_objects)
        for name, values in drawn.items()
    }
    return {**padded, "count": count}


def _resting(rng):
    return ray_scenes.in_disc(rng, _REST)


def _outside(rng, eye):
    """A place outside of the picture."""
    while True:
        far, angle = rng.uniform(*_START), rng.uniform(0.0, 2 * np.pi)
        place = far * np.array([np.cos(angle), np.sin(angle)])
        point = np.append(place, RADIUS)[None, None]
        if not _in_view(_camera(eye[None], None), point).any():
            return place


def _entering(rng, look, places):
    """Velocities `[n, 2]` per frame towards the middle."""
    aims = [ray_scenes.in_disc(rng, _AIM) for _ in places]
    way = np.array(aims).reshape(-1, 2) - places
    speed = rng.uniform(*look.speed, (len(places), 1)) / FRAMES_PER_SECOND
    return speed * way / np.hypot(way[:, :1], way[:, 1:])


def _camera(eye, size):
    """The camera of the whole picture, or of the frames that are made."""
    if size is None:
        return clevr_scenes.camera(eye, NATIVE, (0, 0, *NATIVE), NATIVE)
    return clevr_scenes.camera(eye, NATIVE, CROP, (size, size))


def window(together):
    """The frames from the first that shows all objects to the last in a row.

    The rule by which the authors of PROVIDE cut test clips of CLEVRER.

    Args:
        together: `[..., T]` bool, whether all objects are in view.

    Returns:
        `(begin, length)`, `[...]` each; the length is 0 where no frame does.
    """
    begin = together.argmax(-1)
    frame = np.arange(together.shape[-1])
    gone = ~together & (frame > begin[..., None])
    end = np.where(gone.any(-1), gone.argmax(-1), len(frame))
    return begin, np.where(together.any(-1), end - begin, 0)


def _in_view(camera, points):
    """Which points `[M, K, 3]` lie in the whole picture."""
    pixels, depth = camera.project(points)
    inside = (pixels >= 0) & (pixels < np.array(NATIVE))
    return inside.all(-1) & (depth > 0)


class _Movie:
    """Some videos whose objects have moved."""

    def __init__(self, look, objects, eye):
        self.look = look
        self.still = {
            name: np.stack([scene[name] for scene in objects])
            for name in objects[0]
        }
        count, slots = self.still["count"], look.max_objects
        self.exists = np.arange(slots) < count[:, None]  # [N, K]
        start = ball_physics.Balls(
            self.still["place"],
            self.still["velocity"],
            RADIUS * self.exists,
            1.0 * self.exists,
            count,
        )
        self.moved = ball_physics.simulate(
            start,
            look.total_frames,
            box=None,
            substeps=look.substeps,
            friction=look.friction / FRAMES_PER_SECOND**2,
        )
        shape = (*self.moved.position.shape[:3], 1)
        height = np.broadcast_to(self.still["half"][:, None, :, 2:], shape)
        # [N, T, K, 3]
        self.centre = np.concatenate([self.moved.position, height], -1)
        self.eye = np.repeat(eye, look.total_frames, axis=0)
        seen = _in_view(
            _camera(self.eye, None), self.centre.reshape(-1, slots, 3)
        )
        self.in_view = (
            seen.reshape(self.centre.shape[:3]) & self.exists[:, None]
        )
        self.begin, self.length = self._window()

    def _window(self):
        """Where the frames begin that show all objects; how many they are."""
        return window((self.in_view | ~self.exists[:, None]).all(-1))

    def frames_in_view(self):
        """`[N, K]` frames in view, of all objects at once if so asked."""
        if self.look.together:
            return np.repeat(self.length[:, None], self.look.max_objects, 1)
        return self.in_view.sum(1)

    def film(self, light):
        """The examples; `light` is `[N, 3]`."""
        look, count = self.look, self.still["count"]
        begin = self.begin if look.together else 0 * count
        frames = begin[:, None] + np.arange(look.num_frames)  # [N, T]
        kept = (np.arange(len(count))[:, None], frames)
        centre = self.centre[kept]
        objects = {
            name: np.repeat(self.still[name], look.num_frames, axis=0)
            for name in ("shape", "material", "color", "rotation", "half")
        }
        objects["centre"] = centre.reshape(frames.size, -1, 3)
        eye = self.eye[:: look.total_frames]
        shot = _camera(np.repeat(eye, look.num_frames, axis=0), look.size)
        view = raycast.film(
            clevr_scenes.make_scene(
                objects, np.repeat(light, look.num_frames, axis=0)
            ),
            shot,
            shadows=look.shadows,
            samples=look.samples,
        )
        factors = self._factors(shot, objects["centre"], kept)
        films = ray_scenes.examples(view, count, look.num_frames, factors)
        for example, index in zip(films, frames):
            example["frame_index"] = index.astype(np.int32)
        return films

    def _factors(self, shot, centre, kept):
        look, count = self.look, self.still["count"]
        lead = (len(count), look.num_frames, look.max_objects)
        _, depth = shot.project(centre)
        pixels = self._pixels(shot, centre)
        # Where the centre would be seen a frame later at this velocity.
        velocity = self.moved.velocity[kept].reshape(*centre.shape[:2], 2)
        ahead = centre + np.concatenate([velocity, 0 * velocity[..., :1]], -1)
        timed = {
            "position": pixels.reshape(*lead, 2),
            "velocity": (self._pixels(shot, ahead) - pixels).reshape(*lead, 2),
            "depth": depth.reshape(lead),
            "location_3d": centre.reshape(*lead, 3),
        }
        factors = {
            name: ray_scenes.hidden_where_absent(values, count).astype(
                np.float32
            )
            for name, values in timed.items()
        }
        factors["inside_camera_view"] = self.in_view[kept].astype(np.uint8)
        factors["collision"] = self.moved.collision[kept]
        for name in ("shape", "material", "color"):
            factors[name] = self.still[name].astype(np.int32)
        factors["rotation"] = self.still["rotation"].astype(np.float32)
        return factors

    def _pixels(self, shot, points):
        pixels, _ = shot.project(points)
        if self.look.size is None:
            return pixels
        return clevr_scenes.in_window(pixels, CROP, (self.look.size,) * 2)
