"""A first look at videos: which frames are kept, and in which order."""

import numpy as np
import pytest

from tests.data import video_files as files
from tfdecomp.data import errors
from tfdecomp.data.video import video_io
from tfdecomp.motion.light import light_steps
from tfdecomp.prediction import looking
from tfdecomp.prediction.footage import Footage
from tfdecomp.prediction.view import View


def _footage(path, count, height=48, width=64):
    video_io.write_video(path, files.frames(count, height, width))
    return Footage(path)


@pytest.fixture(name="videos", scope="module")
def _fixture_videos(tmp_path_factory):
    """Number of frames to its footage."""
    folder = tmp_path_factory.mktemp("videos")
    return {
        count: _footage(folder / f"{count}.mp4", count)
        for count in (1, 5, 10, 40)
    }


def _numbers(pictures):
    """Of frames, read off their grey level."""
    return [files.number_of(picture) for picture in pictures]


@pytest.mark.parametrize("count", [1, 5, 10, 40])
def test_a_short_video_is_kept_whole(count, videos):
    glance = looking.glance([videos[count]])
    assert glance.frame_size == glance.size == (48, 64)
    assert glance.num_frames == count
    assert _numbers(glance.scattered) == list(range(count))
    assert glance.scattered.dtype == np.uint8
    (levels,) = glance.levels
    assert len(levels) == count
    if count > 1:
        assert (np.diff(levels) > 0).all()
    for run in glance.runs:
        numbers = _numbers(run)
        assert len(numbers) == min(count, 8)
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert bool(glance.runs) == (count > 1)
    if count > 1:  # the first and the last frame are in one of them
        seen = {n for run in glance.runs for n in _numbers(run)}
        assert {0, count - 1} <= seen


def test_two_videos_are_looked_at_alike(videos):
    glance = looking.glance([videos[40], videos[10]])
    assert glance.num_frames == 50
    assert _numbers(glance.scattered) == [*range(40), *range(10)]
    assert [len(levels) for levels in glance.levels] == [40, 10]
    # No run goes from one video into the other one.
    for run in glance.runs:
        assert set(np.diff(_numbers(run))) == {1}


def test_a_long_video_is_seen_from_all_over_it(tmp_path):
    footage = _footage(tmp_path / "long.mkv", 260, 16, 24)
    glance = looking.glance([footage])
    # Grey levels come again after 200 / 3 frames, so the levels are compared.
    assert len(glance.scattered) == 100 and len(glance.levels[0]) == 260
    chosen = np.linspace(0, 259, 100).astype(int)
    own = files.frames(260, 16, 24)[chosen]
    gap = np.median(np.abs(own.astype(int) - glance.scattered))
    assert gap <= 2
    assert len(glance.runs) == 12
    assert {len(run) for run in glance.runs} == {8}


def test_large_frames_are_scaled_down(tmp_path):
    video = np.full((3, 320, 960, 3), 90, np.uint8)
    video_io.write_video(tmp_path / "wide.mp4", video)
    glance = looking.glance([Footage(tmp_path / "wide.mp4")])
    assert glance.frame_size == (320, 960)
    assert glance.size == (213, 640) == glance.scattered.shape[1:3]


def test_videos_of_several_sizes_are_refused(videos, tmp_path):
    other = _footage(tmp_path / "other.mp4", 3, 64, 48)
    with pytest.raises(ValueError, match="one size, got 64x48, 48x64"):
        looking.glance([videos[5], other])


def test_progress_counts_all_frames(videos):
    seen = []
    looking.glance(
        [videos[10], videos[5]], lambda done, total: seen.append((done, total))
    )
    assert seen == [(n, 15) for n in range(1, 16)]


def test_a_look_can_be_stopped(videos):
    calls = []

    def should_stop():
        calls.append(1)
        return len(calls) == 4

    with pytest.raises(KeyboardInterrupt):
        looking.glance([videos[40]], should_stop=should_stop)
    assert len(calls) == 4
    view = View((48, 64), (48, 64))
    runs = looking.runs_of([videos[40]], view, 4, 6, should_stop=lambda: True)
    with pytest.raises(KeyboardInterrupt):
        next(runs)


def _damaged(folder):
    """Pictures of which number 5 has another size, noticed on the way."""
    for number in range(503):
        size = (9, 8) if number == 5 else (8, 8)
        video_io.write_png(
            folder / f"{number}.png",
            np.full((*size, 3), number % 256, np.uint8),
        )
    return Footage(folder)


