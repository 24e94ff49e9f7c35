"""Steps of the pipeline that have an answer by hand."""

import zlib

import numpy as np
import pytest
import tensorflow as tf

from tfdecomp.data import preprocess


@pytest.mark.parametrize("encoding", ["zlib", "bytes"])
@pytest.mark.parametrize("start, count, stride", [(0, 7, 1), (2, 3, 2)])
def test_decoded_frames_are_those_asked_for(encoding, start, count, stride):
    video = np.random.default_rng(0).integers(0, 256, (7, 4, 5, 3), np.uint8)
    raw = video.tobytes()
    data = zlib.compress(raw) if encoding == "zlib" else raw
    frames = preprocess.decode_frames(
        tf.constant(data), encoding, video.shape, start, count, stride
    )
    last = start + (count - 1) * stride + 1
    np.testing.assert_array_equal(frames, video[start:last:stride])


def test_crop_moves_boxes_and_hides_what_it_cuts_off():
    example = {
        "video": tf.reshape(tf.range(64, dtype=tf.int32), (1, 8, 8, 1)),
        "boxes": tf.constant([[[1.0, 1, 4, 5], [0.0, 0, 2, 8]]]),
        "visibility": tf.constant([[1, 1]], tf.uint8),
        "factors/position": tf.constant([[[2.5, 3.0], [1.0, 4.0]]]),
    }
    out = preprocess.crop(example, (2, 1, 4, 6))
    np.testing.assert_array_equal(out["video"][0, 0, :, 0], range(17, 23))
    assert out["video"].shape == (1, 4, 6, 1)
    np.testing.assert_array_equal(out["boxes"][0], [[0, 0, 2, 4], [0, 0, 0, 0]])
    np.testing.assert_array_equal(out["visibility"], [[1, 0]])
    np.testing.assert_array_equal(
        out["factors/position"][0], [[0.5, 2.0], [-1.0, 3.0]]
    )


def test_resize_scales_everything_measured_in_pixels():
    ids = np.kron([[0, 1], [2, 255]], np.ones((4, 4))).astype(np.uint8)
    example = {
        "video": tf.constant(ids[None, None, ..., None]),
        "segmentation": tf.constant(ids[None, None, ..., None]),
        "boxes": tf.constant([[[[0.0, 4, 4, 8]]]]),
        "factors/position": tf.constant([[[[2.0, 6.0]]]]),
        "factors/velocity": tf.constant([[[[1.0, -1.0]]]]),
        "factors/radius": tf.constant([[4.0]]),
    }
    out = preprocess.resize(example, (4, 16))
    np.testing.assert_array_equal(
        out["segmentation"][0, 0, ..., 0], ids[::2].repeat(2, 1)
    )
    np.testing.assert_array_equal(out["boxes"][0, 0, 0], [0, 8, 2, 16])
    np.testing.assert_array_equal(out["factors/position"][0, 0, 0], [1.0, 12.0])
    np.testing.assert_array_equal(out["factors/velocity"][0, 0, 0], [0.5, -2.0])
    np.testing.assert_allclose(out["factors/radius"], [[4.0]])
    assert out["video"].dtype == tf.uint8


@pytest.mark.parametrize("method", ["area", "bilinear", "bicubic"])
def test_halving_a_picture_averages_it(method):
    video = np.zeros((1, 1, 8, 8, 1), np.uint8)
    video[..., ::2, :] = 100
    half = preprocess.resize({"video": tf.constant(video)}, (4, 4), method)
    inner = half["video"].numpy()[0, 0, 1:-1, 1:-1, 0]
    np.testing.assert_allclose(inner, 50, atol=6)


def test_missing_slots_are_filled_with_zeros():
    example = {
        "boxes": tf.ones((5, 2, 4)),
        "visibility": tf.ones((5, 2)),
        "object_ids": tf.constant([1, 2]),
        "factors/position": tf.ones((5, 2, 2)),
        "factors/color": tf.ones((2, 3)),
        "video": tf.ones((5, 8, 8, 3)),
    }
    out = preprocess.pad_slots(example, 6, ["position"])
    assert out["boxes"].shape == (5, 6, 4)
    assert out["visibility"].shape == (5, 6)
    assert out["factors/position"].shape == (5, 6, 2)
    assert out["factors/color"].shape == (6, 3)
    assert out["video"].shape == (5, 8, 8, 3)
    np.testing.assert_array_equal(out["object_ids"], [1, 2, 0, 0, 0, 0])
    assert not out["boxes"][:, 2:].numpy().any()


def test_one_hot_masks_sum_to_one_where_a_pixel_counts():
    ids = tf.constant([[[0], [1]], [[2], [255]]], tf.uint8)
    masks, weights = preprocess.to_one_hot(ids, 2)
    np.testing.assert_array_equal(weights, [[1, 1], [1, 0]])
    np.testing.assert_array_equal(tf.reduce_sum(masks, -1), weights)
    np.testing.assert_array_equal(masks[1, 0], [0, 0, 1])
    np.testing.assert_array_equal(
        preprocess.foreground_mask(ids)[..., 0], [[False, True], [True, False]]
    )


def test_bits_and_box_forms():
    video = tf.constant([0, 127, 128, 255], tf.uint8)
    np.testing.assert_array_equal(preprocess.to_bits(video), [0, 0, 1, 1])
    box = tf.constant([1.0, 2.0, 4.0, 8.0])
    np.testing.assert_array_equal(preprocess.boxes_yxhw(box), [2.5, 5, 3, 6])
    np.testing.assert_array_equal(
        preprocess.to_reference_boxes(box), [0.5, 1.5, 3.5, 7.5]
    )


def test_count_filter_includes_its_bounds():
    keep = preprocess.count_filter(3, 5)
    kept = [bool(keep({"num_objects": tf.constant(n)})) for n in range(2, 7)]
    assert kept == [False, True, True, True, False]
