"""Adjusted Rand index (ARI) between two ways of grouping pixels.

With `n_ij` the number of pixels of true label `i` and predicted label `j`,
`a_j` and `b_i` its marginals and `n` the number of counted pixels,

    ARI = (S - E) / ((A + B) / 2 - E),    E = A B / (n (n - 1)),
    S = sum n_ij (n_ij - 1),  A = sum a_j (a_j - 1),  B = sum b_i (b_i - 1).

Decided once, for every function here:

* Pixels of true label 255 (ignore) are not counted.
* F-ARI (`foreground_only=True`) counts only pixels whose true label is not 0.
* 0/0 is 1. It arises when nothing is counted, when both partitions are a
  single cluster (one object and one slot), or when no two pixels share a
  cluster in either; the partitions are equal in all three cases.
* Predicted labels are the arg max over slots; a tie goes to the lower slot.

References:
    Hubert and Arabie, Comparing partitions, Journal of Classification 1985.
"""

import numpy as np

from tfdecomp.types import BACKGROUND_ID, IGNORE_ID


def hard_ids(masks) -> np.ndarray:
    """The slot that owns each pixel; ties go to the lower slot.

    Args:
        masks: `[..., K, H, W, 1]`.

    Returns:
        `[..., H, W]` int32.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.rand_index import hard_ids
        >>> masks = np.array([[0.4, 0.5], [0.6, 0.5]])  # two slots, two pixels
        >>> hard_ids(masks[:, None, :, None])  # a tie goes to the lower slot
        array([[1, 0]], dtype=int32)
    """
    masks = np.asarray(masks)
    return np.argmax(masks[..., 0], axis=-3).astype(np.int32)


def contingency(true_ids, pred_ids, num_true=None, num_pred=None) -> np.ndarray:
    """Counts the pixels of every pair of true and predicted label, per frame.

    Args:
        true_ids: `[B, T, H, W]` or `[B, T, H, W, 1]` integers; 255 is left
            out.
        pred_ids: `[B, T, H, W]` integers from 0.
        num_true: Number of true labels, background included; by default the
            largest label that occurs plus one.
        num_pred: Number of predicted labels, likewise.

    Returns:
        `[B, T, num_true, num_pred]` int64.

    Raises:
        ValueError: If shapes differ, labels are no integers, or a label lies
            outside its range.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.rand_index import contingency
        >>> true, pred = np.array([[[[0, 1, 1]]]]), np.array([[[[0, 1, 0]]]])
        >>> contingency(true, pred).tolist()
        [[[[1, 0], [1, 1]]]]
    """
    true_ids, pred_ids = _check_ids(true_ids, pred_ids)
    ignored = true_ids == IGNORE_ID
    num_true = _count("true_ids", true_ids, ignored, num_true)
    num_pred = _count("pred_ids", pred_ids, None, num_pred)
    frames = true_ids.shape[0] * true_ids.shape[1]
    # One row more than there are labels takes the ignored pixels.
    index = np.where(ignored, num_true, true_ids).astype(np.int64)
    index *= num_pred
    index += pred_ids
    index = index.reshape(frames, -1)
    cells = (num_true + 1) * num_pred
    index += np.arange(frames, dtype=np.int64)[:, None] * cells
    table = np.bincount(index.ravel(), minlength=frames * cells)
    table = table.reshape(*true_ids.shape[:2], num_true + 1, num_pred)
    return table[:, :, :num_true]


def ari_of_table(table, foreground_only=False) -> np.ndarray:
    """ARI of contingency tables.

    Args:
        table: `[..., I, J]` counts; row 0 is the background.
        foreground_only: Whether to leave row 0 out.

    Returns:
        `[...]` float64.

    Examples:
        >>> from tfdecomp.metrics.rand_index import ari_of_table
        >>> ari_of_table([[2, 0], [0, 2]]), ari_of_table([[1, 1], [1, 1]])
        (array(1.), array(-0.5))
    """
    table = np.asarray(table, np.int64)
    if foreground_only:
        table = table[..., BACKGROUND_ID + 1 :, :]

    def pairs(counts, axis):
        return np.sum(counts * (counts - 1), axis=axis)

    total = table.sum((-2, -1))
    all_pairs = total * (total - 1)
    same = pairs(table, (-2, -1))
    pred = pairs(table.sum(-2), -1)
    true = pairs(table.sum(-1), -1)
    # Integers decide the 0/0 case exactly; products of pair counts would
    # overflow them for long clips, so the quotient is taken in floats.
    equal = (pred == true) & ((pred == 0) | (pred == all_pairs))
    expected = pred / np.maximum(all_pairs, 1) * true
    denominator = np.where(equal, 1.0, 0.5 * (pred + true) - expected)
    return np.where(equal, 1.0, (same - expected) / denominator)


