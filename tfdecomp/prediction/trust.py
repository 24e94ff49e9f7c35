"""How far to trust what a model made of a video, without any label.

    drawn     = 1 - sum (picture - drawing)^2 / sum (picture - its mean)^2
    explained = share of the pixels that differ from the ground, or move,
                that objects own
    empty     = share of the objects that lie on nothing
    error     = mean |picture - drawing| of what differs from the ground, or
                moves, over that of the model's own test data
    full      = share of the frames in which no slot was free
    blank     = share of the frames in which nothing is to be seen
    filled    = share of the places at which nothing was found, nor moves
    shared    = share of the places inside of a blob that several share, where
                bodies were fitted to its pixels
    doubled   = share of the objects that were found where another one is

The model that meets pictures unlike its own leaves most of what moves
unexplained, or finds what is not there, or draws it wrongly: often worse than
one colour would, so that less than nothing is drawn.

The ground of a picture is its median colour. What a model's own data have is
measured once, by `python -m tfdecomp.calibrate`, and kept beside its weights;
for a fitted model, at the end of the fit, on the video that it was fitted to.
"""

import collections

import numpy as np
from absl import logging

from tfdecomp.motion.detections import FILLED
from tfdecomp.prediction.files import tracks

LEVELS = ("good", "doubtful", "bad")
_FIT = "train it on this scene with 'tfdecomp fit'"
LIT = 0.1  # difference from the ground, of full brightness
# Rounding to bytes alone; keeps pictures of one colour comparable.
_LEAST_VARIANCE = (2 / 255) ** 2
_OWN_SHARE = 0.01  # of the model's own clips that are beyond a reference
_UNLIKELY = 1e-3  # so many blank frames among the model's own
_SAME_PLACE = 0.5  # IoU from which on two boxes are of one place
# Frames of a stretch of a video, at least, and stretches, at most.
_STRETCH, _MOST_STRETCHES = 25, 200
_SMALL = 0.02  # share that is never doubtful
# Times the error on what a model was fitted to that it may have on another
# video of the same scene; 1.1 was measured on films of a dish.
_UNSEEN = 1.25
# Limits of doubtful and of bad. Ratios to the model's own test data are set
# where its data keep them: one clip in a hundred is beyond the first.
LIMITS = {
    "explained": (0.8, 0.5),
    "empty": (0.05, 0.25),
    "error": (1.0, 2.0),
    "full": (0.05, 0.5),
    "filled": (0.1, 0.4),
    "shared": (0.5, 1.01),  # places are right, numbers may change: doubtful
    "doubled": (0.05, 0.25),
}
# Of pictures that the model sees one by one, whose own data are not known.
_UNMEASURED = {"drawn": (0.5, 0.1), "blank": (0.1, 0.5)}
_LOW = ("drawn", "explained")  # the less, the worse
_SHARES = ("explained", "empty", "full", "filled", "shared", "doubled")
_WORDS = {
    "blank": "of the frames show nothing",
    "drawn": "of what the pictures show is in the model's drawing of them",
    "explained": "of what moves or stands out lies in objects",
    "empty": "of the objects lie on nothing",
    "error": "times the error of the model's own data",
    "full": "of the frames have no slot left for another object",
    "filled": "of the places were filled in where nothing was found",
    "shared": "of the places were told apart inside of a blob of several",
    "doubled": "of the objects overlap another one of the same place",
}


