"""A few frames of what a model is meant for, to try it with."""

import itertools

from tfdecomp import builders
from tfdecomp.data import errors
from tfdecomp.prediction import fit, footage
from tfdecomp.storage import configs, model_info

_SEED = 0


def first_frames(model, folder, video=None, num_frames=4) -> list:
    """Frames `[H, W, C]` uint8 of the model's size.

    Args:
        model: A built `DecompositionModel`.
        folder: Its own, with the config that it was trained by.
        video: Video to take them from; None: a new clip of the data that it
            was trained on.
        num_frames: How many; a shorter clip is gone through again.

    Raises:
        ValueError: If there is no video, and no new clip can be made.
    """
    if video is None:
        frames = _of_training(folder)
    else:
        source = footage.Footage(video)
        frames = [
            frame.pixels
            for frame in itertools.islice(source.frames(), num_frames)
        ]
    first = frames[0]
    fitted = fit.Fit(first.shape[:2], model.image_size, model.channels)
    chosen = itertools.islice(itertools.cycle(frames), num_frames)
    return [fitted.picture(frame) for frame in chosen]


def _of_training(folder):
    name = model_info.trained_on(configs.saved(folder) or "")
    try:
        if name is None:
            raise ValueError("its config names none")
        clips = builders.fresh_clips(name, seed=_SEED, num_clips=1)
        frames = next(iter(clips))["video"]
    except (ValueError, OSError, errors.DatasetInputError) as error:
        raise ValueError(
            "no new clip of the data that this model was trained on can be "
            f"made ({error}); give a video with --warmup"
        ) from error
    if frames.shape[-1] == 1:
        frames = frames.repeat(3, axis=-1)
    return list(frames)
