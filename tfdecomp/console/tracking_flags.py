"""Flags that `predict` and `fit` share: what a user knows of a video."""

import math

from absl import flags

_SIZE = flags.DEFINE_string(
    "size",
    None,
    "At which size the model sees frames: 'native', HEIGHTxWIDTH or a factor "
    "such as 0.5. By default its own, or one at which objects are as large as "
    "the model knows them.",
)
_RANGE = flags.DEFINE_string(
    "range",
    "auto",
    "Values shown as black and white where pictures have more than eight bits:"
    " auto (the camera's depth, or what is used if that is less than a tenth), "
    "full (all that the file could hold), or LOW,HIGH.",
)
_REGION = flags.DEFINE_string(
    "region",
    None,
    "Where to look: ymin,xmin,ymax,xmax in pixels, or a picture that is black "
    "where nothing counts.",
)
_OBJECTS = flags.DEFINE_integer(
    "objects",
    None,
    "How many objects there are: none is born, none is lost.",
    lower_bound=1,
)
_OBJECT_SIZE = flags.DEFINE_float(
    "object_size", None, "Length of an object in pixels."
)
_MIN_AREA = flags.DEFINE_float("min_area", None, "Least pixels of an object.")
_MAX_AREA = flags.DEFINE_float("max_area", None, "Most pixels of an object.")
_LINK = flags.DEFINE_enum(
    "link",
    None,
    ["model", "online", "motion", "offline"],
    "Who decides identities: the model itself, matching from frame to frame, "
    "matching over the whole video by motion alone, or, with --objects, by "
    "what animals look like, too. By default offline for models that "
    "follow what moves.",
)


def options() -> dict:
    """The flags as fields of `prediction.runner.Options`."""
    return {
        "range": _RANGE.value,
        "size": size(_SIZE.value),
        "region": _REGION.value,
        "objects": _OBJECTS.value,
        "object_size": _OBJECT_SIZE.value,
        "min_area": _MIN_AREA.value,
        "max_area": _MAX_AREA.value,
        "link": _LINK.value,
    }


def size(text):
    """`"native"`, `(h, w)` or a factor; None stays None.

    Raises:
        ValueError: If it is none of these.
    """
    if text is None or text == "native":
        return text
    try:
        if "x" in text:
            height, width = (int(part) for part in text.split("x"))
            found = height, width
        else:
            height = width = found = float(text)
        if 0 < height < math.inf and 0 < width < math.inf:
            return found
    except ValueError:
        pass
    raise ValueError(
        f"size is {text!r}; expected 'native', HEIGHTxWIDTH such as "
        "264x328, or a factor such as 0.5"
    )
