"""One clip at a glance: input, reconstruction, masks and each slot."""

import numpy as np

from tfdecomp.visualization import canvas, palette


def slot_grid(
    video,
    recon=None,
    masks=None,
    components=None,
    segmentation=None,
    background=None,
    max_frames=6,
    min_side=canvas.MIN_SIDE,
    row_labels=None,
) -> np.ndarray:
    """A row per frame; columns input | true | recon | masks | each slot.

    A slot is drawn on white as far as its mask reaches. What is not given
    has no column.

    Args:
        video: `[T, H, W, C]`, uint8 or floating point in `[0, 1]`.
        recon: `[T, H, W, C]`.
        masks: `[T, K, H, W, 1]`.
        components: `[T, K, H, W, C]`; without them a slot shows its part of
            the reconstruction (or of the video).
        segmentation: `[T, H, W]` or `[T, H, W, 1]` true labels.
        background: Slot painted grey; by default the largest one.
        max_frames: Frames to show, spread evenly over the clip.
        min_side: Smaller pictures are enlarged to at least this.
        row_labels: A text for each of the `T` rows; by default its frame.

    Returns:
        `[h, w, 3]` uint8.
    """
    keep = canvas.spread(len(video), max_frames)

    def cut(array):
        return None if array is None else np.asarray(array)[keep]

    columns = {"input": canvas.to_uint8(cut(video))}
    if segmentation is not None:
        columns["true"] = palette.paint_ids(cut(segmentation))
    if recon is not None:
        columns["recon"] = canvas.to_uint8(cut(recon))
    labels = list(columns)
    pictures = list(columns.values())
    if masks is not None:
        if background is None:
            background = palette.background_slot(masks)
        pictures.append(palette.paint_masks(cut(masks), background))
        labels.append("masks")
    slots = _slots(video if recon is None else recon, masks, components)
    if slots is not None:
        colors = palette.slot_colors(slots.shape[1], background)
        for k, color in enumerate(colors.tolist()):
            pictures.append(canvas.to_uint8(slots[keep, k]))
            labels.append((f"slot {k}", tuple(color)))
    pictures = [canvas.enlarge(p, min_side) for p in pictures]
    rows = [[p[t] for p in pictures] for t in range(len(keep))]
    row_labels = row_labels or [f"t={t}" for t in range(len(video))]
    return canvas.grid(rows, labels, [row_labels[t] for t in keep])


def _slots(whole, masks, components):
    """What each slot draws, `[T, K, H, W, C]` floats, or None."""
    if components is None and masks is None:
        return None
    if components is None:
        components = _as_float(whole)[:, None]
    components = _as_float(components)
    if masks is None:
        return components
    masks = np.asarray(masks, np.float32)
    return masks * components + (1.0 - masks)


def _as_float(picture):
    picture = np.asarray(picture)
    if picture.dtype == np.uint8:
        return picture.astype(np.float32) / 255.0
    return picture.astype(np.float32)
