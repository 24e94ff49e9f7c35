"""Putting small pictures on one large canvas: enlarging, labels, grids."""

import functools

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

PAPER = 255  # grey value of the canvas
MIN_SIDE = 96  # pixels; smaller pictures are enlarged to at least this
_TEXT_HEIGHT = 18
_GAP = 4


def to_uint8(picture) -> np.ndarray:
    """Brings pictures to three uint8 channels.

    Args:
        picture: `[..., C]` with `C` 1 or 3, uint8 or floating point in
            `[0, 1]`; what lies outside is cut, NaN becomes 0.

    Returns:
        `[..., 3]` uint8.

    Raises:
        ValueError: If `C` is neither 1 nor 3.
    """
    picture = np.asarray(picture)
    if picture.shape[-1] not in (1, 3):
        raise ValueError(
            "a picture needs 1 or 3 channels on its last axis, got shape "
            f"{picture.shape}"
        )
    if picture.dtype != np.uint8:
        picture = np.nan_to_num(picture.astype(np.float32), nan=0.0)
        picture = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return np.broadcast_to(picture, (*picture.shape[:-1], 3))


def enlarge(picture, min_side=MIN_SIDE) -> np.ndarray:
    """Repeats pixels until the shorter side has `min_side` pixels.

    Args:
        picture: `[..., H, W, C]`.
        min_side: Wanted size of the shorter side; larger ones stay as they
            are.

    Returns:
        `[..., f H, f W, C]` with the smallest whole `f` that suffices.
    """
    factor = max(1, -(-min_side // min(picture.shape[-3:-1])))
    picture = np.repeat(picture, factor, axis=-3)
    return np.repeat(picture, factor, axis=-2)


@functools.lru_cache(maxsize=512)
def text(words, width, height=_TEXT_HEIGHT, color=(0, 0, 0)) -> np.ndarray:
    """A line of centred text on paper.

    Args:
        words: The text.
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
        color: Colour of the letters, 0 to 255.

    Returns:
        `[height, width, 3]` uint8, read-only.
    """
    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    canvas = FigureCanvasAgg(figure)
    # At 100 dots per inch one point is 1.39 pixels.
    size = 0.62 * height / 1.39
    written = figure.text(
        0.5,
        0.5,
        words,
        ha="center",
        va="center",
        fontsize=size,
        color=np.array(color) / 255,
    )
    extent = written.get_window_extent(canvas.get_renderer()).width
    if extent > width - 2:
        written.set_fontsize(size * (width - 2) / extent)
    canvas.draw()
    picture = np.array(canvas.buffer_rgba())[..., :3]
    picture.flags.writeable = False
    return picture


def frame(picture, color, width=2) -> np.ndarray:
    """Paints a border of `color` over the edge of `[..., H, W, 3]`."""
    picture = np.array(picture)
    for edge in (slice(None, width), slice(-width, None)):
        picture[..., edge, :, :] = color
        picture[..., :, edge, :] = color
    return picture


def grid(rows, column_labels=None, row_labels=None, gaps=None) -> np.ndarray:
    """Pictures of one size in rows and columns.

    Args:
        rows: List of lists of `[H, W, 3]` uint8; None leaves a cell empty.
        column_labels: A text, or `(text, colour)`, for each column.
        row_labels: A text for each row.
        gaps: Pixels left of each column; by default a few, and none at the
            first.

    Returns:
        `[h, w, 3]` uint8 with even sides, as video encoders want them.

    Raises:
        ValueError: If there is no picture or sizes differ.
    """
    sizes = {cell.shape for row in rows for cell in row if cell is not None}
    if len(sizes) != 1:
        raise ValueError(
            f"a grid needs pictures of one size, got {sorted(sizes)}"
        )
    height, width, _ = sizes.pop()
    num_columns = max(len(row) for row in rows)
    gaps = gaps or [0] + [_GAP] * (num_columns - 1)
    left = 0
    if row_labels:
        left = 8 + 8 * max(len(words) for words in row_labels)
    top = _TEXT_HEIGHT + 2 if column_labels else 0
    edges = left + np.cumsum(gaps) + width * np.arange(num_columns)
    shape = (top + len(rows) * (height + _GAP) - _GAP, edges[-1] + width)
    picture = np.full(
        (*(side + side % 2 for side in shape), 3), PAPER, np.uint8
    )
    for x, label in zip(edges, column_labels or ()):
        _head(picture[:_TEXT_HEIGHT, x : x + width], label)
    for i, row in enumerate(rows):
        y = top + i * (height + _GAP)
        if row_labels:
            size = min(_TEXT_HEIGHT, height)
            middle = y + (height - size) // 2
            picture[middle : middle + size, :left] = text(
                row_labels[i], left, size
            )
        for x, cell in zip(edges, row):
            if cell is not None:
                picture[y : y + height, x : x + width] = cell
    return picture


def _head(place, label):
    """Writes `text` or `(text, colour)` above a column, the colour as a bar."""
    words, color = (label, None) if isinstance(label, str) else label
    place[:] = text(words, place.shape[1])
    if color is not None:
        place[-2:] = color


def spread(num_frames, at_most) -> np.ndarray:
    """Frame numbers, evenly spread from the first to the last one."""
    count = min(num_frames, at_most)
    return np.unique(np.linspace(0, num_frames - 1, count).round().astype(int))
