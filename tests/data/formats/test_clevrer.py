"""CLEVRER's files: what is read of good ones, what is said of bad ones."""

import json
import shutil
import types

import numpy as np
import pytest
import tensorflow_datasets as tfds
from scipy import ndimage

from tests.data.formats.clevrer_files import (
    ANNOTATION,
    CONFIGS,
    FRAMES,
    MASKS,
    PROPOSALS,
    SCRIPT,
    VIDEO,
    change,
    colour,
    cut,
    decoded,
    reader,
)
from tfdecomp import builders, data
from tfdecomp.data import errors
from tfdecomp.data.formats import rle
from tfdecomp.data.formats.clevrer import (
    author_masks,
    clevrer_annotations,
    clevrer_layout,
    clevrer_proposals,
)
from tfdecomp.simulation.rays import slide_scenes

RED, BLUE = ("red", "metal", "cube"), ("blue", "rubber", "sphere")


@pytest.fixture(name="folder")
def _fixture_folder(discs_folder, tmp_path):
    return shutil.copytree(discs_folder, tmp_path / "manual")


def _copy_video(folder, number):
    path = folder / clevrer_layout.video("validation", number)
    shutil.copy(folder / VIDEO, path)


def _describe(folder, number, count, first=20, last=65):
    """Another video: the first one's pictures, with `count` objects.

    The last of them is in view from the frame `first` to `last` alone. There
    are up to six; the masks of the fifth and the sixth are older ones.
    """
    _copy_video(folder, number)
    kinds = [dict(zip(clevrer_annotations.VALUES, k)) for k in (RED, BLUE)]

    def describe(tree):
        tree["video_filename"] = f"video_{number:05d}.mp4"
        things = [*tree["object_property"], *kinds][:count]
        tree["object_property"] = [
            {**thing, "object_id": n} for n, thing in enumerate(things)
        ]
        for t, frame in enumerate(tree["motion_trajectory"]):
            places = [*frame["objects"], *frame["objects"]][:count]
            frame["objects"] = [
                {
                    **place,
                    "object_id": n,
                    "inside_camera_view": n < count - 1 or first <= t < last,
                }
                for n, place in enumerate(places)
            ]
        tree["collision"] = []

    def find(tree):
        for frame in tree["frames"]:
            more = [{**o, **k} for o, k in zip(frame["objects"], kinds)]
            frame["objects"] += more

    for origin, place, edit in (
        (ANNOTATION, clevrer_layout.annotation("validation", number), describe),
        (
            PROPOSALS,
            clevrer_layout.proposals("derender_proposals", number),
            find,
        ),
    ):
        shutil.copy(folder / origin, folder / place)
        change(folder / place, edit)


def test_the_published_parts_and_sizes():
    train, few, six = (CONFIGS[n] for n in ("train", "slices345", "slices6"))
    assert (train.first_video, train.num_videos) == (0, 10_000)
    assert (train.num_frames, train.mask_source) == (128, "none")
    assert few.num_objects == (3, 4, 5) and six.num_objects == (6,)
    for config in (few, six):
        assert (config.first_video, config.num_videos) == (10_000, 5_000)
        assert (config.num_frames, config.mask_source) == (40, "auto")
    assert (few.expected_clips, six.expected_clips) == (2_500, 1_100)
    for config in (train, few, six):
        assert config.frames_per_video == 128
        assert (config.height, config.width, config.max_objects) == (64, 64, 6)


def test_files_lie_in_folders_of_a_thousand():
    assert str(clevrer_layout.video("train", 9_999)) == (
        "video_train/video_09000-10000/video_09999.mp4"
    )
    assert str(ANNOTATION) == (
        "annotation_validation/annotation_10000-11000/annotation_10000.json"
    )
    assert str(PROPOSALS) == "derender_proposals/sim_10000.json"
    assert str(MASKS) == "author_masks/4/video_10000/video.mp4"


def test_windows_begin_with_all_objects_and_end_before_one_leaves():
    rng = np.random.default_rng(0)
    together = rng.random((200, 12)) < rng.random((200, 1))
    begin, length = slide_scenes.window(together)
    for row, first, count in zip(together.tolist(), begin, length):
        if True not in row:
            assert count == 0
            continue
        assert first == row.index(True)
        rest = row[first:]
        assert count == (rest.index(False) if False in rest else len(rest))


