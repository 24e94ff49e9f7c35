"""What is read from docstrings with Google's sections."""

import pytest

from tfdecomp.explaining import docstrings

TEXT = """Draws a tree.

    It has leaves, and a trunk:
        of wood.

    Args:
        height: In metres, e.g. a birch has 20. Firs have
            more; see `trees.Fir.height`: it is "3. Or 4".
        width, depth: Of the crown.

            Never negative.
        colour (str): Of the leaves.
        **kwargs: See `Plant`.

    Call arguments:
        season: Not an argument of the constructor.

    Returns:
        height: Not an argument.
    """


def test_an_argument_has_its_lines_joined():
    assert docstrings.arguments(TEXT) == {
        "height": "In metres, e.g. a birch has 20. Firs have more; see "
        '`trees.Fir.height`: it is "3. Or 4".',
        "width": "Of the crown. Never negative.",
        "depth": "Of the crown. Never negative.",
        "colour": "Of the leaves.",
        "**kwargs": "See `Plant`.",
    }


def test_other_sections_are_read_by_their_title():
    assert list(docstrings.arguments(TEXT, "Call arguments")) == ["season"]
    assert list(docstrings.sections(TEXT)) == [
        "",
        "Args",
        "Call arguments",
        "Returns",
    ]


def test_a_section_ends_where_a_line_is_not_indented():
    text = "One.\n\nArgs:\n    a: It.\n\nIn a file, say:\n\n    b: 1"
    assert docstrings.arguments(text) == {"a": "It."}


def test_the_summary_is_the_first_paragraph():
    assert docstrings.summary(TEXT) == "Draws a tree."
    assert docstrings.summary("One\n    two.\n\n    Three.") == "One two."


@pytest.mark.parametrize("text", [None, "", "Nothing more.", "Args:"])
def test_no_section_is_no_argument(text):
    assert docstrings.arguments(text) == {}


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("One. Two.", "One."),
        ("One", "One"),
        ("Such as e.g. A or i.e. B. Two.", "Such as e.g. A or i.e. B."),
        ("At 0.5 it stops. `None`: never.", "At 0.5 it stops."),
        ("The `a. B` of it. Two.", "The `a. B` of it."),
        ("Is it? Yes.", "Is it?"),
    ],
)
def test_a_sentence_ends_where_the_next_begins(text, first):
    assert docstrings.first_sentence(text) == first
