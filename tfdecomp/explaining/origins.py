"""Who sets what in gin files: read as text, before anything is built.

gin forgets where a binding came from. Its parser does not: the files are read
once more with it, in gin's order, and nothing that they name is looked up,
imported or called.
"""

import dataclasses
import os
import pathlib

import gin
from gin import config_parser

from tfdecomp.storage import configs

_MOST_DEPTH = 20  # files that include one another


@dataclasses.dataclass(frozen=True)
class Origin:
    """What set a value.

    Attributes:
        file: Of the statement, as `shown`; None for a `--gin_param`.
        line: Number of its line, from 1; None for a `--gin_param`.
    """

    file: str | None = None
    line: int | None = None

    def __str__(self):
        return f"{self.file}:{self.line}" if self.file else "--gin_param"


@dataclasses.dataclass(frozen=True)
class Statement:
    """A binding as it stands in a file.

    Attributes:
        scope: Such as `kl`, or empty.
        name: Of a configurable as written, or of a macro.
        argument: Of the configurable; empty for a macro.
        origin: Its `Origin`.
    """

    scope: str
    name: str
    argument: str
    origin: Origin


def read(files=(), bindings=(), trusted=False) -> list[Statement]:
    """Statements of gin files and of bindings, in gin's order.

    Args:
        files: Paths as `configs.find` takes them.
        bindings: Lines that override them.
        trusted: Whether the files may import modules; they are not imported
            here.

    Raises:
        configs.ConfigError: If a file is missing, cannot be read, includes
            itself, or imports although it may not.
    """
    found = []

    def everything():
        for path in files:
            found.extend(_file(configs.find(path), trusted, depth=0))
        text = "\n".join(bindings)
        found.extend(_statements(text, None, trusted, depth=0))

    configs.with_hints(everything)
    return found


def latest(statements) -> dict:
    """The statement that counts for each value.

    Args:
        statements: From `read`; their configurables must be registered.

    Returns:
        `(scope, full name, argument)` -> `Origin`; the full name of a macro
        is its own and its argument empty.
    """
    registry = gin.config._REGISTRY
    found = {}
    for statement in statements:
        name = statement.name
        if statement.argument:
            matches = registry.matching_selectors(name)
            name = matches[0] if len(matches) == 1 else name
        elif statement.scope:
            name = f"{statement.scope}/{name}"
        scope = statement.scope if statement.argument else ""
        found[scope, name, statement.argument] = statement.origin
    return found


def shown(path) -> str:
    """A path as people know it: from `gin/`, the working folder, or home."""
    path = pathlib.Path(path).absolute()
    places = ((configs.root(), "gin"), (pathlib.Path.cwd(), ""))
    for folder, name in (*places, (pathlib.Path.home(), "~")):
        if path.is_relative_to(folder):
            return os.path.join(name, path.relative_to(folder))
    return str(path)


def _file(path, trusted, depth):
    if depth > _MOST_DEPTH:
        raise configs.ConfigError(
            f"{shown(path)} is included by itself, or from more than "
            f"{_MOST_DEPTH} files in a row; take an include out"
        )
    try:
        with open(path, encoding="utf-8") as lines:
            yield from _statements(lines, path, trusted, depth)
    except UnicodeDecodeError:
        raise configs.ConfigError(
            f"{shown(path)} is no text in UTF-8; give a gin file"
        ) from None


def _statements(text, path, trusted, depth):
    parser = config_parser.ConfigParser(text, _Blind())
    for statement in parser:
        number = statement.location.line_num
        if isinstance(statement, config_parser.IncludeStatement):
            yield from _included(statement, path, trusted, depth)
        elif isinstance(statement, config_parser.BindingStatement):
            origin = Origin(shown(path), number) if path else Origin()
            yield Statement(
                statement.scope or "",
                statement.selector,
                statement.arg_name or "",
                origin,
            )
        elif isinstance(statement, config_parser.ImportStatement):
            _check_import(statement, path, trusted)


def _included(statement, path, trusted, depth):
    name = statement.filename
    # As configs.parse has gin look: the root is before the working folder.
    for candidate in (configs.root() / name, pathlib.Path(name)):
        if candidate.is_file():
            yield from _file(candidate, trusted, depth + 1)
            return
    where = f"{shown(path)}, line {statement.location.line_num}: " * bool(path)
    raise configs.ConfigError(
        f"{where}the config includes {name!r}, which is neither in "
        f"{configs.root()} nor in the working folder"
        f"{configs.nearest(name, configs.available())}"
    )


def _check_import(statement, path, trusted):
    if trusted:
        return
    where = shown(path) if path else "--gin_param"
    raise configs.ConfigError(
        f"{where}, line {statement.location.line_num}: it imports "
        f"{statement.module!r}, which would run code of that name; if you "
        "trust it, as 'tfdecomp train' does, add --trust_config"
    )


class _Blind(config_parser.ParserDelegate):
    """Looks up nothing."""

    def configurable_reference(self, scoped_configurable_name, should_evaluate):
        return _Nothing()

    def macro(self, macro_name):
        return _Nothing()


class _Nothing:
    """Stands for a reference, possibly as the key of a dictionary."""
