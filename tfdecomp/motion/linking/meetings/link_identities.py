"""Who is who over the whole video, by what each one looks like.

Motion decides on a meeting from the frames around it; a wrong choice holds for
the rest of the video. Looks can tell it minutes later. Between meetings each
track has stretches that belong to one animal; what each animal looks like is
the mean of its stretches. The orders of all meetings are chosen together: by
what motion made of each, and by how well every stretch then looks like its
animal. As in expectation maximisation the two are repeated in turns.
"""

import numpy as np

from tfdecomp.motion.linking.link_paths import doubt
from tfdecomp.motion.linking.meetings.link_meetings import (
    NEAR,
    STRENGTH,
    Decision,
    Meeting,
    resolve,
)
from tfdecomp.motion.linking.meetings.link_orders import Meetings
from tfdecomp.motion.linking.meetings.link_stretches import (
    Stretches,
    StretchLooks,
)

TURNS = 12  # of the repetition, at most
BATCH = 64  # ways that are weighed at once
ANCHORS = 5  # frames from which names are handed out anew
UNSURE = 3.0  # margin, in nats, below which an order is doubtful


def reconsider(decisions, tracks, shown, describe):
    """Orders of all meetings by motion and looks.

    Args:
        decisions: `Decision`s, in the order of their last frames.
        tracks: `Tracks` under what motion chose.
        shown: `[T]` dicts from a detection to the number of its portrait.
        describe: `stretch [n] -> features [n, D]` of portraits, of which the
            stretches are known that they belong to; None if they tell
            nothing.

    Returns:
        `[D]` orders, and `[D]` margins; None if looks tell nothing.
    """
    count = tracks.boxes.shape[1]
    number = 1 + max((max(d.values(), default=-1) for d in shown), default=-1)
    if not decisions or count < 2 or not number:
        return None
    stretches = Stretches.of(decisions, tracks, shown)
    features = describe(stretches.of_rows(number))
    if features is None:
        return None
    looks = StretchLooks(features, stretches, count)
    meetings = Meetings(decisions, stretches, count)
    unchanged = [np.arange(len(d.members)) for d in decisions]
    found = [
        _turns(meetings, looks, names)
        for names in _starts(meetings, unchanged, looks)
    ]
    orders = min(found, key=lambda f: f[1])[0]
    return _settled(meetings, looks, orders)


def _settled(meetings, looks, orders):
    """Orders that no other one nearby is better than, and their margins."""
    for _ in range(TURNS):
        changes, extra = _weighed(meetings, looks, orders)
        better = [
            change
            for change, more in sorted(
                zip(changes, extra), key=lambda pair: pair[1]
            )
            if more < -1e-6
        ]
        if not better:
            break
        orders = _taken(meetings, looks, orders, better)
    margins = np.full(len(orders), np.inf)
    for change, more in zip(changes, extra):
        for number in change.orders:
            margins[number] = min(margins[number], more)
    return orders, np.maximum(margins, 0.0)


def _weighed(meetings, looks, orders):
    """Changes, and how much dearer each is."""
    changes = meetings.others(orders)
    names, after = meetings.names(orders), meetings.stretches.after
    now = looks.totals(names[None])
    extra = [np.zeros(0)]
    for start in range(0, len(changes), BATCH):
        part = changes[start : start + BATCH]
        renamed = np.stack([change.names(names, after) for change in part])
        motion = np.array([change.extra for change in part])
        extra.append(looks.totals(renamed) - now + motion)
    return changes, np.concatenate(extra)


def _taken(meetings, looks, orders, better):
    """Orders after all changes that do not concern each other.

    If these are not as good together as the best one alone, that one.
    """
    chosen = []
    for change in better:
        if all(change.apart(other) for other in chosen):
            chosen.append(change)
    both = []
    for part in (better[:1], chosen):
        now = list(orders)
        for change in part:
            for number, order in change.orders.items():
                now[number] = order
        both.append(now)
    return min(both, key=lambda now: _energy(meetings, looks, now))


def _energy(meetings, looks, orders):
    names = meetings.names(orders)
    return float(looks.totals(names[None])[0] + meetings.dearer(orders))


def _starts(meetings, unchanged, looks):
    """Names to begin with: as motion has it, and from quiet moments on."""
    names = meetings.names(unchanged)
    yield names
    stretches = meetings.stretches
    # A moment is quiet if all are then in long stretches.
    quiet = {}
    for number in range(len(meetings.decisions) + 1):
        here = (stretches.after < number) & (stretches.before >= number)
        if here.sum() == meetings.count:
            members = tuple(np.flatnonzero(here))
            quiet[members] = looks.counts[list(members)].min()
    for members in sorted(quiet, key=quiet.get, reverse=True)[:ANCHORS]:
        yield _nearest(looks, list(members), stretches.track, names)


