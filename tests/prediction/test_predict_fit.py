"""Frames that do not fit the model, and the way back."""

import numpy as np
import pytest

from tfdecomp.data.formats import rle
from tfdecomp.prediction.fit import UNSEEN, Fit


def slots_pixel_by_pixel(masks, frame_size, window):
    """Bilinear interpolation as a loop over pixels.

    Args:
        masks: `[K, h, w]`.
        frame_size: `(H, W)`.
        window: `(top, left, rows, columns)` where the frame lies in the
            picture.
    """
    top, left, rows, columns = window
    _, h, w = masks.shape
    first = max(0, top), max(0, left)
    last = min(h, top + rows) - 1, min(w, left + columns) - 1
    found = np.full(frame_size, UNSEEN)
    for i, j in np.ndindex(*frame_size):
        y = top + (i + 0.5) * rows / frame_size[0]
        x = left + (j + 0.5) * columns / frame_size[1]
        if not (0 <= y <= h and 0 <= x <= w):
            continue
        y = min(max(y - 0.5, first[0]), last[0])
        x = min(max(x - 0.5, first[1]), last[1])
        r, c = int(np.floor(y)), int(np.floor(x))
        below, right = min(r + 1, last[0]), min(c + 1, last[1])
        a, b = y - r, x - c
        values = (1 - a) * (
            (1 - b) * masks[:, r, c] + b * masks[:, r, right]
        ) + a * ((1 - b) * masks[:, below, c] + b * masks[:, below, right])
        found[i, j] = np.argmax(values)
    return found


@pytest.mark.parametrize(
    ("frame_size", "how", "window"),
    [
        ((24, 24), "letterbox", (0, 0, 8, 8)),
        ((24, 48), "letterbox", (2, 0, 4, 8)),
        ((47, 13), "letterbox", (0, 3, 8, 2)),
        ((5, 6), "letterbox", (0, 0, 7, 8)),
        ((24, 48), "crop", (0, -4, 8, 16)),
        ((31, 17), "crop", (-3, 0, 15, 8)),
        ((24, 48), "stretch", (0, 0, 8, 8)),
        ((1, 1), "letterbox", (0, 0, 8, 8)),
    ],
)
def test_slots_come_back_where_they_were(frame_size, how, window):
    masks = np.random.default_rng(0).dirichlet(np.ones(3), (8, 8))
    masks = masks.transpose(2, 0, 1)  # [K, 8, 8]
    fit = Fit(frame_size, (8, 8), 3, how)
    found = fit.slots(masks[..., None])
    expected = slots_pixel_by_pixel(masks, frame_size, window)
    # Exact ties may go either way after rounding.
    assert np.mean(found == expected) > 0.995
    np.testing.assert_array_equal(found == UNSEEN, expected == UNSEEN)


@pytest.mark.parametrize("how", ["letterbox", "crop", "stretch"])
@pytest.mark.parametrize("frame_size", [(60, 100), (101, 63), (64, 64)])
def test_a_square_goes_to_the_model_and_back(frame_size, how):
    frame = np.zeros((*frame_size, 3), np.uint8)
    box = np.array([20, 24, 44, 48])
    frame[20:44, 24:48] = 255
    fit = Fit(frame_size, (32, 32), 3, how)
    white = fit.picture(frame)[..., :1] / 255
    found = fit.slots(np.stack([1 - white, white]))
    assert np.mean((found == 1) != (frame[..., 0] > 0)) < 0.02
    # The model's box of the square, by its pixels, comes back as well.
    rows = np.flatnonzero(white[..., 0].max(1) > 0.5)
    columns = np.flatnonzero(white[..., 0].max(0) > 0.5)
    own = [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]
    np.testing.assert_allclose(fit.boxes(own), box, atol=2.2)


def test_a_letterbox_shows_all_between_black_bars():
    frame = np.full((10, 40, 3), 200, np.uint8)
    fit = Fit((10, 40), (16, 16), 1)
    picture = fit.picture(frame)
    assert picture.shape == (16, 16, 1)
    np.testing.assert_array_equal(picture[6:10], 200)
    assert not picture[:6].any() and not picture[10:].any()
    assert fit.without_bars(picture[None]).shape == (1, 4, 16, 1)


def test_boxes_are_cut_to_the_frame():
    fit = Fit((10, 40), (16, 16), 3)
    np.testing.assert_allclose(fit.boxes([0, 0, 16, 16]), [0, 0, 10, 40])


def test_grey_is_the_mean_of_the_colours():
    frame = np.tile(np.array([30, 60, 210], np.uint8), (8, 8, 1))
    picture = Fit((8, 8), (8, 8), 1).picture(frame)
    np.testing.assert_array_equal(picture, 100)


def test_another_way_to_fit_is_refused():
    with pytest.raises(ValueError, match="letterbox, crop, stretch"):
        Fit((8, 8), (8, 8), 3, "zoom")


def decoded(code):
    """The mask of a COCO code: letters, then runs, then columns."""
    counts, place, letters = [], 0, code["counts"]
    while place < len(letters):
        value = shift = 0
        while True:
            letter = ord(letters[place]) - 48
            value += (letter % 32) * 2**shift
            place, shift = place + 1, shift + 5
            if letter < 32:
                break
        if letter >= 16:
            value -= 2**shift
        if len(counts) > 2:
            value += counts[-2]
        counts.append(value)
    height, width = code["size"]
    bits = np.repeat(np.arange(len(counts)) % 2, counts)
    return bits.reshape(width, height).T.astype(bool)


@pytest.mark.parametrize("kind", ["noise", "blob", "empty", "full"])
def test_run_lengths_are_those_of_coco(kind):
    rows, columns = np.mgrid[:37, :90]
    mask = {
        "noise": np.random.default_rng(1).random((37, 90)) < 0.4,
        "blob": np.hypot(rows - 17, columns - 52) < 16,
        "empty": np.zeros((37, 90), bool),
        "full": np.ones((37, 90), bool),
    }[kind]
    code = rle.encode(mask)
    assert code["size"] == [37, 90]
    np.testing.assert_array_equal(decoded(code), mask)


def test_run_lengths_of_a_known_mask():
    # From pycocotools.mask.encode.
    mask = np.zeros((6, 5), bool)
    mask[1:4, 1:3] = mask[5, 4] = True
    assert rle.encode(mask) == {"size": [6, 5], "counts": "7330:N"}
