"""Mutual information: Gaussians in closed form, plain counting, partitions."""

import numpy as np
import pytest
from scipy.special import digamma
from sklearn.feature_selection import mutual_info_regression

from tfdecomp.metrics import mutual_information as mi

N = 1000


def _pair(dims, rho, seed, samples=N):
    """Two Gaussian vectors whose coordinates correlate in pairs."""
    rng = np.random.default_rng(seed)
    x, noise = rng.normal(size=(2, samples, dims))
    return x, rho * x + np.sqrt(1 - rho**2) * noise


def _exact(dims, rho):
    return -0.5 * dims * np.log(1 - rho**2)


def _fast(x, y):
    """Equal to `mutual_information`, see below, and faster for long vectors."""
    return mi.pairwise([x], [y])[0, 0]


def _counted(x, y, neighbours=3):
    """The estimator as it is defined, with no tree and no shared distance."""
    far_x = np.abs(x[:, None] - x[None]).max(-1)
    far_y = np.abs(y[:, None] - y[None]).max(-1)
    terms = []
    for n in range(len(x)):
        others = np.arange(len(x)) != n
        joint = np.sort(np.maximum(far_x[n], far_y[n])[others])
        near = joint[neighbours - 1]
        count = [int(np.sum(far[n][others] < near)) for far in (far_x, far_y)]
        terms.append(digamma(count[0] + 1) + digamma(count[1] + 1))
    return digamma(neighbours) + digamma(len(x)) - np.mean(terms)


@pytest.mark.parametrize(
    # What is left of the bias grows with the dimensions.
    ("dims", "tolerance"),
    [(1, 0.02), (2, 0.03), (3, 0.06), (4, 0.11)],
)
@pytest.mark.parametrize("rho", [0.0, 0.5])
def test_gaussians_have_their_closed_form(dims, tolerance, rho):
    found = [
        mi.mutual_information(*_pair(dims, rho, seed, 2 * N))
        for seed in range(6)
    ]
    assert np.mean(found) == pytest.approx(_exact(dims, rho), abs=tolerance)


def test_a_full_covariance_has_its_closed_form():
    """Two and two coordinates that all depend on each other."""
    rng = np.random.default_rng(3)
    root = rng.normal(size=(4, 4))
    covariance = root @ root.T + 0.5 * np.eye(4)
    parts = [covariance[:2, :2], covariance[2:, 2:], covariance]
    logs = [np.linalg.slogdet(part)[1] for part in parts]
    found = []
    for seed in range(4):
        draws = np.random.default_rng(seed).multivariate_normal(
            np.zeros(4), covariance, 3 * N
        )
        found.append(mi.mutual_information(draws[:, :2], draws[:, 2:]))
    exact = 0.5 * (logs[0] + logs[1] - logs[2])
    assert np.mean(found) == pytest.approx(exact, abs=0.05)


@pytest.mark.parametrize(
    ("dims", "rho", "nats", "deviation"),
    [
        # Means of many runs of 1,000 samples, K = 3; see the module on bias.
        (1, 0.0, -0.010, 0.03),
        (1, 0.5, 0.137, 0.03),
        (1, 0.9, 0.833, 0.03),
        (1, 0.99, 1.993, 0.05),
        (2, 0.0, 0.010, 0.01),
        (2, 0.9, 1.654, 0.04),
        (5, 0.5, 0.504, 0.02),
        (5, 0.9, 2.642, 0.05),
        (25, 0.0, -0.01, 0.04),
        (25, 0.5, 0.528, 0.03),
        (25, 0.9, 2.637, 0.03),
        (25, 0.99, 4.546, 0.02),
    ],
)
def test_known_values_of_a_thousand_samples(dims, rho, nats, deviation):
    found = [_fast(*_pair(dims, rho, seed)) for seed in range(4)]
    assert np.mean(found) == pytest.approx(nats, abs=4 * deviation)


@pytest.mark.parametrize("neighbours", [1, 3, 7])
def test_trees_shared_distances_and_plain_counting_agree(neighbours):
    x, y = _pair(3, 0.7, 0, 300)  # not a multiple of the rows in memory
    expected = _counted(x, y, neighbours)
    # Equal counts: only the order of the sum may differ.
    assert mi.mutual_information(x, y, neighbours) == pytest.approx(
        expected, abs=1e-12
    )
    found = mi.pairwise([x, y], [y, x[:, :1]], neighbours)
    assert found[0, 0] == pytest.approx(expected, abs=1e-12)
    assert found[1, 1] == pytest.approx(
        _counted(y, x[:, :1], neighbours), abs=1e-12
    )


def test_single_coordinates_agree_with_scikit_learn():
    x, y = _pair(1, 0.8, 5)
    (expected,) = mutual_info_regression(
        x, y[:, 0], n_neighbors=3, random_state=0
    )
    # It rescales both to a deviation of one, which moves the estimate a bit.
    assert mi.mutual_information(
        x[:, 0] / x.std(), y[:, 0] / y.std()
    ) == pytest.approx(expected, abs=1e-3)


