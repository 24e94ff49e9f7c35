"""What was found in a frame, and which track it belongs to."""

import dataclasses

import numpy as np

FILLED = -1  # source of a place that nothing was found at


@dataclasses.dataclass
class Detections:
    """What a model or background subtraction found in one frame.

    Attributes:
        boxes: `[n, 4]` float64 `(ymin, xmin, ymax, xmax)`, pixel edges.
        scores: `[n]` in `[0, 1]`, how sure each is: a presence.
        areas: `[n]` pixels of what differs from the background inside.
        features: `[n, D]` float32 appearance, close for what looks alike; D
            may be 0.
        numbers: `[n]` int64, track that the finder itself gave, from 1; 0 for
            none. A hint, no more.
    """

    boxes: np.ndarray
    scores: np.ndarray
    areas: np.ndarray
    features: np.ndarray
    numbers: np.ndarray

    def __post_init__(self):
        count = len(self.boxes)
        self.boxes = np.asarray(self.boxes, np.float64).reshape(count, 4)
        self.scores = np.asarray(self.scores, np.float64).reshape(count)
        self.areas = np.asarray(self.areas, np.float64).reshape(count)
        self.features = np.asarray(self.features, np.float32)
        self.features = self.features.reshape(count, -1 if count else 0)
        self.numbers = np.asarray(self.numbers, np.int64).reshape(count)

    def __len__(self):
        return len(self.boxes)

    @property
    def centres(self):
        """`[n, 2]` `(y, x)`."""
        return 0.5 * (self.boxes[:, :2] + self.boxes[:, 2:])

    @property
    def sides(self):
        """`[n, 2]` `(h, w)`."""
        return self.boxes[:, 2:] - self.boxes[:, :2]

    def take(self, chosen):
        """Those of these numbers, or of a mask."""
        fields = (f.name for f in dataclasses.fields(self))
        return Detections(**{n: getattr(self, n)[chosen] for n in fields})


def stand_apart(boxes, margin):
    """`[n]` bool, which of boxes `[n, 4]` meet no other one.

    Args:
        boxes: `(ymin, xmin, ymax, xmax)`.
        margin: Pixels between two that do not meet.
    """
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    return (high - low > -margin).all(-1).sum(1) == 1


@dataclasses.dataclass
class Linked:
    """The tracks of one frame.

    Attributes:
        ids: `[m]` int64, numbers of tracks, from 1, no two alike.
        boxes: `[m, 4]` float64.
        sources: `[m]` int64, number of the detection, or `FILLED` where the
            place was filled in from before, after, or from the foreground.
        doubts: `[m]` in `[0, 1]`, how close another identity or place came
            to being chosen; 0 is certain.
    """

    ids: np.ndarray
    boxes: np.ndarray
    sources: np.ndarray
    doubts: np.ndarray
