"""Run lengths as COCO writes them."""

import numpy as np
import pytest

from tfdecomp.data.formats import rle


def _coco_text(mask):
    """Run lengths down the columns as text, one bit group at a time."""
    runs, value, length = [], False, 0
    for column in range(mask.shape[1]):
        for row in range(mask.shape[0]):
            if mask[row, column] != value:
                runs.append(length)
                value, length = not value, 0
            length += 1
    runs.append(length)
    text = ""
    for place, run in enumerate(runs):
        number = run - runs[place - 2] if place > 2 else run
        more = True
        while more:
            group = number & 31
            number >>= 5
            more = number != (-1 if group & 16 else 0)
            text += chr(48 + group + (32 if more else 0))
    return text


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
def test_decoding_gives_back_what_was_encoded(share):
    rng = np.random.default_rng(3)
    for _ in range(5):
        size = tuple(rng.integers(1, 60, 2))
        mask = rng.random(size) < share
        text = _coco_text(mask)
        np.testing.assert_array_equal(rle.decode(text, size), mask)
        assert rle.encode(mask)["counts"] == text


@pytest.mark.parametrize("columns", [(0, 3), (2, 5), (4, 7), (0, 7), (3, 3)])
def test_only_the_columns_that_hold_a_mask_are_looked_at(columns):
    rng = np.random.default_rng(5)
    where = slice(*columns)
    for share in (0.5, 1.0):
        mask = np.zeros((4, 7), bool)
        mask[:, where] = rng.random(mask[:, where].shape) < share
        assert rle.encode(mask, where) == rle.encode(mask)


def test_runs_go_down_the_columns():
    # Runs 1, 2, 3: zero, two ones, three zeros of two rows, three columns.
    expected = [[0, 1, 0], [1, 0, 0]]
    assert rle.decode("123", (2, 3)).astype(int).tolist() == expected


def test_a_known_text_is_read():
    # From pycocotools.mask.encode.
    mask = np.zeros((6, 5), bool)
    mask[1:4, 1:3] = mask[5, 4] = True
    np.testing.assert_array_equal(rle.decode("7330:N", (6, 5)), mask)


@pytest.mark.parametrize(
    "text, words",
    [
        ("7330:N1", "pixels, expected 30 of 6 rows"),
        ("", "0 pixels"),
        ("7 30", "character 1 is no number"),
        ("7Q", "ends within a number"),
        ("733@:N", "the runs"),
    ],
)
def test_what_is_no_mask_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        rle.decode(text, (6, 5))
