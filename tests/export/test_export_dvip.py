"""A SavedModel of DVIP: no masks, no options, but factors and a state."""

import numpy as np
import pytest

from tests.models import tiny_dvip
from tests.models.tiny_dvip import SIZE, D, K
from tfdecomp.exporting import saved_model
from tfdecomp.exporting.check import run_fresh

BATCH, FRAMES = 3, 5


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """`(model, folder, content)`; the model was built for other clips."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    model = tiny_dvip.tiny()
    return model, folder, saved_model.export(model, folder)


@pytest.fixture(scope="module")
def asked():
    clips = tiny_dvip.clips(BATCH, FRAMES)
    return {name: np.asarray(value) for name, value in clips.items()}


@pytest.fixture(scope="module")
def answers(exported, asked):
    """What a fresh process says: one clip, whole and in chunks."""
    _, folder, _ = exported
    first = run_fresh(
        folder,
        {
            "decompose": {**asked, "video": asked["video"][:, :2]},
            "encode": asked,
        },
    )
    state = {
        n: v for n, v in first["decompose"].items() if n.startswith("state_")
    }
    rest = {**asked, **state, "video": asked["video"][:, 2:]}
    more = {"seed": asked["seed"], "num_frames": np.int32(3)}
    second = run_fresh(
        folder,
        {
            "decompose": asked,
            "decompose_next": rest,
            "predict_frames": {**state, **more},
            "decode": first["encode"],
        },
    )
    return {**first, **second}


@pytest.mark.slow
def test_signatures_are_those_of_factors(exported):
    _, _, content = exported
    signatures = content["signatures"]
    assert set(signatures) == {
        "serving_default",
        "decompose",
        "decompose_uint8",
        "decompose_next",
        "encode",
        "decode",
        "predict_frames",
    }
    decompose = signatures["decompose"]
    assert set(decompose["inputs"]) == {"video", "seed"}
    assert "masks" not in decompose["outputs"]
    assert decompose["outputs"]["slots"]["shape"] == ["B", "T", K, D]
    assert decompose["outputs"]["components"]["shape"] == [
        *("B", "T", K),
        *(SIZE, SIZE, 3),
    ]
    assert max(content["largest_difference"].values()) <= 1e-5


@pytest.mark.slow
def test_a_fresh_process_finds_the_same_factors(exported, asked, answers):
    model, _, _ = exported
    expected, found = model(asked), answers["decompose"]
    for name in ("recon", "components", "slots", "samples", "elbo", "kl"):
        np.testing.assert_allclose(
            found[name], expected[name], 1e-4, 1e-5, err_msg=name
        )


@pytest.mark.slow
def test_a_long_video_in_chunks_equals_the_whole(answers):
    whole, last = answers["decompose"], answers["decompose_next"]
    for name in ("recon", "components", "slots", "samples", "latent_kl"):
        np.testing.assert_allclose(
            last[name], whole[name][:, 2:], 1e-4, 1e-5, err_msg=name
        )
    for name in ("state_mean", "state_log_variance", "state_frame"):
        np.testing.assert_allclose(last[name], whole[name], 1e-4, 1e-5)


@pytest.mark.slow
def test_transitions_predict_frames_from_a_state(exported, asked, answers):
    model, _, _ = exported
    start = {**asked, "video": asked["video"][:, :2]}
    expected, found = model.rollout(start, 3), answers["predict_frames"]
    assert found["recon"].shape == (BATCH, 3, SIZE, SIZE, 3)
    for name in ("recon", "slots", "components"):
        np.testing.assert_allclose(
            found[name], expected[name], 1e-4, 1e-5, err_msg=name
        )


@pytest.mark.slow
def test_decode_draws_what_encode_returned(exported, answers):
    model, _, _ = exported
    slots, drawn = answers["encode"]["slots"], answers["decode"]["recon"]
    assert slots.shape == (BATCH, FRAMES, K, D)
    expected = model.decode(slots.reshape(-1, K, D))["recon"]
    np.testing.assert_allclose(
        drawn, np.reshape(expected, drawn.shape), 1e-4, 1e-5
    )
