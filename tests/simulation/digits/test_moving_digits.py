"""What every video of two moving digits and its labels must satisfy."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.ndimage

from tests.data.building import battery
from tfdecomp.simulation.digits import digit_banks, digit_strokes, moving_digits

DIGITS = digit_banks.Offline("digits")
QUICK = moving_digits.MovingDigits(size=32, cell=14, pool_split="disjoint")
PUBLISHED = moving_digits.MovingDigits()
SPLITS = ("train", "validation", "test")


class _Few:
    """A bank of a few drawn digits; every object is another cache key."""

    def __init__(self, images, labels):
        self.bank = digit_banks.Bank("few", images, labels, 255, len(images))

    def __call__(self):
        return self.bank


# One frame is enough to see who shows what.
STILL = {"size": 32, "cell": 14, "num_frames": 1}
STROKES = _Few(*digit_strokes.draw(50))
LOOKS = pytest.mark.parametrize(
    "look, load",
    [(QUICK, DIGITS), (PUBLISHED, STROKES)],
    ids=["digits 32", "strokes 64"],
)


def _make(start=0, stop=8, split="train", look=QUICK, load=DIGITS, **rest):
    rest = {"seed": 0, "stream": "s", **rest}
    return moving_digits.generate(look, load, split, start, stop, **rest)


def _sources(examples):
    return [int(s) for e in examples for s in e["factors"]["source_index"]]


def _corners(example, look):
    """Corners `[T, 2, 2]` in whole pixels."""
    corner = example["factors"]["position"] - look.cell / 2
    assert (corner == np.round(corner)).all()
    return corner.astype(int)


def _picture(bank, source, side):
    """A digit scaled by SciPy, 0 to 255."""
    image = bank.images[source] / bank.white
    centres = (np.arange(side) + 0.5) * len(image) / side - 0.5
    grid = np.meshgrid(centres, centres, indexing="ij")
    values = scipy.ndimage.map_coordinates(image, grid, order=1, mode="nearest")
    return 255 * values


@LOOKS
def test_each_plane_shows_its_digit_of_the_bank_and_blue_is_empty(look, load):
    bank = load()
    for example in _make(look=look, load=load):
        video, factors = example["video"], example["factors"]
        assert video.dtype == np.uint8 and not video[..., 2].any()
        corners = _corners(example, look)
        for k in range(2):
            source = factors["source_index"][k]
            assert factors["label"][k] == bank.labels[source]
            expected = np.zeros(video.shape[:-1])
            picture = _picture(bank, source, look.cell)
            for t, (top, left) in enumerate(corners[:, k]):
                rows = slice(top, top + look.cell)
                columns = slice(left, left + look.cell)
                expected[t, rows, columns] = picture
            # Rounded to whole numbers.
            assert np.abs(video[..., k] - expected).max() <= 0.5 + 1e-6


@LOOKS
def test_a_plane_has_the_same_sum_in_every_frame(look, load):
    for example in _make(look=look, load=load):
        sums = example["video"].sum((1, 2), dtype=int)
        assert (sums == sums[0]).all() and (sums[0, :2] > 0).all()


@pytest.mark.parametrize("size, cell, most", [(64, 28, 4), (32, 14, 2)])
def test_corners_move_by_a_few_pixels_per_frame(size, cell, most):
    look = moving_digits.MovingDigits(size=size, cell=cell)
    for example in _make(0, 32, look=look):
        steps = np.abs(np.diff(_corners(example, look), axis=0))
        assert steps.max() <= most
        assert steps.max((0, 2)).min() > 0  # each digit moves


def _one_coordinate(place, speed, room, frames):
    """Pixels and velocities of one coordinate, told in plain Python."""
    pixels, speeds = [], []
    for _ in range(frames):
        place += speed
        if place <= 0:
            place, speed = 0.0, -speed
        elif place >= 1:
            place, speed = 1.0, -speed
        pixels.append(math.floor(round(room * place, 9)))
        speeds.append(room * speed)
    return pixels, speeds


@pytest.mark.parametrize("speed_range", [None, (0.05, 0.4)])
def test_motion_is_the_one_that_the_stream_says(speed_range):
    look = moving_digits.MovingDigits(num_frames=40, speed_range=speed_range)
    names = [b"moving_digits", b"s"]
    room = look.size - look.cell
    low, high = speed_range or (0.1, 0.1)
    for index, example in enumerate(_make(0, 6, "test", look)):
        key = [0, *map(_crc32, names), 2, index]
        philox = np.random.Philox(np.random.SeedSequence(key))
        rng = np.random.Generator(philox)
        for k in range(2):
            y, x, turn, share = (rng.random() for _ in range(4))
            speed = low + share * (high - low)
            parts = math.sin(2 * math.pi * turn), math.cos(2 * math.pi * turn)
            for axis, start in enumerate((y, x)):
                pixels, speeds = _one_coordinate(
                    start, speed * parts[axis], room, 40
                )
                corner = _corners(example, look)[:, k, axis]
                assert corner.tolist() == pixels
                np.testing.assert_allclose(
                    example["factors"]["velocity"][:, k, axis],
                    speeds,
                    rtol=1e-6,
                    atol=1e-6,
                )


def _crc32(data):
    """CRC-32 bit by bit."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0xEDB88320 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    "look, load", [(QUICK, DIGITS), (PUBLISHED, STROKES)], ids=["32", "64"]
)
def test_grey_is_the_larger_plane_of_the_same_scene(look, load):
    grey = dataclasses.replace(look, channels=1)
    for one, other in zip(
        _make(look=grey, load=load), _make(look=look, load=load)
    ):
        expected = np.maximum(other["video"][..., 0], other["video"][..., 1])
        np.testing.assert_array_equal(one["video"][..., 0], expected)
        assert one["video"].shape[-1] == 1 and expected.any()
        rest = {name: one[name] for name in one if name != "video"}
        rest["video"] = other["video"]
        assert battery.digest([rest]) == battery.digest([other])


