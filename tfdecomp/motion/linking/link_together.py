"""Objects that come as one blob and part, or meet and leave as one.

Far from the camera two cars are one blob; nearer they part. What parts was
several all the while: each is taken to have been where it was seen to lie in
the blob's box when they parted. The same with time reversed.
"""

import dataclasses

import numpy as np

from tfdecomp.motion.linking.link_fill import FILLED, NONE
from tfdecomp.motion.linking.link_measure import extents, intersections

NEAR = 3  # frames within which those begin that part
LASTS = 10  # frames of those that part
HELD = 3  # frames that all of them were together for
LARGER = 1.2  # than any of them: what holds all
INSIDE = 0.7  # of the box of each, that lies in it
COVERED = 0.6  # of it, by the box around all of them
APART = 0.3  # of the smaller box that two of them may share
FEWEST = 4  # pixels of one of several
MOST = 600  # pixels of a blob that tell where each is
ROUNDS = 3  # of expectation maximisation in each frame
RATE = 0.3  # at which sizes follow what is seen
LEAST = 0.5  # pixels of a side
SIDE = 12**0.5  # of a box, in deviations of its pixels
MOVED = 0.5  # sizes that two of them move towards each other
JUMP = 1.25  # from frame to frame: somebody came into it, or went


def part(tracks, lives, pixels):
    """Splits what is known later, or was known before, to be several.

    Args:
        tracks: `Tracks`; changed, perhaps wider.
        lives: `[(column, first, last)]` of them.
        pixels: `link_bodies.Pixels` of what stands out.

    Returns:
        The lives, those of what held several left out, in the order of their
        first frames.
    """
    end = len(tracks.boxes) - 1
    lives = _Parted(tracks, lives, pixels.inside).run()
    _reverse(tracks)
    lives = [(column, end - last, end - first) for column, first, last in lives]
    lives = _Parted(
        tracks, lives, lambda t, low, high: pixels.inside(end - t, low, high)
    ).run()
    _reverse(tracks)
    lives = [(column, end - last, end - first) for column, first, last in lives]
    return sorted(lives, key=lambda life: life[1])


def _reverse(tracks):
    for name in ("boxes", "sources", "doubts", "ids"):
        setattr(tracks, name, getattr(tracks, name)[::-1])


@dataclasses.dataclass(eq=False)
class _Life:
    column: int
    first: int
    last: int

    def __len__(self):
        return self.last - self.first + 1


