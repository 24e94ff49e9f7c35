"""How well predicted frames move: errors by horizon and velocity cosine."""

import numpy as np
from scipy.optimize import linear_sum_assignment

from tfdecomp.metrics import localization
from tfdecomp.metrics.segmentation import mse
from tfdecomp.metrics.tracks import label_boxes

_MIN_SPEED = 1e-4  # pixels; slower pairs have no direction to compare


def rollout_error(video, recon) -> np.ndarray:
    """Mean squared error of each predicted frame.

    Args:
        video: `[B, P, H, W, C]` true frames after the observed ones.
        recon: `[B, P, H, W, C]` predicted frames.

    Returns:
        `[B, P]` float64.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.dynamics import rollout_error
        >>> video = np.zeros([1, 2, 4, 4, 3])
        >>> rollout_error(video, video + 0.5)
        array([[0.25, 0.25]])
    """
    return mse(video, recon)


def box_centres(ids, num_ids) -> tuple[np.ndarray, np.ndarray]:
    """Centres of the tight boxes around each label.

    Args:
        ids: `[B, T, H, W]` integers; labels from `num_ids` on are left out.
        num_ids: Number of labels `N`.

    Returns:
        `(centres, present)`: `[B, T, N, 2]` float64 as `(y, x)` in pixels
        (pixel `(r, c)` alone has its centre at `(r + 0.5, c + 0.5)`; zeros
        where absent) and `[B, T, N]` bool.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.dynamics import box_centres
        >>> ids = np.array([[[[0, 1, 1, 1]]]])  # a row of four pixels
        >>> centres, present = box_centres(ids, num_ids=2)
        >>> centres[0, 0, 1]
        array([0.5, 2.5])
    """
    boxes, present = label_boxes(ids, num_ids)
    return localization.box_centres(boxes), present


def largest_slot(pred_ids, num_slots) -> np.ndarray:
    """The slot that owns most pixels of each clip; ties to the lower one.

    Args:
        pred_ids: `[B, T, H, W]` integers.
        num_slots: `K`.

    Returns:
        `[B]` int64.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.dynamics import largest_slot
        >>> largest_slot(np.array([[[[0, 1, 1, 1]]]]), num_slots=2)
        array([1])
    """
    flat = np.asarray(pred_ids).reshape(len(pred_ids), -1)
    areas = np.stack([np.sum(flat == k, 1) for k in range(num_slots)], 1)
    return areas.argmax(1)


def velocity_cosine(
    pred_ids,
    true_centres,
    true_present,
    num_slots,
    num_observed,
    background=None,
    shift=1,
) -> np.ndarray:
    """Cosine between predicted and true velocities in the predicted frames.

    A slot's place is the centre of the box around its pixels. Slots and
    objects are matched once per clip on the observed frames: one to one, by
    the smallest sum of squared centre distances, the background slot left
    out. A frame in which the slot is empty counts as far as the image's
    diagonal, so empty slots are matched last. Then `v_t = c_t - c_(t - shift)`
    for both, and the cosine of the two. A pair is skipped where a norm is
    below 1e-4, where the slot or the object is absent in one of the two
    frames, and where the object has no slot.

    Args:
        pred_ids: `[B, T, H, W]` integers, observed frames first.
        true_centres: `[B, T, L, 2]` as `(y, x)` in pixels.
        true_present: `[B, T, L]` bool.
        num_slots: `K`.
        num_observed: Number of observed frames, at least `shift`.
        background: `[B]` slot that is no object; by default the one that
            owns most pixels of the observed frames.
        shift: Frames between the two ends of a velocity.

    Returns:
        `[B, T - num_observed, L]` float64, NaN where a pair is skipped.

    Raises:
        ValueError: If `shift` reaches back before the first frame, or no
            frame is left to compare.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.dynamics import velocity_cosine
        >>> pred_ids = np.array([[[[1, 0, 0]], [[0, 1, 0]]]])  # goes right
        >>> centres = [[[[0.5, 0.5]], [[0.5, 1.5]]]]  # so does the object
        >>> velocity_cosine(pred_ids, centres, np.ones([1, 2, 1]), 2, 1)
        array([[[1.]]])
    """
    pred_ids = np.asarray(pred_ids)
    num_frames = pred_ids.shape[1]
    if not 1 <= shift <= num_observed < num_frames:
        raise ValueError(
            "expected 1 <= shift <= num_observed < number of frames, got "
            f"shift={shift}, num_observed={num_observed}, {num_frames} frames"
        )
    if background is None:
        background = largest_slot(pred_ids[:, :num_observed], num_slots)
    centres, present = places_of_objects(
        *box_centres(pred_ids, num_slots),
        true_centres,
        true_present,
        num_observed,
        background,
        pred_ids.shape[2:],
    )
    return place_cosine(
        centres, present, true_centres, true_present, num_observed, shift
    )


