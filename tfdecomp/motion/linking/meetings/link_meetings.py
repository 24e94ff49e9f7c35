"""Who is who after a meeting: bodies from both sides, motion and looks."""

import dataclasses

import numpy as np
from scipy.optimize import linear_sum_assignment

from tfdecomp.motion.detections import FILLED
from tfdecomp.motion.linking.link_bodies import distances, not_owned
from tfdecomp.motion.linking.link_fill import NONE
from tfdecomp.motion.linking.link_measure import (
    BLOB,
    Scale,
    bulks,
    intersections,
)
from tfdecomp.motion.linking.link_paths import doubt

NEAR = 1.2  # sizes between centres of two that may be swapped
SHORT = 2  # frames between two gaps of one meeting
CLOSE = 0.4  # sizes from a body to a detection of it
AGREE = 0.25  # sizes that two runs which agree may differ by
STRENGTH = 6.0  # what agreement weighs against motion and looks
CERTAIN = 12.0  # margin of a link that needs no second look
MOST = 5000  # frames that one is followed through after it was lost


@dataclasses.dataclass
class Event:
    """A link of one track: from its last frame before to its first after."""

    track: int
    before: int
    after: int


@dataclasses.dataclass
class Meeting:
    """Events that concern each other.

    Attributes:
        first: Last frame in which all are seen, before.
        last: First frame in which all are seen again.
        tracks: Numbers of the identities.
    """

    first: int
    last: int
    tracks: list


@dataclasses.dataclass
class Decision:
    """What motion made of a meeting.

    Attributes:
        first: Last frame before it in which all are seen.
        last: First frame after it.
        members: `[k]` tracks.
        cost: `[k, k]` of each before going on as each after; the diagonal is
            what was chosen.
        doubts: `[last - first + 1, k]` of the places alone.
    """

    first: int
    last: int
    members: np.ndarray
    cost: np.ndarray
    doubts: np.ndarray


def events_of(chains, tracklets, margins):
    """Links that leave a gap or a doubt."""
    result = []
    for track, chain in enumerate(chains):
        for one, two in zip(chain, chain[1:]):
            before, after = tracklets[one].last, tracklets[two].first
            if after > before + 1 or margins.get(one, np.inf) < CERTAIN:
                result.append(Event(track, before, after))
    return sorted(result, key=lambda e: (e.before, e.after, e.track))


def meetings_of(events, tracks, scale: Scale):
    """Groups of events near each other in time and place."""
    parent = list(range(len(events)))

    def root(i):
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    open_ = []
    for number, event in enumerate(events):
        open_ = [o for o in open_ if events[o].after + SHORT >= event.before]
        for other in open_:
            if _concern(events[other], event, tracks, scale):
                parent[root(number)] = root(other)
        open_.append(number)
    groups = {}
    for number in range(len(events)):
        groups.setdefault(root(number), []).append(events[number])
    return _closed([_meeting(g) for g in groups.values()])


def _meeting(events):
    return Meeting(
        min(e.before for e in events),
        max(e.after for e in events),
        sorted({e.track for e in events}),
    )


def _closed(meetings):
    """Joins those that share an identity and a frame."""
    meetings = sorted(meetings, key=lambda m: (m.first, m.last))
    changed = True
    while changed:
        changed, result, latest = False, [], {}
        for one in meetings:
            other = next(
                (
                    latest[t]
                    for t in one.tracks
                    if t in latest and latest[t].last > one.first
                ),
                None,
            )
            if other is None:
                result.append(one)
                other = one
            else:
                other.first = min(other.first, one.first)
                other.last = max(other.last, one.last)
                other.tracks = sorted({*other.tracks, *one.tracks})
                changed = True
            for track in other.tracks:
                latest[track] = other
        meetings = sorted(result, key=lambda m: (m.first, m.last))
    return meetings


