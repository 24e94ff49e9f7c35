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
    """
    matrix = pairwise_ari(np.asarray(ids)[members])
    return int(members[int(np.argmax(matrix.mean(1)))])
