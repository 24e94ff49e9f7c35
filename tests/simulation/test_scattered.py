"""Where scattered sprites start, how they move and how they are drawn."""

import numpy as np
import pytest

from tfdecomp.simulation import scattered

RED = np.array([200, 0, 0], np.uint8)
BLUE = np.array([0, 0, 101], np.uint8)


def _step(place, speed, room):
    """One coordinate after a frame, from wall to wall in plain Python."""
    left = 1.0
    while True:
        ahead = room - place if speed > 0 else place
        needed = ahead / abs(speed) if speed else np.inf
        if needed >= left:
            return place + speed * left, speed
        place = room if speed > 0 else 0.0
        left, speed = left - needed, -speed


@pytest.mark.parametrize("speed", [0.0, 0.7, 5.0, 31.0])
def test_motion_is_that_of_exact_reflections(speed):
    rng = np.random.default_rng(int(speed))
    room = rng.integers(1, 40, (30, 2))
    corner = np.floor(rng.random((30, 2)) * (room + 1))
    turn = rng.standard_normal((30, 2))
    velocity = speed * turn / np.linalg.norm(turn, axis=1, keepdims=True)
    positions, velocities = scattered.bounce(corner, velocity, room, 8)
    for n, axis in np.ndindex(30, 2):
        place, going = corner[n, axis], velocity[n, axis]
        for t in range(8):
            assert positions[t, n, axis] == pytest.approx(place, abs=1e-9)
            assert velocities[t, n, axis] == pytest.approx(going, abs=1e-9)
            place, going = _step(place, going, room[n, axis])


def test_what_fills_the_frame_stays():
    positions, _ = scattered.bounce(
        np.zeros((1, 2)), np.ones((1, 2)), np.zeros((1, 2), int), 5
    )
    assert not scattered.whole(positions).any()


@pytest.mark.parametrize("most", [0.0, 98.0])
def test_summed_overlaps_in_the_first_frame_are_bounded(most):
    rng = np.random.default_rng(0)
    largest = 0
    for _ in range(40):
        sizes = rng.integers(9, 15, (6, 2))
        corners = scattered.place(rng, sizes, 48, most)
        for k, ((top, left), (height, width)) in enumerate(zip(corners, sizes)):
            assert 0 <= top <= 48 - height and 0 <= left <= 48 - width
            covered = np.zeros((48, 48), int)
            for (up, west), (rows, columns) in zip(corners[:k], sizes):
                covered[up : up + rows, west : west + columns] += 1
            overlap = covered[top : top + height, left : left + width].sum()
            assert overlap <= most
            largest = max(largest, overlap)
    assert most == 0 or largest > most / 2


def test_places_are_uniform_up_to_both_edges():
    rng = np.random.default_rng(1)
    sizes = np.array([[4, 2]])
    corners = np.concatenate(
        [scattered.place(rng, sizes, 6, 0) for _ in range(600)]
    )
    assert np.bincount(corners[:, 0]).tolist() == pytest.approx(
        [200] * 3, abs=50
    )
    assert np.bincount(corners[:, 1]).tolist() == pytest.approx(
        [120] * 5, abs=45
    )


def test_twelve_whole_cells_fit_into_the_small_frame():
    rng = np.random.default_rng(2)
    for _ in range(5):
        corners = scattered.place(rng, np.full((12, 2), 14), 48, 98)
        assert corners.min() >= 0 and corners.max() <= 48 - 14
        common = np.maximum(14 - abs(corners[:, None] - corners), 0).prod(-1)
        assert np.tril(common, -1).sum(1).max() <= 98


def test_what_cannot_be_placed_is_refused(monkeypatch):
    monkeypatch.setattr(scattered, "MAX_RESTARTS", 2)
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="could not place 5 sprites of about"):
        scattered.place(rng, np.full((5, 2), 10), 20, 0)
    with pytest.raises(ValueError, match="up to 21 px do not fit .* 20 px"):
        scattered.place(rng, np.array([[21, 3]]), 20, 0)


def _draw(rng, count):
    """Sprites with soft edges that say nothing of the generator's state."""
    sprites = []
    for _ in range(count):
        size = rng.integers(3, 9, 2)
        alpha = rng.integers(0, 256, size).astype(np.uint8)
        alpha[0] = 0  # the box is smaller than what moves
        alpha[1:, 0] = 255
        color = rng.integers(0, 256, 3).astype(np.uint8)
        sprites.append(scattered.Sprite(alpha, color, 90))
    _draw.made.append(sprites)
    return sprites, {"size": np.array([s.size for s in sprites], np.int32)}


_draw.made = []
WHOLE = scattered.Scatter(size=24, num_objects=(0, 5), max_objects=6, speed=3)
WINDOWS = scattered.Scatter(
    size=24,
    num_objects=(0, 5),
    max_objects=6,
    speed=3,
    window=15,
    num_windows=3,
)


def _make(start=0, stop=12, split="train", look=WHOLE, **rest):
    rest = {"seed": 0, "stream": "s", "fresh": False, **rest}
    _draw.made.clear()
    return scattered.generate(look, _draw, "none", split, start, stop, **rest)


