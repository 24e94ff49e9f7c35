"""Original files: what is read from good ones, what is said of bad ones."""

import shutil
import types

import h5py
import numpy as np
import pytest

from tfdecomp import builders
from tfdecomp.data import errors
from tfdecomp.data.formats import manual, rnem_hdf5
from tfdecomp.simulation import palettes

DUMMY = builders.folder() / "bouncing_balls" / "dummy_data"


def _config(name="h5_color4"):
    return builders.builder_cls("bouncing_balls").builder_configs[name]


def _open(path, name="h5_color4"):
    config = _config(name)
    file = rnem_hdf5.BallsFile(path, f"tfdecomp_bouncing_balls/{name}", 51, 64)
    return file, config, file.check(config)


@pytest.fixture
def copy(tmp_path):
    path = tmp_path / "balls4mass64.h5"
    shutil.copy(DUMMY / path.name, path)
    return path


def test_every_video_is_read_with_its_labels():
    path = DUMMY / "balls4mass64.h5"
    file, config, sizes = _open(path)
    assert sizes == {"train": 3, "validation": 2, "test": 2}
    with h5py.File(path) as raw:
        features = raw["test/features"][:]
        groups = raw["test/groups"][:].astype(int)
    for n, example in enumerate(file.block(config, "test", 0, 2)):
        ids = example["segmentation"]
        np.testing.assert_array_equal(ids, groups[:, n])
        np.testing.assert_array_equal(
            example["video"], palettes.lookup(groups[:, n, ..., 0])
        )
        np.testing.assert_array_equal((ids > 0), features[:, n] > 0.5)
        assert example["num_objects"] == 4


def test_white_videos_are_what_the_file_lights():
    path = DUMMY / "balls4mass64.h5"
    file, config, _ = _open(path, "h5_binary4")
    with h5py.File(path) as raw:
        features = raw["training/features"][:]
    for n, example in enumerate(file.block(config, "train", 0, 3)):
        np.testing.assert_array_equal(example["video"], 255 * features[:, n])


def test_positions_come_out_in_pixels_whatever_unit_the_file_has():
    file, config, _ = _open(DUMMY / "balls4mass64.h5")
    rows, columns = np.indices((64, 64)) + 0.5
    (example,) = file.block(config, "train", 0, 1)
    for frame in (0, 30):
        for ball in range(4):
            mask = example["segmentation"][frame, ..., 0] == ball + 1
            middle = [rows[mask].mean(), columns[mask].mean()]
            np.testing.assert_allclose(
                example["factors"]["position"][frame, ball], middle, atol=1.0
            )
    assert "position" in file.metadata(config)["factor_names"]


def test_positions_that_fit_no_ball_are_ignored(copy):
    with h5py.File(copy, "r+") as raw:
        raw["training/positions"][...] += 3.0
    file, config, _ = _open(copy)
    assert "position" not in file.metadata(config)["factor_names"]
    (example,) = file.block(config, "train", 0, 1)
    assert not example["factors"]["position"].any()


def test_blocks_are_whole_chunks_of_the_file():
    file, _, _ = _open(DUMMY / "balls4mass64.h5")
    for chunk, wanted, expected in (
        (1, 64, 64),
        (100, 64, 100),
        (10, 64, 70),
        (5000, 64, 64),
    ):
        file.chunk = chunk
        assert file.block_size(wanted) == expected


def test_ids_with_gaps_fill_the_slots_from_the_first_one(copy):
    with h5py.File(copy, "r+") as raw:
        groups = raw["test/groups"][:]
        raw["test/groups"][...] = np.where(groups == 2, 9, groups)
    file, config, _ = _open(copy)
    with pytest.raises(errors.AnnotationError, match="ball 9, but positions"):
        file.block(config, "test", 0, 1)
    with h5py.File(copy, "r+") as raw:
        del raw["training/positions"]
    file, config, _ = _open(copy)
    (example,) = file.block(config, "test", 0, 1)
    assert set(np.unique(example["segmentation"])) == {0, 1, 2, 3, 4}


def test_a_few_lit_pixels_without_a_ball_become_ignore(copy):
    with h5py.File(copy, "r+") as raw:
        groups = raw["test/groups"][:]
        where = np.argwhere(groups[:, 0] > 0)[0]
        raw["test/groups"][where[0], 0, where[1], where[2], 0] = 0
    file, config, _ = _open(copy)
    (example,) = file.block(config, "test", 0, 1)
    assert (example["segmentation"] == 255).sum() == 1
    frame, row, column, _ = where
    assert not example["video"][frame, row, column].any()


# What is done to a good file, the error, and words that its message has.
def _without_group(raw):
    del raw["training"]


def _without_key(raw):
    del raw["test/groups"]


def _replace(raw, name, change):
    values = change(raw[name][:])
    del raw[name]
    raw[name] = values


def _swapped(raw):
    for group in raw:
        for name in ("features", "groups"):
            _replace(raw, f"{group}/{name}", lambda a: np.swapaxes(a, 0, 1))


def _fewer_frames(raw):
    for name in ("features", "groups"):
        _replace(raw, f"training/{name}", lambda a: a[:50])