def test_a_step_by_hand():
    position, velocity = moving_digits.bounce(
        np.array([[0.25, 0.75]]), np.array([[-0.5, 0.125]]), 4
    )
    np.testing.assert_array_equal(
        position[:, 0], [[0, 0.875], [0.5, 1], [1, 0.875], [0.5, 0.75]]
    )
    np.testing.assert_array_equal(
        velocity[:, 0],
        [[0.5, 0.125], [0.5, -0.125], [-0.5, -0.125], [-0.5, -0.125]],
    )


def test_speed_is_what_was_asked_and_directions_are_uniform():
    examples = _make(0, 500, look=moving_digits.MovingDigits(num_frames=1))
    velocity = np.concatenate([e["factors"]["velocity"][0] for e in examples])
    np.testing.assert_allclose(np.linalg.norm(velocity, axis=-1), 3.6, 1e-6)
    angle = np.arctan2(*velocity.T)
    counts, _ = np.histogram(angle, 8, (-np.pi, np.pi))
    # 125 each are expected, with a standard deviation of 10.5.
    assert 80 < counts.min() <= counts.max() < 170


def test_speeds_of_a_range_fill_it():
    look = moving_digits.MovingDigits(num_frames=1, speed_range=(0.05, 0.2))
    velocity = [e["factors"]["velocity"][0] for e in _make(0, 200, look=look)]
    speeds = np.linalg.norm(np.concatenate(velocity), axis=-1) / 36
    assert 0.05 <= speeds.min() < 0.055 and 0.195 < speeds.max() <= 0.2


@LOOKS
def test_corners_reach_the_edges_of_the_frame(look, load):
    examples = _make(0, 60, look=look, load=load)
    corners = np.stack([_corners(e, look) for e in examples])
    assert corners.min() == 0 and corners.max() == look.size - look.cell


@LOOKS
def test_labels_are_those_of_the_planes(look, load):
    for example in _make(look=look, load=load):
        video, ids = example["video"], example["segmentation"][..., 0]
        for t, frame in enumerate(video):
            red, green = frame[..., 0] > 0, frame[..., 1] > 0
            expected = np.zeros(red.shape, int)
            expected[red & ~green] = 1
            expected[green & ~red] = 2
            expected[red & green] = 255
            np.testing.assert_array_equal(ids[t], expected)
            for k, lit in enumerate((red, green)):
                rows, columns = np.nonzero(lit)
                assert example["boxes"][t, k].tolist() == [
                    rows.min(),
                    columns.min(),
                    rows.max() + 1,
                    columns.max() + 1,
                ]
                own = np.count_nonzero(ids[t] == k + 1)
                assert example["visibility"][t, k] == (own > 0)
                assert example["visible_fraction"][t, k] == np.float32(
                    own / lit.sum()
                )
        assert example["num_objects"] == 2


