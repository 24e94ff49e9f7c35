"""Finds, parses, saves and restores gin configs.

Every command goes through here: a config is found by the path as given, then
in the checkout, then in the copy inside the installed package; includes are
relative to that `gin/` root. After parsing the config is locked, and a name
that does not exist is one error with the nearest names that do.
"""

import contextlib
import difflib
import glob
import importlib
import inspect
import os
import pathlib
import pkgutil
import pprint
import re
import tokenize

import gin

from tfdecomp.untrusted import config_data, model_files

# Importing these registers what a gin file may name. They are looked up by
# name, since a config knows what exists and not how it works.
PACKAGES = (
    "tfdecomp.ops",
    "tfdecomp.distributions",
    "tfdecomp.layers",
    "tfdecomp.models",
    "tfdecomp.data",
    "tfdecomp.evaluation",
    "tfdecomp.exporting",
    "tfdecomp.training",
)
KERAS_KEYWORDS = (
    "name",
    "dtype",
    "trainable",
    "autocast",
    "activity_regularizer",
)
CONFIG_NAME = "config.gin"
DEFAULTS_TITLE = "# Defaults that were in force"
_REST = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


class ConfigError(ValueError):
    """A config that cannot be used; the message says what to change."""


def root() -> pathlib.Path:
    """The `gin/` folder: that of the checkout, else the installed copy."""
    package = pathlib.Path(__file__).resolve().parents[1]
    checkout = package.parent / "gin"
    if (package.parent / "setup.cfg").is_file() and checkout.is_dir():
        return checkout
    return package / "configs_data"


def available() -> list[str]:
    """Names of all shipped configs, relative to the root."""
    return sorted(str(p.relative_to(root())) for p in root().rglob("*.gin"))


def find(path) -> pathlib.Path:
    """Path of a gin file.

    Args:
        path: As given by the user: a path, or a name relative to the `gin/`
            folder with or without `gin/` in front and `.gin` behind.

    Raises:
        ConfigError: If there is no such file.
    """
    given = pathlib.Path(os.path.expanduser(path))
    parts = given.parts[1:] if given.parts[:1] == ("gin",) else given.parts
    for candidate in (given, root().joinpath(*parts)):
        for name in (candidate, candidate.with_name(candidate.name + ".gin")):
            if name.is_file():
                return name.absolute()
            if (moved := _moved(name)) is not None:
                return moved
    near = nearest(str(pathlib.Path(*parts)), available())
    raise ConfigError(
        f"there is no config {str(path)!r}, neither there nor in {root()}"
        f"{near or '; it has ' + ', '.join(available())}"
    )


def _moved(path):
    """Where a config of `papers/` is that had no folder of its system once.

    Runs, notes and configs of others still name it so.
    """
    path = pathlib.Path(path)
    if path.parent != root() / "papers" or path.suffix != ".gin":
        return None
    return next(path.parent.glob(f"*/{glob.escape(path.name)}"), None)


def register():
    """Imports everything that a config may name."""
    for name in PACKAGES:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            importlib.import_module(module.name)


def parse(files=(), bindings=()):
    """Replaces the active config by these files and bindings, and locks it.

    The files are the user's own: they may include and import. One that came
    with a model is for `restore`.

    Args:
        files: Paths, as `find` takes them; later ones override earlier ones.
        bindings: Lines such as `"NUM_SLOTS = 8"`; they override the files.

    Raises:
        ConfigError: If a file is missing, or a name in it does not exist.
    """
    paths = [find(path) for path in files]
    register()
    _search_in_root()
    _replace(
        [lambda p=path: gin.parse_config_file(str(p)) for path in paths],
        bindings,
    )


def _replace(steps, bindings):
    """Makes what these steps parse, and bindings, the active config."""
    gin.clear_config()
    try:
        for step in steps:
            with_hints(step)
        _check_macro_names(bindings)
        with_hints(lambda: gin.parse_config(list(bindings)))
        _check_parameters()
        _check_macros()
        with_hints(gin.finalize)
    except ConfigError:
        gin.clear_config()
        raise


