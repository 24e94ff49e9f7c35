"""Scores of tracks in files against truth in files.

Decided once:

* Only frames that the truth has a row for are scored, and of these only
  those that the prediction looked at, where that is known. What was found in
  other frames is left out, and counted. Where it is not known, as of a text,
  frames without a row count as looked at, in vain; how many is said.
* Truth may be boxes or points. Boxes match from an IoU of a half. With a
  radius, which points need, a box matches where its centre is at most that
  far from the point, or from the centre of the true box.
* With a radius `r` and a distance `d`, `max(0, 1 - d / 2r)` stands where the
  overlap does: it is a half at the radius. HOTA asks for .05, .10, ..., .95
  of it, as TrackEval does with points.
* MOTP is the mean overlap of matches, 1 is best; that of py-motmetrics is a
  distance, one minus ours. With a radius there is `distance` instead, the
  mean in pixels, and that is theirs.
* Classes are not told apart, and what is found on truth of confidence 0 is a
  false positive; MOTChallenge's own server takes such boxes out before.
"""

import numpy as np

from tfdecomp.metrics import hota, identity, localization, tracking
from tfdecomp.metrics.tracking import IOU

_MOST_PAIRS = 2**28  # of a true and a found box in one frame, padded
_MOST_TRACKS = 2**23  # pairs of a true and a found track

_SHOWN = (
    ("HOTA", "hota"),
    ("DetA", "deta"),
    ("AssA", "assa"),
    ("MOTA", "mota"),
    ("MOTP", "motp"),
    ("distance", "distance"),
    ("IDF1", "idf1"),
    ("recall", "recall"),
    ("precision", "precision"),
    ("switches", "id_switches"),
    ("fragmentations", "fragmentations"),
    ("mostly tracked", "mostly_tracked"),
    ("mostly lost", "mostly_lost"),
)


def score(found, true, radius=None, frames=None) -> dict:
    """Scores found tracks against true ones.

    Args:
        found: `tfdecomp.data.formats.mot_files.Tracks`.
        true: The same, read as truth.
        radius: Pixels within which a centre matches; None: boxes do by their
            overlap.
        frames: First and last frame to score, from 0; None: all.

    Returns:
        JSON-able: which files and frames, numbers of boxes and tracks, and
        the scores: `mota`, `motp` or `distance`, `idf1`, `hota`, `deta`,
        `assa`, `recall`, `precision`, `id_switches`, `fragmentations`,
        `misses`, `false_positives`, and the number of true tracks that are
        `mostly_tracked`, `partly_tracked` and `mostly_lost`. A score that is
        not defined is None.

    Raises:
        ValueError: If the truth is of other frames or has nothing in them,
            if points come without a radius, or if there is too much.
    """
    _check_match(found, true, radius)
    true_frames = _frames_of(true, frames)
    frames = _scored_frames(found, true, true_frames)
    kept_found = found.take(np.isin(found.frames, frames))
    kept_true = true.take(np.isin(true.frames, frames))
    if not len(kept_true):
        raise ValueError(
            f"{true.path} has nothing to be found in the {len(frames)} frames "
            "that are scored: expected rows of a confidence above 0"
        )
    given = _clip(kept_found, kept_true, frames, radius)
    return {
        "tracks": str(found.path),
        "truth": str(true.path),
        "first_frames": {
            "tracks": found.first_frame,
            "truth": true.first_frame,
        },
        "radius": radius,
        "iou": None if radius else IOU,
        "num_frames": len(frames),
        "frames": [int(frames[0]), int(frames[-1])],
        "true_frames": len(true_frames),
        "tracked_frames": len(np.unique(kept_found.frames)),
        "last_tracked_frame": int(found.frames.max()) if len(found) else None,
        "is_known_what_was_seen": found.seen is not None,
        "boxes_left_out": len(found) - len(kept_found),
        "true_boxes_left_out": len(true) - len(kept_true),
        "true_boxes": len(kept_true),
        "found_boxes": len(kept_found),
        "true_tracks": len(np.unique(kept_true.ids)),
        "found_tracks": len(np.unique(kept_found.ids)),
        **_scores(given, radius),
    }


