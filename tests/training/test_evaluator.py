"""Which of a run's evaluations is the best one."""

import pytest

from tfdecomp.training.evaluator import is_better


@pytest.mark.parametrize(
    ("scores", "best", "expected"),
    [
        ({"mse": 0.1}, None, True),
        ({}, None, False),
        ({"f_ari": 0.6, "mse": 0.3}, {"f_ari": 0.5, "mse": 0.1}, True),
        ({"f_ari": 0.5, "mse": 0.1}, {"f_ari": 0.6, "mse": 0.3}, False),
        ({"elbo": -740.0, "mse": 0.3}, {"elbo": -742.0, "mse": 0.1}, True),
        ({"elbo": -743.0, "mse": 0.1}, {"elbo": -742.0, "mse": 0.3}, False),
        ({"mse": 0.1}, {"mse": 0.2}, True),
        ({"mse": 0.2}, {"mse": 0.2}, False),
    ],
)
def test_f_ari_then_elbo_then_error_decide(scores, best, expected):
    assert is_better(scores, best) == expected


def test_a_score_that_the_best_has_not_is_better():
    assert is_better({"elbo": -740.0, "mse": 0.3}, {"mse": 0.1})
