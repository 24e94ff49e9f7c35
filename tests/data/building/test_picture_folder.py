"""Folders of pictures become datasets; what cannot be used is named."""

import json

import numpy as np
import pytest
from PIL import Image

from tfdecomp import builders, data
from tfdecomp.data import errors, reader
from tfdecomp.data.building import picture_folder
from tfdecomp.data.video import video_io, video_sampling

RED, GREEN = (250, 30, 20), (20, 200, 60)


@pytest.fixture
def folder(tmp_path):
    """Pictures of three kinds, in two folders, beside other files."""
    root = tmp_path / "photos"
    (root / "more").mkdir(parents=True)
    halves = np.zeros((8, 16, 3), np.uint8)
    halves[:, :8], halves[:, 8:] = RED, GREEN
    for name in ("a 2.png", "a 10.jpg", "more/b.tif"):
        Image.fromarray(halves).save(root / name, quality=100, subsampling=0)
    (root / "notes.txt").write_text("of the journey")
    (root / ".hidden.png").write_bytes(b"")
    return root


def _found(folder, **fields):
    look = fields.pop("look", video_sampling.Look(4, 4))
    settings = {"test_share": 0.0, **fields}
    return picture_folder.PictureFolder(
        folder, picture_folder.Settings(look, **settings)
    )


def test_pictures_come_by_name_and_others_are_named(folder):
    found = _found(folder)
    names = [entry["name"] for entry in found.metadata()["source_files"]]
    assert names == ["a 2.png", "a 10.jpg", "more/b.tif"]
    assert [number for number, _ in found.pictures("train")] == [0, 1, 2]
    assert found.left_out == [
        {"name": "notes.txt", "reason": "it is no picture by its name"}
    ]


def test_a_picture_is_squashed(folder):
    look = video_sampling.Look(4, 4, crop="none")
    for _, picture in _found(folder, look=look).pictures("train"):
        assert np.abs(picture[:, :2] - np.array(RED, int)).max() < 4
        assert np.abs(picture[:, 2:] - np.array(GREEN, int)).max() < 4


def test_a_picture_is_cut_or_lies_between_bars(tmp_path):
    picture = np.zeros((8, 16, 3), np.uint8)
    picture[:, 4:12] = 200  # the middle
    video_io.write_png(tmp_path / "a.png", picture)
    look = video_sampling.Look(4, 4, crop="center")
    ((_, middle),) = _found(tmp_path, look=look).pictures("train")
    assert (middle == 200).all()
    look = video_sampling.Look(4, 4, crop="pad")
    ((_, whole),) = _found(tmp_path, look=look).pictures("train")
    assert not whole[[0, 3]].any() and (whole[1:3, 1:3] == 200).all()


def test_a_damaged_picture_ends_the_build_or_is_left_out(folder):
    whole = (folder / "a 2.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(errors.DatasetInputError) as caught:
        _found(folder)
    assert "cut.png" in str(caught.value)
    assert "unreadable = 'skip'" in str(caught.value)
    found = _found(folder, skip=True)
    assert found.sizes() == {"train": 3}
    assert [e["name"] for e in found.left_out] == ["cut.png", "notes.txt"]


def test_a_file_of_several_frames_is_no_picture(folder):
    pages = [Image.fromarray(np.full((8, 8), v, np.uint8)) for v in (1, 2)]
    pages[0].save(folder / "stack.tif", save_all=True, append_images=pages[1:])
    found = _found(folder)
    assert found.sizes() == {"train": 3}
    reasons = {e["name"]: e["reason"] for e in found.left_out}
    assert "video_folder takes it" in reasons["stack.tif"]


def test_deep_pictures_are_shown_from_black_to_white(tmp_path):
    deep = np.linspace(0, 4095, 64).reshape(8, 8).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.tif")
    look = video_sampling.Look(8, 8, channels=1)
    ((_, picture),) = _found(tmp_path, look=look).pictures("train")
    assert picture.min() == 0 and picture.max() == 255


def test_a_folder_without_a_picture_says_what_it_holds(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"")
    with pytest.raises(errors.MissingFileError, match="clip.mp4: it is no pic"):
        _found(tmp_path)
    with pytest.raises(errors.MissingFileError, match="does not exist"):
        _found(tmp_path / "nowhere")
    video_io.write_png(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(errors.DatasetInputError, match="single picture"):
        _found(tmp_path, test_share=0.2)


def test_a_prepared_folder_is_read_by_its_name(folder, tmp_path):
    fields = {"name": "mine", "folder": str(folder), "size": [6, 8]}
    builders.prepare(
        "picture_folder",
        tmp_path,
        progress=False,
        config=json.dumps({**fields, "crop": "none"}),
        manual=True,
    )
    source = reader.open_source("picture_folder/mine", tmp_path)
    assert source.video_shape == (1, 6, 8, 3)
    assert (source.num_examples("train"), source.num_examples("test")) == (2, 1)
    assert source.metadata["skipped"][0]["name"] == "notes.txt"
    assert "segmentation" not in source.labels
    (batch,) = data.make_dataset(
        "picture_folder/mine",
        "train",
        data_dir=tmp_path,
        batch_size=2,
        labels=(),
        shuffle=False,
        repeat=False,
    )
    assert np.abs(batch["video"][:, 0, :, :4] - np.array(RED, int)).max() < 4


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"crop": "left"}, "crop is 'left'"),
        ({"num_frames": 2}, "num_frames is 2"),
        ({"unreadable": "ask"}, "unreadable is 'ask'"),
        ({"test_share": 2}, "test_share is 2"),
        ({"num_train": 5}, "follows from the files"),
        ({"range": [5, 1]}, "range is"),
    ],
)
def test_configs_that_cannot_be_are_refused(fields, words, tmp_path):
    config = json.dumps({"name": "wrong", **fields})
    with pytest.raises(ValueError, match=words):
        builders.make("picture_folder", tmp_path, config)
