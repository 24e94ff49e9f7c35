"""Recorded games: what is cut of them, and what is said of bad files."""

import dataclasses
import json
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfdecomp import builders
from tfdecomp.data import errors, pipeline, reader
from tfdecomp.data.building import builder_base
from tfdecomp.data.formats import atari_episodes, color_components

CONFIGS = builders.builder_cls("atari").builder_configs
FIELDS = {
    "game": "Carnival",
    "source_height": 9,
    "source_width": 8,
    "first_row": 2,
    "last_row": 7,
    "window": 4,
    "num_frames": 3,
    "num_windows": 2,
}
LENGTHS = (8, 7, 9, 8, 10)


def _config(name="crops", **fields):
    base = CONFIGS[f"carnival_{name}"]
    window = {"window": 0} if name == "full" else {}
    fields = {**FIELDS, **window, **fields}
    return dataclasses.replace(base, name="tiny", **fields)


def _arrays(number, length):
    """An episode whose pixels tell episode, frame, row and column."""
    frames = np.zeros((length, 9, 8, 3), np.uint8)
    frames[..., 0] = 10 * number + np.arange(length)[:, None, None]
    frames[..., 1] = np.arange(9)[:, None]
    frames[..., 2] = np.arange(8)
    return {
        "frames": frames,
        "actions": np.arange(length, dtype=np.int32) + 100 * number,
        "rewards": np.arange(length, dtype=np.float32) / 2,
    }


@pytest.fixture
def folder(tmp_path):
    """Five episodes in the manual folder."""
    game = tmp_path / "manual" / "Carnival"
    game.mkdir(parents=True)
    for number, length in enumerate(LENGTHS):
        path = game / f"episode_{number:05d}.npz"
        np.savez_compressed(path, **_arrays(number, length))
    return tmp_path / "manual"


def _open(folder, config=None):
    config = config or _config()
    return atari_episodes.AtariEpisodes(
        folder, "tfdecomp_atari/tiny", builder_base.plain(config), config.rule()
    )


def test_published_sizes_are_those_of_the_games():
    sizes = {
        name: (config.height, config.width) for name, config in CONFIGS.items()
    }
    assert {s for n, s in sizes.items() if n.endswith("crops")} == {(72, 72)}
    assert {n: s for n, s in sizes.items() if n.endswith("full")} == {
        "space_invaders_full": (195, 160),
        "asteroids_full": (210, 160),
        "carnival_full": (185, 160),
        "wizard_of_wor_full": (250, 160),
    }


def _true_pixels(clip):
    """What the pixels of a clip must be by what is said of it."""
    numbers, (top, left) = clip["frame_index"], clip["crop_offset"]
    height, width = clip["video"].shape[1:3]
    expected = np.zeros_like(clip["video"])
    expected[..., 0] = 10 * clip["index"] + numbers[:, None, None]
    # Two rows are left out at the top.
    expected[..., 1] = (2 + top + np.arange(height))[:, None]
    expected[..., 2] = left + np.arange(width)
    return expected


@pytest.mark.parametrize("name", ["crops", "full"])
def test_clips_are_what_is_said_of_them(name, folder):
    config = _config(name)
    episodes = _open(folder, config)
    seen = set()
    for split, size in episodes.sizes().items():
        for clip in episodes.block(split, 0, size):
            np.testing.assert_array_equal(clip["video"], _true_pixels(clip))
            numbers = clip["frame_index"]
            assert np.all(np.diff(numbers) == 1) and len(numbers) == 3
            np.testing.assert_array_equal(
                clip["actions"], 100 * clip["index"] + numbers
            )
            np.testing.assert_array_equal(clip["rewards"], numbers / 2)
            seen.add((clip["index"], *numbers, *clip["crop_offset"]))
    if name == "full":  # one behind the other, the rest left over
        assert seen == {
            (n, t, t + 1, t + 2, 0, 0)
            for n in (3, 4)
            for t in range(0, LENGTHS[n] - 2, 3)
        }
    else:
        assert len({row[-2:] for row in seen}) > 4


