"""Frames seen in tiles: where these lie, and that they are put together."""

import numpy as np
import pytest

from tests.models.tiny import tiny_silot
from tfdecomp.prediction import runner, tiles
from tfdecomp.prediction.stream import Stream
from tfdecomp.sharing import hub

NAMES = ("owner", "boxes", "presence", "track_ids", "slots", "recon")
SHARE = 0.1
SIZES = [
    ((100, 100), 10, 40),
    ((97, 61), 12, 40),
    ((64, 300), 30, 40),  # tiles of two overlaps
    ((30, 30), 10, 40),  # one tile
    ((41, 1), 8, 40),
    ((200, 133), 0, 50),
]


@pytest.mark.parametrize(("size", "overlap", "side"), SIZES)
def test_cores_cover_the_frame_once_and_lie_in_their_tiles(size, overlap, side):
    found = tiles.tiling(size, overlap, side)
    covered = np.zeros(size, int)
    for (y, x), (top, left, bottom, right) in zip(found.corners, found.cores):
        covered[top:bottom, left:right] += 1
        assert 0 <= y <= top < bottom <= y + found.tile[0] <= size[0]
        assert 0 <= x <= left < right <= x + found.tile[1] <= size[1]
    assert (covered == 1).all()


@pytest.mark.parametrize(("size", "overlap", "side"), SIZES)
def test_what_is_no_larger_than_the_overlap_is_whole_in_a_tile(
    size, overlap, side
):
    found = tiles.tiling(size, overlap, side)
    for axis in (0, 1):
        starts = sorted({corner[axis] for corner in found.corners})
        for low in range(size[axis] - min(overlap, size[axis]) + 1):
            high = min(low + overlap, size[axis])
            assert any(
                start <= low and high <= start + found.tile[axis]
                for start in starts
            ), (axis, low)


@pytest.mark.parametrize(("size", "overlap", "side"), SIZES)
def test_around_its_middle_an_object_is_seen_by_half_the_overlap(
    size, overlap, side
):
    found = tiles.tiling(size, overlap, side)
    for corner, core in zip(found.corners, found.cores):
        for axis in (0, 1):
            start, end = corner[axis], corner[axis] + found.tile[axis]
            low, high = core[axis], core[axis + 2]
            assert low == 0 or low - start >= overlap // 2
            assert high == size[axis] or end - high >= overlap // 2


@pytest.mark.parametrize("num_slots", [2, 20, 300, 1503])
def test_the_masks_of_a_tile_are_never_too_much(num_slots):
    side = tiles.side_for(num_slots)
    assert 0 < side <= tiles.SIDE
    assert not tiles.needs_tiles((side, side), num_slots)


@pytest.fixture(name="model", scope="module")
def _fixture_model():
    return tiny_silot.tiny(seed=1)


def _video(height, width, frames=4):
    """Bright squares of 6 px in several places, `[T, h, w, 3]` uint8."""
    video = np.zeros((frames, height, width, 3), np.uint8)
    for y in range(3, height - 8, 14):
        for x in range(3, width - 8, 14):
            for t in range(frames):
                video[t, y : y + 6, x + t : x + t + 6] = 200
    return video


def _tiled(model, size):
    """Tiles of at most 28 px, of which neighbours share 4."""
    return tiles.TiledStream(
        model,
        tiles.tiling(size, 4, 28),
        tiny_silot.K + 1,
        names=NAMES,
        least_share=SHARE,
    )


@pytest.fixture(name="plain", scope="module")
def _fixture_plain(model):
    return Stream(model, None, None, NAMES, None, SHARE)


@pytest.fixture(name="two", scope="module")
def _fixture_two(model):
    return _tiled(model, (24, 52))


@pytest.mark.slow
def test_a_frame_of_one_tile_is_seen_as_by_a_stream(model, plain):
    video = _video(24, 28)
    tiled = _tiled(model, (24, 28))
    assert tiled.num_slots == tiny_silot.K + 1
    plain.restart()
    expected = plain(video)
    # Cut anywhere, and begun again.
    for _ in range(2):
        parts = [tiled(video[:1]), tiled(video[1:])]
        for name in NAMES:
            found = np.concatenate([part[name] for part in parts])
            assert found.shape == expected[name].shape
            np.testing.assert_allclose(
                found, expected[name], atol=1e-4, err_msg=name
            )
        tiled.restart()
    assert (expected["presence"][:, 1:] > 0.5).any()


