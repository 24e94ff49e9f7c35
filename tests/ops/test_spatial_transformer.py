"""Glimpses through boxes, against an interpolation written as loops."""

import numpy as np
import pytest
import tensorflow as tf

from tfdecomp.ops import spatial_transformer
from tfdecomp.ops.spatial_transformer import (
    canvas_positions,
    glimpse_positions,
    take_glimpses,
)


def frames(*shape, seed=0):
    return np.random.default_rng(seed).random(shape).astype(np.float32)


def bilinear(picture, row, column):
    """One value of a picture that is zero outside."""
    height, width, channels = picture.shape
    value = np.zeros(channels)
    for r in range(int(np.floor(row)), int(np.floor(row)) + 2):
        for c in range(int(np.floor(column)), int(np.floor(column)) + 2):
            if 0 <= r < height and 0 <= c < width:
                share = (1 - abs(row - r)) * (1 - abs(column - c))
                value += share * picture[r, c]
    return value


def test_rows_of_a_glimpse_are_those_of_the_published_code():
    rows = glimpse_positions(
        tf.constant(17.0), tf.constant(14.0), 14, 48, "corners"
    )
    np.testing.assert_allclose(
        rows.numpy()[[0, 1, 2, 12, 13]],
        [9.79167, 10.84615, 11.90064, 22.44551, 23.5],
        atol=1e-5,
    )


@pytest.mark.parametrize("align", spatial_transformer.ALIGNMENTS)
def test_glimpses_are_interpolated_and_zero_outside(align):
    pictures = frames(2, 7, 9, 2)
    boxes = np.array(
        [
            [[3.1, 4.2, 4.0, 5.5], [0.5, 8.5, 6.0, 3.0], [3.0, 3.0, -4.0, 2.0]],
            [[6.5, 1.0, 5.0, 8.0], [50.0, 4.0, 3.0, 3.0], [3.5, 4.5, 7.0, 9.0]],
        ],
        np.float32,
    )
    cut = take_glimpses(
        tf.constant(pictures), tf.constant(boxes), (4, 5), align
    )
    assert cut.shape == (2, 3, 4, 5, 2)
    for b, k in np.ndindex(2, 3):
        y, x, h, w = boxes[b, k].astype(np.float64)
        for r, c in np.ndindex(4, 5):
            if align == "corners":
                row = 6 / 7 * (y + h * (r / 3 - 0.5))
                column = 8 / 9 * (x + w * (c / 4 - 0.5))
            else:
                row = y + h * ((r + 0.5) / 4 - 0.5) - 0.5
                column = x + w * ((c + 0.5) / 5 - 0.5) - 0.5
            np.testing.assert_allclose(
                cut[b, k, r, c],
                bilinear(pictures[b], row, column),
                atol=1e-5,
            )


@pytest.mark.parametrize("align", spatial_transformer.ALIGNMENTS)
def test_a_box_as_large_as_the_frame_returns_the_frame(align):
    pictures = frames(2, 6, 8, 3)
    boxes = np.tile(np.float32([3.0, 4.0, 6.0, 8.0]), (2, 1, 1))
    cut = take_glimpses(tf.constant(pictures), boxes, (6, 8), align)
    np.testing.assert_allclose(cut[:, 0], pictures, atol=1e-5)


def test_a_box_outside_of_the_frame_returns_zeros():
    boxes = np.float32([[[-9.0, 3.0, 4.0, 4.0], [3.0, 40.0, 4.0, 4.0]]])
    cut = take_glimpses(tf.constant(frames(1, 6, 8, 3)), boxes, (3, 3))
    assert not np.any(cut)


def test_a_box_that_is_no_number_does_not_end_the_run():
    frames = tf.ones([2, 8, 8, 1])
    boxes = tf.constant([[[4.0, 4.0, 3.0, 3.0]], [[np.nan, 4.0, 3.0, 3.0]]])
    glimpses = spatial_transformer.take_glimpses(frames, boxes, (3, 3))
    np.testing.assert_allclose(glimpses[0], 1.0, rtol=1e-6)
    # Nor is what is seen there, so that a loss will say so.
    assert np.isnan(glimpses[1]).all()


def test_a_box_of_negative_size_mirrors():
    pictures = tf.constant(frames(1, 8, 8, 1))
    box = np.float32([[[4.0, 4.0, 5.0, 3.0]]])
    plain = take_glimpses(pictures, box, (4, 4))
    turned = box * np.float32([1, 1, -1, 1])
    mirrored = take_glimpses(pictures, turned, (4, 4))
    np.testing.assert_allclose(plain[:, :, ::-1], mirrored, atol=1e-6)


def test_gradients_reach_the_box():
    pictures = tf.constant(frames(1, 8, 8, 1), tf.float32)
    box = np.array([[[3.3, 4.1, 4.7, 3.9]]], np.float32)

    def value(box):
        cut = take_glimpses(pictures, tf.constant(box, tf.float32), (5, 4))
        weights = np.arange(20).reshape(5, 4, 1) / 20
        return tf.reduce_sum(cut * weights)

    variable = tf.Variable(box)
    with tf.GradientTape() as tape:
        cut = take_glimpses(pictures, tf.convert_to_tensor(variable), (5, 4))
        total = tf.reduce_sum(cut * (np.arange(20).reshape(5, 4, 1) / 20))
    found = tape.gradient(total, variable)[0, 0]
    for i in range(4):
        step = np.zeros_like(box)
        step[..., i] = 1e-3
        slope = (value(box + step) - value(box - step)) / 2e-3
        np.testing.assert_allclose(found[i], slope, rtol=0.02, atol=1e-3)


def test_a_canvas_reads_the_sprite_at_its_own_pixels():
    # A box of the sprite's size whose corner is pixel (2, 2).
    rows = canvas_positions(
        tf.constant(4.5), tf.constant(5.0), 5, tf.range(2.0, 7.0)
    )
    np.testing.assert_allclose(rows, np.arange(5), atol=1e-6)


def test_unknown_alignment_is_an_error():
    with pytest.raises(ValueError, match="corners"):
        take_glimpses(tf.zeros([1, 4, 4, 1]), tf.zeros([1, 1, 4]), (2, 2), "no")
