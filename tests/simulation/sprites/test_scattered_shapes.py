"""What every video of scattered shapes must satisfy."""

import math

import numpy as np
import pytest

from tfdecomp.simulation import scattered
from tfdecomp.simulation.sprites import scattered_shapes

LOOK = scattered_shapes.ScatteredShapes()
STILL = scattered_shapes.ScatteredShapes(
    scattered.Scatter(num_frames=1, size=96, num_objects=(6, 6))
)
# Share of the rectangle that each shape covers.
STAR = 10 * 0.382 * math.sin(math.pi / 5) / 2
STAR /= 2 * math.sin(2 * math.pi / 5) * (1 + math.cos(math.pi / 5))
SHARES = {
    "circle": math.pi / 4,
    "diamond": 0.5,
    "star": STAR,
    "x": 2 * (1 - 0.86**2) - 0.28**2 / 2,
    "plus": 2 * 0.18 - 0.18**2,
}


def _make(start=0, stop=8, split="train", look=LOOK, **rest):
    rest = {"seed": 0, "stream": "s", **rest}
    return scattered_shapes.generate(look, split, start, stop, **rest)


@pytest.mark.parametrize("name", scattered_shapes.SHAPES)
@pytest.mark.parametrize("size", [(14, 14), (11, 19), (40, 40)])
def test_areas_are_those_of_the_outlines(name, size):
    alpha = scattered_shapes.coverage(name, *size)
    assert alpha.shape == size and alpha.dtype == np.uint8
    assert alpha.mean() / 255 == pytest.approx(SHARES[name], abs=0.012)


@pytest.mark.parametrize("name", scattered_shapes.SHAPES)
def test_shapes_fill_their_rectangle_and_have_its_symmetries(name):
    alpha = scattered_shapes.coverage(name, 15, 14)
    assert alpha.any(0).all() and alpha.any(1).all()
    # A sample that lies on an edge may fall to either side.
    np.testing.assert_allclose(alpha, alpha[:, ::-1].astype(int), atol=9)
    if name != "star":
        np.testing.assert_allclose(alpha, alpha[::-1].astype(int), atol=9)


def test_a_star_stands_on_two_points():
    alpha = scattered_shapes.coverage("star", 30, 30) > 127
    top, bottom = np.flatnonzero(alpha[4]), np.flatnonzero(alpha[-3])
    assert abs(top.mean() - 14.5) < 1 and np.ptp(top) < 4
    assert np.ptp(bottom) > 12 and not alpha[-3, 13:17].any()


def test_a_single_shape_is_drawn_in_its_colour_where_its_box_says():
    for example in _make(0, 8, "test_n01"):
        color = np.round(255 * example["factors"]["color"][0]).astype(int)
        name = scattered_shapes.SHAPES[example["factors"]["shape"][0] - 1]
        for t, box in enumerate(example["boxes"][:, 0].astype(int)):
            top, left, bottom, right = box
            alpha = scattered_shapes.coverage(name, bottom - top, right - left)
            expected = np.zeros((96, 96, 3), int)
            soft = alpha[..., None] * color / 255
            expected[top:bottom, left:right] = np.floor(soft)
            np.testing.assert_array_equal(example["video"][t], expected)
            ids = example["segmentation"][t, top:bottom, left:right, 0]
            np.testing.assert_array_equal(ids, alpha >= 128)


def test_all_kinds_come_equally_often():
    made = _make(0, 300, look=STILL)
    shape = np.concatenate([e["factors"]["shape"][:6] for e in made])
    color = np.concatenate([e["factors"]["color"][:6] for e in made])
    kinds, counts = np.unique(
        np.column_stack([shape, color]), axis=0, return_counts=True
    )
    assert len(kinds) == 30
    assert 30 < counts.min() <= counts.max() < 95  # 60 in the mean
    values = np.array(list(scattered_shapes.COLORS.values()))
    assert {*map(tuple, np.round(255 * kinds[:, 1:]).astype(int).tolist())} == {
        *map(tuple, values.tolist())
    }


def test_sides_are_rounded_up_normal_numbers():
    made = _make(0, 300, look=STILL)
    boxes = np.concatenate([e["boxes"][0, :6] for e in made])
    sides = boxes[:, 2:] - boxes[:, :2]
    # Normal(14, 1.4), half a pixel more after rounding up.
    assert sides.mean() == pytest.approx(14.5, abs=0.1)
    assert sides.std() == pytest.approx(math.hypot(1.4, 12**-0.5), abs=0.1)
    assert abs(np.corrcoef(sides.T)[0, 1]) < 0.1
    plain = scattered_shapes.ScatteredShapes(STILL.scatter, 12, 0.0)
    boxes = _make(0, 3, look=plain)[0]["boxes"][0, :6]
    assert (boxes[:, 2:] - boxes[:, :2] == 12).all()


def test_hidden_shapes_keep_their_boxes():
    hidden = 0
    for example in _make(0, 12, "test_n35"):
        unseen = example["visibility"] == 0
        hidden += unseen.sum()
        sides = example["boxes"][..., 2:] - example["boxes"][..., :2]
        assert (sides >= 7).all()
        assert example["boxes"].min() >= 0 and example["boxes"].max() <= 96
    assert hidden > 0


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"shape_size": 49}, "shape_size is 49"),
        ({"shape_size": 1}, "shape_size is 1"),
        ({"size_jitter": 0.5}, "size_jitter is a share"),
    ],
)
def test_what_cannot_be_made_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        scattered_shapes.ScatteredShapes(**fields)
