"""A small run, and what packs it, for tests that damage its files."""

import json

from tests.test_case import set_seed
from tfdecomp.models.provide import PROVIDE
from tfdecomp.storage import saving


def write_run(folder, config):
    """Fills an empty folder as training leaves a work directory."""
    (folder / "checkpoints").mkdir()
    set_seed(0)
    model = saving.build(
        PROVIDE(
            image_size=16,
            num_slots=3,
            num_refinements=2,
            latent_dim=4,
            units=8,
        )
    )
    saving.save_model(folder, model)
    arrays = saving.variable_arrays("model", model.variables)
    meta = {"step": 7, "best": None}
    saving.write_checkpoint(folder / "checkpoints", 7, arrays, meta)
    (folder / "config.gin").write_text(config)
    (folder / "run.json").write_text(json.dumps({"seed": 5}))


def sign(folder):
    """Makes the checksums right again, where the files can be read."""
    path = folder / "info.json"
    try:
        info = json.loads(path.read_text())
        for file in info["sha256"]:
            info["sha256"][file] = saving.sha256(folder / file)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ):
        return
    path.write_text(json.dumps(info))
