"""Animals that walk, meet and touch, drawn as ellipses: an oracle."""

import numpy as np
from scipy import ndimage

from tfdecomp.motion.detections import Detections

LONG, WIDE = 12.0, 5.0  # half axes, pixels


def walk(count, frames, seed=0, arena=240.0, speed=2.0, pull=0.0):
    """Persistent random walks `[T, N, 2]` and headings `[T, N]`.

    Args:
        count: Animals.
        frames: Frames.
        seed: Of the walk.
        arena: Side of the square they walk in.
        speed: Usual pixels per frame.
        pull: How much an animal turns towards its neighbour.
    """
    random = np.random.default_rng(seed)
    places = random.uniform(0.15 * arena, 0.85 * arena, (count, 2))
    heading = random.uniform(-np.pi, np.pi, count)
    turn, pace = np.zeros(count), np.full(count, speed)
    result, headings = [], []
    for _ in range(frames):
        turn = 0.9 * turn + 0.04 * random.normal(size=count)
        pace += 0.1 * (speed - pace) + 0.12 * speed * random.normal(size=count)
        pace = np.clip(pace, 0.0, 2 * speed)
        goal = arena / 2 - places
        edge = np.abs(goal).max(1) > 0.4 * arena
        heading = heading + turn + 0.15 * edge * _side(goal, heading)
        gap = places[None] - places[:, None]
        distance = np.linalg.norm(gap, axis=-1) + 1e9 * np.eye(count)
        if pull and count > 1:
            near = gap[np.arange(count), distance.argmin(1)]
            heading = heading + pull * _side(near, heading)
        ahead = np.stack([np.cos(heading), np.sin(heading)], -1)
        push = np.maximum(2 * WIDE - distance, 0.0)[..., None]
        push = (push * gap / distance[..., None]).sum(1)
        places = places + pace[:, None] * ahead - 0.25 * push
        places = np.clip(places, LONG, arena - LONG)
        result.append(places.copy())
        headings.append(heading.copy())
    return np.array(result), np.array(headings)


def dance(frames, seed=0, arena=240.0):
    """Two that turn around each other and touch most of the time."""
    random = np.random.default_rng(seed)
    time = np.arange(frames)
    turn = np.cumsum(0.06 + 0.03 * np.sin(time / 37) + _slow(random, frames))
    apart = 11.5 + 4.0 * np.sin(time / 23 + 1) + 2.0 * np.sin(time / 7)
    middle = arena / 2 + 60 * np.stack(
        [np.sin(time / 160), np.cos(time / 210)], 1
    )
    way = np.stack([np.cos(turn), np.sin(turn)], 1) * apart[:, None] / 2
    places = np.stack([middle + way, middle - way], 1)
    heading = turn[:, None] + np.pi / 2 + 0.4 * np.sin(time / 11)[:, None]
    return places, np.concatenate([heading, heading + np.pi], 1)


def _slow(random, frames):
    """Noise that stays what it is for a while."""
    noise = random.normal(size=frames) * 0.05
    return np.convolve(noise, np.ones(15) / 15, "same")


def _side(goal, heading):
    """Which way to turn to face a goal."""
    angle = np.arctan2(goal[:, 1], goal[:, 0]) - heading
    return np.sin(angle)