def test_a_clip_shows_the_middle_of_the_video_and_who_is_where(
    discs_folder, discs
):
    videos = reader(discs_folder)
    (clip,), excluded, _ = videos.check()
    assert (clip.begin, clip.length, excluded) == (20, 45, {})
    example = videos.example(clip)
    np.testing.assert_array_equal(example["frame_index"], np.arange(20, 60))
    frames = decoded(discs_folder / VIDEO)[20:60, :, 80:400]
    blurred = ndimage.gaussian_filter(
        frames[::9].astype(float), (0, 2, 2, 0), mode="mirror"
    )
    np.testing.assert_allclose(
        example["video"][::9], blurred[:, 2::5, 2::5], atol=0.51
    )
    ids = discs["segmentation"][20:60, 2::5, 82:400:5]
    np.testing.assert_array_equal(example["segmentation"], ids)
    assert (example["num_objects"], example["index"]) == (4, 10_000)
    for t, k in ((0, 0), (39, 3)):
        rows, columns = np.nonzero(ids[t, ..., 0] == k + 1)
        assert example["boxes"][t, k].tolist() == [
            rows.min(),
            columns.min(),
            rows.max() + 1,
            columns.max() + 1,
        ]
    assert not example["boxes"][:, 4:].any()
    assert example["visibility"].sum(0).tolist() == [40] * 4 + [0, 0]
    factors = example["factors"]
    for name in ("shape", "material", "color"):
        assert factors[name].tolist() == [*discs["factors"][name], 0, 0]
    for name in ("location_3d", "inside_camera_view", "collision"):
        np.testing.assert_allclose(
            factors[name][:, :4], discs["factors"][name][20:60]
        )
        assert not factors[name][:, 4:].any()
    np.testing.assert_allclose(factors["velocity_3d"][5, 0], [0, 1, 0])


def test_only_windows_with_enough_frames_objects_and_masks_are_kept(folder):
    _describe(folder, 10_001, 6, 0, FRAMES)
    _describe(folder, 10_002, 3, 20, 59)  # one frame too few
    _describe(folder, 10_003, 2)
    _describe(folder, 10_004, 3, 0, 0)
    _describe(folder, 10_005, 5, 0, FRAMES)

    def thin_out(tree):
        # 50 of the 200 places of the 40 frames.
        for frame in tree["frames"][:25]:
            frame["objects"] = frame["objects"][:3]

    path = clevrer_layout.proposals("derender_proposals", 10_005)
    change(folder / path, thin_out)
    clips, excluded, _ = reader(folder, num_videos=6).check()
    assert [clip.video for clip in clips] == [10_000]
    assert excluded == {
        "other number of objects": 2,
        "all objects in view for too few frames": 1,
        "never all objects in view": 1,
        "too few masks": 1,
    }
    (clip,), *_ = reader(folder, "slices6", num_videos=6).check()
    assert (clip.video, clip.begin, clip.length) == (10_001, 0, 127)


def test_training_videos_need_no_labels(folder):
    target = folder / clevrer_layout.video("train", 0)
    target.parent.mkdir(parents=True)
    shutil.copy(folder / VIDEO, target)
    videos = reader(folder, "train")
    (clip,), *_ = videos.check()
    example = videos.example(clip)
    assert example["video"].shape == (128, 64, 64, 3)
    assert "segmentation" not in example and "factors" not in example


def test_masks_of_the_authors_are_labels_in_some_order(discs_folder, discs):
    videos = reader(discs_folder, mask_source="author_masks")
    (clip,), *_ = videos.check()
    example = videos.example(clip)
    truth = discs["segmentation"][20:60, 2::5, 82:400:5]
    found = example["segmentation"]
    assert "factors" not in example
    for label in range(5):
        other = np.bincount(truth[found == label]).argmax()
        share = (truth[found == label] == other).mean()
        assert share > 0.97, (label, other)
        assert (other == 0) == (label == 0)


