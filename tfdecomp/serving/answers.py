"""A decomposition as an answer: JSON, or the arrays as `.npz`."""

import dataclasses
import io
import json
import math

import numpy as np

from tfdecomp.serving.refusals import Refused

JSON, NPZ = "json", "npz"
TYPES = {JSON: "application/json", NPZ: "application/x-npz"}
# What JSON has unless more is asked for: a mask has more numbers than all of
# these.
SMALL = (
    "slots",
    "presence",
    "boxes",
    "locations",
    "track_ids",
    "loss",
    "nll",
    "kl",
    "elbo",
)
MOST_NUMBERS = 4_000_000  # in JSON
_OBJECT = ("id", "slot", "box", "area", "presence", "filled", "doubt")


def format_of(wanted, accepts) -> str:
    """The format of an answer.

    Args:
        wanted: What `?format=` says, or None.
        accepts: The header `Accept`.

    Examples:
        >>> from tfdecomp.serving.answers import format_of
        >>> format_of(None, "application/x-npz"), format_of(None, "*/*")
        ('npz', 'json')
    """
    if wanted is not None:
        return wanted
    kinds = [part.partition(";")[0].strip() for part in accepts.split(",")]
    is_npz = {"application/x-npz", "application/zip"} & set(kinds)
    return NPZ if is_npz and JSON not in accepts else JSON


def of(outputs, model, kind, keys=None) -> bytes:
    """The body of an answer.

    Args:
        outputs: A `Decomposition` of NumPy arrays, which may have `ids`,
            `tracks` and `trust`, as of `hub.Loaded.decompose`.
        model: Name of the model.
        kind: `"json"` or `"npz"`.
        keys: Which arrays; by default in JSON those of `SMALL` and in `.npz`
            all.

    Raises:
        Refused: If one of the keys is not there, or JSON would be too long.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.serving import answers
        >>> answers.of({"kl": np.float32(0.5)}, "balls", "json")
        b'{"model":"balls","outputs":{"kl":0.5}}'
    """
    arrays = {
        name: np.asarray(value)
        for name, value in outputs.items()
        if name not in ("tracks", "trust") and not isinstance(value, dict)
    }
    found = _chosen(arrays, keys, SMALL if kind == JSON else tuple(arrays))
    tracks, trust = outputs.get("tracks"), outputs.get("trust")
    if kind == NPZ:
        return _npz(found, model, tracks, trust)
    count = sum(array.size for array in found.values())
    if count > MOST_NUMBERS:
        raise Refused(
            413,
            f"the answer has {count:,} numbers, and JSON may have "
            f"{MOST_NUMBERS:,}; ask for format=npz, or for fewer keys",
        )
    answer = {"model": model, "outputs": {}}
    answer["outputs"] = {n: listed(array) for n, array in found.items()}
    if tracks is not None:
        answer["tracks"] = [[row(o) for o in frame] for frame in tracks]
    if trust is not None:
        answer["trust"] = trust
    text = json.dumps(answer, separators=(",", ":"), default=_plain)
    return text.encode()


def listed(array):
    """An array as JSON has it: what is no finite number is null.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.serving.answers import listed
        >>> listed(np.array([0.5, np.nan]))
        [0.5, None]
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        kept = array.astype(object)
        kept[~np.isfinite(array)] = None
        return kept.tolist()
    return array.tolist()


def row(found) -> dict:
    """A `tracks.Object` without its mask."""
    entry = {name: getattr(found, name) for name in _OBJECT}
    return entry | {"box": [float(edge) for edge in found.box]}


def _chosen(arrays, keys, usual):
    if keys is None:
        return {name: arrays[name] for name in usual if name in arrays}
    for name in keys:
        if name not in arrays:
            known = ", ".join(sorted(arrays))
            raise Refused(
                422, f"the answer has no {name!r}; keys may be {known}"
            )
    return {name: arrays[name] for name in keys}


def _npz(found, model, tracks, trust):
    """The arrays; a row for each object and frame; the rest as JSON."""
    about = {"model": model} | ({} if trust is None else {"trust": trust})
    found = dict(found)
    if tracks is not None:
        found |= _table(tracks)
    found["about"] = np.array(json.dumps(about, default=_plain))
    file = io.BytesIO()
    np.savez(file, **found)
    return file.getvalue()


def _table(tracks):
    """`tracks_*` `[N]`, of all objects of all frames."""
    rows = [(t, found) for t, frame in enumerate(tracks) for found in frame]
    boxes = [found.box for _, found in rows]
    table = {
        "tracks_frame": np.array([t for t, _ in rows], np.int32),
        "tracks_box": np.array(boxes, np.float64).reshape(-1, 4),
    }
    for name in ("id", "slot", "area"):
        values = [getattr(found, name) for _, found in rows]
        table[f"tracks_{name}"] = np.array(values, np.int64)
    return table


def _plain(value):
    """NumPy's numbers as Python's, and what is none as text."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        return listed(value)
    if dataclasses.is_dataclass(value):
        return dataclasses.asdict(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (int, float, bool)) else str(value)
