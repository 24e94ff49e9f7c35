"""What every scene of sprites and its labels must satisfy."""

import collections
import colorsys

import numpy as np
import pytest

from tfdecomp.simulation.sprites import multi_dsprites

LOOKS = {
    "gray": multi_dsprites.Sprites(),
    "bin": multi_dsprites.Sprites(
        num_sprites=(2, 3), max_objects=3, channels=1, background="black"
    ),
    "colored": multi_dsprites.Sprites(
        num_sprites=(1, 2, 3, 4), max_objects=4, background="color"
    ),
    "small": multi_dsprites.Sprites(32, (2, 3, 4), max_objects=4),
}


def _make(look, start=0, stop=16, split="train", seed=0, stream="s", **rest):
    if isinstance(look, str):
        look = LOOKS[look]
    return multi_dsprites.generate(
        look, split, start, stop, seed=seed, stream=stream, **rest
    )


def _draw(shape, scale=1.0, orientation=0.0, position=(32, 32), size=64):
    """Mask `[size, size]` of one sprite."""
    scene = multi_dsprites.Scenes(
        np.array([[shape]]),
        np.array([[scale]]),
        np.array([[orientation]]),
        np.array([[position]], float),
    )
    look = multi_dsprites.Sprites(size, (1,), max_objects=1)
    return multi_dsprites.draw(scene, look)[0, 0]


@pytest.mark.parametrize("name", LOOKS)
def test_scenes_have_a_number_that_is_allowed_and_show_every_sprite(name):
    for example in _make(name):
        ids, count = example["segmentation"], example["num_objects"]
        assert count in LOOKS[name].num_sprites
        assert min((ids == k + 1).sum() for k in range(count)) >= 5


@pytest.mark.parametrize("name", LOOKS)
def test_sprites_are_what_their_factors_draw_and_later_ones_cover(name):
    size = LOOKS[name].size
    for example in _make(name):
        factors = example["factors"]
        ids = np.zeros((size, size), int)
        for slot in range(example["num_objects"]):
            mask = _draw(
                factors["shape"][slot],
                factors["scale"][slot],
                factors["orientation"][slot],
                factors["position"][0, slot],
                size,
            )
            # The factors are rounded to float32: a pixel on the very edge
            # may go either way.
            rows, columns = np.nonzero(mask)
            box = [rows.min(), columns.min(), rows.max(), columns.max()]
            box = np.array(box) + (0, 0, 1, 1)
            assert np.abs(example["boxes"][0, slot] - box).max() <= 1
            ids[mask] = slot + 1
            seen = (example["segmentation"] == slot + 1).sum()
            fraction = example["visible_fraction"][0, slot]
            assert abs(fraction - seen / mask.sum()) < 0.02
        assert (ids != example["segmentation"][0, ..., 0]).sum() <= 2


@pytest.mark.parametrize("name", LOOKS)
def test_every_pixel_has_the_colour_of_its_sprite_or_of_the_background(name):
    for example in _make(name):
        ids, video = example["segmentation"][..., 0], example["video"]
        if name == "bin":
            np.testing.assert_array_equal(video[..., 0], 255 * (ids > 0))
            assert "color" not in example["factors"]
            continue
        colours = np.rint(255 * example["factors"]["color"])
        for slot in range(example["num_objects"]):
            assert (video[ids == slot + 1] == colours[slot]).all()
        (background,) = np.unique(video[ids == 0], axis=0)
        assert name == "colored" or len(set(background)) == 1


def test_colours_are_bright_and_saturated_with_any_hue():
    colours = [e["factors"]["color"] for e in _make("gray", 0, 100)]
    colours = np.concatenate(colours)
    colours = colours[colours.any(1)]
    hsv = np.array([colorsys.rgb_to_hsv(*colour) for colour in colours])
    assert hsv[:, 1:].min() >= 0.49
    # About 350 sprites: a sixth of them in each sixth of the hues.
    counts, _ = np.histogram(hsv[:, 0], 6, (0, 1))
    assert counts.min() > len(hsv) / 12


def test_hsv_is_that_of_the_standard_library():
    hsv = np.random.default_rng(0).random((100, 3))
    expected = [colorsys.hsv_to_rgb(*row) for row in hsv]
    np.testing.assert_allclose(
        multi_dsprites.hsv_to_rgb(*hsv.T), expected, atol=1e-12
    )


# Areas at scale 1 from the formulas; that of the heart by its polar form.
def _heart_area():
    angle = (np.arange(4096) + 0.5) * 2 * np.pi / 4096
    u, v = np.cos(angle), np.sin(angle)
    # r^2 - 1 = r^(5/3) (u^2 v^3)^(1/3), the largest root by bisection.
    low, high = np.zeros(4096), np.full(4096, 3.0)
    for _ in range(60):
        r = (low + high) / 2
        outside = r**2 - 1 - r ** (5 / 3) * np.cbrt(u**2 * v**3) > 0
        low, high = np.where(outside, low, r), np.where(outside, r, high)
    width = 2 * np.max(np.abs(low * u))
    return np.sum(low**2 / 2) * 2 * np.pi / 4096 * (22 / width) ** 2