def adjusted_rand_index(
    true_ids,
    pred_ids,
    num_true=None,
    num_pred=None,
    foreground_only=False,
    per_frame=True,
) -> np.ndarray:
    """ARI or F-ARI of clips.

    Args:
        true_ids: `[B, T, H, W]` or `[B, T, H, W, 1]` integers; 0 is the
            background, 255 is not counted.
        pred_ids: `[B, T, H, W]` integers from 0.
        num_true: See `contingency`.
        num_pred: See `contingency`.
        foreground_only: Whether to count foreground pixels alone (F-ARI).
        per_frame: Whether each frame is scored by itself. Otherwise all
            pixels of a clip are one partition, so that a slot that changes
            its object costs.

    Returns:
        `[B, T]` float64 per frame, `[B]` per clip.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.rand_index import adjusted_rand_index
        >>> true = np.array([0, 0, 1, 2]).reshape(1, 1, 2, 2)
        >>> pred = np.array([3, 1, 0, 2]).reshape(1, 1, 2, 2)
        >>> adjusted_rand_index(true, pred, foreground_only=True)
        array([[1.]])
    """
    table = contingency(true_ids, pred_ids, num_true, num_pred)
    if not per_frame:
        table = table.sum(1)
    return ari_of_table(table, foreground_only)


def rand_scores(true_ids, pred_ids, num_true=None, num_pred=None) -> dict:
    """All four scores of clips from a single count.

    Args:
        true_ids: `[B, T, H, W]` or `[B, T, H, W, 1]` integers.
        pred_ids: `[B, T, H, W]` integers.
        num_true: See `contingency`.
        num_pred: See `contingency`.

    Returns:
        `ari`, `f_ari`: `[B]`, per frame, then the mean over frames;
        `ari_clip`, `f_ari_clip`: `[B]`, a clip's pixels as one partition.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.rand_index import rand_scores
        >>> true = np.array([0, 0, 1, 2]).reshape(1, 1, 2, 2)
        >>> pred = np.array([3, 1, 0, 2]).reshape(1, 1, 2, 2)
        >>> scores = rand_scores(true, pred)
        >>> scores["ari"], scores["f_ari"]
        (array([0.]), array([1.]))
    """
    table = contingency(true_ids, pred_ids, num_true, num_pred)
    return scores_of_table(table)


def scores_of_table(table) -> dict:
    """As `rand_scores`, from `[B, T, I, J]` counts.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.rand_index import scores_of_table
        >>> table = np.array([[[[0, 0], [2, 0], [0, 2]]]])  # no background
        >>> scores_of_table(table)["f_ari_clip"]
        array([1.])
    """
    whole = table.sum(1)
    return {
        "ari": ari_of_table(table).mean(1),
        "f_ari": ari_of_table(table, foreground_only=True).mean(1),
        "ari_clip": ari_of_table(whole),
        "f_ari_clip": ari_of_table(whole, foreground_only=True),
    }


def _check_ids(true_ids, pred_ids):
    """Brings both to `[B, T, H, W]` integers, or says what is wrong."""
    true_ids, pred_ids = np.asarray(true_ids), np.asarray(pred_ids)
    if true_ids.ndim == 5 and true_ids.shape[-1] == 1:
        true_ids = true_ids[..., 0]
    if true_ids.ndim != 4 or true_ids.shape != pred_ids.shape:
        raise ValueError(
            "true_ids and pred_ids must both be [B, T, H, W], got "
            f"{true_ids.shape} and {pred_ids.shape}"
        )
    if 0 in true_ids.shape[1:]:
        raise ValueError(
            "clips need at least one frame with at least one pixel, got "
            f"true_ids of shape {true_ids.shape}"
        )
    for name, ids in (("true_ids", true_ids), ("pred_ids", pred_ids)):
        if not np.issubdtype(ids.dtype, np.integer):
            raise ValueError(
                f"{name} must be integers, got {ids.dtype}; take the arg max "
                "over slots first (hard_ids)"
            )
    return true_ids, pred_ids


def _count(name, ids, ignored, count):
    """The number of labels, checked against what occurs."""
    if ids.size == 0:
        return count or 1
    kept = ids if ignored is None else np.where(ignored, 0, ids)
    lowest, highest = int(kept.min()), int(kept.max())
    if lowest < 0 or (count is not None and highest >= count):
        upper = "" if count is None else f" below {count}"
        raise ValueError(
            f"{name} must be at least 0{upper}, got labels from {lowest} to "
            f"{highest}"
        )
    return highest + 1 if count is None else count
