"""What is public is used: some test leads to every function and class.

Read from the sources, in seconds: what tests, configs, datasets and notebooks
name is followed through what it names in turn. Functions of one name are taken
for one, so what fails here is called by nobody, but what passes need not have
run: `.ci/uncalled` asks a measured run.
"""

import ast
import collections
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "tfdecomp"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
WORD = re.compile(r"[A-Za-z_]\w*")


def parsed(path):
    """The syntax tree, docstrings left out."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)):
            if ast.get_docstring(node, clean=False) is not None:
                del node.body[0]
    return tree


def words(*nodes):
    """Names in code, and in its strings: configs and `getattr` use those."""
    found = set()
    for node in (inner for outer in nodes for inner in ast.walk(outer)):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.alias):
            found.update(node.name.split("."))
        elif isinstance(node, ast.keyword) and node.arg:
            found.add(node.arg)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.update(WORD.findall(node.value))
    return found


class Package:
    """Who names whom.

    Attributes:
        public: `module: name` -> the last part of the name.
        leads_to: A name -> the names in what is called so.
        always: Names that a module uses when it is imported.
    """

    def __init__(self, paths):
        self.public, self.always = {}, set()
        self.leads_to = collections.defaultdict(set)
        for path in paths:
            for node in parsed(path).body:
                if isinstance(node, FUNCTIONS):
                    self._add(path, node.name, node)
                elif isinstance(node, ast.ClassDef):
                    self._add_class(path, node)
                elif not isinstance(node, (ast.Import, ast.ImportFrom)):
                    self.always |= words(node)

    def _add(self, path, name, *nodes):
        last = name.rpartition(".")[2]
        self.leads_to[last] |= words(*nodes) - {last}
        if not any(part.startswith("_") for part in name.split(".")):
            self.public[f"{path.relative_to(PACKAGE)}: {name}"] = last

    def _add_class(self, path, node):
        own = [*node.bases, *node.keywords, *node.decorator_list]
        for part in node.body:
            if isinstance(part, FUNCTIONS) and part.name[0] != "_":
                self._add(path, f"{node.name}.{part.name}", part)
            else:  # whatever is private may be called by a foreign base
                own.append(part)
        self._add(path, node.name, *own)

    def reached(self, names):
        """All names that these lead to, themselves among them."""
        seen, ahead = set(), set(names) | self.always
        while ahead:
            seen |= ahead
            ahead = set().union(*(self.leads_to[n] for n in ahead)) - seen
        return seen


def outside():
    """Names that tests, and all that tests run, know of the package."""
    found = set()
    for folder in ("tests", "datasets"):
        for path in (ROOT / folder).rglob("*.py"):
            found |= words(parsed(path))
    for pattern in ("gin/**/*.gin", "colab/**/*.ipynb"):
        for path in ROOT.glob(pattern):
            text = re.sub(r"^#.*", "", path.read_text(), flags=re.M)
            found.update(WORD.findall(text))
    return found


def test_some_test_leads_to_every_public_function_and_class():
    package = Package(sorted(PACKAGE.rglob("*.py")))
    reached = package.reached(outside())
    lost = [n for n, last in package.public.items() if last not in reached]
    assert len(package.public) > 1000
    assert not lost, "no test leads to\n" + "\n".join(lost)


def test_what_nobody_names_is_found(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    (tmp_path / "a.py").write_text(
        '"""Of lost()."""\n\ndef used():\n    return inner()\n\n'
        "def inner():\n    return 1\n\ndef lost():\n    return lost()\n\n"
        "class Kept:\n    def method(self):\n        return 2\n"
    )
    package = Package([tmp_path / "a.py"])
    reached = package.reached({"used", "Kept"})
    lost = [n for n, last in package.public.items() if last not in reached]
    assert lost == ["a.py: lost", "a.py: Kept.method"]
