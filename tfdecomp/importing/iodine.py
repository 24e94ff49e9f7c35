"""IODINE's published weights: checkpoints of TensorFlow 1 and Sonnet.

Kernels are stored as ours are; what differs is the order of channels.
"""

import re

import numpy as np

from tfdecomp.importing import rules as rules_lib
from tfdecomp.importing import tensorflow_files
from tfdecomp.importing.errors import ImportRefusedError
from tfdecomp.importing.rules import Rule, same

files = tensorflow_files.files
SYSTEM = "IODINE"
_FIRST = "model/iodine/initial_sample_distribution"
_DECODER = "pixel_decoder/broadcast_conv/conv_net_2d"
_ENCODER = "encoder_net/cnn"
_LSTM = "recurrent_net/lstm/lstm"
_HEAD = "refinement_head/residual_head/linear"
_NORMS = "model/iodine/preprocess/layer_norm_"
# Parts whose weights are all read.
_PARTS = (
    _FIRST,
    "pixel_decoder/",
    "encoder_net/",
    "recurrent_net/",
    "refinement_head/",
    "model/iodine/preprocess/",
)
PUBLISHED = {
    "licence": "Apache-2.0",
    "authors": "Greff, Kaufman, Kabra, Watters, Burgess, Zoran, Matthey, "
    "Botvinick and Lerchner",
    "paper": "Multi-Object Representation Learning with Iterative Variational "
    "Inference. ICML 2019",
    "notes": "",
}
# Number of raw parameters of a slot -> preset.
_PRESETS = {
    128: "papers/iodine/iodine_clevr_reference.gin",
    32: "papers/iodine/iodine_multi_dsprites_reference.gin",
    64: "papers/iodine/iodine_tetrominoes_reference.gin",
}
_NORM_NAMES = {
    "pixel_log_likelihood": "log_prob",
    "mask_logit_gradient": "dmask",
    "mean_gradient": "dcomponents",
    "leave_one_out_ratio": "counterfactual",
    "parameter_gradient": "dzp",
}


def read(path):
    """Names -> arrays of a checkpoint, without scopes around the model.

    Args:
        path: See `tensorflow_files.read`.
    """
    return named(tensorflow_files.read(path))


def named(arrays):
    """The same weights, `SCOPE/pixel_decoder/...` without the scope."""
    found = {}
    for name, array in arrays.items():
        short = _without_scope(name)
        if short in found:
            raise ImportRefusedError(
                f"the checkpoint has {short} twice; expected one model"
            )
        found[short] = array
    return found


def _without_scope(name):
    places = [re.search(rf"(^|/)({re.escape(part)})", name) for part in _PARTS]
    starts = [match.start(2) for match in places if match]
    return name[min(starts) :] if starts else name


def preset(arrays, path):
    """The preset of a checkpoint, by the size of its latents."""
    del path
    size = np.size(arrays.get(_FIRST, ()))
    if size not in _PRESETS:
        raise ImportRefusedError(
            f"this is no checkpoint of {SYSTEM}: {_FIRST} "
            + (f"has {size} values" if size else "is missing")
            + f"; expected one of {sorted(_PRESETS)} values"
        )
    return _PRESETS[size]


def bindings(arrays, parameter):
    """No line is needed: presets fit as they are."""
    del arrays, parameter
    return []


def rules(model):
    """A `Rule` for each weight of a built `models.IODINE`."""
    found = [same(model.initial_parameters, _FIRST)]
    found += _decoder_rules(model.decoder)
    found += _encoder_rules(model)
    order = _vector_order(model)
    if model.lstm is not None:
        kernel, bias = model.lstm.kernel, model.lstm.bias
        found += [
            _reordered(kernel, f"{_LSTM}/w_gates", order),
            same(bias, f"{_LSTM}/b_gates"),
        ]
        found += [same(model.head.kernel, f"{_HEAD}/w")]
    else:
        found += [_reordered(model.head.kernel, f"{_HEAD}/w", order)]
    found += [same(model.head.bias, f"{_HEAD}/b")]
    for ours, theirs in _NORM_NAMES.items():
        scale, offset = model.norms[ours]
        found += [
            same(scale, f"{_NORMS}{theirs}/gamma"),
            same(offset, f"{_NORMS}{theirs}/beta"),
        ]
    return found


def check_names(arrays, found):
    """Raises if the model in the file has weights that `found` lacks."""
    names = [name for name in arrays if name.startswith(_PARTS)]
    rules_lib.refuse_others(names, found, SYSTEM)


def _decoder_rules(decoder):
    found = []
    layers = [*decoder.convs, decoder.head]
    for i, layer in enumerate(layers):
        name = f"{_DECODER}/conv_2d_{i}"
        inputs, outputs = layer.kernel.shape[2:]
        reads, writes = np.arange(inputs), np.arange(outputs)
        if i == 0:  # coordinates stand behind the latents there
            reads = np.roll(reads, 2)
        if i + 1 == len(layers):  # the mask's logit stands in front
            writes = np.roll(writes, -1)
        found += _conv(layer, name, reads, writes)
    return found


def _encoder_rules(model):
    found = []
    for i, layer in enumerate(model.encoder.convs):
        reads = np.arange(layer.kernel.shape[2])
        if i == 0 and "coordinates" in model.refinement_inputs:
            # Theirs are x and y, ours the row and the column.
            first = _first_channel(model, "coordinates")
            reads[first : first + 2] = first + 1, first
        found += _conv(layer, f"{_ENCODER}/conv_net_2d/conv_2d_{i}", reads)
    for i, layer in enumerate(model.encoder.dense_layers):
        name = f"{_ENCODER}/mlp/linear_{i}"
        found += [
            same(layer.kernel, f"{name}/w"),
            same(layer.bias, f"{name}/b"),
        ]
    return found


def _first_channel(model, wanted):
    """Place of an input's first channel."""
    widths = {"frame": 3, "means": 3, "mean_gradient": 3}
    widths |= {"coordinates": 2, "cosine_coordinates": 8}
    names = list(model.refinement_inputs)
    return sum(widths.get(n, 1) for n in names[: names.index(wanted)])


def _conv(layer, name, reads, writes=None):
    kernel, bias = layer.kernel, layer.bias
    if writes is None:
        writes = np.arange(kernel.shape[-1])
    return [
        Rule(
            kernel,
            (f"{name}/w",),
            (tuple(kernel.shape),),
            lambda array: array[:, :, reads][..., writes],
        ),
        Rule(
            bias,
            (f"{name}/b",),
            (tuple(bias.shape),),
            lambda array: array[writes],
        ),
    ]


def _vector_order(model):
    """Their rows of what the update reads, in our order.

    Theirs: code, gradient, constant, parameters, and the state; here the
    constant follows the parameters.
    """
    code, size = model.encoder.units[-1], 2 * model.latent_dim
    constant = code + size
    units = model.units if model.lstm is not None else 0
    rows = np.arange(code + 2 * size + 1 + units)
    end = constant + 1 + size
    rows[constant:end] = np.roll(rows[constant:end], -1)
    return rows


def _reordered(kernel, name, order):
    shape = tuple(kernel.shape)
    if shape[0] != len(order):
        raise ImportRefusedError(
            f"the update of this model reads {shape[0]} numbers, that of "
            f"published ones {len(order)}; import into a reference preset"
        )
    return Rule(kernel, (name,), (shape,), lambda array: array[order])