def test_of_a_video_that_ends_early_the_beginning_may_do(tmp_path):
    footage = _damaged(tmp_path)
    with pytest.raises(errors.DatasetInputError):
        looking.glance([footage])
    found = looking.glance([footage], is_strict=False)
    assert len(found.levels[0]) == 5
    assert found.scattered[0].max() == 0 and len(found.runs) == 1
    assert len(found.runs[0]) == 5


def test_however_many_videos_there_are_no_more_is_kept(videos):
    glance = looking.glance([videos[5]] * 40)
    assert [len(levels) for levels in glance.levels] == [5] * 40
    assert 40 <= len(glance.scattered) <= 100
    assert len(glance.runs) == 12
    assert len(_runs([videos[5]] * 40, 9, 4)) == 9
    # Many short ones leave a long one its share.
    runs = _runs([videos[40]] + [videos[5]] * 6, 12, 4)
    assert len(runs) == 12


@pytest.mark.parametrize(
    ("sizes", "wanted", "expected"),
    [
        ([40, 10], 10, [8, 2]),
        ([7], 3, [3]),
        ([1000, 1, 1, 1], 8, [5, 1, 1, 1]),
        ([5, 5, 5], 2, [1, 0, 1]),
        ([5] * 5, 8, [1, 1, 2, 2, 2]),
        ([5, 5], 1, [1, 0]),
    ],
)
def test_shares_are_in_proportion_and_none_too_many(sizes, wanted, expected):
    found = looking._shares(sizes, wanted)
    assert sorted(found) == sorted(expected) and sum(found) <= wanted
    if len(set(sizes)) > 1:
        assert found == expected


def _runs(footages, count, length, size=(48, 64), **rest):
    view = View((48, 64), size)
    return list(looking.runs_of(footages, view, count, length, **rest))


@pytest.mark.parametrize("length", [1, 4, 12])
def test_runs_come_from_all_over_a_video(length, videos):
    runs = _runs([videos[40]], 5, length)
    assert [len(run) for run in runs] == [length] * 5
    firsts = [_numbers(run)[0] for run in runs]
    expected = np.linspace(0, 40 - length, 5).astype(int)
    assert sorted(firsts) == expected.tolist()
    for run in runs:
        numbers = _numbers(run)
        assert numbers == list(range(numbers[0], numbers[0] + length))


@pytest.mark.parametrize("count", [1, 5, 10])
def test_of_a_video_shorter_than_a_run_all_is_kept(count, videos):
    (run,) = _runs([videos[count]], 6, 12)
    assert _numbers(run) == list(range(count))


def test_a_video_just_as_long_as_a_run_gives_one(videos):
    (run,) = _runs([videos[10]], 6, 10)
    assert _numbers(run) == list(range(10))


def test_longer_videos_give_more_runs(videos):
    seen = []
    runs = _runs(
        [videos[40], videos[10]],
        10,
        5,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert len(runs) == 10
    # The short one comes last and ends at frame 9.
    assert [_numbers(run)[-1] <= 9 for run in runs[-2:]] == [True, True]
    assert seen[-1] == (50, 50)
    assert all(a < b for (a, _), (b, _) in zip(seen, seen[1:]))


def test_runs_have_the_size_of_the_view(videos):
    runs = _runs([videos[10]], 2, 4, size=(24, 32))
    assert {run.shape for run in runs} == {(4, 24, 32, 3)}


@pytest.mark.parametrize(
    ("scale", "expected"),
    [(1.0, (30, 50)), (0.5, (15, 25)), (0.001, (1, 1)), (2, (60, 100))],
)
def test_a_scaled_frame_has_at_least_a_pixel(scale, expected):
    assert looking.scaled((30, 50), scale) == expected


def test_the_light_is_that_of_most_pixels_not_of_what_marches_over_them(
    tmp_path,
):
    video = np.full((40, 96, 128, 3), 30, np.uint8)
    for t, frame in enumerate(video):
        frame[::8, 4 * (t % 16) :: 64] = 255  # a formation, in step
    np.save(tmp_path / "march.npy", video)
    (levels,) = looking.glance([Footage(tmp_path / "march.npy")]).levels
    assert np.ptp(levels) < 0.01 * levels[0]
    assert not len(light_steps(levels))
    dimmed = np.concatenate([video, video // 6])
    np.save(tmp_path / "dimmed.npy", dimmed)
    (levels,) = looking.glance([Footage(tmp_path / "dimmed.npy")]).levels
    assert light_steps(levels).tolist() == [40]
