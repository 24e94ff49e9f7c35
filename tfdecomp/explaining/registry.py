"""Everything that a gin file may set, with what its docstring says.

Call `configs.register` first.
"""

import dataclasses
import functools
import inspect
import re
import sys

import gin

from tfdecomp.explaining import docstrings
from tfdecomp.storage import configs

SECTIONS = (
    "run",
    "model",
    "layers",
    "data",
    "optimizer",
    "schedules",
    "evaluation",
    "other",
)
REQUIRED, NO_DEFAULT = "required", "no default"
_SECTION_OF = {
    "training": "run",
    "models": "model",
    "layers": "layers",
    "data": "data",
    "schedules": "schedules",
    "evaluation": "evaluation",
    "studies": "evaluation",
}
_SEE = re.compile(r"See `([\w.]+)`([.;]?)")
_MOST_STEPS = 3  # from one docstring that points to another


@dataclasses.dataclass(frozen=True)
class Parameter:
    """What a configurable takes.

    Attributes:
        name: Its name.
        default: As gin writes it; "required" if the config has to give one,
            "no default" if the config or the code has.
        doc: What the docstring says; empty if nothing.
    """

    name: str
    default: str
    doc: str


@dataclasses.dataclass(frozen=True)
class Configurable:
    """Something that a gin file may set or refer to.

    Attributes:
        name: With its module, such as `models.SILOT`.
        section: One of `SECTIONS`.
        summary: First line of its docstring.
        parameters: `Parameter`s, in the order of the code.
    """

    name: str
    section: str
    summary: str
    parameters: tuple


def everything() -> list[Configurable]:
    """All configurables, by section and name."""
    found = [
        describe(name)
        for name, _ in gin.config._REGISTRY.items()
        if not name.startswith("gin.")
    ]
    return sorted(found, key=lambda c: (SECTIONS.index(c.section), c.name))


def describe(name) -> Configurable:
    """One configurable.

    Args:
        name: With or without its module, or the scope of a reference.

    Raises:
        ValueError: If there is none of this name, or more than one.
    """
    selector = _selector(name)
    entry = gin.config._REGISTRY[selector]
    hidden = entry.denylist or ()
    shown = [
        Parameter(key, default_text(taken), meaning(entry.wrapped, key))
        for key, taken in configs.signature(selector).items()
        if key not in hidden and (not entry.allowlist or key in entry.allowlist)
    ]
    return Configurable(
        selector,
        _section(selector, entry.wrapped),
        docstrings.summary(entry.wrapped.__doc__),
        tuple(shown),
    )


def _selector(name):
    """Full name of the one configurable that a name stands for."""
    registry = gin.config._REGISTRY
    bare = name.lstrip("@").removesuffix("()").rsplit("/", 1)[-1]
    matches = [] if not bare else registry.matching_selectors(bare)
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ValueError(
            f"{name!r} may be {' or '.join(sorted(matches))}; give one of them"
        )
    names = [n for n, _ in registry.items() if not n.startswith("gin.")]
    like = names if "." in bare else [n.rsplit(".", 1)[-1] for n in names]
    raise ValueError(
        f"there is no configurable {name!r}"
        f"{configs.nearest(bare, like) or ';'} 'tfdecomp config "
        "--parameters' lists all"
    )


def _section(selector, wrapped):
    if wrapped.__module__ == "tfdecomp.training.optimizers":
        return "optimizer"
    return _SECTION_OF.get(selector.split(".")[0], "other")


def default_text(taken) -> str:
    """A default as gin writes it.

    Args:
        taken: `inspect.Parameter`.
    """
    value = taken.default
    if value is gin.REQUIRED:
        return REQUIRED
    if value is taken.empty:
        return NO_DEFAULT
    if inspect.isclass(value) or inspect.isroutine(value):
        return f"@{value.__qualname__}"
    return repr(value)


def meaning(wrapped, name) -> str:
    """What docstrings say of an argument, in one line.

    A class inherits what its bases say of arguments that it passes on
    (`**kwargs: See Base`); an argument that begins with a reference ("See
    `layers.MLP.units`") has what is said there.

    Args:
        wrapped: Function or class.
        name: Of the argument.

    Returns:
        Empty if nothing is said.
    """
    return _follow(wrapped, name, _MOST_STEPS)


def _follow(wrapped, name, steps):
    owner, said = _said(wrapped, name)
    see = _SEE.match(said)
    if not see or not steps:
        return said
    there = _follow(*_place(owner, see[1], name), steps - 1)
    rest = said[see.end() :].strip()
    if not there or not rest:
        return there or said
    joint = f"{there.rstrip('.')}; " if see[2] == ";" else f"{there} "
    return joint + rest


def _said(wrapped, name):
    """`(who says it, text)` of the first class that says something."""
    classes = wrapped.__mro__ if inspect.isclass(wrapped) else (wrapped,)
    for owner in classes:
        for doc in _docs(owner):
            for title in ("Args", "Attributes"):
                said = _arguments(doc, title).get(name)
                if said:
                    return owner, said
    return wrapped, ""


# A class with forty arguments is asked forty times.
_arguments = functools.lru_cache(maxsize=1024)(docstrings.arguments)


def _docs(owner):
    """The docstring of the object itself and that of its constructor."""
    if not inspect.isclass(owner):
        return [owner.__doc__]
    constructor = vars(owner).get("__init__")
    return [vars(owner).get("__doc__"), getattr(constructor, "__doc__", None)]


def _place(owner, path, name):
    """`(object, argument)` that `layers.MLP.units` or `layers.MLP` names."""
    names = vars(sys.modules[owner.__module__])
    *_, before, last = ["", *path.split(".")]
    for candidate, argument in ((last, name), (before, last)):
        if candidate in names:
            return names[candidate], argument
        matches = gin.config._REGISTRY.matching_selectors(candidate or "-")
        if len(matches) == 1:
            return gin.config._REGISTRY[matches[0]].wrapped, argument
    return owner, ""
