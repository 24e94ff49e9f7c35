"""Pixel coordinates."""

import numpy as np


def pixel_grid(height: int, width: int) -> np.ndarray:
    """Row and column coordinates, `linspace(-1, 1)` along each side.

    Args:
        height: `H`.
        width: `W`.

    Returns:
        `[H, W, 2]` float32; channel 0 runs down the rows, channel 1 across
        the columns.
    """
    rows = np.linspace(-1.0, 1.0, height, dtype=np.float32)
    columns = np.linspace(-1.0, 1.0, width, dtype=np.float32)
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)
