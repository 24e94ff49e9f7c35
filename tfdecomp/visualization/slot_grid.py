"""One clip at a glance: input, reconstruction, masks and each slot."""

import numpy as np

from tfdecomp.visualization import canvas, palette

_MOST_COLUMNS = 6
_GAP = 6  # pixels between rows of a video; even, as encoders want it


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

    if masks is not None and background is None:
        background = palette.background_slot(masks)
    whole, slots = _panels(
        *map(cut, (video, recon, masks, components, segmentation)),
        background,
        min_side,
    )
    pictures = [picture for _, picture in whole + slots]
    rows = [[p[t] for p in pictures] for t in range(len(keep))]
    labels = [label for label, _ in whole + slots]
    row_labels = row_labels or [f"t={t}" for t in range(len(video))]
    return canvas.grid(rows, labels, [row_labels[t] for t in keep])


def slot_frames(
    video,
    recon=None,
    masks=None,
    components=None,
    background=None,
    slot_labels=None,
    min_side=canvas.MIN_SIDE,
) -> np.ndarray:
    """The same as a video: input | recon | masks above each slot.

    Args:
        video: `[T, H, W, C]`, uint8 or floating point in `[0, 1]`.
        recon: `[T, H, W, C]`.
        masks: `[T, K, H, W, 1]`.
        components: `[T, K, H, W, C]`.
        background: Slot painted grey, if any.
        slot_labels: A text for each slot; by default its number.
        min_side: Smaller pictures are enlarged to at least this.

    Returns:
        `[T, h, w, 3]` uint8 with even sides, ready for a video writer.
    """
    whole, slots = _panels(
        video, recon, masks, components, None, background, min_side
    )
    if slot_labels is not None:
        slots = [
            ((words, label[1]), picture)
            for words, (label, picture) in zip(slot_labels, slots)
        ]
    rows = [whole, *_in_rows(slots, max(len(whole), _MOST_COLUMNS))]
    frames = []
    for t in range(len(video)):
        strips = [
            canvas.grid([[p[t] for _, p in row]], [label for label, _ in row])
            for row in rows
        ]
        frames.append(_stacked(strips))
    return np.stack(frames)


def _in_rows(panels, most):
    """Panels in rows of about one length."""
    num_rows = -(-len(panels) // most)
    if not num_rows:
        return []
    length = -(-len(panels) // num_rows)
    return [panels[i : i + length] for i in range(0, len(panels), length)]


def _stacked(strips):
    """Strips of different widths, one above the other."""
    width = max(strip.shape[1] for strip in strips)
    return np.concatenate(
        [
            np.pad(
                strip,
                [(0, _GAP), (0, width - strip.shape[1]), (0, 0)],
                constant_values=canvas.PAPER,
            )
            for strip in strips
        ]
    )


def _panels(video, recon, masks, components, segmentation, background, side):
    """`(label, pictures [T, h, w, 3])` of whole frames, and of slots."""
    whole = [("input", canvas.to_uint8(video))]
    if segmentation is not None:
        whole.append(("true", palette.paint_ids(segmentation)))
    if recon is not None:
        whole.append(("recon", canvas.to_uint8(recon)))
    if masks is not None:
        painted = palette.paint_masks(masks, background)
        whole.append(("masks", painted))
    slots = []
    drawn = _slots(video if recon is None else recon, masks, components)
    if drawn is not None:
        colors = palette.slot_colors(drawn.shape[1], background)
        slots = [
            ((f"slot {k}", tuple(color)), canvas.to_uint8(drawn[:, k]))
            for k, color in enumerate(colors.tolist())
        ]
    enlarge = [
        [(label, canvas.enlarge(p, side)) for label, p in panels]
        for panels in (whole, slots)
    ]
    return enlarge


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