def test_a_digit_that_shares_all_its_pixels_counts_as_not_visible():
    images = np.zeros((2, 28, 28), np.uint8)
    images[0] = 255
    images[1, 14, 14] = 255
    load = _Few(images, np.arange(2))
    look = moving_digits.MovingDigits(size=29)  # only a pixel to move
    (example,) = _make(0, 1, look=look, load=load)
    dot = int(np.argmax(example["factors"]["source_index"] == 1))
    assert not example["visibility"][:, dot].any()
    assert not example["visible_fraction"][:, dot].any()
    assert example["visibility"][:, 1 - dot].all()
    assert example["boxes"][:, dot].any()


@pytest.mark.parametrize("pool_split", ["disjoint", "shared"])
def test_no_digit_comes_again_before_all_others_came(pool_split):
    look = moving_digits.MovingDigits(pool_split=pool_split, **STILL)
    pool = set(_sources(_make(0, 1000, look=look)))
    seen = _sources(_make(0, len(pool), look=look))
    first, second = seen[: len(pool)], seen[len(pool) :]
    assert set(first) == set(second) == pool
    assert first != second != sorted(pool)


def test_disjoint_splits_never_show_the_same_digit():
    look = moving_digits.MovingDigits(pool_split="disjoint", **STILL)
    shown = [set(_sources(_make(0, 1000, s, look))) for s in SPLITS]
    assert len(set.union(*shown)) == sum(map(len, shown)) == 1797
    for split, share in zip(shown, (0.8, 0.1, 0.1)):
        assert abs(len(split) - share * 1797) <= 10


def test_disjoint_splits_move_as_shared_ones_do():
    shared = moving_digits.MovingDigits(size=32, cell=14)
    for split in SPLITS:
        for one, other in zip(_make(split=split), _make(0, 8, split, shared)):
            for name in ("position", "velocity"):
                np.testing.assert_array_equal(
                    one["factors"][name], other["factors"][name]
                )


def test_blank_digits_are_left_out():
    images = np.zeros((4, 28, 28), np.uint8)
    images[1:3, 3:9, 3:9] = 255
    load = _Few(images, np.arange(4))
    assert set(_sources(_make(look=PUBLISHED, load=load))) == {1, 2}
    with pytest.raises(ValueError, match="no digit that is not blank"):
        _make(look=PUBLISHED, load=_Few(images[:1], np.arange(1)))


def test_blocks_across_the_end_of_the_pool_are_the_same():
    load = _Few(*digit_strokes.draw(7))
    whole = _make(0, 9, look=PUBLISHED, load=load)
    single = [_make(n, n + 1, look=PUBLISHED, load=load)[0] for n in range(9)]
    assert battery.digest(whole) == battery.digest(single)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"cell": 64}, "cell is 64"),
        ({"cell": 0}, "cell is 0"),
        ({"speed": 1.5}, "speed is 1.5"),
        ({"speed": -0.1}, "speed is -0.1"),
        ({"speed": float("nan")}, "speed is nan"),
        ({"speed_range": (0.2, 0.1)}, "speed_range is .* lower one first"),
        ({"speed_range": (0.2, 1.1)}, "speed_range is"),
        ({"speed_range": (0.2,)}, "speed_range is .low, high"),
        ({"pool_split": "all"}, "pool_split is one of"),
        ({"pool_size": -3}, "pool_size must be at least 0"),
        ({"channels": 2}, "channels must be 3, .* or 1 for grey, not 2"),
    ],
)
def test_what_cannot_be_made_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        moving_digits.MovingDigits(**fields)


def test_unknown_splits_and_pools_without_a_digit_are_refused():
    with pytest.raises(ValueError, match="unknown split 'crowd'"):
        _make(split="crowd")
    look = moving_digits.MovingDigits(pool_size=10, pool_split="disjoint")
    with pytest.raises(ValueError, match="the pool of 'train'"):
        _make(look=look)
