"""Configs and lists of parameters as text of at most `WIDTH` columns."""

import textwrap

from tfdecomp.explaining import docstrings, registry

WIDTH = 100
_NAME, _VALUE = 26, 28  # most columns of a name, and of a value
_INDENT, _GAP = "    ", "  "
_LEGEND = (
    "'from' says who set a value: a macro, a line of a file, --gin_param. "
    "Values without it are defaults."
)
_UNSET = {
    registry.REQUIRED: "- (not set)",
    registry.NO_DEFAULT: "- (from the code)",
}
_NO_DEFAULT = (registry.REQUIRED, registry.NO_DEFAULT)
_MOST_USES = 2  # of a macro that are named


def config(effective, only_set=False) -> str:
    """An effective config.

    Args:
        effective: `effective.Effective`.
        only_set: Whether to leave out parameters at their defaults.
    """
    lines = [", ".join(effective.source), *_wrap(_LEGEND, WIDTH)]
    params = [f"--gin_param {param!r}" for param in effective.params]
    lines[1:1] = [row for param in params for row in _wrap(param, WIDTH - 4)]
    lines += _macros(effective)
    section = None
    columns = _columns(_pairs(effective, only_set))
    for block in effective.blocks:
        settings = [s for s in block.settings if s.is_set or not only_set]
        if only_set and not settings:
            continue
        if block.section != section:
            section = block.section
            lines += ["", section.upper()]
        lines += ["", *_heading(block)]
        for setting in settings:
            lines += _setting(setting, columns)
    return "\n".join(lines) + "\n"


def parameters(configurables) -> str:
    """What can be set, with all that is said of it.

    Args:
        configurables: `registry.Configurable`s.
    """
    blocks = []
    for entry in configurables:
        columns = _columns((p.name, p.default) for p in entry.parameters)
        lines = _heading(entry)
        lines += _row(("parameter", "default", "meaning"), columns)
        for parameter in entry.parameters:
            cells = (parameter.name, parameter.default, parameter.doc)
            lines += _row(cells, columns)
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def names(configurables) -> str:
    """The names of configurables by section, each with its summary.

    Args:
        configurables: `registry.Configurable`s.
    """
    lines = []
    width = max(len(entry.name) for entry in configurables)
    for section in registry.SECTIONS:
        entries = [e for e in configurables if e.section == section]
        if entries:
            lines += [*([""] if lines else []), section.upper()]
        for entry in entries:
            lines += _row((entry.name, entry.summary), (width,))
    lines += ["", "'tfdecomp config --parameters NAME' lists what can be set."]
    return "\n".join(lines) + "\n"


def _pairs(effective, only_set):
    """Names and values that stand in columns."""
    for block in effective.blocks:
        for setting in block.settings:
            if setting.is_set or not only_set:
                yield setting.name, setting.value


def _columns(pairs):
    """Widths of the columns of names and values."""
    pairs = [("parameter", "default"), *pairs]
    return (
        min(_NAME, max(len(name) for name, _ in pairs)),
        min(_VALUE, max(len(value) for _, value in pairs)),
    )


def _macros(effective):
    if not effective.macros:
        return []
    lines = ["", "MACROS", ""]
    columns = _columns((macro.name, macro.value) for macro in effective.macros)
    for macro in effective.macros:
        by = f"from {macro.set_by}; " if macro.set_by else ""
        uses = _uses(macro.name, effective.blocks)
        lines += _row((macro.name, macro.value, by + uses), columns)
    return lines


def _uses(name, blocks):
    """Where a macro stands, in words."""
    found = [
        f"{block.name}.{setting.name}"
        for block in blocks
        for setting in block.settings
        if name in [macro.name for macro in setting.macros]
    ]
    more = len(found) - _MOST_USES
    named = ", ".join(found[:_MOST_USES]) or "no parameter"
    return f"sets {named}" + (f" and {more} more" if more > 0 else "")


def _heading(entry):
    text = f"{entry.name}: {entry.summary}" if entry.summary else entry.name
    return textwrap.wrap(text, WIDTH, subsequent_indent=_INDENT)


def _setting(setting, columns):
    value, default = setting.value, setting.default
    if not setting.is_set:
        value = _UNSET.get(value, value)
    said = docstrings.first_sentence(setting.doc)
    lines = _row((setting.name, value, said), columns)
    if setting.is_set:
        # Below the value, as wide as there is space.
        default = default if default in _NO_DEFAULT else f"default {default}"
        text = f"from {_by(setting)}; {default}"
        lines += _row(("", text), columns[:1])
    return lines


def _by(setting):
    """Who set a value, in words."""
    macros = [f"{m.name} ({m.set_by or 'gin'})" for m in setting.macros]
    if setting.written in [f"%{macro.name}" for macro in setting.macros]:
        return macros[0]
    line = str(setting.set_by or "gin")
    return f"{line} with {', '.join(macros)}" if macros else line


def _row(cells, widths):
    """Cells side by side; the last one takes the space that is left.

    A value with a word wider than its column has lines of its own.
    """
    if len(cells) == 3 and _widest(cells[1]) > widths[1]:
        name, value, said = cells
        below = _row(("", "", said), widths) if said else []
        return _row((name, value), widths[:1]) + below
    taken = len(_INDENT) + sum(widths) + len(_GAP) * len(widths)
    widths = (*widths, WIDTH - taken)
    wrapped = [_wrap(cell, width) for cell, width in zip(cells, widths)]
    height = max(len(lines) for lines in wrapped)
    rows = []
    for number in range(height):
        parts = [
            (lines[number] if number < len(lines) else "").ljust(width)
            for lines, width in zip(wrapped, widths)
        ]
        rows.append((_INDENT + _GAP.join(parts)).rstrip())
    return rows


def _widest(text):
    return max((len(word) for word in text.split()), default=0)


def _wrap(text, width):
    return textwrap.wrap(text, width, break_on_hyphens=False) or [""]
