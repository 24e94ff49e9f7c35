"""Training: one explicit loop, and the work directory it writes.

from tfdecomp import training
from tfdecomp.storage import configs

configs.parse(["gin/smoke/provide.gin"])
training.run("~/runs/smoke", seed=0)
"""

from tfdecomp.training.checkpoints import restore_model
from tfdecomp.training.loop import run
from tfdecomp.training.settings import (
    Settings,
    build_model,
    build_settings,
)

__all__ = [
    "Settings",
    "build_model",
    "build_settings",
    "restore_model",
    "run",
]
