"""Values that layers read, and what their initial values must be."""

import numpy as np
import pytest


def normal(*shape, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape)
    return values.astype(np.float32)


def check_truncated(values, fan_in):
    """Normal values of deviation `fan_in ** -0.5`, cut at two deviations."""
    values = np.asarray(values).ravel() * fan_in**0.5
    assert 1.9 < np.abs(values).max() <= 2
    # The cut takes 12 % from the deviation, and nothing makes up for it.
    assert values.std() == pytest.approx(0.8796, rel=0.03)
