"""PROVIDE's published layout computes here what it computes there."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.importing import layouts, restated, torch_writer

TOLERANCE = restated.TOLERANCE
pytestmark = pytest.mark.slow


@pytest.fixture(name="theirs", scope="module")
def _fixture_theirs():
    return layouts.fill(layouts.provide())


@pytest.fixture(name="provide", scope="module")
def _fixture_provide(theirs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("provide") / "bb_color"
    folder.mkdir()
    arrays = {**theirs, **layouts.provide_buffers()}
    path = torch_writer.write_zip(folder / "latest_net.pth", arrays)
    return restated.imported("provide", path, folder)[0]


def test_provides_decoder_draws_what_theirs_draws(provide, theirs):
    rng = np.random.default_rng(1)
    vector = rng.standard_normal(192)
    hidden = restated.elu(
        restated.torch_dense(vector, theirs, "decoder.pre_mlp.0")
    )
    hidden = restated.elu(
        restated.torch_dense(hidden, theirs, "decoder.pre_mlp.2")
    )
    line = np.linspace(-1, 1, 64)
    grid = np.stack(np.meshgrid(line, line, indexing="ij"))
    copies = np.broadcast_to(hidden[:, None, None], (64, 64, 64))
    canvas = np.concatenate([grid, copies])
    for i in (0, 2, 4, 6):
        name = f"decoder.conv_layer.{i}"
        canvas = restated.elu(restated.torch_conv(canvas, theirs, name))
    canvas = restated.torch_conv(canvas, theirs, "decoder.conv_layer.8")
    means, logits = provide.model.decoder(vector[None].astype("float32"))
    colours = restated.sigmoid(canvas[:3])
    np.testing.assert_allclose(means[0], np.moveaxis(colours, 0, -1), atol=1e-5)
    np.testing.assert_allclose(logits[0, ..., 0], canvas[3], **TOLERANCE)


def test_provides_encoder_flattens_channels_first_as_theirs(provide, theirs):
    rng = np.random.default_rng(2)
    maps = 0.1 * rng.standard_normal((32, 64, 64)).astype("float32")
    features = maps
    for i in (0, 2, 4, 6):
        name = f"refine_net.convnet.model.{i}"
        features = restated.elu(restated.torch_conv(features, theirs, name))
    pooled = features.reshape(64, 16, 4, 16, 4).mean((2, 4))
    code = restated.elu(
        restated.torch_dense(pooled.ravel(), theirs, "refine_net.fc_in.0")
    )
    encoder = provide.model.encoder
    frame = np.moveaxis(maps, 0, -1)[None]
    shared = encoder.shared(frame[..., encoder.shared_channels])
    ours = encoder(frame[:, None][..., encoder.slot_channels], shared)
    np.testing.assert_allclose(ours[0], code, **TOLERANCE)


def test_provides_recurrent_cell_reads_the_frame_before_then_the_decode(
    provide, theirs
):
    rng = np.random.default_rng(3)
    inputs = rng.standard_normal(384)
    (h_t, c_t), (h_r, c_r) = rng.standard_normal((2, 2, 128))
    names = [f"refine_net.lstm.{n}" for n in ("W_x", "W_hor", "W_ver")]
    gates = sum(
        restated.torch_dense(value, theirs, name)
        for value, name in zip((inputs, h_t, h_r), names)
    )
    i, f, o, weight, g = np.split(gates, 5)
    weight = restated.sigmoid(weight)
    carried = weight * c_t + (1 - weight) * c_r
    c = restated.sigmoid(f) * carried + restated.sigmoid(i) * np.tanh(g)
    h = restated.sigmoid(o) * np.tanh(c)

    def row(value):
        return tf.constant(value[None], tf.float32)

    found = provide.model.lstm(
        row(inputs), (row(h_t), row(c_t)), (row(h_r), row(c_r))
    )
    np.testing.assert_allclose(found[0][0], h, **TOLERANCE)
    np.testing.assert_allclose(found[1][0], c, **TOLERANCE)
    update = restated.torch_dense(h, theirs, "refine_net.fc_out")
    ours = provide.model.head(found[0])
    np.testing.assert_allclose(ours[0], update, **TOLERANCE)


def test_provides_prior_and_first_parameters_are_theirs(provide, theirs):
    rng = np.random.default_rng(4)
    state = rng.standard_normal(128)
    hidden = np.maximum(restated.torch_dense(state, theirs, "prior.0"), 0)
    mean = restated.torch_dense(hidden, theirs, "prior_mean")
    spread = restated.torch_dense(hidden, theirs, "prior_var.0")
    ours = provide.model.prior_layer(state[None].astype("float32"))
    np.testing.assert_allclose(ours[0][0], mean, **TOLERANCE)
    np.testing.assert_allclose(ours[1][0], np.logaddexp(0, spread), **TOLERANCE)
    np.testing.assert_array_equal(
        provide.model.initial_parameters, theirs["lmbda0"][0]
    )


def test_provides_features_read_blue_first(provide, theirs):
    """With two fire modules and ceilings of the pooling as theirs."""
    rng = np.random.default_rng(5)
    frame = rng.random((3, 64, 64))
    rows = np.arange(257) * 64 // 257
    large = frame[::-1][:, rows[:, None], rows]

    def relu(x):
        return np.maximum(x, 0)

    root = "feature_extractor"
    x = relu(restated.torch_conv(large, theirs, f"{root}.0.0", 2, 0))
    x = np.pad(x, [(0, 0), (0, 1), (0, 1)], constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2))
    x = windows[:, ::2, ::2].max((-2, -1))
    for i in (3, 4):
        name = f"{root}.0.{i}"
        x = relu(restated.torch_conv(x, theirs, f"{name}.squeeze", padding=0))
        x = np.concatenate(
            [
                relu(restated.torch_conv(x, theirs, f"{name}.expand1x1", 1, 0)),
                relu(restated.torch_conv(x, theirs, f"{name}.expand3x3")),
            ]
        )
    for i in (1, 3, 5):
        x = restated.elu(restated.torch_conv(x, theirs, f"{root}.{i}"))
    picture = np.moveaxis(frame, 0, -1)[None].astype("float32")
    ours = provide.model.features(picture)
    np.testing.assert_allclose(ours[0], np.moveaxis(x, 0, -1), **TOLERANCE)


def test_the_folder_says_whose_weights_they_are(theirs, tmp_path):
    path = torch_writer.write_zip(tmp_path / "latest_net.pth", theirs)
    loaded, info = restated.imported("provide", path, tmp_path)
    card = (tmp_path / "made" / "README.md").read_text()
    assert "license: cc-by-nc-sa-4.0" in card
    assert "must not be used commercially" in card and "Zablotskaia" in card
    assert info["licence"] == loaded.info["licence"] == "CC-BY-NC-SA-4.0"
    written = json.loads((tmp_path / "made" / "info.json").read_text())
    assert list(written["imported"]["files"]) == ["latest_net.pth"]
    assert "PROVIDE" in loaded.config


@pytest.mark.parametrize(
    "folder, slots, wanted",
    [
        ("clevrer", 5, "clevrer"),
        ("bb_binary", 6, "binary"),
        ("bb_color", 6, "color"),
        ("elsewhere", 6, "clevrer"),
        ("elsewhere", 5, "color"),
    ],
)
def test_provides_preset_follows_the_folder_then_the_slots(
    folder, slots, wanted, tmp_path
):
    from tfdecomp.importing import provide

    arrays = layouts.provide_buffers(slots)
    found = provide.preset(arrays, tmp_path / folder / "latest_net.pth")
    assert found == f"papers/provide/provide_{wanted}_reference.gin"


def test_provide_without_features_and_of_several_devices(tmp_path):
    arrays = layouts.fill(layouts.provide(with_features=False))
    path = torch_writer.write_stream(
        tmp_path / "latest_net.pth",
        {f"module.{name}": array for name, array in arrays.items()},
    )
    loaded, _ = restated.imported("provide", path, tmp_path)
    assert loaded.model.features is None
    assert "features" not in loaded.model.refinement_inputs
    first = loaded.model.encoder.convs[0].kernel
    wanted = arrays["refine_net.convnet.model.0.weight"]
    np.testing.assert_array_equal(first, wanted.transpose(2, 3, 1, 0))


def test_imported_provide_decomposes_a_clip(provide):
    rng = np.random.default_rng(6)
    video = rng.integers(0, 256, (2, 64, 64, 3)).astype("uint8")
    parts = provide.decompose(video)
    assert parts["masks"].shape == (2, 5, 64, 64, 1)
    np.testing.assert_allclose(parts["masks"].sum(1), 1.0, atol=1e-5)
