"""Discs that move freely in a square box and collide elastically.

The state is float64 and everything is element-wise, so that a video does not
depend on the block of videos it is simulated with.
"""

import dataclasses

import numpy as np

MAX_TRIES = 2000  # start positions tried for one ball before a restart
MAX_RESTARTS = 100
MAX_FILLED = 0.6  # share of the box that all balls together may cover


@dataclasses.dataclass(frozen=True)
class BallWorld:
    """What the balls are and how they move; lengths in units of the box.

    Args:
        num_balls: Possible numbers of balls, drawn uniformly per video.
        box: Side `L` of the box.
        radius_light: Radius of a light ball.
        radius_heavy: Radius of a heavy ball.
        mass_light: Mass of a light ball.
        mass_heavy: Mass of a heavy ball.
        heavy_probability: Probability that a ball is heavy.
        speed: Units per frame; what it fixes, `speed_rule` says.
        speed_rule: `"rms"`: root mean square speed over the balls. `"joint"`:
            norm of all velocities together, as in the older simulator.
        substeps: Steps of the simulation per frame.
    """

    num_balls: tuple = (4,)
    box: float = 10.0
    radius_light: float = 0.9
    radius_heavy: float = 1.125
    mass_light: float = 1.0
    mass_heavy: float = 6.0
    heavy_probability: float = 0.5
    speed: float = 0.25
    speed_rule: str = "rms"
    substeps: int = 20

    def __post_init__(self):
        if not self.num_balls or min(self.num_balls) < 1:
            raise ValueError(
                f"num_balls lists counts of at least 1, not {self.num_balls}"
            )
        if self.speed_rule not in ("rms", "joint"):
            raise ValueError(
                f"speed_rule is 'rms' or 'joint', not {self.speed_rule!r}"
            )
        sizes = (self.radius_light, self.radius_heavy)
        masses = (self.mass_light, self.mass_heavy)
        if min(*sizes, *masses, self.substeps, self.box) <= 0:
            raise ValueError(
                "radii, masses, substeps and box must be positive, not "
                f"{sizes}, {masses}, {self.substeps}, {self.box}"
            )
        filled = max(self.num_balls) * np.pi * max(sizes) ** 2 / self.box**2
        if filled > MAX_FILLED or max(sizes) * 2 > self.box:
            raise ValueError(
                f"{max(self.num_balls)} balls of radius {max(sizes)} cover "
                f"{filled:.0%} of a box of side {self.box}; at most "
                f"{MAX_FILLED:.0%} can be placed: use fewer or smaller balls"
            )


@dataclasses.dataclass
class Balls:
    """A block of `N` videos with up to `K` balls each.

    Args:
        position: `[N, K, 2]` centres `(y, x)`, or `[N, T, K, 2]`.
        velocity: The same shape, units per frame.
        radius: `[N, K]`, 0 where there is no ball.
        mass: `[N, K]`, 0 where there is no ball.
        count: `[N]` numbers of balls.
        collision: `[N, T, K]` uint8, 1 where the ball hit another one since
            the frame before; None for a start state.
    """

    position: np.ndarray
    velocity: np.ndarray
    radius: np.ndarray
    mass: np.ndarray
    count: np.ndarray
    collision: np.ndarray | None = None


def start_state(rng, world, max_balls):
    """Draws one video's balls: count, types, places, velocities, in this order.

    Args:
        rng: Generator of the example.
        world: A `BallWorld`.
        max_balls: `K`, slots to fill up to.

    Returns:
        `(position [K, 2], velocity [K, 2], radius [K], mass [K], count)`.

    Raises:
        ValueError: If the balls cannot be placed without overlap.
    """
    count = int(world.num_balls[rng.integers(len(world.num_balls))])
    heavy = rng.random(count) < world.heavy_probability
    radius = np.where(heavy, world.radius_heavy, world.radius_light)
    mass = np.where(heavy, world.mass_heavy, world.mass_light)
    position = _place(rng, radius, world.box)
    velocity = rng.standard_normal((count, 2))
    norm = np.sqrt(np.sum(velocity**2))
    if world.speed_rule == "rms":
        norm = norm / np.sqrt(count)
    velocity *= world.speed / norm
    pad = max_balls - count
    return (
        np.pad(position, ((0, pad), (0, 0))),
        np.pad(velocity, ((0, pad), (0, 0))),
        np.pad(radius, (0, pad)),
        np.pad(mass, (0, pad)),
        count,
    )


