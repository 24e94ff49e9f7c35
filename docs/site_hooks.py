"""Gives the site pages that are written elsewhere; nothing is copied.

A dataset's README, CONTRIBUTING.md and the like become pages, with their
pictures. The reference gets a page for each package, and one for the
commands. Links in all of these, and in `docs/`, are those of the files in the
repository, so that they work there too; here they are led to the pages, and
where there is none, to the repository.
"""

import functools
import html
import pathlib
import posixpath
import re

from latex2mathml import converter
from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCS = "docs"
COMMANDS = "reference/commands.md"
PICTURES = (".png", ".gif", ".svg", ".jpg")
_LINK = re.compile(r"(\]\()([^)\s#]+)")
_CODE = re.compile(r"(^```.*?^```|`[^`\n]+`)", re.M | re.S)
_FORMULA = re.compile(
    r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.S
)
_BRANCH = "main"


@functools.cache
def taken() -> dict[str, str]:
    """Page of the site to the file that it is, both from their tops."""
    pages = {
        "changelog.md": "CHANGELOG.md",
        "configs.md": "gin/README.md",
        "contribute.md": "CONTRIBUTING.md",
        "notebooks.md": "colab/README.md",
        "security.md": "SECURITY.md",
    }
    for path in sorted((ROOT / "datasets").glob("*/README.md")):
        name = path.parent.name
        pages[f"data/{name}.md"] = f"datasets/{name}/README.md"
    return pages


@functools.cache
def packages() -> dict[str, list[str]]:
    """Package, from `tfdecomp` on, to its modules, as imports name them."""
    found = {}
    for path in sorted((ROOT / "tfdecomp").rglob("__init__.py")):
        name = ".".join(path.parent.relative_to(ROOT).parts)
        modules = sorted(f.stem for f in path.parent.glob("[a-z]*.py"))
        found[name] = [f"{name}.{module}" for module in modules]
    return found


@functools.cache
def commands() -> list[str]:
    """Names of the modules that are commands."""
    return [
        name
        for name in packages()["tfdecomp"]
        if "app.run(main)" in _source(name) or name.endswith(".prepare")
    ]


@functools.cache
def reference() -> dict[str, str]:
    """Page of the reference to its text."""
    pages = {
        COMMANDS: "# Commands\n\n"
        + "\n".join(_entry(name, members=False) for name in commands())
    }
    for package, modules in packages().items():
        shown = [name for name in modules if name not in commands()]
        entries = [_entry(name) for name in [package, *shown]]
        pages[f"reference/{package}.md"] = f"# {package}\n\n" + "\n".join(
            entries
        )
    return pages


def _source(module):
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    return path.read_text(encoding="utf-8")


def _entry(name, members=True):
    """What mkdocstrings replaces by a module's docstrings."""
    lines = [f"::: {name}"]
    if not members:
        lines += [
            "    options:",
            "      members: false",
            "      summary: false",
        ]
    return "\n".join(lines) + "\n"


def on_config(config):
    """Puts the pages into the navigation."""
    data = [page for page in taken() if page.startswith("data/")]
    _section(config.nav, "Data").extend(data)
    _section(config.nav, "Reference").extend(
        {pathlib.Path(page).stem.removeprefix("tfdecomp."): page}
        for page in reference()
    )


def _section(nav, title):
    return next(part[title] for part in nav if title in part)


def on_files(files, config):
    """Adds the pages, and the pictures in them."""
    for page, source in taken().items():
        files.append(_file(config, page, source))
        for target in _pictures(source):
            picture = _joined(posixpath.dirname(source), target)
            uri = _joined(posixpath.dirname(page), target)
            files.append(_file(config, uri, picture))
    for page, text in reference().items():
        files.append(File.generated(config, page, content=text))
    return files


def _pictures(source):
    """Targets of the pictures of a file that are beside it."""
    path = ROOT / source
    targets = [found[1] for found in _LINK.findall(path.read_text("utf-8"))]
    return [
        target
        for target in targets
        if target.endswith(PICTURES) and (path.parent / target).is_file()
    ]


def _file(config, uri, source):
    return File.generated(config, uri, abs_src_path=str(ROOT / source))


def on_page_markdown(markdown, page, config, files):
    """Leads links, but those in code, to where the site has their targets."""
    uri = page.file.src_uri
    source = taken().get(uri, f"{DOCS}/{uri}")

    def lead(match):
        start, target = match.groups()
        if re.match(r"[a-z]+:", target):
            return match[0]
        path = _joined(posixpath.dirname(source), target)
        home, anchor = _home(path)
        if not files.get_file_from_path(home):
            # A picture of a page that was taken lies beside it on the site.
            home = _joined(posixpath.dirname(uri), target)
        if files.get_file_from_path(home):
            there = posixpath.relpath(home, posixpath.dirname(uri) or ".")
            return start + there + anchor
        if (ROOT / path).exists():
            return f"{start}{config.repo_url}/blob/{_BRANCH}/{path}"
        return match[0]  # mkdocs warns

    parts = _CODE.split(markdown)
    parts[::2] = [_LINK.sub(lead, part) for part in parts[::2]]
    return "".join(parts)


def _home(path):
    """Page and anchor of the site for a file of the repository."""
    homes = {source: page for page, source in taken().items()}
    if path in homes:
        return homes[path], ""
    if path.startswith("tfdecomp/") and path.endswith(".py"):
        module = path.removesuffix(".py").replace("/", ".")
        if module in commands():
            return COMMANDS, f"#{module}"
        package = module.rpartition(".")[0]
        return f"reference/{package}.md", f"#{module}"
    return path.removeprefix(f"{DOCS}/"), ""


def _joined(folder, target):
    return posixpath.normpath(posixpath.join(folder, target))


def on_page_content(content, page, config, files):
    """Makes formulas MathML, which browsers draw without a script."""
    del page, config, files
    return _FORMULA.sub(_formula, content)


def _formula(match):
    tag, kind, text = match.groups()
    text = re.sub(
        r"\\tag\{(.*?)\}", r"\\qquad (\\text{\1})", html.unescape(text)
    )
    display = "block" if kind == "[" else "inline"
    return f"<{tag}>{converter.convert(text, display=display)}</{tag}>"