def test_splits_are_by_episodes_the_last_ones_held_out(folder):
    config = _config(splits=("train", "validation", "test"))
    episodes = _open(folder, config)
    assert episodes.splits == {
        "train": [0, 1, 2],
        "validation": [3],
        "test": [4],
    }
    # Half of six, five and seven first frames, twice each.
    assert episodes.sizes() == {
        "train": 2 * (3 + 2 + 4),
        "validation": 6,
        "test": 8,
    }
    two = _open(folder, dataclasses.replace(config, held_out_episodes=2))
    assert two.splits == {"train": [0], "validation": [1, 2], "test": [3, 4]}


def test_five_per_cent_are_at_least_one_episode(folder):
    for count, expected in ((24, 1), (37, 2), (50, 2), (80, 4)):
        episodes = _open(folder)
        episodes.paths = episodes.paths[:1] * count
        assert len(episodes._divide()["validation"]) == expected


def test_blocks_do_not_change_the_content(folder):
    whole = _open(folder).block("train", 0, 18)
    parts = _open(folder)
    for size in (1, 5):
        for begin in range(0, 18, size):
            end = min(begin + size, 18)
            for n, clip in enumerate(parts.block("train", begin, end)):
                for key, value in clip.items():
                    np.testing.assert_array_equal(value, whole[begin + n][key])
    other = _open(folder, _config(seed=1)).block("train", 0, 18)
    assert any((a["video"] != b["video"]).any() for a, b in zip(whole, other))


# ---- pseudo boxes ----------------------------------------------------------


def _game(folder):
    """Episodes of a red square that goes to the right and a blue one."""
    for number, length in enumerate(LENGTHS):
        frames = np.zeros((length, 9, 8, 3), np.uint8)
        for t in range(length):
            frames[t, 3:5, t % 6 : t % 6 + 2] = (200, 0, 0)
        frames[:, 6:7, 1:3] = (0, 0, 200)
        np.savez_compressed(
            _path(folder, number),
            **{**_arrays(number, length), "frames": frames},
        )


@pytest.mark.parametrize("name", ["crops", "full"])
def test_clips_have_pseudo_boxes_of_what_is_seen_in_them(name, folder):
    _game(folder)
    episodes = _open(folder, _config(name, max_objects=5))
    for clip in episodes.block("validation", 0, 2):
        known = color_components.tracks(clip["video"])
        assert clip["num_objects"] == known.shape[1] <= 4
        slots = np.arange(5) < known.shape[1]
        np.testing.assert_array_equal(clip["boxes"][:, slots], known)
        assert not clip["boxes"][:, ~slots].any()
        shown = (clip["boxes"][..., 2:] > clip["boxes"][..., :2]).all(-1)
        np.testing.assert_array_equal(clip["visibility"], shown)
    if name == "full":  # two rows are left out, and dilated by one pixel
        np.testing.assert_array_equal(clip["boxes"][:, 0], [[4, 1, 6, 4]] * 3)
        first = int(clip["frame_index"][0]) % 6
        np.testing.assert_array_equal(
            clip["boxes"][0, 1], [1, first, 4, min(first + 3, 8)]
        )


def test_more_tracks_than_slots_name_the_field_and_the_frames(folder):
    _game(folder)
    few = {"name": "full", "max_objects": 1}
    with pytest.raises(errors.AnnotationError) as caught:
        _open(folder, _config(**few)).block("validation", 0, 1)
    for word in (
        f"frames 0 to 2 of {_path(folder, 3)} have 2 tracks",
        "more than max_objects = 1",
        "raise max_objects, up to 254, or set pseudo_boxes to false",
    ):
        assert word in str(caught.value)
    none = _open(folder, _config(**few, pseudo_boxes=False))
    assert "boxes" not in none.block("validation", 0, 1)[0]


def test_pseudo_boxes_are_named_so_and_can_be_left_out(folder, tmp_path):
    _game(folder)
    for wanted, kind in ((True, "pseudo"), (False, "none")):
        config = _config(pseudo_boxes=wanted)
        builder = builders.builder_cls("atari")(
            config=config, data_dir=tmp_path / kind
        )
        metadata = builder.info.metadata
        assert (metadata["has_boxes"], metadata["box_kind"]) == (wanted, kind)
        labels = set(reader.from_builder(builder).labels)
        known = {"boxes", "visibility"} if wanted else set()
        assert labels & {"boxes", "visibility", "segmentation"} == known


# ---- bad files --------------------------------------------------------------


def _path(folder, number=1):
    return folder / "Carnival" / f"episode_{number:05d}.npz"


