"""Frame by frame, from the past only."""

import numpy as np
from scipy.optimize import linear_sum_assignment

from tfdecomp.motion.detections import FILLED, Detections, Linked
from tfdecomp.motion.linking.link_clean import clean
from tfdecomp.motion.linking.link_measure import START_SCORE, Scale, extents
from tfdecomp.motion.linking.link_paths import doubt

MEMORY = 400  # steps that the scale is measured from
FEW = 20
LOST = 10  # frames after which an identity is looked for everywhere


class Linker:
    """Carries identities from frame to frame.

    What is typical is learnt on the way, so that the result of a frame
    depends on the frames before it and on nothing else.

    Args:
        num_objects: How many identities there are; None if unknown.
        max_gap: Frames that an identity may be unseen for, if their number
            is unknown.
        frame_size: `(height, width)` in pixels; places stay inside.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.motion.detections import Detections
        >>> from tfdecomp.motion.linking.link_online import Linker
        >>> box, area = np.array([[0.0, 0.0, 8.0, 8.0]]), np.array([64])
        >>> unknown = np.zeros([1, 0]), np.zeros(1, int)  # looks and tracks
        >>> found = Detections(box, np.ones(1), area, *unknown)
        >>> Linker(num_objects=1).step(found).ids
        array([1])
    """

    def __init__(self, num_objects=None, max_gap=25, frame_size=None):
        self.num_objects = num_objects
        self.max_gap = max_gap
        self.frame_size = frame_size
        self.time = -1
        self.next_id = 1
        self.ids = np.zeros(0, np.int64)
        self.boxes = np.zeros((0, 4))
        self.velocities = np.zeros((0, 2))
        self.unseen = np.zeros(0, np.int64)
        self.fresh = np.zeros(0, bool)
        self._sides, self._areas = [], []
        self._steps, self._strides = [], []

    def step(self, detections: Detections, foreground=None) -> Linked:
        """Identities of the next frame.

        Args:
            detections: What was found in it.
            foreground: Not needed; taken so that all linkers are called alike.
        """
        del foreground
        self.time += 1
        self._learn(detections)
        scale = self._scale()
        found, numbers = clean(detections, scale, self.num_objects)
        ahead = self._ahead(scale)
        pairs, doubts = self._match(found, ahead, scale)
        sources = np.full(len(self.ids), FILLED, np.int64)
        self._move(found, ahead, pairs, scale)
        for i, j in pairs:
            sources[i] = numbers[j]
        sources, doubts = self._born(found, numbers, pairs, sources, doubts)
        return self._result(sources, doubts)

    def _learn(self, detections):
        sure = detections.scores >= START_SCORE
        sides = np.sqrt(np.maximum(extents(detections.boxes[sure]), 0.0))
        self._sides = (self._sides + sides.tolist())[-MEMORY:]
        areas = detections.areas[sure & (detections.areas > 0)]
        self._areas = (self._areas + areas.tolist())[-MEMORY:]

    def _scale(self):
        sides = [s for s in self._sides if np.isfinite(s)]
        size = float(np.median(sides)) if sides else 1.0
        area = float(np.median(self._areas)) if self._areas else 0.0
        step, reach = 0.1 * size, size
        if len(self._steps) >= FEW:
            step = max(float(np.median(self._steps)), 1e-3 * size)
            reach = 2 * float(np.quantile(self._steps, 0.98))
            reach = max(reach, 4 * step, 0.25 * size)
        leap = reach
        if len(self._strides) >= FEW:
            leap = max(reach, 2 * float(np.quantile(self._strides, 0.98)))
        return Scale(size, area, step, reach, step, leap, 0.7, np.ones(7))

    def _ahead(self, scale):
        # A lost one coasts to a halt.
        kept = scale.momentum ** (1 + self.unseen[:, None])
        shift = kept * self.velocities
        return self.boxes + np.concatenate([shift, shift], -1)

    def _match(self, found, ahead, scale):
        """Pairs of identity and detection, and doubts of identities."""
        distance = _distances(ahead, found.boxes)
        wander = np.sqrt(1.0 + self.unseen)[:, None]
        reach = np.where(self.fresh, scale.leap, scale.reach)[:, None]
        gate = np.minimum(wander, 6.0) * reach
        strong = found.scores >= START_SCORE
        cost = np.log1p(0.5 * (distance / (scale.step * wander)) ** 2)
        cost += np.where(distance <= gate, 0.0, 1e3)
        cost += np.where(strong, 0.0, 0.5)
        pairs = self._assign(cost, strong, distance <= gate)
        return pairs, _doubts(cost, pairs)

    def _assign(self, cost, strong, inside):
        if not cost.size:
            return []
        allowed = inside
        if self.num_objects is not None:
            # Nobody leaves: one that is lost for long is wherever one too
            # many is. A double or a box on nothing rarely is.
            lost = self.unseen >= LOST
            allowed = inside | (strong[None] & lost[:, None])
        rows, columns = linear_sum_assignment(np.where(allowed, cost, 1e6))
        return [(i, j) for i, j in zip(rows, columns) if allowed[i, j]]

    def _move(self, found, ahead, pairs, scale):
        seen = np.array([i for i, _ in pairs], np.int64)
        new = np.array([j for _, j in pairs], np.int64)
        moved = _centres(found.boxes[new]) - _centres(self.boxes[seen])
        errors = _centres(found.boxes[new]) - _centres(ahead[seen])
        errors = np.linalg.norm(errors, axis=-1)
        plain = (self.unseen[seen] == 0) & (errors < 2 * scale.size)
        self._steps = (self._steps + errors[plain].tolist())[-MEMORY:]
        strides = np.linalg.norm(moved[plain], axis=-1)
        self._strides = (self._strides + strides.tolist())[-MEMORY:]
        moved = moved / (1.0 + self.unseen[seen])[:, None]
        self.boxes = ahead
        self.unseen = self.unseen + 1
        share = np.where(self.fresh[seen], 1.0, 0.5)[:, None]
        self.velocities[seen] += share * (moved - self.velocities[seen])
        self.boxes[seen] = found.boxes[new]
        self.unseen[seen] = 0
        self.fresh[seen] = False

    def _born(self, found, numbers, pairs, sources, doubts):
        taken = {j for _, j in pairs}
        rest = [
            j
            for j in range(len(found))
            if j not in taken and found.scores[j] >= START_SCORE
        ]
        if self.num_objects is not None:
            room = self.num_objects - len(self.ids)
            rest = sorted(rest, key=lambda j: -found.scores[j])[:room]
        count = len(rest)
        fresh = np.arange(self.next_id, self.next_id + count)
        self.next_id += count
        self.ids = np.concatenate([self.ids, fresh])
        self.boxes = np.concatenate([self.boxes, found.boxes[rest]])
        self.velocities = np.concatenate(
            [self.velocities, np.zeros((count, 2))]
        )
        self.unseen = np.concatenate([self.unseen, np.zeros(count, np.int64)])
        self.fresh = np.concatenate([self.fresh, np.ones(count, bool)])
        sources = np.concatenate([sources, numbers[rest].astype(np.int64)])
        return sources, np.concatenate([doubts, np.zeros(count)])

    def _result(self, sources, doubts):
        if self.frame_size is not None:
            self.boxes = inside(self.boxes, self.frame_size)
        lost = np.minimum(0.1 + 0.05 * self.unseen, 0.9)
        doubts = np.where(self.unseen > 0, np.maximum(doubts, lost), doubts)
        result = Linked(self.ids.copy(), self.boxes.copy(), sources, doubts)
        if self.num_objects is None:
            # Whether a gap will close is not known yet: only what is seen.
            seen = self.unseen == 0
            fields = (result.ids, result.boxes, sources, doubts)
            result = Linked(*(f[seen] for f in fields))
            alive = self.unseen <= self.max_gap
            for name in ("ids", "boxes", "velocities", "unseen", "fresh"):
                setattr(self, name, getattr(self, name)[alive])
        return result


def inside(boxes, frame_size):
    """Boxes moved so that their centres lie in the frame."""
    centre = _centres(boxes)
    shift = np.clip(centre, 0.0, np.asarray(frame_size, float)) - centre
    return boxes + np.concatenate([shift, shift], -1)


def _centres(boxes):
    return 0.5 * (boxes[:, :2] + boxes[:, 2:])


def _distances(boxes, others):
    gap = _centres(boxes)[:, None] - _centres(others)[None]
    return np.hypot(gap[..., 0], gap[..., 1])


def _doubts(cost, pairs):
    """How close each pair came to being swapped with another one."""
    doubts = np.zeros(len(cost))
    if len(pairs) < 2:
        return doubts
    i, j = (np.array(v) for v in zip(*pairs))
    square = cost[np.ix_(i, j)]
    own = np.diag(square)
    margin = square + square.T - own[:, None] - own[None]
    np.fill_diagonal(margin, np.inf)
    doubts[i] = doubt(margin.min(1))
    return doubts
