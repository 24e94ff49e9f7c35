"""The input pipeline on prepared miniature sets."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfdecomp import builders, data
from tfdecomp.data import errors, pipeline, reader

NAME = "bouncing_balls/small"
LONG = "bouncing_balls/color4_tiny"
CROWD = "bouncing_balls/color678_pal4_tiny"
LABELS = (
    "segmentation",
    "boxes",
    "visibility",
    "visible_fraction",
    "object_ids",
    "num_objects",
    "frame_index",
    "example_id",
    "index",
    "position",
    "factors/mass",
    "collision",
)


def _make(data_dir, split="train", name=NAME, **arguments):
    settings = {"batch_size": 8, "num_frames": 5, **arguments}
    return pipeline.make_dataset(name, split, data_dir=data_dir, **settings)


def _numpy(dataset, count=None):
    return list((dataset.take(count) if count else dataset).as_numpy_iterator())


def _same(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other):
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])


def test_element_spec_needs_no_prepared_data(data_dir, tmp_path):
    arguments = {"batch_size": 3, "num_frames": 7, "labels": LABELS}
    spec = pipeline.element_spec(LONG, tmp_path, **arguments)
    assert spec == pipeline.element_spec(LONG, data_dir, **arguments)


@pytest.fixture(scope="module")
def stored(small_config):
    """The training examples as the simulator makes them, by index."""
    builder = builders.make("bouncing_balls", config=small_config)
    return builder.make_block(builder.builder_config)("train", 0, 64)


VARIANTS = {
    "plain": {},
    "all_labels": {"labels": LABELS},
    "whole": {"num_frames": None, "labels": ("segmentation",)},
    "stride": {"num_frames": 4, "frame_stride": 3, "labels": LABELS},
    "windows": {"num_frames": 4, "clip": "windows", "max_frames": 10},
    "small": {"crop": (4, 2, 20, 24), "resize": (10, 12), "labels": LABELS},
    "grey": {"channels": 1, "dtype": "float32", "resize": 16},
    "padded": {"max_objects": 7, "labels": LABELS},
    "last": {"pad_last": True, "repeat": False, "labels": LABELS},
    "ragged": {"drop_remainder": False, "repeat": False},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_element_spec_is_that_of_the_dataset_and_of_its_batches(
    variant, data_dir
):
    arguments = {"batch_size": 6, "num_frames": 5, **VARIANTS[variant]}
    dataset = pipeline.make_dataset(
        NAME, "test", data_dir=data_dir, **arguments
    )
    spec = pipeline.element_spec(NAME, data_dir, **arguments)
    assert spec == dataset.element_spec
    (batch,) = _numpy(dataset, 1)
    for key, value in batch.items():
        assert spec[key].shape.is_compatible_with(value.shape)
        assert spec[key].dtype.as_numpy_dtype == value.dtype or (
            spec[key].dtype == tf.string
        )
        if variant != "ragged":
            assert None not in spec[key].shape


def test_first_clips_are_what_the_simulator_made(data_dir, stored):
    batches = _numpy(_make(data_dir, clip="first", repeat=False, labels=LABELS))
    assert sum(len(batch["index"]) for batch in batches) == len(stored)
    for batch in batches[:3]:
        for row, index in enumerate(batch["index"]):
            example = stored[index]
            assert batch["example_id"][row] == f"train/{index:06d}".encode()
            pairs = {
                "video": example["video"][:5],
                "segmentation": example["segmentation"][:5],
                "boxes": example["boxes"][:5],
                "visible_fraction": example["visible_fraction"][:5],
                "position": example["factors"]["position"][:5],
                "collision": example["factors"]["collision"][:5],
                "factors/mass": example["factors"]["mass"],
                "frame_index": np.arange(5),
                "object_ids": [1, 2, 3],
            }
            for key, expected in pairs.items():
                np.testing.assert_array_equal(batch[key][row], expected)


def test_random_clips_are_cut_where_frame_index_says(data_dir, stored):
    labels = ("segmentation", "frame_index", "index", "velocity")
    begins = []
    for batch in _numpy(_make(data_dir, labels=labels), 12):
        for row, index in enumerate(batch["index"]):
            begin = batch["frame_index"][row, 0]
            part = slice(begin, begin + 5)
            begins.append(begin)
            example = stored[index]
            for key in ("video", "segmentation"):
                np.testing.assert_array_equal(
                    batch[key][row], example[key][part]
                )
            np.testing.assert_array_equal(
                batch["velocity"][row], example["factors"]["velocity"][part]
            )
    assert min(begins) >= 0 and max(begins) <= 7
    assert len(set(begins)) == 8


def test_stride_takes_every_nth_frame(data_dir):
    labels = ("frame_index",)
    (batch,) = _numpy(
        _make(data_dir, num_frames=3, frame_stride=5, labels=labels), 1
    )
    steps = np.diff(batch["frame_index"], axis=1)
    np.testing.assert_array_equal(steps, 5)


def test_windows_come_exactly_once_per_epoch_in_changing_order(data_dir):
    dataset = _make(
        data_dir,
        batch_size=16,
        num_frames=4,
        max_frames=10,
        clip="windows",
        labels=("index", "frame_index"),
    )
    epochs = []
    batches = _numpy(dataset, 16)
    for part in (batches[:8], batches[8:]):
        index = np.concatenate([b["index"] for b in part])
        begin = np.concatenate([b["frame_index"][:, 0] for b in part])
        epochs.append(list(zip(index.tolist(), begin.tolist())))
    expected = {(i, 4 * w) for i in range(64) for w in range(2)}
    for epoch in epochs:
        assert len(epoch) == len(expected)
        assert set(epoch) == expected
    assert epochs[0] != epochs[1]


def test_same_seed_same_batches_and_another_seed_other_ones(data_dir):
    labels = ("index", "frame_index")
    one = _numpy(_make(data_dir, labels=labels), 10)
    _same(one, _numpy(_make(data_dir, labels=labels), 10))
    other = _numpy(_make(data_dir, labels=labels, seed=1), 10)
    assert any(np.any(a["index"] != b["index"]) for a, b in zip(one, other))
    starts = np.concatenate([b["frame_index"][:, 0] for b in one])
    assert len(set(starts.tolist())) == 8


def test_a_global_seed_does_not_change_the_order(data_dir):
    one = _numpy(_make(data_dir, labels=("index",)), 4)
    try:
        tf.random.set_seed(123)
        _same(one, _numpy(_make(data_dir, labels=("index",)), 4))
    finally:
        tf.random.set_seed(None)


def test_parallel_calls_do_not_change_the_batches(data_dir, monkeypatch):
    one = _numpy(_make(data_dir, labels=("index", "frame_index")), 6)
    monkeypatch.setattr(tf.data, "AUTOTUNE", 1)
    _same(one, _numpy(_make(data_dir, labels=("index", "frame_index")), 6))


@pytest.mark.parametrize("clip", ["random", "windows", "first"])
@pytest.mark.parametrize("start", [8, 64, 136])
def test_resuming_at_a_clip_goes_on_with_the_very_same_batches(
    clip, start, data_dir
):
    arguments = {"clip": clip, "labels": ("index", "frame_index")}
    whole = _numpy(_make(data_dir, **arguments), start // 8 + 6)
    rest = _numpy(_make(data_dir, start=start, **arguments), 6)
    _same(whole[start // 8 :], rest)
    np.testing.assert_array_equal(
        rest[0]["clip_index"], np.arange(start, start + 8)
    )


def test_resuming_works_with_several_shards_and_a_filter(crowd_dir):
    arguments = {
        "name": CROWD,
        "split": "test",
        "batch_size": 2,
        "filter_objects": (6, 7),
        "labels": ("index", "num_objects"),
    }
    whole = _numpy(_make(crowd_dir, **arguments), 20)
    assert {n for b in whole for n in b["num_objects"].tolist()} == {6, 7}
    _same(whole[14:], _numpy(_make(crowd_dir, start=28, **arguments), 6))


@pytest.mark.parametrize("cache", ["memory", "file"])
def test_caching_changes_nothing(cache, data_dir, tmp_path):
    where = f"file:{tmp_path}/cache" if cache == "file" else cache
    plain = _numpy(_make(data_dir, split="test", repeat=False))
    cached = _make(data_dir, split="test", repeat=False, cache=where)
    _same(plain, _numpy(cached))
    _same(plain, _numpy(cached))


def test_padding_marks_every_clip_once(data_dir):
    batches = _numpy(
        _make(
            data_dir,
            split="test",
            batch_size=6,
            shuffle=False,
            repeat=False,
            clip="first",
            pad_last=True,
            labels=("index", "example_id"),
        )
    )
    assert [b["valid"].sum() for b in batches] == [6, 6, 4]
    seen = np.concatenate([b["index"][b["valid"]] for b in batches])
    assert sorted(seen) == list(range(16))
    assert not batches[-1]["video"][4:].any()
    assert set(batches[-1]["example_id"][4:]) == {b""}


def test_slices_of_a_split_are_disjoint(data_dir):
    def ids(split):
        batches = _numpy(
            _make(data_dir, split=split, repeat=False, labels=("index",))
        )
        return set(np.concatenate([b["index"] for b in batches]).tolist())

    first, rest = ids("train[:25%]"), ids("train[25%:]")
    assert len(first) == 16 and len(rest) == 48
    assert not first & rest


def test_float_videos_are_in_the_unit_interval(data_dir):
    (batch,) = _numpy(_make(data_dir, dtype="float32"), 1)
    (raw,) = _numpy(_make(data_dir), 1)
    assert batch["video"].dtype == np.float32
    np.testing.assert_allclose(batch["video"] * 255, raw["video"], atol=1e-4)


def test_crop_and_resize_keep_labels_and_boxes_on_the_objects(data_dir):
    arguments = {"labels": LABELS, "clip": "first", "shuffle": False}
    (raw,) = _numpy(_make(data_dir, **arguments), 1)
    (out,) = _numpy(
        _make(data_dir, crop=(5, 3, 16, 24), resize=(32, 48), **arguments), 1
    )
    assert set(np.unique(out["segmentation"])) <= set(
        np.unique(raw["segmentation"])
    )
    # Twice the size: every pixel of the window four times.
    window = raw["segmentation"][:, :, 5:21, 3:27]
    np.testing.assert_array_equal(
        out["segmentation"], window.repeat(2, 2).repeat(2, 3)
    )
    expected = (raw["position"] - [5, 3]) * 2
    np.testing.assert_allclose(out["position"], expected, atol=1e-4)
    boxes, seen = out["boxes"], out["visibility"].astype(bool)
    assert boxes.min() >= 0
    assert (boxes[..., [0, 2]] <= 32).all() and (boxes[..., [1, 3]] <= 48).all()
    assert not boxes[~seen].any()
    for row, frame, slot in np.argwhere(seen):
        rows, columns = np.nonzero(
            out["segmentation"][row, frame, ..., 0] == slot + 1
        )
        if len(rows):
            top, left, bottom, right = boxes[row, frame, slot]
            assert top <= rows.min() and bottom >= rows.max() + 1
            assert left <= columns.min() and right >= columns.max() + 1


def test_random_crops_say_where_they_lie_and_differ_from_clip_to_clip(data_dir):
    arguments = {
        "labels": ("position",),
        "clip": "first",
        "shuffle": False,
        "batch_size": 8,
    }
    (raw,) = _numpy(_make(data_dir, **arguments), 1)
    assert "crop_offset" not in raw
    crop = ("random", 16, 24)
    (out,) = _numpy(_make(data_dir, crop=crop, **arguments), 1)
    corners = out["crop_offset"].astype(int)
    assert out["video"].shape[2:4] == (16, 24)
    assert corners.min() >= 0
    assert np.all(corners <= [32 - 16, 32 - 24])
    assert len(np.unique(corners, axis=0)) > 4
    for clip, whole, (top, left) in zip(out["video"], raw["video"], corners):
        np.testing.assert_array_equal(
            clip, whole[:, top : top + 16, left : left + 24]
        )
    np.testing.assert_allclose(
        out["position"] + corners[:, None, None], raw["position"], atol=1e-4
    )
    # The same ones after a resume, and offsets are in pixels of the picture.
    (later,) = _numpy(_make(data_dir, crop=crop, start=4, **arguments), 1)
    np.testing.assert_array_equal(later["crop_offset"][:4], corners[4:])
    (small,) = _numpy(
        _make(data_dir, crop=crop, resize=(8, 48), **arguments), 1
    )
    np.testing.assert_allclose(small["crop_offset"], corners * [0.5, 2.0])


def test_grey_and_replicated_channels(data_dir):
    (raw,) = _numpy(_make(data_dir), 1)
    (grey,) = _numpy(_make(data_dir, channels=1), 1)
    np.testing.assert_allclose(
        grey["video"][..., 0], raw["video"].mean(-1), atol=0.51
    )


def test_fresh_clips_come_through_the_same_pipeline(data_dir):
    source = reader.open_source(LONG, data_dir)
    examples = list(builders.fresh_clips(LONG, seed=4, num_clips=5))
    batches = _numpy(
        pipeline.from_examples(
            examples,
            source,
            batch_size=3,
            num_frames=6,
            labels=("segmentation", "position"),
            pad_last=True,
        )
    )
    assert [b["valid"].sum() for b in batches] == [3, 2]
    video = np.concatenate([b["video"] for b in batches])
    place = np.concatenate([b["position"] for b in batches])
    for row, example in enumerate(examples):
        np.testing.assert_array_equal(video[row], example["video"][:6])
        np.testing.assert_array_equal(
            place[row], example["factors"]["position"][:6]
        )


_TWO_DEVICES = """
import sys
import numpy as np
import tensorflow as tf
from tfdecomp.data import pipeline

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
dataset = strategy.experimental_distribute_dataset(
    pipeline.make_dataset(
        sys.argv[1], "train", data_dir=sys.argv[2], batch_size=8, num_frames=4
    )
)
seen = []
for _, batch in zip(range(3), dataset):
    parts = strategy.experimental_local_results(batch["clip_index"])
    assert [part.shape[0] for part in parts] == [4, 4], parts
    seen += np.concatenate(parts).tolist()
