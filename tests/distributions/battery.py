"""What every distribution is checked against, in float64 and without TF.

An `Entry` knows its density from SciPy or from a sum that is written out, and
all that its values can be: a list of cases, or a grid fine enough for
integrals. Expected means, divergences and gradients are sums and differences
of these, so that no formula of the library is needed to check another.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable

import numpy as np
import scipy.special
import scipy.stats
import tensorflow_probability as tfp

from tfdecomp.distributions.bernoulli import ClippedBernoulli, LogitBernoulli
from tfdecomp.distributions.concrete import BinaryConcrete, Presence
from tfdecomp.distributions.gaussians import DiagonalGaussian, NormalPixels
from tfdecomp.distributions.locations import (
    LocationsWithoutReplacement,
    NextLocation,
    UniformLocations,
    UniformNext,
)
from tfdecomp.distributions.object_count import ObjectCount
from tfdecomp.distributions.pixel_mixture import PixelMixture
from tfdecomp.distributions.triangular_gaussian import TriangularGaussian
from tfdecomp.distributions.truncated_count import TruncatedCount

tfd = tfp.distributions


@dataclasses.dataclass(frozen=True)
class Entry:
    """One distribution of the battery.

    Attributes:
        name: In the tests' names.
        make: Parameters by keyword -> the distribution.
        parameters: Arrays, float32, whose batch axis is first.
        batch_shape: Of the distribution.
        event_shape: Of the distribution.
        log_prob: `(parameters, values [S, *event]) -> [S, *batch]`, float64.
        support: `(values [P, *event], weights [P])`, what there is to sum.
        other: Parameters of another of the kind, for divergences; None where
            no divergence is registered.
        make_other: As `make`, where the other is of another kind.
        log_prob_other: As `log_prob`, likewise.
        extremes: `(parameters, values [S, *event])` at which nothing may be
            infinite or no number.
        total: What the probabilities sum to.
        has_samples: Whether it can be sampled.
        has_mean: Whether it has one: a place has none.
    """

    name: str
    make: Callable
    parameters: dict
    batch_shape: tuple
    event_shape: tuple
    log_prob: Callable
    support: tuple
    other: dict | None = None
    make_other: Callable | None = None
    log_prob_other: Callable | None = None
    extremes: tuple = ()
    total: float = 1.0
    has_samples: bool = True
    has_mean: bool = True

    def __str__(self):
        return self.name

    def distribution(self, **changes):
        return self.make(**{**self.parameters, **changes})

    def other_distribution(self):
        return (self.make_other or self.make)(**self.other)

    def oracle(self, parameters=None):
        """The log-density at all of the support, `[P, *batch]`, float64."""
        parameters = exact(parameters or self.parameters)
        return self.log_prob(parameters, self.support[0])

    def expected(self, function):
        """The mean of `function(values)`, `[P, *event] -> [P, ...]`."""
        values, weights = self.support
        density = np.exp(self.oracle()) * column(weights, self.batch_shape)
        # [P, *batch] and [P, *event] -> [*batch, *event].
        return np.tensordot(
            np.moveaxis(density, 0, -1), function(np.asarray(values, float)), 1
        )

    def divergence(self, parameters=None):
        """KL(q || p) by a sum over the support, `[*batch]`, float64."""
        log_q = self.oracle(parameters)
        log_p = (self.log_prob_other or self.log_prob)(
            exact(self.other), self.support[0]
        )
        weights = column(self.support[1], self.batch_shape)
        return np.sum(np.exp(log_q) * (log_q - log_p) * weights, 0)


def exact(parameters):
    """The same in float64, so that finite differences have digits."""
    return {
        name: np.asarray(value, np.float64)
        for name, value in parameters.items()
    }


def column(weights, batch_shape):
    return np.reshape(weights, [-1] + [1] * len(batch_shape))


def draw(*shape, seed=0, scale=1.0):
    values = np.random.default_rng(seed).standard_normal(shape)
    return np.float32(scale * values)


def grid(event_shape, low, high, count):
    """A grid over small events, and the volume of a point."""
    axis = np.linspace(low, high, count)
    size = math.prod(event_shape)  # 1 for single values
    values = np.stack(np.meshgrid(*[axis] * size, indexing="ij"), -1)
    step = (axis[1] - axis[0]) ** size
    return values.reshape(-1, *event_shape), np.full(count**size, step)


def cases(values):
    values = np.asarray(values)
    return values, np.ones(len(values))


# ---- densities, written out ------------------------------------------------


def normal_log_prob(mean, deviation, values):
    return np.sum(scipy.stats.norm.logpdf(values, mean, deviation), -1)


def softplus(values):
    return np.logaddexp(0.0, values)


READ_SCALE = {
    "log_variance": lambda raw: np.exp(0.5 * raw),
    "softplus": lambda raw: np.sqrt(softplus(raw) + 1e-5),
}


def gaussian_log_prob(kind):
    def log_prob(parameters, values):
        mean, raw = np.split(parameters["raw"], 2, axis=-1)
        return normal_log_prob(mean, READ_SCALE[kind](raw), values[:, None])

    return log_prob


def gaussian_extremes():
    far = np.float32([[0.0, 1e4, 40.0, -40.0], [-1e4, 0.0, -40.0, 40.0]])
    return {"raw": far}, np.zeros([1, 2])


def mixture_log_prob(granularity, component, variance):
    def log_prob(parameters, values):
        mean = parameters["means"]  # [B, K, H, W, C]
        if component == "normal":
            family, scale = scipy.stats.norm, math.sqrt(variance)
        else:
            scale = math.sqrt(3.0 * variance) / math.pi
            family = scipy.stats.logistic
        terms = family.logpdf(values[:, None, None], mean, scale)
        if granularity == "pixel":
            terms = terms.sum(-1, keepdims=True)
        masks = scipy.special.log_softmax(parameters["logits"], axis=1)
        terms = scipy.special.logsumexp(terms + masks, axis=2)
        return terms.sum((-3, -2, -1))

    return log_prob


def logistic_log_prob(temperature):
    def log_prob(parameters, values):
        return scipy.stats.logistic.logpdf(
            values[:, None], parameters["logits"] / temperature, 1 / temperature
        )

    return log_prob


def bernoulli_log_prob(probs, floor=0.0):
    """`probs(parameters)`; `floor` is added to both probabilities."""

    def log_prob(parameters, values):
        p = probs(parameters)
        x = values[:, None]
        return x * np.log(p + floor) + (1 - x) * np.log(1 - p + floor)

    return log_prob


def count_log_prob(num_variables):
    def log_prob(parameters, values):
        rate = np.exp(parameters["log_rate"])
        total = sum(rate**c for c in range(num_variables + 1))
        count = values.sum(-1)
        choose = scipy.special.comb(num_variables, count)
        return count * np.log(rate) - np.log(total) - np.log(choose)

    return log_prob


def category_log_prob(parameters, values):
    log_probs = scipy.special.log_softmax(parameters["logits"], axis=-1)
    return log_probs[:, values.astype(int)].T


def triangular_log_prob(parameters, values):
    low = np.tril(parameters["mix"], -1) + np.eye(2)
    result = []
    for loc, deviation in zip(parameters["loc"], parameters["deviation"]):
        factor = np.diag(deviation) @ low
        scaled = np.linalg.solve(factor, (values - loc).T)
        result.append(
            -0.5 * np.sum(scaled**2, 0)
            - np.sum(np.log(deviation))
            - np.log(2 * np.pi)
        )
    return np.stack(result, 1)


def sequence_log_prob(parameters, values):
    """Products of softmaxes that are renormalised after every draw."""
    logits = parameters["logits"]  # [B, D]
    result = np.zeros([len(values), len(logits)])
    for s, sequence in enumerate(values):
        left = list(range(logits.shape[1]))
        for place in sequence:
            log_probs = logits - scipy.special.logsumexp(
                logits[:, left], axis=1, keepdims=True
            )
            result[s] += log_probs[:, place]
            left.remove(place)
    return result


def next_log_prob(parameters, values):
    log_probs = scipy.special.log_softmax(parameters["open_logits"], axis=-1)
    return log_probs[:, values].T


def uniform_next_log_prob(parameters, values):
    log_prob = -np.log(parameters["num_left"])
    return np.tile(log_prob, (len(values), 1))


# ---- the entries -----------------------------------------------------------


def gaussians():
    for kind in READ_SCALE:
        yield Entry(
            name=f"gaussian-{kind}",
            make=lambda raw, kind=kind: DiagonalGaussian(raw, kind),
            parameters={"raw": draw(3, 4, scale=0.7)},
            batch_shape=(3,),
            event_shape=(2,),
            log_prob=gaussian_log_prob(kind),
            support=grid((2,), -14, 14, 121),
            other={"raw": draw(3, 4, seed=1, scale=0.7)},
            extremes=gaussian_extremes(),
        )
    deviation = np.float32([[0.7, 1.1], [1.5, 0.8], [0.9, 1.0]])
    yield Entry(
        name="gaussian-deviation",
        make=DiagonalGaussian.of_deviation,
        parameters={"mean": draw(3, 2), "deviation": deviation},
        batch_shape=(3,),
        event_shape=(2,),
        log_prob=lambda p, values: normal_log_prob(
            p["mean"], p["deviation"], values[:, None]
        ),
        support=grid((2,), -14, 14, 121),
        other={"mean": draw(3, 2, seed=1), "deviation": deviation[::-1]},
    )
    yield Entry(
        name="gaussian-halves-that-broadcast",
        make=DiagonalGaussian.of,
        parameters={
            "mean": draw(3, 2),
            "log_variance": np.float32([0.3, -0.4]),
        },
        batch_shape=(3,),
        event_shape=(2,),
        log_prob=lambda p, values: normal_log_prob(
            p["mean"], np.exp(0.5 * p["log_variance"]), values[:, None]
        ),
        support=grid((2,), -14, 14, 121),
        other={
            "mean": np.float32([0.5, 0.0]),
            "log_variance": np.float32([0.0, 0.2]),
        },
    )
    yield Entry(
        name="normal-pixels",
        make=lambda means: NormalPixels(means, 0.3),
        parameters={"means": draw(2, 1, 2, 1)},
        batch_shape=(2,),
        event_shape=(1, 2, 1),
        log_prob=lambda p, values: normal_log_prob(
            p["means"], math.sqrt(0.3), values[:, None]
        ).sum((-2, -1)),
        support=grid((1, 2, 1), -7, 7, 121),
        other={"means": draw(2, 1, 2, 1, seed=1)},
        extremes=(
            {"means": np.full((2, 1, 2, 1), 1e6, np.float32)},
            np.zeros([1, 1, 2, 1]),
        ),
    )


def mixtures():
    kinds = itertools.product(("channel", "pixel"), ("normal", "logistic"))
    for granularity, component in kinds:
        options = (0.2, granularity, component)
        yield Entry(
            name=f"pixel-mixture-{granularity}-{component}",
            make=lambda means, logits, options=options: PixelMixture(
                means, logits, *options
            ),
            parameters={
                "means": draw(2, 3, 1, 1, 2),
                "logits": draw(2, 3, 1, 1, 1, seed=1),
            },
            batch_shape=(2,),
            event_shape=(1, 1, 2),
            log_prob=mixture_log_prob(granularity, component, 0.2),
            support=grid((1, 1, 2), -9, 9, 241),
            extremes=(
                {
                    "means": np.float32([0.0, 1e3, -1e3] * 2).reshape(
                        1, 3, 1, 1, 2
                    ),
                    "logits": np.float32([1e4, 0.0, -1e4]).reshape(
                        1, 3, 1, 1, 1
                    ),
                },
                np.float32([0.0, 1e3]).reshape(1, 1, 1, 2),
            ),
        )


def presences():
    for temperature in (0.7, 1.0):
        yield Entry(
            name=f"binary-concrete-{temperature}",
            make=lambda logits, t=temperature: BinaryConcrete(logits, t),
            parameters={"logits": np.float32([-1.3, 0.4, 2.0])},
            batch_shape=(3,),
            event_shape=(),
            log_prob=logistic_log_prob(temperature),
            support=grid((), -60, 60, 2001),
            other={"logits": np.float32([0.3, 0.4, -6.0])},
            extremes=(
                {"logits": np.float32([-1e4, 0.0, 1e4])},
                np.float64([-1e4, 0.0, 1e4]),
            ),
        )
    binary = cases([0.0, 1.0])
    yield Entry(
        name="presence-probs",
        make=lambda probs: Presence(probs=probs),
        parameters={"probs": np.float32([0.2, 0.5, 0.9])},
        batch_shape=(3,),
        event_shape=(),
        log_prob=bernoulli_log_prob(lambda p: p["probs"], 1e-9),
        support=binary,
        other={"probs": np.float32([0.7, 0.5, 0.1])},
        extremes=({"probs": np.float32([0.0, 1.0])}, binary[0]),
    )
    yield Entry(
        name="presence-logits",
        make=lambda logits: Presence(logits=logits),
        parameters={"logits": np.float32([-1.3, 0.4, 2.0])},
        batch_shape=(3,),
        event_shape=(),
        log_prob=bernoulli_log_prob(
            lambda p: scipy.special.expit(p["logits"]), 1e-9
        ),
        support=binary,
        other={"logits": np.float32([0.3, 0.4, -3.0])},
        extremes=({"logits": np.float32([-1e4, 1e4])}, binary[0]),
    )
    yield Entry(
        name="logit-bernoulli",
        make=LogitBernoulli,
        parameters={"logits": np.float32([-1.3, 0.4, 2.0])},
        batch_shape=(3,),
        event_shape=(),
        log_prob=bernoulli_log_prob(lambda p: scipy.special.expit(p["logits"])),
        support=binary,
        other={"logits": np.float32([0.3, 0.4, -3.0])},
        extremes=({"logits": np.float32([-1e4, 1e4])}, binary[0]),
    )
    for form, floor in (("clipped", 0.0), ("shifted", 1e-4)):
        yield Entry(
            name=f"bernoulli-{form}",
            make=lambda intensity, form=form: ClippedBernoulli(
                intensity, 1e-4, form
            ),
            parameters={"intensity": np.float32([0.2, 0.5, 0.9])},
            batch_shape=(3,),
            event_shape=(),
            log_prob=bernoulli_log_prob(lambda p: p["intensity"], floor),
            support=binary,
            extremes=({"intensity": np.float32([-3.0, 0.0, 7.0])}, binary[0]),
            total=1.0 + 2.0 * floor,
        )


def counts():
    every = cases(list(itertools.product([0.0, 1.0], repeat=5)))
    yield Entry(
        name="object-count",
        make=lambda log_rate: ObjectCount(5, log_rate),
        parameters={"log_rate": np.float32(-0.9)},
        batch_shape=(),
        event_shape=(5,),
        log_prob=count_log_prob(5),
        support=every,
        other={"log_rate": np.float32(-0.2)},
        extremes=({"log_rate": np.float32(-30.0)}, every[0]),
    )

    # With room for all; what there is no room for has a test of its own.
    yield Entry(
        name="truncated-count",
        make=lambda logits: TruncatedCount(logits, 3.0),
        parameters={"logits": draw(3, 4)},
        batch_shape=(3,),
        event_shape=(),
        log_prob=category_log_prob,
        support=cases(np.arange(4.0)),
        other={"logits": draw(3, 4, seed=1)},
        extremes=(
            {"logits": np.float32([[0, 1e4, -1e4, 0]] * 3)},
            np.float64([0.0, 3.0]),
        ),
    )


def leaning():
    yield Entry(
        name="triangular-gaussian",
        make=TriangularGaussian,
        parameters={
            "loc": draw(3, 2),
            "deviation": np.float32([[0.7, 1.1], [1.5, 0.8], [0.9, 1.0]]),
            "mix": np.float32([[0.0, 0.0], [0.8, 0.0]]),
        },
        batch_shape=(3,),
        event_shape=(2,),
        log_prob=triangular_log_prob,
        support=grid((2,), -14, 14, 121),
    )


def locations():
    sequences = list(itertools.permutations(range(5), 3))
    uniform = lambda: UniformLocations(5, 3)  # noqa: E731
    uniform_log_prob = lambda p, values: np.full(  # noqa: E731
        [len(values), 1], -math.log(5 * 4 * 3)
    )
    yield Entry(
        name="locations",
        has_mean=False,
        make=lambda logits: LocationsWithoutReplacement(logits, 3),
        parameters={"logits": draw(2, 5)},
        batch_shape=(2,),
        event_shape=(3,),
        log_prob=sequence_log_prob,
        support=cases(sequences),
        other={},
        make_other=uniform,
        log_prob_other=uniform_log_prob,
        extremes=(
            {"logits": np.float32([[1e6, -1e6, 0.0, 1.0, 2.0]] * 2)},
            np.int32([[0, 3, 1]]),
        ),
    )
    yield Entry(
        name="uniform-locations",
        has_mean=False,
        make=uniform,
        parameters={},
        batch_shape=(),
        event_shape=(3,),
        log_prob=lambda p, values: np.full(len(values), -math.log(60)),
        support=cases(sequences),
    )
    yield Entry(
        name="next-location",
        has_mean=False,
        make=NextLocation,
        parameters={"open_logits": draw(2, 4)},
        batch_shape=(2,),
        event_shape=(),
        log_prob=next_log_prob,
        support=cases(np.arange(4)),
        other={"num_left": np.float32([4, 4])},
        make_other=UniformNext,
        log_prob_other=uniform_next_log_prob,
        extremes=(
            {"open_logits": np.float32([[1e4, -1e9, 0.0, -1e9]])},
            np.int32([0, 2]),
        ),
    )
    yield Entry(
        name="uniform-next",
        has_mean=False,
        make=UniformNext,
        parameters={"num_left": np.float32([4, 4])},
        batch_shape=(2,),
        event_shape=(),
        log_prob=uniform_next_log_prob,
        support=cases(np.arange(4)),
        has_samples=False,
    )


ENTRIES = (
    *gaussians(),
    *mixtures(),
    *presences(),
    *counts(),
    *leaning(),
    *locations(),
)