class Gauge:
    """Gathers the figures of pictures that a model sees one by one.

    Args:
        fit: The `Fit` that made the pictures; its bars are left out.
        background: Slot of the background, if any.
    """

    def __init__(self, fit, background=None):
        self._fit, self._background = fit, background
        self._sums = collections.Counter()
        self.frames, self.blank = 0, 0

    def add(self, picture, outputs):
        """Takes a picture `[h, w, C]` uint8 and what the model made of it.

        Args:
            picture: What the model saw.
            outputs: Of one frame, with any of `recon`, `masks`, `presence`
                and `track_ids`.
        """
        cut = self._fit.without_bars
        seen = np.float32(cut(picture)) / 255
        ground = np.median(seen, axis=(0, 1))
        lit = (np.abs(seen - ground) > LIT).any(axis=-1)
        self.frames += 1
        self.blank += int(not lit.any())
        if "recon" in outputs:
            self._add_drawing(seen, lit, cut(outputs["recon"]))
        if "masks" in outputs:
            self._add_objects(lit, cut(outputs["masks"])[..., 0], outputs)
        if "presence" in outputs:
            is_full = (outputs["presence"][1:] > 0.5).all()
            self._add("full", is_full, 1)

    def _add(self, name, part, whole):
        self._sums[name] += float(part)
        self._sums[name, "of"] += float(whole)

    def _add_drawing(self, seen, lit, drawing):
        away = seen - drawing
        varies = np.square(seen - seen.mean(axis=(0, 1))).sum()
        self._add(
            "missed",
            np.square(away).sum(),
            varies + _LEAST_VARIANCE * seen.size,
        )
        wrong = np.abs(away[lit])
        self._add("error", wrong.sum(), wrong.size)

    def _add_objects(self, lit, masks, outputs):
        owner = masks.argmax(axis=0)
        areas = np.bincount(owner.ravel(), minlength=len(masks))
        on = np.bincount(owner[lit], minlength=len(masks))
        is_object = tracks.slot_ids(outputs, self._background) != 0
        self._add("explained", on[is_object].sum(), on.sum())
        found = is_object & (areas > 0)
        self._add("empty", (found & (on == 0)).sum(), found.sum())

    def measures(self) -> dict:
        """Name -> number over all frames; what cannot be told is absent.

        `error` is not relative yet.
        """
        result = {}
        for name in ("missed", "explained", "empty", "error", "full"):
            if self._sums[name, "of"]:
                result[name] = self._sums[name] / self._sums[name, "of"]
        if "missed" in result:
            result["drawn"] = 1 - result.pop("missed")
        return result

    def figures(self, reference=None) -> dict:
        """The figures, see the module.

        Args:
            reference: From `reference_of`.
        """
        reference = reference or {}
        figures = self.measures()
        error = figures.pop("error", None)
        if error is not None and reference.get("error"):
            figures["error"] = error / reference["error"]
        # Sets of pictures may have some without an object.
        if reference.get("blank", 0) ** self.blank < _UNLIKELY:
            figures["blank"] = self.blank / self.frames
        return figures

    def verdict(self, reference=None) -> dict:
        """`judge` of the pictures so far; see `figures`.

        Raises:
            ValueError: If there was none.
        """
        if not self.frames:
            raise ValueError("there is nothing to judge: no frame was read")
        figures = self.figures(reference)
        result = judge(figures, limits=limits_of(reference))
        result["numbers"] = _rounded(figures)
        return result


def reference_of(gauges) -> dict:
    """What a model's own data have.

    Args:
        gauges: A `Gauge` for each clip.

    Returns:
        Name -> the number that one clip in a hundred is beyond; `blank`, the
        share of all frames that show nothing; and `clips`.

    Raises:
        ValueError: If there are no clips.
    """
    gauges = list(gauges)
    rows = [gauge.measures() for gauge in gauges]
    if not rows:
        raise ValueError("a reference needs clips, got none")
    result = {"clips": len(rows)}
    for name in sorted(set().union(*rows)):
        values = [row[name] for row in rows if name in row]
        share = _OWN_SHARE if name in _LOW else 1 - _OWN_SHARE
        result[name] = round(float(np.quantile(values, share)), 5)
    frames = sum(gauge.frames for gauge in gauges)
    blank = sum(gauge.blank for gauge in gauges)
    return {**result, "blank": round(blank / frames, 5)}


def check_reference(reference):
    """Refuses a reference, which may be a stranger's, that is none.

    Raises:
        ValueError: If a number is none, or out of range.
    """
    if reference is None:
        return
    if not isinstance(reference, dict):
        raise ValueError(f"a reference has names, got {reference!r:.80}")
    own = reference.get("tracks", {})
    if not isinstance(own, dict):
        raise ValueError(f"tracks of the reference is {own!r:.80}")
    for name in ("missed", "blank", "full", "empty", "error", *_LOW):
        _check_number(name, reference.get(name, 0), name == "blank")
    for name in _SHARES:
        _check_number(name, own.get(name, 0), True)


def _check_number(name, value, is_share):
    is_number = isinstance(value, (int, float)) and np.isfinite(value)
    if not is_number or is_share and not 0 <= value <= 1:
        raise ValueError(f"{name} of the reference is {value!r:.80}")


