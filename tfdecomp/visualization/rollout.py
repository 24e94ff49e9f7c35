"""Context and prediction of a model that goes on by itself."""

import numpy as np

from tfdecomp.visualization import canvas, palette

_OBSERVED = (128, 128, 128)
_PREDICTED = (213, 94, 0)


def rollout(
    video,
    recon,
    num_observed,
    masks=None,
    max_frames=12,
    min_side=canvas.MIN_SIDE,
) -> np.ndarray:
    """Rows true | model | masks; columns frames, context before prediction.

    Columns of predicted frames have an orange bar, observed ones a grey bar,
    and a wide gap lies between the two.

    Args:
        video: `[T, H, W, C]` true frames; may end early, at the latest
            with the last observed frame, where the future is not known.
        recon: `[T, H, W, C]`, reconstructed and then predicted frames.
        num_observed: Frames that the model saw.
        masks: `[T, K, H, W, 1]`.
        max_frames: Frames to show. All predicted ones are shown if they
            leave room for two observed ones.
        min_side: Smaller pictures are enlarged to at least this.

    Returns:
        `[h, w, 3]` uint8.
    """
    num_frames = len(recon)
    keep = _chosen(num_observed, num_frames, max_frames)
    rows = {"true": canvas.to_uint8(video), "model": canvas.to_uint8(recon)}
    if masks is not None:
        rows["masks"] = palette.paint_masks(masks)
    rows = {k: canvas.enlarge(v, min_side) for k, v in rows.items()}
    cells = [
        [row[t] if t < len(row) else None for t in keep]
        for row in rows.values()
    ]
    colors = [_PREDICTED if t >= num_observed else _OBSERVED for t in keep]
    labels = [(f"t={t}", color) for t, color in zip(keep, colors)]
    gaps = [0]
    for before, after in zip(keep[:-1], keep[1:]):
        gaps.append(20 if before < num_observed <= after else 4)
    return canvas.grid(cells, labels, list(rows), gaps)


def rollout_video(
    video, recon, num_observed, masks=None, min_side=2 * canvas.MIN_SIDE
) -> np.ndarray:
    """Frames of true | model | masks; predicted frames have an orange edge.

    Args:
        video: `[T, H, W, C]` true frames; after its end its panel is empty.
        recon: `[T, H, W, C]`, reconstructed and then predicted frames.
        num_observed: Frames that the model saw.
        masks: `[T, K, H, W, 1]`.
        min_side: Smaller pictures are enlarged to at least this.

    Returns:
        `[T, h, w, 3]` uint8 with even sides, ready for a video writer.
    """
    panels = {"true": canvas.to_uint8(video), "model": canvas.to_uint8(recon)}
    if masks is not None:
        panels["masks"] = palette.paint_masks(masks)
    panels = {k: canvas.enlarge(v, min_side) for k, v in panels.items()}
    frames = []
    for t in range(len(recon)):
        cells = [p[t] if t < len(p) else None for p in panels.values()]
        labels = list(panels)
        if t >= num_observed:
            cells[1:] = [canvas.frame(c, _PREDICTED, 4) for c in cells[1:]]
            labels[1] = ("predicted", _PREDICTED)
        frames.append(canvas.grid([cells], labels))
    return np.stack(frames)


def _chosen(num_observed, num_frames, max_frames):
    """Frame numbers to show, always with both sides of the boundary."""
    num_predicted = min(num_frames - num_observed, max(1, max_frames - 2))
    room = max(1, max_frames - num_predicted)
    # The last observed frames lead up to the prediction.
    first = max(0, num_observed - room)
    predicted = num_observed + canvas.spread(
        num_frames - num_observed, num_predicted
    )
    return np.concatenate([np.arange(first, num_observed), predicted])