assert seen == list(range(24)), seen
"""


@pytest.mark.slow
@pytest.mark.multi_device
def test_replicas_share_a_batch_and_no_clip_comes_twice(data_dir):
    # Devices can be split only before TensorFlow has started.
    subprocess.run(
        [sys.executable, "-c", _TWO_DEVICES, NAME, str(data_dir)], check=True
    )


BAD = {
    "clip longer than the video": ({"num_frames": 13}, "at most the 12 frames"),
    "stride too long": (
        {"num_frames": 4, "frame_stride": 6},
        "at most the 12 frames",
    ),
    "unknown label": ({"labels": ("depth",)}, "has no label 'depth'"),
    "unknown clip": ({"clip": "middle"}, "clip is 'middle'"),
    "unknown dtype": ({"dtype": "float16"}, "dtype is 'float16'"),
    "random crop": ({"crop": ("random", 40, 8)}, "inside 32x32"),
    "crop outside": ({"crop": (20, 0, 16, 32)}, "inside 32x32"),
    "too few slots": ({"max_objects": 2}, "at least 3"),
    "unknown cache": ({"cache": "disk"}, "cache is 'disk'"),
    "unknown split": ({"split": "tset"}, "no split 'tset'"),
    "one unknown split": ({"split": "test+tset[:2]"}, "no split 'tset'"),
    "no frames left": ({"max_frames": 60}, "at most 12"),
    "empty batch": ({"batch_size": 0}, "batch_size is 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_arguments_fail_at_once_and_say_why(case, data_dir):
    arguments, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        _make(data_dir, **arguments)


def test_a_set_that_is_not_prepared_names_the_command(tmp_path):
    with pytest.raises(errors.MissingFileError) as caught:
        _make(tmp_path)
    text = str(caught.value)
    assert "python -m tfdecomp.prepare bouncing_balls/small" in text
    assert str(tmp_path) in text
    assert isinstance(caught.value, FileNotFoundError)


def test_labels_declared_as_filler_are_not_handed_out(data_dir):
    source = reader.open_source(NAME, data_dir)
    metadata = {**source.metadata, "has_boxes": False}
    source = dataclasses.replace(source, metadata=metadata)
    with pytest.raises(ValueError, match="has no label 'boxes'"):
        source.resolve("boxes")


def test_data_of_another_schema_are_refused(data_dir, monkeypatch):
    monkeypatch.setattr("tfdecomp.data.naming.SCHEMA_VERSION", 2)
    with pytest.raises(errors.LayoutError, match="--overwrite"):
        _make(data_dir)


def test_pipeline_delivers_a_thousand_used_frames_a_second(data_dir):
    speed = pipeline.measure_throughput(
        _make(
            data_dir, name=LONG, batch_size=16, num_frames=10, dtype="float32"
        ),
        seconds=1.5,
    )
    assert speed["frames_per_second"] >= 1000


def test_names_of_the_package_are_loaded_on_first_use():
    assert data.make_dataset is pipeline.make_dataset
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        data.nothing  # noqa: B018
