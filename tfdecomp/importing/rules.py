"""Which weight becomes which, and what is said where it does not fit."""

import collections.abc
import dataclasses

import numpy as np

from tfdecomp.importing.errors import ImportRefusedError

_NAMED = 4  # weights that a message names


@dataclasses.dataclass(frozen=True)
class Rule:
    """One weight of ours from one or more of theirs.

    Args:
        target: Variable of our model.
        sources: Their names.
        shapes: Their shapes, in the same order.
        convert: Function of their arrays that returns ours.
    """

    target: object
    sources: tuple
    shapes: tuple
    convert: collections.abc.Callable


def same(target, source):
    """A weight that is stored as ours is."""
    return Rule(target, (source,), (tuple(target.shape),), np.asarray)


def flat(target, source):
    """A vector that is stored with an axis of one in front."""
    shape = (1, *target.shape)
    return Rule(target, (source,), (shape,), np.ravel)


def values(arrays, rules, system):
    """Theirs turned into ours.

    Args:
        arrays: Their names -> arrays.
        rules: `Rule`s, one for each of our weights.
        system: Whose checkpoint it should be, for messages.

    Returns:
        List of `(variable, array)`.

    Raises:
        ImportRefusedError: If a weight is missing, has another shape, or is
            not finite.
    """
    wanted = {
        name: shape
        for rule in rules
        for name, shape in zip(rule.sources, rule.shapes)
    }
    missing = [name for name in wanted if name not in arrays]
    if missing:
        others = sorted(set(arrays) - set(wanted))
        raise ImportRefusedError(
            f"this is no whole checkpoint of {system}: it lacks "
            f"{_some(missing)}, {len(missing)} of {len(wanted)} weights"
            + (f"; unknown here: {_some(others)}" if others else "")
        )
    for name, shape in wanted.items():
        _check(name, arrays[name], shape)
    return [
        (
            rule.target,
            rule.convert(*(arrays[name] for name in rule.sources)),
        )
        for rule in rules
    ]


def refuse_others(names, rules, system):
    """Raises if there are weights that no rule reads.

    A network with more layers would come out as another one.

    Args:
        names: Their names that should all be read.
        rules: `Rule`s.
        system: Whose checkpoint it should be, for messages.

    Raises:
        ImportRefusedError: If there are others.
    """
    read = {name for rule in rules for name in rule.sources}
    others = sorted(set(names) - read)
    if others:
        raise ImportRefusedError(
            f"this is another network than {system}'s: it has "
            f"{_some(others)}, {len(others)} weights that this one has not"
        )


def check_covered(model, rules):
    """Raises unless every weight of ours has one rule."""
    ours = {id(v): v.path for v in model.weights}
    filled = [id(rule.target) for rule in rules]
    left = [path for key, path in ours.items() if key not in filled]
    if left or len(filled) != len(set(filled)):
        raise ImportRefusedError(
            f"the settings build a model with weights that no published "
            f"checkpoint has: {_some(left)}; import into a reference preset"
        )


def _check(name, array, shape):
    array = np.asarray(array)
    if array.shape != tuple(shape):
        raise ImportRefusedError(
            f"{name} has the shape {array.shape}; expected {tuple(shape)}"
        )
    if not np.issubdtype(array.dtype, np.floating):
        raise ImportRefusedError(
            f"{name} has values of type {array.dtype}; expected floating point"
        )
    with np.errstate(over="ignore"):
        is_finite = np.isfinite(array.astype(np.float32)).all()
    if not is_finite:
        raise ImportRefusedError(
            f"{name} has values that are not finite; fetch the file again"
        )


def _some(names):
    names = list(names)
    more = ", ..." if len(names) > _NAMED else ""
    return ", ".join(map(str, names[:_NAMED])) + more
