"""Names and shapes of published checkpoints, and arrays to fill them."""

import numpy as np


def fill(shapes, seed=0, scale=0.05):
    """Random float32 arrays of these shapes."""
    rng = np.random.default_rng(seed)
    return {
        name: (scale * rng.standard_normal(shape)).astype("float32")
        for name, shape in shapes.items()
    }


def provide(with_features=True):
    """PROVIDE's weights by name, PyTorch's order of axes."""
    shapes = {"lmbda0": (1, 128)}

    def layer(name, *shape):
        shapes[f"{name}.weight"] = shape
        shapes[f"{name}.bias"] = shape[:1]

    layer("decoder.pre_mlp.0", 64, 192)
    layer("decoder.pre_mlp.2", 64, 64)
    layer("decoder.conv_layer.0", 64, 66, 3, 3)
    for i in (2, 4, 6):
        layer(f"decoder.conv_layer.{i}", 64, 64, 3, 3)
    layer("decoder.conv_layer.8", 4, 64, 3, 3)
    layer("refine_net.convnet.model.0", 64, 16 + 16 * with_features, 3, 3)
    for i in (2, 4, 6):
        layer(f"refine_net.convnet.model.{i}", 64, 64, 3, 3)
    layer("refine_net.fc_in.0", 128, 16384)
    for name, width in (("W_x", 384), ("W_hor", 128), ("W_ver", 128)):
        layer(f"refine_net.lstm.{name}", 640, width)
    layer("refine_net.fc_out", 128, 128)
    layer("prior.0", 128, 128)
    layer("prior_mean", 64, 128)
    layer("prior_var.0", 64, 128)
    if with_features:
        layer("feature_extractor.0.0", 64, 3, 3, 3)
        for i, width in ((3, 64), (4, 128)):
            layer(f"feature_extractor.0.{i}.squeeze", 16, width, 1, 1)
            layer(f"feature_extractor.0.{i}.expand1x1", 64, 16, 1, 1)
            layer(f"feature_extractor.0.{i}.expand3x3", 64, 16, 3, 3)
        for i, (width, read) in zip((1, 3, 5), ((64, 128), (32, 64), (16, 32))):
            layer(f"feature_extractor.{i}", width, read, 3, 3)
    return shapes


def provide_buffers(num_slots=5):
    """What a model of PyTorch keeps beside its weights."""
    grid = np.zeros((1, 1, 64, 64), "float32")
    return {
        "T": np.array(6),
        "K": np.array(num_slots),
        "z_dim": np.array(64),
        "var_x": np.array(0.3, "float32"),
        "h0": np.zeros((1, 128), "float32"),
        "base_loss": np.zeros(1, "float32"),
        "x_grid": grid,
        "y_grid": grid,
        "decoder.x_grid": grid,
        "decoder.y_grid": grid,
    }


_IODINE = {
    "clevr": {
        "latents": 64,
        "decoder": (3, (64, 64, 64, 64)),
        "inputs": 18,
        "encoder": (3, (64, 64, 64, 64)),
        "mlp": (256, 256),
        "lstm": 256,
    },
    "multi_dsprites": {
        "latents": 16,
        "decoder": (5, (32, 32, 32, 32)),
        "inputs": 24,
        "encoder": (5, (32, 32, 32)),
        "mlp": (128,),
        "lstm": 128,
    },
    "tetrominoes": {
        "latents": 32,
        "decoder": (5, (32, 32, 32, 32)),
        "inputs": 24,
        "encoder": (5, (32, 32, 32)),
        "mlp": (128,),
        "lstm": None,
    },
}


