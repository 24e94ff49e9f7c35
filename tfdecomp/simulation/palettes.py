"""Colour tables of the generated datasets, as `[n, 3]` uint8 in RGB."""

import numpy as np

# The first eight of ColorBrewer's "Paired", the colours of PROVIDE's colour
# bouncing balls.
PAIRED = np.array(
    [
        (166, 206, 227),
        (31, 120, 180),
        (178, 223, 138),
        (51, 160, 44),
        (251, 154, 153),
        (227, 26, 28),
        (253, 191, 111),
        (255, 127, 0),
    ],
    np.uint8,
)
PAIRED.setflags(write=False)

CHANNEL_ORDERS = ("rgb", "bgr")


def lookup(entries, channel_order="rgb"):
    """Colours of palette entries.

    Args:
        entries: Integers from 1; 0 is black. Any shape.
        channel_order: `"rgb"`, or `"bgr"` for the order in which the reference
            wrote its pictures.

    Returns:
        `[..., 3]` uint8.
    """
    if channel_order not in CHANNEL_ORDERS:
        raise ValueError(
            f"channel_order is one of {CHANNEL_ORDERS}, not {channel_order!r}"
        )
    table = np.concatenate([np.zeros((1, 3), np.uint8), PAIRED])
    if channel_order == "bgr":
        table = table[:, ::-1]
    return table[np.asarray(entries)]
