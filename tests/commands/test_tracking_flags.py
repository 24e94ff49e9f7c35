"""What is written behind `--size`."""

import pytest

from tfdecomp.console import tracking_flags


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("native", "native"),
        ("264x328", (264, 328)),
        ("0.5", 0.5),
        ("2", 2.0),
        ("1e-1", 0.1),
    ],
)
def test_a_size_is_a_word_two_numbers_or_a_factor(text, expected):
    found = tracking_flags.size(text)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    "text",
    ["", "large", "264x", "x", "1x2x3", "2.5x3", "0", "-1", "nan", "inf",
     "0x40", "40x-1", "264,328"],
)  # fmt: skip
def test_other_words_are_refused_with_what_is_expected(text):
    with pytest.raises(ValueError, match="HEIGHTxWIDTH") as error:
        tracking_flags.size(text)
    assert repr(text) in str(error.value) and "\n" not in str(error.value)
