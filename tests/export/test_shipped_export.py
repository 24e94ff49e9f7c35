"""Every model that ships, in a process with TensorFlow alone."""

import export_models
import numpy as np
import pytest
import tensorflow as tf

from tfdecomp.exporting import check, saved_model
from tfdecomp.exporting.check import ExportError
from tfdecomp.exporting.signatures import make_signatures
from tfdecomp.sharing import hub

NAMES = ("decompose", "encode", "decode", "predict_frames")
LATENTS = {"decompose", "encode", "decode"}
SIGNATURES = {
    "IODINE": LATENTS,
    "SequentialIODINE": LATENTS,
    "PROVIDE": {*LATENTS, "predict_frames"},
    "LAVAE": LATENTS,
    "ConvVAE": LATENTS,
    "DVIP": {*LATENTS, "predict_frames"},
    "SILOT": {*LATENTS, "predict_frames"},
}


@pytest.mark.slow
def test_every_shipped_model_gives_its_numbers_in_a_fresh_process(tmp_path):
    """One test for all, as a fresh process costs more than its answers."""
    questions, answers = {}, {}
    for name in hub.list_models():
        model = hub.load(name).model
        if model.cannot_export:
            continue
        signatures = make_signatures(model, NAMES)
        assert set(signatures) == SIGNATURES[type(model).__name__], name
        asked, answers[name] = check.compare_with_model(
            model, signatures, batch=1, num_frames=2
        )
        saved_model.write(tmp_path / name, signatures)
        questions[name] = (tmp_path / name, asked)
    assert len(questions) >= 9
    found = check.run_all_fresh(list(questions.values()))
    for name, answer in zip(questions, found):
        assert answer.keys() == answers[name].keys(), name
        for signature, values in answer.items():
            check.largest_difference(
                f"{signature} of {name}",
                values,
                answers[name][signature],
                check.RELOADED_TOLERANCE,
            )


def test_what_numpy_finds_is_not_exported(tmp_path):
    model = hub.load("connected_components").model
    with pytest.raises(ExportError, match="NumPy and SciPy.*silot_quick"):
        saved_model.export(model, tmp_path / "made")
    assert not list(tmp_path.iterdir())


def test_a_saved_model_gives_the_numbers_of_the_model(tmp_path):
    """The quick sister of the above, in this process."""
    model = export_models.Silhouettes()
    saved_model.write(tmp_path, make_signatures(model))
    loaded = tf.saved_model.load(str(tmp_path))
    video = np.random.default_rng(0).random((2, 3, 4, 4, 1), np.float32)
    inputs = {"video": tf.constant(video), "seed": tf.zeros([2, 2], tf.int32)}
    expected = model(inputs)
    whole = loaded.signatures["decompose"](**inputs)
    default = loaded.signatures["serving_default"](video=inputs["video"])
    for name, value in expected.items():
        np.testing.assert_allclose(whole[name], value, 1e-6)
        np.testing.assert_allclose(default[name], value, 1e-6)
