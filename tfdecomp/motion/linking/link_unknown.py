"""Objects that come and go."""

import numpy as np

from tfdecomp.motion.linking import (
    link_changes,
    link_merges,
    link_paths,
    link_together,
)
from tfdecomp.motion.linking.link_appearance import Looks, describe
from tfdecomp.motion.linking.link_bodies import Pixels
from tfdecomp.motion.linking.link_ends import extend
from tfdecomp.motion.linking.link_fill import Tracks, fill
from tfdecomp.motion.linking.link_measure import START_SCORE, Scale
from tfdecomp.motion.linking.link_parts import join_parts

SHORTEST = 3  # frames of a track that is believed
RARE = 0.4  # of its frames: seen less, a chain is one of accidents
WELL = 0.8  # of its frames is followed well
LASTS = 10  # frames of what is believed in such a chain
ROOM = 10  # frames between two tracks in a column, into which both may grow
STILL = 0.25  # of its own size: moves less, and is not seen to travel


def tracks_of_unknown(
    tracklets, frames, scale: Scale, max_gap, foreground=None, frame_size=None
):
    """Tracks that are born and die.

    Args:
        tracklets: In the order of their first frames.
        frames: Cleaned `Detections`, one per frame.
        scale: Of the video.
        max_gap: Frames that a track may be unseen for.
        foreground: `t -> (mask, scale)`, or None; tells parts of one object.
        frame_size: `(height, width)`, pixels, or None: who leaves the frame
            does not come back as who was elsewhere.

    Returns:
        `Tracks`.
    """
    num_frames = len(frames)
    if not tracklets:
        return Tracks(num_frames, 0)
    several = []
    if foreground is not None:
        several = link_merges.holders(tracklets, max_gap)
    settings = scale, max_gap, frame_size
    halves = describe(tracklets)
    chains, margins = _chains(tracklets, halves, several, *settings)
    passings, left = link_merges.passings(several, tracklets, chains)
    if left:
        # Nobody bridges those: they are what they seem to be.
        several = sorted(set(several) - set(left))
        chains, margins = _chains(tracklets, halves, several, *settings)
        passings, _ = link_merges.passings(several, tracklets, chains)
    believed = [[tracklets[n] for n in c] for c in chains]
    keep = _believed(believed, scale, num_frames)
    order = [n for n, good in enumerate(keep) if good]
    order.sort(key=lambda n: tracklets[chains[n][0]].first)
    new = {old: number for number, old in enumerate(order)}
    chains = [chains[n] for n in order]
    lives = _columns(
        [(tracklets[c[0]].first, tracklets[c[-1]].last) for c in chains]
    )
    width = max((life[0] for life in lives), default=-1) + 1
    tracks = Tracks(num_frames, width)
    for number, (chain, life) in enumerate(zip(chains, lives)):
        tracks.ids[life[1] : life[2] + 1, life[0]] = number + 1
        _enter(tracks, life[0], chain, tracklets, margins)
    pixels = None if foreground is None else Pixels(foreground)
    for passing in passings:
        passing.gaps = {
            new[c]: gap for c, gap in passing.gaps.items() if c in new
        }
        if passing.gaps:
            link_merges.place(tracks, lives, passing, pixels, scale, frames)
    lives = sorted(extend(tracks, lives, frames), key=lambda life: life[1])
    if foreground is not None:
        lives = join_parts(tracks, lives, foreground, scale)
        lives = link_together.part(tracks, lives, pixels)
        for number, (column, first, last) in enumerate(lives):
            tracks.ids[first : last + 1, column] = number + 1
    return tracks


def _chains(tracklets, halves, without, scale, max_gap, frame_size):
    """Chains of numbers of tracklets, and margins of their links."""
    numbers = np.setdiff1d(np.arange(len(tracklets)), without)
    used = [tracklets[n] for n in numbers]
    ends = link_paths.Ends.of(used)
    looks = Looks(used, [looks[numbers] for looks in halves])
    i, j, cost = link_paths.candidates(ends, scale, max_gap)
    if frame_size is not None:
        stays = ~_left(ends, i, j, frame_size)
        i, j, cost = i[stays], j[stays], cost[stays]
    edges = i, j, cost + looks.cost(i, j)
    edges = link_changes.weigh(ends, edges, looks.cost, scale, frame_size)
    successor, starts = link_paths.cover_likely(ends, edges, scale, max_gap)
    margins = link_paths.margins(successor, edges)
    chains = [
        part
        for chain in link_paths.chains(successor, starts)
        for part in _dense(chain, used)
    ]
    named = {int(numbers[n]): margin for n, margin in margins.items()}
    return [numbers[c].tolist() for c in chains], named


