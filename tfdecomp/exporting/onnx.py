"""Formats without gradients: who can be exported to them."""

from tfdecomp.models.iterative import IterativeModel


def check_feed_forward(model, target):
    """Raises `ValueError` if a model cannot become a feed-forward graph.

    Args:
        model: A `DecompositionModel`.
        target: Name of the format, for the message: "ONNX" or "LiteRT".
    """
    if isinstance(model, IterativeModel):
        raise ValueError(
            f"{type(model).__name__} infers by taking gradients through its "
            f"decoder inside of its call, and {target} has no counterpart for "
            "these operations. Export a SavedModel, which holds them: python "
            "-m tfdecomp.export --workdir=DIR --output=DIR"
        )