@contextlib.contextmanager
def parsed(files=(), bindings=()):
    """`parse` for the length of a block; then the earlier config is back."""
    with isolated():
        parse(files, bindings)
        yield


@contextlib.contextmanager
def isolated():
    """Gives a block its own empty config; then the earlier one is back."""
    config = gin.config
    stores = (
        config._CONFIG,
        config._OPERATIVE_CONFIG,
        config._SINGLETONS,
    )
    saved = [dict(store) for store in stores]
    imports = set(config._IMPORTS)
    locked = gin.config_is_locked()
    gin.clear_config()
    try:
        yield
    finally:
        gin.clear_config()
        for store, content in zip(stores, saved):
            store.update(content)
        config._IMPORTS.update(imports)
        config._set_config_is_locked(locked)


def macro(name, default=gin.REQUIRED):
    """Value of a macro such as `NUM_SLOTS`.

    Args:
        name: Its name, without the percent sign.
        default: Returned when the config does not set it.

    Raises:
        ConfigError: If the config does not set it and there is no default.
    """
    macros = all_macros()
    if name not in macros:
        if default is not gin.REQUIRED:
            return default
        raise ConfigError(
            f"the config sets no {name}{nearest(name, macros)}; add a line "
            f"'{name} = ...' to the gin file or pass --gin_param"
        )
    value = macros[name]
    while isinstance(value, gin.config.ConfigurableReference):
        inner = repr(value)
        if not inner.startswith("%"):
            return value.scoped_configurable_fn()
        value = macros[inner[1:]]
    return value


def literal(name):
    """Value bound to `module.configurable.parameter`, if nothing builds it.

    Returns:
        The value; None if it is not bound or is a reference to something.
    """
    try:
        value = gin.query_parameter(name)
        while isinstance(value, gin.config.ConfigurableReference):
            inner = repr(value)
            value = all_macros()[inner[1:]] if inner.startswith("%") else None
    except (ValueError, KeyError):
        return None
    return value


def refers_to(name, configurable) -> bool:
    """Whether a reference to a configurable is bound to a parameter."""
    try:
        value = gin.query_parameter(name)
    except ValueError:
        return False
    macros = all_macros()
    while isinstance(value, gin.config.ConfigurableReference):
        inner = repr(value)
        if not inner.startswith("%"):
            return value.configurable.selector == configurable
        value = macros.get(inner[1:])
    return False


def parameter(name, default=None):
    """Value bound to `module.configurable.parameter`, built if a reference."""
    try:
        value = gin.query_parameter(name)
    except ValueError:
        return default
    if isinstance(value, gin.config.ConfigurableReference):
        return value.scoped_configurable_fn()
    return value


def asked() -> str:
    """All bindings of the active config, with full names, in a fixed order.

    gin's own text shortens names as far as it can today; a name registered
    tomorrow could make a saved one ambiguous.
    """
    imports = sorted(i.format() for i in gin.config._IMPORTS)
    macros = [
        _line(name, value) for name, value in sorted(all_macros().items())
    ]
    bindings = sorted(
        _line(f"{_selector(key)}.{name}", value)
        for key, values in gin.config._CONFIG.items()
        for name, value in values.items()
        if key[1] != "gin.macro"
    )
    parts = ("\n".join(part) for part in (imports, macros, bindings) if part)
    return "\n\n".join(parts) + "\n"


def operative() -> str:
    """What was asked for, and every default in use, as a config.

    Meaningful once the objects have been built: a default shows only after
    the function it belongs to was called.
    """
    return "\n".join([asked(), DEFAULTS_TITLE, *sorted(_defaults())]) + "\n"


