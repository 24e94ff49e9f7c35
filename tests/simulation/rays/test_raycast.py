"""Films of solids agree with geometry that is worked out apart from them."""

import dataclasses

import numpy as np
import pytest

from tfdecomp.simulation.rays import cameras, raycast, solids

UP = np.array([[0.0, 0.0, 1.0]])


def _scene(things, light=(0.0, 0.0, 50.0), ground=0.0, frames=1):
    """One `(kind, centre, half, yaw, colour, metal)` per solid."""
    kind, centre, half, yaw, colour, metal = zip(*things)

    def many(values):
        return np.repeat(np.array(values)[None], frames, 0)

    return raycast.Scene(
        kind=many(kind),
        centre=many(centre).astype(float),
        half=many(half).astype(float),
        yaw=many(yaw).astype(float),
        colour=many(colour).astype(float),
        metal=many(metal),
        light=many(light).astype(float),
        plane_normal=UP,
        plane_offset=np.array([ground]),
        plane_colour=np.full((frames, 1, 3), 0.5),
        plane_glows=np.zeros(1, bool),
    )


def _ball(centre, radius=1.0, colour=(1.0, 1.0, 1.0), metal=False):
    return (solids.SPHERE, centre, [radius] * 3, 0.0, colour, metal)


def _box(centre, half, yaw=0.0, colour=(1.0, 1.0, 1.0)):
    return (solids.BOX, centre, half, yaw, colour, False)


def _tube(centre, radius, height, colour=(1.0, 1.0, 1.0)):
    half = [radius, radius, height]
    return (solids.CYLINDER, centre, half, 0.0, colour, False)


def _camera(position, yaw=0.0, pitch=0.0, size=101, focal=100.0):
    position = np.atleast_2d(np.array(position, float))
    angles = (np.broadcast_to(a, len(position)) for a in (yaw, pitch))
    places = np.arange(size) + 0.5
    middle = (size / 2, size / 2)
    axes = cameras.aim(*angles)
    return cameras.Camera(position, axes, focal, middle, places, places)


def _random_film(frames=3):
    """Several solids of all kinds, seen from somewhere else in each frame."""
    rng = np.random.default_rng(5)
    things = []
    for n in range(6):
        half = rng.uniform(0.3, 0.8, 3)
        place = [*rng.uniform(-2, 2, 2), half[2]]
        colour, kind = rng.uniform(0.2, 1, 3), 1 + n % 3
        if kind == solids.SPHERE:
            place[2] = half[0]
        things.append((kind, place, half, rng.uniform(0, 7), colour, n > 3))
    scene = _scene(things, (1.0, 2.0, 9.0), frames=frames)
    eyes = [(-7.0, 1.0 - n, 3.0) for n in range(frames)]
    return scene, _camera(eyes, 0.1, -0.4, size=48, focal=48.0)


def _inside(scene, points):
    """Which solids `[K, N]` of the first frame hold points `[N, 3]`."""
    out = []
    for k, kind in enumerate(scene.kind[0]):
        x, y, z = (points - scene.centre[0, k]).T
        a, b, c = scene.half[0, k]
        cos, sin = np.cos(scene.yaw[0, k]), np.sin(scene.yaw[0, k])
        u, v = cos * x + sin * y, cos * y - sin * x
        if kind == solids.BOX:
            held = (abs(u) <= a) & (abs(v) <= b) & (abs(z) <= c)
        elif kind == solids.SPHERE:
            held = x * x + y * y + z * z <= a * a
        else:
            held = (x * x + y * y <= a * a) & (abs(z) <= c)
        out.append(held)
    return np.array(out)


def test_every_pixel_shows_what_marching_along_its_ray_meets_first():
    scene, camera = _random_film(1)
    view = raycast.film(scene, camera)
    right, down, ahead = camera.axes[0]
    steps = np.linspace(0.0, 14.0, 2801)[:, None]
    wrong, met = 0, 0
    rng = np.random.default_rng(0)
    for row, column in rng.integers(0, 48, (1000, 2)):
        ray = (
            ahead
            + down * (row + 0.5 - 24) / 48.0
            + right * (column + 0.5 - 24) / 48.0
        )
        points = camera.position[0] + steps * ray
        held = _inside(scene, points)
        first = np.flatnonzero(held.any(0) | (points[:, 2] < 0))
        expected = 0
        if first.size and held[:, first[0]].any():
            expected = 1 + held[:, first[0]].argmax()
        met += expected > 0
        wrong += view.owner[0, row, column] != expected
    # Steps of 0.005 may jump over the very edge of a solid.
    assert met > 100
    assert wrong <= 2


