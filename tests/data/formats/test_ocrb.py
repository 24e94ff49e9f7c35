"""The tracking sets: what is read, and what is said of bad files."""

import dataclasses
import json
import shutil

import h5py
import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfdecomp import builders
from tfdecomp.data import errors, reader
from tfdecomp.data.formats import ocrb_annotations, ocrb_hdf5

DUMMY = builders.folder() / "ocrb" / "dummy_data"
CONFIGS = builders.builder_cls("ocrb").builder_configs
HEIGHT, WIDTH, FRAMES = 5, 7, 3


def _slow_decode(text):
    """A mask by a loop over its pixels."""
    numbers = [int(word) for word in text.split()]
    mask = np.zeros((HEIGHT, WIDTH), bool)
    for start, length in zip(numbers[::2], numbers[1::2]):
        for place in range(start - 1, start - 1 + length):
            mask[place // WIDTH, place % WIDTH] = True
    return mask


def test_runs_are_decoded_row_by_row_from_one_on():
    assert ocrb_annotations.decode("2 3 6 1", (2, 3)).tolist() == [
        [False, True, True],
        [True, False, True],
    ]
    assert not ocrb_annotations.decode("", (2, 3)).any()
    assert ocrb_annotations.decode("1 6", (2, 3)).all()


def test_decoding_undoes_encoding_and_agrees_with_a_loop():
    rng = np.random.default_rng(0)
    for share in rng.uniform(0, 1, 50):
        mask = rng.random((HEIGHT, WIDTH)) < share
        text = ocrb_annotations.encode(mask)
        decoded = ocrb_annotations.decode(text, mask.shape)
        np.testing.assert_array_equal(decoded, mask)
        np.testing.assert_array_equal(_slow_decode(text), mask)


@pytest.mark.parametrize(
    "text, words",
    [
        ("1 2 3", "pairs of start and length"),
        ("1 x", "pairs of start and length"),
        ("0 2", "leaves the 35 pixels"),
        ("30 7", "leaves the 35 pixels"),
        ("3 0", "leaves the 35 pixels"),
        ("8 4 5 2", "overlap or go back"),
        ("3 4 5 1", "overlap or go back"),
    ],
)
def test_runs_that_are_no_mask_are_refused(text, words):
    with pytest.raises(ValueError, match=words):
        ocrb_annotations.decode(text, (HEIGHT, WIDTH))


# ---- tiny files of the published layout -------------------------------------


def _small(name="vmds", **fields):
    size = {"num_frames": FRAMES, "height": HEIGHT, "width": WIDTH}
    return dataclasses.replace(CONFIGS[name], **size, **fields)


def _videos(count, seed=0, frames=FRAMES):
    rng = np.random.default_rng(seed)
    shape = (count, frames, HEIGHT, WIDTH, 3)
    return rng.integers(0, 256, shape, np.uint8)


def _frame(*masks, ids=None, background=None):
    """One frame of the annotations, masks given as lists of pixels."""
    runs = []
    for pixels in masks:
        mask = np.zeros(HEIGHT * WIDTH, bool)
        mask[list(pixels)] = True
        runs.append(ocrb_annotations.encode(mask.reshape(HEIGHT, WIDTH)))
    frame = {"ids": ids or list(range(len(masks))), "masks": runs}
    return frame if background is None else {**frame, "num_bg": background}


@pytest.fixture
def folder(tmp_path):
    """`vmds.hdf5` and `vmds_test.json` of two test videos."""
    with h5py.File(tmp_path / "vmds.hdf5", "w") as file:
        for number, (key, count) in enumerate(
            {"train": 4, "val": 3, "test": 2, "more/vmds_crowd": 1}.items()
        ):
            file[key] = _videos(count, number, frames=FRAMES + 2)
    first = [
        _frame([0, 1], [9], ids=[7, 4]),
        _frame([1, 2], ids=[7]),
        _frame([2, 3], [10], ids=[7, 4]),
    ]
    second = [_frame([0], range(20, 35), ids=[2, 9], background=1)] * 4
    _write_json(tmp_path, [first, second])
    return tmp_path


def _write_json(folder, content):
    path = folder / "vmds_test.json"
    path.write_text(json.dumps(content))
    return path


def _open(folder, name="vmds", config=None, annotations=None):
    config = config or _small(name)
    if annotations is None:
        annotations = {
            split: folder / path
            for split, path in config.annotation_paths().items()
        }
    file = ocrb_hdf5.OcrbFile(
        folder / "vmds.hdf5", f"tfdecomp_ocrb/{name}", annotations
    )
    return file, config, file.check(config)


@pytest.mark.parametrize("first", [False, True], ids=["last", "first"])
def test_channels_are_where_the_axis_has_length_three(first, folder):
    with h5py.File(folder / "vmds.hdf5", "r+") as raw:
        expected = raw["val"][:, :FRAMES]
        if first:
            videos = np.moveaxis(raw["val"][:], 4, 2)
            del raw["val"]
            raw["val"] = videos
    file, config, sizes = _open(folder)
    assert sizes == {
        "train": 4,
        "validation": 3,
        "test": 2,
        "test_more_vmds_crowd": 1,
    }
    examples = file.block(config, "validation", 0, 2)
    examples += file.block(config, "validation", 2, 3)
    videos = np.stack([e["video"] for e in examples])
    np.testing.assert_array_equal(videos, expected)
    assert all(set(e) == {"video"} for e in examples)


def test_further_test_sets_are_splits_of_their_own(folder):
    file, config, _ = _open(folder)
    (example,) = file.block(config, "test_more_vmds_crowd", 0, 1)
    with h5py.File(folder / "vmds.hdf5") as raw:
        expected = raw["more/vmds_crowd"][0, :FRAMES]
    np.testing.assert_array_equal(example["video"], expected)


def test_objects_fill_the_slots_in_the_order_of_their_ids(folder):
    file, config, sizes = _open(folder, "vmds_labelled")
    assert sizes == {"test": 2}
    example = file.block(config, "test", 0, 1)[0]
    flat = example["segmentation"].reshape(FRAMES, -1)
    expected = np.zeros((FRAMES, HEIGHT * WIDTH), int)
    expected[0, [0, 1]] = expected[1, [1, 2]] = expected[2, [2, 3]] = 2
    expected[0, 9] = expected[2, 10] = 1
    np.testing.assert_array_equal(flat, expected)
    assert example["num_objects"] == 2
    assert example["visibility"][:, :2].tolist() == [[1, 1], [0, 1], [1, 1]]
    assert example["boxes"][0, :2].tolist() == [[1, 2, 2, 3], [0, 0, 1, 2]]
    assert (
        not example["boxes"][1, 0].any() and not example["boxes"][:, 2:].any()
    )


def test_the_last_masks_are_parts_of_the_background(folder):
    file, config, _ = _open(folder, "vmds_labelled")
    example = file.block(config, "test", 1, 2)[0]
    flat = example["segmentation"].reshape(FRAMES, -1)
    assert example["num_objects"] == 1
    assert (flat[:, 0] == 1).all() and not flat[:, 1:].any()
    parts = example["entities"].reshape(FRAMES, -1)
    assert (parts[:, 20:] == config.max_objects + 1).all()
    np.testing.assert_array_equal(parts[:, :20], flat[:, :20])


def test_pixels_of_two_objects_belong_to_none(folder):
    videos = [[_frame([0, 1, 2], [2, 3])] * FRAMES] * 2
    _write_json(folder, videos)
    file, config, _ = _open(folder, "vmds_labelled")
    example = file.block(config, "test", 0, 1)[0]
    flat = example["segmentation"].reshape(FRAMES, -1)
    assert flat[0, :5].tolist() == [1, 1, 255, 2, 0]


def test_sizes_of_the_config_limit_those_of_the_file(folder):
    _, _, sizes = _open(folder, config=_small(num_train=3, num_test=9))
    assert (sizes["train"], sizes["test"]) == (3, 2)


def test_blocks_are_whole_chunks_of_the_file(folder):
    file, _, _ = _open(folder)
    for chunk, expected in ((1, 64), (100, 100), (10, 70), (5000, 64)):
        file.chunk = chunk
        assert file.block_size(64) == expected


# ---- bad files --------------------------------------------------------------


def _replace(raw, name, change):
    values = change(raw[name][:])
    del raw[name]
    raw[name] = values


def _as_group(raw):
    del raw["train"]
    raw.create_group("train")


BAD_FILES = {
    "split missing": (
        lambda raw: raw.pop("val"),
        errors.LayoutError,
        ["no key 'val'", "found ['more', 'test', 'train']"],
    ),
    "no pixels": (
        lambda raw: _replace(raw, "test", lambda a: a / 255),
        errors.LayoutError,
        ["/test", "is float64, expected uint8"],
    ),
    "no videos": (
        lambda raw: _replace(raw, "train", lambda a: a[:, 0]),
        errors.LayoutError,
        ["/train", "has shape (4, 5, 7, 3), expected ('N', 'at least 3'"],
    ),
    "a group": (
        _as_group,
        errors.LayoutError,
        ["/train", "has shape None"],
    ),
    "too few frames": (
        lambda raw: _replace(raw, "val", lambda a: a[:, :2]),
        errors.LayoutError,
        ["/val", "(3, 2, 5, 7, 3)", "at least 3"],
    ),
    "axes swapped": (
        lambda raw: _replace(
            raw, "train", lambda a: np.swapaxes(a.repeat(500, 0), 0, 1)
        ),
        errors.LayoutError,
        ["(5, 2000, 5, 7, 3)", "sample must be the first axis"],
    ),
    "larger frames": (
        lambda raw: _replace(raw, "test", lambda a: a.repeat(2, 2)),
        errors.ResolutionError,
        ["/test", "(2, 5, 10, 7, 3)"],
    ),
    "no colours": (
        lambda raw: _replace(raw, "test", lambda a: a[..., :1]),
        errors.LayoutError,
        ["/test", "(2, 5, 5, 7, 1)"],
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_wrong_files_are_named_before_anything_is_written(case, folder):
    damage, kind, words = BAD_FILES[case]
    with h5py.File(folder / "vmds.hdf5", "r+") as raw:
        damage(raw)
    with pytest.raises(kind) as caught:
        _open(folder)
    assert type(caught.value) is kind
    for word in [*words, str(folder / "vmds.hdf5"), ocrb_hdf5.LAYOUT]:
        assert word in str(caught.value)


def test_a_cut_file_is_truncated(folder):
    path = folder / "vmds.hdf5"
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(errors.TruncatedError, match="600 bytes"):
        _open(folder)


def test_a_chunk_that_cannot_be_read_is_truncated_at_its_videos(tmp_path):
    path = shutil.copy(DUMMY / "vmds.hdf5", tmp_path)
    with h5py.File(path) as raw:
        chunk = raw["val"].id.get_chunk_info(1)
    with open(path, "r+b") as file:
        file.seek(chunk.byte_offset)
        file.write(b"\0" * chunk.size)
    file, config, _ = _open(tmp_path, config=CONFIGS["vmds"])
    with pytest.raises(errors.TruncatedError, match="videos 0 to 1 of /val"):
        file.block(config, "validation", 0, 2)


GOOD = [[_frame([0])] * FRAMES] * 2
BAD_ANNOTATIONS = {
    "no list": ({"ids": []}, ["holds a dict, expected a list"]),
    "other videos": (GOOD[:1], ["annotates 1 videos, expected 2"]),
    "few frames": (
        [GOOD[0], GOOD[1][:2]],
        ["video 1 of", "has 2 frames, expected at least 3"],
    ),
    "no masks": (
        [GOOD[0], [*GOOD[1][:2], {"ids": [1]}]],
        ["video 1, frame 2", "no list 'masks' of str", "found ['ids']"],
    ),
    "COCO masks": (
        [[{"ids": [1], "masks": [{"counts": "1"}]}] * FRAMES] * 2,
        ["video 0, frame 0", "no list 'masks' of str"],
    ),
    "more ids": (
        [[_frame([0], ids=[1, 2])] * FRAMES] * 2,
        ["has 2 ids but 1 masks"],
    ),
    "an id twice": (
        [[_frame([0], [1], ids=[1, 1])] * FRAMES] * 2,
        ["has ids [1, 1], one of them twice"],
    ),
    "too much background": (
        [[_frame([0], background=2)] * FRAMES] * 2,
        ["has num_bg = 2, expected 0 to 1"],
    ),
    "too many objects": (
        [[_frame(*([n] for n in range(9)))] * FRAMES] * 2,
        ["has 9 objects, more than max_objects = 8"],
    ),
}


@pytest.mark.parametrize("case", BAD_ANNOTATIONS)
def test_wrong_annotations_are_named_before_anything_is_written(case, folder):
    content, words = BAD_ANNOTATIONS[case]
    path = _write_json(folder, content)
    with pytest.raises(errors.AnnotationError) as caught:
        _open(folder, "vmds_labelled")
    for word in [*words, str(path), ocrb_hdf5.LAYOUT]:
        assert word in str(caught.value)


def test_a_wrong_mask_is_named_with_video_and_frame(folder):
    bad = {"ids": [5], "masks": ["36 1"]}
    path = _write_json(folder, [GOOD[0], [*GOOD[1][:2], bad]])
    file, config, _ = _open(folder, "vmds_labelled")
    file.block(config, "test", 0, 1)  # the other one is fine
    with pytest.raises(errors.AnnotationError) as caught:
        file.block(config, "test", 0, 2)
    for word in (
        "video 1, frame 2",
        str(path),
        "wrong mask 0",
        "leaves the 35",
        ocrb_hdf5.LAYOUT,
    ):
        assert word in str(caught.value)


def test_annotations_that_are_cut_or_not_there_are_named(folder):
    path = folder / "vmds_test.json"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(errors.AnnotationError, match="no complete JSON file"):
        _open(folder, "vmds_labelled")
    path.unlink()
    with pytest.raises(errors.MissingFileError, match="do not exist"):
        _open(folder, "vmds_labelled")


def test_annotations_of_an_unknown_split_are_refused(folder):
    given = {"tset": folder / "vmds_test.json"}
    with pytest.raises(errors.LayoutError, match="split 'tset', but"):
        _open(folder, annotations=given)


# ---- through the command ----------------------------------------------------


def _prepare(name, manual, folder, **options):
    return builders.prepare(
        name,
        folder,
        progress=False,
        manual=True,
        download_config=tfds.download.DownloadConfig(manual_dir=manual),
        **options,
    )


@pytest.mark.parametrize("there", [True, False], ids=["labels", "nothing"])
def test_missing_files_name_the_layout_and_the_stand_in(there, tmp_path):
    manual = tmp_path / "manual"
    manual.mkdir()
    wanted = "spmot.hdf5"
    if there:
        shutil.copy(DUMMY / "spmot.hdf5", manual)
        (manual / "spmot_test (1).json").touch()
        wanted = "spmot_test.json"
    with pytest.raises(errors.MissingFileError) as caught:
        _prepare("ocrb/spmot_labelled", manual, tmp_path / "data")
    for word in (
        f"{wanted} is missing",
        "'scattered_shapes/quick'",
        ocrb_hdf5.LAYOUT,
    ):
        assert word in str(caught.value)
    assert ("spmot_test (1).json" in str(caught.value)) == there
    assert not list(tmp_path.rglob("*.tfrecord*"))


def test_the_path_of_the_annotations_is_a_field_of_the_config(tmp_path):
    manual, elsewhere = tmp_path / "manual", tmp_path / "elsewhere"
    manual.mkdir()
    elsewhere.mkdir()
    shutil.copy(DUMMY / "vor.hdf5", manual)
    shutil.copy(DUMMY / "vor_test.json", elsewhere / "mine.json")
    path = str(elsewhere / "mine.json")
    config = {"name": "mine", "base": "vor_labelled", "annotations": path}
    builder = _prepare(
        "ocrb", manual, tmp_path / "data", config=json.dumps(config)
    )
    names = [f["name"] for f in builder.info.metadata["source_files"]]
    assert names == ["vor.hdf5", "mine.json"]
    source = reader.open_source("ocrb/mine", tmp_path / "data")
    assert {"segmentation", "entities", "boxes"} <= set(source.labels)
    for example in tfds.as_numpy(builder.as_dataset(split="test")):
        labels = example["segmentation"][..., 0]
        assert set(np.unique(example["entities"][labels == 0])) == {9, 10}
        # Colours of the miniature's wall and floor.
        wall = (example["video"] == (90, 100, 120)).all(-1)
        np.testing.assert_array_equal(example["entities"][..., 0] == 9, wall)


def test_a_set_without_annotations_hands_out_no_labels(tmp_path):
    builder = _prepare("ocrb/spmot", DUMMY, tmp_path)
    splits = {name: s.num_examples for name, s in builder.info.splits.items()}
    assert splits == {"train": 3, "validation": 2, "test": 2}
    source = reader.open_source("ocrb/spmot", tmp_path)
    assert not {"segmentation", "boxes", "visibility"} & set(source.labels)
