"""What every scene of digits and its labels must satisfy."""

import numpy as np
import pytest
import scipy.ndimage

from tests.data.building import battery
from tfdecomp.simulation.digits import digit_banks, digit_strokes, multi_digits

PUBLISHED = multi_digits.MultiDigits()
QUICK = multi_digits.MultiDigits(size=36, cell=8)
HELDOUT = multi_digits.MultiDigits(size=36, cell=8, pool_split="heldout")
DIGITS = digit_banks.Offline("digits")
LOOKS = pytest.mark.parametrize("look", [PUBLISHED, QUICK], ids=["64", "36"])


def _make(start=0, stop=24, split="train", look=QUICK, load=DIGITS, **rest):
    rest = {"seed": 0, "stream": "s", **rest}
    return multi_digits.generate(look, load, split, start, stop, **rest)


def _few_strokes():
    images, labels = digit_strokes.draw(40)
    return digit_banks.Bank("few", images, labels, 255, 40)


def _sources(examples):
    return {
        int(source)
        for e in examples
        for source in e["factors"]["source_index"][: e["num_objects"]]
    }


@LOOKS
def test_counts_go_round_and_a_numbered_test_has_its_number(look):
    for split in ("train", "validation", "test"):
        counts = [e["num_objects"] for e in _make(split=split, look=look)]
        assert counts == [0, 1, 2, 3] * 6
    for count in (0, 5, 7):
        examples = _make(split=f"test{count}", look=look)
        assert {e["num_objects"] for e in examples} == {count}


@pytest.mark.parametrize("split", ["train", "test7"])
@pytest.mark.parametrize(
    "look, load",
    [
        (PUBLISHED, DIGITS),
        (QUICK, DIGITS),
        (multi_digits.MultiDigits(pool_size=30), _few_strokes),
    ],
    ids=["64", "36", "strokes"],
)
def test_every_digit_is_the_one_of_the_bank_that_it_says(look, load, split):
    bank, half = load(), look.cell / 2
    for example in _make(split=split, look=look, load=load):
        ids = example["segmentation"][0, ..., 0]
        np.testing.assert_array_equal(
            example["video"][0, ..., 0], 255 * (ids > 0)
        )
        drawn = np.zeros_like(ids)
        factors = example["factors"]
        for slot in range(example["num_objects"]):
            source = factors["source_index"][slot]
            assert factors["label"][slot] == bank.labels[source]
            assert source < look.pool_size
            top, left = factors["position"][0, slot] - half
            image = bank.images[source] / bank.white
            size = len(image)
            centres = (np.arange(look.cell) + 0.5) * size / look.cell - 0.5
            grid = np.meshgrid(centres, centres, indexing="ij")
            lit = scipy.ndimage.map_coordinates(
                image, grid, order=1, mode="nearest"
            )
            rows = slice(int(top), int(top) + look.cell)
            columns = slice(int(left), int(left) + look.cell)
            drawn[rows, columns][lit > 0.5 - 1e-9] = slot + 1
        np.testing.assert_array_equal(ids, drawn)


@LOOKS
@pytest.mark.parametrize("split", ["train", "test7"])
def test_cells_are_disjoint_and_boxes_tight(look, split):
    for example in _make(split=split, look=look):
        ids, count = example["segmentation"][0, ..., 0], example["num_objects"]
        claimed = np.zeros(ids.shape, int)
        for slot in range(count):
            rows, columns = np.nonzero(ids == slot + 1)
            box = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
            assert example["boxes"][0, slot].tolist() == box
            corner = example["factors"]["position"][0, slot] - look.cell / 2
            top, left = corner.astype(int)
            assert (corner == [top, left]).all()
            claimed[top : top + look.cell, left : left + look.cell] += 1
        assert claimed.max(initial=0) <= 1
        assert claimed.sum() == count * look.cell**2  # all inside the frame
        for key in ("visibility", "visible_fraction"):
            assert (example[key][0, :count] == 1).all()


@LOOKS
def test_cells_reach_the_edges_of_the_frame(look):
    examples = _make(0, 400, split="test7", look=look)
    places = np.concatenate([e["factors"]["position"][0] for e in examples])
    half = look.cell / 2
    assert places.min() == half and places.max() == look.size - half


def test_all_digits_of_the_pool_occur_about_equally_often():
    look = multi_digits.MultiDigits(size=36, cell=8, pool_size=20)
    examples = _make(0, 300, split="test7", look=look)
    picked = [e["factors"]["source_index"] for e in examples]
    counts = np.bincount(np.concatenate(picked), minlength=20)
    # 105 each are expected, with a standard deviation of 10.
    assert len(counts) == 20 and 60 < counts.min() <= counts.max() < 150


def test_held_out_tests_show_other_digits_at_the_same_places():
    train = _make(0, 400, look=HELDOUT)
    assert battery.digest(train) == battery.digest(_make(0, 400))
    assert max(_sources(train)) < 1000
    for split in ("test", "test7"):
        test, shared = _make(split=split, look=HELDOUT), _make(split=split)
        assert min(_sources(test)) >= 1000 > max(_sources(shared))
        for one, other in zip(test, shared):
            np.testing.assert_array_equal(
                one["factors"]["position"], other["factors"]["position"]
            )


def test_disjoint_splits_never_show_the_same_digit():
    look = multi_digits.MultiDigits(
        size=36, cell=8, pool_size=100, pool_split="disjoint"
    )
    splits = ("train", "validation", "test")
    shown = [_sources(_make(0, 200, split=s, look=look)) for s in splits]
    assert len(set.union(*shown)) == sum(map(len, shown)) > 90
    assert _sources(_make(split="test7", look=look)) <= shown[2]


def test_digits_without_a_lit_pixel_are_left_out():
    images = np.zeros((4, 28, 28), np.uint8)
    images[1:3] = 255
    images[3, 5, 5] = 100
    load = _Bank(digit_banks.Bank("faint", images, np.arange(4), 255, 4))
    look = multi_digits.MultiDigits(pool_size=4)
    assert _sources(_make(load=load, look=look)) == {1, 2}
    dark = _Bank(digit_banks.Bank("dark", images[:1], np.arange(1), 255, 1))
    with pytest.raises(ValueError, match="no digit with a lit pixel"):
        _make(load=dark, look=multi_digits.MultiDigits(pool_size=1))


class _Bank:
    """Hands out a bank; every object is another key of the cache."""

    def __init__(self, bank):
        self.bank = bank

    def __call__(self):
        return self.bank


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"num_digits": ()}, "num_digits lists counts"),
        ({"num_digits": (1, -1)}, "num_digits lists counts"),
        ({"max_objects": 2}, "max_objects is 2, but scenes have up to 3"),
        ({"cell": 65}, "cell is 65"),
        ({"cell": 0}, "cell is 0"),
        ({"cell": 30}, "3 cells of 30 px would cover 66%"),
        ({"pool_split": "all"}, "pool_split is one of"),
        ({"pool_size": -3}, "pool_size must be at least 0"),
    ],
)
def test_what_cannot_be_made_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        multi_digits.MultiDigits(**fields)


def test_unknown_splits_are_refused():
    with pytest.raises(ValueError, match="unknown split 'crowd'"):
        _make(split="crowd")


def test_cells_that_do_not_fit_end_in_an_error(monkeypatch):
    monkeypatch.setattr(multi_digits, "MAX_RESTARTS", 3)
    # Not even one beside the other.
    look = multi_digits.MultiDigits(size=17, cell=9, num_digits=(2,))
    with pytest.raises(ValueError, match="could not place 2 cells"):
        _make(look=look)
