"""Makes the picture of the README and the tiny videos for tests.

python datasets/video_folder/make_files.py
"""

import pathlib
import tempfile

import numpy as np

from tfdecomp.data.video import video_folders, video_io, video_sampling
from tfdecomp.visualization import sheets

FOLDER = pathlib.Path(__file__).resolve().parent
COLUMNS = 6


def main():
    """Writes `video_folder.png` and the files of `dummy_data/`."""
    video_io.write_png(FOLDER / "video_folder.png", picture())
    for number in range(5):
        video_io.write_video(
            FOLDER / "dummy_data" / f"street {number + 1}.mp4",
            street(12, 36, 64, seed=number),
        )
    for number, frame in enumerate(street(8, 36, 64, seed=5)):
        path = FOLDER / "dummy_data" / "frames" / f"{number + 1:04d}.png"
        video_io.write_png(path, frame // 16 * 16)


def picture():
    """A generated video as it is recorded, and clips made of it."""
    frames = street(64, 144, 256, seed=1)
    looks = {
        "squashed": video_sampling.Look(64, 64),
        "center": video_sampling.Look(64, 64, crop="center"),
        "grey": video_sampling.Look(64, 64, channels=1, crop="center"),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "street.mp4"
        video_io.write_video(path, frames, fps=20)
        clips = {name: clip(path.parent, look) for name, look in looks.items()}
    numbers = clips["center"].numbers
    recorded = frames[numbers].reshape(COLUMNS, 72, 2, 128, 2, 3)
    rows = {"recorded": recorded.mean((2, 4)).round().astype(np.uint8)}
    rows.update({name: one.pictures for name, one in clips.items()})
    return sheets.sheet(rows, cell=128)


def clip(folder, look):
    """The first clip of a folder, four frames a second."""
    settings = video_folders.Settings(
        video_sampling.Sampling(rate=4),
        look,
        clip_length=COLUMNS,
        test_share=0.0,
    )
    return next(video_folders.VideoFolder(folder, settings).clips("train"))


def street(count, height, width, seed):
    """A street from above: cars in three lanes before a textured ground.

    Args:
        count: Frames.
        height: Rows.
        width: Columns.
        seed: Seed.

    Returns:
        `[count, height, width, 3]` uint8.
    """
    rng = np.random.default_rng(seed)
    cells = rng.integers(90, 120, (height // 4, width // 4, 1))
    ground = cells.repeat(4, 0).repeat(4, 1) + np.array([-6, 0, -12])
    lane = height // 4
    ground[lane // 2 : lane // 2 + 3 * lane] = (70, 70, 74)
    frames = np.repeat(ground[None], count, 0).astype(np.uint8)
    for row in range(3):
        top = lane // 2 + row * lane + lane // 4
        speed = rng.uniform(0.5, 2.0) * width / 64 * (-1) ** row
        for place in rng.uniform(0, width / 2, 2) + (0, width * 0.6):
            colour = rng.integers(40, 256, 3)
            length = int(rng.uniform(0.6, 1.1) * lane)
            for number, frame in enumerate(frames):
                left = int((place + speed * number) % (width + length)) - length
                frame[top : top + lane // 2, max(left, 0) : left + length] = (
                    colour
                )
    return frames


if __name__ == "__main__":
    main()
