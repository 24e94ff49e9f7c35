"""Where rays meet planes, spheres, boxes and cylinders.

Vectors have their components first: `[3, N]` holds `N` points or directions.
Directions need not have unit length; a distance `t` stands for the point
`origin + t * direction`. Every solid is convex, so that a ray meets it in one
interval `[enter, leave]`; where it misses, `enter` is `inf` and `leave`
`-inf`. A solid's own frame has the origin at its centre and is turned by its
yaw about the vertical third axis.
"""

import numpy as np

# The shapes, by the order in which CLEVR lists them; 0: no solid.
BOX, SPHERE, CYLINDER = 1, 2, 3
# Hits nearer than this are the surface that the ray starts from.
EPSILON = 1e-9
_TINY = 1e-300


def plane_distance(origin, direction, normal, offset):
    """Distance to the plane `normal . x = offset` along rays.

    Args:
        origin: `[3, ...]`, broadcast against `direction`.
        direction: `[3, ...]`.
        normal: `[3]`.
        offset: A number.

    Returns:
        `[...]` distances, `inf` where the plane lies behind or is parallel.
    """
    along = dot(normal, direction)
    height = offset - dot(normal, origin)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = height / along
    return np.where(distance > EPSILON, distance, np.inf)


def sphere_interval(origin, direction, radius):
    """Where rays are inside a sphere around 0.

    Args:
        origin: `[3, N]`.
        direction: `[3, N]`.
        radius: `[N]`.

    Returns:
        `(enter, leave)`, each `[N]`.
    """
    return _roots(
        dot(direction, direction),
        dot(origin, direction),
        dot(origin, origin) - radius * radius,
    )


def box_interval(origin, direction, half):
    """Where rays are inside the box `|x| <= half`.

    Args:
        origin: `[3, N]`.
        direction: `[3, N]`.
        half: `[3, N]` half of the sides.

    Returns:
        `(enter, leave)`, each `[N]`.
    """
    enter, leave = _slab(origin[0], direction[0], half[0])
    for axis in (1, 2):
        begin, end = _slab(origin[axis], direction[axis], half[axis])
        enter, leave = np.maximum(enter, begin), np.minimum(leave, end)
    return _or_miss(enter, leave)


def cylinder_interval(origin, direction, radius, half_height):
    """Where rays are inside an upright cylinder around 0, caps included.

    Args:
        origin: `[3, N]`.
        direction: `[3, N]`.
        radius: `[N]`.
        half_height: `[N]`.

    Returns:
        `(enter, leave)`, each `[N]`.
    """
    (ox, oy, oz), (dx, dy, dz) = origin, direction
    square = ox * ox + oy * oy - radius * radius
    enter, leave = _roots(dx * dx + dy * dy, ox * dx + oy * dy, square)
    begin, end = _slab(oz, dz, half_height)
    return _or_miss(np.maximum(enter, begin), np.minimum(leave, end))


def interval(kind, origin, direction, half):
    """Where rays are inside solids of any kind, one solid per ray.

    Args:
        kind: `[N]`, `BOX`, `SPHERE`, `CYLINDER` or 0.
        origin: `[3, N]` in the solids' own frames.
        direction: `[3, N]`, likewise.
        half: `[3, N]` half sides; a sphere's radius is the first, a
            cylinder's radius the first and its half height the third.

    Returns:
        `(enter, leave)`, each `[N]`.
    """
    enter = np.full(kind.shape, np.inf)
    leave = np.full(kind.shape, -np.inf)
    for number, inside in (
        (BOX, box_interval),
        (SPHERE, lambda o, d, h: sphere_interval(o, d, h[0])),
        (CYLINDER, lambda o, d, h: cylinder_interval(o, d, h[0], h[2])),
    ):
        mine = np.flatnonzero(kind == number)
        if mine.size:
            rays = (v[:, mine] for v in (origin, direction, half))
            enter[mine], leave[mine] = inside(*rays)
    return enter, leave


def first_hit(enter, leave):
    """Distance to the surface from an interval, `inf` if none lies ahead."""
    hit = np.where(enter > EPSILON, enter, leave)
    return np.where(hit > EPSILON, hit, np.inf)


def surface_normal(kind, point, half):
    """Outward unit normals at points of the surface of solids.

    Args:
        kind: `[N]`, see `interval`.
        point: `[3, N]` in the solids' own frames.
        half: `[3, N]`.

    Returns:
        `[3, N]`.
    """
    normal = np.zeros_like(point)
    ball = kind == SPHERE
    normal[:, ball] = point[:, ball] / half[0, ball]
    box = np.flatnonzero(kind == BOX)
    scaled = point[:, box] / half[:, box]
    axis = np.argmax(np.abs(scaled), axis=0)
    column = np.arange(box.size)
    normal[axis, box] = np.sign(scaled[axis, column])
    tube = np.flatnonzero(kind == CYLINDER)
    around = point[:2, tube] / half[0, tube]
    up = point[2, tube] / half[2, tube]
    cap = np.abs(up) > np.hypot(around[0], around[1])
    normal[:2, tube] = np.where(cap, 0.0, around)
    normal[2, tube] = np.where(cap, np.sign(up), 0.0)
    return normal


def bounding_radius(kind, half):
    """Radius of the ball around the centre that holds a solid.

    Args:
        kind: `[...]`, see `interval`.
        half: `[..., 3]`.

    Returns:
        `[...]`, 0 where there is no solid.
    """
    x, y, z = np.moveaxis(half, -1, 0)
    choices = [np.sqrt(x * x + y * y + z * z), x, np.sqrt(x * x + z * z)]
    return np.select([kind == k for k in (BOX, SPHERE, CYLINDER)], choices)


def dot(a, b):
    """Scalar product of `[3, ...]` and `[3, ...]`, term by term.

    A matrix product may add up in another order for another number of rays.
    """
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def turn(vector, cosine, sine):
    """Turns `[3, N]` about the vertical axis by the angle of `(cos, sin)`."""
    x, y, z = vector
    return np.stack([cosine * x - sine * y, sine * x + cosine * y, z])


def _roots(a, b, c):
    """Interval where `a t^2 + 2 b t + c <= 0`, for `a >= 0`."""
    square = b * b - a * c
    root = np.sqrt(np.maximum(square, 0.0))
    a = np.maximum(a, _TINY)
    with np.errstate(over="ignore"):
        enter, leave = (-b - root) / a, (root - b) / a
    # A ray along the axis of a cylinder is inside everywhere or nowhere.
    along = a <= _TINY
    enter = np.where(along, np.where(c <= 0, -np.inf, np.inf), enter)
    leave = np.where(along, np.where(c <= 0, np.inf, -np.inf), leave)
    miss = square < 0
    return np.where(miss, np.inf, enter), np.where(miss, -np.inf, leave)


def _slab(origin, direction, half):
    """Interval where `|origin + t direction| <= half`, along one axis."""
    # Instead of zero: the quotients become so large that they play no role.
    slope = np.where(direction == 0, _TINY, direction)
    with np.errstate(over="ignore"):
        one, two = (-half - origin) / slope, (half - origin) / slope
    return np.minimum(one, two), np.maximum(one, two)


def _or_miss(enter, leave):
    miss = enter > leave
    return np.where(miss, np.inf, enter), np.where(miss, -np.inf, leave)