def limits_of(reference) -> dict:
    """Limits of doubtful and of bad for pictures seen one by one.

    Bad is half as much as one in a hundred of the model's own clips has, or
    twice as much, and no less than what would matter anywhere.

    Args:
        reference: From `reference_of`, or None.
    """
    if not reference:
        return _UNMEASURED
    limits = {"error": LIMITS["error"], "blank": _UNMEASURED["blank"]}
    for name in _LOW:
        if reference.get(name, 0) > 0:
            limits[name] = reference[name], reference[name] / 2
    for name in ("empty", "full"):
        if name in reference:
            doubtful, bad = LIMITS[name]
            own = reference[name]
            limits[name] = max(own, doubtful), max(2 * own, bad)
    return limits


def figures_of(tracked, reference=None) -> dict:
    """The figures of a video with identities, see the module.

    Args:
        tracked: A `tracking.Tracked`.
        reference: What the model's own data have: `error`, the 99th
            percentile over its test clips.

    Returns:
        Name -> number; what cannot be told is absent.
    """
    counts = _counts(tracked)
    figures = _measures(counts)
    error = figures.pop("error", None)
    if error is not None and (reference or {}).get("error"):
        figures["error"] = error / reference["error"]
    figures["objects"] = counts["seen"].sum() / max(1, len(tracked.found))
    return figures


def _counts(tracked):
    """Name -> `[T]` numbers of each frame."""
    found, rows = tracked.found, collections.defaultdict(list)
    for time, (linked, detections) in enumerate(
        zip(tracked.linked, found.detections)
    ):
        own = linked.sources != FILLED
        if found.baseline:
            blobs = found.baseline[time].boxes
            rows["shared"].append(_inside(linked.boxes[~own], blobs))
        rows["seen"].append(len(own))
        rows["own"].append(own.sum())
        areas = detections.areas[linked.sources[own]]
        rows["empty"].append((areas <= 0).sum())
        rows["doubled"].append(_doubled(linked.boxes[own]))
    rows["explained"] = found.explained
    rows["error"] = found.errors
    rows["full"] = found.full
    return {name: np.array(row, float) for name, row in rows.items()}


def _inside(boxes, blobs):
    """How many boxes `[n, 4]` have their middle in a blob's."""
    middle = 0.5 * (boxes[:, None, :2] + boxes[:, None, 2:])
    inside = (middle >= blobs[None, :, :2]) & (middle <= blobs[None, :, 2:])
    return int(inside.all(-1).any(1).sum())


def _doubled(boxes):
    """How many of the boxes `[n, 4]` are those of one before them."""
    if len(boxes) < 2:
        return 0
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    union = area[:, None] + area - shared
    return int((np.triu(shared > _SAME_PLACE * union, 1)).any(0).sum())


def _measures(counts):
    """Name -> number over some frames; what cannot be told is absent."""
    result = {}
    for name in ("explained", "error"):
        if np.isfinite(counts[name]).any():
            result[name] = float(np.nanmean(counts[name]))
    seen, own = counts["seen"].sum(), counts["own"].sum()
    if seen:
        result["empty"] = counts["empty"].sum() / seen
        shared = 0.0
        if "shared" in counts:
            shared = counts["shared"].sum()
            result["shared"] = shared / seen
        result["filled"] = (seen - own - shared) / seen
        result["doubled"] = counts["doubled"].sum() / seen
    if len(counts["full"]):
        result["full"] = float(counts["full"].mean())
    return result


