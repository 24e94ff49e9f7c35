"""What each latent dimension of a slot does to the picture."""

import numpy as np

from tfdecomp.visualization import canvas


def traversal(
    pictures,
    weight=None,
    values=None,
    dims=None,
    measure="KL",
    max_rows=10,
    min_side=canvas.MIN_SIDE,
) -> np.ndarray:
    """Rows: latents, those with the largest weight first; columns: values.

    Args:
        pictures: `[D, V, H, W, C]`; `D` swept latents, `V` values each.
        weight: `[D]` how much each latent says, such as its KL in nats, for
            order and labels; without it rows keep their order.
        values: `[V]` for the labels of the columns.
        dims: `[D]` numbers of the latents; by default from 0.
        measure: What `weight` is called in the labels.
        max_rows: Rows to show.
        min_side: Smaller pictures are enlarged to at least this.

    Returns:
        `[h, w, 3]` uint8.
    """
    pictures = canvas.enlarge(canvas.to_uint8(pictures), min_side)
    dims = np.arange(len(pictures)) if dims is None else np.asarray(dims)
    if len(dims) != len(pictures):
        raise ValueError(
            f"expected one number for each of {len(pictures)} latents, got "
            f"{len(dims)}"
        )
    order = np.arange(len(pictures))
    if weight is not None:
        # Stable, so that latents of equal weight stay in their order.
        order = np.argsort(-np.asarray(weight), kind="stable")
    order = order[:max_rows]
    labels = [f"z{dims[i]}" for i in order]
    if weight is not None:
        labels = [
            f"{label}  {measure} {weight[i]:.2f}"
            for label, i in zip(labels, order)
        ]
    columns = None if values is None else [f"{v:+.2f}" for v in values]
    return canvas.grid([list(pictures[i]) for i in order], columns, labels)