def draw(places, headings, arena=240, unit=2):
    """`[N, h, w]` masks of animals in one frame, pixels of `unit` size."""
    grid = (np.arange(int(arena) // unit) + 0.5) * unit
    y = grid[:, None] - places[:, 0, None, None]
    x = grid[None, :] - places[:, 1, None, None]
    cos, sin = np.cos(headings), np.sin(headings)
    along = y * cos[:, None, None] + x * sin[:, None, None]
    across = x * cos[:, None, None] - y * sin[:, None, None]
    return (along / LONG) ** 2 + (across / WIDE) ** 2 <= 1


def truth_boxes(places, headings):
    """`[..., 4]` boxes around ellipses."""
    y = np.hypot(LONG * np.cos(headings), WIDE * np.sin(headings))
    x = np.hypot(LONG * np.sin(headings), WIDE * np.cos(headings))
    half = np.stack([y, x], -1)
    return np.concatenate([places - half, places + half], -1)


class Scene:
    """Animals, what a camera sees of them, and what is found."""

    def __init__(self, places, headings, *, arena=240, unit=2):
        self.arena, self.unit = arena, unit
        self.places, self.headings = places, headings
        self.boxes = truth_boxes(self.places, self.headings)
        self.calls = 0

    @classmethod
    def walking(cls, count, frames, *, seed=0, arena=240, **motion):
        places, headings = walk(count, frames, seed=seed, arena=arena, **motion)
        return cls(places, headings, arena=arena)

    def foreground(self, time):
        self.calls += 1
        masks = draw(
            self.places[time], self.headings[time], self.arena, self.unit
        )
        return masks.any(0), self.unit

    @property
    def touching(self):
        """Share of frames in which fewer blobs than animals are seen."""
        counts = [
            ndimage.label(self.foreground(t)[0], np.ones((3, 3)))[1]
            for t in range(len(self.places))
        ]
        return float(np.mean(np.array(counts) < self.places.shape[1]))

    def blobs(self):
        """Background subtraction: those that touch are one."""
        result = []
        for time in range(len(self.places)):
            mask, unit = self.foreground(time)
            label, count = ndimage.label(mask, np.ones((3, 3)))
            slices = ndimage.find_objects(label)
            boxes = [
                [s[0].start, s[1].start, s[0].stop, s[1].stop] for s in slices
            ]
            areas = np.bincount(label.ravel(), minlength=count + 1)[1:]
            result.append(found(np.array(boxes) * unit, areas * unit**2))
        return result

    def network(self, seed=1, *, flicker=0.0, twice=0.0, nothing=0.0, looks=0):
        """A network: one box each, mostly."""
        random = np.random.default_rng(seed)
        count = self.places.shape[1]
        own = random.normal(size=(count, looks))
        gone = np.zeros(count, int)
        result = []
        for time in range(len(self.places)):
            starts = random.random(count) < flicker / 2
            gone = np.where(
                starts & (gone == 0), random.integers(1, 4, count), gone - 1
            )
            gone = np.maximum(gone, 0)
            here = np.flatnonzero(gone == 0)
            boxes = self.boxes[time][here]
            boxes = boxes + random.normal(size=boxes.shape) * 0.6
            scores = random.uniform(0.7, 1.0, len(here))
            areas = np.full(len(here), np.pi * LONG * WIDE)
            again = np.flatnonzero(random.random(len(here)) < twice)
            shift = random.normal(size=(len(again), 2)) * 2
            extra = boxes[again] + np.concatenate([shift, shift], 1)
            rows = [boxes, extra]
            scores = np.concatenate([scores, scores[again] * 0.8])
            areas = np.concatenate([areas, areas[again]])
            features = own[np.concatenate([here, here[again]])]
            if random.random() < nothing:
                place = random.uniform(20, self.arena - 20, 2)
                rows.append(np.concatenate([place - 9, place + 9])[None])
                scores = np.append(scores, 0.6)
                areas = np.append(areas, 0.0)
                features = np.concatenate([features, np.zeros((1, looks))])
            features = features + 0.3 * random.normal(size=features.shape)
            result.append(found(np.concatenate(rows), areas, scores, features))
        return result


def found(boxes, areas=None, scores=None, features=None):
    """Detections; what is not given is plain."""
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    count = len(boxes)
    return Detections(
        boxes,
        np.ones(count) if scores is None else scores,
        np.zeros(count) if areas is None else areas,
        np.zeros((count, 0)) if features is None else features,
        np.zeros(count),
    )


def score(linked, places, radius=10.0):
    """py-motmetrics' IDF1, switches, recall, precision."""
    import motmetrics

    events = motmetrics.MOTAccumulator(auto_id=False)
    for time, frame in enumerate(linked):
        centres = 0.5 * (frame.boxes[:, :2] + frame.boxes[:, 2:])
        gap = places[time][:, None] - centres[None]
        distance = np.linalg.norm(gap, axis=-1)
        distance[distance > radius] = np.nan
        events.update(
            np.arange(len(places[time])), frame.ids, distance, frameid=time
        )
    names = ["idf1", "num_switches", "recall", "precision"]
    host = motmetrics.metrics.create()
    return host.compute(events, metrics=names).iloc[0].to_dict()
