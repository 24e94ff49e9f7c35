"""Clips that are cut where something moves."""

import numpy as np
import pytest

from tests.data import moving_footage as footage
from tfdecomp.data import errors
from tfdecomp.data.building import moving_clips
from tfdecomp.motion import background
from tfdecomp.motion import scene as scene_lib

SIZE, RUNS = 32, 4


@pytest.fixture(name="folder", scope="module")
def _fixture_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept") / "footage"
    runs = (footage.run(number) for number in range(RUNS))
    moving_clips.write(folder, runs, footage.view())
    return folder


def test_all_that_moves_is_found_and_kept(folder, tmp_path):
    runs = [footage.run(number, count=1) for number in range(2)]
    found = moving_clips.write(tmp_path, runs, footage.view())
    assert found == 2 * 12
    with np.load(tmp_path / moving_clips.MOVING_NAME) as moving:
        centres = np.stack([moving["y"], moving["x"]], -1)
        assert moving["run"].tolist() == [0] * 12 + [1] * 12
        assert moving["frame"].tolist() == [*range(12)] * 2
    true = [footage.places(number, 1, 12)[:, 0] for number in range(2)]
    true = np.concatenate(true) + footage.SIDE / 2
    np.testing.assert_allclose(centres, true, atol=0.5)
    kept = np.load(tmp_path / moving_clips.FRAMES_NAME)
    np.testing.assert_array_equal(kept, runs)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        (moving_clips.FRAMES_NAME, moving_clips.MOVING_NAME, "scene.npz")
    )


def test_frames_are_kept_in_the_light_of_the_background(tmp_path):
    run = footage.run(0)
    darker = np.rint(0.9 * run.astype(float)).astype(np.uint8)
    scene = footage.view(follows_light=True)
    moving_clips.write(tmp_path, [darker], scene)
    kept = np.load(tmp_path / moving_clips.FRAMES_NAME)[0]
    assert np.abs(kept.astype(float) - run).mean() < 1.0


@pytest.mark.parametrize("inputs", moving_clips.INPUTS)
def test_a_clip_is_a_function_of_seed_and_number(inputs, folder):
    def cut(numbers, seed=0):
        cutter = moving_clips.Cutter(folder, SIZE, inputs, seed)
        return {n: cutter.clip(n, 4)["video"] for n in numbers}

    first, again = cut(range(6)), cut((5, 2, 0, 4, 3, 1))
    for number in range(6):
        np.testing.assert_array_equal(first[number], again[number])
    other = cut(range(6), seed=1)
    # Two of them may show nothing at all.
    seen = {v.tobytes() for v in (*first.values(), *other.values())}
    assert len(seen) >= 10


def test_nearly_all_clips_show_what_moves(folder):
    cutter = moving_clips.Cutter(folder, SIZE)
    shown = []
    for number in range(120):
        video = cutter.clip(number, 4)["video"]
        assert video.shape == (4, SIZE, SIZE, 3) and video.dtype == np.uint8
        bright = (video[..., 0] > 200).sum((1, 2))
        shown.append(bright.max() > 0.5 * footage.SIDE**2)
        # And most of a clip is ground, which is black.
        assert np.mean(video == 0) > 0.5
    assert np.mean(shown) >= 0.8


def test_clips_are_turned_and_mirrored_in_all_ways(tmp_path):
    """The ground tells rows and columns by two of its colours."""
    ground = np.full((60, 90, 3), 100)
    ground[..., 0], ground[..., 1] = np.mgrid[:60, :90]
    noise = np.ones((60, 90))
    scene = scene_lib.Scene(
        background.Background(ground, noise), 70.0, 8.0, 8.0
    )
    video = np.tile(ground, (3, 1, 1, 1)).astype(np.uint8)
    video[:, 20:28, 40:48] = 180
    moving_clips.write(tmp_path, [video], scene)
    cutter = moving_clips.Cutter(tmp_path, SIZE, "given")
    ways, corners = set(), set()
    for number in range(60):
        back = cutter.clip(number, 1)["background"].astype(int)
        assert back[..., :2].max(1).max(0).tolist() < [60, 90]
        # Which way rows and columns of the frame go.
        steps = back[1, 1, :2] - back[0, 0, :2], back[0, 1, :2] - back[0, 0, :2]
        ways.add(tuple(np.concatenate(steps).tolist()))
        corners.add(tuple(back[..., :2].min((0, 1)).tolist()))
        expected = np.full((SIZE, SIZE), 100)
        np.testing.assert_array_equal(back[..., 2], expected)
    assert len(ways) == 8
    assert len(corners) > 20


