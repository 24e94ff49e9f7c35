"""The original shapes: what is read, and what is said of bad files."""

import dataclasses
import shutil

import h5py
import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfdecomp import builders
from tfdecomp.data import errors, reader
from tfdecomp.data.formats import shapes_hdf5

DUMMY = builders.folder() / "shapes" / "dummy_data"
CONFIG = builders.builder_cls("shapes").builder_configs["h5"]


def _open(path, config=CONFIG):
    file = shapes_hdf5.ShapesFile(path, "tfdecomp_shapes/h5", config.height)
    return file, file.check(config)


@pytest.fixture
def copy(tmp_path):
    path = tmp_path / "shapes.h5"
    shutil.copy(DUMMY / path.name, path)
    return path


def _rename(path, names):
    """Turns the groups and the pictures into those of the older layout."""
    with h5py.File(path, "r+") as raw:
        for old, new in names.items():
            raw.move(old, new)
        for group in raw.values():
            group.move("features", "default")


OLD_NAMES = {"training": "train_multi", "validation": "train_single"}


def test_every_image_is_read_with_its_labels():
    file, sizes = _open(DUMMY / "shapes.h5")
    assert sizes == {"train": 5, "validation": 3, "test": 2}
    with h5py.File(DUMMY / "shapes.h5") as raw:
        features = raw["training/features"][:]
        groups = raw["training/groups"][:]
    ignored = 0
    for n, example in enumerate(file.block(CONFIG, "train", 0, 5)):
        lit, ids = features[:, n] == 1, groups[:, n]
        np.testing.assert_array_equal(example["video"], 255 * lit)
        shared = lit & (ids == 0)
        np.testing.assert_array_equal(
            example["segmentation"], np.where(shared, 255, ids)
        )
        assert example["num_objects"] == 3
        ignored += shared.sum()
        for slot in range(3):
            rows, columns = np.nonzero(ids[0, ..., 0] == slot + 1)
            box = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
            assert example["boxes"][0, slot].tolist() == box
    assert ignored


def test_the_older_layout_is_read_as_well(copy):
    file, _ = _open(copy)
    new = file.block(CONFIG, "validation", 0, 3)
    _rename(copy, OLD_NAMES)
    file, sizes = _open(copy)
    assert sizes == {"train": 5, "test": 2, "single": 3}
    old = file.block(CONFIG, "single", 0, 3)
    for a, b in zip(old, new):
        for name in ("video", "segmentation"):
            np.testing.assert_array_equal(a[name], b[name])


def test_sizes_of_the_config_limit_those_of_the_file():
    config = dataclasses.replace(CONFIG, name="few", num_train=2)
    _, sizes = _open(DUMMY / "shapes.h5", config)
    assert sizes == {"train": 2, "validation": 3, "test": 2}


def test_blocks_are_whole_chunks_of_the_file():
    file, _ = _open(DUMMY / "shapes.h5")
    for chunk, expected in ((1, 64), (100, 100), (10, 70), (5000, 64)):
        file.chunk = chunk
        assert file.block_size(64) == expected


def test_ids_with_gaps_fill_the_slots_from_the_first_one(copy):
    with h5py.File(copy, "r+") as raw:
        groups = raw["test/groups"][:]
        raw["test/groups"][...] = np.where(groups == 1, 0, groups)
        raw["test/features"][...] = (groups > 1).astype(np.float32)
    file, _ = _open(copy)
    for example in file.block(CONFIG, "test", 0, 2):
        assert set(np.unique(example["segmentation"])) == {0, 1, 2}
        assert example["num_objects"] == 2
        assert example["visibility"].tolist() == [[1, 1, 0]]


# What is done to a good file, the error, and words that its message has.
def _replace(raw, name, change):
    values = change(raw[name][:])
    del raw[name]
    raw[name] = values


def _without_group(raw):
    del raw["training"]


def _without_key(raw):
    del raw["test/groups"]


