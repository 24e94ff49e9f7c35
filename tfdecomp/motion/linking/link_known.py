"""Exactly N identities: none is born, none is lost."""

import numpy as np

from tfdecomp.motion.linking import link_paths
from tfdecomp.motion.linking.link_appearance import Looks
from tfdecomp.motion.linking.link_bodies import Follower, Pixels
from tfdecomp.motion.linking.link_fill import Tracks, fill_all, fill_inner
from tfdecomp.motion.linking.link_measure import (
    BLOB,
    Scale,
    extents,
    intersections,
)
from tfdecomp.motion.linking.meetings import link_identities
from tfdecomp.motion.linking.meetings.link_meetings import (
    events_of,
    follow_to_end,
    meetings_of,
    resolve,
)

BELIEVED = 3  # frames of a tracklet that tells identities apart


def tracks_of_known(
    tracklets,
    frames,
    scale: Scale,
    num_objects,
    max_gap,
    foreground=None,
    album=None,
):
    """Paths of `num_objects` identities through all frames.

    Args:
        tracklets: In the order of their first frames.
        frames: Cleaned `Detections`, one per frame.
        scale: Of the video.
        num_objects: Identities there are.
        max_gap: Frames that motion bridges without a second thought.
        foreground: `t -> (mask, scale)`, or None.
        album: `motion.portraits.Album` of detections in `frames`, or None.

    Returns:
        `Tracks` of as many identities as can be told apart.
    """
    num_frames = len(frames)
    blobs = merged_ones(tracklets, scale, num_objects, num_frames)
    single = [t for t, is_blob in zip(tracklets, blobs) if not is_blob]
    if not single:
        return Tracks(num_frames, 0)
    ends, looks = link_paths.Ends.of(single), Looks(single)
    i, j, cost = link_paths.candidates(ends, scale, max_gap, far=True)
    count = told_apart(ends, (i, j, cost), scale, max_gap, num_frames)
    count = min(num_objects, count)
    if not count:
        return Tracks(num_frames, 0)
    # No place is less likely than any place.
    anywhere = np.log(link_paths.room(ends, scale)) + link_paths.STRANGE
    edges = i, j, np.minimum(cost, anywhere) + looks.cost(i, j)
    here = present(single, num_frames)
    crowded = np.array(
        [here[t.first : t.last + 1].max() > count for t in single]
    )
    successor, starts = link_paths.cover_known(
        ends, edges, num_frames, count, crowded
    )
    chains = link_paths.chains(successor, starts)[:count]
    tracks = Tracks(num_frames, count)
    for track, chain in enumerate(chains):
        for number in chain:
            tracks.put(track, single[number])
    margins = link_paths.margins(successor, edges)
    pixels = None if foreground is None else Pixels(foreground)
    follower = Follower(tracks, pixels, scale, frames)
    decisions = _meet(tracks, chains, single, margins, looks, frames, follower)
    if album is not None:

        def motion(members, first, last):
            return _motion(tracks, members, first, last, scale)

        link_identities.apply(
            decisions, tracks, frames, follower, album, motion
        )
    fill_inner(tracks)
    for track in range(count):
        follow_to_end(tracks, track, frames, follower, 1)
        follow_to_end(tracks, track, frames, follower, -1)
    fill_all(tracks)
    return tracks


def _meet(tracks, chains, single, margins, looks, frames, follower):
    """Decides on all meetings once more, in the order of time.

    Returns:
        The `Decision`s.
    """
    scale = follower.scale
    costs = Costs(single, looks, scale)
    events = events_of(chains, single, margins)
    # An exchange holds for the rest of the video, and later meetings must
    # know it.
    now, decisions = np.arange(len(chains)), []
    for meeting in meetings_of(events, tracks, scale):
        meeting.tracks = now[meeting.tracks].tolist()
        ask = costs.of(tracks)
        order, decision = resolve(tracks, meeting, frames, scale, follower, ask)
        now = order[now]
        if decision is not None:
            decisions.append(decision)
    return decisions


class Costs:
    """Costs of identities before a meeting going on as others after it."""

    def __init__(self, tracklets, looks, scale):
        self.looks, self.scale = looks, scale
        self.owner = {}
        for number, piece in enumerate(tracklets):
            for offset, source in enumerate(piece.sources.tolist()):
                self.owner[piece.first + offset, source] = number

    def of(self, tracks):
        """The function that `resolve` asks."""

        def ask(members, first, last):
            one = self._pieces(tracks, first, members)
            two = self._pieces(tracks, last, members)
            i, j = np.meshgrid(one, two, indexing="ij")
            looks = self.looks.cost(i.ravel(), j.ravel()).reshape(i.shape)
            motion = _motion(tracks, members, first, last, self.scale)
            return looks + motion

        return ask

    def _pieces(self, tracks, time, members):
        sources = tracks.sources[time, members]
        return np.array([self.owner[time, int(s)] for s in sources])


