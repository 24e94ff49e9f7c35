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

    Examples:
        >>> from tfdecomp.ops.coords import pixel_grid
        >>> pixel_grid(3, 5)[2, 0]  # the lower left pixel
        array([ 1., -1.], dtype=float32)
    """
    rows = np.linspace(-1.0, 1.0, height, dtype=np.float32)
    columns = np.linspace(-1.0, 1.0, width, dtype=np.float32)
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)


def cosine_grid(height: int, width: int) -> np.ndarray:
    """Products of cosines of the lowest frequencies, as IODINE's code has.

    Args:
        height: `H`.
        width: `W`.

    Returns:
        `[H, W, 8]` float32: cos(f_x pi x) cos(f_y pi y) for the frequencies
        (f_x, f_y) in {0, 1, 2}^2 without (0, 0), f_x major; x runs from 0 to
        1 across the columns, y down the rows.

    Examples:
        >>> from tfdecomp.ops.coords import cosine_grid
        >>> cosine_grid(16, 24).shape
        (16, 24, 8)
    """
    waves = np.arange(3)[:, None] * np.pi
    across = np.cos(waves * np.linspace(0.0, 1.0, width))  # [3, W]
    down = np.cos(waves * np.linspace(0.0, 1.0, height))  # [3, H]
    grid = np.einsum("yh,xw->hwxy", down, across)
    return grid.reshape(height, width, 9)[..., 1:].astype(np.float32)
