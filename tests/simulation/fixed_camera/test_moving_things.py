"""Videos of things that move keep what is promised."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from tests.data.building import battery
from tfdecomp.simulation.fixed_camera import moving_things

LOOK = moving_things.MovingThings()
CROWD = moving_things.MovingThings(num_objects=(8, 8))
SILENT = moving_things.MovingThings(num_objects=(3, 8), noise=0.0)
DIGEST = "1e570620b561736fb15f31f5865dbcf1908268c7732ebb42690f7bb81b746750"


def _make(look=LOOK, start=0, stop=6, **rest):
    rest = {"split": "train", "seed": 0, "stream": "s", **rest}
    return moving_things.generate(look, start=start, stop=stop, **rest)


@pytest.fixture(name="clips", scope="module")
def _fixture_clips():
    return _make(CROWD, stop=12)


@pytest.fixture(name="silent", scope="module")
def _fixture_silent():
    return _make(SILENT, stop=12)


def _free(ids):
    """Pixels that no thing is near to in any frame; a blur wraps around."""
    return ~ndimage.binary_dilation(
        np.pad((ids > 0).any(0), 2, mode="wrap"), np.ones((5, 5))
    )[2:-2, 2:-2]


def test_boxes_hold_the_masks_and_end_at_them_where_nothing_is_covered(clips):
    covered = 0
    for example in clips:
        ids = example["segmentation"][..., 0]
        boxes, fraction = example["boxes"], example["visible_fraction"]
        assert boxes.min() >= 0 and boxes.max() <= 64
        for t, k in np.argwhere(fraction > 0):
            rows, columns = np.nonzero(ids[t] == k + 1)
            tight = np.array(
                [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
            )
            box = boxes[t, k]
            assert (box[:2] <= tight[:2]).all() and (box[2:] >= tight[2:]).all()
            if fraction[t, k] == 1:
                assert box.tolist() == tight.tolist()
            covered += fraction[t, k] < 1
    assert covered > 50


def test_pictures_are_grey_and_whole_numbers(clips):
    for example in clips:
        video = example["video"]
        assert video.shape == (8, 64, 64, 3) and video.dtype == np.uint8
        for channel in (1, 2):
            np.testing.assert_array_equal(video[..., channel], video[..., 0])


def test_without_noise_the_ground_is_black_and_things_are_bright(silent):
    for example in silent:
        ids, grey = example["segmentation"][..., 0], example["video"][..., 0]
        # A border too faint for the label, too, at the edge of the frame.
        assert np.mean(grey[:, _free(ids)] > 0) < 0.01
        if (ids > 0).any():
            assert np.median(grey[ids > 0]) > 40


def test_noise_is_bounded(clips):
    levels = []
    for example in clips:
        free = _free(example["segmentation"][..., 0])
        ground = example["video"][..., 0][:, free].astype(float)
        # Two noises of 0.06 at most, of which a floor is taken off.
        levels.append(np.sqrt(np.mean(ground**2)))
        assert levels[-1] < 255 * 0.06 * 2**0.5
    assert min(levels) < 0.5 and max(levels) > 1


def test_noise_is_what_the_field_says():
    def ground(noise):
        look = moving_things.MovingThings(num_objects=(0, 1), noise=noise)
        video = [example["video"] for example in _make(look, stop=12)]
        # The median of a clip is of its ground.
        return np.mean([np.percentile(v, 90) for v in video])

    assert ground(0.0) == 0 < ground(0.06) < ground(0.2)


def test_things_touch_far_more_often_than_by_chance(clips):
    def touching(ids):
        _, parts = ndimage.label(ids > 0, np.ones((3, 3)))
        return parts < len(np.unique(ids[ids > 0]))

    frames = [f for e in clips for f in e["segmentation"][..., 0]]
    assert np.mean([touching(ids) for ids in frames]) > 0.4
    # By chance: every thing of a frame at a place of its own.
    random = np.random.default_rng(0)
    strewn = []
    for ids in frames[::8]:
        other = np.zeros_like(ids)
        for k in np.unique(ids[ids > 0]):
            shift = tuple(random.integers(0, 64, 2))
            other[np.roll(ids == k, shift, (0, 1))] = k
        strewn.append(touching(other))
    together = np.mean([touching(ids) for ids in frames[::8]])
    assert together > np.mean(strewn)


def test_things_go_on_from_where_they_were_and_some_rest(clips):
    steps = []
    for example in clips:
        position = example["factors"]["position"]
        step = np.linalg.norm(np.diff(position, axis=0), axis=-1)
        # The fastest go 0.45 x 1.5 lengths of 23 px, before they speed up.
        assert step.max() < 40
        steps.append(step.mean(0))
        assert position.shape == (8, 8, 2) and position.dtype == np.float32
    steps = np.concatenate(steps)
    assert 0.1 < np.mean(steps < 0.8) < 0.9
    assert steps.max() > 3


def test_things_are_where_their_position_says(silent):
    found = 0
    for example in silent:
        ids = example["segmentation"][..., 0]
        boxes = example["boxes"]
        inside = (boxes[..., :2] > 0).all(-1) & (boxes[..., 2:] < 64).all(-1)
        whole = (example["visible_fraction"] == 1) & inside
        for t, k in np.argwhere(whole):
            centre = np.argwhere(ids[t] == k + 1).mean(0) + 0.5
            off = centre - example["factors"]["position"][t, k]
            # A body has most of its pixels before its middle.
            length = np.max(boxes[t, k, 2:] - boxes[t, k, :2])
            assert np.linalg.norm(off) < 0.25 * length + 0.5
            found += 1
    assert found > 50


def test_counts_and_kinds_fill_their_range():
    still = dataclasses.replace(LOOK, num_frames=1)
    examples = _make(still, stop=60)
    counts = [example["num_objects"] for example in examples]
    assert set(counts) == set(range(1, 9))
    kinds = [e["factors"]["kind"] for e in examples]
    assert set(np.concatenate(kinds)) == set(range(7))
    mixed = [len(set(kind[kind > 0])) > 1 for kind in kinds]
    assert 0.05 < np.mean(mixed) < 0.4


def test_a_video_may_be_empty():
    look = moving_things.MovingThings(num_frames=1, num_objects=(0, 1))
    counts = [e["num_objects"] for e in _make(look, stop=12)]
    assert set(counts) == {0, 1}


def test_the_stored_set_is_the_one_that_weights_were_trained_on():
    small = dataclasses.replace(LOOK, num_frames=2)
    examples = _make(small, stop=4, stream="mixed")
    keys = ("video", "segmentation", "boxes")
    assert battery.digest(examples, keys) == DIGEST


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_frames": 0}, "num_frames is 0"),
        ({"size": 31}, "size 31"),
        ({"num_objects": (3, 2)}, "num_objects is"),
        ({"num_objects": (0, 0)}, "from 1 to 99"),
        ({"num_objects": (1, 100)}, "from 1 to 99"),
        ({"noise": -0.01}, "noise is"),
        ({"noise": 0.4}, "0 to 0.3"),
    ],
)
def test_impossible_looks_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        moving_things.MovingThings(**fields)
