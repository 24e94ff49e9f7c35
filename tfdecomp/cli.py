"""The console command `tfdecomp`: all commands under one name.

    tfdecomp --help
    tfdecomp train --gin_file=gin/quick/provide.gin
    tfdecomp fit --input=fish.mp4 --output=fish/ --objects=8
    tfdecomp predict --model=provide_balls_quick --input=clip.mp4 --output=out
    tfdecomp serve --model=silot_motion
    tfdecomp models

Each is the same as `python -m tfdecomp.COMMAND`.
"""

import ast
import pathlib
import runpy
import sys

COMMANDS = (
    "train",
    "evaluate",
    "predict",
    "fit",
    "serve",
    "export",
    "benchmark",
    "tables",
    "compare",
    "tune",
    "sweep",
    "calibrate",
    "prepare",
    "study",
    "publish",
    "import_weights",
    "config",
)
_MODELS = "Lists the trained models that load by name."


def main(argv=None) -> int:
    """Runs one command.

    Args:
        argv: The words after `tfdecomp`; by default the process's.

    Returns:
        The exit status, if the command does not exit by itself.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(help_text())
        return 0
    name, *rest = words
    if name == "--version":
        from tfdecomp.version import __version__

        print(f"tfdecomp {__version__}")
        return 0
    if name == "models":
        return _models(rest)
    if name not in COMMANDS:
        print(_unknown(name), file=sys.stderr)
        return 2
    # As its own program: flags and help then belong to it.
    sys.argv = [f"tfdecomp {name}", *rest]
    runpy.run_module(f"tfdecomp.{name}", run_name="__main__", alter_sys=True)
    return 0


def help_text() -> str:
    """What `tfdecomp --help` prints."""
    lines = ["usage: tfdecomp COMMAND [--flags]", ""]
    for name in COMMANDS:
        lines.append(f"  {name:<10} {_summary(name)}")
    lines += [
        f"  {'models':<10} {_MODELS}",
        "",
        "'tfdecomp COMMAND --help' shows examples and flags.",
    ]
    return "\n".join(lines)


def _summary(name):
    """First line of a command's docstring, without importing it."""
    path = pathlib.Path(__file__).with_name(f"{name}.py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    return text.splitlines()[0]


def _unknown(name):
    import difflib

    known = [*COMMANDS, "models"]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" did you mean {near[0]!r}?" if near else ""
    return (
        f"error: there is no command {name!r};{hint} there are "
        f"{', '.join(known)}"
    )


def _models(rest):
    if rest and rest[0] not in ("-h", "--help"):
        print(f"error: unexpected arguments: {rest}", file=sys.stderr)
        return 2
    if rest:
        print(f"usage: tfdecomp models\n\n{_MODELS}")
        return 0
    from tfdecomp.storage import catalogue

    print(catalogue.table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
