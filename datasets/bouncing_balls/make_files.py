"""Makes the picture of the README and the miniature original files.

python datasets/bouncing_balls/make_files.py
"""

import pathlib

import h5py
import numpy as np

from tfdecomp.data import video_io
from tfdecomp.simulation import ball_physics, bouncing_balls, palettes

FOLDER = pathlib.Path(__file__).resolve().parent
MARGIN, SCALE = 2, 2


def main():
    """Writes `bouncing_balls.png` and the files of `dummy_data/`."""
    video_io.write_png(FOLDER / "bouncing_balls.png", picture())
    four = ball_physics.BallWorld()
    many = ball_physics.BallWorld(num_balls=(6, 7, 8))
    write_original(
        FOLDER / "dummy_data" / "balls4mass64.h5",
        four,
        {"training": 3, "validation": 2, "test": 2},
    )
    write_original(
        FOLDER / "dummy_data" / "balls678mass64.h5", many, {"test": 2}
    )


def picture():
    """Every tenth frame of a white, a coloured and a crowded video."""
    four = ball_physics.BallWorld()
    many = ball_physics.BallWorld(num_balls=(6, 7, 8))
    quick = ball_physics.BallWorld(
        (3,), radius_light=1.25, radius_heavy=1.55, speed=0.4
    )
    looks = [
        bouncing_balls.BallVideo(four, channels=1),
        bouncing_balls.BallVideo(four),
        bouncing_balls.BallVideo(many, max_objects=8),
        bouncing_balls.BallVideo(quick, max_objects=3),
    ]
    rows = []
    for look in looks:
        stream = f"balls{''.join(map(str, look.world.num_balls))}"
        (example,) = bouncing_balls.generate(
            look, "test", 0, 1, seed=0, stream=stream
        )
        frames = np.repeat(example["video"], 3 // look.channels, -1)[::10]
        rows.append(_row(frames))
        if look is looks[1]:
            ids = example["segmentation"][::10, ..., 0]
            rows.append(_row(palettes.lookup(ids + 4 * (ids > 0))))
    return np.concatenate(rows)


def _row(frames):
    """Frames `[T, H, W, 3]` side by side, enlarged, with a grey margin."""
    frames = frames.repeat(SCALE, 1).repeat(SCALE, 2)
    edge = [(0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)]
    return np.concatenate(list(np.pad(frames, edge, constant_values=128)), 1)


def write_original(path, world, groups, frames=51, size=64):
    """Writes a file as R-NEM's, but with a few videos.

    Args:
        path: The file.
        world: A `BallWorld`.
        groups: Name of each group to its number of videos.
        frames: Frames per video.
        size: Side of the frames.
    """
    path.parent.mkdir(exist_ok=True)
    look = bouncing_balls.BallVideo(
        world,
        num_frames=frames,
        size=size,
        max_objects=max(world.num_balls),
        channels=1,
    )
    with h5py.File(path, "w") as file:
        for name, count in groups.items():
            examples = bouncing_balls.generate(
                look, "test", 0, count, seed=7, stream=f"dummy {name}"
            )
            _write_group(file.create_group(name), examples, size / world.box)


def _write_group(group, examples, scale):
    def stacked(get):
        return np.stack([get(e) for e in examples], 1)  # time comes first

    arrays = {
        "features": stacked(lambda e: (e["video"] > 0).astype(np.float32)),
        "groups": stacked(lambda e: e["segmentation"].astype(np.float32)),
        # (x, y) in units of the simulator's box.
        "positions": stacked(
            lambda e: e["factors"]["position"][..., ::-1] / scale
        ),
        "velocities": stacked(
            lambda e: e["factors"]["velocity"][..., ::-1] / scale
        ),
        "collisions": stacked(lambda e: e["factors"]["collision"]),
    }
    for name, array in arrays.items():
        group.create_dataset(
            name,
            data=array,
            chunks=(array.shape[0], 1, *array.shape[2:]),
            compression="gzip",
            compression_opts=9,
            track_times=False,
        )


if __name__ == "__main__":
    main()
