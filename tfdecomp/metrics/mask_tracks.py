"""Tracks whose overlap is that of masks, not of boxes.

The masks of a frame do not overlap each other: every pixel has one slot and
one true label, 0 being the background; those labelled 255 count for nothing.
"""

from typing import NamedTuple

import numpy as np

from tfdecomp.metrics import tracks
from tfdecomp.metrics.rand_index import contingency
from tfdecomp.types import IGNORE_ID


class MaskTracks(NamedTuple):
    """Found and true tracks, as the metrics of tracks take them.

    Attributes:
        boxes: `[B, T, K, 4]` boxes around the slots' pixels.
        ids: `[B, T, K]` their tracks; 0 is none.
        true_boxes: `[B, T, L, 4]`.
        true_ids: `[B, T, L]`.
        overlap: `[B, T, L, K]` IoU of the masks.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.mask_tracks import of_masks
        >>> labels = np.array([[[[0, 5, 5]]]])
        >>> of_masks(labels, labels).true_ids  # MaskTracks; by label
        array([[[0, 0, 0, 0, 5]]])
    """

    boxes: np.ndarray
    ids: np.ndarray
    true_boxes: np.ndarray
    true_ids: np.ndarray
    overlap: np.ndarray


def of_masks(
    slot_ids,
    segmentation,
    *,
    track_ids=None,
    background=None,
    entities=None,
    min_pixels=0,
    background_overlap=None,
) -> MaskTracks:
    """Tracks of slots and labels that own pixels.

    Args:
        slot_ids: `[B, T, H, W]` slot that owns each pixel.
        segmentation: `[B, T, H, W]` or `[B, T, H, W, 1]` true labels.
        track_ids: `[B, T, K]` tracks of the slots; by default slot `k` is the
            track `k + 1`.
        background: `[B]` slot of each clip that is no object.
        entities: Of the shape of the segmentation; tells parts of the
            background, those pixels with the label 0, apart.
        min_pixels: Masks with no more pixels than this are left out, found
            and true.
        background_overlap: Leave out slots whose IoU with a part of the
            background is larger.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.mask_tracks import of_masks
        >>> slots, labels = np.array([[[[0, 1, 1]]]]), np.array([[[[0, 0, 1]]]])
        >>> of_masks(slots, labels).overlap  # of the object, with slots 0 and 1
        array([[[[0. , 0.5]]]])
    """
    slots = np.asarray(slot_ids)
    labels = np.asarray(segmentation)
    labels = labels[..., 0] if labels.ndim == 5 else labels
    count = int(slots.max(initial=0)) + 1
    if track_ids is not None:
        count = max(count, track_ids.shape[2])
    boxes, _ = tracks.label_boxes(slots, count)
    true_boxes, true_ids = tracks.tracks_of_segmentation(labels)
    table = contingency(labels, slots, true_boxes.shape[2] + 1, count)
    overlap, areas, true_areas = _iou(table)
    true_ids = np.where(true_areas[:, :, 1:] > min_pixels, true_ids, 0)
    ids = np.broadcast_to(np.arange(count) + 1, areas.shape)
    if track_ids is not None:
        ids = np.zeros(areas.shape, np.int64)
        ids[:, :, : track_ids.shape[2]] = track_ids
    kept = areas > min_pixels
    if background is not None:
        kept &= (np.arange(count) != np.asarray(background)[:, None])[:, None]
    if background_overlap is not None:
        behind = overlap[:, :, 0]
        if entities is not None:
            behind = _largest_part(labels, entities, slots, count)
        kept &= behind <= background_overlap
    ids = np.where(kept, ids, 0)
    return MaskTracks(boxes, ids, true_boxes, true_ids, overlap[:, :, 1:])


def _iou(table):
    """`[B, T, L, K]` IoU, `[B, T, K]` and `[B, T, L]` areas."""
    areas, true_areas = table.sum(2), table.sum(3)
    union = areas[:, :, None] + true_areas[..., None] - table
    return table / np.maximum(union, 1), areas, true_areas


def _largest_part(labels, entities, slots, count):
    """`[B, T, K]` largest IoU of a slot with a part of the background."""
    entities = np.asarray(entities)
    entities = entities[..., 0] if entities.ndim == 5 else entities
    behind = labels == 0
    values = np.unique(entities[behind])
    # Pixels of objects are no part, but belong to the area of a slot.
    parts = np.searchsorted(values, entities)
    parts = np.where(behind, parts, len(values))
    parts = np.where(labels == IGNORE_ID, IGNORE_ID, parts)
    table = contingency(parts, slots, len(values) + 1, count)
    return _iou(table)[0][:, :, : len(values)].max(2, initial=0.0)
