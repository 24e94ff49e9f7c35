"""IODINE's published layouts compute here what they compute there."""

import os

import numpy as np
import pytest
import tensorflow as tf

from tests.importing import checkpoint_writer, layouts, restated

TOLERANCE = restated.TOLERANCE


@pytest.mark.parametrize(
    "preset",
    [
        pytest.param("clevr", marks=pytest.mark.slow),
        "multi_dsprites",
        "tetrominoes",
    ],
)
def test_iodines_decoder_draws_what_theirs_draws(preset, tmp_path):
    theirs = layouts.fill(layouts.iodine(preset))
    prefix = checkpoint_writer.write(tmp_path / "theirs", theirs)
    loaded, info = restated.imported("iodine", prefix, tmp_path)
    assert (
        info["imported"]["preset"]
        == f"papers/iodine/iodine_{preset}_reference.gin"
    )
    assert info["licence"] == "Apache-2.0"
    model = loaded.model
    latents = np.random.default_rng(1).standard_normal(model.latent_dim)
    height, width = model.image_size
    rows = np.linspace(-1, 1, height)[:, None] + np.zeros((1, width))
    columns = np.linspace(-1, 1, width)[None] + np.zeros((height, 1))
    vector = np.append(latents, 5.0)  # the constant that theirs appends
    copies = np.broadcast_to(vector, (height, width, len(vector)))
    canvas = np.concatenate([copies, np.stack([rows, columns], -1)], -1)
    count = len(model.decoder.convs)
    for i in range(count + 1):
        name = f"pixel_decoder/broadcast_conv/conv_net_2d/conv_2d_{i}"
        canvas = restated.sonnet_conv(
            canvas, theirs[f"{name}/w"], theirs[f"{name}/b"]
        )
        canvas = restated.elu(canvas) if i < count else canvas
    means, logits = model.decode_latents(
        tf.constant(latents[None, None], tf.float32)
    )
    # The mask's logit stands in front there.
    np.testing.assert_allclose(logits[0, 0], canvas[..., :1], **TOLERANCE)
    np.testing.assert_allclose(means[0, 0], canvas[..., 1:], **TOLERANCE)


def test_iodines_update_reads_the_constant_before_the_parameters(tmp_path):
    theirs = layouts.fill(layouts.iodine("multi_dsprites"))
    scoped = {f"experiment/{name}": array for name, array in theirs.items()}
    prefix = checkpoint_writer.write(tmp_path / "theirs", scoped)
    model = restated.imported("iodine", prefix, tmp_path)[0].model
    rng = np.random.default_rng(2)
    code, h, c = rng.standard_normal((3, 128))
    gradient, parameters = rng.standard_normal((2, 32))
    read = np.concatenate([code, gradient, [0.5], parameters, h])
    gates = read @ theirs["recurrent_net/lstm/lstm/w_gates"]
    i, g, f, o = np.split(gates + theirs["recurrent_net/lstm/lstm/b_gates"], 4)
    carried = restated.sigmoid(f + model.forget_offset) * c
    carried += restated.sigmoid(i) * np.tanh(g)
    hidden = restated.sigmoid(o) * np.tanh(carried)
    name = "refinement_head/residual_head/linear"
    update = hidden @ theirs[f"{name}/w"] + theirs[f"{name}/b"]

    def row(value):
        return tf.constant(value[None], tf.float32)

    _, ours = model.update(
        {}, row(parameters), row(gradient), row(code), (row(h), row(c))
    )
    np.testing.assert_allclose(ours[0], update, **TOLERANCE)


def test_iodines_update_without_a_recurrent_cell(tmp_path):
    theirs = layouts.fill(layouts.iodine("tetrominoes"))
    prefix = checkpoint_writer.write(tmp_path / "theirs", theirs)
    # A folder is as good: its newest checkpoint is taken.
    model = restated.imported("iodine", os.path.dirname(prefix), tmp_path)[
        0
    ].model
    rng = np.random.default_rng(3)
    code = rng.standard_normal(128)
    gradient, parameters = rng.standard_normal((2, 64))
    read = np.concatenate([code, gradient, [0.5], parameters])
    name = "refinement_head/residual_head/linear"
    wanted = read @ theirs[f"{name}/w"] + theirs[f"{name}/b"]
    values = (parameters, gradient, code)
    values = [tf.constant(v[None], tf.float32) for v in values]
    _, ours = model.update({}, *values, ())
    np.testing.assert_allclose(ours[0], wanted, **TOLERANCE)


@pytest.mark.slow
def test_iodines_encoder_reads_columns_before_rows(tmp_path):
    theirs = layouts.fill(layouts.iodine("clevr"))
    prefix = checkpoint_writer.write(tmp_path / "theirs", theirs)
    model = restated.imported("iodine", f"{prefix}.index", tmp_path)[0].model
    name = "encoder_net/cnn/conv_net_2d/conv_2d_0"
    kernel = theirs[f"{name}/w"]
    maps = np.random.default_rng(4).standard_normal((8, 8, 18))
    ours = np.array(model.encoder.convs[0].kernel)
    swapped = maps[..., [0, 1, 2, 3, 5, 4, *range(6, 18)]]
    bias = theirs[f"{name}/b"]
    np.testing.assert_allclose(
        restated.sonnet_conv(maps, ours, bias, 2),
        restated.sonnet_conv(swapped, kernel, bias, 2),
        atol=1e-5,
    )
    inputs = model.refinement_inputs
    assert inputs[:3] == ("constant", "means", "coordinates")
    scale, offset = model.norms["mean_gradient"]
    norm = "model/iodine/preprocess/layer_norm_dcomponents"
    np.testing.assert_array_equal(scale, theirs[f"{norm}/gamma"])
    np.testing.assert_array_equal(offset, theirs[f"{norm}/beta"])