def _concern(one, two, tracks, scale):
    if one.track == two.track:
        return True
    if one.after < two.before:
        return False
    places = []
    for event in (one, two):
        boxes = tracks.boxes[[event.before, event.after], event.track]
        places.append(0.5 * (boxes[:, :2] + boxes[:, 2:]))
    gap = places[0][:, None] - places[1][None]
    # Both may move while they are not seen.
    span = max(one.after - one.before, two.after - two.before)
    near = NEAR * scale.size + min(scale.spread(span), scale.size)
    return bool(np.linalg.norm(gap, axis=-1).min() < near)


def resolve(tracks, meeting: Meeting, frames, scale, follower, ask):
    """Decides on a meeting, and fills it. Changes `tracks`.

    Args:
        tracks: With places outside of meetings.
        meeting: Which.
        frames: Cleaned `Detections`, one per frame.
        scale: Of the video.
        follower: `Follower`.
        ask: `(members, first, last) -> [k, k]` costs of going on as each
            other, by motion and looks.

    Returns:
        `[K]` what each track is called from the end of the meeting on, and
        the `Decision`; None where there was none to take.
    """
    names = np.arange(tracks.boxes.shape[1])
    first, last, members = _bounds(tracks, meeting)
    if not members or (len(members) == 1 and last - first <= SHORT):
        return names, None  # the straight way is as good
    inner = slice(first + 1, last)
    cost = ask(members, first, last)
    forward = backward = None
    if last > first + 1:
        tracks.sources[inner, members] = NONE
        forward = follower.run(members, first, last)
        backward = follower.run(members, last, first)[::-1]
        cost = cost + STRENGTH * disagreement(forward, backward, scale)
    order = linear_sum_assignment(cost)[1]
    doubted = doubt(_margin(cost, order))
    if (order != np.arange(len(members))).any():
        _swap(tracks, last, members, order)
        names[np.asarray(members)[order]] = members
    if forward is not None:
        boxes, doubts = blended(forward, backward[:, order], scale)
        tracks.boxes[inner, members] = boxes
        tracks.sources[inner, members] = FILLED
        tracks.doubts[inner, members] = doubts
        _found_again(tracks, members, first, last, frames, scale)
    rows = slice(first, last + 1)
    here = tracks.doubts[rows, members]
    tracks.doubts[rows, members] = np.maximum(here, doubted)
    cost = cost[:, order]
    return names, Decision(first, last, np.array(members), cost, here)


def _bounds(tracks, meeting):
    """Frames in which all members are seen, before and after, and members."""
    seen = tracks.sources >= 0
    members = [
        t
        for t in meeting.tracks
        if seen[: meeting.first + 1, t].any() and seen[meeting.last :, t].any()
    ]
    first, last = meeting.first, meeting.last
    while members and first > 0 and not seen[first, members].all():
        first -= 1
    while members and last < len(seen) - 1 and not seen[last, members].all():
        last += 1
    both = seen[first] & seen[last]
    return first, last, [t for t in members if both[t]]


def disagreement(forward, backward, scale):
    """`[k, k]` in `[0, 1]`, between runs from before and from after."""
    one = 0.5 * (forward[..., :2] + forward[..., 2:])
    two = 0.5 * (backward[..., :2] + backward[..., 2:])
    off = np.linalg.norm(one[:, :, None] - two[:, None], axis=-1)
    off = (off / (AGREE * scale.size)) ** 2
    return (off / (1 + off)).mean(0)


def blended(forward, backward, scale):
    """Places `[n, k, 4]` between two runs, and doubts `[n, k]`."""
    count = len(forward)
    share = (np.arange(1, count + 1) / (count + 1))[:, None]
    gap = forward - backward
    off = 0.5 * np.linalg.norm(gap[..., :2] + gap[..., 2:], axis=-1)
    off = off / (AGREE * scale.size)
    # Where they do not agree, the nearer end knows better.
    sharp = 1 + 10 * np.minimum(off, 1.0)
    weight = share**sharp / (share**sharp + (1 - share) ** sharp)
    weight = weight[..., None]
    doubts = 0.1 + 0.6 * off**2 / (1 + off**2)
    return (1 - weight) * forward + weight * backward, doubts


