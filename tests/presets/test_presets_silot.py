"""SILOT's presets: `paper` is the text, `reference` is the authors' code."""

import operator

import pytest

from tfdecomp import training
from tfdecomp.storage import configs
from tfdecomp.training import optimizers

# Option -> as the text has it, as the code has it.
SWITCHES = {
    "attention_position": ("relative", "scene"),
    "attention_peak": (1.0, None),
    "size_mean": (-2.2, -2.1972246),
    "discovery_dropout": (0.5, 0.37754067),
    "backbone.features": (128, 64),
    "discovery.seen_features": (128, None),
    "discovery.head": ("paper", "reference"),
    "discovery.head_hidden": ((100, 100), (100, 100)),
    "discovery.fusion": ("paper", "reference"),
    "discovery.size_range": ((0.0, 1.0), (0.0, 1.0)),
    "discovery.offset_range": ((-0.5, 1.5), (-0.5, 1.5)),
    "propagation.hidden": ((100, 100), (100, 100)),
    "propagation.units": (128, 128),
    "propagation.size_prior": ("change", "absolute"),
    "propagation.where_input": ("box", "variables"),
    "propagation.recurrent_start": ("keras", "sonnet"),
    "prior.size_prior": ("change", "absolute"),
    "prior.where_input": ("box", "variables"),
    "prior.recurrent_start": ("keras", "sonnet"),
    "renderer.composition": ("softmax", "linear"),
    "renderer.temperature": (0.25, 0.25),
    "move_deviation": (0.3, 0.3),
    "what_deviation": (0.4, 0.4),
    "prior_condition": ("own_sample", "own_sample"),
}
# What differs from set to set: file -> option -> value.
OWN = {
    "silot_mnist_paper": {
        "independent_propagation": False,
        "attention_scale": 0.1,
        "sample_in_evaluation": False,
        "presence_threshold": 0.5,
        "num_slots": 17,
        "renderer.color_scale": 2.0,
        "renderer.alpha_scale": 0.1,
        "renderer.alpha_bias": 5.0,
    },
    "silot_mnist_reference": {
        "independent_propagation": True,
        "sample_in_evaluation": True,
        "presence_threshold": 0.5,
        "num_slots": 17,
    },
    "silot_shapes_paper": {
        "independent_propagation": False,
        "attention_scale": 0.1,
        "sample_in_evaluation": False,
        "num_slots": 37,
        "renderer.color_scale": 2.0,
    },
    "silot_shapes_reference": {
        "independent_propagation": False,
        "attention_scale": 0.15,
        "sample_in_evaluation": False,
        "presence_threshold": 0.5,
        "renderer.color_scale": 1.0,
        "renderer.alpha_bias": 3.0,
    },
    "silot_atari_reference": {
        "independent_propagation": True,
        "sample_in_evaluation": False,
        "presence_threshold": 0.05,
        "renderer.sprite_size": 21,
    },
}
# Of the early stops: metric, start, best among what, count prior after a stop.
STOPS = {
    "silot_mnist_paper": (("mota",), 120_000, "run", "final"),
    "silot_mnist_reference": (
        ("mota", "predicted_mota"),
        160_000,
        "stage",
        "restart",
    ),
    "silot_shapes_paper": (("mota",), 120_000, "run", "final"),
    "silot_shapes_reference": (
        ("mota", "predicted_mota"),
        160_000,
        "stage",
        1.01258,
    ),
    "silot_atari_reference": (("nll",), 100_000, "stage", "final"),
}


@pytest.fixture(autouse=True)
def own_config():
    with configs.isolated():
        yield


@pytest.mark.parametrize("name", OWN)
def test_a_preset_has_the_switches_of_the_text_or_of_the_code(name):
    configs.parse([f"papers/{name}.gin"])
    settings = training.build_settings()
    column = int(name.endswith("reference"))
    found = {
        path: operator.attrgetter(path)(settings.model) for path in SWITCHES
    }
    assert found == {path: both[column] for path, both in SWITCHES.items()}
    found = {
        path: operator.attrgetter(path)(settings.model) for path in OWN[name]
    }
    assert found == OWN[name]
    rule = settings.early_stopping
    metric, start, best_of, way = STOPS[name]
    assert (rule.metric, rule.start, rule.best_of) == (metric, start, best_of)
    after = rule.schedules["count_odds"]
    assert (after if isinstance(after, str) else after.value) == way
    wheels = rule.schedules.get("training_wheels", "continue")
    is_restarted = name == "silot_mnist_reference"
    assert wheels == ("restart" if is_restarted else "continue")
    # The text adds no noise to gradients.
    noisy = isinstance(settings.optimizer, optimizers.NoisyAdam)
    assert noisy == bool(column)
    assert settings.clip_norm == 10.0


def test_the_quick_preset_is_that_of_the_paper_but_for_sizes():
    configs.parse(["quick/silot_paper.gin"])
    model = training.build_settings().model
    small = {
        "size_mean",
        "backbone.features",
        "discovery.seen_features",
        "discovery.head_hidden",
        "propagation.hidden",
        "propagation.units",
    }
    for path, (expected, _) in SWITCHES.items():
        if path not in small:
            assert operator.attrgetter(path)(model) == expected, path
    assert not model.independent_propagation
    # The published deviation of 4.8 pixels.
    assert model.attention_scale * model.anchor[0] == pytest.approx(4.8)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("silot.gin", 0.5), ("papers/silot/silot_shapes_full.gin", 0.5)],
)
def test_older_files_are_what_they_were(name, expected):
    configs.parse([name])
    model = training.build_settings().model
    assert model.discovery_dropout == expected
    assert model.discovery.head == model.discovery.fusion == "reference"
    assert model.renderer.composition == "linear"
    assert model.propagation.where_input == "variables"
    assert model.attention_peak is None