def _place(rng, radius, box):
    """Centres `[n, 2]` of balls that touch neither each other nor a wall."""
    for _ in range(MAX_RESTARTS):
        position = np.zeros((len(radius), 2))
        for ball, r in enumerate(radius):
            for _ in range(MAX_TRIES):
                position[ball] = rng.uniform(r, box - r, 2)
                gap = np.hypot(*(position[:ball] - position[ball]).T)
                if np.all(gap >= radius[:ball] + r):
                    break
            else:
                break
        else:
            return position
    raise ValueError(
        f"could not place {len(radius)} balls of radii {radius.tolist()} in a "
        f"box of side {box} in {MAX_RESTARTS} attempts of {MAX_TRIES} tries a "
        "ball; use fewer or smaller balls"
    )


def stack(states):
    """Makes a block `Balls` of what `start_state` returned."""
    position, velocity, radius, mass, count = zip(*states)
    return Balls(
        np.stack(position),
        np.stack(velocity),
        np.stack(radius),
        np.stack(mass),
        np.array(count),
    )


def simulate(start, num_frames, *, box=10.0, substeps=20, friction=0.0):
    """Lets the balls move.

    Args:
        start: `Balls` with `[N, K, 2]` positions.
        num_frames: `T`; frame 0 is the start state.
        box: Side of the box; None: there are no walls.
        substeps: Steps per frame.
        friction: Speed that a ball loses per frame, until it rests.

    Returns:
        `Balls` with `[N, T, K, 2]` positions and velocities. Rows of absent
        balls are zero.
    """
    slots = start.radius.shape[1]
    present = np.arange(slots) < start.count[:, None]  # [N, K]
    pairs = _Pairs(start.radius, start.mass, present)
    x, v = start.position.copy(), start.velocity.copy()
    shape = (len(x), num_frames, slots)
    position, velocity = np.zeros((2, *shape, 2))
    collision = np.zeros(shape, np.uint8)
    low = start.radius[..., None]
    high = None if box is None else box - low
    for frame in range(num_frames):
        position[:, frame], velocity[:, frame] = x, v
        if frame + 1 == num_frames:
            break
        for _ in range(substeps):
            x += v / substeps
            if box is not None:
                _bounce(x, v, low, high)
            if friction:
                _slow_down(v, friction / substeps)
            pairs.collide(x, v, collision[:, frame + 1])
    absent = ~present[:, None, :]
    position[np.broadcast_to(absent, shape)] = 0
    return dataclasses.replace(
        start, position=position, velocity=velocity, collision=collision
    )


def _bounce(x, v, low, high):
    """Mirrors at the walls, in place."""
    under = x < low
    np.copyto(x, 2 * low - x, where=under)
    np.copyto(v, np.abs(v), where=under)
    over = x > high
    np.copyto(x, 2 * high - x, where=over)
    np.copyto(v, -np.abs(v), where=over)


def _slow_down(v, loss):
    """Takes away speed, in place."""
    speed = np.sqrt(v[..., :1] ** 2 + v[..., 1:] ** 2)
    v *= np.maximum(speed - loss, 0) / np.where(speed > 0, speed, 1.0)


class _Pairs:
    """Elastic collisions between all pairs of balls of a block."""

    def __init__(self, radius, mass, present):
        slots = radius.shape[1]
        pairs = [(i, j) for i in range(slots) for j in range(i)]
        self.first, self.second = np.array(pairs, int).reshape(-1, 2).T
        reach = radius[:, self.first] + radius[:, self.second]
        both = present[:, self.first] & present[:, self.second]
        self.reach2 = np.where(both, reach**2, -1.0)  # [N, P]; -1: never
        self.mass = mass

    def collide(self, x, v, collision):
        """Exchanges momentum of touching, approaching balls, in place.

        Positions stay as they are here, so what touches is known at once; the
        exchanges of one video then follow in the order of its pairs.
        """
        gap = x[:, self.first] - x[:, self.second]  # [N, P, 2]
        distance2 = gap[..., 0] ** 2 + gap[..., 1] ** 2
        video, pair = np.nonzero(distance2 < self.reach2)
        if not len(video):
            return
        starts = np.searchsorted(video, video)
        order = np.arange(len(video)) - starts  # place among its video's
        for place in range(order.max() + 1):
            chosen = order == place
            n, p = video[chosen], pair[chosen]
            self._exchange(v, collision, n, p, gap[n, p])

    def _exchange(self, v, collision, n, p, gap):
        i, j = self.first[p], self.second[p]
        w = gap / np.sqrt(gap[:, :1] ** 2 + gap[:, 1:] ** 2)  # [M, 2]
        delta = v[n, i] - v[n, j]
        approach = delta[:, 0] * w[:, 0] + delta[:, 1] * w[:, 1]
        hit = approach < 0
        n, i, j, w, approach = n[hit], i[hit], j[hit], w[hit], approach[hit]
        mi, mj = self.mass[n, i], self.mass[n, j]
        q = 2 * approach / (mi + mj)
        v[n, i] -= (mj * q)[:, None] * w
        v[n, j] += (mi * q)[:, None] * w
        collision[n, i] = 1
        collision[n, j] = 1