def test_a_given_background_is_that_of_the_same_window(folder):
    cutter = moving_clips.Cutter(folder, SIZE, "given")
    differs = []
    for number in range(40):
        clip = cutter.clip(number, 3)
        assert clip["background"].shape == (SIZE, SIZE, 3)
        off = np.abs(clip["video"].astype(int) - clip["background"]).max(-1)
        # The noise, or a thing.
        assert np.mean((off < 7) | (np.abs(off - footage.GAIN) < 7)) == 1
        differs.append((off > 50).any())
    assert np.mean(differs) >= 0.8


def test_both_kinds_of_inputs_show_the_same_place(folder):
    given = moving_clips.Cutter(folder, SIZE, "given").clip(3, 4)
    shown = moving_clips.Cutter(folder, SIZE).clip(3, 4)["video"]
    off = np.abs(given["video"].astype(int) - given["background"]).max(-1)
    np.testing.assert_array_equal(shown[..., 0] > 128, off > 40)


def test_frames_of_a_clip_follow_one_another(tmp_path):
    """A thing that moves by a pixel per frame does so in clips."""
    video = np.tile(footage.ground(), (12, 1, 1, 1))
    for t in range(12):
        video[t, 30:38, 40 + t : 48 + t] += footage.GAIN
    moving_clips.write(tmp_path, [video.astype(np.uint8)], footage.view())
    cutter = moving_clips.Cutter(tmp_path, 48)
    steps = []
    for number in range(20):
        video = cutter.clip(number, 5)["video"][..., 0] > 128
        if video.sum((1, 2)).min() < footage.SIDE**2:
            continue  # it leaves the window
        middles = np.array([np.argwhere(frame).mean(0) for frame in video])
        steps.append(np.abs(np.diff(middles, axis=0)).sum(1))
    assert len(steps) > 5
    np.testing.assert_allclose(steps, 1.0)


def _stream(folder, start=0, frames=2, **fields):
    fields = {"folder": folder, "size": SIZE, **fields}
    return moving_clips.moving_clips(3, frames, 5, start, **fields)


@pytest.mark.parametrize("inputs", moving_clips.INPUTS)
def test_batches_are_the_clips_in_order(inputs, folder):
    cutter = moving_clips.Cutter(folder, SIZE, inputs, seed=5)
    for b, batch in enumerate(_stream(folder, inputs=inputs).take(2)):
        numbers = batch["clip_index"].numpy().tolist()
        assert numbers == [3 * b, 3 * b + 1, 3 * b + 2]
        assert batch["video"].shape == (3, 2, SIZE, SIZE, 3)
        assert batch["video"].dtype == "uint8"
        for n, number in enumerate(numbers):
            for name, value in cutter.clip(number, 2).items():
                np.testing.assert_array_equal(batch[name][n], value)
        assert ("background" in batch) == (inputs == "given")


def test_start_goes_on_where_a_run_stopped(folder):
    whole = [b for b in _stream(folder).take(4)]
    rest = [b for b in _stream(folder, start=6).take(2)]
    for one, other in zip(whole[2:], rest):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_batches_have_a_static_shape(folder):
    spec = _stream(folder, inputs="given").element_spec
    assert spec["video"].shape == (3, 2, SIZE, SIZE, 3)
    assert spec["background"].shape == (3, SIZE, SIZE, 3)


def test_a_clip_as_large_as_the_frame_and_as_long_as_a_run_is_cut(folder):
    video = moving_clips.Cutter(folder, 72).clip(0, 12)["video"]
    assert video.shape == (12, 72, 72, 3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"inputs": "colour"}, "inputs must be one of"),
        ({"size": 73}, "clips have 73 pixels, but frames only 72"),
        ({"frames": 13}, "runs have 12 frames, fewer than a clip's 13"),
    ],
)
def test_what_cannot_be_cut_is_said_at_once(fields, message, folder):
    with pytest.raises(ValueError, match=message):
        _stream(folder, **fields)


def test_without_frames_there_is_nothing_to_cut(tmp_path):
    with pytest.raises(errors.MissingFileError, match="tfdecomp fit"):
        moving_clips.Cutter(tmp_path, SIZE)


def test_a_damaged_scene_is_one_sentence(tmp_path):
    moving_clips.write(tmp_path, [footage.run(0)], footage.view())
    (tmp_path / scene_lib.FILE_NAME).write_bytes(b"nothing")
    with pytest.raises(ValueError, match="cannot be read as a scene"):
        moving_clips.Cutter(tmp_path, SIZE)


@pytest.mark.parametrize("runs", [[], [footage.run(0, count=0)]])
def test_where_nothing_moves_nothing_is_written(runs, tmp_path):
    folder = tmp_path / "footage"
    with pytest.raises(errors.LayoutError, match="nothing moves.*region"):
        moving_clips.write(folder, runs, footage.view())
    assert not list(folder.iterdir())
