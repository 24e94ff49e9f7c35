"""What SQAIR's latents cost: log q - log p of a sample, frame by frame.

    log w = sum_t [log p(x_t | z_t) - cost of what stays - cost of what is new]

All is of the sample that was drawn, as the importance-weighted bound asks for;
nothing is in closed form. Only objects that are present have a where and a
what, and a choice counts where there was one.
"""

from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp.distributions.bernoulli import LogitBernoulli
from tfdecomp.distributions.gaussians import DiagonalGaussian
from tfdecomp.distributions.triangular_gaussian import TriangularGaussian
from tfdecomp.distributions.truncated_count import TruncatedCount
from tfdecomp.ops.sprites import WHERE

tfd = tfp.distributions


class Latents(NamedTuple):
    """Distributions of a clip's latents, batch `[B S, T, K]`.

    Posteriors q or priors p, each given the latents before it.

    Attributes:
        kept_where: Of places of the objects that were known, event `[4]`.
        kept_what: Of their appearances, event `[A]`.
        stays: Binary, of whether they stay.
        new_where: Of places of those found, event `[4]`.
        new_what: Of their appearances; p is static, without a batch.
        more: q alone: binary, of whether there is one more.
        count: p alone: of how many are new, batch `[B S, T]`.
    """

    kept_where: tfd.Distribution
    kept_what: tfd.Distribution
    stays: tfd.Distribution
    new_where: tfd.Distribution
    new_what: tfd.Distribution
    more: tfd.Distribution | None = None
    count: TruncatedCount | None = None


def posterior(kept, new, mixing) -> Latents:
    """q, of the records of a clip.

    Args:
        kept: `mean` and `deviation` `[N, T, K, 4 + A]` and `logit`
            `[N, T, K, 1]` of propagation.
        new: The same of discovery.
        mixing: `[4, 4]`, how dimensions of where lean on each other.
    """
    return Latents(
        kept_where=TriangularGaussian(
            kept["mean"][..., :WHERE], kept["deviation"][..., :WHERE], mixing
        ),
        kept_what=_normal(kept, slice(WHERE, None)),
        stays=LogitBernoulli(kept["logit"][..., 0]),
        new_where=_normal(new, slice(0, WHERE)),
        new_what=_normal(new, slice(WHERE, None)),
        more=LogitBernoulli(new["logit"][..., 0]),
    )


def priors(kept, places, count) -> Latents:
    """p, of the records of a clip.

    Args:
        kept: `prior_mean` and `prior_deviation` `[N, T, K, 4 + A]` and
            `prior_logit` `[N, T, K, 1]`.
        places: `(mean, deviation)` `[N, T, K, 4]` of those found.
        count: Of how many are found.
    """
    told = {n: kept[f"prior_{n}"] for n in ("mean", "deviation", "logit")}
    width = told["mean"].shape[-1] - WHERE
    return Latents(
        kept_where=_normal(told, slice(0, WHERE)),
        kept_what=_normal(told, slice(WHERE, None)),
        stays=LogitBernoulli(told["logit"][..., 0]),
        new_where=DiagonalGaussian.of_deviation(*places),
        new_what=DiagonalGaussian.standard(width),
        count=count,
    )


def _normal(record, part):
    return DiagonalGaussian.of_deviation(
        record["mean"][..., part], record["deviation"][..., part]
    )


def ratios(q, p, kept, new) -> dict:
    """log q - log p of what was drawn, nats `[N, T]`.

    Args:
        q: `Latents` of the posterior.
        p: `Latents` of the prior.
        kept: `value` `[N, T, K, 4 + A]`, `presence` and `active`
            `[N, T, K, 1]` of propagation.
        new: The same of discovery.

    Returns:
        `kept`, `stays`, `new` and `count`; and `choices`, log q of all choices.
    """
    is_kept, is_new = kept["presence"][..., 0], new["presence"][..., 0]
    had, could = kept["active"][..., 0], new["active"][..., 0]
    where, what = _parts(kept["value"])
    stay = _ratio(q.kept_where, p.kept_where, where)
    stay += _ratio(q.kept_what, p.kept_what, what)
    where, what = _parts(new["value"])
    found = _ratio(q.new_where, p.new_where, where)
    found += _ratio(q.new_what, p.new_what, what)
    by_stay = _sum(had * q.stays.log_prob(is_kept))
    by_more = _sum(could * q.more.log_prob(is_new))
    number = _sum(is_new)
    return {
        "kept": _sum(is_kept * stay),
        "stays": by_stay - _sum(had * p.stays.log_prob(is_kept)),
        "new": _sum(is_new * found),
        "count": by_more - p.count.log_prob(number),
        "choices": by_stay + by_more,
    }


def what_terms(q, p, kept, new):
    """log q - log p of appearances by dimension, `[N, T, 2 K, A]`."""
    pairs = (
        (q.kept_what, p.kept_what, kept["value"]),
        (q.new_what, p.new_what, new["value"]),
    )
    return tf.concat(
        [
            tfd.Normal(a.loc, a.stddev()).log_prob(_parts(value)[1])
            - tfd.Normal(b.loc, b.stddev()).log_prob(_parts(value)[1])
            for a, b, value in pairs
        ],
        axis=2,
    )


def _parts(value):
    return value[..., :WHERE], value[..., WHERE:]


def _ratio(q, p, value):
    return q.log_prob(value) - p.log_prob(value)


def _sum(values):
    return tf.reduce_sum(values, axis=-1)
