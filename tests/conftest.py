"""Settings that all tests share."""

import gc
import os
import sys

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# As importing the package does; most tests import TensorFlow first.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# What XLA compiles runs once here: machine code as fast as it gets would cost
# more time than it saves.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
# Workers share the cores: more threads of one would wait for the other's. Set
# before anything is imported that reads it.
if "PYTEST_XDIST_WORKER" in os.environ:
    for _name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
    ):
        os.environ.setdefault(_name, "1")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Keeps modules and tests, which all stay, from being searched for waste.

    A third of the time that collecting takes would go into it, and each later
    search would go through all of it again. Graphs are waste that is found by
    searching alone, but there is room for some.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(7_000)
        gc.enable()


_REWRITES = pytest.StashKey[bool]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Lets TensorFlow rewrite the graphs of slow tests alone.

    Most graphs run once or twice here, and to rewrite one takes longer. What a
    test starts as a process of its own rewrites, as all that users start does.
    """
    rewrites = item.get_closest_marker("slow") is not None
    stash = item.config.stash
    if "tensorflow" in sys.modules and rewrites != stash.get(_REWRITES, True):
        sys.modules["tensorflow"].config.optimizer.set_experimental_options(
            {"disable_meta_optimizer": not rewrites}
        )
        stash[_REWRITES] = rewrites