def _smaller(raw):
    for name in ("features", "groups"):
        _replace(raw, f"training/{name}", lambda a: a[:, :, ::2, ::2])


def _fewer_labels(raw):
    _replace(raw, "training/groups", lambda a: a[:, :1])


BAD_LAYOUTS = {
    "group missing": (
        _without_group,
        errors.LayoutError,
        ["no group 'training'", "found ['test', 'validation']"],
    ),
    "key missing": (
        _without_key,
        errors.LayoutError,
        ["no key 'groups'", "/test", "found ['collisions', 'features'"],
    ),
    "axes swapped": (
        _swapped,
        errors.LayoutError,
        ["time must be the first axis", "(3, 51, 64, 64, 1)"],
    ),
    "fewer frames": (_fewer_frames, errors.LayoutError, ["(50, 3,", "51"]),
    "smaller frames": (
        _smaller,
        errors.ResolutionError,
        ["(51, 3, 32, 32, 1)", "64"],
    ),
    "labels of fewer videos": (
        _fewer_labels,
        errors.LayoutError,
        ["features holds 3 videos"],
    ),
}


@pytest.mark.parametrize("case", BAD_LAYOUTS)
def test_wrong_layouts_are_named_before_anything_is_written(case, copy):
    damage, kind, words = BAD_LAYOUTS[case]
    with h5py.File(copy, "r+") as raw:
        damage(raw)
    with pytest.raises(kind) as caught:
        _open(copy)
    text = str(caught.value)
    for word in [*words, str(copy), rnem_hdf5.LAYOUT]:
        assert word in text
    assert isinstance(caught.value, ValueError)


def _half_lit(raw):
    raw["test/features"][3, 1, :2, :5] = 0.4


def _half_group(raw):
    raw["test/groups"][3, 1, :1, :7] = 1.5


def _orphans(raw):
    raw["test/groups"][:, 1] = np.where(
        raw["test/groups"][:, 1] == 2, 0, raw["test/groups"][:, 1]
    )


def _crowd(raw):
    raw["test/groups"][0, 1, :1, :6, 0] = np.arange(10, 16)


BAD_VALUES = {
    "features between 0 and 1": (_half_lit, errors.LayoutError, ["10 pixels"]),
    "groups not whole": (_half_group, errors.LayoutError, ["7 pixels"]),
    "lit without a ball": (
        _orphans,
        errors.AnnotationError,
        ["lit pixels that belong to no ball"],
    ),
    "too many balls": (_crowd, errors.LayoutError, ["10 balls", "at most 4"]),
}


@pytest.mark.parametrize("case", BAD_VALUES)
def test_wrong_values_are_named_with_the_video(case, copy):
    damage, kind, words = BAD_VALUES[case]
    with h5py.File(copy, "r+") as raw:
        damage(raw)
    file, config, _ = _open(copy)
    file.block(config, "test", 0, 1)  # the other videos are fine
    with pytest.raises(kind) as caught:
        file.block(config, "test", 1, 2)
    text = str(caught.value)
    for word in [*words, str(copy), "video 1 of group 'test'"]:
        assert word in text


def test_a_file_that_is_no_hdf5_is_truncated(copy):
    copy.write_bytes(copy.read_bytes()[:300])
    with pytest.raises(errors.TruncatedError, match="300 bytes"):
        _open(copy)


def test_a_file_cut_in_the_middle_is_truncated(copy):
    whole = copy.read_bytes()
    copy.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(errors.TruncatedError, match="incomplete"):
        _open(copy)


def test_a_chunk_that_cannot_be_read_is_truncated_at_its_videos(copy):
    with h5py.File(copy) as raw:
        chunk = raw["test/features"].id.get_chunk_info(1)
    with open(copy, "r+b") as file:
        file.seek(chunk.byte_offset)
        file.write(b"\0" * chunk.size)
    file, config, _ = _open(copy)
    with pytest.raises(errors.TruncatedError, match="videos 0 to 1"):
        file.block(config, "test", 0, 2)


def _manager(folder):
    return types.SimpleNamespace(manual_dir=folder)


class _NoFolder:
    @property
    def manual_dir(self):
        raise AssertionError("does not exist or is empty")


def _find(manager):
    return manual.manual_file(
        manager,
        "balls4mass64.h5",
        dataset="tfdecomp_bouncing_balls/h5_color4",
        layout=rnem_hdf5.LAYOUT,
        stand_in="bouncing_balls/color4",
    )


def test_a_missing_file_names_the_layout_and_the_stand_in(tmp_path):
    (tmp_path / "balls4mass64 (1).h5").touch()
    for manager, word in (
        (_manager(tmp_path), "similar names there: ['balls4mass64 (1).h5']"),
        (_manager(tmp_path / "nowhere"), "found nothing"),
        (_NoFolder(), "missing"),
    ):
        with pytest.raises(errors.MissingFileError) as caught:
            _find(manager)
        text = str(caught.value)
        assert word in text
        assert "balls4mass64.h5 is missing" in text
        assert "'bouncing_balls/color4'" in text
        assert rnem_hdf5.LAYOUT in text
    assert _find(_manager(DUMMY)) == DUMMY / "balls4mass64.h5"