def test_the_estimate_is_symmetric_and_blind_to_order_and_origin():
    x, y = _pair(4, 0.6, 1)
    found = mi.mutual_information(x, y)
    assert mi.mutual_information(y, x) == pytest.approx(found, abs=1e-12)
    order = np.random.default_rng(0).permutation(N)
    again = mi.mutual_information(x[order], y[order])
    assert again == pytest.approx(found, abs=1e-12)
    moved = mi.mutual_information(x + 3.0, y - 8.0)
    # Adding rounds: two or three counts of a thousand may change by one.
    assert moved == pytest.approx(found, abs=1e-4)


@pytest.mark.parametrize("dims", [1, 5, 25])
def test_independent_samples_share_nothing(dims):
    for seed in range(5):
        assert abs(_fast(*_pair(dims, 0.0, seed))) < 0.1


def test_repeated_values_are_no_error():
    x, y = np.zeros((200, 2)), np.random.default_rng(0).normal(size=(200, 2))
    assert abs(mi.mutual_information(x, y)) < 0.2  # noise alone: nothing
    steps = np.round(3 * y[:, 0])
    assert mi.mutual_information(steps, steps) > 1.0


def _chain(rng, sizes, samples=N, rho=0.95):
    """Blocks that predict themselves: each a rotated sum of its past."""
    before, after = [], []
    for size in sizes:
        rotation = np.linalg.qr(rng.normal(size=(size, size)))[0]
        x, noise = rng.normal(size=(2, samples, size))
        before.append(x)
        after.append(rho * x @ rotation + np.sqrt(1 - rho**2) * noise)
    return np.concatenate(before, 1), np.concatenate(after, 1)


def test_factors_that_predict_themselves_have_same_without_cross():
    before, after = _chain(np.random.default_rng(0), (3, 3, 3))
    shape = (N, 3, 3)
    scores = mi.factor_scores(before.reshape(shape), after.reshape(shape))
    assert scores["matrix"].shape == (3, 3)
    assert scores["same"] > 1.5
    assert abs(scores["cross"]) < 0.1


def test_the_matrix_has_the_later_factor_in_its_rows():
    rng = np.random.default_rng(0)
    before = rng.normal(size=(N, 2, 1))
    after = rng.normal(size=(N, 2, 1))
    after[:, 1] = before[:, 0] + 0.01 * after[:, 1]  # 0 then 1
    matrix = mi.factor_scores(before, after)["matrix"]
    assert matrix[1, 0] > 2
    assert abs(matrix[0, 1]) < 0.2


def test_no_random_partition_beats_the_true_blocks():
    for seed in range(2):
        rng = np.random.default_rng(seed)
        before, after = _chain(rng, (4, 4), 500)
        shape = (500, 2, 4)
        true = mi.factor_scores(before.reshape(shape), after.reshape(shape))
        found = mi.partition_scores(before, after, 2, seed=seed)
        difference = found["same"] - found["cross"]
        # 0.07 nats is the deviation of one estimate.
        assert difference < true["same"] - true["cross"] + 0.07
        assert sorted(found["order"]) == list(range(8))


def test_the_partition_with_the_largest_difference_counts(monkeypatch):
    scores = iter(
        [(1.0, 0.5), (3.0, -0.1), (2.0, 0.9), (-1.0, 0.1), (1.5, 0.6)]
    )

    def fake(before, after, neighbours, seed):
        del before, after, neighbours, seed
        same, cross = next(scores)
        return {"same": same, "cross": cross}

    monkeypatch.setattr(mi, "factor_scores", fake)
    values = np.zeros((5, 4))
    found = mi.partition_scores(values, values, 2, num_partitions=5)
    # The second one has more, but a score below zero.
    assert (found["same"], found["cross"]) == (2.0, 0.9)
    scores = iter([(1.0, -0.5), (3.0, -0.1)])
    found = mi.partition_scores(values, values, 2, num_partitions=2)
    assert found["same"] == 3.0  # none has both above zero


def test_a_single_factor_has_no_cross_score():
    same, cross = mi.same_and_cross([[2.0]])
    assert same == 2.0 and np.isnan(cross)
    x, y = _pair(4, 0.9, 0, 100)
    scores = mi.partition_scores(x, y, 1)
    assert scores["same"] == pytest.approx(mi.mutual_information(x, y), abs=0.1)


@pytest.mark.parametrize(
    ("x", "y", "neighbours", "message"),
    [
        (np.zeros((5, 2)), np.zeros((4, 2)), 3, "one number of samples"),
        (np.zeros((3, 2)), np.zeros((3, 2)), 3, "more than 3 samples"),
        (np.full((9, 2), np.nan), np.zeros((9, 2)), 3, "not finite"),
        (np.zeros((9, 2, 2)), np.zeros((9, 2)), 3, r"\[N, D\]"),
    ],
)
def test_samples_that_do_not_fit_are_refused(x, y, neighbours, message):
    with pytest.raises(ValueError, match=message):
        mi.mutual_information(x, y, neighbours)


def test_latents_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="7 latents do not make 2 groups"):
        mi.partition_scores(np.zeros((9, 7)), np.zeros((9, 7)), 2)
