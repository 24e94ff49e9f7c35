"""Fake clips are consistent enough to train and score on."""

import numpy as np
import pytest

from tfdecomp.data import fake, pipeline


@pytest.mark.parametrize("channels", [1, 3])
def test_labels_say_what_the_picture_shows(channels):
    batch = fake.fake_batch(3, 6, 24, 32, channels, num_objects=3, seed=1)
    ids = batch["segmentation"][..., 0]
    assert batch["video"].shape == (3, 6, 24, 32, channels)
    assert (batch["video"].max(-1) > 0)[ids > 0].all()
    assert not batch["video"][ids == 0].any()
    for clip in range(3):
        for slot in range(3):
            seen = ids[clip] == slot + 1
            np.testing.assert_array_equal(
                batch["visibility"][clip, :, slot], seen.any((1, 2))
            )
            colours = batch["video"][clip][seen]
            assert len(np.unique(colours, axis=0)) <= 1


def test_boxes_are_tight():
    batch = fake.fake_batch(2, 5, 32, 32)
    ids = batch["segmentation"][..., 0]
    for clip, frame, slot in np.argwhere(batch["visibility"]):
        rows, columns = np.nonzero(ids[clip, frame] == slot + 1)
        np.testing.assert_array_equal(
            batch["boxes"][clip, frame, slot],
            [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1],
        )


def test_objects_move_by_their_velocity_and_stay_inside():
    batch = fake.fake_batch(4, 20, 32, 32)
    place, speed = batch["factors/position"], batch["factors/velocity"]
    assert place.min() > 0 and place.max() < 32
    same = (speed[:, 1:] == speed[:, :-1]).all(-1)
    moved = place[:, 1:] - place[:, :-1]
    np.testing.assert_allclose(moved[same], speed[:, :-1][same], atol=1e-5)


def test_same_seed_same_batch():
    one, two = fake.fake_batch(2, 3, 16, 16), fake.fake_batch(2, 3, 16, 16)
    for key in one:
        np.testing.assert_array_equal(one[key], two[key])
    other = fake.fake_batch(2, 3, 16, 16, seed=1)
    assert np.any(other["video"] != one["video"])


def test_fake_batches_have_the_structure_of_real_ones(data_dir):
    shape = {"frames": 5, "height": 32, "width": 32, "num_objects": 3}
    dataset = fake.fake_dataset(4, **shape)
    real = pipeline.make_dataset(
        "bouncing_balls/small",
        "train",
        data_dir=data_dir,
        batch_size=4,
        num_frames=5,
        labels=(
            "segmentation",
            "boxes",
            "visibility",
            "num_objects",
            "object_ids",
            "factors/position",
            "factors/velocity",
        ),
    )
    assert dataset.element_spec == real.element_spec
