"""Configs and lists of parameters as JSON."""

import dataclasses
import json


def config(effective, only_set=False) -> str:
    """An effective config: `source`, `params`, `macros`, `configurables`.

    A parameter has `name`, `value` and `default` as gin writes them, `doc`,
    `is_set`, and if it is: `written` as in the file, `set_by`
    ("gin/provide.gin:8" or "--gin_param") and the `macros` in it.

    Args:
        effective: `effective.Effective`.
        only_set: Whether to leave out parameters at their defaults.
    """
    blocks = [
        {
            "name": block.name,
            "section": block.section,
            "summary": block.summary,
            "parameters": [
                _setting(setting)
                for setting in block.settings
                if setting.is_set or not only_set
            ],
        }
        for block in effective.blocks
    ]
    return _text(
        {
            "source": effective.source,
            "params": effective.params,
            "macros": [_macro(macro) for macro in effective.macros],
            "configurables": blocks,
        }
    )


def parameters(configurables) -> str:
    """A list of what can be set.

    Args:
        configurables: `registry.Configurable`s.
    """
    return _text([dataclasses.asdict(entry) for entry in configurables])


def _setting(setting):
    entry = {
        "name": setting.name,
        "value": setting.value,
        "default": setting.default,
        "doc": setting.doc,
        "is_set": setting.is_set,
    }
    if setting.is_set:
        entry["written"] = setting.written
        entry["set_by"] = _by(setting.set_by)
        entry["macros"] = [_macro(macro) for macro in setting.macros]
    return entry


def _macro(macro):
    return {
        "name": macro.name,
        "value": macro.value,
        "set_by": _by(macro.set_by),
    }


def _by(origin):
    return str(origin) if origin else None


def _text(content):
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
