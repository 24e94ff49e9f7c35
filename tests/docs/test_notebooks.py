"""The notebooks in colab/ are clean, and run from top to bottom."""

import ast
import configparser
import pathlib
import pkgutil
import re

import nbformat
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
COLAB = ROOT / "colab"
PATHS = sorted(COLAB.glob("*/*.ipynb"))
REPOSITORY = "tfdecomp/tfdecomp"  # what badges and install cells name
SECONDS = 300  # of the processor for a notebook; of the clock for a cell
THUMBNAIL = 60_000  # bytes of the one picture that may stay in a file
MAGIC = re.compile(r"^(\s*)[%!].*$", re.M)
PLACE = re.compile(r"^(~|/\w+)/|^[A-Za-z]:\\|/(home|Users|root)/")
# Time of the processor, that of child processes included.
CLOCK = """
import resource

for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
    usage = resource.getrusage(who)
    print(usage.ru_utime + usage.ru_stime)
"""

every_notebook = pytest.mark.parametrize(
    "path", PATHS, ids=[str(path.relative_to(COLAB)) for path in PATHS]
)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tree_of(cell):
    """Syntax tree of a code cell, without the lines for IPython."""
    return ast.parse(MAGIC.sub(r"\1pass", cell.source), cell.id)


def names_of(trees):
    """What imported names stand for, such as `tfdecomp.data.write_video`."""
    nodes = [node for tree in trees for node in ast.walk(tree)]
    aliases, rebound = {"tfdecomp": "tfdecomp"}, set()
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                aliases[alias.asname or alias.name] = name
                yield name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            rebound.add(node.id)
    for node in nodes:
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name) and node.id in set(aliases) - rebound:
            yield ".".join([aliases[node.id], *reversed(parts)])


def test_there_are_demos_and_each_folder_is_listed():
    listed = (COLAB / "README.md").read_text()
    assert any(path.parent.name == "demos" for path in PATHS)
    for path in PATHS:
        assert f"]({path.relative_to(COLAB)})" in listed, path.name


@every_notebook
def test_it_is_a_valid_file_in_the_plain_layout(path):
    text = path.read_text()
    notebook = nbformat.reads(text, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    # One line a change: differences can be read.
    assert nbformat.writes(notebook) + "\n" == text


@every_notebook
def test_badge_and_picture_come_before_any_explanation(path):
    first, second = nbformat.read(path, 4).cells[:2]
    assert first.cell_type == "markdown"
    lines = [line for line in first.source.splitlines() if line]
    heading, badge, _, picture = lines
    assert heading.startswith("# ")
    link = (
        f"https://colab.research.google.com/github/{REPOSITORY}/blob/main/"
        f"{path.relative_to(ROOT).as_posix()}"
    )
    assert badge.startswith("[![Open in Colab](")
    assert badge.endswith(f"]({link})")
    shown = re.fullmatch(r"!\[.+\]\((.+)\)", picture)[1]
    assert (path.parent / shown).resolve().is_file()
    assert second.cell_type == "code"
    install = f"    %pip install -q git+https://github.com/{REPOSITORY}"
    assert install in second.source


@every_notebook
def test_outputs_are_stripped(path):
    cells = code_cells(nbformat.read(path, 4))
    assert all(cell.execution_count is None for cell in cells)
    outputs = [output for cell in cells for output in cell.outputs]
    assert len(outputs) <= 1
    for output in outputs:
        assert set(output.data) <= {"image/png", "image/jpeg", "text/plain"}
        assert len(str(output.data)) < THUMBNAIL


@every_notebook
def test_cells_compile_and_name_no_place_on_a_machine(path):
    for cell in code_cells(nbformat.read(path, 4)):
        for node in ast.walk(tree_of(cell)):
            value = getattr(node, "value", None)
            if isinstance(value, str):
                assert not PLACE.search(value), value


@every_notebook
def test_what_it_takes_from_the_package_exists(path):
    trees = map(tree_of, code_cells(nbformat.read(path, 4)))
    names = set(names_of(trees))
    ours = [name for name in names if name.split(".")[0] == "tfdecomp"]
    assert ours
    for name in ours:
        pkgutil.resolve_name(name)  # raises an error that names it


@every_notebook
def test_gin_files_and_models_that_it_names_exist(path):
    text = "\n".join(cell.source for cell in nbformat.read(path, 4).cells)
    for name in re.findall(r"\bgin/[\w/.-]+\.gin\b", text):
        assert (ROOT / name).is_file(), name
    for name in re.findall(r"--model=(\w+)", text):
        assert (ROOT / "tfdecomp" / "weights" / name).is_dir(), name


def test_links_of_the_overview_lead_somewhere():
    text = (COLAB / "README.md").read_text()
    for target in re.findall(r"\]\(([^)#\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            assert (COLAB / target).exists(), target


def test_what_runs_notebooks_is_part_of_the_test_extra():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    extra = parser["options.extras_require"]["test"]
    for name in ("ipykernel", "nbclient", "nbformat"):
        assert re.search(rf"^{name}\b", extra, re.M), name


@pytest.mark.slow
@every_notebook
def test_it_runs_from_top_to_bottom_in_five_minutes(path, tmp_path):
    import nbclient

    notebook = nbformat.read(path, 4)
    clock = nbformat.v4.new_code_cell(CLOCK)
    notebook.cells.append(clock)
    nbclient.NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    # Of the processor, so that other work does not count.
    used = sum(map(float, clock.outputs[0].text.split()))
    print(f"\n{path.name}: {used:.0f} s of processor time")
    assert used < SECONDS
    # All that it writes goes to temporary folders.
    assert not list(tmp_path.iterdir())
