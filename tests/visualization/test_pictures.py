"""What the pictures show, read back from their pixels."""

import numpy as np
import pytest

from tfdecomp.visualization import (
    canvas,
    overlays,
    palette,
    rollout,
    slot_grid,
    traversal,
    video_panels,
)


@pytest.fixture
def clip():
    """A red square on black that slot 1 owns; slot 0 is the background."""
    video = np.zeros((5, 8, 8, 3), np.float32)
    masks = np.zeros((5, 3, 8, 8, 1), np.float32)
    masks[:, 0] = 1.0
    for t in range(5):
        video[t, 2:5, t : t + 3] = [1, 0, 0]
        masks[t, :, 2:5, t : t + 3] = np.array([0, 1, 0])[:, None, None, None]
    components = np.zeros((5, 3, 8, 8, 3), np.float32)
    components[:, 1] = [1, 0, 0]
    return {"video": video, "masks": masks, "components": components}


def _has_color(picture, color):
    return bool(np.any(np.all(picture == np.array(color), axis=-1)))


def _is_picture(picture, ndim=3):
    return (
        picture.dtype == np.uint8
        and picture.ndim == ndim
        and picture.shape[-1] == 3
    )


def test_floats_are_scaled_cut_and_cleared_of_nan():
    picture = np.array([[[0.5], [2.0], [-1.0], [np.nan]]])
    expected = np.repeat([[[128], [255], [0], [0]]], 3, axis=-1)
    np.testing.assert_array_equal(canvas.to_uint8(picture), expected)


def test_pictures_with_two_channels_are_refused():
    with pytest.raises(ValueError, match="1 or 3 channels"):
        canvas.to_uint8(np.zeros((4, 4, 2)))


def test_small_pictures_are_enlarged_by_whole_factors():
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    large = canvas.enlarge(picture, min_side=5)
    assert large.shape == (6, 6, 3)
    np.testing.assert_array_equal(large[::3, ::3], picture)
    np.testing.assert_array_equal(large[2::3, 2::3], picture)
    assert canvas.enlarge(large, min_side=4).shape == (6, 6, 3)


def test_text_leaves_ink_and_fits_its_box():
    for words in ("t=3", "a label far too long for its narrow box"):
        picture = canvas.text(words, 60)
        assert picture.shape == (18, 60, 3)
        assert picture.min() < 128
        assert np.all(picture[:, [0, -1]] > 200)


def test_a_grid_holds_its_cells_and_has_even_sides():
    cells = [
        [np.full((5, 7, 3), value, np.uint8) for value in row]
        for row in ([0, 1, 2], [10, 11, 12])
    ]
    cells[1][2] = None
    picture = canvas.grid(cells, ["a", "b", "c"], ["x", "y"])
    assert picture.shape[0] % 2 == picture.shape[1] % 2 == 0
    for value in (0, 1, 2, 10, 11):
        assert np.all(picture == value, axis=-1).sum() >= 35
    assert not _has_color(picture, (12, 12, 12))


def test_a_grid_refuses_pictures_of_two_sizes():
    with pytest.raises(ValueError, match="one size"):
        canvas.grid([[np.zeros((2, 2, 3)), np.zeros((3, 2, 3))]])


def test_spread_frames_keep_both_ends():
    np.testing.assert_array_equal(canvas.spread(10, 4), [0, 3, 6, 9])
    np.testing.assert_array_equal(canvas.spread(3, 8), [0, 1, 2])
    np.testing.assert_array_equal(canvas.spread(1, 3), [0])


def test_overlay_tints_objects_and_greys_the_background(clip):
    frames = overlays.overlay(clip["video"], clip["masks"], min_side=16)
    assert _is_picture(frames, 4) and frames.shape == (5, 16, 16, 3)
    color = palette.slot_colors(2)[1]
    np.testing.assert_array_equal(frames[0, 4, 0], color)  # outline
    inside = np.rint((color + np.array([255.0, 0, 0])) / 2)
    np.testing.assert_allclose(frames[0, 6, 2], inside, atol=1)
    np.testing.assert_array_equal(frames[0, 15, 15], [64, 64, 64])


