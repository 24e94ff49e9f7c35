"""The scripts that make the files of dataset folders, for tests."""

import importlib.util

from tfdecomp import builders


def load(name):
    """The module `make_files.py` of a dataset's folder."""
    path = builders.folder() / name / "make_files.py"
    spec = importlib.util.spec_from_file_location(f"{name}_make_files", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
