"""Ellipses that follow animals through frames in which they touch.

Where several animals make one blob, nobody finds them one by one. A mixture
of as many Gaussians as there are animals still does: each keeps the size that
its animal has where it is alone, and starts from where it was going. The
mixture is fitted with a few steps of expectation-maximisation, with the
forecast as a prior of so many pixels.

References:
    K. Branson et al., "High-throughput ethomics in large groups of
    Drosophila", Nature Methods 6, 2009 (the idea of a mixture per blob).
"""

import dataclasses

import numpy as np
from scipy import spatial

ITERATIONS = 12
TRUST = 0.15  # pixels of a forecast, as a share of the animal's own
STRETCH = 1.2  # an axis may differ from the usual one by that factor
STRAY = 3.5  # standard deviations at which a pixel belongs to nobody
POINTS = 250  # per animal; more tell nothing new
STARVED = 0.6  # of its pixels; a body that has fewer may lie on another's


@dataclasses.dataclass
class Bodies:
    """Animals at one instant.

    Attributes:
        means: `[k, 2]` centres `(y, x)`, pixels.
        angles: `[k]` of the long axes, from the y axis, radians.
        axes: `[k, 2]` usual standard deviations, long and short.
        stretch: `[k, 2]` factors on them now.
        weights: `[k]` usual number of pixels.
        velocities: `[k, 2]` pixels per frame.
        spins: `[k]` radians per frame.
    """

    means: np.ndarray
    angles: np.ndarray
    axes: np.ndarray
    stretch: np.ndarray
    weights: np.ndarray
    velocities: np.ndarray
    spins: np.ndarray

    @property
    def covariances(self):
        """`[k, 2, 2]`."""
        return covariances(self.angles, self.axes * self.stretch)

    @property
    def halves(self):
        """`[k, 2]` half the sides of boxes around them."""
        # A filled ellipse reaches two standard deviations out.
        return 2 * np.sqrt(np.diagonal(self.covariances, axis1=1, axis2=2))

    def ahead(self, momentum):
        """Where they are expected in the next frame."""
        return dataclasses.replace(
            self,
            means=self.means + momentum * self.velocities,
            angles=self.angles + momentum * self.spins,
            stretch=1 + 0.8 * (self.stretch - 1),
        )


def covariances(angles, deviations):
    """`[k, 2, 2]` from angles `[k]` and deviations along axes `[k, 2]`."""
    cos, sin = np.cos(angles), np.sin(angles)
    long, short = deviations[:, 0] ** 2, deviations[:, 1] ** 2
    result = np.empty((len(angles), 2, 2))
    result[:, 0, 0] = cos**2 * long + sin**2 * short
    result[:, 1, 1] = sin**2 * long + cos**2 * short
    result[:, 0, 1] = result[:, 1, 0] = cos * sin * (long - short)
    return result


def shape(points):
    """Mean, angle and deviations along the axes of pixels `[p, 2]`."""
    mean = points.mean(0)
    away = points - mean
    covariance = away.T @ away / len(points)
    angle, deviations = _principal(covariance[None])
    return mean, angle[0], deviations[0]


def _principal(covariance):
    """Angles `[k]` and deviations `[k, 2]` of matrices `[k, 2, 2]`."""
    yy, xx, yx = covariance[:, 0, 0], covariance[:, 1, 1], covariance[:, 0, 1]
    middle, half = 0.5 * (yy + xx), np.hypot(0.5 * (yy - xx), yx)
    values = np.stack([middle + half, np.maximum(middle - half, 0.0)], -1)
    return 0.5 * np.arctan2(2 * yx, yy - xx), np.sqrt(values)


def fit(points, expected: Bodies, others=None, found=None):
    """Fits bodies to pixels, near where they are expected.

    Args:
        points: `[p, 2]` pixels that differ from the background.
        expected: The forecast.
        others: `([m, 2], [m, 2, 2], [m])` means, covariances and weights of
            animals nearby whose places are known; they keep their pixels.
        found: `([k, 2], [k])` centres that a finder gave, and how much each
            counts, as a share of the animal's pixels; 0 for none.

    Returns:
        `Bodies` without new velocities; where there are no pixels, the
        forecast.
    """
    if not len(points) and found is None:
        return expected
    points, share = _thinned(points, expected, others)
    fixed = _fixed(points, others)
    first = _fitted(points, share, expected, fixed, found)
    part, free = _shares(points, first, fixed)
    for lost, start in _lost(points, share, first, part, free):
        means, angles = expected.means.copy(), expected.angles.copy()
        means[lost], angles[lost] = start
        start = dataclasses.replace(expected, means=means, angles=angles)
        second = _fitted(points, share, start, fixed, found)
        gain = (free - _shares(points, second, fixed)[1]).sum()
        if gain > STARVED * share * expected.weights[lost]:
            return _turned(second, expected)
    return _turned(first, expected)


def _turned(body, expected):
    """The same with angles next to those expected: an axis has no head."""
    turned = body.angles - expected.angles
    turned = (turned + np.pi / 2) % np.pi - np.pi / 2
    return dataclasses.replace(body, angles=expected.angles + turned)


