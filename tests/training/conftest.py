"""Makes the tiny model importable, and gives each test its own config."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))


@pytest.fixture(autouse=True)
def own_config():
    from tfdecomp.storage import configs

    with configs.isolated():
        yield
