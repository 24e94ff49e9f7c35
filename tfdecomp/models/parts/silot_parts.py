"""What a SILOT is made of: latents, and parts that fit together."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow_probability as tfp

from tfdecomp.distributions.base import stateless
from tfdecomp.distributions.gaussians import DiagonalGaussian

tfd = tfp.distributions

_SHARED = ("what_dim", "units", "features", "size_range")
_OF_PROPAGATION = ("use_position", "size_prior", "relaxation")


class Latents(NamedTuple):
    """Distributions of a clip's latents, batch `[B, T, n]`.

    Posteriors q or priors p, each given the latents before it. The event of
    the first three is `[4 + A + 1]`: where, what and depth.

    Attributes:
        discovered: Of what each of the `n` cells of the grid finds; p is
            static, without a batch.
        propagated: Of what becomes of the `n = K` known objects; p is static.
            Of what and depth, and possibly size, it is the change.
        expected: The same; p is the learned prior, which sees no frame.
        presences: Binary, of the `n = K` propagated objects and then of the
            cells; p is that of their number.
        stays: Binary concrete, of whether the `n = K` known objects stay; p
            is the learned prior.
    """

    discovered: tfd.Distribution
    propagated: tfd.Distribution
    expected: tfd.Distribution | None = None
    presences: tfd.Distribution | None = None
    stays: tfd.Distribution | None = None

    def sample(self, sample_shape=(), seed=None):
        """A sample of every part, given the latents that the parts follow.

        `propagated` and `expected` are the same latents: where q says so of
        both, they have the same sample.

        Args:
            sample_shape: As of `tfd.Distribution.sample`.
            seed: The same.

        Returns:
            `Latents` of tensors.
        """
        seeds = tfp.random.split_seed(stateless(seed, "latents"), len(self))
        drawn = {
            name: part and part.sample(sample_shape, seed=one)
            for name, part, one in zip(self._fields, self, seeds)
        }
        if self.expected is self.propagated:
            drawn["expected"] = drawn["propagated"]
        return Latents(**drawn)


def static_priors(model) -> Latents:
    """The priors that nothing is learned of, `discovered` and `propagated`.

    Args:
        model: A `models.SILOT`.
    """
    size = [model.size_mean] * 2
    zeros = [0.0] * (model.what_dim + 1)
    discovered = (
        [0.0, 0.0, *size, *zeros],
        [1.0, 1.0, *[model.size_deviation] * 2, *[1.0] * len(zeros)],
    )
    change = [model.what_deviation] * model.what_dim + [1.0]
    is_absolute = model.propagation.size_prior == "absolute"
    by_size = model.size_deviation if is_absolute else model.move_deviation
    propagated = (
        [0.0, 0.0, *(size if is_absolute else [0.0, 0.0]), *zeros],
        [*[model.move_deviation] * 2, by_size, by_size, *change],
    )
    return Latents(*(_normal(*moments) for moments in (discovered, propagated)))


def _normal(mean, deviation):
    return DiagonalGaussian.of(
        np.float32(mean), np.float32(2.0 * np.log(deviation))
    )


def check(model):
    """Refuses parts that do not.

    Args:
        model: A `models.SILOT` with all of its parts.

    Raises:
        ValueError: If one does not fit; says what to set.
    """
    if model.num_slots < 2:
        raise ValueError(
            "num_slots must be one for the background and at least one "
            f"for objects, got {model.num_slots}"
        )
    if not model.prior.is_prior or model.propagation.is_prior:
        raise ValueError(
            "propagation must see frames and prior must not: set "
            "prior/layers.Propagation.is_prior = True and no other"
        )
    read = model.discovery.seen_features or model.features
    if model.backbone.features != read:
        raise ValueError(
            f"discovery reads {read} features of a cell, the backbone gives "
            f"{model.backbone.features}; set layers.Discovery.seen_features "
            "(or features) and layers.CellBackbone.features alike"
        )
    readers = [model.discovery, model.propagation, model.prior]
    drawers = [model.renderer]
    if isinstance(model.background, keras.layers.Layer):
        drawers.append(model.background)
    for part in readers + drawers:
        if part.channels != model.channels:
            raise ValueError(
                f"the model has {model.channels} channels, {part.name} "
                f"{part.channels}; set CHANNELS for all"
            )
    for part in readers[1:]:
        for name in _SHARED:
            here, there = getattr(model.discovery, name), getattr(part, name)
            if here != there:
                raise ValueError(
                    f"{name} must be the same everywhere, got {here} in "
                    f"discovery and {there} in {part.name}"
                )
    for name in _OF_PROPAGATION:
        if getattr(model.propagation, name) != getattr(model.prior, name):
            raise ValueError(
                f"{name} must be the same in propagation and prior"
            )