def places_of_objects(
    centres,
    present,
    true_centres,
    true_present,
    num_observed,
    background,
    image_size,
) -> tuple[np.ndarray, np.ndarray]:
    """Where the slots are that were matched with objects (`match_slots`).

    Args:
        centres: `[B, T, K, 2]`, observed frames first.
        present: `[B, T, K]` bool.
        true_centres: `[B, T, L, 2]`.
        true_present: `[B, T, L]` bool.
        num_observed: Frames that slots are matched on.
        background: `[B]` slot that is matched to nothing.
        image_size: `(H, W)`; an empty slot counts as far as the diagonal.

    Returns:
        `(places, found)`, `[B, T, L, 2]` and `[B, T, L]` bool.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.dynamics import places_of_objects
        >>> centres = np.array([[[[9.0, 9.0], [0.0, 0.0], [4.0, 4.0]]]])
        >>> true, there = np.array([[[[4.0, 5.0]]]]), np.ones([1, 1, 1], bool)
        >>> used = np.ones([1, 1, 3], bool)
        >>> places_of_objects(centres, used, true, there, 1, [0], (9, 9))[0]
        array([[[[4., 4.]]]])
    """
    slot_of = match_slots(
        centres[:, :num_observed],
        present[:, :num_observed],
        np.asarray(true_centres, np.float64)[:, :num_observed],
        np.asarray(true_present, bool)[:, :num_observed],
        background,
        far=float(np.sum(np.square(image_size))),
    )  # [B, L], -1 without a slot
    index = np.maximum(slot_of, 0)[:, None, :]
    found = np.take_along_axis(present, index, 2) & (slot_of >= 0)[:, None]
    return np.take_along_axis(centres, index[..., None], 2), found


def place_cosine(
    places, found, true_centres, true_present, num_observed, shift=1
) -> np.ndarray:
    """`velocity_cosine` of places of objects.

    Args:
        places: `[B, T, L, 2]`, observed frames first.
        found: `[B, T, L]` bool.
        true_centres: `[B, T, L, 2]`.
        true_present: `[B, T, L]` bool.
        num_observed: Number of observed frames, at least `shift`.
        shift: Frames between the two ends of a velocity.

    Returns:
        `[B, T - num_observed, L]` float64, NaN where a pair is skipped.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.dynamics import place_cosine
        >>> right, there = [[[[0.0, 0.0]], [[0.0, 2.0]]]], np.ones([1, 2, 1])
        >>> down = [[[[5.0, 5.0]], [[6.0, 5.0]]]]
        >>> place_cosine(np.array(right), there, np.array(down), there, 1)
        array([[[0.]]])
    """
    now = slice(num_observed, None)
    before = slice(num_observed - shift, -shift)
    usable = np.asarray(found, bool) & np.asarray(true_present, bool)
    usable = usable[:, now] & usable[:, before]
    first, second = (
        np.asarray(each, np.float64) for each in (places, true_centres)
    )
    first, second = (each[:, now] - each[:, before] for each in (first, second))
    return _cosine(first, second, usable)


def object_distance(places, found, true_centres, true_present) -> np.ndarray:
    """How far from an object its slot is, on average over frames.

    Args:
        places: `[B, T, L, 2]`.
        found: `[B, T, L]` bool.
        true_centres: `[B, T, L, 2]`.
        true_present: `[B, T, L]` bool; the other frames do not count.

    Returns:
        `[B, L]` in pixels; infinite where a slot is missing in a frame, NaN
        where there is no object.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.dynamics import object_distance
        >>> places, true = np.array([[[[0.0, 0.0]]]]), np.array([[[[3.0, 4]]]])
        >>> there = np.ones([1, 1, 1], bool)
        >>> object_distance(places, there, true, there)
        array([[5.]])
    """
    offsets = np.asarray(places, np.float64) - true_centres
    distance = np.where(found, np.linalg.norm(offsets, axis=-1), np.inf)
    there = np.asarray(true_present, bool)
    total, count = np.where(there, distance, 0.0).sum(1), there.sum(1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def match_slots(
    centres, present, true_centres, true_present, background, far
) -> np.ndarray:
    """One slot per object by the smallest summed squared centre distance.

    Args:
        centres: `[B, T, K, 2]`.
        present: `[B, T, K]` bool.
        true_centres: `[B, T, L, 2]`.
        true_present: `[B, T, L]` bool; absent frames cost nothing.
        background: `[B]` slot that is matched to nothing.
        far: Squared distance that stands for an empty slot.

    Returns:
        `[B, L]` int64, -1 where an object has no slot.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.dynamics import match_slots
        >>> centres = np.array([[[[9.0, 9.0], [0.0, 0.0], [4.0, 4.0]]]])
        >>> true, there = np.array([[[[4.0, 5.0]]]]), np.ones([1, 1, 1], bool)
        >>> used = np.ones([1, 1, 3], bool)
        >>> match_slots(centres, used, true, there, background=[0], far=99)
        array([[2]])
    """
    offsets = centres[:, :, :, None] - true_centres[:, :, None]
    squared = np.sum(np.square(offsets), -1)  # [B, T, K, L]
    squared = np.where(present[..., None], squared, far)
    cost = np.sum(squared * true_present[:, :, None], 1)  # [B, K, L]
    slot_of = np.full((len(cost), true_centres.shape[2]), -1, np.int64)
    for i, clip in enumerate(cost):
        slots = np.delete(np.arange(centres.shape[2]), background[i])
        # Padding objects are never there; they must not take a slot away.
        objects = np.flatnonzero(true_present[i].any(0))
        rows, columns = linear_sum_assignment(clip[np.ix_(slots, objects)])
        slot_of[i, objects[columns]] = slots[rows]
    return slot_of


def _cosine(first, second, usable):
    """Cosine of `[..., 2]` vectors, NaN where unusable or too short."""
    norms = np.linalg.norm(first, axis=-1), np.linalg.norm(second, axis=-1)
    usable = usable & (norms[0] >= _MIN_SPEED) & (norms[1] >= _MIN_SPEED)
    product = np.where(usable, norms[0] * norms[1], 1.0)
    return np.where(usable, np.sum(first * second, -1) / product, np.nan)
