"""A video with its slots painted over it."""

import numpy as np

from tfdecomp.visualization import canvas, palette


def overlay(
    video, masks, background=None, opacity=0.5, min_side=canvas.MIN_SIDE
) -> np.ndarray:
    """Paints each pixel in the colour of its slot and outlines the slots.

    Args:
        video: `[T, H, W, C]`, uint8 or floating point in `[0, 1]`.
        masks: `[T, K, H, W, 1]`.
        background: Slot painted grey; by default the largest one.
        opacity: Share of the slot's colour, 0 to 1.
        min_side: Smaller pictures are enlarged to at least this.

    Returns:
        `[T, h, w, 3]` uint8.
    """
    masks = np.asarray(masks)
    if background is None:
        background = palette.background_slot(masks)
    colors = palette.slot_colors(masks.shape[1], background)
    ids = masks[..., 0].argmax(1)[..., None]  # [T, H, W, 1]
    ids = canvas.enlarge(ids, min_side)[..., 0]
    frames = canvas.enlarge(canvas.to_uint8(video), min_side)
    paint = colors[ids]
    mixed = np.rint((1.0 - opacity) * frames + opacity * paint)
    edge = edges(ids) & (ids != background)
    return np.where(edge[..., None], paint, mixed).astype(np.uint8)


def edges(ids) -> np.ndarray:
    """Pixels with a neighbour of another label, `[T, H, W]` bool."""
    edge = np.zeros(ids.shape, bool)
    rows = ids[:, 1:] != ids[:, :-1]
    columns = ids[:, :, 1:] != ids[:, :, :-1]
    edge[:, 1:] |= rows
    edge[:, :-1] |= rows
    edge[:, :, 1:] |= columns
    edge[:, :, :-1] |= columns
    return edge
