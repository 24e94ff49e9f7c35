"""The effective config: what gin files say, and the defaults they leave."""

import dataclasses
import pathlib

import gin

from tfdecomp.explaining import docstrings, origins, registry
from tfdecomp.storage import configs

# What a run always builds, whether or not a file names it.
_ROOTS = ("training.run",)
_MOST_TEXT = 2**16  # characters of a macro; some double over and over


@dataclasses.dataclass(frozen=True)
class Macro:
    """A name in capitals that stands for a value.

    Attributes:
        name: Without the percent sign.
        value: As gin writes it.
        set_by: Its `origins.Origin`; None if gin has it and no file.
    """

    name: str
    value: str
    set_by: origins.Origin | None


@dataclasses.dataclass(frozen=True)
class Setting:
    """A parameter and its value.

    Attributes:
        name: Its name.
        value: As gin writes it, macros replaced by what they stand for.
        written: The same as it stands in the file; None for a default.
        default: As gin writes it, or what a `registry.Parameter` says.
        doc: What the docstring says.
        set_by: `origins.Origin` of the binding; None for a default.
        macros: The `Macro`s in the value.
    """

    name: str
    value: str
    written: str | None
    default: str
    doc: str
    set_by: origins.Origin | None = None
    macros: tuple = ()

    @property
    def is_set(self) -> bool:
        """Whether the config sets it."""
        return self.written is not None


@dataclasses.dataclass(frozen=True)
class Block:
    """A configurable as the config uses it.

    Attributes:
        name: With its scope, such as `kl/schedules.Piecewise`.
        section: One of `registry.SECTIONS`.
        summary: First line of its docstring.
        settings: All its parameters, as `Setting`s.
    """

    name: str
    section: str
    summary: str
    settings: tuple


@dataclasses.dataclass(frozen=True)
class Effective:
    """An effective config.

    Attributes:
        source: Files, or the folder, it was read from.
        params: The `--gin_param`s.
        macros: `Macro`s by name.
        blocks: `Block`s: those that the config sets or refers to, by section
            and in the order in which one refers to the next.
    """

    source: tuple
    params: tuple
    macros: tuple
    blocks: tuple


def of_files(files, params=(), trusted=False) -> Effective:
    """Reads gin files as training would, and builds nothing.

    Args:
        files: Paths as `configs.find` takes them; later ones override.
        params: Lines that override the files.
        trusted: Whether modules may be imported that the files name.

    Raises:
        configs.ConfigError: If something is missing, unknown or unreadable.
    """
    # First, as a mistake in the text then shows before TensorFlow is loaded.
    statements = origins.read(files, params, trusted)
    names = tuple(origins.shown(configs.find(path)) for path in files)
    with configs.parsed(files, params):
        return _read(names, params, statements)


def of_folder(folder, params=(), trusted=False) -> Effective:
    """Reads the config of a run or of a trained model, as data.

    Args:
        folder: With `config.gin`.
        params: Lines that override it.
        trusted: Whether modules may be imported that it names.

    Raises:
        configs.ConfigError: If it has none, or one that does more than set
            what this package registers.
    """
    path = pathlib.Path(folder).expanduser() / configs.CONFIG_NAME
    with configs.isolated():
        configs.restore(folder, params, trusted)
        statements = origins.read([path], params, trusted)
        return _read((origins.shown(path),), params, statements)


def _read(source, params, statements):
    """The active config in the light of who set what."""
    reader = _Reader(origins.latest(statements))
    blocks = sorted(
        (reader.block(*key) for key in _in_use()),
        key=lambda block: registry.SECTIONS.index(block.section),
    )
    macros = tuple(reader.macro(name) for name in reader.macros)
    return Effective(source, tuple(params), macros, tuple(blocks))


def _in_use():
    """`(scope, selector)` of what is set or referred to, once each."""
    config = gin.config._CONFIG
    bound = [key for key in config if not key[1].startswith("gin.")]
    waiting = [("", root) for root in _ROOTS] + sorted(bound)
    found = []
    while waiting:
        key = waiting.pop(0)
        if key in found:
            continue
        found.append(key)
        values = list(_bound(*key).values())
        near = [r.config_key for r in _references(values)]
        waiting = [k for k in near if not k[1].startswith("gin.")] + waiting
    return found


