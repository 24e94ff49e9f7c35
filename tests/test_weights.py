"""The weights that ship with the package."""

import numpy as np
import pytest

import tfdecomp
from tfdecomp import builders
from tfdecomp.metrics import rand_index


def test_every_shipped_model_states_data_protocol_score_and_licence():
    models = tfdecomp.list_models()
    assert "provide_balls_quick" in models
    for info in models.values():
        assert info["licence"] and info["command"]
        assert info["protocol"]["split"] == "test"
        assert 0.0 < info["score"]["f_ari"] <= 1.0
        assert set(info["sha256"]) >= {"model.json", "weights.weights.h5"}


def test_shipped_iodine_takes_tetrominoes_apart_that_it_never_saw():
    pictures = list(
        builders.fresh_clips(
            "tetrominoes/quick14", "test", seed=11, num_clips=32
        )
    )
    video = np.stack([picture["video"] for picture in pictures])
    true_ids = np.stack([p["segmentation"][..., 0] for p in pictures])
    outputs = tfdecomp.load("iodine_tetrominoes_quick").decompose(video)
    found = outputs["masks"][..., 0].argmax(axis=2)
    f_ari = rand_index.adjusted_rand_index(
        true_ids, found, foreground_only=True
    )
    # Stated: .925 on the test split; 32 pictures scatter by about .03.
    assert np.mean(f_ari) > 0.83


@pytest.mark.slow
def test_shipped_provide_separates_balls_that_it_never_saw():
    clips = list(
        builders.fresh_clips(
            "bouncing_balls/color3_quick", "test", seed=11, num_clips=16
        )
    )
    video = np.stack([clip["video"] for clip in clips])
    true_ids = np.stack([clip["segmentation"][..., 0] for clip in clips])
    outputs = tfdecomp.load("provide_balls_quick").decompose(video)
    found = outputs["masks"][..., 0].argmax(axis=2)
    f_ari = rand_index.adjusted_rand_index(
        true_ids, found, foreground_only=True
    )
    # Stated: .938 on the test split; 16 clips scatter by about .01.
    assert np.mean(f_ari) > 0.88
