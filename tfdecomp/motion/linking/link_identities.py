"""Who is who over the whole video, by what each one looks like.

Motion decides on a meeting from the frames around it; a wrong choice holds for
the rest of the video. Looks can tell it minutes later. Between meetings each
track has stretches that belong to one animal; what each animal looks like is
the mean of its stretches. The orders of all meetings are chosen together: by
what motion made of each, and by how well every stretch then looks like its
animal. As in expectation maximisation the two are repeated in turns.
"""

import dataclasses
import itertools

import numpy as np
from scipy.optimize import linear_sum_assignment

from tfdecomp.motion.linking.link_meetings import (
    NEAR,
    STRENGTH,
    Decision,
    Meeting,
    resolve,
)
from tfdecomp.motion.linking.link_paths import doubt

BEAM = 200  # ways to have come to a frame that are gone on with
ORDERS = 60  # of one meeting that are weighed
TURNS = 12  # of the repetition, at most
BATCH = 64  # ways that are weighed at once
REUNIONS = 8  # later meetings of two that may undo an exchange
FREEDOM = 4.0  # degrees of it in Student's t: some portraits mislead
FEWEST = 3  # portraits of a stretch that looks are read from
FULL = 20.0  # portraits of a stretch that says half of what it can
FAINT = 1e-3  # weight of the mean of all in a prototype
FEW = 8  # orders of a meeting that are tried at the end
ANCHORS = 5  # frames from which names are handed out anew
UNSURE = 3.0  # margin, in nats, below which an order is doubtful
CALM = 50.0  # costs beyond which an order is not weighed


@dataclasses.dataclass
class Stretches:
    """Parts of tracks between two meetings.

    Attributes:
        track: `[S]` whose.
        after: `[S]` number of the decision that it follows, -1 for none.
        before: `[S]` number of the one that ends it, `D` for none.
        rows: Per stretch, numbers of its portraits.
    """

    track: np.ndarray
    after: np.ndarray
    before: np.ndarray
    rows: list

    @classmethod
    def of(cls, decisions, tracks, shown):
        """Cuts tracks at decisions.

        Args:
            decisions: In the order of their last frames.
            tracks: `Tracks`.
            shown: `[T]` dicts from a detection to its portrait.
        """
        result = cls([], [], [], [])
        for track in range(tracks.boxes.shape[1]):
            cuts = [
                (n, d)
                for n, d in enumerate(decisions)
                if track in d.members.tolist()
            ]
            start, after = 0, -1
            for number, decision in cuts:
                result._add(track, after, number, start, decision.first + 1)
                start, after = decision.last, number
            result._add(track, after, len(decisions), start, len(shown))
        result._read(tracks, shown)
        return result

    def _add(self, track, after, before, start, stop):
        self.track.append(track)
        self.after.append(after)
        self.before.append(before)
        self.rows.append((start, stop))

    def _read(self, tracks, shown):
        spans, self.rows = self.rows, []
        for track, (start, stop) in zip(self.track, spans):
            sources = tracks.sources[start:stop, track].tolist()
            rows = [
                shown[start + k].get(source, -1)
                for k, source in enumerate(sources)
                if source >= 0
            ]
            self.rows.append(np.array([r for r in rows if r >= 0], np.int64))
        for name in ("track", "after", "before"):
            setattr(self, name, np.array(getattr(self, name), np.int64))

    def of_rows(self, count):
        """`[count]` stretch of each portrait, -1 for none."""
        result = np.full(count, -1, np.int64)
        for number, rows in enumerate(self.rows):
            result[rows] = number
        return result


