"""Gives each test a gin config of its own."""

import pytest


@pytest.fixture(autouse=True)
def own_config():
    from tfdecomp.storage import configs

    with configs.isolated():
        yield