def _save(folder, **changes):
    arrays = {**_arrays(1, 7), **changes}
    np.savez_compressed(
        _path(folder), **{n: a for n, a in arrays.items() if a is not None}
    )


OBJECTS = np.array([{"a": 1}] * 7, object)
BAD = {
    "an array missing": (
        {"actions": None},
        errors.LayoutError,
        ["has no array 'actions'", "found ['frames', 'rewards']"],
    ),
    "pickles inside": (
        {"rewards": OBJECTS},
        errors.LayoutError,
        [
            "rewards in",
            "an array of Python objects, that is a pickle",
            "never read here",
            "isolated",
        ],
    ),
    "frames as floats": (
        {"frames": np.zeros((7, 9, 8, 3))},
        errors.LayoutError,
        [
            "frames in",
            "float64 (7, 9, 8, 3), expected uint8 ('N', 'H', 'W', 3)",
        ],
    ),
    "grey frames": (
        {"frames": np.zeros((7, 9, 8), np.uint8)},
        errors.LayoutError,
        ["uint8 (7, 9, 8), expected"],
    ),
    "actions of two kinds": (
        {"actions": np.zeros((7, 2), np.int32)},
        errors.LayoutError,
        ["actions in", "int32 (7, 2), expected int32 ('N',)"],
    ),
    "another size": (
        {"frames": np.zeros((7, 6, 8, 3), np.uint8)},
        errors.ResolutionError,
        ["has frames of 6x8 pixels, expected 9x8"],
    ),
    "fewer rewards": (
        {"rewards": np.zeros(6, np.float32)},
        errors.LayoutError,
        ["has 7 frames but 6 rewards"],
    ),
    "too short": (
        {n: a[:2] for n, a in _arrays(1, 7).items()},
        errors.TruncatedError,
        ["has 2 frames, fewer than the 3 of a clip"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_files_are_named_before_anything_is_written(case, folder):
    changes, kind, words = BAD[case]
    _save(folder, **changes)
    with pytest.raises(kind) as caught:
        _open(folder)
    assert type(caught.value) is kind
    for word in [*words, str(_path(folder)), atari_episodes.LAYOUT]:
        assert word in str(caught.value)


class _Harm:
    """Would run when it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was read",)


def test_a_pickle_is_not_read_whatever_its_name(folder):
    _path(folder).write_bytes(pickle.dumps(_Harm()))
    with pytest.raises(errors.LayoutError, match="probably a pickle"):
        _open(folder)
    _save(folder, actions=np.array([_Harm()] * 7, object))
    with pytest.raises(errors.LayoutError, match="that is a pickle"):
        _open(folder)


@pytest.mark.parametrize("size", [0, 100, 400])
def test_a_cut_file_is_truncated(size, folder):
    path = _path(folder)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(errors.TruncatedError) as caught:
        _open(folder)
    for word in (str(path), f"{size} bytes", atari_episodes.LAYOUT):
        assert word in str(caught.value)


def test_damage_within_an_episode_is_noticed_when_it_is_read(folder):
    path = _path(folder)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (60, 9, 8, 3), np.uint8)
    _save(folder, **{**_arrays(1, 60), "frames": frames})
    data = bytearray(path.read_bytes())
    data[9000:9040] = bytes(40)
    path.write_bytes(data)
    episodes = _open(folder)
    episodes.block("train", 0, 6)  # the first one is fine
    with pytest.raises(errors.TruncatedError, match="cannot be read as npz"):
        episodes.block("train", 6, 7)


def _prepare(manual, tmp_path, **fields):
    config = {"name": "tiny", "base": "carnival_crops", **FIELDS, **fields}
    return builders.prepare(
        "atari",
        tmp_path / "data",
        progress=False,
        config=json.dumps(config),
        manual=True,
        download_config=tfds.download.DownloadConfig(manual_dir=manual),
    )


@pytest.mark.parametrize("there", ["pickles", "a gap"])
def test_missing_episodes_name_the_layout_and_the_stand_in(
    there, folder, tmp_path
):
    manual, missing = folder, "episode_00000.npz"
    if there == "pickles":
        manual = tmp_path / "rollouts"
        name = "atari_data_env=CarnivalNoFrameskip-v4.datetime=1"
        (manual / name).mkdir(parents=True)
        seen = f"found ['{name}']"
    else:
        _path(folder, 2).unlink()
        missing, seen = "episode_00002.npz", "found ['episode_00000.npz', 'epis"
    with pytest.raises(errors.MissingFileError) as caught:
        _prepare(manual, tmp_path)
    for word in (
        f"Carnival/{missing} is missing",
        seen,
        "'sprite_game/crops'",
        "tfdecomp_atari/tiny",
        atari_episodes.LAYOUT,
    ):
        assert word in str(caught.value)
    assert not list(tmp_path.rglob("*.tfrecord*"))


def test_too_few_episodes_to_hold_some_out_are_refused(folder):
    with pytest.raises(errors.LayoutError, match="5 episodes, too few to hold"):
        _open(folder, _config(held_out_episodes=3))


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"last_row": 9}, "rows 2 to 9 are not within the 9 rows"),
        ({"window": 7}, "window is 7, more than the 6x8 pixels"),
        ({"splits": ("train", "tset")}, "splits is"),
        ({"held_out_share": 0.5}, "held_out_share is 0.5"),
        ({"held_out_episodes": 0}, "held_out_episodes is 0"),
        ({"num_train": 5}, "leave out num_train"),
        ({"density": 0.0}, "density 0.0"),
    ],
)
def test_fields_that_do_not_fit_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        _config(**fields)


# ---- through the command, and the conversion --------------------------------


def test_a_prepared_set_hands_out_actions_and_corners(folder, tmp_path):
    builder = _prepare(folder, tmp_path)
    splits = {name: s.num_examples for name, s in builder.info.splits.items()}
    assert splits == {"train": 18, "validation": 6}
    assert builder.info.metadata["episodes"]["validation"] == [3]
    assert len(builder.info.metadata["source_files"]) == 5
    source = reader.open_source("atari/tiny", tmp_path / "data")
    assert {"actions", "rewards", "crop_offset"} <= set(source.labels)
    assert {"boxes", "visibility"} <= set(source.labels)
    assert "segmentation" not in source.labels
    batches = pipeline.make_dataset(
        "atari/tiny",
        "train",
        data_dir=tmp_path / "data",
        batch_size=6,
        num_frames=2,
        clip="random",
        labels=("actions", "rewards", "frame_index", "index"),
        repeat=False,
    )
    for batch in batches.as_numpy_iterator():
        numbers = batch["frame_index"]
        assert numbers.shape == (6, 2)
        np.testing.assert_array_equal(
            batch["actions"], 100 * batch["index"][:, None] + numbers
        )
        np.testing.assert_array_equal(batch["rewards"], numbers / 2)
        np.testing.assert_array_equal(
            batch["video"][..., 0, 0, 1:],
            np.broadcast_to(batch["crop_offset"][:, None] + [2, 0], (6, 2, 2)),
        )


def test_the_script_of_the_readme_converts_recordings(tmp_path):
    pytest.importorskip("dill", reason="needs tfdecomp[test]")
    readme = (builders.folder() / "atari" / "README.md").read_text()
    (script,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    recording = tmp_path / "recording" / "before_warp_recording"
    recording.mkdir(parents=True)
    known = [_arrays(n, length) for n, length in enumerate(LENGTHS)]
    batches = {"batch-0.pkl": known[:2], "batch-1.pkl": known[2:]}
    for name, episodes in batches.items():
        content = {
            "episodes": [
                {
                    "observations": list(e["frames"]) + [e["frames"][0]],
                    "actions": e["actions"].tolist(),
                    "rewards": e["rewards"].tolist(),
                }
                for e in episodes
            ]
        }
        (recording / name).write_bytes(pickle.dumps(content))
    manifest = {
        "batches": [
            {"first": 0, "len": 2, "fn": "/elsewhere/batch-0.pkl"},
            {"first": 2, "len": 3, "fn": "/elsewhere/batch-1.pkl"},
        ]
    }
    name = "openaigym.trace.0.manifest.pkl"
    (recording / name).write_bytes(pickle.dumps(manifest))
    out = tmp_path / "manual" / "Carnival"
    arguments = [str(recording.parent), str(out)]
    subprocess.run([sys.executable, "-c", script, *arguments], check=True)
    episodes = _open(out.parent)
    assert episodes.lengths == list(LENGTHS)
    for number, arrays in enumerate(known):
        with np.load(_path(out.parent, number)) as stored:
            for key, value in arrays.items():
                np.testing.assert_array_equal(stored[key], value)
