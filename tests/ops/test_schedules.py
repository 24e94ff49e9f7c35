"""Schedules of the training step."""

import numpy as np
import pytest

from tfdecomp.ops import schedules


def values(schedule, steps):
    return [float(schedule(step)) for step in steps]


def test_linear_ramps_between_its_ends():
    ramp = schedules.Linear(1.0, 3.0, num_steps=10, begin=5)
    assert values(ramp, [0, 5, 10, 15, 99]) == [1, 1, 2, 3, 3]


def test_exponential_passes_the_geometric_mean():
    ramp = schedules.Exponential(1.0, 100.0, num_steps=10)
    np.testing.assert_allclose(values(ramp, [0, 5, 10]), [1, 10, 100], 1e-5)


def test_cosine_warms_up_and_decays_to_its_final_value():
    rate = schedules.WarmupCosine(
        peak=1.0, num_steps=110, warmup_steps=10, final=0.1
    )
    expected = [0.1, 1.0, 0.55, 0.1, 0.1]
    np.testing.assert_allclose(
        values(rate, [0, 9, 60, 110, 500]), expected, rtol=1e-5
    )


def test_piecewise_changes_at_its_boundaries():
    schedule = schedules.Piecewise([10, 20], [1.0, 2.0, 3.0])
    assert values(schedule, [0, 9, 10, 19, 20, 99]) == [1, 1, 2, 2, 3, 3]
    assert values(schedules.Piecewise([], [4.0]), [0, 7]) == [4, 4]


def test_constant_stays():
    assert values(schedules.Constant(2.5), [0, 10]) == [2.5, 2.5]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: schedules.Exponential(0.0, 1.0), "positive ends"),
        (lambda: schedules.Piecewise([1], [1.0]), "need 2"),
        (lambda: schedules.Piecewise([2, 1], [1.0, 2.0, 3.0]), "must rise"),
    ],
)
def test_bad_schedules_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()
