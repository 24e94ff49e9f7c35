"""Reads docstrings with Google's sections."""

import inspect
import re

_HEADING = re.compile(r"([A-Z][a-z]+(?: [a-z]+)*):")
_ENTRY = re.compile(
    r"(?P<names>\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: \([^)]*\))?:(?: (?P<text>.*))?"
)
# A sentence ends before a capital letter or a quoted one; "e.g. a" does not.
_END = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)\s+(?=[A-Z`\"'@])")


def sections(text) -> dict[str, str]:
    """Parts of a docstring.

    Args:
        text: The docstring, or None.

    Returns:
        Title -> body, dedented; what is in no section is under the empty
        title.
    """
    found, title = {"": []}, ""
    for line in inspect.cleandoc(text or "").splitlines():
        heading = _HEADING.fullmatch(line)
        if heading:
            title = heading[1]
            found.setdefault(title, [])
            continue
        if line and not line[0].isspace():
            title = ""  # what is not indented is in no section
        found[title].append(line)
    return {name: inspect.cleandoc("\n".join(b)) for name, b in found.items()}


def summary(text) -> str:
    """First paragraph of a docstring in one line."""
    return one_line(sections(text)[""].partition("\n\n")[0])


def arguments(text, title="Args") -> dict[str, str]:
    """What a docstring says of each argument.

    Args:
        text: The docstring, or None.
        title: Section to read.

    Returns:
        Name -> what is said, in one line; `**kwargs` keeps its asterisks.
    """
    found, names = {}, ()
    for line in sections(text).get(title, "").splitlines():
        entry = _ENTRY.fullmatch(line)
        if entry:
            names = entry["names"].split(", ")
            line = entry["text"] or ""
        for name in names:
            found[name] = f"{found.get(name, '')} {line}"
    return {name: one_line(said) for name, said in found.items()}


def first_sentence(text) -> str:
    """Up to the first full stop that ends a sentence."""
    for end in _END.finditer(text):
        if text.count("`", 0, end.start()) % 2 == 0:
            return text[: end.start()]
    return text


def one_line(text) -> str:
    """The words with single spaces between."""
    return " ".join(text.split())