def _margin(cost, order):
    """How much dearer the best other exchange of two is, `[k]`."""
    count = len(order)
    if count < 2:
        return np.full(count, 50.0)
    now = cost[:, order]
    own = np.diag(now)
    other = now + now.T - own[:, None] - own[None]
    np.fill_diagonal(other, np.inf)
    return other.min(1)


def _swap(tracks, last, members, order):
    """From frame `last` on, `members[i]` is what `members[order[i]]` was."""
    source = np.asarray(members)[order]
    for values in (tracks.boxes, tracks.sources, tracks.doubts):
        values[last:, members] = values[last:, source]


def follow_to_end(tracks, track, frames, follower, step):
    """Follows one that is lost until the video ends. Changes `tracks`.

    No frame after it tells who is who, but the pixels of what it touched tell
    where it is. Those whose detections hold it, too, are followed with it.

    Args:
        tracks: With places outside of meetings and in them.
        track: Which.
        frames: Cleaned `Detections`, one per frame.
        follower: `Follower`.
        step: 1 towards the end, -1 towards the beginning.
    """
    seen = np.flatnonzero(tracks.sources[:, track] != NONE)
    if not len(seen) or follower.pixels is None:
        return
    start = int(seen[-1] if step > 0 else seen[0])
    stop = min(start + MOST, len(frames)) if step > 0 else max(start - MOST, -1)
    if stop == start + step:
        return
    members = [track, *_holders(tracks, track, start, stop, frames, follower)]
    places = follower.run(members, start, stop)
    here = slice(start + 1, stop) if step > 0 else slice(stop + 1, start)
    tracks.boxes[here, members] = places[::step]
    tracks.sources[here, members] = FILLED
    unsure = np.minimum(0.1 + 0.02 * np.arange(1, len(places) + 1), 0.9)
    tracks.doubts[here, members] = unsure[::step, None]
    _found_again(
        tracks, members, here.start - 1, here.stop, frames, follower.scale
    )


def _holders(tracks, track, start, stop, frames, follower):
    """Tracks in touch at `start` whose detections then hold two."""
    scale, step = follower.scale, 1 if stop > start else -1
    reach = 0.5 * scale.size * np.array([-1, -1, 1, 1])
    boxes = tracks.boxes[start]
    touches = intersections(boxes[[track]] + reach, boxes)[0] > 0
    touches &= tracks.sources[start] != NONE
    touches[track] = False
    times = np.arange(start + step, stop, step)
    return [
        other
        for other in np.flatnonzero(touches).tolist()
        if _holds_two(tracks.sources[times, other], times, frames, scale)
    ]


def _holds_two(sources, times, frames, scale):
    """Whether detections are mostly there, and mostly too large for one."""
    seen = sources >= 0
    if seen.mean() < 0.5:
        return False
    bulk = [
        bulks(frames[time].take(np.array([source])), scale)[0]
        for time, source in zip(times[seen].tolist(), sources[seen].tolist())
    ]
    return np.median(bulk) > BLOB


def _found_again(tracks, members, first, last, frames, scale):
    """Puts detections in the place of bodies that they lie on."""
    for time in range(first + 1, last):
        free = not_owned(frames[time], tracks.sources[time])
        if not len(free):
            continue
        found = frames[time].take(free)
        here = tracks.boxes[time, members]
        middle = 0.5 * (here[:, :2] + here[:, 2:])
        off = distances(middle, found, len(free) < len(members)) / scale.size
        off[:, bulks(found, scale) > BLOB] = 1e9
        for i, j in zip(*linear_sum_assignment(off)):
            if off[i, j] < CLOSE:
                tracks.boxes[time, members[i]] = found.boxes[j]
                tracks.sources[time, members[i]] = free[j]
