"""Makes the simulated street whose scores docs/your_video.md has.

python tests/fitting/make_street.py FOLDER

Writes `street.mp4` and its truth, `gt.txt`: 400 frames of 192x192, five cars
and five walkers, noise, light that changes. Who was out of view is a new one.
"""

import pathlib
import sys

import numpy as np

from tfdecomp.data.video import video_io
from tfdecomp.simulation.fixed_camera import street

_LOOK = street.Street(
    num_frames=400, size=192, num_cars=(5, 5), num_walkers=(5, 5)
)
_NOISE = 6.0  # grey levels


def main(folder):
    """Writes both files."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (scene,) = street.generate(_LOOK, "test", 0, 1, seed=0, stream="own")
    noise = np.random.default_rng(0).normal(0, _NOISE, scene["video"].shape)
    video = np.clip(scene["video"] + noise, 0, 255).astype(np.uint8)
    video_io.write_video(folder / "street.mp4", video, 20)
    visible = scene["visibility"].astype(bool)
    begins = visible & ~np.roll(visible, 1, 0)
    begins[0] = visible[0]
    # Numbered in the order in which they come into view.
    numbers = np.cumsum(begins.ravel()).reshape(begins.shape)
    current = np.maximum.accumulate(np.where(begins, numbers, 0))
    with open(folder / "gt.txt", "w", encoding="utf-8") as file:
        for t, k in np.argwhere(visible):
            top, left, bottom, right = scene["boxes"][t, k].tolist()
            file.write(
                f"{t + 1},{current[t, k]},{left + 1},{top + 1},"
                f"{right - left},{bottom - top},1,1,1\n"
            )


if __name__ == "__main__":
    main(sys.argv[1])
