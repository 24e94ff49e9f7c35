"""What the ray-cast sets share: placing solids, redrawing, labels."""

import numpy as np

from tfdecomp.simulation.rays import solids

MAX_TRIES = 100  # per solid, before the scene is begun anew
MAX_RESTARTS = 1000  # per scene
MAX_REDRAWS = 10_000  # per scene, until all of it is seen


def place(rng, radii, gap, draw):
    """Places of solids that keep their distance from one another.

    Args:
        rng: A `np.random.Generator`.
        radii: `[n]` radii on the ground.
        gap: Least distance between their outlines.
        draw: Function of `rng` that returns a place `[2]`.

    Returns:
        `[n, 2]`.

    Raises:
        ValueError: If there seems to be no room.
    """
    for _ in range(MAX_RESTARTS):
        places = []
        for radius in radii:
            for _ in range(MAX_TRIES):
                spot = draw(rng)
                if all(
                    np.hypot(*(spot - other)) >= radius + near + gap
                    for other, near in zip(places, radii)
                ):
                    places.append(spot)
                    break
            else:
                break
        if len(places) == len(radii):
            return np.array(places).reshape(-1, 2)
    raise ValueError(
        f"{len(radii)} objects of radii {np.round(radii, 3).tolist()} with "
        f"gaps of {gap} found no room in {MAX_RESTARTS} attempts; use fewer "
        "or smaller objects"
    )


def in_disc(rng, radius):
    """A uniform place `[2]` in a disc around 0."""
    far = radius * np.sqrt(rng.uniform())
    angle = rng.uniform(0.0, 2 * np.pi)
    return far * np.array([np.cos(angle), np.sin(angle)])


def settle(draws, pixels, minimum):
    """Draws each scene until enough is seen of all its objects.

    What is counted may be frames as well as pixels.

    Args:
        draws: For each scene a function without arguments that draws it from
            the scene's own generator.
        pixels: Function of a list of `(number, scene)` to `[n, K]` pixels
            that are seen of each object, with anything for absent ones, and
            `[n]` numbers of objects.
        minimum: Pixels that must be seen.

    Returns:
        The scenes.

    Raises:
        ValueError: If one never succeeds.
    """
    scenes = [draw() for draw in draws]
    waiting = list(range(len(draws)))
    for _ in range(MAX_REDRAWS):
        if not waiting:
            return scenes
        seen, count = pixels([(n, scenes[n]) for n in waiting])
        absent = np.arange(seen.shape[1]) >= np.asarray(count)[:, None]
        fine = np.all(absent | (seen >= minimum), axis=1)
        waiting = [n for n, good in zip(waiting, fine) if not good]
        for n in waiting:
            scenes[n] = draws[n]()
    raise ValueError(
        f"in {MAX_REDRAWS} attempts a scene did not show {minimum} "
        "pixels (of a moving one: frames) of each object; use fewer or "
        "larger objects, or lower min_visible or min_frames"
    )


def pad(values, slots):
    """`[n, ...]` with zeros up to `[slots, ...]`."""
    values = np.asarray(values)
    out = np.zeros((slots, *values.shape[1:]), values.dtype)
    out[: len(values)] = values
    return out


def half_sides(shape, radius):
    """Half sides `[n, 3]` of solids that stand on a disc of some radius.

    The corners of a box lie on the circle, so that boxes of one size may be
    turned without coming nearer to others.

    Args:
        shape: `[n]`, `solids.BOX`, `SPHERE` or `CYLINDER`.
        radius: `[n]`.
    """
    half = np.where(shape == solids.BOX, radius / np.sqrt(2), radius)
    return np.repeat(half[:, None], 3, axis=1)


def on_ground(places, half):
    """Centres `[n, 3]` of solids at `[n, 2]` that stand on the ground."""
    return np.concatenate([places, half[:, 2:]], axis=1)


def examples(view, count, frames, factors, entities=None):
    """Takes a film of several videos apart.

    Args:
        view: A `raycast.View` of `N * T` frames, video after video.
        count: `[N]` numbers of objects.
        frames: `T`.
        factors: Name to `[N, T, K, ...]` or `[N, K, ...]`.
        entities: `[N * T, H, W]` uint8, or None.

    Returns:
        A list of `N` dicts as `builder_base.complete` wants them.
    """
    own, seen = view.own_pixels, view.visible_pixels
    arrays = {
        "video": view.picture,
        "segmentation": view.owner[..., None],
        "boxes": view.boxes,
        "visibility": (seen > 0).astype(np.uint8),
        "visible_fraction": (seen / np.maximum(own, 1)).astype(np.float32),
    }
    if entities is not None:
        arrays["entities"] = entities[..., None]
    arrays = {
        name: array.reshape(len(count), frames, *array.shape[1:])
        for name, array in arrays.items()
    }
    return [
        {
            **{name: array[n] for name, array in arrays.items()},
            "num_objects": int(count[n]),
            "factors": {name: array[n] for name, array in factors.items()},
        }
        for n in range(len(count))
    ]


def hidden_where_absent(values, count):
    """Zeros in the slots `[N, T, K, ...]` that hold no object."""
    slots = np.arange(values.shape[2])
    present = slots < np.asarray(count)[:, None, None]
    shape = present.shape + (1,) * (values.ndim - 3)
    return np.where(present.reshape(shape), values, 0)
