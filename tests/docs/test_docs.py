"""The pages of docs/: as Markdown in the repository, and as a site."""

import html.parser
import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import urllib.parse

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = (
    *sorted(ROOT.glob("*.md")),
    ROOT / "results" / "README.md",
    *sorted(DOCS.rglob("*.md")),
    *sorted((ROOT / "datasets").glob("*/README.md")),
)
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s]+)[^)]*\)")
# TensorFlow is hidden: the pages are made of files alone.
BUILD = """
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None
from mkdocs.__main__ import cli
cli()
"""


def links(path):
    """Targets of the links and pictures of a page, code left out."""
    return LINK.findall(CODE.sub("", path.read_text()))


def is_elsewhere(target):
    return re.match(r"[a-z]+:", target) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_of_a_page_lead_to_files_of_the_repository(page):
    for target in links(page):
        path = target.partition("#")[0]
        if path and not is_elsewhere(target):
            assert (page.parent / path).exists(), target


def test_every_picture_of_the_folder_is_on_a_page():
    shown = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in links(page)
        if not is_elsewhere(target)
    }
    for pattern in ("*.png", "*.gif"):
        for picture in DOCS.rglob(pattern):
            assert picture in shown, picture


def test_every_protocol_has_one_row():
    text = (DOCS / "metrics.md").read_text()
    for path in (ROOT / "gin" / "evaluation").glob("*.gin"):
        assert text.count(f"| `{path.stem}` |") == 1, path.stem


def test_the_page_of_a_dataset_is_its_readme_alone():
    assert [path.name for path in (DOCS / "data").iterdir()] == ["index.md"]


@pytest.fixture(scope="module")
def hooks():
    """The module that adds pages."""
    path = DOCS / "site_hooks.py"
    spec = importlib.util.spec_from_file_location("site_hooks", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_dataset_and_every_package_has_a_page(hooks):
    for path in (ROOT / "datasets").glob("*/*_builder.py"):
        assert f"data/{path.parent.name}.md" in hooks.taken()
    for path in (ROOT / "tfdecomp").rglob("*.py"):
        parts = path.relative_to(ROOT).parts
        assert f"reference/{'.'.join(parts[:-1])}.md" in hooks.reference()


def test_every_module_is_on_one_page_of_the_reference(hooks):
    entries = re.findall(
        r"^::: (\S+)", "\n".join(hooks.reference().values()), re.M
    )
    assert len(entries) == len(set(entries))
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "tfdecomp").rglob("[a-z]*.py")
    }
    assert modules <= set(entries)


def test_commands_of_the_console_are_on_the_page_of_commands(hooks):
    from tfdecomp import cli

    shown = {name.removeprefix("tfdecomp.") for name in hooks.commands()}
    assert shown == set(cli.COMMANDS)


class Page(html.parser.HTMLParser):
    """Targets of a page, and the places in it that have a name."""

    def __init__(self, path):
        super().__init__()
        self.targets, self.names = set(), set()
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("href", "src") and value is not None:
                self.targets.add(value)
            if name in ("id", "name"):
                self.names.add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site, of which every warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    words = ["build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(
        [sys.executable, "-c", BUILD, *words],
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {path: Page(path) for path in sorted(folder.rglob("*.html"))}


def resolves(site, path, target):
    """Whether a page's target is there, with the place that it names."""
    parts = urllib.parse.urlsplit(target)
    if parts.scheme or parts.netloc:
        return True
    there = path
    if parts.path:
        there = (path.parent / urllib.parse.unquote(parts.path)).resolve()
    name = urllib.parse.unquote(parts.fragment)
    is_named = there not in site or name in {"", *site[there].names}
    return there.exists() and is_named


@pytest.mark.slow
def test_every_link_and_picture_of_the_site_resolves(site):
    broken = []
    for path, page in site.items():
        for target in page.targets:
            if path.name != "404.html" and not resolves(site, path, target):
                broken.append((path.name, target))
    assert broken == []


@pytest.mark.slow
def test_the_site_has_what_the_repository_tells(site):
    (data,) = (
        page for path, page in site.items() if path.name == "street.html"
    )
    assert "street.png" in data.targets
    names = {name for page in site.values() for name in page.names}
    assert "tfdecomp.models.silot.SILOT" in names
    assert "tfdecomp.metrics.rand_index" in names
    (text,) = (p for p in site if p.name == "provide.html")
    assert "<math" in text.read_text()
    assert "arithmatex" not in text.read_text()
    # Examples are code, not quotations.
    (text,) = (p for p in site if p.name == "tfdecomp.evaluation.html")
    assert "<blockquote>" not in text.read_text()