def _lost(points, share, body, part, free):
    """Bodies that have too few pixels, and where as many are nobody's.

    An animal that turns on the spot where it meets another is not where it
    was going, and its body settles on the other one, too.

    Yields:
        `(number, ((y, x), angle))`, the emptiest body first.
    """
    own = part.sum(1) / (share * body.weights)
    order = [k for k in np.argsort(own) if own[k] < STARVED]
    stray = points[free > 0.5]
    for lost in order:
        wanted = STARVED * share * body.weights[lost]
        if len(stray) < wanted:
            continue
        # Half as far as an animal is long: what lies there can be one.
        near = 2 * body.axes[lost, 0]
        tree = spatial.cKDTree(stray)
        counts = tree.query_ball_point(stray, near, return_length=True)
        around = stray[tree.query_ball_point(stray[counts.argmax()], near)]
        if len(around) >= wanted:
            middle, angle, _ = shape(around)
            yield lost, (middle, angle)


def _fitted(points, share, expected, fixed, found):
    """`Bodies` after one run of expectation-maximisation."""
    prior, prior_covariance = expected.means, expected.covariances
    usual = expected.weights * share
    trust = TRUST * usual
    hint, sure = np.zeros_like(prior), np.zeros(len(prior))
    if found is not None:
        hint, sure = found[0], found[1] * usual
    means, covariance = prior.copy(), prior_covariance.copy()
    for _ in range(ITERATIONS):
        part = _responsibilities(
            points, means, covariance, expected.weights, fixed
        )
        pixels = part.sum(1) + trust
        new = part @ points + trust[:, None] * prior + sure[:, None] * hint
        new /= (pixels + sure)[:, None]
        spread = _scatter(points, part, new)
        spread += trust[:, None, None] * prior_covariance
        angles, deviations = _principal(spread / pixels[:, None, None])
        stretch = deviations / expected.axes
        stretch = np.clip(stretch, 1 / STRETCH, STRETCH)
        covariance = covariances(angles, expected.axes * stretch)
        moved = np.abs(new - means).max(initial=0.0)
        means = new
        if moved < 0.01 * expected.axes.min():
            break
    return dataclasses.replace(
        expected, means=means, angles=angles, stretch=stretch
    )


def _thinned(points, expected, others):
    """Some of the pixels, evenly, and their share of all."""
    count = len(expected.means) + (0 if others is None else len(others[0]))
    most = POINTS * max(count, 1)
    if len(points) <= most:
        return points, 1.0
    chosen = np.linspace(0, len(points) - 1, most).astype(int)
    return points[chosen], most / len(points)


def _fixed(points, others):
    """`[p]` density of known animals."""
    if others is None or not len(others[0]):
        return 0.0
    return _densities(points, *others)[0].sum(0)


def _densities(points, means, covariance, weights):
    yy, xx, yx = covariance[:, 0, 0], covariance[:, 1, 1], covariance[:, 0, 1]
    determinant = np.maximum(yy * xx - yx**2, 1e-12)
    y = points[:, 0] - means[:, :1]  # [k, p]
    x = points[:, 1] - means[:, 1:]
    yy, xx, yx = (v / determinant for v in (yy, xx, yx))
    square = xx[:, None] * y * y
    square += yy[:, None] * x * x
    square -= 2 * yx[:, None] * y * x
    peak = weights / np.sqrt(determinant)
    density = peak[:, None] * np.exp(-0.5 * np.minimum(square, 200.0))
    return density, peak


def _scatter(points, part, means):
    """`[k, 2, 2]` sums of squares about means, by shares of pixels."""
    y = points[:, 0] - means[:, :1]
    x = points[:, 1] - means[:, 1:]
    result = np.empty((len(means), 2, 2))
    result[:, 0, 0] = (part * y * y).sum(1)
    result[:, 1, 1] = (part * x * x).sum(1)
    result[:, 0, 1] = result[:, 1, 0] = (part * y * x).sum(1)
    return result


def _responsibilities(points, means, covariance, weights, fixed):
    """`[k, p]` shares of pixels that are the bodies'."""
    density, peak = _densities(points, means, covariance, weights)
    return density / (density.sum(0) + fixed + _background(peak))


def _shares(points, body, fixed):
    """`[k, p]` shares of pixels that are the bodies', `[p]` nobody's."""
    density, peak = _densities(
        points, body.means, body.covariances, body.weights
    )
    nobody = _background(peak)
    total = density.sum(0) + fixed + nobody
    return density / total, nobody / total


def _background(peak):
    """Density of pixels that belong to nobody."""
    return np.sort(peak)[len(peak) // 2] * np.exp(-0.5 * STRAY**2)


def follow(first: Bodies, frames, momentum):
    """Follows bodies through frames.

    Args:
        first: Where they are before the first of these frames.
        frames: Iterable of `(points, others, found)`, see `fit`.
        momentum: Share of its velocity that an animal keeps in a frame.

    Returns:
        A list of `Bodies`, one per frame.
    """
    now, result = first, []
    for points, others, found in frames:
        fitted = fit(points, now.ahead(momentum), others, found)
        step = fitted.means - now.means
        turn = fitted.angles - now.angles
        now = dataclasses.replace(
            fitted,
            velocities=0.5 * (now.velocities + step),
            spins=0.5 * (now.spins + turn),
        )
        result.append(now)
    return result
