"""What every video of scattered digits must satisfy."""

import numpy as np
import pytest
import scipy.ndimage

from tfdecomp.simulation import scattered
from tfdecomp.simulation.digits import digit_banks, scattered_digits

DIGITS = digit_banks.Offline("digits")
STROKES = digit_banks.Offline("strokes")
LOOK = scattered_digits.ScatteredDigits()
# Smaller, so that whole pools pass by in a moment.
STILL = scattered_digits.ScatteredDigits(
    scattered.Scatter(num_frames=1, num_objects=(6, 6))
)
SPLITS = ("train", "validation", "test")


def _make(start=0, stop=8, split="train", look=LOOK, load=DIGITS, **rest):
    rest = {"seed": 0, "stream": "s", **rest}
    return scattered_digits.generate(look, load, split, start, stop, **rest)


def _picture(bank, source, side):
    """A digit blurred and scaled by SciPy, 0 to 255."""
    image = bank.images[source] / bank.white
    sigma = (len(image) / side - 1) / 2
    if sigma > 0:
        image = scipy.ndimage.gaussian_filter(image, sigma, mode="constant")
    centres = (np.arange(side) + 0.5) * len(image) / side - 0.5
    grid = np.meshgrid(centres, centres, indexing="ij")
    values = scipy.ndimage.map_coordinates(image, grid, order=1, mode="nearest")
    return np.round(255 * values)


@pytest.mark.parametrize("load", [DIGITS, STROKES], ids=lambda o: o.name)
def test_single_digits_are_those_of_the_bank_in_white(load):
    bank = load()
    look = scattered_digits.ScatteredDigits(pool_size=300)
    for example in _make(split="test_n01", look=look, load=load):
        source = example["factors"]["source_index"][0]
        assert example["factors"]["label"][0] == bank.labels[source]
        cell = _picture(bank, source, 14)
        rows, columns = np.nonzero(cell)
        cell = cell[rows.min() : rows.max() + 1, columns.min() :][
            :, : np.ptp(columns) + 1
        ]
        for t, box in enumerate(example["boxes"][:, 0].astype(int)):
            top, left, bottom, right = box
            seen = example["video"][t, top:bottom, left:right]
            assert (seen == seen[..., :1]).all()
            np.testing.assert_allclose(seen[..., 0], cell, atol=1)
            mask = example["segmentation"][t, top:bottom, left:right, 0]
            np.testing.assert_array_equal(mask, seen[..., 0] >= 64)
            outside = example["video"][t].copy()
            outside[top:bottom, left:right] = 0
            assert not outside.any()


def test_boxes_stay_inside_and_move_by_at_most_the_speed():
    for example in _make(0, 30):
        boxes = example["boxes"][:, : example["num_objects"]]
        assert boxes.min() >= 0 and boxes.max() <= 48
        assert np.abs(np.diff(boxes, axis=0)).max() <= 3  # of whole pixels
        sides = boxes[..., 2:] - boxes[..., :2]
        assert (sides == sides[0]).all()


def test_disjoint_splits_never_show_the_same_digit():
    shown = []
    for split in SPLITS:
        made = _make(0, 300, split, STILL)
        made += _make(
            0, 60, f"{split}_n06" if split != "train" else split, STILL
        )
        shown.append(
            {int(s) for e in made for s in e["factors"]["source_index"][:6]}
        )
    assert len(set.union(*shown)) == sum(map(len, shown))
    assert min(map(len, shown)) > 150


def test_digits_are_drawn_uniformly_with_replacement():
    look = scattered_digits.ScatteredDigits(
        STILL.scatter, pool_size=60, pool_split="shared"
    )
    made = _make(0, 400, look=look)
    counts = np.bincount(
        np.concatenate([e["factors"]["source_index"][:6] for e in made]),
        minlength=60,
    )
    # 40 each are expected, with a standard deviation of 6.
    assert 15 < counts.min() <= counts.max() < 68


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"cell": 49}, "cell is 49"),
        ({"cell": 0}, "cell is 0"),
        ({"pool_split": "all"}, "pool_split is one of"),
        ({"pool_size": -3}, "pool_size must be at least 0"),
    ],
)
def test_what_cannot_be_made_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        scattered_digits.ScatteredDigits(**fields)