def table(result) -> str:
    """What `score` returned, as a few lines of text."""
    first, last = result["frames"]
    match = "by an IoU of a half"
    if result["radius"]:
        match = f"within {result['radius']:g} pixels"
    lines = [
        f"{result['num_frames']} frames from {first} to {last} (from 0), "
        f"matched {match}",
        f"{result['true_tracks']} true tracks of {result['true_boxes']} "
        f"boxes, {result['found_tracks']} found of {result['found_boxes']}",
    ]
    starts = result["first_frames"]
    lines.append(
        f"the first frame is {starts['truth']} in {result['truth']} and "
        f"{starts['tracks']} in {result['tracks']}"
    )
    lines += _coverage(result)
    left = result["boxes_left_out"], result["true_boxes_left_out"]
    if any(left):
        lines.append(
            f"left out: {left[0]} found boxes in frames without truth, "
            f"{left[1]} true ones in frames that were not looked at"
        )
    for title, name in _SHOWN:
        if name in result:
            value = result[name]
            text = f"{value:.4f}" if isinstance(value, float) else value
            lines.append(f"  {title:<15}{'-' if value is None else text}")
    return "\n".join(lines)


def _coverage(result):
    """A line where truth and tracks are of different frames."""
    scored, true = result["num_frames"], result["true_frames"]
    if scored < true:
        return [
            f"the truth has {true} frames; {scored} of them were looked at, "
            "and the others are left out"
        ]
    tracked = result["tracked_frames"]
    if result["is_known_what_was_seen"] or tracked == scored:
        return []
    line = (
        f"the truth has {scored} frames, the tracks have rows in {tracked} of "
        f"them; in the other {scored - tracked} all that is true counts as "
        "missed"
    )
    first, last = result["frames"]
    end = result["last_tracked_frame"]
    if end is not None and first <= end < last:
        line += f" (--frames={first}:{end} scores the video up to the last row)"
    return [line]


def _check_match(found, true, radius):
    if radius is not None and not 0 < radius < np.inf:
        raise ValueError(
            f"the radius must be a number of pixels above 0, got {radius}"
        )
    for tracks in (true, found):
        if tracks.is_points and radius is None:
            raise ValueError(
                f"{tracks.path} has points and no boxes; give --radius=PIXELS, "
                "the distance up to which a centre counts as found"
            )


def _frames_of(true, asked):
    """Frames from 0 that the truth has, of those that were asked for."""
    frames = np.unique(true.frames) if true.seen is None else true.seen
    if asked is None or not len(frames):
        return frames
    first, last = asked
    kept = frames[(frames >= first) & (frames <= last)]
    if not len(kept):
        raise ValueError(
            f"{true.path} has frames {frames.min()} to {frames.max()} (counted "
            f"from 0), none from {first} to {last}, which --frames asks for"
        )
    return kept


def _scored_frames(found, true, frames):
    """Those of the frames that can be scored, at least one."""
    looked_at = np.unique(found.frames) if found.seen is None else found.seen
    common = np.isin(frames, looked_at)
    if found.seen is not None:
        kept = frames[common]
    else:  # what nothing was found in may have been looked at
        kept = frames
    # A tracker that finds nothing is right about the frames.
    if len(kept) and (common.any() or not len(looked_at)):
        return kept
    spans = [
        f"{tracks.path} has "
        + (f"frames {n.min()} to {n.max()}" if len(n) else "no frame")
        for tracks, n in ((true, frames), (found, looked_at))
    ]
    raise ValueError(
        f"{spans[0]} and {spans[1]} (counted from 0), none in common: expected "
        "the truth of the same video"
    )


