"""Connected components of a clip and their tracks, in NumPy and SciPy."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage, sparse
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csgraph

MAX_DISTANCE = 30.0  # pixels that a centre may move between two frames

_APART = 10_000.0  # cost of pairs that cannot belong together
# Neighbours are above, below, left and right, in the same frame and colour.
_CROSS = np.zeros((3, 3, 3, 3), bool)
_CROSS[1, 1] = ndimage.generate_binary_structure(2, 1)


class Maps(NamedTuple):
    """What of a clip thresholds are compared with.

    Attributes:
        difference: `[T, H, W]` distance from the background, summed over the
            channels.
        similarity: `[T, Q, H, W]` cosine between a pixel and each of the `Q`
            colours; None where objects have no colours to tell them apart.
        codes: `[T, H, W]` int32, the same for pixels of the same colour; None
            unless only these belong together.
    """

    difference: np.ndarray
    similarity: np.ndarray | None
    codes: np.ndarray | None = None


class Components(NamedTuple):
    """Connected components, those of earlier frames first.

    Attributes:
        labels: `[T, Q, H, W]` int32, 1 + the component of each pixel, or 0.
        frames: `[N]`.
        colors: `[N]` which of the colours, or its code.
        sizes: `[N]` pixels.
        boxes: `[N, 4]` tight boxes, pixel edges.
        centres: `[N, 2]` means of their pixels' centres, `(y, x)`.
    """

    labels: np.ndarray
    frames: np.ndarray
    colors: np.ndarray
    sizes: np.ndarray
    boxes: np.ndarray
    centres: np.ndarray


class State(NamedTuple):
    """What the next frame is linked with; `K` object slots, 0 is no track.

    Attributes:
        ids: `[K]` int32 tracks of the last frame.
        colors: `[K]` int32.
        centres: `[K, 2]` float32.
        next_id: `[]` int32, the first id that was never given.
    """

    ids: np.ndarray
    colors: np.ndarray
    centres: np.ndarray
    next_id: np.ndarray


def nothing(num_slots) -> State:
    """The state before the first frame."""
    return State(
        np.zeros(num_slots, np.int32),
        np.zeros(num_slots, np.int32),
        np.zeros((num_slots, 2), np.float32),
        np.int32(1),
    )


def compare(video, background, colors, is_equal=False) -> Maps:
    """Compares pixels with the background and with colours.

    Args:
        video: `[T, H, W, C]` in `[0, 1]`.
        background: `[C]`.
        colors: `[Q, C]`, possibly none.
        is_equal: Compares pixels with each other in place of `colors`: up to
            three channels, of eight bits each.
    """
    difference = np.abs(video - np.asarray(background, video.dtype)).sum(-1)
    if is_equal:
        levels = np.round(255 * video).astype(np.int32)
        weights = 256 ** np.arange(video.shape[-1], dtype=np.int32)
        return Maps(difference, None, levels @ weights)
    if not len(colors):
        return Maps(difference, None)
    colors = np.asarray(colors, video.dtype)
    colors /= np.linalg.norm(colors, axis=1, keepdims=True)
    length = np.sqrt(np.square(video).sum(-1, keepdims=True))
    # A black pixel is like no colour.
    unit = video / np.where(length > 0, length, 1)
    return Maps(difference, np.moveaxis(unit @ colors.T, -1, 1))


def find(maps, mask_threshold, color_threshold, most=None) -> Components:
    """Connected components of what differs from the background.

    Args:
        maps: From `compare`.
        mask_threshold: Least difference from the background.
        color_threshold: Least similarity to a colour; each colour has
            components of its own.
        most: Components of a frame that are kept, the largest; by default
            all. Noise may have ten thousand of them.
    """
    lit = (maps.difference >= mask_threshold)[:, None]
    if maps.similarity is not None:
        lit = lit & (maps.similarity >= color_threshold)
    if maps.codes is None:
        labels, count = ndimage.label(lit, _CROSS)
    else:
        labels, count = _equal(lit[:, 0], maps.codes)
    if most is not None and count > most:
        labels, count = _largest(labels, count, most)
    edges = [
        (frame.start, color.start, y.start, x.start, y.stop, x.stop)
        for frame, color, y, x in ndimage.find_objects(labels)
    ]
    frames, colors, *box = np.array(edges, np.int32).reshape(-1, 6).T
    (places,) = np.nonzero(labels.ravel())
    number = labels.ravel()[places] - 1
    sizes = np.bincount(number, minlength=count)
    if maps.codes is not None:
        colors = np.zeros(count, np.int32)
        colors[number] = maps.codes.ravel()[places]
    height, width = labels.shape[2:]
    pixels = np.divmod(places % (height * width), width)
    centres = [np.bincount(number, p, count) / sizes + 0.5 for p in pixels]
    return Components(
        labels,
        frames,
        colors,
        sizes,
        np.stack(box, -1).astype(np.float32),
        np.stack(centres, -1),
    )


def _equal(lit, codes):
    """Components of the graph whose edges join equal neighbours.

    Args:
        lit: `[T, H, W]` pixels that are nodes.
        codes: `[T, H, W]`.

    Returns:
        `(labels [T, 1, H, W], count)`, as of `ndimage.label`.
    """
    nodes = np.arange(lit.size).reshape(lit.shape)
    edges = []
    for axis in (1, 2):
        one = [slice(None)] * 3
        other = [slice(None)] * 3
        one[axis], other[axis] = slice(None, -1), slice(1, None)
        one, other = tuple(one), tuple(other)
        joined = lit[one] & lit[other] & (codes[one] == codes[other])
        edges.append((nodes[one][joined], nodes[other][joined]))
    begin, end = (np.concatenate(part) for part in zip(*edges))
    graph = sparse.coo_array(
        (np.ones(len(begin), bool), (begin, end)), shape=(lit.size,) * 2
    )
    _, owner = csgraph.connected_components(graph, directed=False)
    labels = np.zeros(lit.size, np.int32)
    kept = lit.ravel()
    numbers, labels[kept] = np.unique(owner[kept], return_inverse=True)
    labels[kept] += 1
    return labels.reshape(len(lit), 1, *lit.shape[1:]), len(numbers)


def _largest(labels, count, most):
    """Labels without the smallest components of each frame.

    Of equal ones the first are kept, as `track` would keep them.
    """
    frames = np.zeros(count + 1, np.int64)
    for t, frame in enumerate(labels):
        frames[frame] = t
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    frames = frames[1:]
    order = np.lexsort((np.arange(count), -sizes, frames))
    first = np.searchsorted(frames[order], np.arange(len(labels)))
    rank = np.arange(count) - first[frames[order]]
    kept = np.zeros(count, bool)
    kept[order[rank < most]] = True
    table = np.zeros(count + 1, np.int32)
    table[1:][kept] = np.arange(1, kept.sum() + 1)
    return table[labels], int(kept.sum())


def track(
    found, num_frames, state, max_distance=MAX_DISTANCE
) -> tuple[np.ndarray, np.ndarray, State]:
    """Gives components tracks and slots, from frame to frame.

    Components of one colour that are at most so far apart are matched
    so that their centres move as little as possible in sum. The others begin
    a track, in the lowest free slots; where none is left, the smallest
    components have to go. A track that ends is never taken up again.

    Args:
        found: `Components`.
        num_frames: `T`.
        state: What the frame before the first one left.
        max_distance: Pixels that a centre may move; None for any number.

    Returns:
        `(ids, slots, state)`: `[N]` each, 0 and -1 for components that found
        no slot; slots are counted from 0.
    """
    num_slots = len(state.ids)
    ids = np.zeros(len(found.frames), np.int32)
    slots = np.full(len(found.frames), -1)
    for t in range(num_frames):
        (here,) = np.nonzero(found.frames == t)
        if len(here) > num_slots:
            by_size = np.argsort(-found.sizes[here], kind="stable")
            here = np.sort(here[by_size[:num_slots]])
        rows, columns = _match(found, here, state, max_distance)
        ids[here[rows]], slots[here[rows]] = state.ids[columns], columns
        new = here[ids[here] == 0]
        ids[new] = state.next_id + np.arange(len(new))
        slots[new] = np.setdiff1d(np.arange(num_slots), columns)[: len(new)]
        following = nothing(num_slots)
        following.ids[slots[here]] = ids[here]
        following.colors[slots[here]] = found.colors[here]
        following.centres[slots[here]] = found.centres[here]
        next_id = np.int32(state.next_id + len(new))
        state = following._replace(next_id=next_id)
    return ids, slots, state


def _match(found, here, state, max_distance):
    """Components of a frame, by place, and slots of the one before."""
    (before,) = np.nonzero(state.ids)
    steps = found.centres[here][:, None] - state.centres[before]
    cost = np.linalg.norm(steps, axis=-1)
    other = found.colors[here][:, None] != state.colors[before]
    if max_distance is not None:
        other = other | (cost > max_distance)
    cost = np.where(other, _APART, cost)
    rows, columns = linear_sum_assignment(cost)
    good = cost[rows, columns] < _APART
    return rows[good], before[columns[good]]


def owners(found, slots) -> np.ndarray:
    """Who owns each pixel.

    Args:
        found: `Components`.
        slots: `[N]` slot of each, from `track`.

    Returns:
        `[T, H, W]` int32, 1 + the slot, or 0; of components of several
        colours the last one's.
    """
    table = np.concatenate([[0], slots + 1]).astype(np.int32)
    numbers = table[found.labels]  # [T, Q, H, W]
    owner = numbers[:, 0]
    for color in range(1, numbers.shape[1]):
        owner = np.where(numbers[:, color] > 0, numbers[:, color], owner)
    return owner
