"""A clip with its tracks beside true ones and those on the reconstruction."""

import numpy as np

from tfdecomp.visualization import canvas, tracking_video

TRAIL = 8  # frames that a trail goes back
_PREDICTED = (213, 94, 0)


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
    pictures = canvas.enlarge(frames, min_side)
    scale = pictures.shape[1] // frames.shape[1]
    painter = tracking_video.TrackPainter(trail=trail, dash_new=True)
    drawn = []
    for picture, *pair in zip(pictures, ids, boxes):
        places = {int(i): box * scale for i, box in zip(*pair) if i > 0}
        drawn.append(painter.paint(picture, places))
    return np.stack(drawn)


def _check(name, boxes, ids_name, ids):
    boxes, ids = np.asarray(boxes, np.float64), np.asarray(ids)
    if boxes.ndim != 3 or boxes.shape[2] != 4 or ids.shape != boxes.shape[:2]:
        raise ValueError(
            f"expected {name} [T, K, 4] and {ids_name} [T, K], got "
            f"{boxes.shape} and {ids.shape}"
        )
    return boxes, ids