@pytest.mark.parametrize("shift", [(0.0, 0.0), (1.2, -0.8), (-1.9, 1.1)])
def test_silhouette_of_a_sphere_is_the_ellipse_of_its_projection(shift):
    """A pixel shows it iff its ray is within the cone around the centre."""
    centre, radius = np.array([6.0, *shift]), 0.9
    scene = _scene([_ball(centre, radius)], ground=-50.0)
    view = raycast.film(scene, _camera((0, 0, 0), size=201, focal=200.0))
    mask = view.owner[0] == 1
    # Seen from (0, 0, 0) along x: y goes to the left and z up. The image of
    # the sphere is {p: (c . p)^2 >= (|c|^2 - r^2) |p|^2}, a conic.
    c = np.array([centre[0], -centre[2], -centre[1]])  # ahead, down, right
    q = np.outer(c, c) - (c @ c - radius**2) * np.eye(3)
    inner = q[1:, 1:]
    middle = np.linalg.solve(inner, -q[1:, 0])
    level = q[0, 0] + q[1:, 0] @ middle
    area = np.pi * level / np.sqrt(np.linalg.det(inner)) * 200.0**2
    np.testing.assert_allclose(mask.sum(), area, rtol=0.02)
    seen = np.argwhere(mask).mean(0) + 0.5
    np.testing.assert_allclose(seen, 100.5 + 200 * middle, atol=0.3)
    top, left, bottom, right = view.boxes[0, 0]
    extent = 200 * np.sqrt(np.diag(np.linalg.inv(inner)) * -level)
    np.testing.assert_allclose([bottom - top, right - left], 2 * extent, atol=2)


def test_projected_centre_and_depth_are_those_of_a_pinhole():
    camera = _camera((1.0, 2.0, 3.0), yaw=np.pi / 2, size=100)
    pixels, depth = camera.project(np.array([[[2.0, 12.0, 4.0]]]))
    # It looks along y: x is to the right, 1 of 10 units; z is up, 1 of 10.
    np.testing.assert_allclose(depth, [[10.0]])
    np.testing.assert_allclose(pixels, [[[50 - 10, 50 + 10]]])


def test_axes_of_a_camera_are_perpendicular_and_right_handed():
    rng = np.random.default_rng(0)
    axes = cameras.aim(rng.uniform(0, 7, 20), rng.uniform(-1.5, 1.5, 20))
    np.testing.assert_allclose(
        axes @ axes.swapaxes(1, 2), np.tile(np.eye(3), (20, 1, 1)), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(axes), 1.0)
    assert (axes[:, 0, 2] == 0).all()  # the horizon is level
    assert (axes[:, 1, 2] < 0).all()  # down is down


@pytest.mark.parametrize("first", [0, 1])
def test_nearest_of_two_solids_wins_whatever_their_order(first):
    things = [_ball((8.0, 0.0, 2.0), 1.0), _box((4.0, 0.0, 2.0), (0.2,) * 3)]
    scene = _scene(things if first == 0 else things[::-1])
    view = raycast.film(scene, _camera((0, 0, 2.0)))
    near = 2 - first
    assert view.owner[0, 50, 50] == near
    assert view.owner[0, 50, 58] == 3 - near  # the larger one looks out
    assert view.visible_pixels[0, near - 1] == view.own_pixels[0, near - 1]
    hidden = view.own_pixels[0, 2 - near] - view.visible_pixels[0, 2 - near]
    assert hidden == view.own_pixels[0, near - 1]


def test_own_pixels_and_boxes_are_those_of_films_of_each_solid_alone():
    scene, camera = _random_film()
    view = raycast.film(scene, camera)
    covered = 0
    for k in range(6):
        kind = np.where(np.arange(6) == k, scene.kind, 0)
        alone = raycast.film(dataclasses.replace(scene, kind=kind), camera)
        mask = alone.owner == k + 1
        np.testing.assert_array_equal(mask.sum((1, 2)), view.own_pixels[:, k])
        np.testing.assert_array_equal(
            alone.visible_pixels[:, k], view.own_pixels[:, k]
        )
        covered += (view.visible_pixels < view.own_pixels)[:, k].sum()
        for n in range(3):
            rows, columns = np.nonzero(mask[n])
            tight = [rows.min(), columns.min(), rows.max(), columns.max()]
            np.testing.assert_array_equal(
                view.boxes[n, k], np.array(tight) + [0, 0, 1, 1]
            )
        assert ((view.owner != k + 1) | mask).all()
    assert covered > 3


def test_solids_beside_and_behind_the_camera_are_not_seen():
    things = [
        _ball((-5.0, 0.0, 2.0)),
        _box((0.0, 5.0, 2.0), (1.0, 1.0, 1.0)),
        _tube((-0.5, 0.2, 9.0), 3.0, 0.5),
    ]
    view = raycast.film(_scene(things), _camera((0, 0, 2.0)))
    assert not view.owner.any()
    assert not view.own_pixels.any() and not view.boxes.any()


