"""Clips of episodes: where they are cut, and what is in them."""

import functools

import numpy as np
import pytest

from tfdecomp import builders
from tfdecomp.data.building import episode_clips
from tfdecomp.simulation.sprites import sprite_game

WINDOWS = episode_clips.ClipRule()
WHOLE = episode_clips.ClipRule(window=0)
SIZE = (90, 100)


def _episode(frames=20, slots=3):
    """Every pixel tells its frame, row and column."""
    grid = np.indices((frames, *SIZE)).astype(np.uint8)
    segmentation = np.zeros((frames, *SIZE, 1), np.uint8)
    segmentation[:, 70:80, 30:50] = 1
    segmentation[:, 5:9, 95:99] = 3
    boxes = np.zeros((frames, slots, 4), np.float32)
    boxes[:, 0], boxes[:, 2] = (70, 30, 80, 50), (5, 95, 9, 99)
    position = (boxes[..., :2] + boxes[..., 2:]) / 2
    return {
        "video": np.moveaxis(grid, 0, -1),
        "segmentation": segmentation,
        "boxes": boxes,
        "visibility": (boxes[..., 2] > 0).astype(np.uint8),
        "actions": np.arange(frames, dtype=np.int32),
        "num_objects": 3,
        "factors": {
            "position": position,
            "velocity": np.ones((frames, slots, 2), np.float32),
            "kind": np.array([1, 2, 3], np.int32),
        },
    }


def test_half_of_the_first_frames_and_eight_windows_of_each():
    # 64 frames have 57 first frames of clips of eight.
    assert WINDOWS.count(64) == 28 * 8
    cuts = WINDOWS.cuts(np.random.default_rng(0), 64, (210, 160))
    assert cuts.shape == (28 * 8, 3)
    firsts = cuts[::8, 0]
    assert (cuts[:, 0].reshape(28, 8) == firsts[:, None]).all()
    assert (np.diff(firsts) > 0).all()  # no one twice
    assert firsts.min() >= 0 and firsts.max() <= 56
    assert cuts[:, 1].min() >= 0 and 120 < cuts[:, 1].max() <= 138
    assert cuts[:, 2].min() >= 0 and 75 < cuts[:, 2].max() <= 88
    assert len(np.unique(cuts, axis=0)) > 200


def test_whole_frames_follow_one_another():
    assert WHOLE.count(67) == 8
    cuts = WHOLE.cuts(np.random.default_rng(0), 67, (210, 160))
    assert cuts.tolist() == [[8 * n, 0, 0] for n in range(8)]


def test_episodes_that_are_too_short_have_no_clip():
    for rule in (WINDOWS, WHOLE):
        assert rule.count(7) == 0
        assert rule.count(8) == (8 if rule is WINDOWS else 1)
        assert len(rule.cuts(np.random.default_rng(0), 7, (90, 90))) == 0


def test_a_clip_is_the_part_that_was_asked_for():
    clip = WINDOWS.cut(_episode(), (5, 10, 25))
    assert clip["video"].shape == (8, 72, 72, 3)
    assert clip["video"][0, 0, 0].tolist() == [5, 10, 25]
    assert clip["video"][-1, -1, -1].tolist() == [12, 81, 96]
    assert clip["frame_index"].tolist() == list(range(5, 13))
    assert clip["actions"].tolist() == list(range(5, 13))
    assert clip["boxes"][0].tolist() == [
        [60, 5, 70, 25],
        [0, 0, 0, 0],
        [0, 0, 0, 0],  # above the window
    ]
    assert clip["visibility"][0].tolist() == [1, 0, 0]
    factors = clip["factors"]
    assert factors["position"][0].tolist()[:2] == [[65, 15], [0, 0]]
    assert factors["velocity"].shape == (8, 3, 2)
    assert factors["kind"].tolist() == [1, 2, 3]
    assert set(np.unique(clip["segmentation"])) == {0, 1}


def test_boxes_end_at_the_window():
    rule = episode_clips.ClipRule(window=40)
    clip = rule.cut(_episode(), (0, 0, 57))
    assert clip["boxes"][0, 2].tolist() == [5, 38, 9, 40]
    assert clip["visibility"][0].tolist() == [0, 0, 1]
    # The box reaches into the window by less than a pixel has room for.
    clip = rule.cut(_episode(), (0, 0, 55))
    assert not clip["boxes"][0, 2].any()


def test_a_box_without_a_pixel_in_the_window_is_not_visible():
    episode = _episode()
    episode["segmentation"][:, 70:80, 30:40] = 0
    rule = episode_clips.ClipRule(window=38)
    clip = rule.cut(episode, (0, 50, 0))
    assert clip["boxes"][0, 0].tolist() == [20, 30, 30, 38]
    assert not clip["visibility"].any()


def test_episodes_with_boxes_alone_are_cut_by_these():
    episode = _episode()
    del episode["segmentation"], episode["factors"]
    clip = WINDOWS.cut(episode, (0, 0, 28))
    assert clip["visibility"][0].tolist() == [1, 0, 1]
    assert clip["boxes"][0, 0].tolist() == [70, 2, 72, 22]


def test_whole_frames_keep_everything():
    episode = _episode()
    clip = WHOLE.cut(episode, (8, 0, 0))
    for name in ("video", "segmentation", "boxes", "visibility"):
        np.testing.assert_array_equal(clip[name], episode[name][8:16])


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"num_frames": 0}, "num_frames is 0"),
        ({"window": -1}, "window is -1"),
        ({"num_windows": 0}, "num_windows is 0"),
        ({"density": 1.5}, "density 1.5"),
    ],
)
def test_rules_that_make_no_sense_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        episode_clips.ClipRule(**fields)
    with pytest.raises(ValueError, match="windows of 72 px do not fit"):
        WINDOWS.cuts(np.random.default_rng(0), 20, (71, 90))


def _generate(rule, start, stop, **rest):
    look = sprite_game.SpriteGame(num_frames=12)
    rest = {"split": "train", "seed": 0, "stream": "game", **rest}
    return episode_clips.generate(
        rule,
        functools.partial(sprite_game.generate, look),
        12,
        sprite_game.SIZE,
        sprite_game.DATASET,
        start=start,
        stop=stop,
        **rest,
    )


def test_windows_are_parts_of_the_episodes_that_tests_show_whole():
    (clip,) = _generate(WINDOWS, 3, 4)
    (whole,) = _generate(WHOLE, 0, 1)
    first = clip["frame_index"][0]
    frames = sprite_game.generate(
        sprite_game.SpriteGame(num_frames=12),
        "train",
        0,
        1,
        seed=0,
        stream="game",
    )[0]["video"]
    np.testing.assert_array_equal(whole["video"], frames[:8])
    windows = np.lib.stride_tricks.sliding_window_view(
        frames[first], (72, 72), axis=(0, 1)
    )
    found = (windows == np.moveaxis(clip["video"][0], -1, 0)).all((2, 3, 4))
    assert found.any()


def test_published_sizes_of_the_game():
    configs = builders.builder_cls("sprite_game").builder_configs
    crops, full = configs["crops"], configs["full"]
    assert (crops.height, crops.width, crops.window) == (72, 72, 72)
    assert (full.height, full.width, full.window) == (210, 160, 0)
    assert crops.rule() == WINDOWS and full.rule() == WHOLE
    assert crops.episode_frames == full.episode_frames == 64
    assert crops.stream == full.stream
    assert set(full.split_sizes()) == {"validation", "test"}