def _bound(scope, selector):
    """Name -> value, as a call in this scope sees it."""
    parts = scope.split("/") if scope else []
    values = {}
    for length in range(len(parts) + 1):
        key = ("/".join(parts[:length]), selector)
        values |= gin.config._CONFIG.get(key, {})
    return values


def _references(values):
    """References in values, and in the macros that they name."""
    macros = configs.all_macros()
    seen, waiting = set(), [values]
    while waiting:
        value = waiting.pop(0)
        for reference in gin.config.iterate_references({"": {"": value}}):
            name = repr(reference)
            if not name.startswith("%"):
                yield reference
            elif name not in seen:
                seen.add(name)
                waiting.append(macros.get(name[1:]))


class _Reader:
    """Writes down values of the active config.

    Args:
        found: From `origins.latest`.
    """

    def __init__(self, found):
        self.origins = found
        self.macros = configs.all_macros()
        self._texts = {}  # of macros; None while one is being written

    def block(self, scope, selector) -> Block:
        entry = registry.describe(selector)
        bound = _bound(scope, selector)
        settings = [
            self._setting(scope, selector, parameter, bound)
            for parameter in entry.parameters
        ]
        names = [parameter.name for parameter in entry.parameters]
        settings += [
            self._setting(scope, selector, _of_keras(selector, name), bound)
            for name in bound
            if name not in names
        ]
        return Block(
            f"{scope}/{selector}" if scope else selector,
            entry.section,
            entry.summary,
            tuple(settings),
        )

    def macro(self, name) -> Macro:
        value = self._macro_text(name)
        return Macro(name, value, self.origins.get(("", name, "")))

    def _setting(self, scope, selector, parameter, bound):
        name, default, doc = dataclasses.astuple(parameter)
        if name not in bound:
            return Setting(name, default, None, default, doc)
        value = bound[name]
        return Setting(
            name,
            self.text(value),
            repr(value),
            default,
            doc,
            self._origin(scope, selector, name),
            tuple(self.macro(m) for m in self._names(value)),
        )

    def _origin(self, scope, selector, name):
        """Of the innermost scope that sets it."""
        parts = scope.split("/") if scope else []
        for length in range(len(parts), -1, -1):
            key = ("/".join(parts[:length]), selector, name)
            if key in self.origins:
                return self.origins[key]
        return None

    def _names(self, value):
        """Macros in a value, in order, each once."""
        found = gin.config.iterate_references({"": {"": value}})
        names = [repr(r)[1:] for r in found if repr(r).startswith("%")]
        return [n for n in dict.fromkeys(names) if n in self.macros]

    def text(self, value) -> str:
        """A value as gin writes it, macros written out."""
        if isinstance(value, dict):
            pairs = (
                f"{self.text(k)}: {self.text(v)}" for k, v in value.items()
            )
            return f"{{{', '.join(pairs)}}}"
        if isinstance(value, list):
            return f"[{', '.join(map(self.text, value))}]"
        if isinstance(value, tuple):
            comma = "," * (len(value) == 1)
            return f"({', '.join(map(self.text, value))}{comma})"
        if isinstance(value, gin.config.ConfigurableReference):
            name = repr(value)[1:]
            if repr(value).startswith("%") and name in self.macros:
                return self._macro_text(name)
        return repr(value)

    def _macro_text(self, name):
        if name not in self._texts:
            self._texts[name] = None
            self._texts[name] = self.text(self.macros[name])
        text = self._texts[name]
        if text is None:
            raise configs.ConfigError(
                f"the macro {name} needs itself, in a circle; give it a value"
            )
        if len(text) > _MOST_TEXT:
            raise configs.ConfigError(
                f"the macro {name} has more than {_MOST_TEXT} characters once "
                "it is written out"
            )
        return text


def _of_keras(selector, name):
    """An argument that every Keras layer takes."""
    wrapped = gin.config._REGISTRY[selector].wrapped
    doc = docstrings.first_sentence(registry.meaning(wrapped, name))
    return registry.Parameter(name, "None", doc)
