"""Parts of models in ONNX and LiteRT, run by the runtimes themselves.

The numbers are compared with those of the model, at other sizes than an
export compares them at.
"""

import json
import warnings

import numpy as np
import pytest
import tensorflow as tf
from export_models import SIZE, Silhouettes, tiny_provide

from tests.models.tiny import tiny_dvip, tiny_lavae, tiny_vaes
from tfdecomp.exporting import converted, feed_forward, litert
from tfdecomp.exporting.check import ExportError
from tfdecomp.models.vae import VAE

MAKERS = {
    "VAE": tiny_vaes.vector,
    "ConvVAE": tiny_vaes.grid,
    "LAVAE": tiny_lavae.tiny,
    "DVIP": tiny_dvip.tiny,
    "PROVIDE": tiny_provide,
}
PARTS = {
    "VAE": {"encode", "decode"},
    "ConvVAE": {"encode", "decode"},
    "LAVAE": {"encode", "decode"},
    "DVIP": {"filter_frame", "decode"},
    "PROVIDE": {"decode"},
}


def _runtime(target):
    """Answers of a file, without any code of ours; skips without a runtime."""
    if target == "onnx":
        pytest.importorskip("tf2onnx", reason="needs tfdecomp[onnx]")
        runtime = pytest.importorskip(
            "onnxruntime", reason="needs tfdecomp[onnx]"
        )

        def run(path, inputs):
            session = runtime.InferenceSession(
                path, providers=["CPUExecutionProvider"]
            )
            names = [output.name for output in session.get_outputs()]
            return dict(zip(names, session.run(None, inputs)))
    else:
        interpreter = litert._interpreter()

        def run(path, inputs):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                runner = interpreter(str(path)).get_signature_runner()
            return runner(**inputs)

    return run


def _inputs(model, count):
    """Part -> inputs of `count` frames; latents are those of the frames."""
    random = np.random.default_rng(3)
    shape = (count, *model.image_size, model.channels)
    frames = random.random(shape, np.float32)
    clip = {"video": frames[None]}
    encoded = {n: v[0].numpy() for n, v in model.encode(clip).items()}
    inputs = {"encode": {"frames": frames}, "decode": encoded}
    if hasattr(model, "filter_frame"):
        state = random.normal(size=(2, count, model.latent_dim))
        mean, log_variance = state.astype(np.float32)
        inputs["filter_frame"] = {
            "frames": frames,
            "mean": mean,
            "log_variance": log_variance,
        }
    return inputs


def _of_the_model(model, name, inputs):
    """What Keras says."""
    if name != "encode":
        return getattr(model, name)(**inputs)
    outputs = model.encode({"video": inputs["frames"][:, None]})
    return {n: v[:, 0] for n, v in outputs.items()}


# The small one runs every day.
@pytest.mark.parametrize("target", converted.FORMATS)
@pytest.mark.parametrize(
    "kind",
    [
        kind if kind == "VAE" else pytest.param(kind, marks=pytest.mark.slow)
        for kind in MAKERS
    ],
)
def test_the_files_give_the_numbers_of_the_model(kind, target, tmp_path):
    run = _runtime(target)
    model = MAKERS[kind]()
    content = converted.export(model, tmp_path / "made", target)
    suffix = converted.FORMATS[target].SUFFIX
    names = {path.name for path in (tmp_path / "made").iterdir()}
    assert names == {f"{p}{suffix}" for p in PARTS[kind]} | {"signatures.json"}
    assert set(content["signatures"]) == PARTS[kind]
    for signature in content["signatures"].values():
        for side in (signature["inputs"], signature["outputs"]):
            assert all(value["shape"][0] == "N" for value in side.values())
    text = (tmp_path / "made" / "signatures.json").read_text()
    assert json.loads(text) == content
    for count in (1, 3):
        inputs = _inputs(model, count)
        for name in PARTS[kind]:
            path = tmp_path / "made" / f"{name}{suffix}"
            found = run(path, inputs[name])
            expected = _of_the_model(model, name, inputs[name])
            assert set(found) == set(content["signatures"][name]["outputs"])
            for output, value in found.items():
                np.testing.assert_allclose(
                    value, expected[output], 1e-4, 1e-4, err_msg=output
                )