def _swapped(raw):
    for name in ("features", "groups"):
        _replace(raw, f"test/{name}", lambda a: np.swapaxes(a, 0, 1))


def _larger(raw):
    for name in ("features", "groups"):
        _replace(
            raw, f"training/{name}", lambda a: np.kron(a, np.ones((2, 2, 1)))
        )


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
        ["no key 'groups' in group /test", "found ['features']"],
    ),
    "axes swapped": (
        _swapped,
        errors.LayoutError,
        ["time must be the first axis", "(2, 1, 28, 28, 1)"],
    ),
    "larger images": (
        _larger,
        errors.ResolutionError,
        ["(1, 5, 56, 56, 1)", "expected (1, 'N', 28, 28, 1)"],
    ),
    "labels of fewer images": (
        _fewer_labels,
        errors.LayoutError,
        ["features holds 5 images"],
    ),
}


@pytest.mark.parametrize("case", BAD_LAYOUTS)
def test_wrong_layouts_are_named_before_anything_is_written(case, copy):
    damage, kind, words = BAD_LAYOUTS[case]
    with h5py.File(copy, "r+") as raw:
        damage(raw)
    with pytest.raises(kind) as caught:
        _open(copy)
    for word in [*words, str(copy), shapes_hdf5.LAYOUT]:
        assert word in str(caught.value)


def test_a_group_of_the_older_layout_that_is_missing_is_named(copy):
    _rename(copy, OLD_NAMES)
    with h5py.File(copy, "r+") as raw:
        del raw["train_multi"]
    with pytest.raises(errors.LayoutError, match="no group 'train_multi'"):
        _open(copy)


BAD_VALUES = {
    "features": (0.4, "7 pixels of features that are not 0 or 1"),
    "groups": (1.5, "7 pixels of groups that are not one of 0 to 3"),
}


@pytest.mark.parametrize("key", BAD_VALUES)
def test_wrong_values_are_named_with_the_image(key, copy):
    value, words = BAD_VALUES[key]
    with h5py.File(copy, "r+") as raw:
        raw[f"test/{key}"][0, 1, 0, :7] = value
    file, _ = _open(copy)
    file.block(CONFIG, "test", 0, 1)  # the other one is fine
    with pytest.raises(errors.LayoutError) as caught:
        file.block(CONFIG, "test", 0, 2)
    for word in (words, "image 1 of group 'test'", str(copy)):
        assert word in str(caught.value)


def test_a_cut_file_is_truncated(copy):
    whole = copy.read_bytes()
    for size in (300, len(whole) // 2):
        copy.write_bytes(whole[:size])
        with pytest.raises(errors.TruncatedError, match="bytes"):
            _open(copy)


def test_a_chunk_that_cannot_be_read_is_truncated_at_its_images(copy):
    with h5py.File(copy) as raw:
        chunk = raw["test/features"].id.get_chunk_info(1)
    with open(copy, "r+b") as file:
        file.seek(chunk.byte_offset)
        file.write(b"\0" * chunk.size)
    file, _ = _open(copy)
    with pytest.raises(errors.TruncatedError, match="images 0 to 1"):
        file.block(CONFIG, "test", 0, 2)


def _prepare(manual, folder):
    return builders.prepare(
        "shapes/h5",
        folder,
        progress=False,
        manual=True,
        download_config=tfds.download.DownloadConfig(manual_dir=manual),
    )


@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
def test_either_file_becomes_a_prepared_set(old, copy, tmp_path):
    if old:
        _rename(copy, OLD_NAMES)
    builder = _prepare(copy.parent, tmp_path / "data")
    splits = {name: s.num_examples for name, s in builder.info.splits.items()}
    third = {"single": 3} if old else {"validation": 3}
    assert splits == {"train": 5, "test": 2, **third}
    source = reader.open_source("shapes/h5", tmp_path / "data")
    assert "segmentation" in source.labels
    assert "visible_fraction" not in source.labels
    (file,) = builder.info.metadata["source_files"]
    assert file["name"] == "shapes.h5" and len(file["sha256"]) == 64
