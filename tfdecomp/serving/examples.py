"""A clip of the kind that a model knows, for whoever has none at hand."""

import dataclasses

import numpy as np

from tfdecomp import builders
from tfdecomp.data import errors
from tfdecomp.data.video import video_writer
from tfdecomp.simulation.fixed_camera import dish

_DISH = dish.Dish(num_frames=80, size=(160, 224), length=30.0)
_FRAMES = 48
_FPS = 10
_LEAST_SIDE = 160  # pixels; smaller frames are enlarged


def make(trained_on, follows, seed=1) -> np.ndarray | None:
    """Makes a clip.

    Args:
        trained_on: Dataset that a model was trained on, or None.
        follows: Whether it follows what moves before a fixed camera.
        seed: Seed of the clip.

    Returns:
        `[T, H, W, C]` uint8; None where no clip of that kind can be made.
    """
    if follows:
        return dish.film(_DISH, seed)["video"]
    if trained_on is None:
        return None
    try:
        config = builders.make(trained_on).builder_config
        if config.num_frames > 1:
            config = dataclasses.replace(
                config, name="example", num_frames=_FRAMES
            )
        (example,) = builders.fresh_clips(
            trained_on, seed=seed, num_clips=1, config=config
        )
    except (errors.DatasetInputError, ValueError):
        return None
    return _enlarged(example["video"])


def _enlarged(video):
    """Every pixel a square of pixels, so that it can be looked at."""
    factor = -(-_LEAST_SIDE // min(video.shape[1:3]))
    return video.repeat(factor, axis=1).repeat(factor, axis=2)


def write(path, video):
    """Writes a clip of `make` as a video.

    Args:
        path: The file.
        video: `[T, H, W, C]` uint8; one channel is grey.
    """
    if video.shape[-1] == 1:
        video = video.repeat(3, axis=-1)
    with video_writer.VideoWriter(path, fps=_FPS) as writer:
        for frame in video:
            writer.add(frame)
