"""Films scenes of a few solids by casting one ray per pixel.

A scene is a set of solids (boxes, spheres, upright cylinders) between planes,
with one point light. Frames are computed many at once; a solid is tested on
the pixels of a rectangle around it only. Nothing depends on how many frames
are computed together. World axes: the third points up. Pixel `(r, c)` has its
centre at `(r + 0.5, c + 0.5)`.
"""

import dataclasses

import numpy as np

from tfdecomp.simulation.rays import solids

RAYS = 1 << 18  # rays at once; keeps the buffers small
AMBIENT, DIFFUSE = 0.35, 0.65
HIGHLIGHT = 0.6  # of metal, times the 20th power of a cosine
# Shadow rays start and end a little off the surfaces.
_LIFT = 1e-6


@dataclasses.dataclass
class Scene:
    """Solids on `M` frames, between planes that are the same on all.

    Args:
        kind: `[M, K]` int, `solids.BOX`, `SPHERE`, `CYLINDER` or 0: none.
        centre: `[M, K, 3]`.
        half: `[M, K, 3]` half sides, see `solids.interval`.
        yaw: `[M, K]` turn about the vertical, in radians.
        colour: `[M, K, 3]` in 0...1.
        metal: `[M, K]` bool.
        light: `[M, 3]` place of the light.
        plane_normal: `[P, 3]` unit vectors that point into the scene.
        plane_offset: `[P]`, `normal . x = offset` on the plane.
        plane_colour: `[M, P, 3]` in 0...1.
        plane_glows: `[P]` bool: shows its colour, lit or not.
    """

    kind: np.ndarray
    centre: np.ndarray
    half: np.ndarray
    yaw: np.ndarray
    colour: np.ndarray
    metal: np.ndarray
    light: np.ndarray
    plane_normal: np.ndarray
    plane_offset: np.ndarray
    plane_colour: np.ndarray
    plane_glows: np.ndarray

    def frames(self, part):
        """The scene on some of the frames."""
        fixed = ("plane_normal", "plane_offset", "plane_glows")
        values = {f.name: getattr(self, f.name) for f in _fields(self)}
        return Scene(
            **{k: v if k in fixed else v[part] for k, v in values.items()}
        )


@dataclasses.dataclass
class View:
    """What a camera sees on `M` frames.

    Args:
        owner: `[M, H, W]` uint8, 0 or 1 + the solid that is seen.
        plane: `[M, H, W]` uint8, the plane behind; `P` if there is none.
        own_pixels: `[M, K]` pixels of each solid alone.
        visible_pixels: `[M, K]` pixels of each solid that are seen.
        boxes: `[M, K, 4]` float32 tight boxes of each solid alone, in rays.
        picture: `[M, H, W, 3]` uint8; None if not asked for.
    """

    owner: np.ndarray
    plane: np.ndarray
    own_pixels: np.ndarray
    visible_pixels: np.ndarray
    boxes: np.ndarray
    picture: np.ndarray | None = None


