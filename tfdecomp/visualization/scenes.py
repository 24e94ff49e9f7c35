"""Pictures of scenes of objects: many at once, their places, their sprites."""

import numpy as np

from tfdecomp.visualization import canvas

_PAD = 128  # grey value around a sprite that is smaller than its cell


def gallery(pictures, columns=8, captions=None, min_side=canvas.MIN_SIDE):
    """Pictures of one size in rows, from left to right.

    Args:
        pictures: `[N, H, W, C]`, uint8 or floating point in `[0, 1]`.
        columns: Pictures in a row.
        captions: A text above each picture.
        min_side: Smaller pictures are enlarged to at least this.

    Returns:
        `[h, w, 3]` uint8.
    """
    cells = list(canvas.enlarge(canvas.to_uint8(pictures), min_side))
    if captions is not None:
        cells = [
            np.concatenate([canvas.text(words, cell.shape[1]), cell])
            for words, cell in zip(captions, cells, strict=True)
        ]
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    return canvas.grid(rows)


def compare(rows, captions=None, min_side=canvas.MIN_SIDE):
    """The same pictures in several versions, one below the other.

    Args:
        rows: Name of a version to its pictures `[N, H, W, C]`.
        captions: A text above each of the `N` columns.
        min_side: Smaller pictures are enlarged to at least this.

    Returns:
        `[h, w, 3]` uint8.
    """
    cells = [
        list(canvas.enlarge(canvas.to_uint8(pictures), min_side))
        for pictures in rows.values()
    ]
    return canvas.grid(cells, captions, list(rows))


def dots(points, size):
    """White pixels on black.

    Args:
        points: `[n, 2]` `(y, x)`; the pixel that holds each is white.
        size: `(H, W)`.

    Returns:
        `[H, W, 1]` uint8.
    """
    picture = np.zeros((*size, 1), np.uint8)
    if len(points):
        rows, columns = np.floor(np.asarray(points)).astype(int).T
        picture[
            np.clip(rows, 0, size[0] - 1), np.clip(columns, 0, size[1] - 1)
        ] = 255
    return picture


def decompositions(
    pictures, recon, points, sprites, row_labels=None, min_side=canvas.MIN_SIDE
):
    """A row for each picture: input | reconstruction | locations | sprites.

    Args:
        pictures: `[N, H, W, C]`.
        recon: `[N, H, W, C]`.
        points: `N` arrays `[n, 2]`, the places `(y, x)` of the objects found.
        sprites: `N` arrays `[n, h, w, C]`, the objects, each by itself.
        row_labels: A text for each row.
        min_side: Smaller pictures are enlarged to at least this; sprites by
            the largest whole factor with which they fit beside them.

    Returns:
        `[h, w, 3]` uint8.
    """
    size = pictures.shape[1:3]
    rows = []
    for n, picture in enumerate(pictures):
        cells = [picture, recon[n], dots(points[n], size)]
        cells = [canvas.enlarge(canvas.to_uint8(c), min_side) for c in cells]
        room = cells[0].shape[:2]
        sprites_here = canvas.to_uint8(sprites[n]) if len(sprites[n]) else []
        rows.append([*cells, *(_fit(sprite, room) for sprite in sprites_here)])
    labels = ["input", "reconstruction", "locations"]
    count = max(len(row) for row in rows) - len(labels)
    labels += [f"object {i + 1}" for i in range(count)]
    return canvas.grid(rows, labels, row_labels)


def _fit(picture, room):
    """Enlarges `[h, w, 3]` as far as it fits, in the middle of grey."""
    factor = min(room[0] // picture.shape[0], room[1] // picture.shape[1])
    picture = picture.repeat(factor, 0).repeat(factor, 1)
    height, width = picture.shape[:2]
    whole = np.full((*room, 3), _PAD, np.uint8)
    top, left = (room[0] - height) // 2, (room[1] - width) // 2
    whole[top : top + height, left : left + width] = picture
    return whole
