"""Discs against a drawing of the whole frame, one pixel at a time."""

import numpy as np
import pytest

from tfdecomp.simulation.balls import discs


def _scene(seed=0, frames=12, slots=3, size=(20, 26)):
    rng = np.random.default_rng(seed)
    radius = rng.uniform(1.5, 4.0, (frames, slots))
    radius[::3, -1] = 0.0  # absent
    centre = rng.uniform(-1, np.array(size) + 1, (frames, slots, 2))
    return centre, radius


def _signed(centre, radius, size):
    """Signed distances `[M, K, H, W]` in double precision."""
    rows = np.arange(size[0])[:, None] + 0.5
    columns = np.arange(size[1])[None, :] + 0.5
    y = rows - centre[..., 0, None, None]
    x = columns - centre[..., 1, None, None]
    signed = np.sqrt(y * y + x * x) - radius[..., None, None]
    return np.where(radius[..., None, None] > 0, signed, np.inf)


def test_owner_is_the_disc_a_pixel_lies_deepest_in():
    size = (20, 26)
    centre, radius = _scene(size=size)
    signed = _signed(centre, radius, size)
    expected = np.where(signed.min(1) < 0, signed.argmin(1) + 1, 0)
    drawing = discs.draw(centre, radius, size)
    np.testing.assert_array_equal(drawing.owner, expected)


def test_sizes_boxes_and_visible_pixels_are_counted_right():
    size = (20, 26)
    centre, radius = _scene(1, size=size)
    drawing = discs.draw(centre, radius, size)
    inside = _signed(centre, radius, size) < 0
    np.testing.assert_array_equal(drawing.own_pixels, inside.sum((2, 3)))
    for frame, slot in np.ndindex(radius.shape):
        seen = np.count_nonzero(drawing.owner[frame] == slot + 1)
        assert drawing.visible_pixels[frame, slot] == seen
        rows, columns = np.nonzero(inside[frame, slot])
        box = np.zeros(4)
        if len(rows):
            box = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
        np.testing.assert_array_equal(drawing.boxes[frame, slot], box)


def test_soft_edges_are_coverage_composed_back_to_front():
    size = (20, 26)
    centre, radius = _scene(2, size=size)
    rng = np.random.default_rng(0)
    colours = rng.integers(1, 256, (*radius.shape, 3), dtype=np.uint8)
    signed = _signed(centre, radius, size)
    picture = np.zeros((len(centre), *size, 3))
    owner = np.zeros((len(centre), *size), int)
    for slot in range(radius.shape[1]):
        alpha = np.clip(0.5 - signed[:, slot], 0, 1)[..., None]
        picture = (1 - alpha) * picture
        picture += alpha * colours[:, slot, None, None, :]
        owner = np.where(signed[:, slot] <= 0, slot + 1, owner)
    drawing = discs.draw(centre, radius, size, colours=colours)
    np.testing.assert_array_equal(drawing.owner, owner)
    # Rounded to whole values, from single precision.
    np.testing.assert_allclose(drawing.picture, picture, atol=0.51)
    for slot in range(radius.shape[1]):
        seen = (owner == slot + 1).sum((1, 2))
        np.testing.assert_array_equal(drawing.visible_pixels[:, slot], seen)


@pytest.mark.parametrize("soft", [False, True])
def test_drawing_does_not_depend_on_the_chunk(soft, monkeypatch):
    centre, radius = _scene(3)
    colours = np.full((*radius.shape, 1), 200, np.uint8) if soft else None
    whole = discs.draw(centre, radius, (20, 26), colours=colours)
    monkeypatch.setattr(discs, "CHUNK", 5)
    parts = discs.draw(centre, radius, (20, 26), colours=colours)
    np.testing.assert_array_equal(whole.owner, parts.owner)
    np.testing.assert_array_equal(whole.boxes, parts.boxes)
    if soft:
        np.testing.assert_array_equal(whole.picture, parts.picture)


def test_paint_gives_each_pixel_its_owners_colour():
    owner = np.array([[[0, 1], [2, 1]], [[2, 2], [0, 0]]], np.uint8)
    colours = np.array([[[10], [20]], [[30], [40]]], np.uint8)
    picture = discs.paint(owner, colours)[..., 0]
    np.testing.assert_array_equal(picture[0], [[0, 10], [20, 10]])
    np.testing.assert_array_equal(picture[1], [[40, 40], [0, 0]])