def film(scene, camera, *, shadows=False, samples=1):
    """Films a scene.

    With several rays per pixel the picture has soft edges. The labels are
    those of the ray through the middle of the pixel in any case.

    Args:
        scene: A `Scene`.
        camera: A `cameras.Camera` of as many frames.
        shadows: Whether solids throw shadows, with hard edges.
        samples: Rays per pixel of the picture along both axes, for evenly
            spaced rows and columns; 0: the labels alone.

    Returns:
        A `View`.
    """
    if samples <= 1:
        return _film(scene, camera, shadows, samples == 1)
    view = _film(scene, camera, shadows, False)
    fine = _film(scene, camera.finer(samples), shadows, True).picture
    frames, height, width = view.owner.shape
    fine = fine.reshape(frames, height, samples, width, samples, 3)
    total = fine.sum((2, 4), dtype=np.uint32)
    picture = (total + samples**2 // 2) // samples**2
    return dataclasses.replace(view, picture=picture.astype(np.uint8))


def _film(scene, camera, shadows, picture):
    """`film` with one ray per pixel."""
    frames = len(camera.position)
    step = max(1, RAYS // (len(camera.rows) * len(camera.columns)))
    parts = []
    for begin in range(0, frames, step):
        part = slice(begin, begin + step)
        shot = _Shot(scene.frames(part), camera.frames(part))
        parts.append(shot.view(shadows, picture))
    values = []
    for field in _fields(View):
        arrays = [getattr(part, field.name) for part in parts]
        values.append(None if arrays[0] is None else np.concatenate(arrays))
    return View(*values)


def _fields(something):
    return dataclasses.fields(something)


class _Shot:
    """Some frames, few enough for one set of buffers."""

    def __init__(self, scene, camera):
        self.scene, self.camera = scene, camera
        self.frames, self.slots = scene.kind.shape
        self.size = (len(camera.rows), len(camera.columns))
        self.rays = camera.rays()  # [3, M, H * W]
        self.origin = camera.position.T[..., None]  # [3, M, 1]
        flat = (self.slots * self.frames, -1)
        # Solid after solid, each on all frames.
        self.kind = scene.kind.T.reshape(-1)
        self.centre = scene.centre.swapaxes(0, 1).reshape(flat).T
        self.half = scene.half.swapaxes(0, 1).reshape(flat).T
        yaw = scene.yaw.T.reshape(-1)
        self.cosine, self.sine = np.cos(yaw), np.sin(yaw)
        self.reach = solids.bounding_radius(scene.kind, scene.half)  # [M, K]

    def view(self, shadows, picture):
        self._meet_planes()
        self._meet_solids()
        counts = self.owner + (self.slots + 1) * np.arange(self.frames)[:, None]
        visible = np.bincount(
            counts.reshape(-1), minlength=self.frames * (self.slots + 1)
        ).reshape(self.frames, -1)[:, 1:]
        shape = (self.frames, *self.size)
        return View(
            self.owner.reshape(shape),
            self.plane.reshape(shape),
            self.own,
            visible,
            self.boxes,
            self._paint(shadows).reshape(*shape, 3) if picture else None,
        )

    def _meet_planes(self):
        normals = self.scene.plane_normal
        self.depth = np.full(self.rays.shape[1:], np.inf)
        self.plane = np.full(self.rays.shape[1:], len(normals), np.uint8)
        for number, normal in enumerate(normals):
            offset = self.scene.plane_offset[number]
            distance = solids.plane_distance(
                self.origin, self.rays, normal, offset
            )
            nearer = distance < self.depth
            self.depth = np.where(nearer, distance, self.depth)
            self.plane[nearer] = number

    def _meet_solids(self):
        which, frame, row, column = self._candidates()
        pixel = frame * (self.size[0] * self.size[1])
        pixel = pixel + row * self.size[1] + column
        rays = self.rays.reshape(3, -1)[:, pixel]
        hit = self._distance(which, self.origin[:, frame, 0], rays)
        depth = self.depth.reshape(-1)
        seen = np.flatnonzero(hit < depth[pixel])
        which, pixel, hit = which[seen], pixel[seen], hit[seen]
        self._measure(which, row[seen], column[seen])
        owner = np.zeros(depth.shape, np.uint8)
        ends = np.searchsorted(which, np.arange(self.slots + 1) * self.frames)
        for slot in range(self.slots):
            mine = slice(ends[slot], ends[slot + 1])
            nearest = hit[mine] < depth[pixel[mine]]
            won = pixel[mine][nearest]
            depth[won] = hit[mine][nearest]
            owner[won] = slot + 1
        self.owner = owner.reshape(self.depth.shape)

    def _candidates(self):
        """Rays of a rectangle around each solid.

        Returns:
            `(which, frame, row, column)`, each `[N]`: the solid on its frame,
            ordered, the frame, and the ray.
        """
        right, down, ahead = self.camera.local(self.scene.centre)
        spans = []
        for along, places, middle in (
            (down, self.camera.rows, self.camera.middle[0]),
            (right, self.camera.columns, self.camera.middle[1]),
        ):
            low, high = _sphere_bounds(along, ahead, self.reach)
            low = np.searchsorted(places, middle + self.camera.focal * low)
            high = np.searchsorted(places, middle + self.camera.focal * high)
            spans.append((low.T.reshape(-1), high.T.reshape(-1)))
        (top, bottom), (left, end) = spans
        wide = end - left
        count = np.where(self.kind > 0, (bottom - top) * wide, 0)
        which = np.repeat(np.arange(len(count)), count)
        number = np.arange(len(which)) - (np.cumsum(count) - count)[which]
        row = top[which] + number // wide[which]
        column = left[which] + number % wide[which]
        return which, which % self.frames, row, column

    def _own_frame(self, which, vector):
        return solids.turn(vector, self.cosine[which], -self.sine[which])

    def _distance(self, which, origin, rays, last=np.inf):
        """Distances `[N]` along rays to the solids `which`."""
        start = self._own_frame(which, origin - self.centre[:, which])
        ahead = self._own_frame(which, rays)
        enter, leave = solids.interval(
            self.kind[which], start, ahead, self.half[:, which]
        )
        hit = solids.first_hit(enter, leave)
        return np.where(hit < last, hit, np.inf)

    def _measure(self, which, row, column):
        """Notes the size and the tight box of each solid alone."""
        total = self.slots * self.frames
        own = np.bincount(which, minlength=total)
        low = np.full((2, total), 1 << 30)
        high = np.zeros((2, total), int)
        for axis, place in enumerate((row, column)):
            np.minimum.at(low[axis], which, place)
            np.maximum.at(high[axis], which, place + 1)
        boxes = np.stack([low[0], low[1], high[0], high[1]], -1)
        boxes = np.where(own[:, None] > 0, boxes, 0).astype(np.float32)
        shape = (self.slots, self.frames)
        self.own = own.reshape(shape).T
        self.boxes = boxes.reshape(*shape, 4).swapaxes(0, 1)

    def _paint(self, shadows):
        """Colours `[M, H * W, 3]` uint8."""
        scene, planes = self.scene, len(self.scene.plane_normal)
        depth = np.where(np.isfinite(self.depth), self.depth, 0.0)
        point = self.origin + depth * self.rays  # [3, M, H * W]
        normal, metal = self._surfaces(point)
        light = scene.light.T[..., None] - point
        length = np.sqrt(solids.dot(light, light))
        light = light / length
        facing = np.maximum(solids.dot(normal, light), 0.0)
        if shadows:
            facing = np.where(self._shaded(point, light, length), 0.0, facing)
        bright = AMBIENT + DIFFUSE * facing
        glows = np.append(scene.plane_glows, True)
        bright[(self.owner == 0) & glows[self.plane]] = 1.0
        black = np.zeros((self.frames, 1, 3))
        palette = np.concatenate([scene.plane_colour, black, scene.colour], 1)
        entry = np.where(self.owner > 0, planes + self.owner, self.plane)
        colour = palette[np.arange(self.frames)[:, None], entry]
        colour = colour * bright[..., None]
        where = np.nonzero(metal & (facing > 0))
        shine = self._shine(where, normal, light)
        colour[where] += HIGHLIGHT * shine[:, None]
        return np.rint(255 * np.clip(colour, 0, 1)).astype(np.uint8)

    def _surfaces(self, point):
        """Normals `[3, M, H * W]` and where there is metal."""
        planes = np.concatenate([self.scene.plane_normal, np.zeros((1, 3))])
        normal = np.moveaxis(planes[self.plane], -1, 0).copy()
        frame, pixel = np.nonzero(self.owner)
        slot = self.owner[frame, pixel].astype(int) - 1
        which = slot * self.frames + frame
        local = point[:, frame, pixel] - self.centre[:, which]
        own = solids.surface_normal(
            self.kind[which],
            self._own_frame(which, local),
            self.half[:, which],
        )
        back = solids.turn(own, self.cosine[which], self.sine[which])
        normal[:, frame, pixel] = back
        metal = np.zeros(self.owner.shape, bool)
        metal[frame, pixel] = self.scene.metal[frame, slot]
        return normal, metal

    def _shine(self, where, normal, light):
        """Cosine to the 20th between mirrored ray and light, at pixels."""
        ray, normal, light = (v[:, *where] for v in (self.rays, normal, light))
        ray = ray / np.sqrt(solids.dot(ray, ray))
        mirrored = ray - 2 * solids.dot(ray, normal) * normal
        cosine = np.maximum(solids.dot(mirrored, light), 0.0)
        fourth = cosine * cosine * cosine * cosine
        return fourth * fourth * fourth * fourth * fourth

    def _shaded(self, point, light, length):
        """Which points `[M, H * W]` a solid hides from the light."""
        shaded = np.zeros(length.shape, bool)
        away = self.scene.centre - self.scene.light[:, None]  # [M, K, 3]
        far = np.sqrt(np.sum(away * away, -1))
        toward = np.moveaxis(away / far[..., None], -1, 0)  # [3, M, K]
        sine = np.minimum(self.reach / far, 1.0)
        # A little wider than need be: these are candidates only.
        cosine = np.sqrt(1 - sine * sine) - 1e-5
        down = -light.astype(np.float32)
        for slot in range(self.slots):
            axis = toward[:, :, slot, None].astype(np.float32)
            near = solids.dot(axis, down) > cosine[:, slot, None]
            near &= self.scene.kind[:, slot, None] > 0
            frame, pixel = np.nonzero(near)
            ray = light[:, frame, pixel] * length[frame, pixel]
            start = point[:, frame, pixel] + _LIFT * ray
            which = slot * self.frames + frame
            hit = self._distance(which, start, ray, 1 - _LIFT)
            # From the inside of its own solid every ray meets a surface.
            mine = self.owner[frame, pixel] == slot + 1
            shaded[frame, pixel] |= np.isfinite(hit) & ~mine
        return shaded


def _sphere_bounds(along, ahead, radius):
    """Least and largest slope at which spheres are seen, along one axis.

    Args:
        along: `[...]` place of the centres along the axis.
        ahead: `[...]` their depth.
        radius: `[...]`.

    Returns:
        `(low, high)`; all slopes if the camera is inside or beside a sphere,
        none if all of it lies behind.
    """
    square = along * along + ahead * ahead - radius * radius
    root = radius * np.sqrt(np.maximum(square, 0.0))
    depth = ahead * ahead - radius * radius
    clear = ahead > radius
    depth = np.where(clear, depth, 1.0)
    low = np.where(clear, (along * ahead - root) / depth, -np.inf)
    high = np.where(clear, (along * ahead + root) / depth, np.inf)
    behind = ahead < -radius
    return np.where(behind, 0.0, low), np.where(behind, 0.0, high)
