"""PROVIDE's published weights: state dictionaries of PyTorch.

Convolutions are `[out, in, h, w]` there and matrices `[out, in]`; a layer's
number is its place among activations.
"""

import re

import numpy as np

from tfdecomp.importing import rules as rules_lib
from tfdecomp.importing import torch_files
from tfdecomp.importing.rules import Rule, flat, same

SYSTEM = "PROVIDE"
# What a module keeps beside its weights.
_BUFFERS = frozenset(
    "T K z_dim var_x h0 base_loss x_grid y_grid decoder.x_grid "
    "decoder.y_grid".split()
)
_FEATURES = "feature_extractor."
PUBLISHED = {
    "licence": "CC-BY-NC-SA-4.0",
    "authors": "Zablotskaia, Dominici, Sigal and Lehrmann",
    "paper": "PROVIDE: A Probabilistic Framework for Unsupervised Video "
    "Decomposition. UAI 2021",
    "notes": "Coloured balls were shown with red and blue exchanged when these "
    "weights were trained.",
}
_PRESETS = {
    "bb_binary": "papers/provide/provide_binary_reference.gin",
    "bb_color": "papers/provide/provide_color_reference.gin",
    "clevrer": "papers/provide/provide_clevrer_reference.gin",
}


def read(path):
    """Names -> arrays of a file; see `torch_files.read`."""
    return torch_files.read(path)


def files(path):
    """The files of a checkpoint: the one."""
    return [path]


def preset(arrays, path):
    """The preset of a checkpoint, by the folder that it was published in.

    All are of one network, so that nothing in the file tells them apart but
    the number of slots: six for CLEVRER, five for Bouncing Balls.

    Args:
        arrays: Names -> arrays.
        path: Of the file, a `pathlib.Path`.
    """
    for part in reversed(path.absolute().parts):
        if part in _PRESETS:
            return _PRESETS[part]
    slots = np.ravel(arrays.get("K", [0]))
    is_clevrer = slots.size == 1 and slots[0] == 6
    return _PRESETS["clevrer" if is_clevrer else "bb_color"]


def bindings(arrays, parameter):
    """Lines that make a preset fit the file.

    Args:
        arrays: Names -> arrays.
        parameter: Function of a parameter's name, its value in the preset.
    """
    if any(name.startswith(_FEATURES) for name in arrays):
        return []
    inputs = parameter("models.PROVIDE.refinement_inputs") or ()
    inputs = tuple(name for name in inputs if name != "features")
    return [
        "models.PROVIDE.features = None",
        f"models.PROVIDE.refinement_inputs = {inputs!r}",
    ]


def rules(model):
    """A `Rule` for each weight of a built `models.PROVIDE`."""
    decoder, encoder = model.decoder, model.encoder
    found = [flat(model.initial_parameters, "lmbda0")]
    for i, layer in enumerate(decoder.dense_layers):
        found += _dense(layer, f"decoder.pre_mlp.{2 * i}")
    for i, layer in enumerate([*decoder.convs, decoder.head]):
        found += _conv(layer, f"decoder.conv_layer.{2 * i}")
    for i, layer in enumerate(encoder.convs):
        found += _conv(layer, f"refine_net.convnet.model.{2 * i}")
    found += _first_dense(encoder)
    found += _lstm(model.lstm)
    found += _dense(model.head, "refine_net.fc_out")
    prior = model.prior_layer
    found += _dense(prior.hidden, "prior.0")
    found += _dense(prior.mean, "prior_mean")
    found += _dense(prior.spread, "prior_var.0")
    if model.features is not None:
        found += _feature_rules(model.features)
    return found


def check_names(arrays, found):
    """Raises if the file has weights that `found` does not read."""
    names = [
        name
        for name in arrays
        if name not in _BUFFERS and not re.search(r"num_batches_tracked$", name)
    ]
    rules_lib.refuse_others(names, found, SYSTEM)


def _dense(layer, name):
    inputs, units = layer.kernel.shape
    shape = (units, inputs)
    return [
        Rule(layer.kernel, (f"{name}.weight",), (shape,), np.transpose),
        same(layer.bias, f"{name}.bias"),
    ]


def _conv(layer, name, convert=None):
    height, width, inputs, filters = layer.kernel.shape
    shape = (filters, inputs, height, width)
    return [
        Rule(layer.kernel, (f"{name}.weight",), (shape,), convert or _moved),
        same(layer.bias, f"{name}.bias"),
    ]


def _moved(kernel):
    """`[o, i, h, w]` -> `[h, w, i, o]`."""
    return np.transpose(kernel, (2, 3, 1, 0))


def _moved_from_blue(kernel):
    """The same, of a convolution that reads blue first."""
    return _moved(kernel)[:, :, ::-1]


def _first_dense(encoder):
    """The layer after the pooled maps, which are flattened channels first."""
    (layer,) = encoder.dense_layers
    size, units = layer.kernel.shape
    channels = encoder.filters[-1]
    side = round((size / channels) ** 0.5)

    def convert(kernel):
        maps = kernel.reshape(units, channels, side, side)
        return maps.transpose(2, 3, 1, 0).reshape(size, units)

    name = "refine_net.fc_in.0"
    return [
        Rule(layer.kernel, (f"{name}.weight",), ((units, size),), convert),
        same(layer.bias, f"{name}.bias"),
    ]


def _lstm(layer):
    """Inputs, then the state of the last frame, then of the last decode."""
    names = [f"refine_net.lstm.{n}" for n in ("W_x", "W_hor", "W_ver")]
    found = [
        Rule(
            kernel,
            (f"{name}.weight",),
            (tuple(kernel.shape)[::-1],),
            np.transpose,
        )
        for kernel, name in zip(layer.kernels, names)
    ]
    biases = tuple(f"{name}.bias" for name in names)
    if len(layer.biases) == len(names):
        return found + [same(*pair) for pair in zip(layer.biases, biases)]
    (bias,) = layer.biases
    shapes = (tuple(bias.shape),) * len(biases)
    return [*found, Rule(bias, biases, shapes, _sum)]


def _sum(*arrays):
    return np.sum(arrays, axis=0)


def _feature_rules(layer):
    found = _conv(layer.stem, f"{_FEATURES}0.0", _moved_from_blue)
    for i, fire in enumerate(layer.fires, start=3):
        name = f"{_FEATURES}0.{i}"
        found += _conv(fire.narrow, f"{name}.squeeze")
        for wide, side in zip(fire.wide, (1, 3)):
            found += _conv(wide, f"{name}.expand{side}x{side}")
    for i, conv in enumerate(layer.convs):
        found += _conv(conv, f"{_FEATURES}{2 * i + 1}")
    return found
