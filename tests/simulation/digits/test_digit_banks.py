"""Banks of digits, what is made of them, and who may show which."""

import numpy as np
import pytest
import scipy.ndimage
from sklearn import datasets, neighbors

from tfdecomp.simulation.digits import digit_banks, digit_strokes


@pytest.fixture(scope="module")
def digits():
    return digit_banks.Offline("digits")()


@pytest.fixture(scope="module")
def small():
    """Ten of each class and five test digits, in this order."""
    labels = np.concatenate([np.arange(100) % 10, np.arange(5)])
    images = np.arange(105, dtype=np.uint8).repeat(16).reshape(-1, 4, 4)
    return digit_banks.Bank("small", images, labels, 255, 100)


def test_digits_are_those_of_scikit_learn(digits):
    found = datasets.load_digits()
    np.testing.assert_array_equal(digits.images, found.images)
    np.testing.assert_array_equal(digits.labels, found.target)
    assert len(digits.images) == digit_banks.SIZES["digits"]
    assert digits.images.max() == digits.white


@pytest.mark.parametrize("side", [8, 15])
def test_no_digit_vanishes_when_it_becomes_black_and_white(digits, side):
    cells = digit_banks.scaled(digits, np.arange(1797), side) >= 0.5
    assert cells.any((1, 2)).all()


@pytest.mark.parametrize("size, side", [(28, 15), (28, 14), (8, 15), (8, 5)])
def test_resizing_is_bilinear_between_half_pixel_centres(size, side):
    images = np.random.default_rng(0).random((3, size, size))
    centres = (np.arange(side) + 0.5) * size / side - 0.5
    grid = np.meshgrid(centres, centres, indexing="ij")
    for image, made in zip(images, digit_banks.resized(images, side)):
        expected = scipy.ndimage.map_coordinates(
            image, grid, order=1, mode="nearest"
        )
        np.testing.assert_allclose(made, expected, atol=1e-12)


def test_the_own_size_leaves_pictures_alone():
    images = np.random.default_rng(0).random((3, 8, 8))
    np.testing.assert_array_equal(digit_banks.resized(images, 8), images)


@pytest.mark.parametrize("sigma", [0.5, 1.3])
def test_the_blur_is_scipys(sigma):
    images = np.random.default_rng(0).random((3, 12, 12))
    for image, made in zip(images, digit_banks.blurred(images, sigma)):
        expected = scipy.ndimage.gaussian_filter(image, sigma, mode="constant")
        np.testing.assert_allclose(made, expected, atol=1e-12)


def test_scaled_digits_lie_between_black_and_white_in_the_order_asked(digits):
    index = np.array([5, 3, 5])
    values = digit_banks.scaled(digits, index, 8)
    np.testing.assert_array_equal(values, digits.images[index] / 16)
    soft = digit_banks.scaled(digits, index, 14, sigma=0.5)
    assert soft.shape == (3, 14, 14) and 0 <= soft.min() <= soft.max() <= 1
    np.testing.assert_array_equal(soft[0], soft[2])


def test_many_digits_are_scaled_as_few_are(digits, monkeypatch):
    index = np.arange(50)
    whole = digit_banks.scaled(digits, index, 15)
    monkeypatch.setattr(digit_banks, "_CHUNK", 7)
    np.testing.assert_array_equal(digit_banks.scaled(digits, index, 15), whole)


def test_drawn_digits_do_not_depend_on_how_many_there_are(monkeypatch):
    images, labels = digit_strokes.draw(30)
    monkeypatch.setattr(digit_strokes, "_CHUNK", 4)
    fewer, _ = digit_strokes.draw(13)
    np.testing.assert_array_equal(images[:13], fewer)
    np.testing.assert_array_equal(labels, list(range(10)) * 3)
    other, _ = digit_strokes.draw(13, seed=1)
    assert not np.array_equal(other, fewer)


def test_drawn_digits_are_told_apart_by_their_neighbours():
    images, labels = digit_strokes.draw(600)
    flat = images.reshape(600, -1) / 255
    judge = neighbors.KNeighborsClassifier(3).fit(flat[:400], labels[:400])
    assert judge.score(flat[400:], labels[400:]) > 0.9


def test_drawn_digits_are_white_strokes_in_the_middle():
    images, _ = digit_strokes.draw(300)
    assert (images.max((1, 2)) > 200).all()
    assert not images[:, [0, -1]].any() and not images[:, :, [0, -1]].any()
    # The centre of the ink, joints counted once; the path counts them twice.
    for image in images[:50]:
        middle = np.add(scipy.ndimage.center_of_mass(image), 0.5)
        assert np.abs(middle - 14).max() < 2.5


def test_a_shared_pool_is_the_beginning_of_the_training_part(small):
    pools = digit_banks.pools(small, "shared", 30)
    for index in pools.values():
        np.testing.assert_array_equal(index, np.arange(30))
    everything = digit_banks.pools(small, "shared")
    np.testing.assert_array_equal(everything["test"], np.arange(100))


def test_held_out_digits_are_all_that_the_pool_leaves(small):
    pools = digit_banks.pools(small, "heldout", 30)
    np.testing.assert_array_equal(pools["train"], np.arange(30))
    np.testing.assert_array_equal(pools["validation"], np.arange(30))
    np.testing.assert_array_equal(pools["test"], np.arange(30, 105))
    # With all of the training part, the test part is left.
    pools = digit_banks.pools(small, "heldout", 100)
    np.testing.assert_array_equal(pools["test"], np.arange(100, 105))


def test_disjoint_pools_have_their_tenths_of_every_class(digits):
    pools = digit_banks.pools(digits, "disjoint", 1000)
    together = np.sort(np.concatenate(list(pools.values())))
    np.testing.assert_array_equal(together, np.arange(1000))
    for label in range(10):
        every = np.flatnonzero(digits.labels[:1000] == label)
        cuts = [int(0.8 * len(every)), int(0.9 * len(every))]
        for name, some in zip(pools, np.split(every, cuts)):
            mine = pools[name][digits.labels[pools[name]] == label]
            np.testing.assert_array_equal(mine, some)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("shared", 10_000), "10,000 digits asked, 'digits' has 1,797"),
        (("disjoint", 1_798), "1,798 digits asked, 'digits' has 1,797"),
        (("heldout", 0), "none of them is left for the test"),
        (("shared", -1), "must be at least 0, not -1"),
        (("alone", 10), "pool_split is one of"),
    ],
)
def test_pools_that_a_bank_cannot_give_are_refused(digits, arguments, message):
    with pytest.raises(ValueError, match=message):
        digit_banks.pools(digits, *arguments)


def test_only_two_banks_need_no_file():
    with pytest.raises(ValueError, match="not from 'mnist'"):
        digit_banks.Offline("mnist")
