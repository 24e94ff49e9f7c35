"""Reads a gin config that came with a model as data.

gin's language can import any module and include any file. A config that was
written beside weights needs neither: it has macros, settings of what this
package registers, literals, and references to what it registers. All else is
refused before gin sees it.
"""

import pathlib
import re
import tokenize

import gin
from gin import config_parser

MOST_BYTES = 2**20  # ours have 7 kB
MOST_STATEMENTS = 5000
MOST_DEPTH = 24  # brackets within brackets
MOST_DIGITS = 40
# Building one of these does something, instead of being something.
ACTIONS = ("training.run", "training.set_precision", "data.make_dataset")
# What commands that score take.
YOURS = "the run is your own, add --trust_config, which runs that module's code"
_GIN = ("gin.macro", "gin.singleton")
_PACKAGE = "tfdecomp."
_DIGITS = re.compile(rf"\d{{{MOST_DIGITS},}}")


def check(text, path):
    """Refuses a config that is more than settings of this package.

    Everything that it may name must have been registered before.

    Args:
        text: The config.
        path: Where it comes from, for messages.

    Raises:
        ValueError: If it imports or includes, names what another package
            registered, refers to an action, or cannot be read.
        SyntaxError: If it is no gin.
    """
    path = pathlib.Path(path)
    _check_tokens(text, path)
    parser = config_parser.ConfigParser(text, _Delegate(path))
    macros = {}
    for number, statement in enumerate(parser):
        if number >= MOST_STATEMENTS:
            raise ValueError(
                f"{path} has more than {MOST_STATEMENTS} settings, which no "
                "config of a model has"
            )
        _check_statement(statement, path, macros)
    _check_circles(macros, path)


def _check_tokens(text, path):
    """Bounds what the parser does one call deeper for."""
    line = text.encode("utf-8", "replace")
    if len(line) > MOST_BYTES:
        raise ValueError(
            f"{path} has {len(line) / 2**20:.1f} MiB; expected at most "
            f"{MOST_BYTES / 2**20:g} MiB of settings"
        )
    digits = _DIGITS.search(text)
    if digits:
        raise ValueError(
            f"{path} has a number of {len(digits[0])} digits; expected at "
            f"most {MOST_DIGITS}"
        )
    depth = 0
    lines = iter(text.splitlines(keepends=True))
    for token in tokenize.generate_tokens(lambda: next(lines, "")):
        if token.type == tokenize.OP:
            depth += (token.string in "([{") - (token.string in ")]}")
        if depth > MOST_DEPTH:
            raise ValueError(
                f"{path}, line {token.start[0]}: brackets are nested more "
                f"than {MOST_DEPTH} deep, which no setting of a model is"
            )


def _check_statement(statement, path, macros):
    where = f"{path}, line {statement.location.line_num}"
    if isinstance(statement, config_parser.ImportStatement):
        raise ValueError(
            f"{where}: it imports {statement.module!r}. The config of a model "
            "is read as data and may import nothing; use a model that needs "
            f"no code of its own, or, if {YOURS}"
        )
    if isinstance(statement, config_parser.IncludeStatement):
        raise ValueError(
            f"{where}: it includes {statement.filename!r}. The config of a "
            "model stands alone; write what that file says in its place"
        )
    if isinstance(statement, config_parser.BlockDeclaration):
        _check_name(statement.selector, where)
    elif statement.arg_name:
        _check_name(statement.selector, where)
    else:
        scope = f"{statement.scope}/" if statement.scope else ""
        macros[f"{scope}{statement.selector}"] = statement.value


def _check_name(name, where):
    """The full name of something that this package registered."""
    found = _registered(name)
    if not found:
        return None  # gin says what is near
    selector, configurable = found
    module = configurable.wrapped.__module__
    if not module.startswith(_PACKAGE) and selector not in _GIN:
        raise ValueError(
            f"{where}: it names {name!r}, which {module} registered. The "
            "config of a model may name only what tfdecomp registers; if "
            f"{YOURS}"
        )
    return selector


def _registered(name):
    """`(selector, configurable)` of a name; None if it is not one thing."""
    registry = gin.config._REGISTRY
    matches = registry.matching_selectors(name)
    if len(matches) != 1:
        return None
    (selector,) = matches
    return selector, registry[selector]


class _Delegate(config_parser.ParserDelegate):
    """Checks references while the parser meets them; resolves none."""

    def __init__(self, path):
        self._path = path

    def configurable_reference(self, scoped_configurable_name, should_evaluate):
        name = scoped_configurable_name.rsplit("/", 1)[-1]
        selector = _check_name(name, self._path)
        if selector in ACTIONS or selector == "gin.macro":
            raise ValueError(
                f"{self._path}: it refers to @{name}, which does something "
                "when it is called. The config of a model may refer only to "
                "layers, models, data, schedules and protocols"
            )
        return _Reference(None)

    def macro(self, macro_name):
        return _Reference(macro_name)


class _Reference:
    """Stands for a reference; may be a key of a dictionary, as gin's may."""

    def __init__(self, macro):
        self.macro = macro


def _check_circles(macros, path):
    """Refuses macros that need themselves, or double over and over."""
    needs = {
        name: [m for m in _macros_in(value) if m in macros]
        for name, value in macros.items()
    }
    sizes = {}  # references that are met when a macro is written out
    while len(sizes) < len(needs):
        ready = [
            name
            for name, others in needs.items()
            if name not in sizes and all(m in sizes for m in others)
        ]
        if not ready:
            left = sorted(set(needs) - set(sizes))
            raise ValueError(
                f"{path}: macros need each other in a circle, among them "
                f"{', '.join(left[:4])}"
            )
        for name in ready:
            sizes[name] = 1 + sum(sizes[m] for m in needs[name])
            if sizes[name] > MOST_STATEMENTS:
                raise ValueError(
                    f"{path}: the macro {name} has more than "
                    f"{MOST_STATEMENTS} values once it is written out"
                )


def _macros_in(value):
    """Names of the macros in a value."""
    if isinstance(value, _Reference):
        if value.macro is not None:
            yield value.macro
    elif isinstance(value, dict):
        for pair in value.items():
            yield from _macros_in(pair)
    elif isinstance(value, (list, tuple)):
        for child in value:
            yield from _macros_in(child)