class Looks:
    """What stretches look like.

    Args:
        features: `[n, D]` of portraits.
        stretches: `Stretches`.
        num_names: How many animals there are.
    """

    def __init__(self, features, stretches: Stretches, num_names):
        self.counts = np.array([len(r) for r in stretches.rows], np.float64)
        self.used = self.counts >= FEWEST
        self.num_names = num_names
        self.means = np.zeros((len(self.counts), features.shape[1]))
        for number in np.flatnonzero(self.used):
            self.means[number] = features[stretches.rows[number]].mean(0)
        self.dim = _dimension(self.means[self.used])

    def costs(self, names):
        """`[S, N]` costs of each stretch being of each animal.

        Args:
            names: `[S]` as they are now.
        """
        off = self._off(names)
        spread = self._spread(off[np.arange(len(names)), names])
        return self._surprise(off, spread[:, None]) * self.used[:, None]

    def totals(self, names):
        """`[B]` minus log likelihoods of all stretches, up to a constant.

        Args:
            names: `[B, S]`.
        """
        weights = self._weights()
        weighted = weights[:, None] * self.means
        mass = np.zeros((len(names), self.num_names))
        sums = np.zeros((*mass.shape, self.means.shape[1]))
        for name in range(self.num_names):
            here = (names == name).astype(np.float64)
            mass[:, name], sums[:, name] = here @ weights, here @ weighted
        batch = np.arange(len(names))[:, None]
        left = mass[batch, names] - weights
        rest = sums[batch, names] - weighted
        prototypes = (rest + FAINT * self._anyone()) / (left + FAINT)[..., None]
        off = ((self.means - prototypes) ** 2).mean(-1)
        spread = np.stack([self._spread(o) for o in off])
        cost = self._surprise(off, spread) + 0.5 * self.dim * np.log(spread)
        return cost @ self.used

    def _weights(self):
        """Long stretches say more, but not without end."""
        return self.counts / (self.counts + FULL) * self.used

    def _anyone(self):
        """What an animal looks like that is in no other stretch."""
        weights = self._weights()
        return weights @ self.means / max(weights.sum(), 1e-9)

    def _off(self, names):
        """`[S, N]` mean squared distances to prototypes.

        Prototypes are means over stretches of a name, in which the stretch
        itself does not count: a stretch is not what tells what it is.
        """
        weights = self._weights()
        chosen = np.eye(self.num_names)[names] * weights[:, None]
        left = chosen.sum(0) - chosen
        rest = chosen.T @ self.means - chosen[..., None] * self.means[:, None]
        prototypes = (rest + FAINT * self._anyone()) / (left + FAINT)[..., None]
        return ((self.means[:, None] - prototypes) ** 2).mean(-1)

    def _surprise(self, off, spread):
        """Of Student's t, of squared distances."""
        ratio = self.dim * off / spread / FREEDOM
        return (FREEDOM + self.dim) / 2 * np.log1p(ratio)

    def _spread(self, off):
        """`[S]` what distances `[S]` are usual, of stretches so long."""
        if not self.used.any():
            return np.ones(len(off))
        few = 1.0 / np.maximum(self.counts, 1)
        off, x = off[self.used], few[self.used]
        middle = np.median(off)
        bounded = np.minimum(off, 4 * middle)
        away = x - x.mean()
        slope = max(away @ bounded / max(away @ away, 1e-12), 0.0)
        level = bounded.mean() - slope * x.mean()
        return np.maximum(level + slope * few, 0.3 * middle + 1e-9)


def _dimension(means):
    """How many axes looks differ along: the participation ratio."""
    if len(means) < 2:
        return 1.0
    values = np.linalg.svd(means - means.mean(0), compute_uv=False) ** 2
    return float(max(values.sum() ** 2 / max((values**2).sum(), 1e-12), 1.0))


class Meetings:
    """The orders of all meetings, weighed together.

    Args:
        decisions: In the order of their last frames.
        stretches: `Stretches`.
        count: Tracks there are.
    """

    def __init__(self, decisions, stretches: Stretches, count):
        self.decisions, self.stretches, self.count = (
            decisions,
            stretches,
            count,
        )
        self.orders = [_orders(d.cost) for d in decisions]
        self.ending = [
            np.flatnonzero(stretches.before == n)
            for n in range(len(decisions) + 1)
        ]

    def best(self, looks, starts=None):
        """The likeliest orders.

        Args:
            looks: `[S, N]` costs of a stretch being of each animal.
            starts: `[m, N]` names that tracks may have at first; None: their
                own.

        Returns:
            `[D]` list of orders: the animal that is in the place of
            `members[i]` after it is that of `members[order[i]]` before.
        """
        names = np.arange(self.count)[None] if starts is None else starts
        cost = np.zeros(len(names))
        history = []
        for number, decision in enumerate(self.decisions):
            cost = cost + self._ended(number, names, looks)
            orders, dearer = self.orders[number]
            parent = np.repeat(np.arange(len(names)), len(orders))
            taken = np.tile(np.arange(len(orders)), len(names))
            later = names[parent]
            later[:, decision.members] = later[
                np.arange(len(later))[:, None], decision.members[orders[taken]]
            ]
            now = cost[parent] + dearer[taken]
            kept = _distinct(later, now)
            names, cost = later[kept], now[kept]
            history.append((parent[kept], taken[kept]))
        cost = cost + self._ended(len(self.decisions), names, looks)
        return self._back(history, int(cost.argmin()))

    def _ended(self, number, names, looks):
        """`[B]` costs of the stretches that a decision ends."""
        here = self.ending[number]
        tracks = self.stretches.track[here]
        return looks[here[None], names[:, tracks]].sum(1)

    def _back(self, history, state):
        result = []
        for number in range(len(history) - 1, -1, -1):
            parent, taken = history[number]
            result.append(self.orders[number][0][taken[state]])
            state = int(parent[state])
        return result[::-1]

    def starts(self, looks):
        """`[m, N]` names that tracks may have at first, all different."""
        first = np.flatnonzero(self.stretches.after < 0)
        own = np.arange(self.count)
        likely = own.copy()
        rows, columns = linear_sum_assignment(looks[first])
        likely[self.stretches.track[first[rows]]] = columns
        result = [own, likely]
        for i, j in itertools.combinations(range(self.count), 2):
            for names in (own, likely):
                other = names.copy()
                other[[i, j]] = names[[j, i]]
                result.append(other)
        return np.unique(result, axis=0)

    def names(self, orders):
        """`[S]` names of stretches under these orders."""
        names = np.arange(self.count)
        result = np.zeros(len(self.stretches.track), np.int64)
        for number in range(len(self.decisions) + 1):
            here = self.ending[number]
            result[here] = names[self.stretches.track[here]]
            if number < len(self.decisions):
                members = self.decisions[number].members
                names = names.copy()
                names[members] = names[members[orders[number]]]
        return result

    def dearer(self, orders):
        """What motion says against orders."""
        return sum(
            _dearer(decision.cost, order)
            for decision, order in zip(self.decisions, orders)
        )

    def others(self, orders):
        """Yields other orders and the decisions in which they differ.

        One meeting decided otherwise, for good or until two of its members
        meet again.
        """
        for number, (choices, _) in enumerate(self.orders):
            for choice in choices[:FEW]:
                change = _relative(orders[number], choice)
                if (change == np.arange(len(change))).all():
                    continue
                other = list(orders)
                other[number] = choice
                yield other, (number,)
                swapped = np.flatnonzero(change != np.arange(len(change)))
                if len(swapped) == 2:
                    pair = self.decisions[number].members[swapped]
                    yield from self._again(other, number, pair)

    def _again(self, orders, number, pair):
        """What exchanges the animals in the places of a pair back."""
        where, met = {int(p): int(p) for p in pair}, 0
        for later in range(number + 1, len(self.decisions)):
            members = self.decisions[later].members.tolist()
            if not set(where.values()) & set(members):
                continue
            if not set(where.values()) <= set(members):
                where = {
                    p: self._moved(later, orders[later], w)
                    for p, w in where.items()
                }
                continue
            one, two = (members.index(w) for w in where.values())
            other, order = list(orders), orders[later].copy()
            to_one = np.flatnonzero(order == one)[0]
            to_two = np.flatnonzero(order == two)[0]
            order[[to_one, to_two]] = two, one
            other[later] = order
            yield other, (number, later)
            met += 1
            if met == REUNIONS:
                return
            where = {
                p: self._moved(later, orders[later], w)
                for p, w in where.items()
            }

    def _moved(self, number, order, track):
        """The place after a meeting of what was in a place before."""
        members = self.decisions[number].members.tolist()
        if track not in members:
            return track
        return members[int(np.flatnonzero(order == members.index(track))[0])]


