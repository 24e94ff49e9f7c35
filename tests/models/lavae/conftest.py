"""A tiny LAVAE, pictures, and what it makes of them."""

import numpy as np
import pytest

from tests.models.tiny import tiny_lavae


@pytest.fixture(scope="session")
def model():
    return tiny_lavae.tiny()


@pytest.fixture(scope="module")
def trained():
    """Its statistics move with every test that takes it."""
    return tiny_lavae.tiny()


@pytest.fixture(scope="session")
def inputs():
    return tiny_lavae.seeded(tiny_lavae.pictures())


@pytest.fixture(scope="session")
def outputs(model, inputs):
    found = model(inputs)
    return {name: np.asarray(value) for name, value in found.items()}
