"""What CLEVR's codes stand for, read off the pictures.

The files with masks hold colours and shapes as numbers, and nothing published
says which number is which. Colours can be seen, and so can spheres: their
outlines are circles wherever they stand. Boxes and cylinders are not told
apart, nor are sizes and materials needed by name.
"""

import numpy as np

COLOURS = {
    "gray": (87, 87, 87),
    "red": (173, 35, 35),
    "blue": (42, 75, 215),
    "green": (29, 105, 20),
    "brown": (129, 74, 25),
    "purple": (129, 38, 192),
    "cyan": (41, 208, 208),
    "yellow": (255, 238, 51),
}
_MIN_PIXELS = 100  # smaller ones say nothing of outlines
_ROUND = 0.08  # how far height over width of a sphere's box is from 1
_DISC = np.pi / 4, 0.03  # share of its box that a disc fills, and how far off


def read(scenes):
    """Names of colours and of the sphere.

    Args:
        scenes: What `multi_object_records.Decoder.scene` returned for some
            scenes of CLEVR.

    Returns:
        Factor to name to code; a factor whose codes cannot be told with
        certainty has no names.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.formats.multi_object.clevr_names import read
        >>> scene = {"objects": [1], "owner": np.ones([20, 20], np.uint8)}
        >>> scene["image"] = np.full([20, 20, 3], [173, 35, 35])
        >>> scene |= {"color": np.array([0, 1]), "shape": np.array([0, 1])}
        >>> read([scene])  # one colour of eight says too little
        {'color': {}, 'shape': {}}
    """
    hues, rounds = {}, {}
    for scene in scenes:
        for entity in scene["objects"]:
            mask = scene["owner"] == entity
            if np.count_nonzero(mask) < _MIN_PIXELS:
                continue
            pixels = scene["image"][mask].astype(float)
            hue = _hue(np.median(pixels, 0))
            hues.setdefault(int(scene["color"][entity]), []).append(hue)
            shape = rounds.setdefault(int(scene["shape"][entity]), [])
            shape.append(_is_disc(mask))
    return {"color": _colours(hues), "shape": _sphere(rounds)}


def _hue(rgb):
    """Colour without brightness, `[..., 3]`."""
    rgb = np.asarray(rgb, float) + 1e-6
    return rgb / rgb.sum(-1, keepdims=True)


def _is_disc(mask):
    rows, columns = np.nonzero(mask)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    share, off = _DISC
    return (
        abs(height / width - 1) < _ROUND
        and abs(len(rows) / (height * width) - share) < off
    )


def _colours(hues):
    """Each code's nearest colour, if no two codes have the same one."""
    names, table = list(COLOURS), _hue(list(COLOURS.values()))
    found = {}
    for code, values in hues.items():
        away = np.linalg.norm(table - np.median(values, 0), axis=1)
        found[names[away.argmin()]] = code
    complete = len(found) == len(hues) == len(names)
    return dict(sorted(found.items())) if complete else {}


def _sphere(rounds):
    """The code whose objects mostly are discs; covered ones are not."""
    share = {code: np.mean(values) for code, values in rounds.items()}
    order = sorted(share, key=share.get)
    if len(order) == 3 and share[order[-1]] > 0.5 > 2 * share[order[-2]]:
        return {"sphere": order[-1]}
    return {}