def reference_of_tracks(tracked) -> dict:
    """What a video with identities has that a model was fitted to.

    Returns:
        `clips`, the number of stretches that it is cut in; `error`, which one
        of them in a hundred is beyond; and the other figures alike under
        `tracks`. What cannot be told is absent.
    """
    counts = _counts(tracked)
    number = int(np.clip(len(tracked.found) // _STRETCH, 1, _MOST_STRETCHES))
    cut = {name: np.array_split(row, number) for name, row in counts.items()}
    rows = [
        _measures({name: parts[n] for name, parts in cut.items()})
        for n in range(number)
    ]
    own = {}
    for name in sorted(set().union(*rows)):
        values = [row[name] for row in rows if name in row]
        share = _OWN_SHARE if name in _LOW else 1 - _OWN_SHARE
        own[name] = round(float(np.quantile(values, share)), 5)
    error = own.pop("error", None)
    result = {"clips": number, "tracks": own}
    return result if error is None else {**result, "error": error}


def joined_reference(references):
    """One of several videos: of each figure the worst; None of none.

    Args:
        references: From `reference_of_tracks`.
    """
    references = list(references)
    if not references:
        return None
    result = {"clips": sum(one["clips"] for one in references)}
    errors = [one["error"] for one in references if "error" in one]
    if errors:
        result["error"] = max(errors)
    own = [one["tracks"] for one in references]
    result["tracks"] = {
        name: (min if name in _LOW else max)(
            row[name] for row in own if name in row
        )
        for name in sorted(set().union(*own))
    }
    return result


def limits_of_tracks(reference) -> dict:
    """Limits of doubtful and of bad for a video with identities.

    What is wrong with the video that a model was fitted to is no measure for
    what may be wrong with others. But they should not have twice as much of
    it, so the limit of doubtful may be narrower than `LIMITS`.

    Args:
        reference: From `reference_of_tracks`, or None.
    """
    limits = dict(LIMITS)
    own = (reference or {}).get("tracks", {})
    if own:
        limits["error"] = _UNSEEN, limits["error"][1]
    for name in _SHARES:
        if name not in own:
            continue
        doubtful, bad = limits[name]
        if name in _LOW:
            least = 1 - max(_SMALL, 2 * (1 - own[name]))
            limits[name] = max(doubtful, least), bad
        else:
            limits[name] = min(doubtful, max(_SMALL, 2 * own[name])), bad
    return limits


def judge(figures, can_fit=True, limits=None) -> dict:
    """A level, a sentence and the figures behind it.

    Args:
        figures: Name -> number, see the module.
        can_fit: Whether to advise to train on this video.
        limits: Name -> numbers from which on a figure is doubtful, and bad;
            the others are not judged. By default `LIMITS`.

    Returns:
        `level` ("good", "doubtful" or "bad"), `sentence`, `figures`: list of
        `(name, value, what it is)`, and `alarm`: whether to warn.
    """
    limits = LIMITS if limits is None else limits
    level, reasons, rows = 0, [], []
    for name, words in _WORDS.items():
        if name not in figures:
            continue
        value = figures[name]
        rows.append((name, _shown(name, value), words))
        # What is not a number is beyond all limits.
        if name in _LOW:
            worst = sum(not value >= n for n in limits.get(name, ()))
        else:
            worst = sum(not value <= n for n in limits.get(name, ()))
        if worst:
            reasons.append((worst, f"{_shown(name, value)} {words}"))
        level = max(level, worst)
    if not figures.get("objects", 1):
        level, reasons = 2, [(2, "no object was found")]
    reasons.sort(key=lambda reason: -reason[0])
    words = "; ".join(words for _, words in reasons[:2])
    sentence = {
        0: "the figures are those of a video that the model knows",
        1: f"look at it before you use it: {words}",
        2: f"do not trust it: {words}",
    }[level]
    if level == 2 and can_fit:
        sentence += f"; {_FIT}"
    return {
        "level": LEVELS[level],
        "sentence": sentence,
        "figures": rows,
        "alarm": level == 2,
    }


def _shown(name, value):
    if name == "error":
        return f"{value:.2f}"
    return f"{100 * max(value, 0):.1f} %"


def _rounded(figures):
    """For JSON, which knows nothing that is not a number: None instead."""
    return {
        name: round(float(value), 5) if np.isfinite(value) else None
        for name, value in figures.items()
    }


def warn(verdict):
    """Logs a verdict that is an alarm; None is none."""
    if verdict is not None and verdict["alarm"]:
        logging.warning("%s", verdict["sentence"])


def verdict(tracked, options, reference=None, can_fit=True) -> dict:
    """`judge` of a tracked video, and what else a user should know.

    `own` has its `reference_of_tracks`.
    """
    figures = figures_of(tracked, reference)
    result = judge(figures, can_fit, limits_of_tracks(reference))
    result["numbers"] = _rounded(figures)
    # What a model has that is fitted to this video.
    result["own"] = reference_of_tracks(tracked)
    if options.objects is not None:
        most = max((len(frame.ids) for frame in tracked.linked), default=0)
        if most < options.objects:
            result["level"] = LEVELS[2]
            result["sentence"] = (
                f"{options.objects} objects were asked for, but only {most} "
                "could be told apart; lower objects"
                + (f", or {_FIT}" if can_fit else "")
            )
            result["alarm"] = True
    return result