def test_slot_grid_draws_a_slot_on_white_where_its_mask_reaches(clip):
    picture = slot_grid.slot_grid(
        clip["video"],
        clip["video"],
        clip["masks"],
        clip["components"],
        min_side=8,
    )
    assert _is_picture(picture)
    assert _has_color(picture, palette.GREY)
    assert _has_color(picture, palette.slot_colors(2)[1])
    # An unused slot is white: its column holds no ink below the labels.
    last = picture[20:, -8:]
    assert np.all(last == 255)


@pytest.mark.parametrize("missing", ["masks", "components", "recon", "all"])
def test_slot_grid_leaves_out_what_is_not_given(clip, missing):
    given = {"recon": clip["video"], **clip}
    video = given.pop("video")
    full = slot_grid.slot_grid(video, **given)
    for name in list(given):
        if missing in (name, "all"):
            del given[name]
    picture = slot_grid.slot_grid(video, **given)
    assert _is_picture(picture)
    if missing in ("recon", "all"):
        assert picture.shape[1] < full.shape[1]


def test_slot_grid_shows_true_labels(clip):
    ids = clip["masks"].argmax(1)
    plain = slot_grid.slot_grid(clip["video"], masks=clip["masks"])
    picture = slot_grid.slot_grid(
        clip["video"], masks=clip["masks"], segmentation=ids
    )
    assert picture.shape[1] > plain.shape[1]
    assert _has_color(picture, palette.slot_colors(1)[0])


def test_video_panels_have_one_even_sized_picture_per_frame(clip):
    frames = video_panels.video_panels(
        clip["video"],
        clip["video"],
        clip["masks"],
        clip["masks"].argmax(1),
        with_overlay=True,
        min_side=11,
    )
    assert _is_picture(frames, 4) and len(frames) == 5
    assert frames.shape[1] % 2 == frames.shape[2] % 2 == 0
    assert np.any(frames[0] != frames[4])


def test_rollout_marks_the_predicted_frames(clip):
    picture = rollout.rollout(clip["video"], clip["video"], 3, clip["masks"])
    only_seen = rollout.rollout(
        clip["video"][:3], clip["video"][:3], 3, clip["masks"][:3]
    )
    assert _has_color(picture, (213, 94, 0))
    assert not _has_color(only_seen, (213, 94, 0))


def test_rollout_leaves_unknown_true_frames_empty(clip):
    known = rollout.rollout(clip["video"], clip["video"], 3)
    unknown = rollout.rollout(clip["video"][:3], clip["video"], 3)
    assert known.shape == unknown.shape
    assert (unknown == 255).sum() > (known == 255).sum()


@pytest.mark.parametrize(
    "observed, total, most", [(20, 30, 12), (3, 5, 12), (1, 40, 6), (5, 6, 2)]
)
def test_rollout_always_shows_both_sides_of_the_boundary(observed, total, most):
    frames = rollout._chosen(observed, total, most)
    assert {observed - 1, observed, total - 1} <= set(frames.tolist())
    assert len(frames) <= max(most, 3)


def test_rollout_video_frames_the_predicted_panels(clip):
    frames = rollout.rollout_video(
        clip["video"], clip["video"], 3, clip["masks"], min_side=16
    )
    assert len(frames) == 5
    assert not _has_color(frames[2], (213, 94, 0))
    assert _has_color(frames[3], (213, 94, 0))


def test_traversal_orders_latents_by_weight():
    shades = np.array([10, 120, 240], np.uint8)
    pictures = np.broadcast_to(
        shades[:, None, None, None, None], (3, 4, 8, 8, 1)
    )
    picture = traversal.traversal(
        pictures,
        weight=[0.1, 3.0, 1.0],
        values=[-2, -1, 1, 2],
        max_rows=2,
        min_side=8,
    )
    rows = [np.argmax(np.all(picture == s, -1).any(1)) for s in (120, 240)]
    assert 0 < rows[0] < rows[1]
    assert not _has_color(picture, (10, 10, 10))


def test_traversal_wants_a_number_for_each_latent():
    with pytest.raises(ValueError, match="each of 2 latents"):
        traversal.traversal(np.zeros((2, 3, 4, 4, 1)), dims=[5])
