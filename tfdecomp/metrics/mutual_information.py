"""Mutual information of vectors from samples, by nearest neighbours.

    I(x; y) = psi(K) + psi(N) - mean_n [psi(n_x + 1) + psi(n_y + 1)]

where n_x counts the other samples nearer to sample n in x than its K-th
neighbour is in (x, y) together, all distances being the largest of any
coordinate. Decided once, for every function here:

* Values are in nats; multiply by `BITS` for bits. Small negative ones are
  noise and kept.
* Coordinates are taken as they are, on one scale.
* Noise of 1e-10 breaks ties, so that repeated values count as values.
* The estimate falls short where there are many coordinates and saturates near
  psi(N) - psi(K): numbers compare at equal N, K and sizes alone.

References:
    Kraskov, Stoegbauer and Grassberger, Estimating Mutual Information.
    Physical Review E, 2004; the first of its two estimators.
    Whitney and Fergus, Disentangling Video with Independent Prediction. 2019.
"""

import numpy as np
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist
from scipy.special import digamma

BITS = 1.0 / np.log(2.0)  # bits in a nat
NEIGHBOURS = 3
NUM_PARTITIONS = 20

_NOISE = 1e-10
_ROWS = 128  # samples whose distances are in memory at a time


def mutual_information(x, y, neighbours=NEIGHBOURS, seed=0) -> float:
    """The estimate for two vectors.

    Args:
        x: `[N, D]` samples, or `[N]`.
        y: `[N, E]` samples drawn together with those of `x`, or `[N]`.
        neighbours: `K`.
        seed: Of the noise that breaks ties.

    Returns:
        Nats.

    Raises:
        ValueError: If the shapes do not belong together, a value is not
            finite or there are too few samples.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.mutual_information import mutual_information
        >>> x, noise = np.random.default_rng(0).normal(size=[2, 2000])
        >>> round(mutual_information(x, x + noise), 1)  # log(2) / 2
        0.3
    """
    x, y = _columns(x), _columns(y)
    _check([x], [y], neighbours)
    x, y = _jitter([x, y], seed)
    joint = np.concatenate([x, y], axis=1)
    distances, _ = KDTree(joint).query(joint, [neighbours + 1], p=np.inf)
    radius = np.nextafter(distances[:, 0], 0.0)  # strictly nearer
    counts = [  # the sample itself among them: n + 1
        KDTree(v).query_ball_point(v, radius, p=np.inf, return_length=True)
        for v in (x, y)
    ]
    return float(_estimate(*counts, neighbours))


def pairwise(x, y, neighbours=NEIGHBOURS, seed=0) -> np.ndarray:
    """The estimate for every pair out of two lists of vectors.

    Each vector's distances serve all its pairs, so this is much faster than
    pair by pair; memory grows with `N (I + J)`, time with `N^2 I J`.

    Args:
        x: `I` arrays `[N, D_i]`, or one `[N, I, D]`.
        y: `J` arrays `[N, E_j]`, or one `[N, J, E]`.
        neighbours: `K`.
        seed: Of the noise that breaks ties.

    Returns:
        `[I, J]` float64, nats.

    Raises:
        ValueError: See `mutual_information`.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.mutual_information import pairwise
        >>> x, y = np.random.default_rng(0).normal(size=[2, 50, 3, 1])
        >>> pairwise(x, y[:, :2]).shape  # three vectors and two
        (3, 2)
    """
    x, y = _factors(x), _factors(y)
    _check(x, y, neighbours)
    noisy = _jitter([*x, *y], seed)
    x, y = noisy[: len(x)], noisy[len(x) :]
    samples = len(x[0])
    counts = np.zeros((2, len(x), len(y), samples), np.int64)
    for begin in range(0, samples, _ROWS):
        rows = slice(begin, begin + _ROWS)
        far_x = [cdist(v[rows], v, "chebyshev") for v in x]
        far_y = [cdist(v[rows], v, "chebyshev") for v in y]
        for i, in_x in enumerate(far_x):
            for j, in_y in enumerate(far_y):
                counts[:, i, j, rows] = _nearer(in_x, in_y, neighbours)
    return _estimate(*counts, neighbours)


def same_and_cross(matrix) -> tuple[float, float]:
    """Means over a matrix' diagonal and over all that is beside it.

    Args:
        matrix: `[k, k]`.

    Returns:
        `(same, cross)`; the latter is NaN for a single factor.

    Examples:
        >>> from tfdecomp.metrics.mutual_information import same_and_cross
        >>> same_and_cross([[3.0, 1.0], [0.0, 2.0]])
        (2.5, 0.5)
    """
    matrix = np.asarray(matrix)
    beside = matrix[~np.eye(len(matrix), dtype=bool)]
    cross = beside.mean() if beside.size else np.nan
    return float(matrix.diagonal().mean()), float(cross)


