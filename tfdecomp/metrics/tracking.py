"""CLEAR MOT: accuracy and precision of tracks, and switches of identity.

Frame by frame (see `tfdecomp.metrics.tracks` for what holds throughout):

1. A true box whose track was last matched, however long ago, to a found track
   that is in this frame and overlaps enough keeps it.
2. The others are matched one to one: as many as can be, of those matchings
   the one with the largest overlap. A true track that is now matched to
   another found one than last is a switch.
3. What is left over are misses and false positives.

    MOTA = 1 - (misses + false positives + switches) / true boxes
    MOTP = mean overlap (IoU) of matched boxes; 1 is best

References:
    Bernardin and Stiefelhagen, Evaluating Multiple Object Tracking
    Performance: The CLEAR MOT Metrics. 2008.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

from tfdecomp.metrics import tracks

IOU = 0.5  # least overlap of a match
MOSTLY, LOST = 0.8, 0.2  # share of its frames that a track is matched in

_FORBIDDEN = 1e6  # costs more than any number of matches can gain


def clear_mot_counts(
    boxes,
    ids,
    true_boxes,
    true_ids,
    threshold=IOU,
    drop_overfull=False,
    overlap=None,
) -> dict:
    """What MOTA and MOTP are made of, clip by clip.

    Args:
        boxes: `[B, T, K, 4]` found boxes.
        ids: `[B, T, K]` their tracks, see `tracks`.
        true_boxes: `[B, T, L, 4]`.
        true_ids: `[B, T, L]`.
        threshold: IoU that a match has at least.
        drop_overfull: Whether to discard all found boxes of a frame with more
            than twice as many as true ones (a shortcut of the SILOT authors'
            late evaluations).
        overlap: See `tracks.pair`.

    Returns:
        `[B]` float64 each: `true`, `matches`, `misses`, `false_positives`,
        `switches` (which are matches, too) and `overlap`, the sum of the
        matches' IoU.

    Raises:
        ValueError: See `tracks.pair`.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.tracking import clear_mot_counts
        >>> boxes = np.tile([0, 0, 4, 4], [1, 2, 1, 1])  # stands for two frames
        >>> ids, true_ids = np.array([[[1], [2]]]), np.array([[[1], [1]]])
        >>> counts = clear_mot_counts(boxes, ids, boxes, true_ids)
        >>> counts["matches"], counts["switches"]
        (array([2.]), array([1.]))
    """
    clips = tracks.pair(boxes, ids, true_boxes, true_ids, overlap)
    rows = [_clip_counts(clip, threshold, drop_overfull) for clip in clips]
    names = ("true", "found", "matches", "switches", "overlap")
    counts = dict(zip(names, np.array(rows, np.float64).reshape(-1, 5).T))
    found = counts.pop("found")
    return {
        **counts,
        "misses": counts["true"] - counts["matches"],
        "false_positives": found - counts["matches"],
    }


def coverage_counts(
    boxes, ids, true_boxes, true_ids, threshold=IOU, overlap=None
) -> dict:
    """How much of each true track is matched, clip by clip.

    Args:
        boxes: `[B, T, K, 4]` found boxes.
        ids: `[B, T, K]` their tracks, see `tracks`.
        true_boxes: `[B, T, L, 4]`.
        true_ids: `[B, T, L]`.
        threshold: IoU that a match has at least.
        overlap: See `tracks.pair`.

    Returns:
        `[B]` float64 each: `tracks`, the number of true ones;
        `mostly_tracked`, matched (to whatever track) in at least 80 % of
        their frames, and `mostly_lost`, in less than 20 %; `fragmentations`,
        how often one is matched again after frames in which it was not.

    Raises:
        ValueError: See `tracks.pair`.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.tracking import coverage_counts
        >>> boxes = np.tile([0, 0, 4, 4], [1, 2, 1, 1])  # stands for two frames
        >>> ids, true_ids = np.array([[[1], [2]]]), np.array([[[1], [1]]])
        >>> coverage_counts(boxes, ids, boxes, true_ids)["mostly_tracked"]
        array([1.])
    """
    clips = tracks.pair(boxes, ids, true_boxes, true_ids, overlap)
    rows = [_clip_coverage(clip, threshold) for clip in clips]
    names = ("tracks", "mostly_tracked", "mostly_lost", "fragmentations")
    return dict(zip(names, np.array(rows, np.float64).reshape(-1, 4).T))


def mota(counts) -> np.ndarray:
    """MOTA `[...]` of counts `[...]`; NaN where there is no true box.

    Examples:
        >>> from tfdecomp.metrics.tracking import mota
        >>> counts = {"misses": 1, "false_positives": 0, "switches": 1}
        >>> round(float(mota({**counts, "true": 4})), 2)
        0.5
    """
    errors = counts["misses"] + counts["false_positives"] + counts["switches"]
    return 1.0 - _ratio(errors, counts["true"])


def motp(counts) -> np.ndarray:
    """MOTP `[...]` of counts `[...]`; NaN where nothing is matched.

    Examples:
        >>> from tfdecomp.metrics.tracking import motp
        >>> round(float(motp({"matches": 2, "overlap": 1.5})), 2)
        0.75
    """
    return _ratio(counts["overlap"], counts["matches"])


def _clip_counts(clip, threshold, drop_overfull):
    found = matches = switches = 0
    overlap = 0.0
    for frame, rows, columns, switched in _matches(
        clip, threshold, drop_overfull
    ):
        switches += switched
        found += len(frame.found)
        matches += len(rows)
        overlap += frame.iou[rows, columns].sum()
    return clip.true_boxes, found, matches, switches, overlap


def _clip_coverage(clip, threshold):
    there, covered = np.zeros((2, clip.num_true))
    broken = np.zeros(clip.num_true, bool)  # matched before, and not now
    fragmentations = 0
    for frame, rows, _, _ in _matches(clip, threshold):
        now = frame.true[rows]
        fragmentations += broken[now].sum()
        broken[frame.true] = covered[frame.true] > 0
        broken[now] = False
        there[frame.true] += 1
        covered[now] += 1
    share = covered / there
    mostly, lost = np.sum(share >= MOSTLY), np.sum(share < LOST)
    return clip.num_true, mostly, lost, fragmentations


def _matches(clip, threshold, drop_overfull=False):
    """Yields each frame, rows and columns of its pairs, and its switches."""
    last = np.full(clip.num_true, -1)  # found track that each was matched to
    for frame in clip.frames:
        if drop_overfull and len(frame.found) > 2 * len(frame.true):
            continue
        rows, columns = _match(frame, last, threshold)
        true, now = frame.true[rows], frame.found[columns]
        switches = np.sum((last[true] >= 0) & (last[true] != now))
        last[true] = now
        yield frame, rows, columns, switches


def _match(frame, last, threshold):
    """Rows and columns of the matched pairs of a frame."""
    allowed = frame.iou >= threshold - tracks.ROUNDING
    kept = _kept(frame, last, allowed)
    rows = np.setdiff1d(np.arange(len(frame.true)), kept[:, 0])
    columns = np.setdiff1d(np.arange(len(frame.found)), kept[:, 1])
    rest = np.ix_(rows, columns)
    cost = np.where(allowed[rest], 1.0 - frame.iou[rest], _FORBIDDEN)
    pairs = linear_sum_assignment(cost)
    good = allowed[rest][pairs]
    return (
        np.concatenate([kept[:, 0], rows[pairs[0][good]]]),
        np.concatenate([kept[:, 1], columns[pairs[1][good]]]),
    )


def _kept(frame, last, allowed):
    """Pairs `[P, 2]` of rows and columns that go on from before."""
    pairs, taken = [], set()
    for row, number in enumerate(last[frame.true]):
        (column,) = np.nonzero(frame.found == number)
        if column.size and number not in taken and allowed[row, column[0]]:
            taken.add(number)
            pairs.append((row, column[0]))
    return np.array(pairs, np.int64).reshape(-1, 2)


def _ratio(part, whole):
    part, whole = np.asarray(part), np.asarray(whole)
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)
