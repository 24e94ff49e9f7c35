"""Unsupervised decomposition of images and videos into objects.

Importing the package is cheap: TensorFlow is loaded by the first call that
needs it.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from tfdecomp.version import __version__

if TYPE_CHECKING:
    from tfdecomp.sharing.hub import Loaded
    from tfdecomp.types import Path

__all__ = ["__version__", "fit", "list_models", "load"]

# TensorFlow turns oneDNN on by itself only where a processor multiplies in
# eight or sixteen bits (AVX-512 VNNI and later). Without it, convolutions
# take about twice as long on others; docs/learning.md has the figures.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# Where modules were that notebooks and scripts may still name.
_MOVED = {
    "catalogue": "storage",
    "commands": "console",
    "configs": "storage",
    "hub": "sharing",
    "saving": "storage",
}


def __getattr__(name: str) -> Any:
    """Finds modules under the names that they had before 0.2."""
    if name not in _MOVED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{_MOVED[name]}.{name}")


def load(name_or_dir: Path, precision: str | None = None) -> Loaded:
    """Loads a model by name or from a folder; see `tfdecomp.sharing.hub`."""
    from tfdecomp.sharing import hub

    return hub.load(name_or_dir, precision)


def list_models() -> dict[str, dict]:
    """Lists the models that `load` knows; see `tfdecomp.storage.catalogue`."""
    from tfdecomp.storage import catalogue

    return catalogue.list_models()


def fit(
    source: Path | list[Path] | tuple[Path, ...], output: Path, **options: Any
) -> dict[str, Any]:
    """Fits a model to a fixed-camera video; see `tfdecomp.fitting.run.fit`.

    The command of this name is `python -m tfdecomp.fit`.
    """
    from tfdecomp.fitting import run

    return run.fit(source, output, **options)