@pytest.mark.parametrize(
    "shape, area",
    [(1, 22 * 22), (2, np.pi * 15 * 7.5), (3, _heart_area())],
    ids=["square", "ellipse", "heart"],
)
@pytest.mark.parametrize("orientation", [0.0, 0.7, 2.5])
@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_sprites_have_the_area_of_their_formula(
    shape, area, orientation, scale
):
    # Many places inside a pixel: the mean count is the area.
    places = 32 + (np.array(list(np.ndindex(4, 4))) + 0.5) / 4
    counts = [_draw(shape, scale, orientation, p).sum() for p in places]
    assert abs(np.mean(counts) / (area * scale**2) - 1) < 0.02


def test_hearts_are_22_px_wide_symmetric_and_point_down():
    heart = _draw(3)
    columns = np.nonzero(heart.any(0))[0]
    assert columns[-1] - columns[0] + 1 == 22
    np.testing.assert_array_equal(heart, heart[:, ::-1])
    rows = np.nonzero(heart.any(1))[0]
    assert heart[rows[-1]].sum() <= 4 and heart[rows[0]].sum() >= 6
    assert not heart[rows[0], 31:33].any()  # the cleft is above


def test_orientation_turns_counter_clockwise():
    quarter = np.pi / 2
    np.testing.assert_array_equal(_draw(3, 1, quarter), np.rot90(_draw(3)))
    np.testing.assert_array_equal(_draw(2, 1, quarter), np.rot90(_draw(2)))
    lying = _draw(2)
    assert lying.any(0).sum() == 30 and lying.any(1).sum() == 14
    raised = _draw(2, 1, np.pi / 4)
    assert raised[24, 40] and not raised[40, 40]


def test_a_smaller_frame_shows_the_same_scene_smaller():
    large = _draw(3, 0.8, 0.4, (30, 36))
    small = _draw(3, 0.8, 0.4, (15, 18), size=32)
    share = large.reshape(32, 2, 32, 2).mean((1, 3))
    assert small[share == 1].all() and not small[share == 0].any()


def test_counts_shapes_scales_and_places_are_uniform():
    examples = _make("gray", 0, 400)
    counts = collections.Counter(e["num_objects"] for e in examples)
    # 100 each are expected, with a standard deviation of 9.
    assert set(counts) == {2, 3, 4, 5} and min(counts.values()) > 64
    flat = {
        name: np.concatenate([e["factors"][name] for e in examples])
        for name in ("shape", "scale", "orientation")
    }
    place = np.concatenate([e["factors"]["position"][0] for e in examples])
    exists = flat["shape"] > 0
    shapes = np.bincount(flat["shape"][exists], minlength=4)[1:]
    assert shapes.min() > 0.27 * shapes.sum()
    scale, place = flat["scale"][exists], place[exists]
    assert scale.min() >= 0.5 and scale.max() <= 1
    # Mostly seen sprites are kept, so that small ones are a little rarer.
    assert abs(scale.mean() - 0.75) < 0.02
    assert abs(flat["orientation"][exists].mean() - np.pi) < 0.2
    margin = 11 * scale[:, None]
    assert (place >= margin - 1e-4).all()
    assert (place <= 64 - margin + 1e-4).all()
    assert np.abs(place.mean(0) - 32).max() < 1.5


def test_scenes_that_hide_a_sprite_are_drawn_again(monkeypatch):
    strict = {"MIN_VISIBLE": 100, "MAX_REDRAWS": 1000}
    for name, value in strict.items():
        monkeypatch.setattr(multi_dsprites, name, value)
    for example in _make("gray", 0, 8):
        for slot in range(example["num_objects"]):
            assert (example["segmentation"] == slot + 1).sum() >= 100
    monkeypatch.setattr(multi_dsprites, "MIN_VISIBLE", 5000)
    monkeypatch.setattr(multi_dsprites, "MAX_REDRAWS", 3)
    with pytest.raises(ValueError, match="could not place"):
        _make("gray", 0, 8)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"background": "grey"}, "background is one of"),
        ({"channels": 1}, "background must be 'black'"),
        ({"num_sprites": ()}, "num_sprites lists counts"),
        ({"max_objects": 4}, "max_objects is 4, but scenes have up to 5"),
        ({"num_sprites": (6,), "max_objects": 6}, "at most 60% are allowed"),
    ],
)
def test_what_cannot_be_made_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        multi_dsprites.Sprites(**fields)
