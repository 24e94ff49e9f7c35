"""What the pages of the systems name exists, and their constants are gin's."""

import ast
import importlib
import inspect
import pathlib
import re

import gin
import pytest

from tfdecomp.storage import configs

ROOT = next(
    folder
    for folder in pathlib.Path(__file__).resolve().parents
    if (folder / "setup.cfg").is_file()
)
FOLDER = ROOT / "docs" / "systems"
PAGES = sorted(FOLDER.glob("*.md"))
SYSTEMS = [page for page in PAGES if page.stem != "index"]
TEXTS = {page: page.read_text() for page in PAGES}

TITLES = (
    "In a picture",
    "Equations",
    "Paper",
    "What differs",
    "Constants",
    "Configs",
    "Limits",
)
LINK = re.compile(r"\[`([^`]+)`\]\[(tfdecomp[\w.]+)\]")
PATH = re.compile(r"`(tfdecomp(?:\.\w+)+)`")
PARAMETER = re.compile(
    r"`((?:\w+/)?(?:data|evaluation|layers|models|schedules|training)"
    r"\.\w+\.\w+)(?: = [^`]*)?`"
)
MACRO = re.compile(r"(?<!\[)`([A-Z][A-Z_]+)`")
GIN_FILE = re.compile(r"\bgin/[\w/*]+\.gin\b")
PRESETS = re.compile(r"\*(\w+)\*: `gin/([\w/]+\.gin)`")
NUMBER = re.compile(r"-?\d*\.?\d+(?:e-?\d+)?")
# A score of three digits and more is one of ours or of a paper's.
SCORE = re.compile(r"(?<![\w.])-?\d*\.\d+|(?<![\w.])-?\d{3,}")


def names(pattern, group=1):
    """All matches on all pages, each once."""
    found = [m for text in TEXTS.values() for m in pattern.finditer(text)]
    assert found
    return sorted({match[group] for match in found})


def resolve(path):
    """What a dotted name means; `(parent, object)`."""
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError as error:
            if error.name and path.startswith(error.name):
                continue
            raise
        parent = None
        for part in parts[end:]:
            parent, found = found, inspect.getattr_static(found, part)
        return parent, found
    raise ModuleNotFoundError(path)


def section(text, title):
    """What stands below a title."""
    return re.split(r"^## ", text, flags=re.M)[TITLES.index(title) + 1]


def cells(row):
    """Cells of a table's row."""
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def tables(text):
    """All tables of a text, rows as dictionaries."""
    found = []
    for block in text.split("\n\n"):
        if block.lstrip().startswith("|"):
            head, _, *body = [cells(row) for row in block.strip().splitlines()]
            found.append([dict(zip(head, row)) for row in body])
    return found


def default(name):
    """Value of a parameter that a config does not set."""
    selector, parameter = name.rpartition("/")[2].rsplit(".", 1)
    function = gin.config._REGISTRY.get_match(selector).wrapped
    owners = inspect.getmro(function) if inspect.isclass(function) else ()
    functions = [vars(c)["__init__"] for c in owners if "__init__" in vars(c)]
    for candidate in functions or [function]:
        found = inspect.signature(candidate).parameters.get(parameter)
        if found is not None:
            return found.default
    raise AttributeError(name)


def in_force(name):
    """Value of a macro or parameter under the active config."""
    if "." not in name:
        return configs.macro(name)
    try:
        gin.query_parameter(name)
    except ValueError:
        return default(name)
    return configs.literal(name)


def test_every_system_has_a_page():
    stems = {page.stem for page in SYSTEMS}
    assert stems == {
        *("ddpae", "dvip", "iodine", "lavae", "monet", "provide", "rnem"),
        *("silot", "sqair"),
    }


@pytest.mark.parametrize("page", SYSTEMS, ids=lambda page: page.stem)
def test_pages_are_built_alike(page):
    assert tuple(re.findall(r"^## (.*)$", TEXTS[page], re.M)) == TITLES


def test_links_lead_to_what_is_public_and_says_what_it_is():
    for path in names(LINK, 2):
        parent, found = resolve(path)
        name = path.rpartition(".")[2]
        assert not name.startswith("_"), path
        # Documented where it is defined: an inherited member has no anchor.
        assert not inspect.isclass(parent) or name in vars(parent), path
        assert getattr(found, "__doc__", None), path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_read_as_what_they_lead_to(page):
    """A method may read as the system's, and lead to where it is defined."""
    for text, path in LINK.findall(TEXTS[page]):
        assert text.rpartition(".")[2] == path.rpartition(".")[2], text


