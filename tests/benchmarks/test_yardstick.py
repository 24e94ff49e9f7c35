"""What convolutions a model's operations are measured against."""

import pytest

from tfdecomp import training
from tfdecomp.benchmarks import measure
from tfdecomp.storage import configs


@pytest.mark.parametrize(
    "name",
    ["ddpae", "dvip", "iodine", "monet", "provide", "rnem", "seq_iodine"],
)
def test_a_model_that_counts_its_operations_has_a_yardstick(name):
    with configs.parsed([f"smoke/{name}.gin"]):
        model = training.build_settings().model
    model.build()
    assert model.step_flops(1, 2) > 0
    found = measure.yardstick(model, 1, 2, repeats=1)
    assert found["peak_flops"] > 0
    inputs, kernel = (found["yardstick"][n] for n in ("inputs", "kernel"))
    assert len(inputs) == 4 and inputs[3] == kernel[2]
    # Of a hidden layer: pixels have one or three channels.
    assert kernel[3] > 3
