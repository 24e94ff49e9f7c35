"""True factors in the published multi-object TFRecords.

The files do not say in which unit positions and colours are, nor what codes
stand for; where that is not known otherwise, it is read off the first scenes
(`probe`).
"""

import numpy as np

from tfdecomp.data.formats.multi_object import clevr_names

PROBE = 64  # scenes to look at
_MIN_OBJECTS = 12  # fewer say nothing
_CODES = ("shape", "size", "material", "color")  # of CLEVR, 0: no object
_CLOSE = 1.0  # pixels, half of the objects lie closer to their positions


def declared(layout):
    """Name to `(axes, shape, dtype)` of the factors, see `features`.

    Examples:
        >>> from tfdecomp.data.formats.multi_object import multi_object_layouts
        >>> from tfdecomp.data.formats.multi_object import multi_object_factors
        >>> layout = multi_object_layouts.LAYOUTS["tetrominoes"]
        >>> sorted(multi_object_factors.declared(layout))
        ['color', 'corner', 'position', 'shape']
    """
    kind = _kind(layout)
    number, code = ("K", (), np.float32), ("K", (), np.int32)
    place = ("TK", (2,), np.float32)
    if kind == "clevr":
        return {
            "position": place,
            "depth": ("TK", (), np.float32),
            "location_3d": ("TK", (3,), np.float32),
            "rotation": number,
            **dict.fromkeys(_CODES, code),
        }
    if kind == "sprites":
        return {
            "position": place,
            "shape": code,
            "orientation": number,
            "scale": number,
            "color": ("K", (layout.channels,), np.float32),
        }
    if kind == "tetrominoes":
        return {
            "position": place,
            "corner": ("K", (2,), np.float32),
            "shape": code,
            "color": ("K", (3,), np.float32),
        }
    return {}


def value_names(layout):
    """Factor to name to value, where the meaning of the values is known.

    Examples:
        >>> from tfdecomp.data.formats.multi_object import multi_object_layouts
        >>> from tfdecomp.data.formats.multi_object import multi_object_factors
        >>> layout = multi_object_layouts.LAYOUTS["multi_dsprites_binarized"]
        >>> multi_object_factors.value_names(layout)
        {'shape': {'square': 1, 'ellipse': 2, 'heart': 3}}
    """
    kind = _kind(layout)
    if kind == "sprites":
        return {"shape": {"square": 1, "ellipse": 2, "heart": 3}}
    if kind == "tetrominoes":
        corners = {
            "red": (1, 0, 0),
            "green": (0, 1, 0),
            "blue": (0, 0, 1),
            "yellow": (1, 1, 0),
            "magenta": (1, 0, 1),
            "cyan": (0, 1, 1),
        }
        return {"color": {name: list(rgb) for name, rgb in corners.items()}}
    return {}


def make(scene, layout, max_objects, boxes, scales):
    """The factors of a scene, by slot.

    Args:
        scene: What `Decoder.scene` returned.
        layout: The file's `Layout`.
        max_objects: `K`.
        boxes: `[1, K, 4]` of what is seen of each object.
        scales: What `probe` returned.

    Returns:
        Name to array as `declared` says; positions in pixels of the file's
        images, those of tetrominoes in pixels of the boxes.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.formats.multi_object import multi_object_layouts
        >>> from tfdecomp.data.formats.multi_object import multi_object_factors
        >>> layout = multi_object_layouts.LAYOUTS["objects_room_train"]
        >>> scene, boxes = {"objects": [4, 5]}, np.zeros([1, 4, 4])
        >>> multi_object_factors.make(scene, layout, 4, boxes, scales={})
        {}
    """
    kind, objects = _kind(layout), scene["objects"]

    def slots(values, dtype=np.float32):
        out = np.zeros((max_objects, *values.shape[1:]), dtype)
        out[: len(objects)] = values[objects]
        return out

    def code(name):
        return slots(np.rint(scene[name]), np.int32)

    if kind == "clevr":
        pixels = slots(scene["pixel_coords"])  # (x, y, depth)
        place = np.stack([scene[name] for name in "xyz"], -1)
        return {
            "position": pixels[None, :, 1::-1].copy(),
            "depth": pixels[None, :, 2],
            "location_3d": slots(place)[None],
            "rotation": slots(scene["rotation"]),
            **{name: code(name) for name in _CODES},
        }
    if kind == "sprites":
        place = np.stack([scene["x"], scene["y"]], -1)
        transform = scales.get("position")
        if transform is None:
            place = np.zeros_like(place)
        else:
            place = place[:, transform["axes"]] * transform["scale"]
            place = place + transform["offset"]
        return {
            "position": slots(place)[None],
            "shape": code("shape"),
            "orientation": slots(scene["orientation"]),
            "scale": slots(scene["scale"]),
            "color": slots(_rows(scene["color"]) / scales.get("color", 1.0)),
        }
    if kind == "tetrominoes":
        # Pieces hide nothing, so their boxes are whole. x counts rows.
        return {
            "position": (boxes[..., :2] + boxes[..., 2:]) / 2,
            "corner": slots(np.stack([scene["x"], scene["y"]], -1)),
            "shape": code("shape"),
            "color": slots(scene["color"]),
        }
    return {}


