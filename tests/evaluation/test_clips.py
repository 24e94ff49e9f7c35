"""Stored and newly generated clips, through the one pipeline."""

import numpy as np
import pytest

from tfdecomp import builders
from tfdecomp.data import reader
from tfdecomp.evaluation import clips
from tfdecomp.evaluation.protocol import Protocol
from tfdecomp.storage import configs

NAME = "bouncing_balls/color3_quick_tiny"


class Model:
    channels = 3


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    builders.prepare(NAME, folder, progress=False)
    return folder


def _open(data_dir=None, batch_size=3, **fields):
    (condition,) = Protocol(dataset=NAME, **fields).expand()
    opened = clips.opener(
        data_dir, prepare=None, fresh_clips=builders.fresh_clips
    )
    return list(opened(condition, Model(), batch_size))


def _all(batches, name):
    valid = np.concatenate([b["valid"] for b in batches])
    return np.concatenate([b[name] for b in batches])[valid]


def test_every_stored_clip_comes_once_in_batches_of_one_size(data_dir):
    batches = _open(data_dir, num_frames=4)
    assert {b["video"].shape for b in batches} == {(3, 4, 20, 20, 3)}
    np.testing.assert_array_equal(_all(batches, "clip_index"), range(16))


def test_the_whole_video_is_read_unless_frames_are_named(data_dir):
    batches = _open(data_dir, num_clips=2)
    assert batches[0]["video"].shape[1] == 12


def test_observed_and_predicted_frames_are_read_from_the_start(data_dir):
    whole = _all(_open(data_dir, num_clips=2), "video")
    part = _all(
        _open(data_dir, num_clips=2, num_frames=3, num_predicted=4), "video"
    )
    np.testing.assert_array_equal(part, whole[:, :7])


def test_labels_of_objects_come_where_the_set_has_them(data_dir):
    (batch,) = _open(data_dir, num_clips=2, num_frames=3)
    shapes = {name: value.shape[1:] for name, value in batch.items()}
    assert shapes["num_objects"] == ()
    assert shapes["visibility"] == (3, 3)
    assert shapes["position"] == (3, 3, 2)
    assert shapes["boxes"] == (3, 3, 4)


@pytest.mark.parametrize(
    "stored, expected",
    [
        (
            ("num_objects", "object_ids", "factors/color"),
            ("num_objects",),
        ),
        (("num_objects", "boxes"), ("num_objects", "boxes")),
        (
            ("num_objects", "segmentation", "visibility", "factors/position"),
            ("segmentation", "num_objects", "visibility", "position"),
        ),
    ],
)
def test_labels_that_a_set_lacks_are_not_asked_for(stored, expected):
    class Source:
        labels = stored

        @staticmethod
        def has_time(name):
            return name in stored

    (condition,) = Protocol(dataset=NAME).expand()
    assert clips._labels(condition, Source) == expected


def test_velocities_need_places_that_the_set_has():
    class Source:
        labels = ("num_objects", "factors/position")
        has_time = staticmethod(lambda name: True)

    moving = {"num_frames": 3, "num_predicted": 2, "velocity": True}
    (condition,) = Protocol(dataset=NAME, **moving).expand()
    with pytest.raises(ValueError, match="neither positions nor a segment"):
        clips._labels(condition, Source)
    by_position = Protocol(dataset=NAME, centres="position", **moving)
    with pytest.raises(ValueError, match="takes places from 'position'"):
        clips._labels(by_position.expand()[0], Source)


def test_clips_longer_than_the_stored_ones_are_refused(data_dir):
    with pytest.raises(ValueError, match="at most the 12 frames"):
        _open(data_dir, num_frames=13)


def test_an_unknown_split_is_refused(data_dir):
    with pytest.raises(ValueError, match="no split 'exam'"):
        _open(data_dir, split="exam")


def test_a_pattern_reads_all_splits_that_it_names(data_dir):
    both, *each = (
        {v.tobytes() for v in _all(_open(data_dir, split=s), "video")}
        for s in ("t*", "train", "test")
    )
    assert both == each[0] | each[1]
    with pytest.raises(ValueError, match="no split 'ex.*'; it has"):
        _open(data_dir, split="ex*")


def test_splits_of_a_pattern_have_the_same_share_of_clips(data_dir):
    some = _all(_open(data_dir, split="t*", num_clips=4, num_frames=1), "video")
    assert len(some) == 4
    known = {video.tobytes() for video in some}
    for split in ("train", "test"):
        chosen = {"split": split, "num_clips": 2, "num_frames": 1}
        first = _all(_open(data_dir, **chosen), "video")
        assert {video.tobytes() for video in first} <= known


def test_fresh_clips_come_from_all_splits_of_a_pattern():
    chosen = {"fresh_seed": 7, "num_clips": 3, "num_frames": 1}
    few = _all(_open(split="t*", **chosen), "video")
    assert len(few) == 3
    one = _all(_open(split="test", **chosen), "video")
    same = {video.tobytes() for video in few} & {v.tobytes() for v in one}
    assert 1 <= len(same) <= 2


def test_a_set_that_is_not_prepared_says_how_to_prepare_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="tfdecomp.prepare"):
        _open(tmp_path)


def test_fresh_clips_fill_batches_of_one_size():
    batches = _open(fresh_seed=7, num_clips=5, num_frames=3)
    assert {b["video"].shape for b in batches} == {(3, 3, 20, 20, 3)}
    np.testing.assert_array_equal(_all(batches, "clip_index"), range(5))


def test_fresh_clips_depend_on_the_seed_and_not_on_the_batch_size(data_dir):
    def videos(seed, batch_size):
        batches = _open(
            None, batch_size, fresh_seed=seed, num_clips=4, num_frames=3
        )
        return _all(batches, "video")

    np.testing.assert_array_equal(videos(7, 1), videos(7, 4))
    assert np.any(videos(7, 4) != videos(8, 4))
    stored = _all(_open(data_dir, num_clips=4, num_frames=3), "video")
    assert np.any(stored != videos(0, 4))


def test_a_set_without_labels_has_no_number_of_objects_to_count(tmp_path):
    named = {"grand_central/center": (), NAME: ("num_objects",)}
    for name, expected in named.items():
        source = reader.from_builder(builders.make(name, tmp_path))
        labels = clips._labels(Protocol(), source)
        assert [n for n in labels if n == "num_objects"] == list(expected)
        assert "visibility" in labels or not labels


def test_fresh_clips_need_a_number():
    with pytest.raises(ValueError, match="--num_clips"):
        _open(fresh_seed=7)


@pytest.mark.parametrize("fresh", [{}, {"fresh_seed": 3}])
def test_the_run_s_config_decides_on_the_size_of_pictures(data_dir, fresh):
    bindings = [
        "data.make_dataset.resize = 16",
        "data.make_dataset.clip = 'windows'",
    ]
    with configs.parsed([], bindings):
        batches = _open(data_dir, num_clips=2, num_frames=3, **fresh)
    assert batches[0]["video"].shape == (3, 3, 16, 16, 3)
    assert batches[0]["segmentation"].shape == (3, 3, 16, 16, 1)


def test_a_limit_marks_what_lies_beyond_and_stops():
    def batches():
        for start in range(0, 100, 4):
            yield {
                "clip_index": np.arange(start, start + 4),
                "valid": np.ones(4, bool),
            }

    limited = list(clips._limited(batches(), 6))
    assert len(limited) == 2
    np.testing.assert_array_equal(limited[1]["valid"], [1, 1, 0, 0])
    assert len(list(clips._limited(batches(), 8))) == 2
    assert len(list(clips._limited(batches(), None))) == 25
