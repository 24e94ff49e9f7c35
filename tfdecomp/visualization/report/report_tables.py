"""What a report of tracks is made from, and the numbers drawn from it."""

import dataclasses

import numpy as np


@dataclasses.dataclass
class TrackTable:
    """Tracks as columns: one row for each object and frame, in any order.

    Attributes:
        frames: `[n]` int64, number of the frame, from 0.
        times: `[n]` float64 seconds.
        ids: `[n]` int64, number of the track, from 1.
        boxes: `[n, 4]` float64 `(ymin, xmin, ymax, xmax)`, pixel edges.
        doubts: `[n]` in `[0, 1]`; 0 is certain.
        filled: `[n]` bool, where nothing was found and the place was filled
            in.
    """

    frames: np.ndarray
    times: np.ndarray
    ids: np.ndarray
    boxes: np.ndarray
    doubts: np.ndarray
    filled: np.ndarray

    def __post_init__(self):
        self.frames = np.asarray(self.frames, np.int64).reshape(-1)
        self.times = np.asarray(self.times, np.float64).reshape(-1)
        self.ids = np.asarray(self.ids, np.int64).reshape(-1)
        self.boxes = np.asarray(self.boxes, np.float64).reshape(-1, 4)
        self.doubts = np.asarray(self.doubts, np.float64).reshape(-1)
        self.filled = np.asarray(self.filled, bool).reshape(-1)
        lengths = {
            f.name: len(getattr(self, f.name)) for f in dataclasses.fields(self)
        }
        if len(set(lengths.values())) > 1:
            raise ValueError(
                f"expected columns of one length, got {lengths}; give one row "
                "for each object and frame"
            )

    def __len__(self):
        return len(self.frames)

    @property
    def centres(self):
        """`[n, 2]` `(y, x)`."""
        return 0.5 * (self.boxes[:, :2] + self.boxes[:, 2:])

    def check(self, name, num_frames):
        """Refuses frames outside the video.

        Raises:
            ValueError: If a frame is not in `[0, num_frames)`.
        """
        if not len(self):
            return
        first, last = int(self.frames.min()), int(self.frames.max())
        if first < 0 or last >= num_frames:
            raise ValueError(
                f"expected frames of {name} from 0 to {num_frames - 1}, got "
                f"{first} to {last}; give num_frames of the whole video"
            )


@dataclasses.dataclass
class Doubtful:
    """A stretch of video that a person should look at.

    Attributes:
        first: Its first frame.
        last: Its last frame, inclusive.
        time: Seconds at which it starts.
        ids: Numbers of the tracks that it concerns.
        kind: One word, such as "crossing", "vanishing" or "jump".
        doubt: In `[0, 1]`.
        sentence: What happened, for a reader.
    """

    first: int
    last: int
    time: float
    ids: tuple
    kind: str
    doubt: float
    sentence: str


def by_track(table) -> dict[int, np.ndarray]:
    """Rows of each track, `{id: [m]}`, by frame; ids ascend."""
    if not len(table):
        return {}
    order = np.lexsort([table.frames, table.ids])
    ids, starts = np.unique(table.ids[order], return_index=True)
    return dict(zip(ids.tolist(), np.split(order, starts[1:])))


def spans(frames, bridge=0) -> np.ndarray:
    """Runs of frames.

    Args:
        frames: `[n]` int, ascending.
        bridge: Gaps of at most this many frames do not end a run.

    Returns:
        `[m, 2]` int64 `(first, end)`, half-open.
    """
    frames = np.asarray(frames, np.int64)
    if not len(frames):
        return np.zeros((0, 2), np.int64)
    breaks = np.flatnonzero(np.diff(frames) > 1 + bridge)
    first = frames[np.concatenate([[0], breaks + 1])]
    last = frames[np.concatenate([breaks, [len(frames) - 1]])]
    return np.stack([first, last + 1], -1)


def bridged(runs, bridge) -> np.ndarray:
    """The runs `[m, 2]`, ascending, joined over gaps of `bridge` frames."""
    if len(runs) < 2 or not bridge:
        return runs
    breaks = runs[1:, 0] - np.maximum.accumulate(runs[:, 1])[:-1] > bridge
    first = runs[np.concatenate([[True], breaks]), 0]
    last = np.maximum.accumulate(runs[:, 1])[np.append(breaks, True)]
    return np.stack([first, last], -1)


def gaps(runs) -> np.ndarray:
    """`[m - 1, 2]` half-open stretches between the runs `[m, 2]`."""
    return np.stack([runs[:-1, 1], runs[1:, 0]], -1)


def counts(table, num_frames) -> np.ndarray:
    """Objects in each frame, `[num_frames]` int64."""
    return np.bincount(table.frames, minlength=num_frames)


@dataclasses.dataclass
class Binned:
    """Counts over bins of frames.

    Attributes:
        edges: `[b + 1]` int64, first frames of the bins and the end.
        low: `[b]` int64, smallest count in the bin.
        middle: `[b]` int64, its median; the lower of the two in the middle.
        high: `[b]` int64, largest count in the bin.
    """

    edges: np.ndarray
    low: np.ndarray
    middle: np.ndarray
    high: np.ndarray


def binned(values, num_bins) -> Binned:
    """Smallest, median and largest of `values` `[n]` in up to `num_bins`."""
    num_bins = min(num_bins, len(values))
    edges = np.arange(num_bins + 1) * len(values) // num_bins
    low, middle, high = [], [], []
    for start, end in zip(edges[:-1], edges[1:]):
        ordered = np.sort(values[start:end])
        low.append(ordered[0])
        middle.append(ordered[(len(ordered) - 1) // 2])
        high.append(ordered[-1])
    return Binned(edges, *map(np.array, (low, middle, high)))


@dataclasses.dataclass
class Summary:
    """Tracks in a few numbers.

    Attributes:
        num_tracks: How many there are.
        median_length: Median number of frames that a track has a place in.
        num_gaps: Stretches inside tracks without a place.
        common_count: The count that most frames have; ties to the lower.
        common_frames: Number of frames that have it.
        filled: Share of places that were filled in.
    """

    num_tracks: int
    median_length: float
    num_gaps: int
    common_count: int
    common_frames: int
    filled: float


def summary(table, num_frames, count=None) -> Summary:
    """Tracks in a few numbers.

    Args:
        table: `TrackTable`.
        num_frames: Frames of the video.
        count: How many objects are there, if it is known; it stands in for
            the count that most frames have.
    """
    tracks = by_track(table)
    lengths = [len(rows) for rows in tracks.values()]
    frequency = np.bincount(counts(table, num_frames), minlength=1)
    common = int(np.argmax(frequency)) if count is None else int(count)
    return Summary(
        num_tracks=len(tracks),
        median_length=float(np.median(lengths)) if lengths else 0.0,
        num_gaps=sum(
            len(spans(table.frames[rows])) - 1 for rows in tracks.values()
        ),
        common_count=common,
        common_frames=int(frequency[common]) if common < len(frequency) else 0,
        filled=float(table.filled.mean()) if len(table) else 0.0,
    )
