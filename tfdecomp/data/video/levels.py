"""Which values of a picture are black and white, where it has more than 256.

Cameras of 12 bits fill 16, microscopes use a sliver of what they store, and
floating point has no end: what is shown is a choice, and said.
"""

import numpy as np

from tfdecomp.data import errors

AUTO, FULL = "auto", "full"
LEAST_SHARE = 0.1  # of the range; a picture that uses less is nearly black
_DEPTHS = (8, 10, 12, 14, 16, 24, 32)
_TAILS = 0.1, 99.99  # percent of the values that may be beyond the ends


def parse(wanted):
    """`"auto"`, `"full"` or `(low, high)` of what somebody wrote.

    Raises:
        LayoutError: If it is none of these.

    Examples:
        >>> from tfdecomp.data.video.levels import parse
        >>> parse("auto"), parse("0,4095")
        ('auto', (0.0, 4095.0))
    """
    if wanted in (None, AUTO, FULL):
        return wanted or AUTO
    try:
        parts = wanted.split(",") if isinstance(wanted, str) else wanted
        low, high = (float(part) for part in parts)
        if np.isfinite([low, high]).all() and low < high:
            return low, high
    except (TypeError, ValueError):
        pass
    raise errors.LayoutError(
        f"range is {wanted!r}, expected auto, full or two values LOW,HIGH",
        expected="auto, full or LOW,HIGH",
        found=wanted,
        hint="such as --range=0,4095",
    )


def choose(path, pictures, wanted):
    """Black and white of a video.

    Args:
        path: Its name, for messages.
        pictures: List of some of its frames, `[H, W, C]` of any type.
        wanted: What `parse` gives. `"auto"`: the smallest usual depth (8, 10,
            12, 14, 16 bits, ...) that holds all values, or `[0, 1]`; and
            where they use less than a tenth of it, their 0.1st and 99.99th
            percentile.

    Returns:
        `((low, high), note)`; no note where nothing need be said.

    Raises:
        LayoutError: If values are no numbers.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.levels import choose
        >>> pictures = [np.array([[[0], [4000]]], np.uint16)]
        >>> black_and_white, note = choose("clip.tif", pictures, wanted="auto")
        >>> black_and_white  # 12 bits
        (0.0, 4095.0)
    """
    dtype = pictures[0].dtype
    values = np.concatenate([_thinned(picture) for picture in pictures])
    if dtype.kind not in "uif":
        raise errors.LayoutError(
            f"{path} has values of the type {dtype}, expected numbers",
            path=str(path),
            hint="save it with 8 or 16 bits",
        )
    if not np.isfinite(values).all():
        raise errors.LayoutError(
            f"{path} has values that are no numbers (NaN or infinity)",
            path=str(path),
            expected="finite values",
            found="NaN or infinity",
            hint="replace them",
        )
    full = full_range(dtype)
    least, most = float(values.min()), float(values.max())
    low, high = map(float, np.percentile(values, _TAILS))
    if wanted == AUTO:
        chosen = _auto(full, (least, most), (low, high), dtype)
    else:
        chosen = full if wanted == FULL else wanted
    used = (high - low) / (chosen[1] - chosen[0])
    words = f"{path} has values from {least:g} to {most:g} ({dtype}): "
    shown = f"{chosen[0]:g} is shown as black and {chosen[1]:g} as white"
    if least < chosen[0] - 1e-6 or most > chosen[1] * (1 + 1e-6):
        return chosen, f"{words}{shown}, and what is beyond is cut off"
    if used < LEAST_SHARE:
        return chosen, (
            f"{words}{shown}, and it uses {100 * used:.2g} % of this range; "
            "set the range (auto or LOW,HIGH) if it should be brighter"
        )
    return chosen, f"{words}{shown}" if chosen != full else None


def full_range(dtype):
    """`(low, high)` of a type: all that it holds, or `[0, 1]`.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.levels import full_range
        >>> full_range(np.dtype("uint8")), full_range(np.dtype("float32"))
        ((0.0, 255.0), (0.0, 1.0))
    """
    return 0.0, 1.0 if dtype.kind in "fb" else float(np.iinfo(dtype).max)


def _auto(full, ends, tails, dtype):
    if dtype.kind == "f":
        chosen = full
    else:
        depths = (float(2**n - 1) for n in _DEPTHS)
        chosen = 0.0, next((d for d in depths if d >= ends[1]), full[1])
    if chosen[0] <= ends[0] and ends[1] <= chosen[1]:
        used = (tails[1] - tails[0]) / (chosen[1] - chosen[0])
        # Of one colour nearly all over there is nothing to stretch.
        if used >= LEAST_SHARE or not used:
            return chosen
    if tails[0] < tails[1]:
        return tails
    return ends if ends[0] < ends[1] else (ends[0] - 1, ends[0] + 1)


def _thinned(picture):
    """At most about a quarter of a million of its values."""
    step = max(1, int(np.sqrt(picture.size / 250_000)))
    return picture[::step, ::step].astype(np.float64).ravel()


def shown(pixels, chosen):
    """`[H, W, 3]` uint8 of values, with black and white as chosen.

    Args:
        pixels: `[H, W, 1 or 3]` of any type.
        chosen: `(low, high)`, or None: all that the type holds, or `[0, 1]`.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.levels import shown
        >>> pixels = np.array([[[0], [2048], [4095]]], np.uint16)
        >>> shown(pixels, chosen=(0, 4095))[0, :, 0]
        array([  0, 128, 255], dtype=uint8)
    """
    if chosen is None and pixels.dtype != np.uint8:
        chosen = full_range(pixels.dtype)
    if chosen is not None:
        low, high = chosen
        values = (pixels.astype(np.float64) - low) * (255 / (high - low))
        # What is no number would come as any colour.
        values = np.nan_to_num(np.clip(values, 0, 255), nan=0.0)
        pixels = np.rint(values).astype(np.uint8)
    if pixels.shape[-1] == 1:
        pixels = np.repeat(pixels, 3, axis=-1)
    return np.ascontiguousarray(pixels)
