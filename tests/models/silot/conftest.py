"""A tiny SILOT, clips, and what it makes of them."""

import numpy as np
import pytest
import tensorflow as tf

from tests.models.tiny import tiny_silot


@pytest.fixture(scope="session")
def model():
    return tiny_silot.tiny()


@pytest.fixture(scope="session")
def inputs():
    return tiny_silot.seeded(tiny_silot.clips(frames=2))


@pytest.fixture(scope="session")
def outputs(model, inputs):
    found = model(inputs)
    return tf.nest.map_structure(np.asarray, found)