@pytest.mark.slow
def test_several_tiles_are_put_where_they_lie(plain, two):
    size = (24, 52)
    video = _video(*size)
    corners, own = two.tiles.corners, tiny_silot.K
    assert corners == ((0, 0), (0, 24)) and two.tiles.tile == (24, 28)
    two.restart()
    found = two(video)
    assert two.num_slots == 1 + 2 * own
    assert found["boxes"].shape == (4, 1 + 2 * own, 4)
    assert found["owner"].shape == (4, *size)
    assert found["recon"].shape == (4, *size, 3)
    for n, (_, left) in enumerate(corners):
        plain.restart()
        part = plain(video[:, :, left : left + 28])
        slots = slice(1 + n * own, 1 + (n + 1) * own)
        is_here = part["presence"][:, 1:] > 0
        boxes = part["boxes"][:, 1:] + np.array([0, left, 0, left])
        middle = 0.5 * (boxes[..., 1] + boxes[..., 3])
        mine = is_here & ((middle < 26) if n == 0 else (middle >= 26))
        # The two differ by rounding, and no middle lies near the border.
        assert (np.abs(middle[is_here] - 26) > 1e-3).all()
        np.testing.assert_allclose(
            found["presence"][:, slots],
            part["presence"][:, 1:] * mine,
            atol=1e-4,
        )
        np.testing.assert_allclose(
            found["boxes"][:, slots], boxes * mine[..., None], atol=1e-3
        )
        core = slice(0, 26) if n == 0 else slice(26, 52)
        inside = slice(core.start - left, core.stop - left)
        np.testing.assert_allclose(
            found["recon"][:, :, core], part["recon"][:, :, inside], atol=1e-4
        )
        for t in range(4):
            for slot in range(own):
                owns = found["owner"][t] == slots.start + slot
                assert not owns.any() or mine[t, slot]
                theirs = part["owner"][t] == slot + 1
                seen = owns[:, left : left + 28]
                assert not (seen & ~theirs).any() and seen.sum() == owns.sum()


@pytest.mark.slow
def test_numbers_of_tracks_are_those_of_one_tile_each(two):
    two.restart()
    ids, own = two(_video(24, 52))["track_ids"], tiny_silot.K
    assert (ids[:, 0] == 0).all()
    for frame in ids:
        kept = frame[frame > 0]
        assert len(kept) == len(set(kept.tolist()))
    first, second = ids[:, 1 : 1 + own], ids[:, 1 + own :]
    assert first.any() and second.any()
    assert not set(first[first > 0]) & set(second[second > 0])


@pytest.mark.slow
def test_each_tile_is_given_its_part_of_the_background():
    size, ground = (24, 52), np.zeros((24, 52, 3), np.float32)
    ground[..., 0] = np.linspace(0.1, 0.9, 52)
    given = {
        "background": ground[None],
        "background_noise": np.full((1, *size), 0.02, np.float32),
    }
    model = tiny_silot.tiny(seed=1, background="given")
    tiled = tiles.TiledStream(
        model,
        tiles.tiling(size, 4, 28),
        tiny_silot.K + 1,
        names=NAMES,
        given=given,
        least_share=SHARE,
    )
    video = np.maximum(_video(*size), np.rint(255 * ground).astype(np.uint8))
    found = tiled(video)["recon"]
    for left, core in ((0, np.s_[:26]), (24, np.s_[26:])):
        tile = np.s_[:, left : left + 28]
        part = {name: value[:, *tile] for name, value in given.items()}
        alone = Stream(model, None, None, NAMES, part, SHARE)
        expected = np.zeros_like(found)
        expected[:, :, left : left + 28] = alone(video[:, *tile])["recon"]
        np.testing.assert_allclose(
            found[:, :, core], expected[:, :, core], atol=1e-4
        )
    # Where no object is, it is the whole frame's background.
    assert np.abs(found[:, -1] - ground[-1]).max() < 0.2


def test_a_model_that_is_given_the_background_sees_large_frames_in_tiles(
    tmp_path,
):
    video = np.full((12, 500, 500, 3), 90, np.uint8)
    for t, frame in enumerate(video):
        frame[220:280, 30 * t : 30 * t + 60] = 200
    np.save(tmp_path / "a.npy", video)
    model = tiny_silot.tiny(seed=1, background="given")
    loaded = hub.Loaded(model, {"sees": "background"})
    options = runner.Options(size="native", objects=400)
    job = loaded.job(tmp_path / "a.npy", options)
    assert isinstance(job.stream, tiles.TiledStream)
    assert len(job.stream.tiles.corners) > 1
    assert job.stream._given["background"].shape == (1, 500, 500, 3)


def test_the_model_alone_is_not_shown_what_it_never_saw():
    loaded = hub.Loaded(tiny_silot.tiny(seed=1), {"sees": "difference"})
    with pytest.raises(hub.HubError, match="link='model' shows"):
        loaded.predict("a.mp4", "out", link="model")
