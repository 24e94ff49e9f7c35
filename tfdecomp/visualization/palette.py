"""One colour per slot, the same in every picture.

The colours are those of Okabe and Ito and, after them, of Paul Tol's "muted"
scheme; both stay apart for the common kinds of colour blindness. The
background is grey: slot colours are never grey.
"""

import functools

import numpy as np

from tfdecomp.types import IGNORE_ID

GREY = (128, 128, 128)
_IGNORED = (0, 0, 0)
_SHADES = 3
_COLORS = (
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # green
    (240, 228, 66),  # yellow
    (0, 114, 178),  # blue
    (213, 94, 0),  # vermilion
    (204, 121, 167),  # pink
    (51, 34, 136),  # indigo
    (136, 34, 85),  # wine
    (221, 204, 119),  # sand
    (68, 170, 153),  # teal
    (153, 153, 51),  # olive
)


def slot_colors(num_slots, background=None) -> np.ndarray:
    """Colours of slots.

    A slot's colour depends on its number alone, so it is the same through a
    clip and across pictures. After twelve slots two lighter shades follow,
    and then the first ones again.

    Args:
        num_slots: `K`.
        background: Slot that is painted grey, if any.

    Returns:
        `[K, 3]` uint8.
    """
    colors = np.array(_COLORS, np.float64)
    rounds, place = np.divmod(np.arange(num_slots), len(colors))
    shade = 0.6 ** (rounds % _SHADES)[:, None]
    chosen = np.rint(colors[place] * shade + 255 * (1 - shade))
    chosen = chosen.astype(np.uint8)
    if background is not None:
        chosen[background] = GREY
    return chosen


def background_slot(masks) -> int:
    """The slot with the largest mask area over a clip; ties to the lower.

    Args:
        masks: `[T, K, H, W, 1]`.

    Returns:
        Its number.
    """
    return int(np.argmax(np.asarray(masks, np.float64).sum((0, 2, 3, 4))))


def paint_masks(masks, background=None) -> np.ndarray:
    """Soft masks as one picture: every slot's colour, weighted by its mask.

    Args:
        masks: `[T, K, H, W, 1]`.
        background: Slot painted grey; by default `background_slot(masks)`.

    Returns:
        `[T, H, W, 3]` uint8.
    """
    masks = np.asarray(masks, np.float32)[..., 0]
    if background is None:
        background = background_slot(masks[..., None])
    colors = slot_colors(masks.shape[1], background).astype(np.float32)
    painted = np.einsum("tkhw,kc->thwc", masks, colors)
    return np.clip(np.rint(painted), 0, 255).astype(np.uint8)


@functools.cache
def id_colors() -> np.ndarray:
    """Colours `[256, 3]` uint8 of labels: 0 is grey, 255 (ignore) black.

    Label `k + 1` has the colour of slot `k`. The array is read-only.
    """
    colors = np.concatenate([[GREY], slot_colors(IGNORE_ID - 1), [_IGNORED]])
    colors = colors.astype(np.uint8)
    colors.flags.writeable = False
    return colors


def paint_ids(ids) -> np.ndarray:
    """True labels as a picture: 0 is grey, 255 (ignore) is black.

    Args:
        ids: `[T, H, W]` or `[T, H, W, 1]` integers.

    Returns:
        `[T, H, W, 3]` uint8.
    """
    ids = np.asarray(ids)
    ids = ids[..., 0] if ids.ndim == 4 else ids
    return id_colors()[ids]