def test_surface_shows_its_colour_by_the_cosine_to_the_light():
    colour = np.array([0.8, 0.4, 0.2])
    ball = _ball((6.0, 0.0, 0.0), 1.0, colour)
    scene = _scene([ball], light=(-1000.0, 0.0, 1000.0), ground=-50.0)
    view = raycast.film(scene, _camera((0, 0, 0)))
    # In the middle the normal is (-1, 0, 0): half a right angle to the light.
    expected = 255 * colour * (0.35 + 0.65 * np.sqrt(0.5))
    np.testing.assert_allclose(view.picture[0, 50, 50], expected, atol=1.5)
    # At the very bottom it faces away.
    bottom = int(view.boxes[0, 0, 2]) - 1
    np.testing.assert_allclose(
        view.picture[0, bottom, 50], 255 * colour * 0.35, atol=1.5
    )


def test_metal_alone_has_a_highlight_where_the_light_is_mirrored():
    def picture(metal):
        ball = _ball((6.0, 0.0, 0.0), 1.0, (0.3, 0.3, 0.3), metal)
        scene = _scene([ball], light=(0.0, 0.0, 0.0), ground=-50.0)
        scene.light[:] = [[-1e4, 0.0, 0.0]]
        view = raycast.film(scene, _camera((0, 0, 0)))
        return view.picture[0, :, :, 0].astype(int)

    extra = picture(True) - picture(False)
    assert extra[50, 50] == round(255 * 0.6)
    # The ray at pixel (50, 58): mirrored by twice the angle of the normal.
    slope = 8 / 100
    along = (6 - np.sqrt(36 - 35 * (1 + slope**2))) / (1 + slope**2)
    normal = np.array([along - 6, along * slope])
    ray = np.array([1, slope]) / np.hypot(1, slope)
    mirrored = ray - 2 * (ray @ normal) * normal
    np.testing.assert_allclose(
        extra[50, 58], 255 * 0.6 * (-mirrored[0]) ** 20, atol=1.5
    )
    assert (extra[:20] == 0).all()


def test_shadow_lies_where_the_solid_is_between_ground_and_light():
    light, centre, radius = np.array([0.0, -4.0, 8.0]), [6.0, 0.0, 1.5], 0.8
    scene = _scene([_ball(centre, radius)], light=light)
    camera = _camera((0, 0, 5.0), pitch=-0.6, size=80, focal=60.0)
    dark = raycast.film(scene, camera, shadows=True)
    lit = raycast.film(scene, camera)
    ground = (dark.owner == 0)[0] & (dark.plane == 0)[0]
    differ = (dark.picture != lit.picture).any(-1)[0]
    # Distance of the segment from the ground's point to the light.
    rays = camera.rays()[:, 0].reshape(3, 80, 80)
    points = np.moveaxis(5.0 / -rays[2] * rays, 0, -1) + [0, 0, 5.0]
    way = light - points
    part = np.sum((np.array(centre) - points) * way, -1) / np.sum(way**2, -1)
    gap = np.linalg.norm(points + part[..., None] * way - centre, axis=-1)
    shadow = (gap < radius) & (part > 0) & (part < 1)
    np.testing.assert_array_equal(differ[ground], shadow[ground])
    assert 50 < shadow[ground].sum() < 2000
    grey = 255 * 0.5 * 0.35
    np.testing.assert_allclose(dark.picture[0][ground & shadow], grey, atol=1)
    np.testing.assert_array_equal(dark.owner, lit.owner)


def test_solids_throw_shadows_on_each_other():
    roof = _box((6.0, 0.0, 4.0), (1.5, 1.5, 0.1))
    ball = _ball((6.0, 0.0, 1.0), 1.0)
    scene = _scene([roof, ball], light=(6.0, 0.0, 20.0))
    camera = _camera((0, 0, 1.5))
    dark = raycast.film(scene, camera, shadows=True)
    shade = dark.picture[dark.owner == 2]
    np.testing.assert_array_equal(shade, round(255 * 0.35))


def test_frames_do_not_depend_on_what_is_filmed_with_them(monkeypatch):
    scene, camera = _random_film()
    whole = raycast.film(scene, camera, shadows=True, samples=2)
    monkeypatch.setattr(raycast, "RAYS", 1)
    single = raycast.film(scene, camera, shadows=True, samples=2)
    for field in dataclasses.fields(raycast.View):
        np.testing.assert_array_equal(
            getattr(whole, field.name), getattr(single, field.name)
        )


def test_several_rays_per_pixel_soften_edges_and_keep_the_labels():
    scene, camera = _random_film()
    hard = raycast.film(scene, camera)
    soft = raycast.film(scene, camera, samples=2)
    np.testing.assert_array_equal(hard.owner, soft.owner)
    fine = raycast.film(scene, camera.finer(2)).picture.astype(float)
    mean = fine.reshape(3, 48, 2, 48, 2, 3).mean((2, 4))
    np.testing.assert_allclose(soft.picture, mean, atol=0.5)
    assert raycast.film(scene, camera, samples=0).picture is None
