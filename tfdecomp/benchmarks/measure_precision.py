"""Whether a model finds in bfloat16 what it finds in float32.

    agreement = share of the pixels of all clips whose slot has the largest
                mask in both

Numbers of slots count: a model that finds the same objects under other
numbers has tracks that jump where precisions change, and disagrees.
"""

import numpy as np

from tfdecomp.sharing import hub
from tfdecomp.storage import precision as precision_lib

_SEED, _CLIPS, _FRAMES = 5, 12, 10


def agreement(loaded, clips) -> float:
    """Share of the pixels whose slot is the same.

    Args:
        loaded: A `hub.Loaded`.
        clips: `[B, T, H, W, C]` of the model's size.

    Raises:
        ValueError: If the model gives no masks.
    """
    owners = []
    for precision in precision_lib.POLICIES:
        outputs = loaded.decompose(clips, precision=precision)
        if "masks" not in outputs:
            raise ValueError(
                f"{type(loaded.model).__name__} gives no masks to compare; "
                "look at its reconstructions instead"
            )
        owners.append(outputs["masks"].argmax(2))
    return float((owners[0] == owners[1]).mean())


def compare(fresh_clips, names=None):
    """Yields a row for each model that gives masks of clips of its own set.

    Args:
        fresh_clips: `builders.fresh_clips`, or what makes clips as it does.
        names: Models, as `hub.load` takes them; by default all that ship.
    """
    for name in names or hub.list_models():
        loaded = hub.load(name)
        row = {"model": name, "dataset": loaded.trained_on}
        try:
            clips = fresh_clips(loaded.trained_on, seed=_SEED, num_clips=_CLIPS)
            videos = [np.asarray(clip["video"])[:_FRAMES] for clip in clips]
            shortest = min(map(len, videos))
            videos = np.stack([video[:shortest] for video in videos])
            row["agreement"] = agreement(loaded, videos)
        except (ValueError, TypeError) as error:
            # Sets of files that are not there, and models without masks.
            row["left_out"] = str(error) or type(error).__name__
        yield row
