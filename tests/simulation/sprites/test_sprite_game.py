"""Episodes of the game keep what is promised."""

import numpy as np
import pytest

from tfdecomp.simulation.sprites import sprite_game

LOOK = sprite_game.SpriteGame()
SPRITE, SHOOTER, SHOT = 1, 2, 3


def _make(look=LOOK, start=0, stop=3, **rest):
    rest = {"split": "train", "seed": 0, "stream": "s", **rest}
    return sprite_game.generate(look, start=start, stop=stop, **rest)


@pytest.fixture(name="episodes", scope="module")
def _fixture_episodes():
    return _make(stop=5)


def test_drawings_fill_their_rectangles():
    for name, bitmap in sprite_game.BITMAPS.items():
        lit = bitmap > 0
        for edge in (lit[0], lit[-1], lit[:, 0], lit[:, -1]):
            assert edge.any(), name
    for name in ("crab", "squid", "octopus"):
        assert sprite_game.BITMAPS[name].shape == (8, 10)
        assert set(np.unique(sprite_game.BITMAPS[name])) == {0, 1, 2}


def test_what_is_not_black_belongs_to_an_object(episodes):
    for episode in episodes:
        lit = episode["video"].any(-1, keepdims=True)
        np.testing.assert_array_equal(lit, episode["segmentation"] > 0)
        assert episode["video"].shape == (64, 210, 160, 3)


def test_boxes_are_tight_and_nothing_is_covered(episodes):
    for episode in episodes[:2]:
        ids = episode["segmentation"][..., 0]
        kind = episode["factors"]["kind"]
        sizes = {SPRITE: (8, 10), SHOOTER: (8, 14), SHOT: (6, 2)}
        for t in range(0, 64, 9):
            for k in range(LOOK.max_objects):
                rows, columns = np.nonzero(ids[t] == k + 1)
                box = episode["boxes"][t, k]
                seen = episode["visibility"][t, k]
                assert seen == (len(rows) > 0)
                if not seen:
                    assert not box.any()
                    continue
                assert box.tolist() == [
                    rows.min(),
                    columns.min(),
                    rows.max() + 1,
                    columns.max() + 1,
                ]
                side = box[2:] - box[:2]
                assert tuple(side) == sizes[kind[k]]
                np.testing.assert_array_equal(
                    episode["factors"]["position"][t, k],
                    (box[:2] + box[2:]) / 2,
                )


def test_the_block_marches_as_one_and_stays_between_the_sides(episodes):
    turns = 0
    for episode in episodes:
        sprites = episode["factors"]["kind"] == SPRITE
        velocity = episode["factors"]["velocity"][:, sprites]
        seen = episode["visibility"][:, sprites] > 0
        moved = velocity.any(-1)
        for t in range(63):
            ways = np.unique(velocity[t, moved[t]], axis=0)
            assert len(ways) <= 1  # all that are left do the same
            if len(ways):
                down, across = ways[0]
                assert (down, abs(across)) in [(8, 0), (0, 1), (0, 2), (0, 3)]
                turns += down > 0
        boxes = episode["boxes"][:, sprites][seen]
        assert boxes[:, 1].min() >= 4 and boxes[:, 3].max() <= 156
        assert boxes[:, 2].max() <= 190 - 12
    assert turns > 5


def test_shots_rise_and_a_hit_takes_both_away(episodes):
    hits = 0
    for episode in episodes:
        kind, seen = episode["factors"]["kind"], episode["visibility"] > 0
        shots = np.flatnonzero(kind == SHOT)
        assert seen[:, shots].sum(1).max() <= 4
        assert len(shots) <= 9
        for shot in shots:
            life = np.flatnonzero(seen[:, shot])
            if not len(life):
                continue  # it hit at once
            assert (np.diff(life) == 1).all()  # no one comes back
            tops = episode["boxes"][life, shot, 0]
            assert (np.diff(tops) == -6).all()
            gone = life[-1] + 1
            if gone < 64 and tops[-1] >= 6:
                sprites = kind == SPRITE
                lost = seen[gone - 1, sprites] & ~seen[gone, sprites]
                assert lost.any()
                hits += 1
        # Sprites do not come back, and do not go without a shot.
        left = seen[:, kind == SPRITE].sum(1)
        assert (np.diff(left) <= 0).all()
    assert hits > 5


def test_the_shooter_is_always_there_and_stays_in_its_row(episodes):
    for episode in episodes:
        (shooter,) = np.flatnonzero(episode["factors"]["kind"] == SHOOTER)
        boxes = episode["boxes"][:, shooter]
        assert episode["visibility"][:, shooter].all()
        assert (boxes[:, 0] == 190).all()
        assert boxes[:, 1].min() >= 4 and boxes[:, 3].max() <= 156
        assert np.abs(np.diff(boxes[:, 1])).max() <= 2


def test_velocities_lead_to_the_next_place(episodes):
    for episode in episodes:
        position = episode["factors"]["position"]
        velocity = episode["factors"]["velocity"]
        seen = episode["visibility"] > 0
        both = seen[1:] & seen[:-1]
        np.testing.assert_array_equal(
            (position[1:] - position[:-1])[both], velocity[:-1][both]
        )


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"shot_step": 5}, "shot_step is 5"),
        ({"step": (3, 1)}, "step is"),
        ({"num_frames": 0}, "num_frames is 0"),
        ({"in_flight": 0}, "in_flight is 0"),
        ({"max_shots": -1}, "max_shots is -1"),
    ],
)
def test_what_cannot_be_made_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        sprite_game.SpriteGame(**fields)
