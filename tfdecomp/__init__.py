"""Unsupervised decomposition of images and videos into objects.

Importing the package is cheap: TensorFlow is loaded by the first call that
needs it.
"""

__version__ = "0.1.0"


def load(name_or_dir):
    """Loads a trained model by name or from a folder; see `tfdecomp.hub`."""
    from tfdecomp import hub

    return hub.load(name_or_dir)


def list_models():
    """Lists the models that `load` knows by name; see `tfdecomp.hub`."""
    from tfdecomp import hub

    return hub.list_models()


def fit(source, output, **options):
    """Fits a model to a fixed-camera video; see `tfdecomp.fitting.run.fit`.

    The command of this name is `python -m tfdecomp.fit`.
    """
    from tfdecomp.fitting import run

    return run.fit(source, output, **options)
