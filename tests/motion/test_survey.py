"""Surveys of drawn videos, whose sizes, numbers and speeds are known."""

import numpy as np
import pytest

from tfdecomp.motion import camera
from tfdecomp.motion import survey as survey_lib

SIZE = (120, 160)


def textured(seed=0, size=SIZE, margin=40):
    """`[H, W]` uneven ground, larger than the frame by a margin."""
    rng = np.random.default_rng(seed)
    height, width = (side + 2 * margin for side in size)
    coarse = rng.normal(0, 14, (height // 4 + 1, width // 4 + 1))
    return 150 + np.kron(coarse, np.ones((4, 4)))[:height, :width]


class Video:
    """Ellipses that go straight and turn back at the edges."""

    def __init__(
        self,
        count=4,
        length=20,
        width=8,
        speed=2.0,
        contrast=-80.0,
        noise=2.0,
        frames=400,
        seed=0,
    ):
        self.rng = np.random.default_rng(seed)
        self.ground = textured(seed)
        self.shape = length, width, contrast, noise
        self.start = self.rng.uniform(14, 100, (count, 2))
        self.angles = self.rng.uniform(0, 2 * np.pi, count)
        self.speed, self.frames = speed, frames
        self.gains = np.ones(frames)
        self.shake = np.zeros((frames, 2), int)
        self.clock = False

    def places(self, t):
        velocity = np.stack([np.sin(self.angles), np.cos(self.angles)], -1)
        way = self.start + t * self.speed * velocity
        room = np.array(SIZE) - 20.0
        return 10 + room - np.abs((way - 10) % (2 * room) - room)

    def __getitem__(self, t):
        length, width, contrast, noise = self.shape
        top, left = 40 + self.shake[t]
        frame = self.ground[top : top + SIZE[0], left : left + SIZE[1]].copy()
        y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
        now, then = self.places(t), self.places(t - 0.01)
        for place, before in zip(now, then):
            dy, dx = place - before if self.speed else (0.0, 1.0)
            angle = np.arctan2(dy, dx)
            along = (x - place[1]) * np.cos(angle)
            along += (y - place[0]) * np.sin(angle)
            across = (y - place[0]) * np.cos(angle)
            across -= (x - place[1]) * np.sin(angle)
            inside = (2 * along / length) ** 2 + (2 * across / width) ** 2 <= 1
            frame[inside] += contrast
        if self.clock:
            frame[2:12, 2:40] = 20
            digits = np.random.default_rng(t // 3).random((5, 12)) < 0.5
            frame[4:9, 4:28][np.kron(digits, np.ones((1, 2))) > 0] = 230
        rng = np.random.default_rng([1, t])
        frame = self.gains[t] * frame + rng.normal(0, noise, SIZE)
        return np.clip(frame, 0, 255).astype(np.uint8)[..., None]

    def samples(self, scattered=50, runs=8, length=8):
        numbers = np.linspace(0, self.frames - 1, scattered).astype(int)
        starts = np.linspace(0, self.frames - length, runs).astype(int)
        return survey_lib.Samples(
            np.stack([self[t] for t in numbers]),
            [np.stack([self[s + i] for i in range(length)]) for s in starts],
        )


def kinds(found):
    return [kind for kind, _ in found.problems]


@pytest.fixture(scope="module")
def plain():
    return survey_lib.survey(Video().samples())


def test_sizes_are_those_that_were_drawn(plain):
    assert plain.length[1] == pytest.approx(20, rel=0.1)
    assert plain.width[1] == pytest.approx(8, rel=0.15)
    assert plain.area[1] == pytest.approx(np.pi * 40, rel=0.15)
    for sizes in (plain.length, plain.width, plain.area):
        assert (np.diff(sizes) >= 0).all()
    assert plain.min_area < 0.5 * np.pi * 40 < plain.max_area


def test_numbers_and_speeds_are_those_that_were_drawn(plain):
    assert plain.count == 4
    assert plain.num_objects == 4
    assert plain.speed[0] == pytest.approx(2.0, rel=0.1)
    assert plain.travels > 0.8
    assert plain.share == pytest.approx(4 * np.pi * 40 / 19200, rel=0.15)


def test_the_gain_is_the_objects_contrast(plain):
    assert plain.gain == pytest.approx(80, rel=0.06)
    assert plain.background.polarity == -1
    assert plain.threshold.min() >= 0.14 * 80


def test_a_good_video_has_no_problems(plain):
    assert plain.problems == []
    assert not plain.light_drifts
    assert not plain.ignore.any()


def test_objects_that_often_touch_are_counted():
    video = Video(count=9, length=22, width=14, seed=3)
    found = survey_lib.survey(video.samples())
    assert found.num_objects in (8, 9, 10)


def test_what_is_known_decides_what_counts():
    video = Video(count=3, length=24, width=12)
    small = Video(count=6, length=6, width=4, seed=9)
    small.ground = video.ground
    both = video.samples()
    low = small.samples()
    both.scattered = np.minimum(both.scattered, low.scattered)
    both.runs = [np.minimum(a, b) for a, b in zip(both.runs, low.runs)]
    found = survey_lib.survey(both, object_size=24)
    assert found.count == 3
    assert found.length[1] == pytest.approx(24, rel=0.15)
    found = survey_lib.survey(both, num_objects=3)
    assert found.num_objects == 3
    assert found.count == 3
    found = survey_lib.survey(both, min_area=100, max_area=300)
    assert (found.min_area, found.max_area) == (100, 300)


def test_only_the_region_is_surveyed():
    region = np.zeros(SIZE, bool)
    region[:, :80] = True
    found = survey_lib.survey(Video(count=8).samples(), region=region)
    everywhere = survey_lib.survey(Video(count=8).samples())
    assert found.count < everywhere.count


def test_scattered_frames_alone_are_enough_for_sizes():
    found = survey_lib.survey(Video().samples().scattered)
    assert found.count == 4
    assert found.speed == (0.0, 0.0)


def test_a_clock_with_letters_smaller_than_the_objects_is_ignored():
    video = Video(count=4, length=30, width=14, seed=2)
    video.clock = True
    video.angles[:] = 0  # along rows below the clock
    video.start[:, 0] = 35, 55, 75, 100
    samples = video.samples(runs=12)
    found = survey_lib.survey(samples)
    assert found.ignore[4:9, 4:28].mean() > 0.7
    assert found.ignore.mean() < 0.05
    assert found.count in (3, 4)


def test_an_animal_that_twitches_in_its_nest_is_not_ignored():
    video = Video(count=3)
    samples = video.samples(runs=12)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    rng = np.random.default_rng(0)

    def add(frame):
        centre = np.array([60, 80]) + rng.integers(-1, 2, 2)
        body = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= 36
        frame[body] = np.maximum(frame[body].astype(int) - 80, 0)

    for t, frame in enumerate(samples.scattered):
        if t % 4:
            add(frame)
    for run in samples.runs:
        for frame in run:
            add(frame)
    assert not survey_lib.survey(samples).ignore.any()


def test_light_that_drifts_is_said():
    video = Video()
    video.gains = np.linspace(0.8, 1.1, video.frames)
    found = survey_lib.survey(video.samples())
    assert found.light_drifts
    assert found.count == 4


def test_nothing_moves_in_a_still_video():
    found = survey_lib.survey(Video(count=0).samples())
    assert kinds(found) == ["nothing_moves"]
    assert np.isfinite(found.length).all() and found.length[1] > 0
    assert found.num_objects == 0


def test_a_moving_camera_is_found_and_measured():
    video = Video()
    rng = np.random.default_rng(0)
    video.shake = np.clip(
        rng.integers(-2, 3, (video.frames, 2)).cumsum(0), -38, 38
    )
    found = survey_lib.survey(video.samples())
    assert "camera_moves" in kinds(found)
    (sentence,) = (s for k, s in found.problems if k == "camera_moves")
    assert "pixels" in sentence and "stand" in sentence


def test_everything_moves_in_a_video_of_waves():
    rng = np.random.default_rng(0)
    waves = rng.random((40, 15, 20)) < 0.45
    waves = np.kron(waves, np.ones((8, 8)))
    frames = 90 + 100 * waves + rng.normal(0, 2, waves.shape)
    found = survey_lib.survey(frames.astype(np.uint8)[..., None])
    assert kinds(found) == ["everything_moves"]


def test_light_that_is_switched_is_said_with_the_frame():
    video = Video()
    video.gains[250:] = 0.5
    levels = [video[t].mean() for t in range(0, 400)]
    found = survey_lib.survey(video.samples(), levels=levels)
    (sentence,) = (s for k, s in found.problems if k == "light_steps")
    assert "frame 250" in sentence
    assert kinds(survey_lib.survey(video.samples())).count("light_steps") == 1


def test_few_frames_are_too_short():
    found = survey_lib.survey(Video().samples(scattered=5, runs=1, length=3))
    assert "too_short" in kinds(found)


def test_frames_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match="of the same size"):
        survey_lib.Samples(
            np.zeros((3, 8, 9, 3), np.uint8), [np.zeros((3, 8, 8, 3))]
        )


@pytest.mark.parametrize("moved", [(3, -5), (0, 8), (-1, 1)])
def test_a_shift_is_found(moved):
    ground = textured(1) + np.random.default_rng(0).normal(0, 2, (200, 240))
    first = ground[40:160, 40:200, None]
    top, left = 40 - moved[0], 40 - moved[1]
    second = ground[top : top + 120, left : left + 160, None]
    np.testing.assert_allclose(camera.shift(first, second), moved, atol=0.25)


def test_objects_that_move_together_are_no_camera():
    first = np.repeat(textured(2)[40:160, 40:200, None], 3, 2)
    second = first.copy()
    for row in (20, 60, 90):
        first[row : row + 14, 30:60] = 10
        second[row : row + 14, 36:66] = 10
    np.testing.assert_array_equal(camera.shift(first, second), 0)


def test_black_frames_have_no_shift():
    black = np.zeros((64, 64, 3), np.uint8)
    np.testing.assert_array_equal(camera.shift(black, black), 0)
