"""SILOT's published weights: checkpoints of TensorFlow 1."""

import numpy as np

from tfdecomp.importing import rules as rules_lib
from tfdecomp.importing import tensorflow_files
from tfdecomp.importing.errors import ImportRefusedError
from tfdecomp.importing.rules import Rule, same

files = tensorflow_files.files
SYSTEM = "SILOT"
_ROOT = "network/representation/"
_PAIRS = "propagation_feature_extractor/relation_func"
_RENDERER = "renderer/object_decoder_for_flight_0"
PUBLISHED = {
    "licence": "MIT",
    "authors": "Crawford and Pineau",
    "paper": "Exploiting Spatial Invariance for Scalable Unsupervised Object "
    "Tracking. AAAI 2020",
    "notes": "",
}


def read(path):
    """Names -> arrays of a checkpoint, below `network/representation/`.

    Args:
        path: See `tensorflow_files.read`.
    """
    return named(tensorflow_files.read(path))


def named(arrays):
    """The weights below `network/representation/`, by what follows it."""
    found = {}
    for name, array in arrays.items():
        scope, root, short = name.partition(_ROOT)
        if root and (not scope or scope.endswith("/")):
            if short in found:
                raise ImportRefusedError(
                    f"the checkpoint has {_ROOT}{short} twice; expected one "
                    "model"
                )
            found[short] = array
    if not found:
        raise ImportRefusedError(
            f"this is no checkpoint of {SYSTEM}: nothing lies below {_ROOT}; "
            f"it has {sorted(arrays)[:4]}"
        )
    return found


def rules(model):
    """A `Rule` for each weight of a built `models.SILOT`."""
    found = _convs(model.backbone.convs, "backbone")
    discovery = model.discovery
    found += _convs(discovery.fuse, "discovery_feature_fuser")
    for ours, theirs in (
        ("where", "box"),
        ("what", "attr"),
        ("depth", "z"),
        ("presence", "obj"),
    ):
        head = discovery.heads[ours]
        found += _cells(head, f"discovery/{theirs}_network")
    found += _mlp(discovery.encoder, "discovery/object_encoder")
    found.append(
        rules_lib.flat(discovery.initial_state, "prop_cell_initial_state_0/w")
    )
    for part, name, cell in (
        (model.propagation, "propagation", "prop_cell"),
        (model.prior, "prior_propagation", "prior_prop_cell"),
    ):
        found += _propagation(part, name) + _recurrent(part.cell, cell)
    found += _mlp(
        model.object_network, "propagation_feature_extractor/object_wise_func"
    )
    found += _mlp(
        model.grid_attention.pair, "discovery_feature_extractor/relation_func"
    )
    if model.pair_attention is not None:
        found += _mlp(model.pair_attention.pair, _PAIRS)
    found += _mlp(model.renderer.network, _RENDERER)
    return found


def check_names(arrays, found):
    """Raises if the model in the file has weights that `found` lacks."""
    rules_lib.refuse_others(arrays, found, SYSTEM)


def preset(arrays, path):
    """The preset of a checkpoint, by its networks.

    Args:
        arrays: Names -> arrays, from `named`.
        path: Of the file.
    """
    del path
    last = np.shape(arrays.get(f"{_RENDERER}/fully_connected_2/weights", ()))
    if len(last) != 2:
        raise ImportRefusedError(
            f"this is no whole checkpoint of {SYSTEM}: it lacks "
            f"{_ROOT}{_RENDERER}/fully_connected_2/weights"
        )
    has_pairs = f"{_PAIRS}/fully_connected/weights" in arrays
    return _PRESETS[last[1] == 4 * 21 * 21, has_pairs]


# By (sprites of 21x21 pixels, attention between objects).
_PRESETS = {
    (False, False): "papers/silot/silot_mnist_reference.gin",
    (False, True): "papers/silot/silot_shapes_reference.gin",
    (True, False): "papers/silot/silot_atari_reference.gin",
    (True, True): "papers/silot/silot_atari_reference.gin",
}


def bindings(arrays, parameter):
    """Lines that make a preset fit the file."""
    del parameter
    has_pairs = f"{_PAIRS}/fully_connected/weights" in arrays
    return [f"models.SILOT.independent_propagation = {not has_pairs}"]


def _convs(layers, name):
    found = []
    for i, layer in enumerate(layers):
        found += [
            same(layer.kernel, f"{name}/fcn-conv{i}/kernel"),
            same(layer.bias, f"{name}/fcn-conv{i}/bias"),
        ]
    return found


def _cells(mlp, name):
    """Dense layers of ours that are convolutions of 1x1 there."""
    found = []
    for i, (kernel, bias) in enumerate(zip(mlp.kernels, mlp.biases)):
        found += [
            Rule(
                kernel,
                (f"{name}/fcn-conv{i}/kernel",),
                ((1, 1, *kernel.shape),),
                lambda array: array[0, 0],
            ),
            same(bias, f"{name}/fcn-conv{i}/bias"),
        ]
    return found


def _mlp(mlp, name):
    found = []
    for i, (kernel, bias) in enumerate(zip(mlp.kernels, mlp.biases)):
        layer = f"{name}/fully_connected" + (f"_{i}" if i else "")
        found += [
            same(kernel, f"{layer}/weights"),
            same(bias, f"{layer}/biases"),
        ]
    return found


def _propagation(part, name):
    found = _mlp(part.glimpse, f"{name}/glimpse_prime_network")
    for encoder, theirs in zip(
        part.encoders, ("glimpse_prime_encoder", "glimpse_encoder")
    ):
        found += _mlp(encoder, f"{name}/{theirs}")
    for ours, theirs in (
        ("where", "d_box_network"),
        ("what_seen", "predict_attr_inp"),
        ("what_kept", "predict_attr_temp"),
        ("depth", "d_z_network"),
        ("presence", "d_obj_network"),
    ):
        found += _mlp(part.heads[ours], f"{name}/{theirs}")
    return found


def _recurrent(cell, name):
    """Their update gate is one minus ours: its sign changes."""

    def joined(update, reset, candidate):
        return np.concatenate([-update, reset, candidate], axis=-1)

    found = []
    for target, letter in (
        (cell.kernel, "w"),
        (cell.recurrent_kernel, "u"),
        (cell.bias, "b"),
    ):
        shape = (*target.shape[:-1], target.shape[-1] // 3)
        names = tuple(f"{name}/{letter}{gate}" for gate in "zrh")
        found.append(Rule(target, names, (shape,) * 3, joined))
    return found
