"""What every picture of textured digits and its labels must satisfy."""

import numpy as np
import pytest

from tfdecomp.simulation.digits import digit_banks, textured_digits

ONE = textured_digits.TexturedDigits(cell=20)
TWO = textured_digits.TexturedDigits(cell=20, num_digits=2)
DIGITS = digit_banks.Offline("digits")
LOOKS = pytest.mark.parametrize("look", [ONE, TWO], ids=["one", "two"])


def _make(look, start=0, stop=12, split="train", **rest):
    rest = {"seed": 0, "stream": "s", **rest}
    return textured_digits.generate(look, DIGITS, split, start, stop, **rest)


def _cells(look, example):
    """Grey values of the digits where they lie, `[n, H, W]` from 0 to 255."""
    factors = example["factors"]
    bank, placed = DIGITS(), []
    for slot in range(look.num_digits):
        index = factors["source_index"][slot : slot + 1]
        (cell,) = digit_banks.scaled(bank, index, look.cell)
        frame = np.zeros((look.size, look.size))
        top, left = (factors["position"][0, slot] - look.cell / 2).astype(int)
        frame[top : top + look.cell, left : left + look.cell] = cell
        placed.append(frame)
    return np.round(np.round(255 * np.stack(placed), 6))  # ties: to even


def test_there_are_twenty_different_textures_from_black_to_white():
    waves = textured_digits.textures(28, 0)
    assert waves.shape == (20, 38, 38)
    np.testing.assert_array_equal(waves.min((1, 2)), 0)
    np.testing.assert_array_equal(waves.max((1, 2)), 1)
    assert len(set(textured_digits.FREQUENCIES)) == 20
    assert len({wave.tobytes() for wave in waves}) == 20


def test_a_texture_is_a_single_coefficient_of_a_fourier_transform():
    for wave, pair in zip(
        textured_digits.textures(28, 3), textured_digits.FREQUENCIES
    ):
        power = np.abs(np.fft.fft2(wave - wave.mean())) > 1e-4
        twin = tuple(-number % 38 for number in pair)  # of a real picture
        assert set(map(tuple, np.argwhere(power))) == {pair, twin}


@LOOKS
def test_the_ground_is_a_window_of_one_texture(look):
    waves = textured_digits.textures(look.size, look.texture_seed)
    windows = np.lib.stride_tricks.sliding_window_view(
        np.round(255 * waves), (look.size,) * 2, (1, 2)
    )  # [20, 11, 11, H, W]
    for example in _make(look, stop=4):
        away = (_cells(look, example) == 0).all(0)
        grey = example["video"][0, ..., 0].astype(float)
        off = np.abs(windows - grey)[..., away].max(-1)
        texture = np.argwhere(off <= 1)
        assert len(set(texture[:, 0])) == 1
        used = example["factors"]["texture"][: look.num_digits]
        assert texture[0, 0] not in used
        assert len(set(used)) == look.num_digits


@LOOKS
def test_the_label_is_the_front_digit_where_it_is_more_than_half(look):
    for example in _make(look):
        cells = _cells(look, example)
        expected = np.zeros((look.size, look.size), int)
        for slot, cell in enumerate(cells):
            expected[cell >= textured_digits.SOLID] = slot + 1
        np.testing.assert_array_equal(
            example["segmentation"][0, ..., 0], expected
        )
        assert example["num_objects"] == look.num_digits


def test_two_digits_are_moved_apart_and_either_is_in_front():
    moves = [e["factors"]["position"][0] - 14 for e in _make(TWO, stop=40)]
    assert {tuple(m.ravel()) for m in moves} == {(-2, -2, 2, 2), (2, 2, -2, -2)}
    assert not (_make(ONE, stop=1)[0]["factors"]["position"][0, 0] - 14).any()


def test_splits_show_other_digits_and_the_same_textures():
    def seen(split):
        factors = [e["factors"] for e in _make(ONE, stop=400, split=split)]
        sources = {int(f["source_index"][0]) for f in factors}
        return sources, {int(f["texture"][0]) for f in factors}

    parts = [seen(split) for split in ("train", "validation", "test")]
    assert not parts[0][0] & parts[1][0] | parts[0][0] & parts[2][0]
    assert all(textures == set(range(20)) for _, textures in parts)


def test_what_leaves_the_frame_is_cut_off_and_something_stays():
    look = textured_digits.TexturedDigits(cell=28, num_digits=2, shift=9)
    for example in _make(look):
        assert example["num_objects"] == 2
        assert example["boxes"].max() <= 28 and example["boxes"].min() >= 0
