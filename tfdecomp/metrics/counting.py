"""How many objects a model finds.

Decided once, for every function here:

* A slot is in use where its presence is above a half. Slot 0 is the
  background and is not counted.
* Every frame counts, also one without objects: finding none there is right,
  as finding none where there are some is wrong by their number.
* Which objects were found plays no role: a missed one and an invented one
  make up for each other. See `tfdecomp.metrics.localization`.
"""

import numpy as np

USED = 0.5  # presence above which a slot is in use


def used_slots(presence) -> np.ndarray:
    """Which slots hold an object.

    Args:
        presence: `[B, T, K]` probabilities; slot 0 is the background.

    Returns:
        `[B, T, K - 1]` bool, without the background.

    Raises:
        ValueError: If the shape is another.

    Examples:
        >>> from tfdecomp.metrics.counting import used_slots
        >>> used_slots([[[1.0, 0.9, 0.2]]])
        array([[[ True, False]]])
    """
    presence = np.asarray(presence)
    if presence.ndim != 3 or presence.shape[2] < 1:
        raise ValueError(
            "presence must be [B, T, K] with the background in slot 0, got "
            f"{presence.shape}"
        )
    return presence[:, :, 1:] > USED


def count_difference(presence, true_counts) -> np.ndarray:
    """Number of objects found minus the true one, in each frame.

    Args:
        presence: `[B, T, K]` probabilities; slot 0 is the background.
        true_counts: `[B, T]` numbers of objects, or `[B]` if all frames of a
            clip have the same.

    Returns:
        `[B, T]` int64; positive where there are too many.

    Raises:
        ValueError: If the shapes do not belong together.

    Examples:
        >>> from tfdecomp.metrics.counting import count_difference
        >>> presence = [[[1.0, 0.9, 0.2]]]  # background and one object
        >>> count_difference(presence, true_counts=[2])
        array([[-1]])
    """
    found = used_slots(presence).sum(2, dtype=np.int64)
    true_counts = np.asarray(true_counts)
    if true_counts.shape not in (found.shape, found.shape[:1]):
        raise ValueError(
            f"true_counts must be [B, T] = {found.shape} or [B], got "
            f"{true_counts.shape}"
        )
    if true_counts.ndim == 1:
        true_counts = true_counts[:, None]
    return found - true_counts.astype(np.int64)


def count_accuracy(presence, true_counts) -> np.ndarray:
    """Share of frames whose number of objects is the true one.

    Args:
        presence: See `count_difference`.
        true_counts: See `count_difference`.

    Returns:
        `[B]` float64.

    Examples:
        >>> from tfdecomp.metrics.counting import count_accuracy
        >>> presence = [[[1.0, 0.9, 0.2], [1.0, 0.9, 0.8]]]  # one, then two
        >>> count_accuracy(presence, true_counts=[1])
        array([0.5])
    """
    return np.mean(count_difference(presence, true_counts) == 0, axis=1)


def count_error(presence, true_counts) -> np.ndarray:
    """Mean absolute error of the number of objects.

    Args:
        presence: See `count_difference`.
        true_counts: See `count_difference`.

    Returns:
        `[B]` float64.

    Examples:
        >>> from tfdecomp.metrics.counting import count_error
        >>> presence = [[[1.0, 0.9, 0.2], [1.0, 0.9, 0.8]]]  # one, then two
        >>> count_error(presence, true_counts=[3])
        array([1.5])
    """
    return np.mean(np.abs(count_difference(presence, true_counts)), axis=1)
