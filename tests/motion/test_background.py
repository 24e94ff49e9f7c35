"""The ground is found behind what moves, rests, glitters and darkens."""

import dataclasses
import time

import numpy as np
import pytest

from tfdecomp.motion import background
from tfdecomp.motion.light import light_steps

SIZE = (60, 80)
RADIUS = 5


def ground(channels=1):
    """`[H, W, C]` uneven ground, 120 to 180."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] / SIZE[0]
    plain = 150 + 20 * np.sin(3 * x + 1) * np.cos(4 * y) + 8 * np.sin(9 * x)
    tint = np.linspace(1, 0.8, channels)
    return (plain[..., None] * tint).astype(np.float32)


def disk(place, radius=RADIUS):
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    return np.hypot(y - place[0], x - place[1]) <= radius


def places(number, count, seed=0):
    """`[N, count, 2]`, anywhere in the frame."""
    rng = np.random.default_rng(seed)
    low, high = RADIUS, np.array(SIZE) - RADIUS
    return rng.uniform(low, high, (number, count, 2))


def film(where, contrast=-70.0, noise=2.0, gains=None, channels=1, seed=0):
    """`[N, H, W, C]` uint8 with disks at `[N, count, 2]`."""
    rng = np.random.default_rng(seed)
    frames = []
    for t, disks in enumerate(where):
        frame = ground(channels).copy()
        for place in disks:
            frame[disk(place)] += contrast
        frame *= 1 if gains is None else gains[t]
        frame += rng.normal(0, noise, frame.shape) if noise else 0
        frames.append(np.clip(np.round(frame), 0, 255).astype(np.uint8))
    return np.stack(frames)


def error_of(found, channels=1):
    return np.abs(found.picture - ground(channels)).max(-1)


@pytest.mark.parametrize("contrast", [-70.0, 70.0])
@pytest.mark.parametrize("share", [0.5, 0.7, 0.8])
def test_an_animal_that_rests_most_of_the_time_is_not_absorbed(share, contrast):
    where = places(60, 1)
    resting = np.random.default_rng(1).permutation(60) < 60 * share
    where[resting, 0] = 30, 40
    frames = film(where, contrast)
    at_rest = disk((30, 40))
    absorbed = np.abs(np.median(frames, 0) - ground()).max(-1)
    assert share == 0.5 or absorbed[at_rest].min() > 50
    found = background.estimate(frames)
    assert error_of(found).max() < 6
    assert found.polarity == np.sign(contrast)


def test_several_animals_that_rest_in_nests_are_not_absorbed():
    where = places(80, 3)
    rng = np.random.default_rng(2)
    for number, nest in enumerate([(12, 12), (40, 60), (45, 20)]):
        where[rng.random(80) < 0.7, number] = nest
    assert error_of(background.estimate(film(where))).max() < 6


def test_an_animal_that_moved_once_leaves_neither_itself_nor_a_hole():
    where = np.full((40, 1, 2), (20.0, 20.0))
    where[28:] = 42, 60
    assert error_of(background.estimate(film(where))).max() < 6


def test_colours_alone_tell_objects_from_the_ground():
    where = places(60, 1)
    where[:45, 0] = 30, 40
    frames = film(where, np.array([-60.0, 50.0, 0.0]), channels=3)
    found = background.estimate(frames)
    assert error_of(found, 3).max() < 6
    assert found.polarity == 0


def test_objects_of_both_signs_leave_the_median():
    where = places(60, 4)
    frames = film(where[:, :2], -60.0).astype(int)
    frames += film(where[:, 2:], 60.0, seed=1).astype(int)
    frames -= ground().astype(int)
    frames = np.clip(frames, 0, 255).astype(np.uint8)
    found = background.estimate(frames)
    assert found.polarity == 0
    assert error_of(found).max() < 8


def test_the_noise_is_the_noise_that_was_added():
    frames = film(places(100, 2), noise=3.0)
    found = background.estimate(frames)
    # Rounding adds a twelfth to the variance; MADs of 100 scatter by a tenth.
    assert np.median(found.noise) == pytest.approx(3.01, rel=0.12)


@pytest.mark.parametrize("noise", [0.0, 1.0, 4.0])
def test_hardly_a_background_pixel_is_above_the_threshold(noise):
    found = background.estimate(film(places(60, 2), noise=noise))
    fresh = film(np.zeros((50, 0, 2)), noise=noise, seed=9)
    above = found.difference(fresh) > found.threshold()
    # A normal is beyond 3.5 deviations once in 2,000 times.
    assert above.mean() < 2e-3


def test_objects_are_above_the_threshold():
    found = background.estimate(film(places(60, 2), noise=3.0))
    frame = film(np.array([[(30.0, 40.0)]]), noise=3.0, seed=5)[0]
    seen = found.difference(frame) > found.threshold()
    np.testing.assert_array_less(0.98, (seen == disk((30, 40))).mean())


def test_a_least_threshold_is_a_floor():
    found = background.Background(
        np.zeros((2, 2, 1)), np.array([[1.0, 2.0], [9.0, 40.0]])
    )
    plain, floored = found.threshold(), found.with_least(30.0).threshold()
    np.testing.assert_allclose(floored, np.maximum(plain, 30), rtol=1e-5)


def test_light_that_drifts_does_not_become_noise():
    gains = np.linspace(0.8, 1.2, 60)
    frames = film(places(60, 2), gains=gains, noise=1.0)
    found = background.estimate(frames)
    assert np.median(found.noise) < 1.6
    ratio = found.picture / ground()
    assert np.ptp(np.quantile(ratio, [0.01, 0.99])) < 0.02


def test_water_is_noisy_where_it_moves_and_only_there():
    rng = np.random.default_rng(3)
    frames = film(places(60, 2), noise=1.0).astype(np.float32)
    x = np.arange(SIZE[1] // 2)
    for frame in frames:
        wave = 15 * np.sin(x / 4 + rng.uniform(0, 7))
        frame[:, : len(x)] += wave[:, None]
    found = background.estimate(np.clip(frames, 0, 255).astype(np.uint8))
    half = SIZE[1] // 2
    assert np.median(found.noise[:, : half - 8]) > 8
    assert np.median(found.noise[:, half + 8 :]) < 2
    assert np.median(error_of(found)[:, : half - 8]) < 8


def test_the_noise_of_a_busy_road_is_not_that_of_its_traffic():
    # Of each frame a third of the lane is covered, by dark and bright cars.
    rng = np.random.default_rng(2)
    frames = film(np.zeros((80, 0, 2)), noise=3.0, channels=3)
    for frame in frames:
        for left in rng.uniform(-36, 0) + np.arange(0, SIZE[1] + 36, 36):
            car = slice(max(0, int(left)), max(0, int(left) + 12))
            frame[25:35, car] = frame[25:35, car] + rng.choice([-45, 45])
    found = background.estimate(frames)
    road, beside = found.noise[26:34, 5:-5], found.noise[:20]
    assert np.median(road) < 1.3 * np.median(beside)
    assert np.quantile(road, 0.95) < 2 * np.median(beside)
    assert error_of(found, 3)[26:34].mean() < 3


def test_frames_of_another_light_do_not_spoil_it():
    gains = np.where(np.arange(50) % 5 == 0, 0.3, 1.0)
    found = background.estimate(film(places(50, 2), gains=gains))
    assert error_of(found).max() < 6


def test_a_still_video_is_its_own_background():
    frames = np.repeat(film(np.zeros((1, 0, 2))), 20, 0)
    found = background.estimate(frames)
    np.testing.assert_array_equal(found.picture, frames[0])
    assert found.polarity == 0
    assert found.noise.min() > 0


def test_of_two_frames_the_ground_around_decides():
    where = np.array([[(20.0, 20.0)], [(40.0, 60.0)]])
    found = background.estimate(film(where, noise=1.0))
    assert error_of(found).max() < 8


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_few_frames_give_a_background(number):
    found = background.estimate(film(places(number, 1)))
    assert np.isfinite(found.picture).all() and (found.noise > 0).all()


def test_a_black_video_gives_a_black_background():
    found = background.estimate(np.zeros((10, 8, 9, 3), np.uint8))
    assert not found.picture.any()
    assert not (found.difference(np.zeros((8, 9, 3), np.uint8)) > 0).any()


def test_what_is_estimated_does_not_depend_on_the_bands(monkeypatch):
    frames = film(places(30, 2), channels=3)
    whole = background.estimate(frames)
    monkeypatch.setattr(background, "_BAND", 30 * SIZE[1] * 3 * 7)
    parts = background.estimate(frames)
    np.testing.assert_array_equal(whole.picture, parts.picture)
    np.testing.assert_array_equal(whole.noise, parts.noise)


def test_pictures_that_are_not_uint8_are_refused():
    with pytest.raises(ValueError, match="uint8, got .* float32"):
        background.estimate(np.zeros((3, 4, 4, 3), np.float32))


def test_the_difference_is_the_largest_of_the_channels():
    rng = np.random.default_rng(0)
    found = background.Background(
        rng.uniform(0, 255, (7, 9, 3)), np.ones((7, 9))
    )
    frames = rng.integers(0, 256, (2, 5, 7, 9, 3), np.uint8)
    expected = np.abs(frames.astype(np.float64) - found.picture).max(-1)
    actual = found.difference(frames)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-4)


def test_differences_are_cheap():
    found = background.Background(
        np.full((240, 320, 3), 90.0), np.ones((240, 320))
    )
    frame = np.full((240, 320, 3), 100, np.uint8)
    begin = time.process_time()
    for _ in range(60):
        found.difference(frame)
    assert time.process_time() - begin < 0.2


def test_a_cropped_background_is_a_part_of_it():
    rng = np.random.default_rng(0)
    found = background.Background(rng.random((12, 18, 3)), rng.random((12, 18)))
    part = found.crop((2, 3, 8, 10))
    np.testing.assert_array_equal(part.picture, found.picture[2:8, 3:10])
    np.testing.assert_array_equal(part.noise, found.noise[2:8, 3:10])


def shade(frames, light):
    """Frames `[T, H, W, C]` under a light `[T, H, W]`."""
    return np.clip(np.rint(frames * light[..., None]), 0, 255).astype(np.uint8)


def cloud(count, size):
    """Light `[T, H, W]` while a soft shadow goes over the frame."""
    y, x = np.mgrid[: size[0], : size[1]]
    along = x + 0.4 * y
    edge = np.linspace(-0.5, 1.2, count)[:, None, None] * size[1]
    width = size[1] / 9
    dark = 1 / (1 + np.exp((edge - along) / width))
    dark = dark / (1 + np.exp((along - edge - 0.7 * size[1]) / width))
    return 1 - 0.35 * dark


class TestLightThatChangesHereAndNotThere:
    def seen(self, found, frames):
        """What is further from the ground than noise, and disks more so."""
        return np.stack([found.difference(frame) > 20 for frame in frames])

    def test_a_cloud_passes_and_disks_are_seen_all_the_time(self):
        where = places(120, 2)
        frames = film(where, noise=1.0)
        plain = background.estimate(frames)
        shaded = shade(frames, cloud(120, frames.shape[1:3]))
        found = background.estimate(shaded)
        assert plain.cells == 0 and found.cells > 0
        # What is left of the shadow is no more than noise.
        assert np.median(found.noise) < 1.5 * np.median(plain.noise)
        seen = self.seen(found, shaded)
        inside = np.stack(
            [
                np.any([disk(place, RADIUS - 1) for place in row], 0)
                for row in where
            ]
        )
        beside = np.stack(
            [
                ~np.any([disk(place, RADIUS + 2) for place in row], 0)
                for row in where
            ]
        )
        assert seen[inside].mean() > 0.99 and seen[beside].mean() < 0.002
        # Without that the shadow itself is seen.
        blind = dataclasses.replace(plain, cells=0)
        assert self.seen(blind, shaded)[beside].mean() > 0.1

    def test_shadow_that_creeps_over_a_part_is_followed(self):
        frames = film(places(100, 1), noise=1.0)
        light = np.ones(frames.shape[:3])
        light[:, :, 50:] -= np.linspace(0, 0.3, 100)[:, None, None]
        shaded = shade(frames, light)
        found = background.estimate(shaded)
        assert found.cells > 0
        assert np.median(found.noise) < 3

    @pytest.mark.parametrize(
        "gains", [None, 1 + 0.3 * np.sin(np.arange(80) / 13)]
    )
    def test_light_that_is_the_same_everywhere_is_one_number(self, gains):
        options = {} if gains is None else {"gains": gains}
        frames = film(places(80, 3), noise=1.0, **options)
        assert background.estimate(frames).cells == 0

    def test_things_as_large_as_many_cells_are_no_shadows(self):
        rng = np.random.default_rng(0)
        ground = 120 + 20 * rng.random((96, 128, 3))
        frames = np.repeat(ground[None], 60, 0)
        for t, left in enumerate(np.linspace(-70, 128, 60).astype(int)):
            frames[t, 20:80, max(0, left) : max(0, left + 70)] = 50
        frames += rng.normal(0, 1, frames.shape)
        found = background.estimate(frames.astype(np.uint8))
        seen = found.difference(frames[30].astype(np.uint8)) > found.threshold()
        left = int(np.linspace(-70, 128, 60)[30])
        assert seen[22:78, left + 2 : left + 68].mean() > 0.99

    def test_a_part_of_it_takes_the_light_as_it_is(self):
        found = background.Background(
            np.full((40, 60, 3), 100.0), np.ones((40, 60)), cells=6
        )
        assert found.crop((0, 0, 20, 20)).cells == 0

    def test_one_frame_is_lit_as_many_are(self):
        light = cloud(5, (40, 60))
        found = background.Background(
            np.full((40, 60, 3), 100.0), np.ones((40, 60)), cells=6
        )
        frames = shade(np.full((5, 40, 60, 3), 100), light)
        even = found.evenly_lit(frames)
        assert np.abs(even - 100).max() < 6  # of the 35 that there were
        for frame, expected in zip(frames, even):
            np.testing.assert_array_equal(found.evenly_lit(frame), expected)


@pytest.mark.parametrize("after", [0.4, 1.8])
def test_light_that_is_switched_is_noticed(after):
    levels = 100 + np.random.default_rng(0).normal(0, 0.5, 60)
    levels[37:] *= after
    np.testing.assert_array_equal(light_steps(levels), [37])


def test_drift_and_a_flash_are_no_steps():
    levels = np.linspace(80, 160, 300)
    levels[100] = 250
    assert len(light_steps(levels)) == 0


def test_light_off_and_on_again_are_two_steps():
    levels = np.full(90, 120.0)
    levels[30:60] = 40
    np.testing.assert_array_equal(light_steps(levels), [30, 60])


def test_a_difference_picture_is_black_to_white():
    threshold = np.full((2, 3), 10.0)
    difference = np.array([[0.0, 10.0, 35.0], [60.0, 90.0, 9.0]])
    shown = background.as_picture(difference, threshold, 60.0)
    np.testing.assert_array_equal(shown, [[0, 0, 128], [255, 255, 0]])


def test_a_gain_below_the_threshold_gives_a_picture_without_warnings():
    with np.errstate(all="raise"):
        shown = background.as_picture(np.full((2, 2), 9.0), 8.0, 5.0)
    assert shown.max() == 255