@pytest.mark.parametrize(
    "base", ["slices345", pytest.param("slices6", marks=pytest.mark.slow)]
)
def test_masks_of_the_authors_come_first_where_they_lie(base, folder):
    config = {"mask_source": "auto", "num_objects": (4,)}
    videos = reader(folder, base, **config)
    assert videos.mask_source == "author_masks"
    (clip,), *_ = videos.check()
    wanted = reader(folder, base, **{**config, "mask_source": "author_masks"})
    example = videos.example(clip)
    assert "factors" not in example
    np.testing.assert_array_equal(
        example["segmentation"], wanted.example(clip)["segmentation"]
    )
    assert videos.metadata()[0]["masks"] == "author_masks"
    # One that is missing is no reason to take another source unasked.
    (folder / MASKS).unlink()
    with pytest.raises(errors.MissingFileError, match=str(MASKS)):
        reader(folder, base, **config).check()
    shutil.rmtree(folder / "author_masks")
    videos = reader(folder, base, **config)
    assert videos.mask_source == "proposals"
    example = videos.example(*videos.check()[0])
    assert "factors" not in example
    assert videos.metadata()[0]["masks"] == "proposals"


def test_a_window_never_has_the_last_frame(folder):
    _describe(folder, 10_001, 4, 87, FRAMES)  # 40 frames without it
    _describe(folder, 10_002, 4, 88, FRAMES)
    clips, excluded, _ = reader(folder, num_videos=3).check()
    assert [(c.video, c.begin, c.length) for c in clips] == [
        (10_000, 20, 45),
        (10_001, 87, 40),
    ]
    assert excluded == {"all objects in view for too few frames": 1}


def test_colours_that_compression_made_are_no_objects():
    rng = np.random.default_rng(1)
    ids = np.zeros((5, 60, 80), int)
    ids[:, 5:25, 5:30], ids[:, 30:50, 40:70] = 1, 2
    colours = np.array([(8, 8, 8), (200, 40, 40), (40, 40, 200)])
    frames = colours[ids] + rng.integers(-6, 7, (5, 60, 80, 3))
    # Edges are mixed, and a colour is seen in two frames only.
    frames[:, 25, 5:30] = (104, 24, 24)
    frames[:2, 52:60, 60:75] = (0, 250, 0)
    labels, count = author_masks.labels(frames.astype(np.uint8))
    assert count == 2
    plain = np.ones(ids.shape, bool)
    plain[:, 25], plain[:2, 52:60, 60:75] = False, False
    # Blue comes before red.
    wanted = np.array([0, 2, 1])[ids]
    np.testing.assert_array_equal(labels[plain], wanted[plain])


def _proposals(folder, frames):
    path = folder / "sim_00000.json"
    tree = {
        "frames": [
            {"frame_index": t, "objects": objects}
            for t, objects in enumerate(frames)
        ]
    }
    SCRIPT.write_json(path, tree)
    return clevrer_proposals.Proposals(path, "set")


def _found(rows, columns, kind=("red", "metal", "cube"), score=0.9):
    mask = np.zeros(clevrer_layout.SIZE, bool)
    mask[slice(*rows), slice(*columns)] = True
    names = clevrer_annotations.VALUES
    return {**dict(zip(names, kind)), "score": score, "mask": rle.encode(mask)}


def _annotation(*kinds, frames=1):
    view = np.ones((frames, len(kinds)), bool)
    return clevrer_annotations.Annotation(kinds, view, None, None, None)


def _labels(proposals, annotation):
    frames = slice(0, len(annotation.in_view))
    return proposals.labels(annotation, frames)


def test_the_highest_score_of_an_objects_kind_counts(tmp_path):
    objects = [
        _found((0, 9), (0, 9), RED, 0.6),
        _found((20, 30), (0, 9), RED, 0.8),
        _found((40, 50), (0, 9), RED, 0.4),
        _found((60, 70), (0, 9), ("red", "metal", "sphere")),
        _found((80, 90), (0, 9), BLUE, 0.49),  # too low
    ]
    annotation = _annotation(BLUE, RED)
    proposals = _proposals(tmp_path, [objects])
    (labels,) = _labels(proposals, annotation)
    assert (labels[20:30, :9] == 2).all() and (labels > 0).sum() == 90
    assert proposals.share_missing(annotation, slice(0, 1)) == 0.5


def test_the_nearer_of_two_masks_wins_where_they_overlap(tmp_path):
    far, near = _found((10, 30), (0, 20), RED), _found((20, 40), (0, 20), BLUE)
    for objects in ([far, near], [near, far]):
        proposals = _proposals(tmp_path, [objects])
        (labels,) = _labels(proposals, _annotation(RED, BLUE))
        assert (labels[10:20, :20] == 1).all()
        assert (labels[20:40, :20] == 2).all()
    # At the same height the score decides.
    weak = _found((10, 40), (10, 30), RED, 0.7)
    proposals = _proposals(tmp_path, [[near, weak]])
    (labels,) = _labels(proposals, _annotation(RED, BLUE))
    assert (labels[20:40, :20] == 2).all()