def test_filtering_by_frame_equals_filtering_a_clip():
    model, clips = tiny_dvip.tiny(), tiny_dvip.clips()
    whole = tiny_dvip.filtered(model, clips, use_means=True)
    video = tf.convert_to_tensor(clips["video"])
    mean = log_variance = tf.zeros([video.shape[0], model.latent_dim])
    for t in range(video.shape[1]):
        np.testing.assert_allclose(whole["prior_mean"][:, t], mean, 1e-5, 1e-6)
        found = model.filter_frame(video[:, t], mean, log_variance)
        slots = tf.reshape(found["slots"], mean.shape)
        np.testing.assert_allclose(whole["mean"][:, t], slots, 1e-5, 1e-6)
        mean, log_variance = found["next_mean"], found["next_log_variance"]


def test_without_branches_absent_sprites_are_drawn_and_hidden():
    model = tiny_lavae.tiny()
    latents = np.random.default_rng(0).normal(size=(2, 3, model.latent_dim))
    latents = tf.constant(latents, tf.float32)
    for present in ([[1, 0, 1], [0, 0, 1]], [[0, 0, 0]] * 2):
        present = tf.cast(present, tf.bool)
        expected = model.draw_sprites(latents, present)
        with feed_forward._without_branches(model):
            found = model.draw_sprites(latents, present)
        assert not model.without_branches
        np.testing.assert_allclose(found, expected, 1e-5, 1e-6)


REFUSED = {
    "gradients": (tiny_provide, "encode", "taking gradients.*savedmodel"),
    "whole": (tiny_provide, "decompose", "taking gradients.*savedmodel"),
    "loop": (tiny_dvip.tiny, "encode", "loops.*Use filter_frame.*savedmodel"),
    "noise": (tiny_vaes.vector, "decompose", "noise.*parts encode, decode"),
    "future": (tiny_dvip.tiny, "predict_frames", "noise.*filter_frame, decode"),
    "none": (
        tiny_vaes.vector,
        "filter_frame",
        "has no filter_frame; it has encode",
    ),
    "slip": (
        tiny_vaes.vector,
        "decoder",
        "no part 'decoder'.*encode, filter_frame",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_straight_graph_is_refused_with_the_reason(case):
    make, name, message = REFUSED[case]
    target = "LiteRT" if case == "gradients" else "ONNX"
    with pytest.raises(ExportError, match=message) as caught:
        feed_forward.make_parts(make(), target, [name])
    if case not in ("none", "slip"):
        assert f"cannot become {target}" in str(caught.value)


@pytest.mark.slow
def test_parts_that_cannot_be_are_left_out_unless_asked_for():
    made, refused = feed_forward.make_parts(tiny_provide(), "ONNX")
    assert list(made) == ["decode"] and list(refused) == ["encode"]
    inputs = made["decode"].signature.inputs
    assert inputs["slots"].shape.as_list() == [None, None, 4]
    assert inputs["slots"].name == "slots"
    outputs = made["decode"].signature.outputs
    assert outputs["recon"].shape.as_list() == [None, SIZE, SIZE, 3]


def test_a_model_without_parts_is_refused(tmp_path):
    with pytest.raises(ExportError, match="neither encode nor decode"):
        converted.export(Silhouettes(), tmp_path / "made", "litert")
    assert not list(tmp_path.iterdir())


def test_a_model_without_weights_is_refused(tmp_path):
    model = VAE(image_size=8, channels=1, latent_dim=3)
    with pytest.raises(ExportError, match="no weights yet"):
        converted.export(model, tmp_path / "made", "litert")
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ExportError, match="is not empty"):
        converted.export(tiny_vaes.vector(), tmp_path, "litert")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.slow
def test_other_numbers_than_the_models_are_not_written(monkeypatch, tmp_path):
    run = litert.run
    monkeypatch.setattr(
        litert,
        "run",
        lambda file, inputs: {
            n: v + 1e-3 for n, v in run(file, inputs).items()
        },
    )
    with pytest.raises(ExportError, match="decode of ConvVAE in LiteRT is not"):
        converted.export(
            tiny_vaes.grid(), tmp_path / "made", "litert", parts=["decode"]
        )
    assert not list(tmp_path.iterdir())
