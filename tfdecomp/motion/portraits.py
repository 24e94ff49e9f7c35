"""Portraits: single animals cut from frames, head up, all of one size.

What tells individuals apart is finer than what a model needs to find them, so
portraits are taken from the frame itself.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from scipy import ndimage

from tfdecomp.motion.detections import stand_apart

SHAPE = 48, 32  # rows along the body, columns across
_SPAN = 1.5  # lengths of a typical object that the rows cover
_RIM = 0.1  # lengths around what moves that are shown, too
_LEAST = 8  # pixels of an animal whose direction can be told
_APART = 0.05  # lengths between boxes that do not meet
_WHOLE = 0.95  # share of a thing that one has to itself


@dataclasses.dataclass
class Album:
    """Portraits of a video's detections.

    Attributes:
        rows: `[T]` dicts from the number of a detection to that of its
            portrait.
        describe: `stretch [n] -> [n, D]` float features of portraits, of
            which it is known that those of a stretch show one animal, and
            those of stretches that share a frame different ones; -1 where
            nothing is known. None if they tell nobody apart.
        outcome: What came of it, filled by `motion.linking.link`: `meetings`
            that were decided on, those `changed` from what motion alone
            said, and those that both together are `unsure` of.
    """

    rows: list
    describe: Callable[[np.ndarray], np.ndarray | None]
    outcome: dict = dataclasses.field(default_factory=dict)

    def cleaned(self, origins):
        """The album of detections `origins[t]` of each frame."""
        rows = [
            {new: row[old] for new, old in enumerate(kept) if old in row}
            for row, kept in zip(self.rows, map(np.ndarray.tolist, origins))
        ]
        return dataclasses.replace(self, rows=rows)


@dataclasses.dataclass
class Portraitist:
    """Takes portraits of what stands alone in a frame.

    Args:
        background: `[h, w, 3]`, what is behind, at the size at which
            what moves is seen.
        length: Length of a typical object, in pixels of the frame.
        every: Takes those of each so many frames.
    """

    background: np.ndarray
    length: float
    every: int = 1

    def take(self, number, frame, owner, labels, boxes, slots):
        """Portraits of a frame's objects.

        Args:
            number: Of the frame.
            frame: `[H, W, 3]` uint8.
            owner: `[h, w]` slot that owns a pixel of what moves; 0: none.
            labels: `[h, w]` the thing that a pixel of what moves is of; 0:
                none. Those that touch are one thing.
            boxes: `[n, 4]` in pixels of the frame.
            slots: `[n]` theirs.

        Returns:
            `[m, *SHAPE, 3]` int8, half the difference from the background,
            `[m]` the numbers of their boxes, and `[m]` bool, whether no
            other box is near.
        """
        chosen, portraits = [], []
        if number % self.every == 0:
            alone = _alone(owner, labels)
            parts = ndimage.find_objects(labels)
            for index, slot in enumerate(np.asarray(slots).tolist()):
                if slot in alone:
                    thing = alone[slot]
                    part = parts[thing - 1]
                    portrait = self._one(frame, labels, thing, part)
                    if portrait is not None:
                        chosen.append(index)
                        portraits.append(portrait)
        shape = (len(chosen), *SHAPE, 3)
        chosen = np.array(chosen, np.int64)
        return (
            np.array(portraits, np.int8).reshape(shape),
            chosen,
            stand_apart(boxes, _APART * self.length)[chosen],
        )

    def _one(self, frame, labels, thing, part):
        unit = frame.shape[0] / labels.shape[0]
        reach = max(1, round(_RIM * self.length / unit))
        low = np.maximum([side.start - reach for side in part], 0)
        near = tuple(
            slice(start, side.stop + reach) for start, side in zip(low, part)
        )
        own = labels[near] == thing
        pixels = (np.argwhere(own) + low + 0.5) * unit
        if len(pixels) < _LEAST:
            return None
        middle, body = pixels.mean(0), _direction(pixels)
        across = np.array([-body[1], body[0]])
        step = _SPAN * self.length / SHAPE[0]
        rows, columns = (step * (np.arange(n) - (n - 1) / 2) for n in SHAPE)
        places = middle + rows[:, None, None] * body
        places = places + columns[None, :, None] * across
        difference = _sampled(frame, places, step)
        difference -= _sampled(self.background, places / unit, step / unit)
        # What is not near it, or is its neighbour's, is not in the picture.
        shown = ndimage.distance_transform_edt(~own) <= reach
        shown &= own | (labels[near] == 0)
        inside = places / unit - low - 0.5
        shown = ndimage.map_coordinates(
            shown.astype(np.float32), [inside[..., 0], inside[..., 1]], order=1
        )
        difference *= shown[..., None]
        return np.clip(np.rint(difference / 2), -127, 127)


def _alone(owner, labels):
    """`{slot: thing}` of slots that have a thing, and only it, for them."""
    seen = (owner > 0) & (labels > 0)
    slots, things = owner[seen].astype(np.int64), labels[seen]
    if not len(slots):
        return {}
    shape = slots.max() + 1, things.max() + 1
    joint = np.bincount(slots * shape[1] + things, minlength=np.prod(shape))
    table = joint.reshape(shape)
    most = table.argmax(1)
    own = table[np.arange(len(table)), most]
    alone = (own > 0) & (own >= _WHOLE * table.sum(1))
    alone &= own >= _WHOLE * table.sum(0)[most]
    return {slot: int(most[slot]) for slot in np.flatnonzero(alone).tolist()}


def _direction(pixels):
    """Unit vector along the body, from its thick end, mostly the head."""
    away = pixels - pixels.mean(0)
    body = np.linalg.eigh(away.T @ away)[1][:, 1]
    return body if ((away @ body) ** 3).sum() >= 0 else -body


def _sampled(picture, places, step):
    """`[*places, C]` means over `step` pixels, zero order at the border."""
    low = np.floor(places.min((0, 1)) - step - 2).astype(int)
    high = np.ceil(places.max((0, 1)) + step + 2).astype(int)
    size = np.array(picture.shape[:2])
    low, high = np.clip(low, 0, size - 1), np.clip(high, 1, size)
    part = picture[low[0] : high[0], low[1] : high[1]].astype(np.float32)
    if step > 1.5:
        part = ndimage.uniform_filter(part, (round(step), round(step), 0))
    inside = places - low - 0.5
    where = [inside[..., 0], inside[..., 1]]
    channels = [
        ndimage.map_coordinates(part[..., c], where, order=1, mode="nearest")
        for c in range(part.shape[-1])
    ]
    return np.stack(channels, -1)
