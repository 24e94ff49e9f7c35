"""A model in bfloat16: asked for, or chosen where that is safe."""

import numpy as np
import pytest

import tfdecomp
from tfdecomp.sharing import hub
from tfdecomp.storage import configs, precision, saving
from tfdecomp.training import settings

SAFE, UNSAFE = "iodine_tetrominoes_quick", "provide_balls_quick"
CPUINFO = "processor\t: 0\nmodel name\t: A\nflags\t\t: fpu sse {}\n"


@pytest.fixture(scope="module")
def safe():
    return tfdecomp.load(SAFE)


def clips(model, count=3):
    """Bright squares on black, at other places in every clip."""
    shape = (count, 1, *model.image_size, model.channels)
    video = np.zeros(shape, np.uint8)
    for number, clip in enumerate(video):
        clip[:, 1 : 5 + number, 2:6, 0] = 230
        clip[:, 8:12, 7 - number : 11, -1] = 220
    return video


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16"])
def test_the_processor_says_whether_it_has_bfloat16(flag, tmp_path):
    for name, text in (("with", flag), ("without", f"{flag}x")):
        (tmp_path / name).write_text(CPUINFO.format(text))
    assert precision.is_native(tmp_path / "with")
    assert not precision.is_native(tmp_path / "without")
    assert not precision.is_native(tmp_path / "nowhere")


@pytest.mark.parametrize("native", [True, False])
def test_auto_is_bfloat16_where_it_is_native_and_safe(native, monkeypatch):
    monkeypatch.setattr(precision, "is_native", lambda: native)
    info = {name: tfdecomp.list_models()[name] for name in (SAFE, UNSAFE)}
    wanted = "bfloat16" if native else "float32"
    assert precision.chosen("auto", info[SAFE]) == wanted
    assert precision.chosen("auto", info[UNSAFE]) == "float32"
    assert precision.chosen("auto") == "float32"  # of one's own
    assert precision.chosen("bfloat16", info[UNSAFE]) == "bfloat16"


def test_other_weights_of_a_known_name_stay_float32(monkeypatch):
    monkeypatch.setattr(precision, "is_native", lambda: True)
    info = tfdecomp.list_models()[SAFE]
    other = {**info, "sha256": {**info["sha256"], "model.json": "0" * 64}}
    assert precision.chosen("auto", other) == "float32"


def test_what_is_said_to_be_safe_is_a_model_that_ships():
    assert set(precision.AGREEMENT) <= set(tfdecomp.list_models())
    shares = precision.AGREEMENT.values()
    assert all(0 < share <= 1 for share in shares)
    assert any(share < precision.LEAST_AGREEMENT for share in shares)


def test_an_unknown_word_is_refused(safe):
    with pytest.raises(ValueError, match="auto, float32, bfloat16"):
        precision.chosen("float16")
    with pytest.raises(ValueError, match="precision must be one of"):
        safe.decompose(clips(safe.model), precision="half")


@pytest.mark.slow
def test_bfloat16_finds_the_same_in_other_numbers(safe):
    video = clips(safe.model)
    exact = safe.decompose(video)
    rough = safe.decompose(video, precision="bfloat16")
    assert rough["masks"].dtype == np.float32
    assert not np.array_equal(rough["masks"], exact["masks"])
    same = exact["masks"].argmax(2) == rough["masks"].argmax(2)
    assert same.mean() >= 0.99
    again = safe.decompose(video)  # the model itself is as it was
    np.testing.assert_array_equal(again["masks"], exact["masks"])


@pytest.mark.slow
def test_a_model_loaded_in_bfloat16_stays_in_it(safe, tmp_path):
    loaded = tfdecomp.load(SAFE, precision="bfloat16")
    assert loaded.model.compute_dtype == "bfloat16"
    assert all(v.dtype == "float32" for v in loaded.model.trainable_variables)
    video = clips(loaded.model)
    asked = safe.decompose(video, precision="bfloat16")
    np.testing.assert_array_equal(
        loaded.decompose(video)["masks"], asked["masks"]
    )
    record = loaded.predict(video[0], tmp_path / "out", write="latents")
    assert record["precision"] == "bfloat16"
    exact = loaded.decompose(video, precision="float32")
    np.testing.assert_allclose(
        exact["masks"], safe.decompose(video)["masks"], atol=1e-5
    )


def test_the_precision_of_the_model_itself_makes_no_other_one(safe):
    model = safe.model
    assert precision.at(model, "float32") is model
    rough = precision.at(model, "bfloat16")
    assert rough is not model and rough.compute_dtype == "bfloat16"
    back = precision.at(rough, "float32")
    assert back.compute_dtype == "float32"
    for other in (rough, back):
        pairs = zip(other.variables, model.variables, strict=True)
        for ours, theirs in pairs:
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def smoke(policy):
    """The model of a smoke config, as training builds it."""
    with configs.isolated(), saving.dtype_policy("float32"):
        configs.parse(["smoke/provide.gin"], [f"PRECISION = {policy!r}"])
        return saving.build(settings.build_settings().model)


def test_it_is_what_training_in_bfloat16_builds():
    rough = precision.at(smoke("float32"), "bfloat16")

    def dtypes(model):
        return [layer.compute_dtype for layer in model._flatten_layers()]

    assert dtypes(rough) == dtypes(smoke("mixed_bfloat16"))
    assert {"float32", "bfloat16"} <= set(dtypes(rough))


def test_models_without_weights_take_any_precision():
    loaded = hub.load("connected_components")
    video = clips(loaded.model)
    np.testing.assert_array_equal(
        loaded.decompose(video, precision="bfloat16")["masks"],
        loaded.decompose(video)["masks"],
    )