def restore(workdir, bindings=(), trusted=False):
    """Makes the config of a work directory the active one.

    The folder may be a stranger's, so its config is read as data: nothing in
    it is imported, included or registered.

    Args:
        workdir: Folder of a run or of shipped weights.
        bindings: Lines that override it.
        trusted: Whether the folder is the user's own, and its config may
            import modules, as that of a training may.

    Raises:
        ConfigError: If there is no config in the folder, or it holds more
            than settings of this package; see `config_data.check`.
    """
    text = saved(workdir)
    if text is None:
        raise ConfigError(
            f"{workdir} is not the work directory of a run: it has no "
            f"{CONFIG_NAME}; give the folder that was --workdir in training"
        )
    register()
    path = pathlib.Path(os.path.expanduser(workdir)) / CONFIG_NAME
    if not trusted:
        with_hints(lambda: config_data.check(text, path))
    _replace([lambda: gin.parse_config(text)], bindings)


def saved(workdir) -> str | None:
    """Text of the config of a folder; None if it has none.

    Raises:
        ConfigError: If it is no text, or too much for a config.
    """
    path = pathlib.Path(os.path.expanduser(workdir)) / CONFIG_NAME
    try:
        return model_files.read_text(path, config_data.MOST_BYTES)
    except FileNotFoundError:
        return None
    except model_files.ModelFileError as error:
        raise ConfigError(str(error)) from None


def difference(old: str, new: str, old_name="before", new_name="now") -> str:
    """Unified diff of the bindings of two configs; empty if they agree."""
    return "\n".join(
        difflib.unified_diff(
            _statements(old),
            _statements(new),
            old_name,
            new_name,
            n=0,
            lineterm="",
        )
    )


def split_operative(text: str) -> tuple[str, str]:
    """`(asked, defaults)` parts of a saved operative config."""
    asked_part, _, defaults = text.partition(DEFAULTS_TITLE)
    return asked_part, defaults


def _search_in_root():
    """Makes includes relative to the root, wherever the command runs."""
    prefixes = gin.config._LOCATION_PREFIXES
    if str(root()) not in prefixes:
        # In front of the working folder: what a config includes must not
        # depend on where the command is typed.
        prefixes.insert(0, str(root()))
        gin.config.register_file_reader(
            lambda path: open(_moved(path), encoding="utf-8"),
            lambda path: _moved(path) is not None,
        )


def _statements(text):
    """Lines of a config without comments and blank lines."""
    lines = (line.rstrip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _defaults():
    """Yields a line for every default in use that can be written down."""
    config = gin.config._CONFIG
    for key, values in gin.config._OPERATIVE_CONFIG.items():
        # A scoped call also reports what is bound without the scope.
        bound = {*config.get(key, ()), *config.get(("", key[1]), ())}
        if key[1].startswith("gin."):
            continue
        for name, value in values.items():
            if name not in bound and gin.config._is_literally_representable(
                value
            ):
                yield _line(f"{_selector(key)}.{name}", value)


def _selector(key):
    """`scope/module.name` of a key in gin's stores."""
    scope, selector = key
    return f"{scope}/{selector}" if scope else selector


def _line(name, value):
    return f"{name} = {pprint.pformat(value, width=76 - len(name))}"


def all_macros() -> dict:
    """Name of every macro of the active config -> its value, as gin has it."""
    return {
        scope: values["value"]
        for (scope, selector), values in gin.config._CONFIG.items()
        if selector == "gin.macro"
    }


def nearest(name, names) -> str:
    """`"; did you mean ...?"`, or nothing when no name is near."""
    by_lower = {str(n).lower(): n for n in names}
    close = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)
    if not close:
        return ""
    return "; did you mean " + " or ".join(by_lower[c] for c in close) + "?"


def _selectors(like):
    """Names of everything that a config may set, with or without modules."""
    full = [selector for selector, _ in gin.config._REGISTRY.items()]
    return full if "." in like else [name.split(".")[-1] for name in full]


def with_hints(action):
    """Runs a step of parsing; gin's errors come out with near names.

    Args:
        action: Function without arguments.

    Raises:
        ConfigError: In one sentence, for whatever gin says in several.
    """
    try:
        action()
    except SyntaxError as error:
        where = f" in {error.filename}" if error.filename else ""
        raise ConfigError(
            f"cannot read the config{where}, line {error.lineno}: "
            f"{model_files.printable(_first_line(error.msg))}: "
            f"{model_files.printable((error.text or '').strip(), 100)}"
        ) from None
    except tokenize.TokenError as error:
        what, (line, _) = error.args
        raise ConfigError(
            f"cannot read the config: {what}, from line {line}; a bracket or "
            "a quote is not closed"
        ) from None
    except (
        ValueError,
        ImportError,
        OSError,
        RuntimeError,
        TypeError,
    ) as error:
        raise ConfigError(_explain(str(error))) from None


