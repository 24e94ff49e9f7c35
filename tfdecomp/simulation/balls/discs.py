"""Draws discs on many frames at once.

Every disc is computed on a patch just large enough for it and written into
the frames; the cost grows with the area of the discs, not with the frames'.
Pixel `(r, c)` has its centre at `(r + 0.5, c + 0.5)`.
"""

import dataclasses

import numpy as np

CHUNK = 1024  # frames drawn at once; keeps the buffers small


@dataclasses.dataclass
class Drawing:
    """Discs on `M` frames.

    Args:
        owner: `[M, H, W]` uint8, 0 or 1 + the disc that is seen.
        own_pixels: `[M, K]` pixels of each disc alone.
        visible_pixels: `[M, K]` pixels of each disc that are seen.
        boxes: `[M, K, 4]` float32 tight boxes of each disc alone, pixel edges.
        picture: `[M, H, W, C]` uint8, only of an antialiased drawing.
    """

    owner: np.ndarray
    own_pixels: np.ndarray
    visible_pixels: np.ndarray
    boxes: np.ndarray
    picture: np.ndarray | None = None


def draw(centre, radius, size, *, colours=None):
    """Draws discs.

    With hard edges a pixel belongs to a disc if its centre lies inside; where
    discs overlap, to the one it lies deepest in. With soft edges later discs
    cover earlier ones.

    Args:
        centre: `[M, K, 2]` `(y, x)` in pixels.
        radius: `[M, K]` in pixels; nothing is drawn where it is 0.
        size: `(H, W)`.
        colours: `[M, K, C]` uint8. If given, edges are soft and the `picture`
            is part of the result.

    Returns:
        A `Drawing`.
    """
    centre = np.round(centre, 9)
    parts = []
    for begin in range(0, len(centre), CHUNK):
        part = slice(begin, begin + CHUNK)
        canvas = _Canvas(centre[part], radius[part], size)
        if colours is None:
            parts.append(canvas.hard())
        else:
            parts.append(canvas.soft(colours[part]))
    values = []
    for field in dataclasses.fields(Drawing):
        arrays = [getattr(part, field.name) for part in parts]
        values.append(None if arrays[0] is None else np.concatenate(arrays))
    return Drawing(*values)


def paint(owner, colours):
    """Gives every pixel the colour of its owner, and black to the rest.

    Args:
        owner: `[M, H, W]` uint8.
        colours: `[M, K, C]` uint8.

    Returns:
        `[M, H, W, C]` uint8.
    """
    frames, height, width = owner.shape
    channels = colours.shape[-1]
    picture = np.zeros((owner.size, channels), np.uint8)
    pixel = np.flatnonzero(owner)  # most pixels are black
    frame = pixel // (height * width)
    picture[pixel] = colours[frame, owner.reshape(-1)[pixel] - 1]
    return picture.reshape(frames, height, width, channels)


class _Canvas:
    """Some frames that discs are drawn on, one disc after the other."""

    def __init__(self, centre, radius, size):
        self.centre, self.radius = centre, radius
        self.height, self.width = size
        self.frames, self.slots = radius.shape
        self.patch = int(np.ceil(2 * radius.max(initial=0))) + 3
        shape = (self.frames, self.height, self.width)
        self.owner = np.zeros(shape, np.uint8)
        self.own = np.zeros((self.frames, self.slots), np.int64)
        self.lost = np.zeros((self.frames, self.slots + 1), np.int64)
        self.boxes = np.zeros((self.frames, self.slots, 4), np.float32)

    def hard(self):
        depth = np.zeros(self.owner.shape, np.float32).reshape(-1)
        owner = self.owner.reshape(-1)
        for slot in range(self.slots):
            distance2, origin = self._distance2(slot)
            r = self.radius[:, slot].astype(np.float32)
            inside = distance2 < (r * r)[:, None, None]
            self._measure(slot, inside, origin)
            frame, pixel = self._pixels(inside, origin)
            signed = np.sqrt(distance2[inside]) - r[frame]
            previous = owner[pixel]
            wins = signed < depth[pixel]
            taken = previous > 0
            np.add.at(self.lost, (frame[taken & ~wins], slot + 1), 1)
            beaten = taken & wins
            np.add.at(self.lost, (frame[beaten], previous[beaten]), 1)
            owner[pixel[wins]] = slot + 1
            depth[pixel[wins]] = signed[wins]
        return self._drawing()

    def soft(self, colours):
        channels = colours.shape[-1]
        shape = (*self.owner.shape, channels)
        picture = np.zeros(shape, np.float32).reshape(-1, channels)
        owner = self.owner.reshape(-1)
        for slot in range(self.slots):
            distance2, origin = self._distance2(slot)
            r = self.radius[:, slot].astype(np.float32)
            reach = np.where(r > 0, r + np.float32(0.5), 0)
            near = distance2 < (reach * reach)[:, None, None]
            frame, pixel = self._pixels(near, origin)
            signed = np.sqrt(distance2[near]) - r[frame]
            alpha = np.clip(np.float32(0.5) - signed, 0, 1)[:, None]
            tone = colours[:, slot].astype(np.float32)[frame]
            picture[pixel] += alpha * (tone - picture[pixel])
            inside = near.copy()
            inside[near] = signed <= 0
            self._measure(slot, inside, origin)
            covered = signed <= 0
            frame, pixel = frame[covered], pixel[covered]
            previous = owner[pixel]
            np.add.at(self.lost, (frame, previous), previous > 0)
            owner[pixel] = slot + 1
        pixels = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
        return self._drawing(pixels.reshape(shape))

    def _distance2(self, slot):
        """Squared distances `[M, P, P]` of a patch around a disc.

        Pixels outside the frame are infinitely far away.

        Returns:
            `(distances, origin)`, the latter `[M, 2]`, the patch's corner.
        """
        centre = self.centre[:, slot]
        origin = np.floor(centre - self.radius[:, slot, None]).astype(int) - 1
        steps = np.arange(self.patch)
        squares = []
        for axis, limit in ((0, self.height), (1, self.width)):
            place = origin[:, axis, None] + steps  # [M, P]
            away = (place + 0.5 - centre[:, axis, None]).astype(np.float32)
            away[(place < 0) | (place >= limit)] = np.inf
            squares.append(away * away)
        return squares[0][:, :, None] + squares[1][:, None, :], origin

    def _pixels(self, chosen, origin):
        """Frame numbers and flat positions of the chosen patch pixels."""
        frame, row, column = np.nonzero(chosen)
        corner = origin[:, 0] * self.width + origin[:, 1]
        corner = corner + np.arange(self.frames) * self.height * self.width
        return frame, corner[frame] + row * self.width + column

    def _measure(self, slot, inside, origin):
        """Notes the size and the tight box of a disc alone."""
        self.own[:, slot] = np.count_nonzero(inside, axis=(1, 2))
        edges = []
        for axis in (0, 1):
            line = inside.any(axis=2 - axis)  # [M, P]
            first = np.argmax(line, axis=1)
            last = self.patch - np.argmax(line[:, ::-1], axis=1)
            edges.append((origin[:, axis] + first, origin[:, axis] + last))
        (top, bottom), (left, right) = edges
        box = np.stack([top, left, bottom, right], -1)
        self.boxes[:, slot] = np.where(self.own[:, slot, None] > 0, box, 0)

    def _drawing(self, picture=None):
        visible = self.own - self.lost[:, 1:]
        return Drawing(self.owner, self.own, visible, self.boxes, picture)
