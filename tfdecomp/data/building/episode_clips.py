"""Short clips of long episodes: windows for training, whole frames for tests.

As SILOT was trained on games: a clip begins at a random half of the possible
frames and is seen through eight random windows of 72 x 72 pixels; tests show
whole frames, one clip behind the other.
"""

import dataclasses

import numpy as np

from tfdecomp.simulation import streams

_TIMED = ("position", "velocity")  # factors with a value for each frame
_EMPTY = 1e-6  # a box with a side below this is not there


@dataclasses.dataclass(frozen=True)
class ClipRule:
    """How clips are cut.

    Args:
        num_frames: `T`, frames of a clip.
        window: Side of the square windows; 0: whole frames, in clips that
            follow one another from the first frame on.
        num_windows: Windows of each clip.
        density: Share of the possible first frames at which clips with
            windows begin.

    Raises:
        ValueError: If a value makes no sense.

    Examples:
        >>> from tfdecomp.data.building.episode_clips import ClipRule
        >>> ClipRule(num_frames=8, window=0).count(frames=20)
        2
        >>> ClipRule(num_frames=8, num_windows=8, density=0.5).count(frames=21)
        56
    """

    num_frames: int = 8
    window: int = 72
    num_windows: int = 8
    density: float = 0.5

    def __post_init__(self):
        for name, least in (("num_frames", 1), ("window", 0)):
            if getattr(self, name) < least:
                raise ValueError(
                    f"{name} is {getattr(self, name)}, expected at least "
                    f"{least}"
                )
        if self.num_windows < 1 or not 0 < self.density <= 1:
            raise ValueError(
                f"num_windows is {self.num_windows} and density "
                f"{self.density}, expected at least 1, and above 0 up to 1"
            )

    def count(self, frames):
        """Examples of an episode of so many frames."""
        starts = frames - self.num_frames + 1
        if starts < 1:
            return 0
        if not self.window:
            return frames // self.num_frames
        return max(1, round(self.density * starts)) * self.num_windows

    def cuts(self, rng, frames, size):
        """Where the examples of an episode are cut.

        Args:
            rng: A `np.random.Generator`.
            frames: Frames of the episode.
            size: `(H, W)` of its frames.

        Returns:
            `[count, 3]` first frame, top and left.

        Raises:
            ValueError: If frames are smaller than a window.
        """
        if self.window > min(size):
            raise ValueError(
                f"windows of {self.window} px do not fit into frames of "
                f"{size[0]}x{size[1]}; lower window"
            )
        count = self.count(frames)
        if not self.window or not count:
            first = self.num_frames * np.arange(count)
            return np.stack([first, 0 * first, 0 * first], -1)
        starts = np.sort(
            rng.choice(
                frames - self.num_frames + 1,
                count // self.num_windows,
                replace=False,
            )
        )
        room = np.array(size) - self.window + 1
        corners = rng.integers(room, size=(count, 2))
        return np.concatenate(
            [starts.repeat(self.num_windows)[:, None], corners], -1
        )

    def cut(self, episode, place):
        """One of the examples of an episode.

        Boxes and positions are those in the window; boxes are cut to it, and
        those of what is outside become zeros with `visibility` 0.

        Args:
            episode: Dict with `video` and optionally `segmentation`
                `[N, H, W, C]`, `boxes` `[N, K, 4]`, `visibility` `[N, K]`,
                `actions` and `rewards` `[N]`, `num_objects`, and `factors`,
                of which `position` and `velocity` `[N, K, 2]` are cut, too.
            place: First frame, top and left, from `cuts`.

        Returns:
            A dict with the same keys and `frame_index`.
        """
        first, top, left = map(int, place)
        frames = slice(first, first + self.num_frames)
        height, width = episode["video"].shape[1:3]
        if self.window:
            height = width = self.window
        inside = (
            frames,
            slice(top, top + height),
            slice(left, left + width),
        )
        clip = dict(episode)
        for name in ("video", "segmentation"):
            if name in episode:
                clip[name] = episode[name][inside]
        for name in ("visibility", "actions", "rewards"):
            if name in episode:
                clip[name] = episode[name][frames]
        clip["frame_index"] = np.arange(
            frames.start, frames.stop, dtype=np.int32
        )
        if "boxes" in episode:
            clip["boxes"], seen = _cut_boxes(
                episode["boxes"][frames], (top, left), (height, width)
            )
            clip["visibility"] = clip["visibility"] & seen
        if "segmentation" in episode:
            clip["visibility"] = clip["visibility"] & _present(
                clip["segmentation"], clip["visibility"].shape[1]
            )
        clip["factors"] = {
            name: _cut_factor(name, values, frames, place)
            for name, values in episode.get("factors", {}).items()
        }
        return clip


def _cut_boxes(boxes, corner, size):
    """Boxes within a window, and which of them are not empty."""
    boxes = boxes - np.tile(corner, 2).astype(np.float32)
    boxes = boxes.clip(0, np.tile(size, 2)).astype(np.float32)
    seen = (boxes[..., 2:] - boxes[..., :2]).min(-1) >= _EMPTY
    boxes[~seen] = 0
    return boxes, seen.astype(np.uint8)


def _present(segmentation, slots):
    """`[T, K]` uint8, whether a label occurs in a frame."""
    counts = [np.bincount(f.ravel(), None, slots + 1) for f in segmentation]
    return (np.stack(counts)[:, 1 : slots + 1] > 0).astype(np.uint8)


def _cut_factor(name, values, frames, place):
    if name not in _TIMED:
        return values
    values = values[frames]
    if name != "position":
        return values
    corner = np.array(place[1:], values.dtype)
    return np.where(values.any(-1, keepdims=True), values - corner, values)


def generate(
    rule,
    make_episodes,
    frames,
    size,
    dataset,
    split,
    start,
    stop,
    *,
    seed,
    stream,
    fresh=False,
):
    """Examples `start`, ..., `stop - 1` of a split of generated episodes.

    Args:
        rule: A `ClipRule`.
        make_episodes: Function `(split, start, stop, seed=, stream=, fresh=)`
            to a list of episodes, see `ClipRule.cut`.
        frames: Frames of each episode.
        size: `(H, W)` of its frames.
        dataset: Name of the dataset.
        split: Name of the split.
        start: First index.
        stop: Index after the last one.
        seed: Seed of the dataset.
        stream: Name of the stream of episodes.
        fresh: Whether to make clips that no stored split holds.

    Returns:
        A list of dicts, see `ClipRule.cut`.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.building.episode_clips import ClipRule, generate
        >>> make = lambda *_, **__: [{"video": np.zeros([20, 9, 9, 3])}]
        >>> place = 20, (9, 9), "a", "train", 0, 2  # frames, size, ..., stop
        >>> clips = generate(ClipRule(8, 0), make, *place, seed=0, stream="a")
        >>> [int(clip["frame_index"][0]) for clip in clips]
        [0, 8]
    """
    number = streams.split_id(split, fresh=fresh)
    per_episode = rule.count(frames)
    known, examples = None, []
    for index in range(start, stop):
        turn, place = divmod(index, per_episode)
        if turn != known:
            (episode,) = make_episodes(
                split, turn, turn + 1, seed=seed, stream=stream, fresh=fresh
            )
            # The episode is the same, however it is cut.
            rng = streams.example_rng(
                seed, dataset, f"{stream} clips", number, turn
            )
            cuts, known = rule.cuts(rng, frames, size), turn
        examples.append(rule.cut(episode, cuts[place]))
    return examples
