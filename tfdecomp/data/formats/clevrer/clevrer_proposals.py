"""Masks of CLEVRER from the proposals that are released with it.

They are what a detector found, not renderings: per frame, a mask, a kind and a
score. An object takes the proposal of its own kind with the highest score.
"""

import collections
import itertools

import numpy as np

from tfdecomp.data.formats import rle
from tfdecomp.data.formats.clevrer import clevrer_annotations, clevrer_layout


class Proposals:
    """The proposals of one video.

    Args:
        path: The file.
        dataset: Name of the dataset, for messages.
        min_score: Those with a lower score are left out.

    Raises:
        AnnotationError: If the file or one of its fields is not as expected.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.formats.clevrer import clevrer_annotations
        >>> from tfdecomp.data.formats.clevrer.clevrer_proposals import (
        ...     Proposals,
        ... )
        >>> folder = builders.folder() / "clevrer" / "dummy_data"
        >>> found = Proposals(folder / "derender_proposals/sim_10000.json", "a")
        >>> none = clevrer_annotations.Annotation((), np.zeros([8, 0]), 0, 0, 0)
        >>> found.labels(none, slice(0, 5)).shape
        (5, 320, 480)
    """

    def __init__(self, path, dataset, min_score=0.5):
        self.path = path
        self.dataset = dataset
        tree = clevrer_annotations.load(path, dataset)
        self._frames = {}  # number to kind to entries, best first
        try:
            for frame in tree["frames"]:
                self._frames[frame["frame_index"]] = _by_kind(
                    frame["objects"], min_score
                )
        except (KeyError, TypeError) as bad:
            raise self._error("frames", "fields as below", repr(bad)) from bad

    def share_missing(self, annotation, frames):
        """Share of the objects in view, frame by frame, without a proposal.

        Args:
            annotation: The `Annotation` of the video.
            frames: Slice of the frames that count.
        """
        numbers = range(*frames.indices(len(annotation.in_view)))
        wanted = missing = 0
        for t in numbers:
            seen = [
                kind
                for kind, inside in zip(annotation.kinds, annotation.in_view[t])
                if inside
            ]
            found = self._frames.get(t, {})
            for kind, count in collections.Counter(seen).items():
                wanted += count
                missing += max(0, count - len(found.get(kind, ())))
        return missing / max(wanted, 1)

    def labels(self, annotation, frames):
        """Who is seen where.

        Where masks overlap, the one that reaches further down is nearer to
        the camera and wins, then that of the higher score.

        Args:
            annotation: The `Annotation` of the video.
            frames: Slice of the frames.

        Returns:
            `[T, 320, 480]` uint8: 0, or 1 + the object.
        """
        objects = collections.defaultdict(list)
        for n, kind in enumerate(annotation.kinds):
            objects[kind].append(n)
        numbers = range(*frames.indices(len(annotation.in_view)))
        labels = np.zeros((len(numbers), *clevrer_layout.SIZE), np.uint8)
        last = {}  # object to where it was seen last
        for label, t in zip(labels, numbers):
            layers = []
            found = self._frames.get(t, {})
            for kind, owners in objects.items():
                masks = [
                    (mask, score)
                    for place, (score, code) in enumerate(found.get(kind, ()))
                    if place < len(owners)
                    and (mask := self._mask(code, t)).any()
                ]
                centres = [_centre(mask) for mask, _ in masks]
                order = _assign(centres, owners, last)
                for n, centre, (mask, score) in zip(order, centres, masks):
                    last[n] = centre
                    lowest = np.flatnonzero(mask.any(1))[-1]
                    layers.append(((lowest, score), n, mask))
            for _, n, mask in sorted(layers, key=lambda layer: layer[0]):
                label[mask] = n + 1
        return labels

    def _mask(self, code, t):
        where = f"frames[{t}].objects.mask"
        size = list(clevrer_layout.SIZE)
        if not isinstance(code, dict) or code.get("size") != size:
            found = code.get("size") if isinstance(code, dict) else code
            raise self._error(f"{where}.size", size, found)
        try:
            return rle.decode(code["counts"], size)
        except (ValueError, KeyError, AttributeError) as bad:
            raise self._error(
                f"{where}.counts", "run lengths of COCO", bad
            ) from bad

    def _error(self, field, expected, found):
        return clevrer_layout.annotation_error(self, field, expected, found)


def _by_kind(entries, min_score):
    """Kind to `(score, mask)` of its proposals, the highest score first."""
    found = collections.defaultdict(list)
    for entry in entries:
        if entry["score"] >= min_score:
            kind = tuple(entry[name] for name in clevrer_annotations.VALUES)
            found[kind].append((entry["score"], entry["mask"]))
    for some in found.values():
        some.sort(key=lambda one: -one[0])
    return dict(found)


def _centre(mask):
    rows, columns = np.nonzero(mask)
    return np.array([rows.mean(), columns.mean()])


def _assign(centres, owners, last):
    """Which of the objects of one kind each mask is.

    Args:
        centres: Centres of the masks, as many as objects at most.
        owners: The objects.
        last: Object to where it was seen last.

    Returns:
        The objects, in the order of the masks, that have moved the least in
        sum.
    """

    def moved(order):
        return sum(
            np.hypot(*(centre - last[n]))
            for n, centre in zip(order, centres)
            if n in last
        )

    if len(owners) == 1:
        return owners[: len(centres)]
    return min(itertools.permutations(owners, len(centres)), key=moved)