def _first_line(text):
    return str(text).partition("\n")[0]


def _explain(message):
    """One line for gin's message: what, where, and the nearest names."""
    what, *context = (line.strip() for line in message.splitlines())
    where = " ".join(line for line in context if not set(line) <= {"^"})
    where = f" ({where})" if where else ""
    unknown = re.search(r"No configurable matching (?:reference )?'@?(.*?)"
                        r"(?:\(\))?'", what)  # fmt: skip
    if unknown:
        name = unknown[1].split("/")[-1]
        near = nearest(name, _selectors(like=name))
        return f"the config names {name!r}, which does not exist{where}{near}"
    keyword = re.search(
        r"Configurable '(.*)' doesn't have a parameter named '(.*)'", what
    )
    if keyword:
        near = nearest(keyword[2], signature(keyword[1]))
        return f"{keyword[1]} has no parameter {keyword[2]!r}{where}{near}"
    missing = re.search(r"Unable to open file: (.*)\. Searched", what)
    if missing:
        near = nearest(missing[1], available())
        return f"the config includes {missing[1]!r}, not found{where}{near}"
    return what + where


def signature(selector) -> dict:
    """What a configurable takes, through `**kwargs` of our classes.

    Args:
        selector: Its name, with or without the module.

    Returns:
        Name -> `inspect.Parameter`; the subclass' where several classes take
        the same.
    """
    found = {}
    own, *bases = _functions(gin.config._REGISTRY.get_match(selector))
    for function in (own, *bases):
        takes = inspect.signature(function).parameters.values()
        for taken in takes:
            # What a base cannot do without is its subclass' to give.
            given = function is not own and taken.default is taken.empty
            if taken.name != "self" and taken.kind not in _REST and not given:
                found.setdefault(taken.name, taken)
        if inspect.Parameter.VAR_KEYWORD not in [t.kind for t in takes]:
            break
    return found


def _functions(configurable):
    """The function, or the constructors from a class down to its base."""
    function = configurable.wrapped
    if not inspect.isclass(function):
        return [function]
    return [
        vars(cls)["__init__"]
        for cls in function.__mro__
        if "__init__" in vars(cls)
        and cls.__module__.split(".")[0] not in ("keras", "builtins")
    ]


def _check_parameters():
    """Refuses unknown names that gin lets through because of `**kwargs`."""
    for (_, selector), values in gin.config._CONFIG.items():
        if selector.startswith("gin."):
            continue
        short = gin.config._REGISTRY.minimal_selector(selector)
        known = [*signature(selector), *KERAS_KEYWORDS]
        for name in values:
            if name not in known:
                raise ConfigError(
                    f"{short} has no parameter {name!r}{nearest(name, known)}"
                )


def _check_macro_names(bindings):
    """Refuses `--gin_param` for a macro that no file has: a typo."""
    known = set(all_macros()) | _referenced_macros()
    if not known:
        return
    for binding in bindings:
        match = re.match(r"\s*([A-Za-z_]\w*)\s*=", binding)
        if match and match[1] not in known:
            raise ConfigError(
                f"the config has no macro {match[1]!r}"
                f"{nearest(match[1], known)} It has {', '.join(sorted(known))}"
            )


def _referenced_macros():
    references = gin.config.iterate_references(gin.config._CONFIG)
    return {repr(r)[1:] for r in references if repr(r).startswith("%")}


def _check_macros():
    """Refuses a `%NAME` that nothing sets."""
    constants = {name for name, _ in gin.config._CONSTANTS.items()}
    known = all_macros()
    for name in sorted(_referenced_macros()):
        if name not in known and name not in constants:
            raise ConfigError(
                f"the config uses %{name}, which nothing sets"
                f"{nearest(name, known)}"
            )