def test_code_that_is_named_exists():
    for path in names(PATH):
        resolve(path)


@pytest.mark.parametrize("page", SYSTEMS, ids=lambda page: page.stem)
def test_every_equation_is_followed_by_its_function(page):
    blocks = section(TEXTS[page], "Equations").split("\n\n")
    for before, after in zip(blocks, blocks[1:]):
        if before.startswith("$$") and not after.startswith("$$"):
            assert LINK.search(after) or PATH.search(after), before
    assert not blocks[-1].startswith("$$")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_formulas_are_closed_and_stand_in_lines_of_their_own(page):
    for line in TEXTS[page].splitlines():
        if "$$" in line:
            assert line.startswith("$$") and line.endswith("$$"), line
            assert line.count("{") == line.count("}"), line
        else:
            assert line.count("$") % 2 == 0, line


def test_parameters_that_are_named_can_be_set():
    with configs.isolated():
        configs.parse(bindings=[f"{name} = None" for name in names(PARAMETER)])


def test_macros_that_are_named_are_set_somewhere():
    files = [path.read_text() for path in (ROOT / "gin").rglob("*.gin")]
    for name in names(MACRO):
        line = re.compile(rf"^{name} = ", re.M)
        assert any(line.search(text) for text in files), name


def test_configs_that_are_named_exist():
    for pattern in names(GIN_FILE, 0):
        assert list(ROOT.glob(pattern)), pattern


@pytest.mark.parametrize("page", SYSTEMS, ids=lambda page: page.stem)
def test_constants_are_what_gin_gives(page):
    configs.register()
    text = section(TEXTS[page], "Constants")
    (rows,) = tables(text)
    for label, file in PRESETS.findall(text):
        with configs.parsed([file]):
            for row in rows:
                if row[label] != "–":
                    name = row["gin name"].strip("`")
                    stated = ast.literal_eval(row[label].strip("`"))
                    assert in_force(name) == stated, (file, name)


@pytest.mark.parametrize("page", SYSTEMS, ids=lambda page: page.stem)
def test_constants_have_a_place_in_the_paper_or_are_open(page):
    text = section(TEXTS[page], "Constants")
    (rows,) = tables(text)
    assert len(rows) > 5 and PRESETS.search(text)
    for row in rows:
        assert re.match(
            r"open|eq\. \d|[A-G]|\d\.\d|section|table|appendix", row["where"]
        ), row


@pytest.mark.parametrize("page", SYSTEMS, ids=lambda page: page.stem)
def test_commands_train_the_config_of_their_row(page):
    first, second = tables(section(TEXTS[page], "Configs"))
    for row in [*first, *second]:
        file = (row.get("config") or row["published config"]).strip("`")
        assert f"--gin_file={file} " in row["command"]


@pytest.mark.parametrize("page", SYSTEMS, ids=lambda page: page.stem)
def test_figures_of_papers_are_those_of_the_headers(page):
    for row in tables(section(TEXTS[page], "Configs"))[1]:
        path = ROOT / row["published config"].strip("`")
        known = set(NUMBER.findall(path.read_text().split("\n\n")[0]))
        for figure in SCORE.findall(row["the paper's figures"]):
            assert figure in known, (path.name, figure)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_rows_of_a_table_have_as_many_cells_as_its_head(page):
    for block in TEXTS[page].split("\n\n"):
        rows = [row for row in block.splitlines() if row.startswith("|")]
        assert len({len(cells(row)) for row in rows}) <= 1, rows


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pictures_are_small(page):
    for target in re.findall(r"^!\[.*?\]\(([^)\s]+)\)", TEXTS[page], re.M):
        assert (page.parent / target).stat().st_size < 150_000, target


@pytest.mark.parametrize("page", SYSTEMS, ids=lambda page: page.stem)
def test_the_paper_is_cited_as_in_the_citation_file(page):
    citation = (ROOT / "CITATION.cff").read_text()
    titles = re.findall(r'^    title: "(.*)"$', citation, re.M)
    text = section(TEXTS[page], "Paper")
    assert any(f"*{title}*" in text for title in titles)


def test_the_index_lists_all_pages_and_what_ships():
    text = TEXTS[FOLDER / "index.md"]
    for page in SYSTEMS:
        assert f"]({page.name})" in text
    for folder in (ROOT / "tfdecomp" / "weights").iterdir():
        if folder.is_dir():
            assert f"`{folder.name}`" in text, folder.name
