"""Makes the picture of the README and the miniature original files.

python datasets/ocrb/make_files.py
"""

import json
import pathlib

import h5py
import numpy as np

from tfdecomp import builders
from tfdecomp.data.formats import ocrb_annotations
from tfdecomp.data.video import video_io
from tfdecomp.visualization import palette, sheets

FOLDER = pathlib.Path(__file__).resolve().parent
COLUMNS, FRAMES, SIZE = 8, 10, 64
WALL, FLOOR = (90, 100, 120), (130, 110, 90)


def main():
    """Writes `ocrb.png` and the files of `dummy_data/`."""
    dummy = FOLDER / "dummy_data"
    counts = {"train": 3, "val": 2, "test": 2}
    write_original(dummy, "vmds", counts, {"testsets/vmds_test_occlusion": 2})
    write_original(dummy, "spmot", counts, channels_first=True)
    write_original(dummy, "vor", counts, room=True)
    video_io.write_png(FOLDER / "ocrb.png", picture(dummy))


def picture(folder):
    """The first test video of each miniature file, and its labels."""
    rows = {}
    for name in ("vmds", "spmot", "vor"):
        with h5py.File(folder / f"{name}.hdf5") as file:
            video = file["test"][0, :COLUMNS]
        rows[name] = np.moveaxis(video, 1, 3) if name == "spmot" else video
        path = folder / f"{name}_test.json"
        labels = ocrb_annotations.Annotations(path, name, "").labels(
            0, COLUMNS, (SIZE, SIZE), 8
        )
        rows[f"{name} labels"] = palette.paint_ids(labels[0][..., None])
    return sheets.sheet(rows, cell=SIZE)


def write_original(
    folder, name, counts, further=None, channels_first=False, room=False
):
    """Writes the files of one set, laid out as the originals, but smaller.

    Args:
        folder: Where to.
        name: `"vmds"`, `"spmot"` or `"vor"`.
        counts: Name of each data set to its number of videos.
        further: The same of data sets in groups.
        channels_first: Whether channels come before the rows.
        room: Whether the background has two parts.
    """
    folder.mkdir(exist_ok=True)
    with h5py.File(folder / f"{name}.hdf5", "w") as file:
        for key, count in {**counts, **(further or {})}.items():
            videos, labels = scenes(f"{name} {key}", count, room)
            if channels_first:
                videos = np.moveaxis(videos, 4, 2)
            file.create_dataset(
                key,
                data=videos,
                chunks=(1, *videos.shape[1:]),
                compression="gzip",
                compression_opts=9,
                track_times=False,
            )
            if key == "test":
                frames = [[annotated(f, room) for f in v] for v in labels]
                (folder / f"{name}_test.json").write_text(json.dumps(frames))


def scenes(stream, count, room):
    """Videos `[N, T, H, W, 3]` and labels `[N, T, H, W]`, both uint8."""
    config = {
        "name": "few",
        "base": "quick",
        "stream": f"dummy {stream}",
        "num_frames": FRAMES,
        "height": SIZE,
        "width": SIZE,
    }
    builder = builders.make("scattered_shapes", config=json.dumps(config))
    examples = builder.make_block(builder.builder_config)("train", 0, count)
    videos = np.stack([e["video"] for e in examples])
    labels = np.stack([e["segmentation"][..., 0] for e in examples])
    if room:
        behind = np.empty((SIZE, SIZE, 3), np.uint8)
        behind[: SIZE // 2], behind[SIZE // 2 :] = WALL, FLOOR
        videos = np.where(labels[..., None] > 0, videos, behind)
    return videos, labels


def annotated(labels, room):
    """One frame of the annotations; ids begin with 3, hidden ones are out."""
    numbers = [n for n in range(1, labels.max() + 1) if (labels == n).any()]
    masks = [labels == n for n in numbers]
    ids = [n + 2 for n in numbers]
    parts = 0
    if room:
        upper = np.arange(SIZE)[:, None] < SIZE // 2
        masks += [(labels == 0) & upper, (labels == 0) & ~upper]
        ids, parts = [*ids, 0, 1], 2
    runs = [ocrb_annotations.encode(mask) for mask in masks]
    return {"ids": ids, "masks": runs, "num_bg": parts}


if __name__ == "__main__":
    main()