def _nearest(looks, members, track, names):
    """Each stretch is named after the one of `members` that it looks like."""
    gap = looks.means[:, None] - looks.means[None, members]
    result = track[members][(gap**2).sum(-1).argmin(1)]
    return np.where(looks.used, result, names)


def _turns(meetings, looks, names):
    """The best orders on the way from these names, and their energy."""
    best = None
    for _ in range(TURNS):
        costs = looks.costs(names)
        orders = meetings.best(costs)
        later = meetings.names(orders)
        energy = _energy(meetings, looks, orders)
        if best is None or energy < best[1]:
            best = orders, energy
        if (later == names).all():
            break
        names = later
    return best


def apply(decisions, tracks, frames, follower, album, motion):
    """Decides on meetings once more, by looks too. Changes `tracks`.

    Args:
        decisions: What motion made of them.
        tracks: `Tracks` under that.
        frames: Cleaned `Detections`, one per frame.
        follower: `Follower`.
        album: `motion.portraits.Album` of the detections in `frames`.
        motion: `(members, first, last) -> [k, k]` costs of going on as each
            other.
    """
    decisions = merged(decisions, tracks, follower.scale, motion)
    chosen = reconsider(decisions, tracks, album.rows, album.describe)
    if chosen is None:
        return
    album.outcome.update(_outcome(*chosen))
    place = np.arange(tracks.boxes.shape[1])
    for decision, order, margin in zip(decisions, *chosen):
        here = place[decision.members]
        if (order != np.arange(len(order))).any():
            ask = _ordered(here, order)
            meeting = Meeting(decision.first, decision.last, here.tolist())
            _, again = resolve(
                tracks, meeting, frames, follower.scale, follower, ask
            )
            place[decision.members] = here[order]
            decision = again or decision
            here = decision.members if again else here
        rows = slice(decision.first, decision.last + 1)
        unsure = np.maximum(decision.doubts, doubt(margin))
        tracks.doubts[rows, here] = unsure


def _outcome(orders, margins):
    return {
        "meetings": sum(len(order) > 1 for order in orders),
        "changed": sum(
            bool((order != np.arange(len(order))).any()) for order in orders
        ),
        "unsure": int((margins < UNSURE).sum()),
    }


def merged(decisions, tracks, scale, motion):
    """Joins decisions whose members came near each other.

    Where each is in a meeting is known only after it was decided.
    """
    groups = []
    for decision in sorted(decisions, key=lambda d: (d.last, d.first)):
        near = [g for g in groups if _came_near(g, decision, tracks, scale)]
        groups = [g for g in groups if all(g is not n for n in near)]
        groups.append([d for g in near for d in g] + [decision])
    joined = [_joined(group, tracks, motion) for group in groups]
    return sorted(joined, key=lambda d: (d.last, d.first))


def _came_near(group, decision, tracks, scale):
    if any(set(other.members) & set(decision.members) for other in group):
        return False
    for other in group:
        first = max(other.first, decision.first)
        last = min(other.last, decision.last)
        if first >= last:
            continue
        one = tracks.boxes[first : last + 1, other.members]
        two = tracks.boxes[first : last + 1, decision.members]
        gap = (one[..., :2] + one[..., 2:])[:, :, None]
        gap = 0.5 * (gap - (two[..., :2] + two[..., 2:])[:, None])
        if np.linalg.norm(gap, axis=-1).min() < NEAR * scale.size:
            return True
    return False


def _joined(group, tracks, motion):
    if len(group) == 1:
        return group[0]
    members = np.concatenate([d.members for d in group])
    first, last = min(d.first for d in group), max(d.last for d in group)
    # They were not seen to agree with each other.
    cost = motion(members, first, last) + STRENGTH
    doubts, start = np.zeros((last - first + 1, len(members))), 0
    for part in group:
        columns = slice(start, start + len(part.members))
        cost[columns, columns] = part.cost
        rows = slice(part.first - first, part.last - first + 1)
        doubts[rows, columns] = part.doubts
        start = columns.stop
    return Decision(first, last, members, cost, doubts)


def _ordered(tracks, order):
    """The function that `resolve` asks, where the answer is known."""
    wanted = {int(tracks[j]): int(tracks[i]) for i, j in enumerate(order)}

    def ask(members, first, last):
        one, two = np.meshgrid(members, members, indexing="ij")
        same = np.vectorize(lambda i, j: wanted.get(i, i) == j)(one, two)
        return np.where(same, 0.0, 1e3)

    return ask
