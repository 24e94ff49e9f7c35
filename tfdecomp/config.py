"""Explains a gin config, or lists what one may set.

    python -m tfdecomp.config gin/quick/provide.gin
    python -m tfdecomp.config gin/provide.gin --gin_param="NUM_SLOTS = 8"
    python -m tfdecomp.config ~/runs/quick_provide --only_set
    python -m tfdecomp.config --parameters
    python -m tfdecomp.config --parameters models.SILOT

A config is shown as training would read it: every parameter with its value,
what it means, its default, and who set it. Nothing is built or run. Given a
folder, it is the config of that run or trained model.
"""

import os
import pathlib
import sys

from absl import app, flags, logging

from tfdecomp.console import commands

_GIN_FILE = flags.DEFINE_multi_string(
    "gin_file",
    [],
    "Config: a path, a name in the gin/ folder, or the folder of a run. Later "
    "files override. The flag's name may be left out.",
)
_GIN_PARAM = flags.DEFINE_multi_string(
    "gin_param", [], "A binding that overrides the files: 'NUM_SLOTS = 8'."
)
_PARAMETERS = flags.DEFINE_bool(
    "parameters",
    False,
    "Lists what can be set of the configurables that follow, such as "
    "models.SILOT; without a name, all configurables.",
)
_ONLY_SET = flags.DEFINE_bool(
    "only_set", False, "Leaves out parameters that are at their defaults."
)
_JSON = flags.DEFINE_bool("json", False, "Prints JSON.")
_TRUST_CONFIG = flags.DEFINE_bool("trust_config", False, commands.TRUST_CONFIG)


def main(argv):
    return commands.finish(lambda: _explain(argv[1:]), quiet=logging.ERROR)


def _explain(words):
    text = _parameters(words) if _PARAMETERS.value else _config(words)
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # '| head' has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _config(words):
    from tfdecomp.explaining import effective, layout, machine

    trusted = _TRUST_CONFIG.value
    files, params = [*_GIN_FILE.value, *words], _GIN_PARAM.value
    if not files:
        raise ValueError(
            "give a config, such as 'tfdecomp config gin/quick/provide.gin', "
            "or --parameters"
        )
    folder = _folder(files)
    if folder:
        found = effective.of_folder(folder, params, trusted)
    else:
        found = effective.of_files(files, params, trusted)
    write = machine.config if _JSON.value else layout.config
    return write(found, _ONLY_SET.value)


def _folder(files):
    """The folder of a model among what was given, or None."""
    folders = [f for f in files if pathlib.Path(f).expanduser().is_dir()]
    if folders and len(files) > 1:
        raise ValueError(
            f"{folders[0]} is a folder, whose config is whole and comes "
            "alone; change it with --gin_param"
        )
    return folders[0] if folders else None


def _parameters(words):
    from tfdecomp.explaining import layout, machine, registry
    from tfdecomp.storage import configs

    if _GIN_FILE.value or _GIN_PARAM.value:
        raise ValueError(
            "--parameters lists what any config may set; leave out "
            "--gin_file and --gin_param"
        )
    configs.register()
    found = [registry.describe(word) for word in words]
    if _JSON.value:
        return machine.parameters(found or registry.everything())
    if found:
        return layout.parameters(found)
    return layout.names(registry.everything())


def run():
    """Entry point of the console command."""
    app.run(main)


if __name__ == "__main__":
    run()