def _corners(example, sprites):
    """Float corners `[T, n, 2]` from the places of the middles."""
    middle = np.array([s.size for s in sprites]).reshape(-1, 2) / 2
    return example["factors"]["position"][:, : len(sprites)] - middle


def test_pictures_and_labels_are_those_of_a_naive_painter():
    for example, sprites in zip(_make(), _draw.made.copy()):
        assert example["num_objects"] == len(sprites)
        corners = _corners(example, sprites)
        for t in range(8):
            frame = np.zeros((24, 24, 3))
            owner, alone = np.zeros((24, 24), int), []
            for k, sprite in enumerate(sprites):
                # Single precision may end just below a whole number.
                top, left = np.floor(corners[t, k] + 1e-4).astype(int)
                solid, lit = set(), []
                for (r, c), alpha in np.ndenumerate(sprite.alpha):
                    share, at = alpha / 255, (top + r, left + c)
                    mixed = share * sprite.color + (1 - share) * frame[at]
                    frame[at] = np.floor(mixed + 1e-9)
                    if alpha > 0:
                        lit.append(at)
                    if alpha >= 90:
                        owner[at] = k + 1
                        solid.add(at)
                alone.append(solid)
                low, high = np.min(lit, 0), np.max(lit, 0) + 1
                assert example["boxes"][t, k].tolist() == [*low, *high]
            np.testing.assert_array_equal(example["video"][t], frame)
            np.testing.assert_array_equal(
                example["segmentation"][t, ..., 0], owner
            )
            for k, solid in enumerate(alone):
                seen = np.count_nonzero(owner == k + 1)
                assert example["visibility"][t, k] == (seen > 0)
                share = np.float32(seen / len(solid))
                assert example["visible_fraction"][t, k] == share


def test_velocities_have_the_speed_and_lead_from_place_to_place():
    for example in _make():
        count = example["num_objects"]
        position = example["factors"]["position"][:, :count]
        velocity = example["factors"]["velocity"][:, :count]
        np.testing.assert_allclose(np.linalg.norm(velocity, axis=-1), 3, 1e-6)
        free = np.sign(velocity[1:]) == np.sign(velocity[:-1])
        steps = np.diff(position, axis=0)
        np.testing.assert_allclose(steps[free], velocity[:-1][free], atol=1e-5)


def test_windows_show_parts_of_the_whole_scene():
    scenes = _make(0, 4)
    seen = set()
    for index, window in enumerate(_make(0, 12, look=WINDOWS)):
        whole = scenes[index // 3]
        shift = (whole["factors"]["position"] - window["factors"]["position"])[
            0, 0
        ]
        if not whole["num_objects"]:
            continue
        top, left = shift.astype(int)
        seen.add((index // 3, top, left))
        cut = np.s_[:, top : top + 15, left : left + 15]
        for name in ("video", "segmentation"):
            np.testing.assert_array_equal(window[name], whole[name][cut])
        moved = whole["boxes"] - np.tile(shift, 2)
        inside = moved.clip(0, 15)
        sides = inside[..., 2:] - inside[..., :2]
        inside[(sides <= 0).any(-1)] = 0
        inside[:, whole["num_objects"] :] = 0
        np.testing.assert_array_equal(window["boxes"], inside)
        assert window["num_objects"] == whole["num_objects"]
        ids = window["segmentation"]
        for k in range(6):
            visible = (ids == k + 1).any((1, 2, 3))
            np.testing.assert_array_equal(window["visibility"][:, k], visible)
    assert len(seen) > 6


def test_shares_in_a_window_are_of_what_the_window_holds():
    alone = scattered.Scatter(
        size=24, num_objects=(1, 1), max_objects=1, window=12, num_windows=4
    )
    shares = np.stack([e["visible_fraction"] for e in _make(0, 80, look=alone)])
    assert set(np.unique(shares)) == {0, 1}


def test_counts_are_uniform_or_those_of_the_split():
    counts = [e["num_objects"] for e in _make(0, 600)]
    assert np.bincount(counts).tolist() == pytest.approx([100] * 6, abs=40)
    for split, count in (("test_n04", 4), ("validation_n00", 0)):
        made = _make(0, 5, split)
        assert [e["num_objects"] for e in made] == [count] * 5
    with pytest.raises(ValueError, match="unknown split 'test_n4'"):
        _make(split="test_n4")


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"num_objects": (3, 2)}, "num_objects is"),
        ({"num_objects": (-1, 2)}, "num_objects is"),
        ({"num_objects": (1, 13)}, "max_objects is 12, .* up to 13"),
        ({"speed": 48}, "speed is 48"),
        ({"speed": float("nan")}, "speed is nan"),
        ({"max_overlap": -1}, "max_overlap must be at least 0"),
        ({"window": 49}, "window is 49"),
        ({"num_windows": 0}, "num_windows 0"),
    ],
)
def test_what_cannot_be_made_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        scattered.Scatter(**fields)


@pytest.mark.parametrize(
    "name, message",
    [("crowd", "extra_splits has 'crowd'"), ("test_n13", "up to 13")],
)
def test_extra_splits_have_names_that_say_how_many(name, message):
    with pytest.raises(ValueError, match=message):
        scattered.Scatter().check_splits(["test_n03", name])
