"""What every generated video and its labels must satisfy."""

import numpy as np
import pytest

from tfdecomp.simulation import palettes, streams
from tfdecomp.simulation.balls import ball_physics, bouncing_balls

FOUR = ball_physics.BallWorld()
MANY = ball_physics.BallWorld(num_balls=(6, 7, 8))
LARGE = ball_physics.BallWorld((2, 3), radius_light=1.25, radius_heavy=1.55)
LOOKS = {
    "binary4": bouncing_balls.BallVideo(FOUR, 20, channels=1),
    "color4": bouncing_balls.BallVideo(FOUR, 20),
    "color678_pal4": bouncing_balls.BallVideo(
        MANY, 20, max_objects=8, num_colours=4
    ),
    "random": bouncing_balls.BallVideo(
        LARGE, 12, size=24, max_objects=3, assign="random"
    ),
    "rank": bouncing_balls.BallVideo(FOUR, 20, assign="rank"),
    "bgr": bouncing_balls.BallVideo(FOUR, 20, channel_order="bgr"),
    "soft": bouncing_balls.BallVideo(FOUR, 20, antialias=True),
}


def _make(look, start=0, stop=6, split="train", seed=0, stream="s", **rest):
    if isinstance(look, str):
        look = LOOKS[look]
    return bouncing_balls.generate(
        look, split, start, stop, seed=seed, stream=stream, **rest
    )


@pytest.mark.parametrize("name", ["color4", "color678_pal4", "random", "bgr"])
def test_every_pixel_of_a_ball_has_its_palette_colour(name):
    look = LOOKS[name]
    for example in _make(name):
        entries = np.append(0, example["factors"]["palette_index"])
        expected = palettes.lookup(
            entries[example["segmentation"][..., 0]], look.channel_order
        )
        np.testing.assert_array_equal(example["video"], expected)


def test_bgr_is_rgb_backwards():
    for rgb, bgr in zip(_make("color4"), _make("bgr")):
        np.testing.assert_array_equal(rgb["video"], bgr["video"][..., ::-1])


def test_rank_gives_the_same_colours_while_all_balls_are_seen():
    for ball, rank in zip(_make("color4"), _make("rank")):
        assert ball["visibility"].all()
        np.testing.assert_array_equal(ball["video"], rank["video"])


def test_colours_are_the_first_of_the_palette_or_drawn_per_video():
    for example in _make("color4"):
        factor = example["factors"]["palette_index"]
        np.testing.assert_array_equal(factor, [1, 2, 3, 4])
    drawn = [e["factors"]["palette_index"] for e in _make("random", stop=40)]
    drawn = [tuple(entries[entries > 0]) for entries in drawn]
    assert all(len(set(entries)) == len(entries) for entries in drawn)
    assert set(np.concatenate(drawn)) == set(range(1, 9))


def test_white_and_coloured_sets_show_the_same_scenes():
    for white, colour in zip(_make("binary4"), _make("color4")):
        np.testing.assert_array_equal(
            white["segmentation"], colour["segmentation"]
        )
        np.testing.assert_array_equal(
            white["video"], 255 * (white["segmentation"] > 0)
        )


def test_labels_of_a_lone_ball_are_exact():
    world = ball_physics.BallWorld((1,))
    look = bouncing_balls.BallVideo(world, 10, max_objects=1)
    for example in _make(look):
        assert (example["visible_fraction"] == 1).all()
        rows, columns = np.indices((64, 64)) + 0.5
        for frame in range(10):
            mask = example["segmentation"][frame, ..., 0] == 1
            middle = np.array([rows[mask].mean(), columns[mask].mean()])
            position = example["factors"]["position"][frame, 0]
            np.testing.assert_allclose(middle, position, atol=0.2)
            area = np.pi * example["factors"]["radius"][0] ** 2
            np.testing.assert_allclose(mask.sum(), area, rtol=0.06)


def test_extra_splits_come_after_the_usual_ones():
    assert streams.split_id("test7", extra=("test7",)) == 3
    with pytest.raises(ValueError, match="unknown split 'tset'"):
        streams.split_id("tset")


def test_legacy_profile_draws_smaller_discs():
    legacy = bouncing_balls.BallVideo(FOUR, 5, profile="legacy")
    for old, new in zip(_make(legacy), _make(LOOKS["color4"])):
        assert (old["video"] > 0).sum() < (new["video"][:5] > 0).sum()


@pytest.mark.parametrize(
    "fields",
    [
        {"assign": "any"},
        {"profile": "cube"},
        {"channels": 2},
        {"num_colours": 9},
        {"max_objects": 3},
    ],
)
def test_wrong_looks_are_refused(fields):
    (name,) = fields
    with pytest.raises(ValueError, match=name):
        bouncing_balls.BallVideo(FOUR, **fields)