def scenes_needed(variant):
    """How many scenes `probe` wants to see.

    Examples:
        >>> from tfdecomp.data.formats.multi_object import multi_object_factors
        >>> multi_object_factors.scenes_needed("clevr_with_masks")
        64
    """
    known = "tetrominoes" in variant or "room" in variant
    return 1 if known else PROBE


def probe(scenes, layout):
    """What the file does not say, as a few scenes show it.

    Args:
        scenes: Iterable of what `Decoder.scene` returned.
        layout: The file's `Layout`.

    Returns:
        Dictionary that JSON can hold. `color`: the value of full brightness.
        `position`: `{"axes", "scale", "offset"}` such that
        `(x, y)[axes] * scale + offset` is `(row, column)` in pixels; None if
        no such rule puts the positions on the objects. `value_names`: names
        of values of factors, for CLEVR.

    Examples:
        >>> from tfdecomp.data.formats.multi_object import multi_object_layouts
        >>> from tfdecomp.data.formats.multi_object import multi_object_factors
        >>> layout = multi_object_layouts.LAYOUTS["tetrominoes"]
        >>> multi_object_factors.probe([], layout)  # all is known
        {}
    """
    if _kind(layout) == "clevr":
        return {"value_names": clevr_names.read(scenes)}
    if _kind(layout) != "sprites":
        return {}
    places, centres, brightest = [], [], 0.0
    for scene in scenes:
        for entity in scene["objects"]:
            pixels = np.argwhere(scene["owner"] == entity)
            if len(pixels):
                places.append([scene["x"][entity], scene["y"][entity]])
                centres.append(pixels.mean(0) + 0.5)
        brightest = max(brightest, float(scene["color"].max(initial=0)))
    scales = {"color": 255.0 if brightest > 1.5 else 1.0}
    scales["position"] = None
    if len(places) >= _MIN_OBJECTS:
        scales["position"] = _fit(np.array(places), np.array(centres))
    return scales


def _fit(places, centres):
    """The straight lines from `(x, y)` to centres, or None."""
    for axes in ([1, 0], [0, 1]):
        lines = [
            _line(places[:, axis], centres[:, n]) for n, axis in enumerate(axes)
        ]
        if None not in lines:
            scale, offset = zip(*lines)
            return {
                "axes": axes,
                "scale": [float(s) for s in scale],
                "offset": [float(o) for o in offset],
            }
    return None


def _line(x, y):
    """Slope and offset of most points, or None; covered objects are off it."""
    keep = np.ones(len(x), bool)
    for _ in range(10):
        if np.ptp(x[keep]) == 0:
            return None
        slope, offset = np.polyfit(x[keep], y[keep], 1)
        away = np.abs(slope * x + offset - y)
        keep = away <= max(np.median(away), 1e-6)
    return (slope, offset) if np.median(away) < _CLOSE else None


def _rows(values):
    return values.reshape(len(values), -1)


def _kind(layout):
    for kind in ("clevr", "tetrominoes", "room"):
        if kind in layout.name:
            return kind
    return "sprites"
