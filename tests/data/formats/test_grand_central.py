"""The station's video: what is cut of it, and what is said of bad files."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tests.data import dataset_scripts
from tests.data import video_files as files
from tfdecomp import builders, prepare
from tfdecomp.data import errors, pipeline, reader
from tfdecomp.data.formats import grand_central_video

FIELDS = {
    "name": "tiny",
    "num_frames": 2,
    "crop_size": 16,
    "crop_top": 20,
    "crop_left": 30,
    "source_frames": 25,
    "source_height": 48,
    "source_width": 64,
}
CONFIG = builders.builder_cls("grand_central").builder_config_cls(**FIELDS)
FILE = grand_central_video.FILE


@pytest.fixture
def write(tmp_path):
    """Writes a video of `files.frames` into the manual folder."""

    def call(count=25, **options):
        path = tmp_path / "manual" / FILE
        return files.write(path, count, codec="mpeg4", rate=25, **options)

    return call


def _open(path, config=CONFIG):
    video = grand_central_video.GrandCentralVideo(path, "tfdecomp_x", config)
    video.check()
    return video


def _prepare(tmp_path, fields=FIELDS, **options):
    return builders.prepare(
        "grand_central",
        tmp_path / "data",
        progress=False,
        config=json.dumps(fields),
        manual=True,
        download_config=tfds.download.DownloadConfig(
            manual_dir=tmp_path / "manual", **options
        ),
    )


def test_splits_are_parts_of_the_time():
    published = builders.builder_cls("grand_central").builder_configs["center"]
    assert published.split_ranges() == {
        "train": (0, 2000),
        "validation": (2000, 2250),
        "test": (2250, 2500),
    }
    assert (published.crop_top, published.crop_left) == (
        (480 - 128) // 2,
        (720 - 128) // 2,
    )
    assert CONFIG.split_sizes() == {"train": 9, "validation": 1, "test": 2}


def test_clips_are_the_window_of_consecutive_frames(write):
    video = _open(write())
    seen = list(video.clips(0, 12))
    assert [first for first, _ in seen] == list(range(0, 24, 2))
    for first, pictures in seen:
        assert pictures.shape == (2, 16, 16, 3) and pictures.dtype == np.uint8
        numbers = [files.number_of(picture) for picture in pictures]
        assert numbers == [first, first + 1]


def test_the_window_is_where_the_config_says(write):
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (6, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    video = _open(write(video=np.repeat(frame[None], 25, 0)))
    _, pictures = next(video.clips(0, 12))
    video.close()
    expected = frame[20:36, 30:46]
    # The codec changes colours a little, a wrong place a lot.
    assert np.abs(pictures - expected.astype(float)).mean() < 12
    assert np.abs(pictures - frame[20:36, 31:47].astype(float)).mean() > 12


def test_any_part_can_be_read_again(write):
    video = _open(write())
    for start, stop in ((0, 3), (5, 7), (6, 8), (0, 1), (10, 12)):
        firsts = [first for first, _ in video.clips(start, stop)]
        assert firsts == list(range(2 * start, 2 * stop, 2))


# ---- through the command ----------------------------------------------------


def test_a_prepared_set_keeps_the_order_of_time(write, tmp_path):
    write()
    builder = _prepare(tmp_path, {**FIELDS, "num_frames": 1}, num_shards=2)
    splits = {name: s.num_examples for name, s in builder.info.splits.items()}
    assert splits == {"train": 20, "validation": 2, "test": 3}
    numbers = [
        int(example["frame_index"][0])
        for split in ("train", "validation", "test")
        for example in tfds.as_numpy(builder.as_dataset(split=split))
    ]
    assert numbers == list(range(25))
    with pytest.raises(ValueError, match="ordered dataset"):
        builder.as_dataset(split="train", shuffle_files=True)

    source = reader.open_source("grand_central/tiny", tmp_path / "data")
    assert not {"segmentation", "boxes"} & set(source.labels)
    (file,) = source.metadata["source_files"]
    assert file["name"] == FILE and len(file["sha256"]) == 64


def test_time_stays_in_order_where_examples_do_not_fit_into_memory(
    write, tmp_path, monkeypatch
):
    from tensorflow_datasets.core import shuffle

    monkeypatch.setattr(shuffle, "MAX_MEM_BUFFER_SIZE", 5000)
    buckets, real = set(), shuffle.get_bucket_number

    def noted(*args, **kwargs):
        buckets.add(real(*args, **kwargs))
        return real(*args, **kwargs)

    monkeypatch.setattr(shuffle, "get_bucket_number", noted)
    write()
    builder = _prepare(tmp_path)
    examples = tfds.as_numpy(builder.as_dataset(split="train"))
    firsts = [int(example["frame_index"][0]) for example in examples]
    assert firsts == list(range(0, 18, 2))
    assert len(buckets) >= 9  # no part of them holds many


def test_training_shuffles_what_is_stored_in_order(write, tmp_path):
    write()
    _prepare(tmp_path)
    seen = {}
    for shuffle in (False, True):
        batches = pipeline.make_dataset(
            "grand_central/tiny",
            "train",
            data_dir=tmp_path / "data",
            batch_size=9,
            clip="all",
            labels=("frame_index",),
            shuffle=shuffle,
            repeat=False,
        )
        (batch,) = batches.as_numpy_iterator()
        assert batch["video"].shape == (9, 2, 16, 16, 3)
        seen[shuffle] = batch["frame_index"][:, 0].tolist()
    assert seen[False] == list(range(0, 18, 2))
    assert seen[True] != seen[False] and sorted(seen[True]) == seen[False]


def test_a_part_of_each_split_can_be_prepared(write, tmp_path):
    write()
    builder = _prepare(tmp_path, max_examples_per_split=1)
    firsts = [
        int(example["frame_index"][0])
        for split in ("train", "validation", "test")
        for example in tfds.as_numpy(builder.as_dataset(split=split))
    ]
    assert firsts == [0, 18, 20]


def test_the_command_shows_the_layout(capsys):
    assert prepare.main(["prepare", "info", "grand_central/center"]) == 0
    shown = capsys.readouterr().out
    for line in grand_central_video.LAYOUT.splitlines():
        assert line in shown
    assert "'train': 2000" in shown


# ---- bad files --------------------------------------------------------------


def _fails(tmp_path, kind, *words):
    with pytest.raises(kind) as caught:
        _prepare(tmp_path)
    assert type(caught.value) is kind
    for word in (*words, grand_central_video.LAYOUT):
        assert word in str(caught.value)
    assert "tfdecomp_grand_central/tiny" in str(caught.value)
    assert not list(tmp_path.rglob("*.tfrecord*"))


@pytest.mark.parametrize("there", ["nothing", "folder", "other name"])
def test_a_missing_video_names_the_layout_and_the_stand_in(there, tmp_path):
    if there != "nothing":
        (tmp_path / "manual").mkdir()
    seen = ["found nothing"]
    if there == "other name":
        (tmp_path / "manual" / "grandcentral (1).avi").touch()
        seen = ["similar names there: ['grandcentral (1).avi']"]
    _fails(
        tmp_path,
        errors.MissingFileError,
        f"{FILE} is missing",
        "the generated set 'street'",
        *seen,
    )


@pytest.mark.parametrize("inside", ["", "train_station"])
def test_the_annotated_release_is_refused_by_name(inside, tmp_path):
    for name in ("Annotation", "Frame"):
        (tmp_path / "manual" / inside / name).mkdir(parents=True)
    _fails(
        tmp_path,
        errors.LayoutError,
        "the later, annotated release of Grand Central Station",
        "another resolution and number of frames",
        str(tmp_path / "manual" / inside),
    )


def test_the_video_beside_the_annotated_release_is_taken(write, tmp_path):
    write()
    for name in ("Annotation", "Frame"):
        (tmp_path / "manual" / name).mkdir()
    assert _prepare(tmp_path).info.splits["train"].num_examples == 9


@pytest.mark.parametrize("count", [24, 26])
def test_another_number_of_frames_is_refused(count, write, tmp_path):
    path = write(count)
    few = count < 25
    _fails(
        tmp_path,
        errors.TruncatedError if few else errors.LayoutError,
        str(path),
        f"expected 25 frames, got {count}",
    )


def test_frames_of_another_size_are_refused(write, tmp_path):
    path = write(video=files.frames(25, 32, 64))
    _fails(
        tmp_path,
        errors.ResolutionError,
        f"{path} has frames of 64x32 pixels, expected 64x48",
    )


def test_a_cut_video_is_truncated(write, tmp_path):
    path = files.cut(write(), 0.6)
    _fails(tmp_path, errors.TruncatedError, str(path))


def test_an_empty_file_is_truncated(write, tmp_path):
    path = write()
    path.write_bytes(b"")
    _fails(tmp_path, errors.TruncatedError, f"{path} is empty")


def test_a_file_that_is_no_video_is_refused(write, tmp_path):
    path = write()
    path.write_text("not a video" * 100)
    _fails(tmp_path, errors.LayoutError, str(path))


def test_frames_that_do_not_come_out_of_the_decoder_are_missed(write):
    video = _open(write())
    # As if the file had promised one more.
    video.config = dataclasses.replace(CONFIG, source_frames=26)
    with pytest.raises(errors.TruncatedError, match="26 frames, got 25"):
        list(video.clips(0, 13))


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"crop_top": 40}, "crop_top is 40, but a window of 16"),
        ({"crop_left": -1}, "crop_left is -1"),
        ({"num_train": 5}, "leave out num_train"),
        ({"channels": 1}, "channels is 1, expected 3"),
        ({"use_beam": True}, "use_beam is True"),
        ({"source_frames": 19}, "at least ten clips of 2 frames"),
    ],
)
def test_fields_that_do_not_fit_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(CONFIG, **fields)


def test_the_script_makes_the_miniature_video(tmp_path):
    script = dataset_scripts.load("grand_central")
    path = tmp_path / FILE
    frames = script.hall(25, 480, 720)
    script.write_original(path, frames)
    fields = {"source_height": 480, "source_width": 720}
    config = dataclasses.replace(CONFIG, **fields, source_frames=25)
    video = _open(path, config)
    assert len(list(video.clips(0, 12))) == 12
