"""What `paper` and `reference` presets switch on and off.

`SWITCHES` names attributes of the model that a preset builds, with dots for
those of its parts. A `paper` preset follows the text, a `reference` preset the
authors' published code; what an option means is tested beside its model.
"""

import operator

import pytest

from tests.models.test_provide import WITH_FEATURES
from tests.models.tiny.tiny_iodine import INPUTS_OF_THE_TEXT
from tfdecomp import training
from tfdecomp.storage import configs


def _iodine_inputs(coordinates):
    return (
        "constant",
        "means",
        coordinates,
        "leave_one_out_ratio",
        "mean_gradient",
        "mask_logit_gradient",
        "frame",
        "pixel_log_likelihood",
        "mask_logits",
        "mask_posterior",
        "masks",
    )


PROVIDE_PAPER = {
    "reconstruction_weight": 10.0,
    "kl_weight": 1.0,
    "share_first_noise": False,
    "stop_first_gradient": False,
    "step_weights": "per_frame",
    "extra_refinement": False,
    "prior_layer.scale": "log_scale",
    "flat_mask_posterior": False,
    "features": None,
    "refinement_inputs": INPUTS_OF_THE_TEXT,
    "batch_mean_gradients": False,
    "lstm.separate_biases": False,
}
PROVIDE_REFERENCE = {
    "reconstruction_weight": 100.0,
    "kl_weight": 10.0,
    "share_first_noise": True,
    "stop_first_gradient": True,
    "step_weights": "global",
    "extra_refinement": True,
    "prior_layer.scale": "softplus",
    "flat_mask_posterior": True,
    "features.half_pixel_centers": False,
    "refinement_inputs": WITH_FEATURES,
    "batch_mean_gradients": True,
    "lstm.separate_biases": True,
}
IODINE_PAPER = {
    "num_refinements": 4,  # five decodes
    "step_weights": "per_decode",
    "prior_variance": 1.0,
    "component": "normal",
    "variance": 0.1**2,
    "variance_floor": 1e-5,  # against overflow; the text has no softplus
    "latent_constant": None,
    "vector_constant": None,
    "mask_posterior_floor": 0.0,
    "batch_mean_gradients": False,
    "refinement_inputs": INPUTS_OF_THE_TEXT,
}
IODINE_REFERENCE = {
    "num_refinements": 5,  # six decodes, the first of weight 0
    "step_weights": "linspace",
    "prior_variance": 0.6931472,
    "component": "logistic",
    "variance": 0.0029609,
    "variance_floor": 0.0,
    "latent_constant": 5.0,
    "vector_constant": 0.5,
    "mask_posterior_floor": 1e-6,
    "batch_mean_gradients": True,
}
_COSINES = {"refinement_inputs": _iodine_inputs("cosine_coordinates")}
SWITCHES = {
    "provide_binary_paper": {**PROVIDE_PAPER, "entropy_weight": 0.01},
    "provide_color_paper": {**PROVIDE_PAPER, "entropy_weight": 0.0},
    "provide_clevrer_paper": {
        **PROVIDE_PAPER,
        "entropy_weight": 0.0,
        "num_slots": 6,
        "num_refinements": 5,
    },
    "provide_binary_reference": {**PROVIDE_REFERENCE, "entropy_weight": 0.1},
    "provide_color_reference": {**PROVIDE_REFERENCE, "entropy_weight": 0.0},
    "provide_clevrer_reference": {
        **PROVIDE_REFERENCE,
        "entropy_weight": 0.0,
        "num_slots": 6,
        "num_refinements": 5,
    },
    "provide_ablation_entropy": {**PROVIDE_PAPER, "entropy_weight": 0.01},
    "provide_ablation_cpg": {**PROVIDE_PAPER, "entropy_weight": 0.0},
    "iodine_clevr_paper": {**IODINE_PAPER, "latent_dim": 64, "num_slots": 7},
    "iodine_multi_dsprites_paper": {**IODINE_PAPER, "encoder.strides": 1},
    "iodine_tetrominoes_paper": {**IODINE_PAPER, "lstm": None},
    "iodine_clevr_reference": {
        **IODINE_REFERENCE,
        "refinement_inputs": _iodine_inputs("coordinates"),
        "encoder.units": (256, 256),
    },
    "iodine_multi_dsprites_reference": {
        **IODINE_REFERENCE,
        **_COSINES,
        "encoder.strides": 2,
    },
    "iodine_tetrominoes_reference": {
        **IODINE_REFERENCE,
        **_COSINES,
        "encoder.code_activation": "linear",
    },
}
# What one device has in the published code, which normalises the gradients of
# the mean over it.
MICRO_BATCHES = {
    "provide_binary_reference": 4,
    "provide_color_reference": 4,
    "provide_clevrer_reference": 4,
    "iodine_clevr_reference": 4,
    "iodine_multi_dsprites_reference": 16,
    "iodine_tetrominoes_reference": 32,
}


@pytest.fixture(autouse=True)
def own_config():
    with configs.isolated():
        yield


@pytest.mark.parametrize("name", SWITCHES)
def test_a_preset_switches_what_it_says(name):
    configs.parse([f"papers/{name}.gin"])
    settings = training.build_settings()
    found = {
        path: operator.attrgetter(path)(settings.model)
        for path in SWITCHES[name]
    }
    assert found == {
        path: pytest.approx(value) if isinstance(value, float) else value
        for path, value in SWITCHES[name].items()
    }
    if name in MICRO_BATCHES:
        assert settings.micro_batch_size == MICRO_BATCHES[name]


@pytest.mark.parametrize("system", ["provide", "iodine"])
def test_paper_and_reference_set_the_same_names(system):
    names = {}
    for side in ("paper", "reference"):
        text = (configs.root() / f"models/{system}_{side}.gin").read_text()
        names[side] = {
            line.split(" = ")[0]
            for line in text.splitlines()
            if line.startswith("models.")
        }
    alone = {"iodine": {"variance_floor", "refinement_inputs"}}
    apart = names["paper"] ^ names["reference"]
    assert {n.split(".")[-1] for n in apart} <= alone.get(system, set())


@pytest.mark.parametrize("name", [n for n in SWITCHES if n.endswith("_paper")])
def test_a_paper_preset_lists_what_the_text_leaves_open(name):
    text = configs.find(f"papers/{name}").read_text()
    assert "# The text leaves open" in text.split("\n\n")[0]
