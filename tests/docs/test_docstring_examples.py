"""Examples in docstrings do what is printed below them.

Each runs in an empty namespace and an empty folder, so that a reader can
paste it as it stands: with its imports, and without anything else.
"""

import ast
import doctest
import importlib
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "tfdecomp"
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# Packages in which every public class and function has an example.
COMPLETE = ("data", "distributions", "layers", "metrics", "ops")
MOST_LINES = 5  # of an example and its output, imports apart


def folder(path):
    return path.relative_to(PACKAGE).parts[0]


def public_names(path):
    """Classes and functions at the top of a module, as `{name: docstring}`."""
    return {
        node.name: ast.get_docstring(node) or ""
        for node in ast.parse(path.read_text()).body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef))
        and not node.name.startswith("_")
    }


SOURCES = sorted(PACKAGE.rglob("*.py"))
MODULES = [
    path
    for path in SOURCES
    if ">>>" in path.read_text() or folder(path) in COMPLETE
]


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def examples(path):
    """The module's docstrings that hold examples, by doctest's rules."""
    module = importlib.import_module(module_name(path))
    finder = doctest.DocTestFinder(exclude_empty=True)
    return [t for t in finder.find(module, globs={}) if t.examples]


def num_lines(example):
    """Of the code and of what it prints; imports count nothing."""
    if example.source.startswith(("import ", "from ")):
        return 0
    return (example.source + example.want).count("\n")


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_examples_run_as_printed_and_no_public_name_lacks_one(
    path, tmp_path, monkeypatch
):
    found = examples(path)
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    printed = []
    for number, test in enumerate(found):
        here = tmp_path / str(number)
        here.mkdir()
        monkeypatch.chdir(here)
        runner.run(test, out=printed.append)
    assert not runner.failures, "".join(printed)
    ran = {test.name.removeprefix(f"{module_name(path)}.") for test in found}
    written = {
        name for name, text in public_names(path).items() if ">>>" in text
    }
    assert written <= ran, f"not run: {sorted(written - ran)}"
    if folder(path) in COMPLETE:
        missing = sorted(set(public_names(path)) - ran)
        assert not missing, f"give an example to {missing}"
    for test in found:
        lines = sum(map(num_lines, test.examples))
        assert lines <= MOST_LINES, f"{test.name} has {lines} lines"
        for example in test.examples:
            skipped = example.options.get(doctest.SKIP, False)
            assert not skipped, f"{test.name} skips an example"
