"""Groups of segmentations that are equal up to relabelling."""

import numpy as np
from scipy.sparse import csgraph

from tfdecomp.metrics import rand_index


def pairwise_ari(ids) -> np.ndarray:
    """ARI of every pair of segmentations, all pixels counted.

    Args:
        ids: `[N, H, W]` integers from 0.

    Returns:
        `[N, N]` float64, symmetric, ones on the diagonal.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.partitions import pairwise_ari
        >>> ids = np.array([[[0, 0, 1, 1]], [[1, 1, 0, 0]], [[0, 1, 0, 1]]])
        >>> pairwise_ari(ids)[0]  # the first two differ by labels alone
        array([ 1. ,  1. , -0.5])
    """
    ids = np.asarray(ids)
    count, labels = len(ids), np.arange(ids.max() + 1)
    owned = ids.reshape(count, 1, -1) == labels[:, None]  # [N, K, P]
    owned = owned.astype(np.float32)
    matrix = np.ones((count, count))
    for n in range(count):  # one row at a time bounds the memory
        table = np.rint(owned[n] @ owned.transpose(0, 2, 1))
        matrix[n] = rand_index.ari_of_table(table.astype(np.int64))
    return matrix


def group(ids, threshold=0.95) -> np.ndarray:
    """Connected components of "ARI at least the threshold".

    Args:
        ids: `[N, H, W]` integers from 0.
        threshold: Of the ARI.

    Returns:
        `[N]` number of each one's group; group 0 is the largest, and groups
        of one size are in the order of their first members.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.partitions import group
        >>> ids = np.array([[[0, 1, 0, 1]], [[0, 0, 1, 1]], [[1, 1, 0, 0]]])
        >>> group(ids)
        array([1, 0, 0])
    """
    close = pairwise_ari(ids) >= threshold
    _, labels = csgraph.connected_components(close, directed=False)
    _, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    order = np.lexsort([first, -sizes])
    return np.argsort(order)[labels]


def representative(ids, members) -> int:
    """The member with the highest mean ARI to the others.

    Args:
        ids: `[N, H, W]`.
        members: Numbers of the group's members.

    Returns:
        One of `members`.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.partitions import representative
        >>> ids = np.array([[[0, 1, 0, 1]], [[0, 0, 1, 1]], [[1, 1, 0, 0]]])
        >>> representative(ids, members=[0, 1, 2])
        1
    """
    matrix = pairwise_ari(np.asarray(ids)[members])
    return int(members[int(np.argmax(matrix.mean(1)))])
