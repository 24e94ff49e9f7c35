"""A video with its tracks: boxes, their numbers and the ways they came."""

import numpy as np

from tfdecomp.visualization import canvas, palette

TRAIL = 8  # frames that a trail goes back
_PREDICTED = (213, 94, 0)
_WIDTH = 2  # pixels of an edge
_DASH = (6, 4)  # pixels on and off
_LABEL = (7, 13)  # pixels: width of a digit, height


def tracks(
    video,
    boxes,
    ids,
    recon=None,
    true_boxes=None,
    true_ids=None,
    num_observed=None,
    trail=TRAIL,
    min_side=2 * canvas.MIN_SIDE,
) -> np.ndarray:
    """Frames of true tracks | tracks | tracks on the reconstruction.

    A track has the colour of its number. Its box is dashed in the frame in
    which it appears (discovered) and solid from then on (propagated).
    Predicted frames have an orange edge.

    Args:
        video: `[T, H, W, C]`, uint8 or floating point in `[0, 1]`; after its
            end the tracks are on black.
        boxes: `[T, K, 4]` `(ymin, xmin, ymax, xmax)`, pixel edges.
        ids: `[T, K]` integers from 1, the same along a track; 0 is no box.
        recon: `[T, H, W, C]`.
        true_boxes: `[T, L, 4]`.
        true_ids: `[T, L]`.
        num_observed: Frames that the model saw; by default all.
        trail: Frames that a trail of centres goes back.
        min_side: Smaller pictures are enlarged to at least this.

    Returns:
        `[T, h, w, 3]` uint8 with even sides, ready for a video writer.

    Raises:
        ValueError: If the shapes do not belong together.
    """
    boxes, ids = _check("boxes", boxes, "ids", ids)
    video = canvas.to_uint8(video)
    missing = np.zeros((max(len(ids) - len(video), 0), *video.shape[1:]))
    video = np.concatenate([video, missing.astype(np.uint8)])[: len(ids)]
    panels = {"tracks": (video, boxes, ids)}
    if true_boxes is not None:
        true = _check("true_boxes", true_boxes, "true_ids", true_ids)
        panels = {"true": (video, *true), **panels}
    if recon is not None:
        panels["reconstruction"] = canvas.to_uint8(recon), boxes, ids
    drawn = {
        name: draw(*panel, trail=trail, min_side=min_side)
        for name, panel in panels.items()
    }
    frames = []
    for t in range(len(ids)):
        cells = {n: p[t] if t < len(p) else None for n, p in drawn.items()}
        labels = dict(zip(cells, cells))
        if num_observed is not None and t >= num_observed:
            for name in cells.keys() - {"true"}:
                cells[name] = canvas.frame(cells[name], _PREDICTED, 4)
            labels["tracks"] = ("predicted", _PREDICTED)
        frames.append(canvas.grid([list(cells.values())], [*labels.values()]))
    return np.stack(frames)


def draw(frames, boxes, ids, trail=TRAIL, min_side=2 * canvas.MIN_SIDE):
    """Draws tracks over frames.

    Args:
        frames: `[T, H, W, 3]` uint8.
        boxes: `[T, K, 4]`.
        ids: `[T, K]`; 0 is no box.
        trail: Frames that a trail goes back.
        min_side: Smaller frames are enlarged to at least this.

    Returns:
        `[T, h, w, 3]` uint8.
    """
    height = frames.shape[1]
    pictures = canvas.enlarge(frames, min_side).copy()
    scale = pictures.shape[1] // height
    colors = palette.slot_colors(int(np.max(ids, initial=0)))
    places = [
        {int(i): box * scale for i, box in zip(*pair) if i > 0}
        for pair in zip(ids, boxes)
    ]
    known = set()
    for t, (picture, now) in enumerate(zip(pictures, places)):
        for number in now:
            past = [p.get(number) for p in places[max(0, t - trail) : t + 1]]
            _trail(picture, past, colors[number - 1])
        for number, box in now.items():
            _box(picture, box, colors[number - 1], number not in known)
        for number, box in now.items():
            _label(picture, box, colors[number - 1], str(number))
        known |= set(now)
    return pictures


def _trail(picture, boxes, color):
    """Lines through the centres of boxes; where there is none is a gap."""
    for age, (first, second) in enumerate(zip(boxes[:-1], boxes[1:]), 1):
        if first is None or second is None:
            continue
        ends = [(b[:2] + b[2:]) / 2 for b in (first, second)]
        steps = int(np.abs(ends[1] - ends[0]).max()) + 2
        rows, columns = np.floor(np.linspace(*ends, steps)).astype(int).T
        rows = np.concatenate([rows, rows + 1])
        columns = np.concatenate([columns, columns + 1])
        inside = (rows >= 0) & (rows < len(picture))
        inside &= (columns >= 0) & (columns < picture.shape[1])
        place = rows[inside], columns[inside]
        share = age / (len(boxes) - 1)  # older parts fade
        mixed = (1 - share) * picture[place] + share * color
        picture[place] = np.rint(mixed).astype(np.uint8)


def _box(picture, box, color, dashed):
    """The edge of a box, drawn inwards."""
    height, width = picture.shape[:2]
    low = np.rint(box[:2]).astype(int)
    high = np.maximum(np.rint(box[2:]).astype(int), low + 1)
    rows, columns = np.mgrid[low[0] : high[0], low[1] : high[1]]
    away = np.minimum(rows - low[0], high[0] - 1 - rows)
    aside = np.minimum(columns - low[1], high[1] - 1 - columns)
    edge = np.minimum(away, aside) < _WIDTH
    if dashed:
        # Upright edges are cut by rows, flat ones by columns.
        along = np.where(away < aside, columns - low[1], rows - low[0])
        edge &= along % sum(_DASH) < _DASH[0]
    edge &= (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    picture[rows[edge], columns[edge]] = color


def _label(picture, box, color, words):
    """A number on its colour, above the box or else as near as it fits."""
    width, height = _LABEL[0] * len(words) + 4, _LABEL[1]
    ink = 1.0 - canvas.text(words, width, height)[..., :1] / 255.0
    letters = 0 if np.mean(color) > 110 else 255
    label = np.rint((1 - ink) * color + ink * letters).astype(np.uint8)
    top = int(round(box[0])) - height
    top = int(np.clip(top, 0, max(len(picture) - height, 0)))
    left = int(round(box[1]))
    left = int(np.clip(left, 0, max(picture.shape[1] - width, 0)))
    place = picture[top : top + height, left : left + width]
    place[:] = label[: place.shape[0], : place.shape[1]]


def _check(name, boxes, ids_name, ids):
    boxes, ids = np.asarray(boxes, np.float64), np.asarray(ids)
    if boxes.ndim != 3 or boxes.shape[2] != 4 or ids.shape != boxes.shape[:2]:
        raise ValueError(
            f"expected {name} [T, K, 4] and {ids_name} [T, K], got "
            f"{boxes.shape} and {ids.shape}"
        )
    return boxes, ids