def _dense(chain, tracklets, share=RARE):
    """Parts of a chain that are seen most of the time.

    Seen rarely, it is one of accidents; but what was followed well for a
    while stays, whatever accidents come after it.
    """
    pieces = [tracklets[n] for n in chain]
    seen, span = sum(map(len, pieces)), pieces[-1].last - pieces[0].first + 1
    if seen >= share * span:
        return [chain]
    gaps = [two.first - one.last for one, two in zip(pieces, pieces[1:])]
    cut = int(np.argmax(gaps)) + 1
    parts = chain[:cut], chain[cut:]
    dense = [p for half in parts for p in _dense(half, tracklets, WELL)]
    return [p for p in dense if sum(len(tracklets[n]) for n in p) >= LASTS]


def _left(ends, i, j, frame_size):
    """`[k]` whether `i` went out of the frame, or `j` came into it."""
    out = _crosses(ends.end_box, ends.end_velocity, frame_size)[i]
    out |= _crosses(ends.start_box, -ends.start_velocity, frame_size)[j]
    # From one frame to the next, half of it is still to be seen.
    return out & (ends.first[j] - ends.last[i] > 1)


def _crosses(boxes, velocities, frame_size):
    """`[n]` whether boxes at the frame's edge move towards it."""
    margin = np.abs(velocities).max(-1, initial=1.0)[:, None]
    low = (boxes[:, :2] <= margin) & (velocities <= 0)
    high = (boxes[:, 2:] >= np.array(frame_size) - margin) & (velocities >= 0)
    return (low | high).any(-1)


def _columns(spans):
    """`[(column, first, last)]`: tracks share a column one after the other.

    Thousands of short tracks in a long video would not fit otherwise. Ends
    may still be found to be later, see `link_ends`, so there is room between.
    """
    free, result = [], []
    for first, last in spans:
        column = next(
            (c for c, end in enumerate(free) if end + ROOM < first), len(free)
        )
        if column == len(free):
            free.append(last)
        free[column] = last
        result.append((column, first, last))
    return result


def _enter(tracks, column, chain, tracklets, margins):
    """Enters a chain of tracklets, and what lies between them."""
    for number in chain:
        tracks.put(column, tracklets[number])
    for number, follower in zip(chain, chain[1:]):
        first, last = tracklets[number].last, tracklets[follower].first
        if number in margins:
            doubt = link_paths.doubt(margins[number])
            tracks.doubted(first, last, column, doubt)
        if last > first + 1:
            fill(tracks, column, first + 1, last - 1)


def _believed(chains, scale, num_frames):
    """Which tracks are of something."""
    travel = [_travel(chain) for chain in chains]
    sure = [max(t.scores.max() for t in chain) for chain in chains]
    length = np.array([sum(len(t) for t in chain) for chain in chains])
    span = np.array([c[-1].last - c[0].first + 1 for c in chains])
    counted = scale.area > 0
    travels = np.array(travel) > 1.0
    weight = length[travels].sum() / max(length.sum(), 1)
    keep = []
    for number, chain in enumerate(chains):
        nothing = counted and all(t.areas.max() <= 0 for t in chain)
        mean = np.concatenate([t.scores for t in chain]).mean()
        short = length[number] < min(SHORTEST, num_frames)
        flicker = (
            travel[number] < STILL
            and weight > 0.5
            and length[number] < 0.7 * span[number]
        )
        unsure = sure[number] < START_SCORE or mean < 0.35
        keep.append(not (nothing or short or flicker or unsure))
    return keep


def _travel(chain):
    """Distance between the farthest places, in own sizes."""
    places = np.concatenate([t.centres for t in chain])
    size = np.median([t.size for t in chain])
    return float(np.linalg.norm(np.ptp(places, 0)) / max(size, 1e-9))
