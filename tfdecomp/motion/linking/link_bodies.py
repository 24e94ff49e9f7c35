"""Episodes, followed with bodies from both of their ends."""

import collections
import copy

import numpy as np
from scipy.optimize import linear_sum_assignment

from tfdecomp.motion import bodies
from tfdecomp.motion.detections import stand_apart
from tfdecomp.motion.linking.link_measure import BLOB, Scale, bulks

REMEMBERED = 128  # frames of pixels: more than a passing is looked at
ISOLATED = 150  # frames that sizes are learnt from
HINT = 0.5  # what a detection counts, as a share of an animal's pixels
LEAST = 8  # pixels of an animal whose shape can be told


class Pixels:
    """Pixels of the foreground, as places in the frame.

    Args:
        foreground: `t -> (mask, scale)`.
    """

    def __init__(self, foreground):
        self._foreground, self._start = foreground, 0
        self._kept = collections.OrderedDict()
        self._shapes = collections.OrderedDict()

    def starting(self, time):
        """The same pixels, and frames counted from `time` on."""
        result = copy.copy(self)  # what is remembered, both remember
        result._start = self._start + time
        return result

    def at(self, time):
        """Places `[p, 2]`, their rows `[p]` and pixels in one of a frame."""
        return _recalled(self._kept, self._start + time, self._places)

    def _places(self, time):
        mask, unit = self._foreground(time)
        mask = np.asarray(mask)
        y, x = np.divmod(np.flatnonzero(mask), max(mask.shape[1], 1))
        places = (np.stack([y, x], -1) + 0.5) * unit
        return places, places[:, 0].copy(), float(unit) ** 2

    def shape(self, time, box):
        """`[long, short, pixels, margin of the box]`; None of too few pixels.

        It is asked for again and again: each meeting has others around it.
        """
        known = _recalled(self._shapes, self._start + time, lambda _: {})
        key = box.tobytes()
        if key not in known:
            known[key] = self._measured(time, box)
        return known[key]

    def _measured(self, time, box):
        points, unit = self.inside(time, box[:2], box[2:])
        if len(points) < LEAST:
            return None
        _, angle, deviations = bodies.shape(points)
        # A pixel is a square, not a point.
        deviations = np.sqrt(deviations**2 + unit / 12)
        spread = bodies.covariances(np.array([angle]), deviations[None])[0]
        half = 2 * np.sqrt(np.diag(spread))
        margin = np.sqrt(np.prod(0.5 * (box[2:] - box[:2]) / half))
        return [*deviations, len(points), margin]

    def inside(self, time, low, high):
        """Those between two corners."""
        places, y, unit = self.at(time)
        # They are in the order of rows: only those rows are looked at.
        rows = np.searchsorted(y, [low[0], high[0]])
        places = places[rows[0] : rows[1]]
        column = places[:, 1]
        return places[(column >= low[1]) & (column <= high[1])], unit


def _recalled(kept, key, find):
    """What was found for a key, or is found now; the oldest is forgotten."""
    if key not in kept:
        kept[key] = find(key)
        while len(kept) > REMEMBERED:
            kept.popitem(last=False)
    kept.move_to_end(key)
    return kept[key]


class Shapes:
    """How long, how wide and how many pixels each identity is.

    Learnt where its box meets no other one.

    Args:
        tracks: With those places that are certain.
        pixels: Of the video, or None: then all are as large as is typical.
        scale: Of the video.
    """

    def __init__(self, tracks, pixels: Pixels | None, scale: Scale):
        count = tracks.boxes.shape[1]
        self.known, self.margin = False, 1.0
        self.axes = np.full((count, 2), 0.25 * scale.size)
        self.weights = np.ones(count)
        if pixels is not None:
            self._learn(tracks, pixels, scale)

    def _learn(self, tracks, pixels, scale):
        count = tracks.boxes.shape[1]
        rows = [[] for _ in range(count)]
        for time in self._sampled(tracks):
            for track in _alone(tracks, time, 0.1 * scale.size):
                row = pixels.shape(time, tracks.boxes[time, track])
                if row is not None:
                    rows[track].append(row)
        every = [r for track in rows for r in track]
        self.known = bool(every)
        if not every:
            return
        typical = np.median(every, 0)
        values = [np.median(r, 0) if len(r) >= 5 else typical for r in rows]
        values = np.array(values)
        self.axes, self.weights = values[:, :2], values[:, 2]
        # Boxes of a network have margins that pixels do not have.
        self.margin = float(np.clip(typical[3], 0.5, 2.0))

    def _sampled(self, tracks):
        seen = np.flatnonzero((tracks.sources >= 0).any(1))
        chosen = np.linspace(0, len(seen) - 1, min(ISOLATED, len(seen)))
        return seen[np.unique(chosen.astype(int))] if len(seen) else []


