"""The command that makes a set of one's own videos."""

import json

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tests.data import video_files as files
from tfdecomp import builders, prepare
from tfdecomp.data import errors, pipeline


@pytest.fixture
def street(tmp_path):
    """A folder with five videos and one that is too short for a clip."""
    folder = tmp_path / "my vidéos"
    for number in range(5):
        files.write(folder / f"Tag {number}.mp4", 14 + number)
    files.write(folder / "one.mp4", 1)
    return folder


def _prepare(tmp_path, videos, **fields):
    fields = {
        "name": "street",
        "folder": str(videos),
        "size": [12, 16],
        "clip_length": 4,
        **fields,
    }
    return prepare.main(
        [
            "prepare",
            "video_folder",
            f"--config={json.dumps(fields)}",
            f"--data_dir={tmp_path / 'data'}",
        ]
    )


def test_the_command_makes_a_set_that_training_finds(street, tmp_path, caplog):
    (street / "empty.mp4").touch()
    assert _prepare(tmp_path, street, unreadable="skip") == 0
    assert "left out empty.mp4" in caplog.text
    assert "left out one.mp4" in caplog.text
    name, data_dir = "tfdecomp_video_folder/street", str(tmp_path / "data")
    builder = builders.prepare(name, data_dir, progress=False)
    metadata = builder.info.metadata
    assert not metadata["has_segmentation"] and not metadata["has_boxes"]
    assert len(metadata["source_files"]) == 5
    skipped = [entry["name"] for entry in metadata["skipped"]]
    assert skipped == ["empty.mp4", "one.mp4"]
    sizes = {s: i.num_examples for s, i in builder.info.splits.items()}
    assert sum(sizes.values()) == 3 + 3 + 4 + 4 + 4
    seen = set()
    for split in sizes:
        for example in tfds.as_numpy(builder.as_dataset(split=split)):
            assert example["video"].shape == (4, 12, 16, 3)
            numbers = [files.number_of(p) for p in example["video"]]
            assert numbers == example["frame_index"].tolist()
            assert (example["segmentation"] == 255).all()
            seen.add(example["example_id"])
    assert len(seen) == sum(sizes.values())
    batch = next(
        iter(
            pipeline.make_dataset(
                name,
                "train",
                data_dir=data_dir,
                batch_size=2,
                num_frames=3,
                labels=(),
            )
        )
    )
    assert batch["video"].shape == (2, 3, 12, 16, 3)
    with pytest.raises(ValueError, match="no label 'segmentation'"):
        pipeline.make_dataset(name, "train", data_dir=data_dir, batch_size=2)


def test_sets_are_the_same_for_any_number_of_workers(street, tmp_path):
    digests = []
    for workers in (1, 3):
        config = json.dumps(
            {"name": "w", "folder": str(street), "clip_length": 4, "size": 8}
        )
        builder = builders.prepare(
            "video_folder",
            tmp_path / str(workers),
            progress=False,
            config=config,
            manual=True,
            workers=workers,
        )
        examples = tfds.as_numpy(builder.as_dataset(split="train"))
        digests.append([(e["example_id"], e["video"].sum()) for e in examples])
    assert digests[0] == digests[1]


def test_grey_sets_have_one_channel(street, tmp_path):
    assert _prepare(tmp_path, street, channels=1, frame_rate=5) == 0
    builder = builders.make("video_folder/street", tmp_path / "data")
    assert builder.info.features["video"].shape == (4, 12, 16, 1)
    example = next(iter(tfds.as_numpy(builder.as_dataset(split="train"))))
    assert (np.diff(example["frame_index"]) == 2).all()


WRONG = {
    "no such folder": ({"folder": "/nowhere at all"}, "does not exist"),
    "no folder": ({"folder": ""}, "name one"),
    "unreadable": ({"unreadable": "warn"}, "unreadable is 'warn'"),
    "crop": ({"crop": "left"}, "crop is 'left'"),
    "rate": ({"frame_rate": 0}, "frame_rate is 0"),
    "too fast": ({"frame_rate": 60}, "fewer than frame_rate = 60"),
    "share": ({"test_share": 2}, "test_share is 2"),
    "chunk": ({"chunk_frames": 3}, "chunk_frames is 3"),
    "sizes": ({"num_train": 3}, "leave out num_train"),
    "name": ({"name": "my street"}, "letters, digits"),
    "long clips": ({"clip_length": 99}, "too short: 14 frames of 14"),
    "unknown": ({"fps": 3}, "fps"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_said_and_nothing_is_written(
    case, street, tmp_path, capsys
):
    fields, words = WRONG[case]
    assert _prepare(tmp_path, street, **fields) == 2
    message = capsys.readouterr().err
    assert "error: " in message and words in message
    assert "Traceback" not in message
    assert not list((tmp_path / "data").rglob("*.tfrecord*"))


def test_a_video_that_cannot_be_read_ends_the_build(street, tmp_path, capsys):
    (street / "empty.mp4").touch()
    assert _prepare(tmp_path, street) == 2
    message = capsys.readouterr().err
    assert "empty.mp4 is empty" in message
    assert "set unreadable = 'skip'" in message
    assert not list((tmp_path / "data").rglob("*.tfrecord*"))


def test_other_videos_under_the_same_name_are_refused(street, tmp_path, capsys):
    assert _prepare(tmp_path, street) == 0
    assert _prepare(tmp_path, street, size=16) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_a_set_of_ones_own_must_be_prepared_first(tmp_path):
    with pytest.raises(
        errors.DatasetInputError, match="a config of your own before"
    ):
        builders.make("video_folder/street", tmp_path)


def test_without_a_config_the_command_asks_for_one(capsys):
    assert prepare.main(["prepare", "video_folder"]) == 2
    assert "needs files from you" in capsys.readouterr().err
