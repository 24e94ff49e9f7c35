"""Properties of objects, by name or by value: a green sphere, say."""

import numpy as np


def resolve(source, argument, asked):
    """What is asked for, as labels and values.

    Args:
        source: `Source` of the dataset. Its metadata may name the values of
            factors (`value_names`).
        argument: Name of the argument, for messages.
        asked: Names of values, such as `("green", "sphere")`, or factor to
            name or value.

    Returns:
        Stored name of each label to `(value, whether it has frames)`.

    Raises:
        ValueError: If the dataset knows no such name or factor.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data import reader
        >>> from tfdecomp.data.combinations import resolve
        >>> source = reader.from_builder(builders.make("tetrominoes/quick14"))
        >>> resolve(source, argument="without", asked=("red",))
        {'factors/color': ([1, 0, 0], False)}
    """
    known = source.metadata.get("value_names") or {}
    if isinstance(asked, str):
        asked = (asked,)
    if not isinstance(asked, dict):
        asked = {_factor(source, argument, n, known): n for n in asked}
    resolved = {}
    for factor, value in asked.items():
        label = source.resolve(factor)
        if isinstance(value, str):
            names = known.get(factor.removeprefix("factors/")) or {}
            if value not in names:
                _refuse(source, argument, value, names)
            value = names[value]
        has_time = source.has_time(label)
        _check_shape(source, argument, label, value, has_time)
        resolved[label] = (value, has_time)
    return resolved


def _factor(source, argument, name, known):
    """The one factor that has a value of this name."""
    factors = [factor for factor, names in known.items() if name in names]
    if len(factors) != 1:
        every = [n for names in known.values() for n in names]
        _refuse(source, argument, name, every)
    return factors[0]


def _refuse(source, argument, name, names):
    expected = f"one of {list(names)}" if names else "a number"
    raise ValueError(
        f"{source.label}: {argument} names {name!r}, expected {expected}; "
        "with numbers it is written as {'color': 4, 'shape': 2}"
    )


def _check_shape(source, argument, label, value, has_time):
    shape = source.features[label][0][2 if has_time else 1 :]
    if np.shape(value) != shape:
        raise ValueError(
            f"{source.label}: {argument} wants {label} to be {value!r}, "
            f"expected {'a number' if not shape else f'{shape[0]} numbers'}"
        )