class _Parted:
    """Goes through all partings, the latest first."""

    def __init__(self, tracks, lives, inside):
        self.tracks, self.inside = tracks, inside
        self.by_first, self.by_column = {}, {}
        for life in lives:
            self._enter(_Life(*life))

    def run(self):
        times = sorted(self.by_first, reverse=True)
        for time in times:
            if time:
                self._at(time)
        every = (life for here in self.by_first.values() for life in here)
        return [dataclasses.astuple(life) for life in every]

    def _enter(self, life):
        self.by_first.setdefault(life.first, []).append(life)
        self.by_column.setdefault(life.column, []).append(life)

    def _leave(self, life):
        self.by_first[life.first].remove(life)
        self.by_column[life.column].remove(life)

    def _at(self, time):
        """Those of whom the last begins at a time."""
        born = [
            life
            for first in range(time - NEAR + 1, time + 1)
            for life in self.by_first.get(first, [])
            if len(life) >= LASTS
        ]
        if not any(life.first == time for life in born):
            return
        done = []
        for before in range(time - 1, max(time - NEAR, 0) - 1, -1):
            for holder in self._seen(before):
                if holder not in done and self._held(
                    holder, before, born, time
                ):
                    done.append(holder)

    def _seen(self, time):
        """Lives that something found is of at a time."""
        return [
            life
            for column in np.flatnonzero(self.tracks.sources[time] >= 0)
            for life in self.by_column.get(int(column), ())
            if life.first <= time <= life.last
        ]

    def _held(self, holder, before, born, time):
        """Splits a holder if those born in it were in it; says whether."""
        around = self.tracks.boxes[before, holder.column]
        several = [
            life
            for life in born
            if life.first > before and self._lies_in(life, time, around)
        ]
        if not any(life.first == time for life in several):
            return False
        if holder.last >= time:
            stays = holder.last - time + 1 >= LASTS
            if not stays or not self._lies_in(holder, time, around):
                return False
            several.append(holder)
        here = np.stack([self.tracks.boxes[time, s.column] for s in several])
        start, held_more = self._since(holder, before)
        long_enough = before - start + 1 >= HELD
        if len(several) < 2 or not long_enough or not _are_all(here, around):
            return False
        if not self._go_apart(several, time):
            return False
        self._split(holder, start, before, several, here, held_more)
        return True

    def _lies_in(self, life, time, around):
        if self.tracks.sources[time, life.column] == NONE:
            return False
        box = self.tracks.boxes[time, life.column]
        shared = intersections(box[None], around[None])[0, 0]
        size = extents(box[None])[0]
        larger = extents(around[None])[0] > LARGER * size
        return larger and shared > INSIDE * size

    def _go_apart(self, several, time):
        """Whether all go ways of their own, as parts of one thing do not."""
        last = min(life.last for life in several)
        columns = [life.column for life in several]
        boxes = self.tracks.boxes[time : last + 1][:, columns]
        centres = 0.5 * (boxes[..., :2] + boxes[..., 2:])
        sides = boxes[..., 2:] - boxes[..., :2]
        size = np.sqrt(sides.prod(-1)).mean(1)[:, None] + 1e-9
        return all(
            np.ptp((centres[:, i] - centres[:, j]) / size, 0).max() > MOVED
            for i in range(len(several))
            for j in range(i)
        )

    def _since(self, holder, before):
        """First frame from which on the holder holds these and nobody else.

        Whether it held more before: where it shrinks somebody went.
        """
        rows = slice(holder.first, before + 1)
        size = extents(self.tracks.boxes[rows, holder.column])
        ratio = np.maximum(size[1:], 1e-9) / np.maximum(size[:-1], 1e-9)
        jumps = np.flatnonzero((ratio > JUMP) | (ratio < 1 / JUMP))
        if not len(jumps):
            return holder.first, False
        return holder.first + int(jumps[-1]) + 1, bool(ratio[jumps[-1]] < 1)

    def _split(self, holder, start, before, several, here, held_more):
        """Gives each its share of the holder's boxes."""
        ends = [before + 1 if s is holder else s.first for s in several]
        held = self.tracks.boxes[start : max(ends), holder.column].copy()
        held[before + 1 - start :] = held[before - start]
        places = self._places(here, held, start)
        kept = holder
        if holder not in several:
            kept = self._who_was(holder, start, several, places, held_more)
        old = dataclasses.replace(holder)
        for one, end, boxes in zip(several, ends, places):
            first = old.first if one is kept else start
            self._leave(one)
            self._own_column(one, first)
            if one is kept and one is not holder:
                self._copy(slice(first, start), old.column, one.column)
            self._put(one.column, start, boxes[: end - start])
            one.first = first
            self._enter(one)
        if holder in several:
            return
        self._leave(holder)
        gone = start if held_more else old.first
        self.tracks.sources[gone : old.last + 1, old.column] = NONE
        if held_more:
            holder.last = start - 1
            self._enter(holder)

    def _places(self, here, held, start):
        """`[n, T, 4]`: from the parting on backwards."""
        sharing = _Sharing(here)
        places = np.zeros((len(here), len(held), 4))
        for t in reversed(range(len(held))):
            pixels, area = self.inside(start + t, held[t, :2], held[t, 2:])
            pixels = pixels[:: -(-len(pixels) // MOST) or 1]
            places[:, t] = sharing.boxes(held[t], pixels, area**0.5)
        return places

    def _who_was(self, holder, start, several, places, held_more):
        """Who of them the holder was before it held all; None: nobody."""
        if held_more or start == holder.first:
            return None
        before = self.tracks.boxes[start - 1, holder.column][None]
        overlaps = [intersections(p[:1], before)[0, 0] for p in places]
        return several[int(np.argmax(overlaps))]

    def _copy(self, rows, old, new):
        for values in (
            self.tracks.boxes,
            self.tracks.sources,
            self.tracks.doubts,
        ):
            values[rows, new] = values[rows, old]

    def _put(self, column, start, boxes):
        """Enters boxes that end where the column's own begin."""
        rows = slice(start, start + len(boxes))
        far = np.arange(len(boxes), 0, -1)
        self.tracks.boxes[rows, column] = boxes
        self.tracks.sources[rows, column] = FILLED
        self.tracks.doubts[rows, column] = np.minimum(0.1 + 0.02 * far, 0.9)

    def _own_column(self, life, first):
        """Moves a life to a new column if its own is taken before it."""
        tracks = self.tracks
        if (tracks.sources[first : life.first, life.column] == NONE).all():
            return
        if first >= life.first:
            return
        rows = slice(life.first, life.last + 1)
        for name in ("boxes", "sources", "doubts", "ids"):
            values = getattr(tracks, name)
            extra = np.zeros_like(values[:, :1])
            if name == "sources":
                extra[:] = NONE
            extra[rows, 0] = values[rows, life.column]
            setattr(tracks, name, np.concatenate([values, extra], 1))
        tracks.sources[rows, life.column] = NONE
        life.column = tracks.boxes.shape[1] - 1


def _are_all(here, around):
    """Whether boxes `[n, 4]` are apart, and all that a box holds."""
    low, high = here[:, :2].min(0), here[:, 2:].max(0)
    union = np.concatenate([low, high])[None]
    shared = intersections(union, around[None])[0, 0]
    both = extents(union)[0] + extents(around[None])[0] - shared
    if shared < COVERED * both:
        return False
    size = np.maximum(extents(here), 1e-9)
    overlap = intersections(here, here) / np.minimum(size[:, None], size)
    return bool((overlap[~np.eye(len(here), dtype=bool)] < APART).all())


class _Sharing:
    """Several in the box around all of them, from frame to frame.

    Every one is a cloud of pixels; expectation maximisation moves the clouds
    over what stands out in the box. They grow and shrink with the box.

    Args:
        boxes: `[n, 4]` of each at the parting.
    """

    def __init__(self, boxes):
        self.centres = 0.5 * (boxes[:, :2] + boxes[:, 2:])
        self.sides = boxes[:, 2:] - boxes[:, :2]
        self.around = np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])

    def boxes(self, around, pixels, unit):
        """`[n, 4]` places in a box `[4]`.

        Args:
            around: Box of all.
            pixels: `[p, 2]` centres of what stands out in it.
            unit: Side of such a pixel.
        """
        self._follow(around)
        if len(pixels) < FEWEST * len(self.sides):
            return self._placed()
        for _ in range(ROUNDS):
            share = self._shares(pixels)
            weight = share.sum(0)[:, None]
            if weight.min() < FEWEST:
                return self._placed()
            self.centres = share.T @ pixels / weight
            spread = share.T @ pixels**2 / weight - self.centres**2
            sides = SIDE * np.sqrt(np.maximum(spread, 0.25))
            self.sides = (1 - RATE) * self.sides + RATE * sides
        owner = self._shares(pixels).argmax(1)
        half = 0.5 * unit
        placed = self._placed()
        for n in range(len(self.sides)):
            own = pixels[owner == n]
            if len(own) >= FEWEST:
                placed[n, :2] = np.maximum(placed[n, :2], own.min(0) - half)
                placed[n, 2:] = np.minimum(placed[n, 2:], own.max(0) + half)
        return placed

    def _follow(self, around):
        """Moves all as the box around them has moved and grown."""
        old, self.around = self.around, around
        growth = (around[2:] - around[:2]) / np.maximum(old[2:] - old[:2], 1e-9)
        self.centres = around[:2] + (self.centres - old[:2]) * growth
        self.sides = np.maximum(self.sides * growth, LEAST)

    def _placed(self):
        half = 0.5 * self.sides
        return np.concatenate([self.centres - half, self.centres + half], 1)

    def _shares(self, pixels):
        """`[p, n]` how likely each pixel is whose."""
        away = (pixels[:, None] - self.centres) / (self.sides / SIDE)
        logits = -0.5 * (away**2).sum(-1) - np.log(self.sides.prod(-1))
        logits -= logits.max(1, keepdims=True)
        share = np.exp(logits)
        return share / share.sum(1, keepdims=True)