def test_two_objects_of_one_kind_keep_their_ids_while_they_move(tmp_path):
    frames = []
    for t in range(6):
        left = _found((10, 20), (10 + 6 * t, 20 + 6 * t), score=0.6 + t / 20)
        right = _found((40, 50), (90 - 6 * t, 100 - 6 * t), score=0.75)
        frames.append([left, right])
    frames[2] = frames[2][1:]  # one is not found
    annotation = _annotation(RED, RED, frames=6)
    proposals = _proposals(tmp_path, frames)
    labels = _labels(proposals, annotation)
    # The order of the first frame is that of the scores.
    for t in range(6):
        assert (labels[t, 40:50, 90 - 6 * t : 100 - 6 * t] == 1).all()
        top = labels[t, 10:20, 10 + 6 * t : 20 + 6 * t]
        assert (top == (0 if t == 2 else 2)).all()
    assert proposals.share_missing(annotation, slice(0, 6)) == 1 / 12


def _prepare(folder, tmp_path, **fields):
    base = "slices345_proposals"
    fields = {"name": "few", "base": base, "num_videos": 1, **fields}
    manual = tfds.download.DownloadConfig(manual_dir=folder)
    return builders.prepare(
        "clevrer",
        tmp_path / "data",
        config=json.dumps(fields),
        progress=False,
        manual=True,
        download_config=manual,
    )


def test_prepared_clips_are_read_by_name(discs_folder, tmp_path):
    builder = _prepare(discs_folder, tmp_path)
    metadata = builder.info.metadata
    assert metadata["excluded"] == metadata["skipped"] == {}
    assert metadata["value_names"]["color"]["gray"] == 1
    (source,) = metadata["source_files"]
    assert (source["name"], source["files"]) == ("video_validation", 1)
    clips = data.make_dataset(
        "clevrer/few",
        "test",
        data_dir=tmp_path / "data",
        batch_size=1,
        num_frames=10,
        clip="first",
        labels=("segmentation", "boxes", "color", "index"),
        shuffle=False,
        repeat=False,
    )
    (batch,) = clips.as_numpy_iterator()
    assert batch["video"].shape == (1, 10, 64, 64, 3)
    assert batch["index"].tolist() == [10_000]
    assert set(np.unique(batch["segmentation"])) == {0, 1, 2, 3, 4}


@pytest.mark.slow
def test_bad_files_may_be_skipped_but_not_too_many(folder, tmp_path):
    for number in (10_001, 10_002):
        _describe(folder, number, 3)
    cut(folder / clevrer_layout.video("validation", 10_001))
    path = clevrer_layout.annotation("validation", 10_002)
    change(folder / path, colour)
    fields = {"num_videos": 3, "on_error": "skip"}
    with pytest.raises(errors.DatasetInputError, match="more than 1.0%"):
        _prepare(folder, tmp_path, **fields)
    assert not list(tmp_path.rglob("*.tfrecord*"))
    builder = _prepare(folder, tmp_path, max_skipped=0.7, **fields)
    assert builder.info.splits["test"].num_examples == 1
    skipped = builder.info.metadata["skipped"]
    assert sorted(skipped) == ["10001", "10002"]
    assert "orange" in skipped["10002"]


def test_another_number_of_clips_than_published_is_warned_of(caplog):
    from tfdecomp.data.formats.clevrer import clevrer_videos

    with caplog.at_level("WARNING", "absl"):
        clevrer_videos.compare_count("set", 2_540, 2_500, {})
        assert not caplog.records
        clevrer_videos.compare_count("set", 2_300, 2_500, {"short": 3})
    assert "found 2,300 clips, expected about 2,500" in caplog.text
    assert "{'short': 3}" in caplog.text


def test_other_processes_can_read_the_same(discs_folder):
    import pickle

    videos = reader(discs_folder)
    clips, *_ = videos.check()
    copy = pickle.loads(pickle.dumps(videos))
    assert isinstance(videos.config, types.SimpleNamespace)
    ((number, one),) = copy.block("test", clips)
    assert number == 10_000
    np.testing.assert_array_equal(
        one["video"], videos.example(clips[0])["video"]
    )