def _relative(old, new):
    """What remains to be exchanged after `old` to have `new`."""
    return np.argsort(old)[new]


def _dearer(cost, order):
    return cost[order, np.arange(len(order))].sum() - np.trace(cost)


def _orders(cost):
    """Orders `[m, k]` worth weighing, and how much dearer `[m]` each is."""
    count = len(cost)
    if count <= 5:
        orders = np.array(list(itertools.permutations(range(count))))
    else:
        orders = [np.arange(count)]
        for chosen in itertools.permutations(range(count), 3):
            if chosen[0] > min(chosen):
                continue  # each cycle once
            for cycle in (chosen[:2], chosen):
                other = np.arange(count)
                other[list(cycle)] = np.roll(cycle, 1)
                orders.append(other)
        orders = np.unique(orders, axis=0)
    dearer = np.array([_dearer(cost, order) for order in orders])
    chosen = np.argsort(dearer, kind="stable")[:ORDERS]
    chosen = chosen[dearer[chosen] < dearer.min() + CALM]
    return orders[chosen], dearer[chosen]


def _distinct(names, cost):
    """Numbers of the best of each, at most `BEAM`."""
    order = np.argsort(cost, kind="stable")[: 20 * BEAM]
    # Names as one number each, so that equal ones are found fast.
    keys = np.random.default_rng(0).integers(2**62, size=names.shape[1])
    _, first = np.unique(names[order] @ keys, return_index=True)
    return order[np.sort(first)][:BEAM]


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
    looks = Looks(features, stretches, count)
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
    margins = np.zeros(len(orders))
    for _ in range(TURNS):
        others = list(meetings.others(orders))
        changed = [numbers for _, numbers in others]
        others = [orders, *(other for other, _ in others)]
        energy = _energies(meetings, looks, others)
        extra = energy[1:] - energy[0]
        margins = np.full(len(orders), np.inf)
        for numbers, more in zip(changed, extra):
            for number in numbers:
                margins[number] = min(margins[number], more)
        if not len(extra) or extra.min() >= -1e-6:
            break
        orders = others[1 + int(extra.argmin())]
    return orders, np.maximum(margins, 0.0)


def _energies(meetings, looks, several):
    """`[B]` of several lists of orders."""
    result = []
    for start in range(0, len(several), BATCH):
        part = several[start : start + BATCH]
        names = np.stack([meetings.names(orders) for orders in part])
        motion = np.array([meetings.dearer(orders) for orders in part])
        result.append(looks.totals(names) + motion)
    return np.concatenate(result)


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
        orders = meetings.best(costs, meetings.starts(costs))
        later = meetings.names(orders)
        energy = float(_energies(meetings, looks, [orders])[0])
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
            _, decision_now = resolve(
                tracks, meeting, frames, follower.scale, follower, ask
            )
            place[decision.members] = here[order]
            decision = decision_now
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
    for other in group:
        first = max(other.first, decision.first)
        last = min(other.last, decision.last)
        if first >= last or set(other.members) & set(decision.members):
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