def _motion(tracks, members, first, last, scale):
    """`[k, k]` costs of going from places at `first` to those at `last`."""
    here, velocity = _state(tracks, members, first, -1)
    there, origin = _state(tracks, members, last, 1)
    travel = scale.travel(last - first)
    ahead = (here + travel * velocity)[:, None] - there[None]
    behind = (there - travel * origin)[None] - here[:, None]
    off = np.sqrt(0.5 * ((ahead**2).sum(-1) + (behind**2).sum(-1)))
    off = off / scale.pace(first, last)
    return link_paths.surprise(off, last - first, scale)


def _state(tracks, members, time, side):
    """Places `[k, 2]` and velocities in a frame, seen from one side."""
    boxes = tracks.boxes[:, members]
    seen = tracks.sources[:, members] >= 0
    place = 0.5 * (boxes[time, :, :2] + boxes[time, :, 2:])
    velocity = np.zeros_like(place)
    other = time + 3 * side
    if 0 <= other < len(boxes):
        known = seen[min(time, other) : max(time, other) + 1].all(0)
        there = 0.5 * (boxes[other, :, :2] + boxes[other, :, 2:])
        velocity = np.where(known[:, None], (there - place) / (3 * side), 0.0)
    return place, velocity


def told_apart(ends, edges, scale, max_gap, num_frames):
    """How many are there at once, in more than a few frames.

    Args:
        ends: Of tracklets of single objects.
        edges: `(i, j, cost)` of what may go on as what.
        scale: Of the video.
        max_gap: Frames that motion bridges.
        num_frames: Of the video.
    """
    likely = link_paths.cover_likely(ends, edges, scale, max_gap)
    change = np.zeros(num_frames + 1, int)
    for chain in link_paths.chains(*likely):
        length = ends.length[chain].sum()
        if ends.sure[chain].any() and length >= min(BELIEVED, num_frames):
            change[ends.first[chain[0]]] += 1
            change[ends.last[chain[-1]] + 1] -= 1
    counts = np.sort(np.cumsum(change)[:-1])[::-1]
    # A double may live for a moment.
    most = int(counts[min(max(BELIEVED, num_frames // 100), num_frames) - 1])
    return max(most, int(ends.sure.any()))


def present(tracklets, num_frames):
    """`[T]` tracklets in each frame."""
    change = np.zeros(num_frames + 1, int)
    for piece in tracklets:
        change[piece.first] += 1
        change[piece.last + 1] -= 1
    return np.cumsum(change)[:-1]


def merged_ones(tracklets, scale: Scale, num_objects, num_frames):
    """`[n]` bool: which hold several objects in one box.

    Larger than what ended or began there, in frames in which somebody is
    missing.
    """
    here = present(tracklets, num_frames)
    by_start, by_end = {}, {}
    for piece in tracklets:
        by_start.setdefault(piece.first, []).append(piece)
        by_end.setdefault(piece.last, []).append(piece)
    result = np.zeros(len(tracklets), bool)
    for number, piece in enumerate(tracklets):
        missing = here[piece.first : piece.last + 1] < num_objects
        if missing.mean() < 0.5:
            continue
        single = _size_of_one(piece, by_start, by_end, scale)
        result[number] = _bulk(piece, scale) > BLOB * single
    return result


def _bulk(piece, scale):
    """Pixels of a tracklet, or the extent of its box."""
    return piece.area if scale.area > 0 and piece.area > 0 else piece.size**2


def _size_of_one(piece, by_start, by_end, scale):
    """Size of the larger one of those that went into a piece, or came out."""
    sizes = []
    for offset in range(1, 4):
        into = by_end.get(piece.first - offset, [])
        out = by_start.get(piece.last + offset, [])
        for other, box in [(o, piece.boxes[0]) for o in into] + [
            (o, piece.boxes[-1]) for o in out
        ]:
            edge = other.boxes[-1] if other in into else other.boxes[0]
            shared = intersections(box[None], edge[None])[0, 0]
            if shared > 0.3 * extents(edge[None])[0] and len(other) >= BELIEVED:
                sizes.append(_bulk(other, scale))
    typical = scale.area if scale.area > 0 else scale.size**2
    # Two blobs may follow each other: bounded by what is typical.
    return min(max(sizes), 1.5 * typical) if sizes else typical