def factor_scores(before, after, neighbours=NEIGHBOURS, seed=0) -> dict:
    """How much factors say of themselves, and of others, a frame later.

    Args:
        before: `[N, k, d]` factors at a time.
        after: `[N, k, d]` the same ones a frame later.
        neighbours: `K`.
        seed: Of the noise that breaks ties.

    Returns:
        `matrix` `[k, k]`, `[i, j]` being I(after_i; before_j), and its means
        `same` (on the diagonal) and `cross` (all ordered pairs beside it), in
        nats.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.mutual_information import factor_scores
        >>> factors = np.random.default_rng(0).normal(size=[50, 2, 1])
        >>> scores = factor_scores(factors, factors)
        >>> scores["matrix"].shape, scores["same"] > scores["cross"]
        ((2, 2), True)
    """
    matrix = pairwise(after, before, neighbours, seed)
    same, cross = same_and_cross(matrix)
    return {"matrix": matrix, "same": same, "cross": cross}


def partition_scores(
    before,
    after,
    num_groups,
    num_partitions=NUM_PARTITIONS,
    neighbours=NEIGHBOURS,
    seed=0,
) -> dict:
    """`factor_scores` of a model without factors: groups of its latents.

    Random permutations of the latents, the same before and after, are cut
    into groups of one size. Of those with both scores above zero (or of all,
    if none has them) the one with the largest difference of the two counts,
    in favour of the model.

    Args:
        before: `[N, Z]`.
        after: `[N, Z]`.
        num_groups: `k`, which divides `Z`.
        num_partitions: Permutations to try.
        neighbours: `K`.
        seed: Of the permutations and of the noise.

    Returns:
        As `factor_scores`, with `order` `[Z]`, the permutation.

    Raises:
        ValueError: If `num_groups` does not divide `Z`.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.mutual_information import partition_scores
        >>> latents = np.random.default_rng(0).normal(size=[50, 4])
        >>> scores = partition_scores(latents, latents, num_groups=2)
        >>> scores["matrix"].shape, scores["order"].shape
        ((2, 2), (4,))
    """
    before, after = np.asarray(before), np.asarray(after)
    size = before.shape[-1]
    if num_groups < 1 or size % num_groups:
        raise ValueError(
            f"{size} latents do not make {num_groups} groups of one size"
        )
    rng = np.random.default_rng(seed)
    shape = (-1, num_groups, size // num_groups)
    found = []
    for _ in range(num_partitions):
        order = rng.permutation(size)
        scores = factor_scores(
            before[:, order].reshape(shape),
            after[:, order].reshape(shape),
            neighbours,
            seed,
        )
        found.append({**scores, "order": order})
        if num_groups in (1, size):  # all partitions are the same one
            break
    good = [s for s in found if s["same"] > 0 and s["cross"] > 0]
    return max(good or found, key=lambda s: s["same"] - s["cross"])


def _nearer(in_x, in_y, neighbours):
    """Counts of a block of rows, the sample itself among them: `[2, rows]`."""
    joint = np.maximum(in_x, in_y)
    joint.partition(neighbours, axis=1)  # the sample itself comes first
    radius = np.nextafter(joint[:, neighbours], 0.0)[:, None]
    return np.sum(in_x <= radius, 1), np.sum(in_y <= radius, 1)


def _estimate(count_x, count_y, neighbours):
    """From counts `[..., N]` to nats `[...]`."""
    mean = np.mean(digamma(count_x) + digamma(count_y), axis=-1)
    return digamma(neighbours) + digamma(np.shape(count_x)[-1]) - mean


def _jitter(values, seed):
    """Float64 with the noise that breaks ties."""
    rng = np.random.default_rng(seed)
    return [v + _NOISE * rng.standard_normal(v.shape) for v in values]


def _columns(values):
    values = np.asarray(values, np.float64)
    return values[:, None] if values.ndim == 1 else values


def _factors(values):
    if isinstance(values, np.ndarray) and values.ndim == 3:
        values = values.swapaxes(0, 1)
    return [_columns(v) for v in values]


def _check(x, y, neighbours):
    shapes = [v.shape for v in (*x, *y)]
    lengths = {shape[0] for shape in shapes}
    if len(lengths) != 1 or any(len(shape) != 2 for shape in shapes):
        raise ValueError(
            f"expected [N, D] arrays of one number of samples, got {shapes}"
        )
    (samples,) = lengths
    if not 1 <= neighbours < samples:
        raise ValueError(
            f"{neighbours} neighbours need more than {neighbours} samples and "
            f"at least one neighbour; there are {samples} samples"
        )
    if not all(np.isfinite(v).all() for v in (*x, *y)):
        raise ValueError("the samples hold values that are not finite")
