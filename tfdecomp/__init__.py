"""Unsupervised decomposition of images and videos into objects.

Importing the package is cheap: TensorFlow is loaded by the first call that
needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfdecomp.version import __version__

if TYPE_CHECKING:
    from tfdecomp.hub import Loaded
    from tfdecomp.types import Path

__all__ = ["__version__", "fit", "list_models", "load"]


def load(name_or_dir: Path) -> Loaded:
    """Loads a trained model by name or from a folder; see `tfdecomp.hub`."""
    from tfdecomp import hub

    return hub.load(name_or_dir)


def list_models() -> dict[str, dict]:
    """Lists the models that `load` knows by name; see `tfdecomp.catalogue`."""
    from tfdecomp import catalogue

    return catalogue.list_models()


def fit(
    source: Path | list[Path] | tuple[Path, ...], output: Path, **options: Any
) -> dict[str, Any]:
    """Fits a model to a fixed-camera video; see `tfdecomp.fitting.run.fit`.

    The command of this name is `python -m tfdecomp.fit`.
    """
    from tfdecomp.fitting import run

    return run.fit(source, output, **options)
