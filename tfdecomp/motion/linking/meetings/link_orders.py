"""The orders in which animals leave their meetings, weighed together."""

import dataclasses
import itertools

import numpy as np
from scipy.optimize import linear_sum_assignment

from tfdecomp.motion.linking.meetings.link_stretches import Stretches

BEAM = 200  # ways to have come to a frame that are gone on with
ORDERS = 60  # of one meeting that are weighed
FEW = 8  # orders of a meeting that are tried at the end
REUNIONS = 8  # later meetings of two that may undo an exchange
CALM = 50.0  # costs beyond which an order is not weighed


class Meetings:
    """The orders of all meetings, weighed together.

    Args:
        decisions: In the order of their last frames.
        stretches: `Stretches`.
        count: Tracks there are.
    """

    def __init__(self, decisions, stretches: Stretches, count):
        self.decisions = decisions
        self.stretches, self.count = stretches, count
        self.orders = [_orders(d.cost) for d in decisions]
        self.ending = [
            np.flatnonzero(stretches.before == n)
            for n in range(len(decisions) + 1)
        ]

    def best(self, looks):
        """The likeliest orders.

        Args:
            looks: `[S, N]` costs of a stretch being of each animal.

        Returns:
            `[D]` list of orders: the animal that is in the place of
            `members[i]` after it is that of `members[order[i]]` before.
        """
        names = self._starts(looks)
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

    def _starts(self, looks):
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
        """Ways that differ in one exchange of animals.

        One meeting decided otherwise, for good or until two of its members
        meet again and change back.

        Returns:
            List of `Change`s.
        """
        carried = list(self._walk(orders))
        meet = {}
        for number, here in enumerate(carried):
            for pair in itertools.combinations(sorted(here.tolist()), 2):
                meet.setdefault(pair, []).append(number)
        result = []
        for number, (choices, dearer) in enumerate(self.orders):
            now, here = orders[number], carried[number]
            price = _dearer(self.decisions[number].cost, now)
            for choice, other in zip(choices[:FEW], dearer):
                if (choice == now).all():
                    continue
                renamed = np.arange(self.count)
                renamed[here[now]] = here[choice]
                change = Change(
                    {number: choice}, renamed, number, None, other - price
                )
                result.append(change)
                pair = tuple(np.flatnonzero(renamed != np.arange(self.count)))
                if len(pair) == 2:
                    later = [m for m in meet[pair] if m > number][:REUNIONS]
                    result += [
                        self._undone(change, pair, m, orders, carried[m])
                        for m in later
                    ]
        return result

    def _undone(self, change, pair, number, orders, here):
        """The same until a later meeting of the two."""
        one, two = (int(np.flatnonzero(here == name)[0]) for name in pair)
        order = orders[number].copy()
        order[orders[number] == one], order[orders[number] == two] = two, one
        cost = self.decisions[number].cost
        extra = _dearer(cost, order) - _dearer(cost, orders[number])
        return Change(
            {**change.orders, number: order},
            change.renamed,
            change.first,
            number,
            change.extra + extra,
        )

    def _walk(self, orders):
        """Yields names of the members of each meeting before it."""
        names = np.arange(self.count)
        for decision, order in zip(self.decisions, orders):
            here = names[decision.members]
            yield here
            names[decision.members] = here[order]


@dataclasses.dataclass
class Change:
    """One exchange of animals.

    Attributes:
        orders: Decisions that are taken otherwise, by number.
        renamed: `[N]` the new names of animals.
        first: Decision after which it holds.
        stop: Decision up to which; None: for good.
        extra: What motion says against it.
    """

    orders: dict
    renamed: np.ndarray
    first: int
    stop: int | None
    extra: float

    def names(self, names, after):
        """`[S]` names of stretches that follow decisions `after`."""
        here = after >= self.first
        if self.stop is not None:
            here &= after < self.stop
        return np.where(here, self.renamed[names], names)

    def apart(self, other):
        """Whether no meeting lies in both."""
        spans = sorted(
            (c.first, np.inf if c.stop is None else c.stop)
            for c in (self, other)
        )
        return spans[0][1] < spans[1][0]


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
