"""Makes the picture of the README and the miniature video for tests.

python datasets/grand_central/make_files.py
"""

import fractions
import pathlib

import av
import numpy as np

from tfdecomp import builders
from tfdecomp.data.formats import grand_central_video
from tfdecomp.data.video import video_io
from tfdecomp.visualization import sheets

FOLDER = pathlib.Path(__file__).resolve().parent
CLIP, CLIPS, COLUMNS = 4, 11, 5
HEIGHT, WIDTH = 480, 720


def main():
    """Writes `grand_central.png` and the file of `dummy_data/`."""
    path = FOLDER / "dummy_data" / grand_central_video.FILE
    frames = hall(CLIP * CLIPS + 1, HEIGHT, WIDTH)
    write_original(path, frames)
    video_io.write_png(FOLDER / "grand_central.png", picture(path, frames))


def picture(path, frames):
    """Frames as they are recorded, and the window of them."""
    cls = builders.builder_cls("grand_central")
    config = cls.builder_config_cls(
        name="picture", num_frames=CLIP, source_frames=len(frames)
    )
    video = grand_central_video.GrandCentralVideo(path, "dummy", config)
    video.check()
    clips = list(video.clips(0, CLIPS))
    window = np.concatenate([pictures for _, pictures in clips])
    recorded = frames.reshape(-1, HEIGHT // 6, 6, WIDTH // 6, 6, 3)
    recorded = recorded.mean((2, 4)).round().astype(np.uint8)
    return sheets.sheet(
        {"recorded": recorded[::9][:COLUMNS], "window": window[::9][:COLUMNS]},
        cell=128,
    )


def hall(count, height, width, seed=0):
    """A hall from above: people walk straight on over a textured floor.

    Args:
        count: Frames.
        height: Rows.
        width: Columns.
        seed: Seed.

    Returns:
        `[count, height, width, 3]` uint8.
    """
    rng = np.random.default_rng(seed)
    tiles = rng.integers(120, 150, (height // 20, width // 20, 1))
    floor = tiles.repeat(20, 0).repeat(20, 1) + np.array([8, 0, -12])
    frames = np.repeat(floor[None], count, 0).astype(np.uint8)
    number = height * width // 4000
    start = rng.uniform(0, (height, width), (number, 2))
    speed = rng.normal(0, 1.2, (number, 2))
    colours = rng.integers(20, 230, (number, 2, 3))
    for time, frame in enumerate(frames):
        places = ((start + time * speed) % (height, width)).astype(int)
        for (y, x), (coat, hair) in zip(places, colours):
            frame[y : y + 10, x : x + 7] = coat
            frame[max(y - 4, 0) : y, x + 2 : x + 5] = hair // 3
    return frames


def write_original(path, frames):
    """Writes a video as the original, but smaller.

    Args:
        path: The file.
        frames: `[N, H, W, 3]` uint8.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fractions.Fraction(25))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.options = {"qscale": "6", "flags": "+qscale"}
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode())


if __name__ == "__main__":
    main()
