"""CLEVRER's layout with a few videos of discs, for tests."""

import dataclasses
import json

import av
import numpy as np

from tests.data import dataset_scripts
from tfdecomp import builders
from tfdecomp.data.building import builder_base
from tfdecomp.data.formats.clevrer import clevrer_layout, clevrer_videos
from tfdecomp.simulation.rays import clevr_scenes

VIDEO = clevrer_layout.video("validation", 10_000)
ANNOTATION = clevrer_layout.annotation("validation", 10_000)
PROPOSALS = clevrer_layout.proposals("derender_proposals", 10_000)
MASKS = clevrer_layout.author_masks(4, 10_000)
SCRIPT = dataset_scripts.load("clevrer")
CONFIGS = builders.builder_cls("clevrer").builder_configs
FRAMES = 128
RADIUS = 24


def film(count, first=0, last=FRAMES):
    """Discs that move, the last one in view from `first` to `last` alone.

    Args:
        count: Discs, up to six, all of them of different kinds.
        first: First frame in which the last disc is in view.
        last: Frame after the last one.

    Returns:
        What `SCRIPT.write` takes.
    """
    ground = np.linspace(90, 130, clevrer_layout.SIZE[0]).astype(np.uint8)
    video = np.empty((FRAMES, *clevrer_layout.SIZE, 3), np.uint8)
    video[:] = ground[:, None, None]
    labels = np.zeros((FRAMES, *clevrer_layout.SIZE, 1), np.uint8)
    colours = np.array(list(clevr_scenes.COLOURS.values()))
    place = np.zeros((FRAMES, count, 3))
    near = np.indices((2 * RADIUS, 2 * RADIUS)) + 0.5 - RADIUS
    disc = np.hypot(*near) < RADIUS
    for n in range(count):
        for t in range(FRAMES):
            row, column = 40 + 48 * n, 130 + 30 * n + (-1) ** n * t
            patch = (
                slice(row - RADIUS, row + RADIUS),
                slice(column - RADIUS, column + RADIUS),
            )
            video[t][patch][disc] = colours[n]
            labels[t][patch][disc] = n + 1
            place[t, n] = row, column, 0
    inside = np.zeros((FRAMES, count), np.uint8)
    inside[:, :-1] = inside[first:last, -1] = 1
    collision = np.zeros((FRAMES, count), np.uint8)
    collision[30, :2] = 1
    numbers = np.arange(count)
    return {
        "video": video,
        "segmentation": labels,
        "num_objects": count,
        "factors": {
            "shape": 1 + numbers % 3,
            "material": 1 + numbers % 2,
            "color": 1 + numbers,
            "inside_camera_view": inside,
            "collision": collision,
            "location_3d": place,
        },
    }


def reader(folder, name="slices345", **fields):
    """The reader of a config, for the videos of the folder alone.

    Labels of slices are the detector's unless said otherwise.
    """
    fields = {
        "name": "test",
        "num_videos": 1,
        "mask_source": clevrer_videos.PROPOSALS,
        **fields,
    }
    if name == "train":
        fields["mask_source"] = clevrer_videos.NONE
    config = dataclasses.replace(CONFIGS[name], **fields)
    return clevrer_videos.ClevrerVideos(
        folder,
        f"tfdecomp_clevrer/{name}",
        builder_base.plain(config),
        config.stand_in,
    )


def change(path, edit):
    """Reads JSON, lets `edit` change it, writes it again."""
    tree = json.loads(path.read_text())
    edit(tree)
    SCRIPT.write_json(path, tree)


def decoded(path):
    with av.open(str(path)) as container:
        return np.stack(
            [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        )


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def colour(tree):
    tree["object_property"][1]["color"] = "orange"
