"""Makes the picture of the README and the miniature original files.

python datasets/bouncing_balls/make_files.py
"""

import importlib
import pathlib

import h5py
import numpy as np

from tfdecomp.data.video import video_io
from tfdecomp.simulation import palettes
from tfdecomp.simulation.balls import ball_physics, bouncing_balls

FOLDER = pathlib.Path(__file__).resolve().parent
COLUMNS, CELL, MARGIN = 6, 128, 2


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
    """Some frames of a white, a coloured, a crowded and a quick video."""
    # Beside this script the builder is a plain module.
    module = importlib.import_module("bouncing_balls_dataset_builder")
    configs = module.Builder.builder_configs
    rows = []
    for name in ("binary4", "color4", "color678_pal8", "color3_quick"):
        config = configs[name]
        (example,) = bouncing_balls.generate(
            config.look(), "test", 0, 1, seed=config.seed, stream=config.stream
        )
        picked = np.linspace(0, config.num_frames - 1, COLUMNS).astype(int)
        frames = example["video"][picked]
        rows.append(_row(np.repeat(frames, 3 // config.channels, -1)))
        if name == "color4":
            ids = example["segmentation"][picked, ..., 0]
            rows.append(_row(palettes.lookup(ids + 4 * (ids > 0))))
    return np.concatenate(rows)


def _row(frames):
    """Frames `[T, H, W, 3]` side by side in cells of one size."""
    scale = CELL // frames.shape[1]
    frames = frames.repeat(scale, 1).repeat(scale, 2)
    space = CELL + 2 * MARGIN - frames.shape[1]
    edge = (space // 2, space - space // 2)
    frames = np.pad(frames, [(0, 0), edge, edge, (0, 0)], constant_values=128)
    return np.concatenate(list(frames), 1)


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
