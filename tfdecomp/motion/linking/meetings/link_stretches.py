"""Stretches of tracks between meetings, and how their looks agree."""

import dataclasses

import numpy as np

FULL = 20.0  # portraits of a stretch that says half of what it can
FAINT = 1e-3  # weight of the mean of all in a prototype
FREEDOM = 4.0  # degrees of it in Student's t: some portraits mislead
FEWEST = 3  # portraits of a stretch that looks are read from


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


class StretchLooks:
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
        # Long stretches say more, but not without end.
        self.weights = self.counts / (self.counts + FULL) * self.used
        # What an animal looks like that is in no other stretch.
        total = max(self.weights.sum(), 1e-9)
        self.anyone = self.weights @ self.means / total

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
        weights = self.weights
        weighted = weights[:, None] * self.means
        mass = np.zeros((len(names), self.num_names))
        sums = np.zeros((*mass.shape, self.means.shape[1]))
        for name in range(self.num_names):
            here = (names == name).astype(np.float64)
            mass[:, name], sums[:, name] = here @ weights, here @ weighted
        batch = np.arange(len(names))[:, None]
        left = mass[batch, names] - weights
        rest = sums[batch, names] - weighted
        off = ((self.means - self._prototypes(rest, left)) ** 2).mean(-1)
        spread = np.stack([self._spread(o) for o in off])
        cost = self._surprise(off, spread) + 0.5 * self.dim * np.log(spread)
        return cost @ self.used

    def _off(self, names):
        """`[S, N]` mean squared distances to prototypes.

        Prototypes are means over stretches of a name, in which the stretch
        itself does not count: a stretch is not what tells what it is.
        """
        chosen = np.eye(self.num_names)[names] * self.weights[:, None]
        left = chosen.sum(0) - chosen
        rest = chosen.T @ self.means - chosen[..., None] * self.means[:, None]
        prototypes = self._prototypes(rest, left)
        return ((self.means[:, None] - prototypes) ** 2).mean(-1)

    def _prototypes(self, sums, mass):
        return (sums + FAINT * self.anyone) / (mass + FAINT)[..., None]

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