def _alone(tracks, time, margin):
    """Identities whose boxes meet no other in this frame."""
    here = np.flatnonzero(tracks.sources[time] >= 0)
    return here[stand_apart(tracks.boxes[time, here], margin)]


def not_owned(found, sources):
    """Numbers of detections of a frame that are no track's."""
    free = np.ones(len(found), bool)
    free[sources[sources >= 0]] = False
    return np.flatnonzero(free)


def distances(places, found, too_few):
    """`[k, n]` from places `[k, 2]` to detections.

    Args:
        places: Where somebody is expected.
        found: `Detections`.
        too_few: Whether there may be boxes on two that overlap: such a box is
            neither's, and infinitely far.
    """
    off = np.linalg.norm(places[:, None] - found.centres[None], axis=-1)
    if too_few:
        low, high = found.boxes[:, :2], found.boxes[:, 2:]
        holds = (places[:, None] > low) & (places[:, None] < high)
        off[:, holds.all(-1).sum(0) > 1] = 1e9
    return off


class Follower:
    """Follows identities through a stretch of frames.

    With a foreground it is its pixels that bodies are fitted to; without one
    the boxes that were found are all there is.

    Args:
        tracks: With those places that are certain.
        pixels: `Pixels` of the foreground, or None.
        scale: Of the video.
        frames: Cleaned `Detections`, one per frame.
    """

    def __init__(self, tracks, pixels, scale: Scale, frames):
        self.tracks, self.scale, self.frames = tracks, scale, frames
        self.pixels = pixels
        self.shapes = Shapes(tracks, self.pixels, scale)
        if not self.shapes.known:
            self.pixels = None

    def run(self, members, start, stop):
        """Places of identities in frames from `start` on, before `stop`.

        Args:
            members: Identities that are seen in frame `start`.
            start: Frame.
            stop: Frame; smaller than `start` to go back in time.

        Returns:
            `[n, k, 4]` boxes in frames `start + 1 ... stop - 1`, or
            `start - 1 ... stop + 1`.
        """
        members = np.asarray(members)
        step = 1 if stop > start else -1
        now = self._initial(members, start, step)
        result = []
        for time in range(start + step, stop, step):
            ahead = now.ahead(self.scale.momentum)
            pace = float(self.scale.pace(*sorted((time - step, time))))
            points, others = self._around(now, ahead, members, time, pace)
            hints = self._hints(ahead, time, pace)
            frame = points, others, hints
            now = bodies.follow(now, [frame], self.scale.momentum)[0]
            half = now.halves * self.shapes.margin
            low, high = now.means - half, now.means + half
            result.append(np.concatenate([low, high], -1))
        return np.array(result).reshape(-1, len(members), 4)

    def _hints(self, ahead, time, pace):
        """Detections of one object each that lie where bodies are expected.

        Next to pixels they count only where all have one: a box too few may
        lie on two that overlap.
        """
        free = not_owned(self.frames[time], self.tracks.sources[time])
        found = self.frames[time].take(free)
        single = bulks(found, self.scale) < BLOB
        found = found.take(single)
        count = len(ahead.means)
        if not len(found) or (self.pixels and len(found) < count):
            return None
        off = distances(ahead.means, found, len(found) < count)
        near = 0.5 * self.scale.size
        if not self.pixels:
            near += self.scale.reach
        near *= pace
        centre, weight = ahead.means.copy(), np.zeros(count)
        for i, j in zip(*linear_sum_assignment(np.minimum(off, 2 * near))):
            if off[i, j] < near:
                centre[i] = found.centres[j]
                weight[i] = HINT * found.scores[j]
        if self.pixels and not weight.all():
            return None
        return centre, weight

    def _initial(self, members, start, step):
        boxes = self.tracks.boxes[start, members]
        means = 0.5 * (boxes[:, :2] + boxes[:, 2:])
        axes = self.shapes.axes[members]
        first = bodies.Bodies(
            means,
            np.zeros(len(members)),
            axes,
            np.ones_like(axes),
            self.shapes.weights[members],
            np.zeros_like(means),
            np.zeros(len(members)),
        )
        angles, earlier, turned = self._angles(members, start, step, first)
        count = np.maximum(earlier[1], 1)[:, None]
        velocities = (means - earlier[0]) / count
        spins = turned / count[:, 0]
        first.angles, first.velocities, first.spins = angles, velocities, spins
        return first

    def _angles(self, members, start, step, first):
        """Angles at `start`, and what came a few frames before."""
        angles = np.zeros(len(members))
        turned = np.zeros(len(members))
        places, counts = first.means.copy(), np.zeros(len(members))
        for number, member in enumerate(members):
            angles[number] = self._angle(member, start)
            for back in range(1, 5):
                time = start - back * step
                if not 0 <= time < len(self.tracks.sources):
                    break
                if self.tracks.sources[time, member] < 0:
                    break
                box = self.tracks.boxes[time, member]
                places[number] = 0.5 * (box[:2] + box[2:])
                counts[number] = back
            if counts[number]:
                before = self._angle(member, start - int(counts[number]) * step)
                turn = angles[number] - before
                turned[number] = (turn + np.pi / 2) % np.pi - np.pi / 2
        return angles, (places, counts), turned

    def _angle(self, member, time):
        box = self.tracks.boxes[time, member]
        middle = 0.5 * (box[:2] + box[2:])
        axes = self.shapes.axes[member]
        if not self.pixels:
            return 0.0
        points, _ = self.pixels.inside(time, box[:2], box[2:])
        if len(points) < LEAST:
            return 0.0
        # Pixels of a neighbour in the corner of the box count less.
        off = np.linalg.norm(points - middle, axis=-1)
        points = points[off <= 2.2 * axes[0]]
        return bodies.shape(points)[1] if len(points) >= LEAST else 0.0

    def _around(self, now, ahead, members, time, pace):
        """Pixels near bodies, and those known ones that own some of them."""
        if not self.pixels:
            return np.zeros((0, 2)), None
        margin = ahead.halves + 0.5 * self.scale.size
        # Where it was going to, give or take, or as far as any can dart.
        means = np.concatenate([ahead.means, now.means])
        reach = np.concatenate(
            [
                margin + pace * self.scale.reach,
                margin + pace * self.scale.leap,
            ]
        )
        low, high = (means - reach).min(0), (means + reach).max(0)
        points, _ = self.pixels.inside(time, low, high)
        away = np.abs(points[:, None] - means[None])
        points = points[(away <= reach[None]).all(-1).any(1)]
        known = self.tracks.sources[time] >= 0
        known[members] = False
        boxes = self.tracks.boxes[time]
        known &= (boxes[:, :2] < high).all(1) & (boxes[:, 2:] > low).all(1)
        others = np.flatnonzero(known)
        return points, self._as_fixed(others, boxes)

    def _as_fixed(self, others, boxes):
        if not len(others):
            return None
        boxes = boxes[others]
        means = 0.5 * (boxes[:, :2] + boxes[:, 2:])
        half = 0.5 * (boxes[:, 2:] - boxes[:, :2]) / self.shapes.margin
        spread = (half / 2) ** 2
        matrices = spread[:, :, None] * np.eye(2)
        return means, matrices, self.shapes.weights[others]
