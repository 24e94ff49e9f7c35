"""Videos of bouncing balls with everything that is known about them."""

import dataclasses

import numpy as np

from tfdecomp.simulation import palettes, streams
from tfdecomp.simulation.balls import ball_physics, discs

DATASET = "bouncing_balls"
ASSIGN = ("ball", "rank", "random")
# The older simulator's exp(-(d / r)^8), cut at one half.
LEGACY_SCALE = np.log(2) ** 0.125


@dataclasses.dataclass(frozen=True)
class BallVideo:
    """How a video of balls looks.

    Args:
        world: The `BallWorld` that is filmed.
        num_frames: `T`.
        size: Side of the frames in pixels.
        max_objects: `K`, slots of every label.
        channels: 1 for white balls, 3 for coloured ones.
        num_colours: Entries of the palette in use; ball `k` gets entry
            `k mod num_colours`.
        assign: Who gets which entry: `"ball"`: by the ball's number.
            `"rank"`: by its rank among the balls seen in the frame, as the
            reference does; the same unless a ball is hidden. `"random"`: a
            permutation of all eight entries drawn per video.
        channel_order: `"rgb"`, or `"bgr"` as the reference wrote its files.
        antialias: Whether edges are soft.
        profile: `"disc"`, or `"legacy"` for the slightly smaller discs of the
            older simulator.
    """

    world: ball_physics.BallWorld
    num_frames: int = 51
    size: int = 64
    max_objects: int = 4
    channels: int = 3
    num_colours: int = 8
    assign: str = "ball"
    channel_order: str = "rgb"
    antialias: bool = False
    profile: str = "disc"

    def __post_init__(self):
        _check("assign", self.assign, ASSIGN)
        _check("channel_order", self.channel_order, palettes.CHANNEL_ORDERS)
        _check("profile", self.profile, ("disc", "legacy"))
        _check("channels", self.channels, (1, 3))
        _check("num_colours", self.num_colours, range(1, 9))
        if max(self.world.num_balls) > self.max_objects:
            raise ValueError(
                f"max_objects is {self.max_objects}, but videos have up to "
                f"{max(self.world.num_balls)} balls"
            )


def _check(name, value, allowed):
    if value not in allowed:
        raise ValueError(f"{name} is one of {list(allowed)}, not {value!r}")


def generate(look, split, start, stop, *, seed, stream, fresh=False):
    """Makes the videos `start`, ..., `stop - 1` of a split.

    Args:
        look: A `BallVideo`.
        split: Name of the split.
        start: First index.
        stop: Index after the last one.
        seed: Seed of the dataset.
        stream: Name of the stream of scenes.
        fresh: Whether to make videos that no stored split holds.

    Returns:
        A list of dicts with `video`, `segmentation`, `boxes`, `visibility`,
        `visible_fraction`, `num_objects` and `factors`.
    """
    number = streams.split_id(split, fresh=fresh)
    states, entries = [], []
    for index in range(start, stop):
        rng = streams.example_rng(seed, DATASET, stream, number, index)
        state = ball_physics.start_state(rng, look.world, look.max_objects)
        states.append(state)
        # The colours come last: white and coloured videos share the scenes.
        entries.append(_entries(rng, look, state[-1]))
    balls = ball_physics.simulate(
        ball_physics.stack(states),
        look.num_frames,
        box=look.world.box,
        substeps=look.world.substeps,
    )
    return render(balls, np.stack(entries), look)


def _entries(rng, look, count):
    """Palette entries `[K]` of the balls of a video; 0: no ball."""
    slots = np.arange(look.max_objects)
    entries = slots % look.num_colours + 1
    if look.assign == "random":
        entries = rng.permutation(len(palettes.PAIRED))[entries - 1] + 1
    return np.where(slots < count, entries, 0)


def render(balls, entries, look):
    """Films simulated balls.

    Args:
        balls: `Balls` of `[N, T, K, 2]` positions.
        entries: `[N, K]` palette entries.
        look: A `BallVideo`.

    Returns:
        A list of `N` dicts, see `generate`.
    """
    count, frames, slots = balls.position.shape[:3]
    scale = look.size / look.world.box
    drawn = scale * (LEGACY_SCALE if look.profile == "legacy" else 1.0)
    centre = balls.position.reshape(-1, slots, 2) * scale
    radius = np.repeat(balls.radius * drawn, frames, axis=0)
    colours = _colours(entries, look)  # [N, K, C]
    per_frame = np.repeat(colours, frames, axis=0)
    drawing = discs.draw(
        centre,
        radius,
        (look.size, look.size),
        colours=per_frame if look.antialias else None,
    )
    picture = drawing.picture
    if picture is None:
        if look.assign == "rank" and look.channels == 3:
            per_frame = _rank_colours(drawing.visible_pixels, look)
        picture = discs.paint(drawing.owner, per_frame)
    shape = (count, frames)
    visible = drawing.visible_pixels.reshape(*shape, slots)
    own = drawing.own_pixels.reshape(*shape, slots)
    return _examples(
        balls,
        entries,
        look,
        video=picture.reshape(*shape, look.size, look.size, look.channels),
        segmentation=drawing.owner.reshape(*shape, look.size, look.size, 1),
        boxes=drawing.boxes.reshape(*shape, slots, 4),
        visibility=(visible > 0).astype(np.uint8),
        visible_fraction=(visible / np.maximum(own, 1)).astype(np.float32),
    )


def _colours(entries, look):
    if look.channels == 1:
        return np.where(entries > 0, 255, 0).astype(np.uint8)[..., None]
    return palettes.lookup(entries, look.channel_order)


def _rank_colours(visible_pixels, look):
    """Colours `[M, K, 3]` by rank among the balls seen in the frame."""
    seen = visible_pixels > 0
    rank = np.cumsum(seen, axis=1) - 1
    entries = np.where(seen, rank % look.num_colours + 1, 0)
    return palettes.lookup(entries, look.channel_order)


def _examples(balls, entries, look, **arrays):
    scale = look.size / look.world.box
    factors = {
        "position": (balls.position * scale).astype(np.float32),
        "velocity": (balls.velocity * scale).astype(np.float32),
        "radius": (balls.radius * scale).astype(np.float32),
        "mass": balls.mass.astype(np.float32),
        "collision": balls.collision,
    }
    if look.channels == 3:
        factors["palette_index"] = entries.astype(np.int32)
        colours = palettes.lookup(entries, look.channel_order)
        factors["color"] = (colours / 255).astype(np.float32)
    return [
        {
            **{name: array[n] for name, array in arrays.items()},
            "num_objects": int(balls.count[n]),
            "factors": {name: array[n] for name, array in factors.items()},
        }
        for n in range(len(entries))
    ]
