"""Sample sheets: some examples of each config of a dataset."""

import numpy as np

from tfdecomp.visualization import canvas, palette

_PAD = 128  # grey value around pictures that do not fill their cell


def of_examples(examples, cell=105) -> np.ndarray:
    """A row of first frames for each config, and the labels of the first one.

    Args:
        examples: Name of a config to a list of its examples.
        cell: See `sheet`.

    Returns:
        `[h, w, 3]` uint8.
    """
    rows = {}
    for name, some in examples.items():
        rows[name] = np.stack([e["video"][0] for e in some])
        if "labels" not in rows:
            ids = np.stack([e["segmentation"][0] for e in some])
            rows["labels"] = palette.paint_ids(ids)
    return sheet(rows, cell)


def sheet(rows, cell=105) -> np.ndarray:
    """Rows of pictures, each with its name.

    Args:
        rows: Name to pictures `[N, H, W, C]`; sizes may differ between rows.
        cell: Side of a cell in pixels. Pictures are enlarged by the largest
            whole factor that fits.

    Returns:
        `[h, w, 3]` uint8.

    Raises:
        ValueError: If a picture is larger than a cell.
    """
    cells = [
        [_fit(picture, name, cell) for picture in canvas.to_uint8(pictures)]
        for name, pictures in rows.items()
    ]
    return canvas.grid(cells, row_labels=list(rows))


def _fit(picture, name, cell):
    height, width = picture.shape[:2]
    factor = cell // max(height, width)
    if not factor:
        raise ValueError(
            f"pictures of {name} have {height}x{width} pixels, more than a "
            f"cell of {cell}; pass a larger cell"
        )
    picture = picture.repeat(factor, 0).repeat(factor, 1)
    out = np.full((cell, cell, 3), _PAD, np.uint8)
    top, left = ((cell - side) // 2 for side in picture.shape[:2])
    out[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return out
