"""Which objects move when one factor of a model moves.

A video in which a factor moves by itself shows objects where they have never
been: a digit that goes down but not sideways leaves its true masks. So change
is told apart by colour, not by place: the true masks say what colour each
object has, and every pixel's change is split into those colours. Where each
object is on a colour plane of its own this is the change on its plane.

Decided once, for every function here:

* The share of an object is that of the squared change, which the colours
  that no object has take no part in.
* A clip in which a factor changes nothing has shares of NaN and counts in no
  mean.
* One object to each factor, and one only: the best such assignment for all
  clips together. A factor that moves all `L` objects alike scores `1 / L`.

References:
    Whitney and Fergus, Disentangling Video with Independent Prediction. 2019.
    Figure 3 shows what is measured here.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

_NOTHING = 1e-12  # squared change of a clip that is none
_ALIKE = 0.05  # smallest singular value of colours that can be told apart


def object_colors(video, ids, num_objects) -> np.ndarray:
    """Directions of the objects' colours.

    Args:
        video: `[B, T, H, W, C]` true frames on black, uint8 or floating point.
        ids: `[B, T, H, W]` true labels; object `l` has the label `l + 1`.
            Only pixels that one object has for itself count.
        num_objects: `L`.

    Returns:
        `[B, L, C]` of length one.

    Raises:
        ValueError: If an object is never seen, or its colour is a mixture of
            the others'.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.factor_motion import object_colors
        >>> video = np.array([[[[[5, 0, 0], [0, 9, 0]]]]])  # one red, one green
        >>> object_colors(video, np.array([[[[1, 2]]]]), num_objects=2).tolist()
        [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
    """
    video = np.asarray(video, np.float64)
    ids = np.asarray(ids)
    colors = np.zeros((len(video), num_objects, video.shape[-1]))
    for label in range(num_objects):
        owned = (ids == label + 1)[..., None]
        colors[:, label] = np.sum(video * owned, axis=(1, 2, 3))
    length = np.linalg.norm(colors, axis=-1, keepdims=True)
    if not np.all(length > 0):
        clip, label, _ = np.argwhere(~(length > 0))[0]
        raise ValueError(
            f"object {label + 1} of clip {clip} is never seen by itself, or "
            "is black; take clips in which each object shows"
        )
    colors /= length
    least = np.linalg.svd(colors, compute_uv=False).min(-1)
    if num_objects > video.shape[-1] or least.min() < _ALIKE:
        raise ValueError(
            f"{num_objects} objects cannot be told apart by colour in frames "
            f"of {video.shape[-1]} channels; take a set whose objects have "
            "colours of their own, such as moving_digits"
        )
    return colors


def unmix(pictures, colors) -> np.ndarray:
    """How much of each object's colour is in each pixel.

    Args:
        pictures: `[B, ..., C]`.
        colors: `[B, L, C]` from `object_colors`.

    Returns:
        `[B, ..., L]`, the nearest mixture of the colours.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.factor_motion import unmix
        >>> colors = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
        >>> unmix([[[5.0, 9.0, 0.0]]], colors).round(6)
        array([[[5., 9.]]])
    """
    pictures = np.asarray(pictures, np.float64)
    flat = pictures.reshape(len(pictures), -1, pictures.shape[-1])
    mixed = flat @ np.linalg.pinv(colors)
    return mixed.reshape(*pictures.shape[:-1], colors.shape[1])


def object_changes(still, varied, colors) -> np.ndarray:
    """Squared change on each object's colour.

    Args:
        still: `[B, H, W, C]`, the frame that is varied.
        varied: `[B, T, H, W, C]`, versions of it.
        colors: `[B, L, C]`.

    Returns:
        `[B, L]`, summed over frames and pixels.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.factor_motion import object_changes
        >>> colors = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
        >>> still = np.zeros([1, 1, 1, 3])
        >>> varied = still[:, None] + [3.0, 0.0, 0.0]
        >>> object_changes(still, varied, colors).round(6)
        array([[9., 0.]])
    """
    change = unmix(np.asarray(varied) - np.asarray(still)[:, None], colors)
    return np.square(change).sum((1, 2, 3))


def shares(changes) -> np.ndarray:
    """Parts of the whole over the last axis, NaN where there is no change.

    Examples:
        >>> from tfdecomp.metrics.factor_motion import shares
        >>> shares([3.0, 1.0])
        array([0.75, 0.25])
    """
    total = np.sum(changes, axis=-1, keepdims=True)
    safe = np.where(total > _NOTHING, total, np.nan)
    return np.asarray(changes) / safe


def assign(mean_shares) -> tuple[np.ndarray, float]:
    """The best one-to-one assignment of factors to objects.

    Args:
        mean_shares: `[k, L]`, from `mean_over_clips`.

    Returns:
        `([k] object of each factor, -1 for none, score)`, the score being the
        mean share of the pairs.

    Examples:
        >>> from tfdecomp.metrics.factor_motion import assign
        >>> chosen, score = assign([[0.25, 0.75], [0.75, 0.25]])
        >>> chosen, score
        (array([1, 0]), 0.75)
    """
    mean_shares = np.asarray(mean_shares)
    rows, columns = linear_sum_assignment(-mean_shares)
    chosen = np.full(len(mean_shares), -1)
    chosen[rows] = columns
    return chosen, float(mean_shares[rows, columns].mean())


def mean_over_clips(values) -> np.ndarray:
    """Means of those that are known, `[B, ...] -> [...]`; 0 if none is.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.factor_motion import mean_over_clips
        >>> mean_over_clips([[1.0], [np.nan], [3.0]])
        array([2.])
    """
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(0)
    return total / np.maximum(known.sum(0), 1)


def dominant(clip_shares) -> float:
    """Share of the object that changes most, meaned over clips and factors.

    Args:
        clip_shares: `[B, k, L]`. A factor that never changes anything counts
            as 0.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.factor_motion import dominant
        >>> dominant([[[0.75, 0.25], [0.5, 0.5]]])
        0.625
    """
    return float(mean_over_clips(np.max(clip_shares, axis=-1)).mean())


def centres(pictures, colors) -> np.ndarray:
    """Centre of what is seen in each object's colour.

    Args:
        pictures: `[B, T, H, W, C]`.
        colors: `[B, L, C]`.

    Returns:
        `[B, T, L, 2]` as `(y, x)` in pixels, weighted by squared brightness,
        so that the rests of a blurred picture count little.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.factor_motion import centres
        >>> pictures = np.zeros([1, 1, 1, 4, 3])
        >>> pictures[0, 0, 0, 2] = [1.0, 0.0, 0.0]  # a red pixel
        >>> centres(pictures, np.array([[[1.0, 0.0, 0.0]]]))
        array([[[[0.5, 2.5]]]])
    """
    weight = np.square(np.maximum(unmix(pictures, colors), 0.0))
    total = np.maximum(weight.sum((2, 3)), _NOTHING)
    found = []
    for axis in (2, 3):
        line = weight.sum(5 - axis)  # [B, T, H or W, L]
        places = np.arange(line.shape[2])[:, None] + 0.5
        found.append((line * places).sum(2) / total)
    return np.stack(found, -1)


def follows(moves, whole) -> np.ndarray:
    """How far objects go along with one factor, of the way they go in all.

    The slope of a line through 0: 1 for a factor that moves an object as far
    as all factors together do, 0 for one that leaves it where it is.

    Args:
        moves: `[N, k, L, 2]` ways of the objects' centres from where they
            stood, one factor moving.
        whole: `[N, L, 2]` the same with all factors.

    Returns:
        `[k, L, 2]` for `(y, x)`.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.factor_motion import follows
        >>> moves = np.array([[[[1.0, 0.0]]]])  # down, by half of the whole way
        >>> follows(moves, whole=np.array([[[2.0, 4.0]]]))
        array([[[0.5, 0. ]]])
    """
    squares = np.maximum(np.square(whole).sum(0), _NOTHING)
    return np.einsum("nkla,nla->kla", moves, whole) / squares