def _clip(found, true, frames, radius):
    """Arguments of the counts: one clip `B = 1`."""
    boxes, ids, numbers = _padded(found, frames)
    true_boxes, true_ids, true_numbers = _padded(true, frames)
    shape = (1, len(frames), true_ids.shape[2], ids.shape[2])
    pairs = true_ids.max(initial=0) * ids.max(initial=0)
    if np.prod(shape, dtype=float) > _MOST_PAIRS or pairs > _MOST_TRACKS:
        raise ValueError(
            f"{true_ids.max()} true and {ids.max(initial=0)} found tracks in "
            f"{len(frames)} frames are too many to score at once; score parts "
            "of the video"
        )
    overlap = np.zeros(shape)
    for t, (rows, columns) in enumerate(zip(true_numbers, numbers)):
        overlap[0, t, :rows, :columns] = _overlap(
            true_boxes[0, t, :rows], boxes[0, t, :columns], radius
        )
    return {
        "boxes": boxes,
        "ids": ids,
        "true_boxes": true_boxes,
        "true_ids": true_ids,
        "overlap": overlap,
    }


def _padded(tracks, frames):
    """`boxes [1, T, N, 4]`, `ids [1, T, N]` from 1, and numbers `[T]`."""
    times = np.searchsorted(frames, tracks.frames)  # in order, as are frames
    numbers = np.bincount(times, minlength=len(frames))
    starts = np.cumsum(numbers) - numbers
    places = np.arange(len(times)) - starts[times]
    shape = (1, len(frames), int(numbers.max(initial=0)))
    boxes, ids = np.zeros((*shape, 4)), np.zeros(shape, np.int64)
    boxes[0, times, places] = tracks.boxes
    ids[0, times, places] = np.unique(tracks.ids, return_inverse=True)[1] + 1
    return boxes, ids, numbers


def _overlap(true, found, radius):
    """`[I, J]` of boxes `[I, 4]` and `[J, 4]`."""
    if radius is None:
        return localization.box_iou(true, found)
    centres = localization.box_centres(true), localization.box_centres(found)
    offsets = centres[0][:, None] - centres[1]
    distance = np.sqrt(np.sum(np.square(offsets), -1))
    return np.maximum(0.0, 1.0 - distance / (2.0 * radius))


def _scores(given, radius):
    clear = _first(tracking.clear_mot_counts(**given))
    covered = _first(tracking.coverage_counts(**given))
    detection, association, score = _hota(hota.hota_counts(**given))
    overlap = tracking.motp(clear)
    matches = clear["matches"]
    mostly, lost = covered["mostly_tracked"], covered["mostly_lost"]
    where = "motp" if radius is None else "distance"
    shares = {
        "mota": tracking.mota(clear),
        where: overlap if radius is None else 2.0 * radius * (1.0 - overlap),
        "idf1": identity.idf1(_first(identity.identity_counts(**given))),
        "hota": score,
        "deta": detection,
        "assa": association,
        "recall": matches / clear["true"],
        "precision": matches / (matches + clear["false_positives"] or np.nan),
    }
    counts = {
        "id_switches": clear["switches"],
        "fragmentations": covered["fragmentations"],
        "misses": clear["misses"],
        "false_positives": clear["false_positives"],
        "mostly_tracked": mostly,
        "partly_tracked": covered["tracks"] - mostly - lost,
        "mostly_lost": lost,
    }
    shares = {n: None if np.isnan(v) else float(v) for n, v in shares.items()}
    return shares | {name: int(number) for name, number in counts.items()}


def _hota(counts):
    """DetA, AssA and HOTA, means over the least overlaps."""
    matches = counts["matches"][0]
    boxes = matches + counts["misses"][0] + counts["false_positives"][0]
    association = counts["association"][0] / np.maximum(matches, 1.0)
    detection = matches / boxes
    return detection.mean(), association.mean(), hota.hota(counts)[0]


def _first(counts):
    return {name: values[0] for name, values in counts.items()}
