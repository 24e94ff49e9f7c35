"""Makes the picture of the README and miniature files of the layout.

python datasets/clevrer/make_files.py
"""

import dataclasses
import json
import pathlib

import numpy as np

from tfdecomp import builders
from tfdecomp.data.building import builder_base
from tfdecomp.data.formats import rle
from tfdecomp.data.formats.clevrer import (
    clevrer_annotations,
    clevrer_layout,
    clevrer_videos,
)
from tfdecomp.data.video import video_io
from tfdecomp.simulation import palettes
from tfdecomp.simulation.rays import slide_scenes
from tfdecomp.visualization import palette, sheets

FOLDER = pathlib.Path(__file__).resolve().parent
FRAMES, COLUMNS, CELL = 8, 5, 128


def main():
    """Writes `clevrer.png` and the files of `dummy_data/`."""
    folder = FOLDER / "dummy_data"
    for number, film in enumerate(films(2, (3, 4), "train")):
        write(folder, "train", number, film)
    few = films(3, (3, 4, 5), "few")
    for number, film in enumerate([*few, *films(2, (6,), "many")], 10_000):
        # The first object comes into view a little later than the others.
        film["factors"]["inside_camera_view"][: number % 3, 0] = 0
        write(folder, "validation", number, film)
    video_io.write_png(FOLDER / "clevrer.png", picture(folder))


def picture(folder):
    """Frames of a file as recorded and as stored, and both kinds of masks."""
    configs = builders.builder_cls("clevrer").builder_configs
    rows = {}
    for source in (clevrer_videos.PROPOSALS, clevrer_videos.AUTHOR_MASKS):
        config = dataclasses.replace(
            configs["slices345"],
            name="picture",
            first_video=10_001,
            num_videos=1,
            frames_per_video=FRAMES,
            num_frames=COLUMNS,
            mask_source=source,
        )
        videos = clevrer_videos.ClevrerVideos(
            folder, "clevrer", builder_base.plain(config), config.stand_in
        )
        (clip,) = videos.check()[0]
        example = videos.example(clip)
        if not rows:
            frames, _ = video_io.read_video(
                folder / clevrer_layout.video("validation", clip.video)
            )
            frames = frames[example["frame_index"]]
            rows["recorded"] = frames[:, ::4, ::4]
            rows["stored"] = example["video"]
        rows[source] = palette.paint_ids(example["segmentation"])
    return sheets.sheet(rows, cell=CELL)


def films(count, num_objects, stream):
    """Ray-cast films with the size of CLEVRER's, a few frames long.

    Args:
        count: How many.
        num_objects: Possible numbers of objects.
        stream: Name of the stream of scenes.

    Returns:
        A list of examples, see `slide_scenes.generate`.
    """
    look = slide_scenes.SlideFilm(
        num_frames=FRAMES,
        size=None,
        num_objects=num_objects,
        together=True,
        samples=1,
    )
    return slide_scenes.generate(
        look, "test", 0, count, seed=0, stream=f"dummy {stream}"
    )


def write(folder, part, number, film):
    """Writes a video with annotation, proposals and masks.

    Args:
        folder: The manual folder.
        part: `"train"` or `"validation"`.
        number: Number of the video.
        film: Dict with `video` `[T, 320, 480, 3]` and `segmentation`
            `[T, 320, 480, 1]` uint8, `num_objects` and `factors` with the
            codes `shape`, `material` and `color` `[K]`,
            `inside_camera_view` and `collision` `[T, K]` and `location_3d`
            `[T, K, 3]`.
    """
    folder = pathlib.Path(folder)
    video_io.write_video(
        folder / clevrer_layout.video(part, number), film["video"], fps=25
    )
    trees = {
        clevrer_layout.annotation(part, number): annotation(number, film),
        clevrer_layout.proposals("derender_proposals", number): proposals(
            number, film
        ),
    }
    for path, tree in trees.items():
        write_json(folder / path, tree)
    count = film["num_objects"]
    inside = film["factors"]["inside_camera_view"][:, :count].all(1)
    # Windows end before the last frame, see `clevrer_videos`.
    begin, length = map(int, slide_scenes.window(inside[:-1]))
    if part == "validation" and length:
        video_io.write_video(
            folder / clevrer_layout.author_masks(count, number),
            author_masks(film)[begin : begin + length],
            fps=25,
        )


def write_json(path, tree):
    """Writes JSON without spaces."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tree, separators=(",", ":")))


def annotation(number, film):
    """The annotation of a film, as CLEVRER has it."""
    factors, count = film["factors"], film["num_objects"]
    place = factors["location_3d"].astype(float).round(4)
    velocity = np.gradient(place, axis=0).round(4) if len(place) > 1 else place
    trajectory = [
        {
            "frame_id": t,
            "objects": [
                {
                    "object_id": n,
                    "location": place[t, n].tolist(),
                    "orientation": [0.0, 0.0, 0.0],
                    "velocity": velocity[t, n].tolist(),
                    "angular_velocity": [0.0, 0.0, 0.0],
                    "inside_camera_view": bool(
                        factors["inside_camera_view"][t, n]
                    ),
                }
                for n in range(count)
            ],
        }
        for t in range(len(place))
    ]
    collisions = [
        {
            "object_ids": np.flatnonzero(hit).tolist(),
            "frame_id": t,
            "location": place[t, hit.argmax()].tolist(),
        }
        for t, hit in enumerate(factors["collision"])
        if hit.sum() == 2
    ]
    return {
        "scene_index": number,
        "video_filename": f"video_{number:05d}.mp4",
        "object_property": [
            {"object_id": n, **kind} for n, kind in enumerate(_kinds(film))
        ],
        "motion_trajectory": trajectory,
        "collision": collisions,
    }


def _kinds(film):
    return [
        {
            name: names[film["factors"][name][n] - 1]
            for name, names in clevrer_annotations.VALUES.items()
        }
        for n in range(film["num_objects"])
    ]


def proposals(number, film):
    """What a detector that makes no mistake would find."""
    kinds = _kinds(film)
    frames = []
    for t, ids in enumerate(film["segmentation"][..., 0]):
        where = {
            "video_index": number,
            "frame_index": t,
            "frame_filename": f"video_{number:05d}_frame_{t:05d}.png",
        }
        found = [n for n in range(len(kinds)) if (ids == n + 1).any()]
        frames.append(
            {
                "frame_filename": where["frame_filename"],
                "frame_index": t,
                "objects": [
                    {
                        "mask": rle.encode(ids == n + 1),
                        **kinds[n],
                        "score": 0.9,
                        **where,
                    }
                    for n in found
                ],
            }
        )
    return {
        "video_index": number,
        "video_name": f"sim_{number:05d}",
        "frames": frames,
        "ground_truth": {
            "objects": [{"id": n, **kind} for n, kind in enumerate(kinds)],
            "collisions": [],
        },
    }


def author_masks(film):
    """Masks `[T, H, W, 3]` uint8, each object in a colour of its own."""
    ids = film["segmentation"][..., 0].astype(int)
    # Dark entries of the palette come second; they are easily told apart.
    return palettes.lookup(np.where(ids, ids % 8 + 1, 0))


if __name__ == "__main__":
    main()
