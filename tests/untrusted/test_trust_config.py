"""A run whose config imports modules: refused, unless it is one's own."""

import subprocess
import sys

import gin
import pytest

from tests.untrusted.stored_models import write_run
from tfdecomp.storage import configs

MODULE = "tfdecomp_of_my_own"
CODE = """
import gin

@gin.configurable(module="mine")
def twice(value=1):
    return 2 * value
"""
CONFIG = f"""import {MODULE}
NUM_SLOTS = 3
models.PROVIDE.num_slots = %NUM_SLOTS
training.run.model = @models.PROVIDE()
training.run.dataset = 'tfdecomp_bouncing_balls/color4_tiny'
data.make_dataset.resize = 16
mine.twice.value = 21
"""


@pytest.fixture(name="run")
def _fixture_run(tmp_path, monkeypatch):
    """A work directory, and the module that its config imports."""
    (tmp_path / f"{MODULE}.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "run").mkdir()
    write_run(tmp_path / "run", CONFIG)
    yield tmp_path / "run"
    sys.modules.pop(MODULE, None)


def test_it_is_refused_with_what_to_do(run):
    words = f"{MODULE}.*if the run is your own, add --trust_config"
    with configs.isolated(), pytest.raises(configs.ConfigError, match=words):
        configs.restore(run)
    assert MODULE not in sys.modules


def test_a_trusted_one_is_the_active_config(run):
    with configs.isolated():
        configs.restore(run, ["NUM_SLOTS = 5"], trusted=True)
        assert configs.macro("NUM_SLOTS") == 5
        assert gin.get_configurable("mine.twice")() == 42


@pytest.mark.slow
@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_commands_that_score_take_the_flag(command, run, tmp_path):
    def typed(*more):
        return subprocess.run(
            [
                *(sys.executable, "-m", f"tfdecomp.{command}"),
                *(f"--workdir={run}", f"--data_dir={tmp_path / 'data'}"),
                *("--num_clips=1", *more),
            ],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )

    refused = typed()
    assert refused.returncode == 1
    assert "add --trust_config" in refused.stderr
    done = typed("--trust_config")
    assert done.returncode == 0, done.stderr