def iodine(preset):
    """IODINE's variables by name, Sonnet's order of axes."""
    look = _IODINE[preset]
    latents = look["latents"]
    shapes = {"model/iodine/initial_sample_distribution": (2 * latents,)}

    def layer(name, *shape):
        shapes[f"{name}/w"] = shape
        shapes[f"{name}/b"] = shape[-1:]

    side, widths = look["decoder"]
    read = latents + 3
    for i, width in enumerate((*widths, 4)):
        name = f"pixel_decoder/broadcast_conv/conv_net_2d/conv_2d_{i}"
        layer(name, side, side, read, width)
        read = width
    side, widths = look["encoder"]
    read = look["inputs"]
    for i, width in enumerate(widths):
        name = f"encoder_net/cnn/conv_net_2d/conv_2d_{i}"
        layer(name, side, side, read, width)
        read = width
    for i, width in enumerate(look["mlp"]):
        layer(f"encoder_net/cnn/mlp/linear_{i}", read, width)
        read = width
    rows = read + 4 * latents + 1
    if look["lstm"]:
        units = look["lstm"]
        shapes["recurrent_net/lstm/lstm/w_gates"] = (rows + units, 4 * units)
        shapes["recurrent_net/lstm/lstm/b_gates"] = (4 * units,)
        rows = units
    layer("refinement_head/residual_head/linear", rows, 2 * latents)
    for name, size in (
        ("log_prob", 1),
        ("dmask", 1),
        ("dcomponents", 3),
        ("counterfactual", 1),
        ("dzp", 2 * latents),
    ):
        for part in ("gamma", "beta"):
            scope = f"model/iodine/preprocess/layer_norm_{name}"
            shapes[f"{scope}/{part}"] = (size,)
    return shapes


def silot(with_pairs=False):
    """SILOT's variables by name; Scattered MNIST, or Shapes with pairs."""
    shapes = {}

    def conv(name, *shape):
        shapes[f"{name}/kernel"] = shape
        shapes[f"{name}/bias"] = shape[-1:]

    def mlp(name, *widths):
        for i, (read, width) in enumerate(zip(widths, widths[1:])):
            layer = f"{name}/fully_connected" + (f"_{i}" if i else "")
            shapes[f"{layer}/weights"] = (read, width)
            shapes[f"{layer}/biases"] = (width,)

    conv("backbone/fcn-conv0", 4, 4, 3, 128)
    for i in (1, 2):
        conv(f"backbone/fcn-conv{i}", 4, 4, 128, 128)
    for i in (3, 4):
        conv(f"backbone/fcn-conv{i}", 1, 1, 128, 128)
    conv("backbone/fcn-conv5", 1, 1, 128, 64)
    conv("discovery_feature_fuser/fcn-conv0", 3, 3, 128, 128)
    conv("discovery_feature_fuser/fcn-conv1", 3, 3, 128, 64)
    for name, read, width in (
        ("box", 66, 72),
        ("attr", 198, 192),
        ("z", 198, 66),
        ("obj", 199, 1),
    ):
        conv(f"discovery/{name}_network/fcn-conv0", 1, 1, read, read)
        conv(f"discovery/{name}_network/fcn-conv1", 1, 1, read, width)
    mlp("discovery/object_encoder", 588, 256, 128, 64)
    shapes["prop_cell_initial_state_0/w"] = (1, 128)
    for part, cell in (
        ("propagation", "prop_cell"),
        ("prior_propagation", "prior_prop_cell"),
    ):
        mlp(f"{part}/glimpse_prime_network", 66, 100, 100, 396)
        for name in ("glimpse_prime_encoder", "glimpse_encoder"):
            mlp(f"{part}/{name}", 588, 256, 128, 64)
        for name, read, width in (
            ("d_box_network", 130, 8),
            ("predict_attr_inp", 64, 128),
            ("predict_attr_temp", 136, 320),
            ("d_z_network", 200, 2),
            ("d_obj_network", 201, 1),
        ):
            mlp(f"{part}/{name}", read, 100, 100, width)
        for gate in "zrh":
            shapes[f"{cell}/w{gate}"] = (72, 128)
            shapes[f"{cell}/u{gate}"] = (128, 128)
            shapes[f"{cell}/b{gate}"] = (128,)
    extractor = "propagation_feature_extractor"
    mlp(f"{extractor}/object_wise_func", 198, 64, 64, 64)
    mlp("discovery_feature_extractor/relation_func", 200, 64, 64, 64)
    if with_pairs:
        mlp(f"{extractor}/relation_func", 264, 64, 64, 64)
    mlp("renderer/object_decoder_for_flight_0", 64, 128, 256, 784)
    return {f"network/representation/{n}": s for n, s in shapes.items()}
