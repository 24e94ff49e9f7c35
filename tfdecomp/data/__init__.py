"""Input: prepared datasets, video files, stand-ins for tests.

Names are loaded on first use, so importing the package stays cheap.
"""

import importlib

_HOMES = {
    "make_dataset": "pipeline",
    "element_spec": "pipeline",
    "from_examples": "pipeline",
    "measure_throughput": "pipeline",
    "fake_batch": "fake",
    "read_video": "video.video_io",
    "write_video": "video.video_io",
    "read_image": "video.video_io",
    "write_png": "video.video_io",
    "DatasetInputError": "errors",
}

__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    return getattr(home, name)


def __dir__():
    return __all__
