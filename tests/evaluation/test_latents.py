"""Mutual information of factors: a process in closed form, and a tiny DVIP."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.linalg import solve_discrete_lyapunov
from scipy.stats import norm

from tests.models.tiny import tiny_dvip
from tfdecomp.evaluation import latents as latents_lib
from tfdecomp.evaluation.clips import wanted_frames
from tfdecomp.evaluation.latents import Latents
from tfdecomp.evaluation.protocol import Protocol
from tfdecomp.evaluation.runner import clip_seeds, evaluate
from tfdecomp.metrics import mutual_information
from tfdecomp.models.dvip import DVIP

MI = {"mi_same", "mi_cross", "mi_same_nats", "mi_cross_nats"}


def _process(matrix, clips=1000, frames=2, seed=0):
    """A stationary AR(1), `z_t = A z_{t-1} + N(0, I)`.

    One pair for each clip: pairs are then independent of each other.

    Returns:
        `(z [B, T, Z], correlation [Z, Z])`, the latter of `z_{t+1}`, in its
        rows, with `z_t`.
    """
    matrix = np.asarray(matrix, float)
    covariance = solve_discrete_lyapunov(matrix, np.eye(len(matrix)))
    rng = np.random.default_rng(seed)
    z = [rng.multivariate_normal(np.zeros(len(matrix)), covariance, clips)]
    for _ in range(frames - 1):
        z.append(z[-1] @ matrix.T + rng.normal(size=z[-1].shape))
    scale = np.sqrt(np.diag(covariance))
    return np.stack(z, 1), matrix @ covariance / np.outer(scale, scale)


def _scores(samples, num_pairs=1000, neighbours=3, num_groups=None):
    latents = Latents(num_pairs, neighbours, num_groups)
    latents.add(samples)
    return latents.scores()


# ---- known processes --------------------------------------------------------


def test_a_gaussian_process_has_its_closed_form_in_bits():
    # The first factor drives the second, and not the other way round.
    z, correlation = _process([[0.9, 0.0], [0.6, 0.5]])
    exact = -0.5 * np.log2(1.0 - correlation**2)
    found = _scores(z[..., None])
    assert found["mi_same"] == pytest.approx(exact.diagonal().mean(), abs=0.1)
    cross = (exact[0, 1] + exact[1, 0]) / 2
    assert cross > 0.3
    assert found["mi_cross"] == pytest.approx(cross, abs=0.1)
    for name in ("mi_same", "mi_cross"):
        assert found[name] * np.log(2) == pytest.approx(found[f"{name}_nats"])
    assert found["mi_pairs"] == 1000
    assert found["mi_shape"] == [2, 1]


def test_factors_that_go_their_own_ways_share_nothing():
    z, _ = _process(0.95 * np.eye(4))
    found = _scores(z.reshape(*z.shape[:2], 2, 2))
    exact = -2 * 0.5 * np.log2(1 - 0.95**2)
    assert found["mi_same"] == pytest.approx(exact, abs=0.15)
    assert abs(found["mi_cross"]) < 0.1


def test_slow_factors_need_many_clips():
    few, _ = _process(0.95 * np.eye(4), clips=50, frames=21)
    found = _scores(few.reshape(50, 21, 2, 2))
    assert found["mi_pairs"] == 1000
    assert found["mi_cross"] > 0.4  # though they are independent


def test_without_memory_there_is_no_information():
    z, _ = _process(np.zeros((2, 2)))
    found = _scores(z[..., None])
    assert abs(found["mi_same"]) < 0.1
    assert abs(found["mi_cross"]) < 0.1


def test_the_best_partition_of_entangled_latents_counts():
    # Latents 0 and 2, and 1 and 3, turn around each other; some coupling
    # keeps the cross score above zero, as a partition that counts must have.
    turn = 0.95 * np.array([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]])
    matrix = np.zeros((4, 4))
    matrix[np.ix_([0, 2], [0, 2])] = matrix[np.ix_([1, 3], [1, 3])] = turn
    matrix[1, 0] = 0.3
    z, _ = _process(matrix, clips=300)
    found = _scores(z[:, :, None], num_groups=2)
    true = _scores(z[..., [0, 2, 1, 3]].reshape(*z.shape[:2], 2, 2))
    for name in MI:  # up to the noise that breaks ties
        assert found[name] == pytest.approx(true[name], abs=0.01), name
    assert found["mi_same"] > found["mi_cross"] + 1
    wrong = _scores(z.reshape(*z.shape[:2], 2, 2))
    assert wrong["mi_same"] < wrong["mi_cross"] + 1
    assert found["mi_shape"] == [2, 2]
    assert found["mi_partitions"] == 20
    assert "mi_partitions" not in true


# ---- which pairs ------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_the_last_pairs_count_whatever_the_batch_size(batch):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(7, 4, 2, 3)).astype(np.float32)
    kl = rng.random((7, 4, 2, 3)).astype(np.float32) / 50
    latents = Latents(num_pairs=10, neighbours=3)
    for begin in range(0, 7, batch):
        chosen = slice(begin, begin + batch)
        latents.add(z[chosen], kl[chosen])
    pairs = [(c[t], c[t + 1]) for c in z for t in range(3)][-10:]
    np.testing.assert_array_equal(latents.pairs, pairs)
    found = latents.scores()
    assert found["mi_pairs"] == 10
    assert found["collapsed_latents"] == np.sum(kl.mean((0, 1)) < 0.01)
    before, after = np.swapaxes(pairs, 0, 1)
    expected = np.mean(
        [
            mutual_information.mutual_information(after[:, i], before[:, i])
            for i in range(2)
        ]
    )
    assert found["mi_same_nats"] == pytest.approx(expected, abs=1e-6)


def test_pairs_do_not_straddle_clips():
    constant = np.arange(5.0)[:, None, None, None] * np.ones((5, 3, 1, 1))
    latents = Latents(num_pairs=99, neighbours=1)
    latents.add(constant)
    assert len(latents.pairs) == 5 * 2
    np.testing.assert_array_equal(latents.pairs[:, 0], latents.pairs[:, 1])


@pytest.mark.parametrize(
    ("clips", "frames", "num_pairs"),
    [(3, 2, 1000), (7, 1, 1000), (7, 5, 3), (7, 5, 0), (0, 5, 1000)],
)
def test_too_few_pairs_give_no_mutual_information(clips, frames, num_pairs):
    z = np.random.default_rng(0).normal(size=(clips, frames, 2, 3))
    assert not _scores(z, num_pairs)


def test_nothing_at_all_gives_nothing():
    assert not Latents(1000, 3).scores()


@pytest.mark.parametrize("num_groups", [None, 1])
def test_one_factor_has_no_other(num_groups):
    z, _ = _process(0.9 * np.eye(3), clips=300)
    found = _scores(z[:, :, None], num_groups=num_groups)
    assert not {"mi_cross", "mi_cross_nats"} & set(found)
    assert found["mi_same"] > 1
    assert found["mi_shape"] == [1, 3]


def test_latents_of_little_mean_divergence_are_collapsed():
    kl = np.zeros((4, 5, 2, 3), np.float32)
    kl[:, :, 0] = 0.0099, 0.0101, 3.0
    kl[0, 0, 1] = 0.1, 0.3, 0.0  # once: 0.005 and 0.015 in the mean
    latents = Latents(0, 3)
    for clip in kl:
        latents.add(np.zeros((1, 5, 2, 3)), clip[None])
    assert latents.scores() == {"collapsed_latents": 3}


# ---- a tiny DVIP in the common runner ---------------------------------------

SIZE, FACTORS, DIM = tiny_dvip.SIZE, tiny_dvip.K, tiny_dvip.D
FRAMES, CLIPS, VARIANCE = 5, 7, 0.2


@pytest.fixture(scope="module")
def model():
    return tiny_dvip.tiny(variance=VARIANCE)


def _video():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (CLIPS, FRAMES, SIZE, SIZE, 3), np.uint8)


def _open(condition, model, batch_size):
    """As `clips.open_stored`; the last batch is padded."""
    end = wanted_frames(condition)
    for start in range(0, CLIPS, batch_size):
        index = np.arange(start, start + batch_size)
        valid = index < CLIPS
        yield {
            "video": _video()[np.where(valid, index, 0), :end],
            "clip_index": index,
            "valid": valid,
        }


def _evaluate(model, batch_size=3, **protocol):
    return evaluate(
        model,
        Protocol(**protocol),
        trained_on="noise",
        batch_size=batch_size,
        open_clips=_open,
    )


@pytest.fixture(scope="module")
def outputs(model):
    seeds = clip_seeds(0, np.arange(CLIPS))
    inputs = {"video": tf.constant(_video()), "seed": tf.constant(seeds)}
    return tf.nest.map_structure(np.asarray, model(inputs))


@pytest.fixture(scope="module")
def found(model):
    return _evaluate(model)


def test_the_elbo_of_the_runner_is_minus_the_model_s_loss(found, outputs):
    assert found["elbo"] == pytest.approx(-outputs["loss"].mean(), rel=1e-5)
    np.testing.assert_allclose(
        found["per_clip"]["elbo"], -outputs["loss"], rtol=1e-5
    )
    # Per frame, all channels and constants: mean_b mean_t (ll - kl).
    video = _video() / 255.0
    ll = norm.logpdf(video, outputs["recon"], np.sqrt(VARIANCE))
    ll, kl = ll.sum((2, 3, 4)), outputs["latent_kl"].sum((2, 3))
    assert found["elbo"] == pytest.approx(np.mean(ll - kl), rel=1e-5)


def test_the_runner_reports_mutual_information_of_the_samples(found, outputs):
    expected = _scores(outputs["samples"])
    assert found["mi_pairs"] == CLIPS * (FRAMES - 1)
    assert found["mi_shape"] == [FACTORS, DIM]
    for name in MI:
        assert found[name] == pytest.approx(expected[name], abs=1e-3), name
    mean_kl = outputs["latent_kl"].mean((0, 1))
    assert found["collapsed_latents"] == np.sum(mean_kl < 0.01)
    assert "mi_partitions" not in found
    assert not {"samples", "latent_kl"} & set(found)


def test_the_batch_size_changes_no_score(model, found):
    other = _evaluate(model, batch_size=16)
    assert set(found) == set(other)
    for name in (*MI, "elbo", "collapsed_latents"):
        assert found[name] == pytest.approx(other[name], abs=1e-3), name


def test_conditions_share_a_pass_and_choose_their_own_pairs(model, outputs):
    conditions = [
        {"num_frames": 3},
        {"skip_frames": 2, "num_frames": FRAMES},
        {"num_frames": FRAMES, "mi_samples": 12, "mi_neighbours": 2},
        {"num_frames": FRAMES, "mi_samples": 0},
    ]
    opened = []

    def open_clips(condition, model, batch_size):
        opened.append(condition)
        return _open(condition, model, batch_size)

    found = evaluate(
        model,
        Protocol(conditions=conditions),
        trained_on="noise",
        batch_size=3,
        open_clips=open_clips,
    )["conditions"]
    assert len(opened) == 1
    samples = outputs["samples"]
    expected = [
        _scores(samples[:, :3]),
        _scores(samples[:, 2:]),
        _scores(samples, num_pairs=12, neighbours=2),
    ]
    for one, other in zip(found, expected):
        assert one["mi_pairs"] == other["mi_pairs"]
        for name in MI:
            assert one[name] == pytest.approx(other[name], abs=1e-3), name
    assert "elbo" not in found[0]  # nats of a clip: there are none of a part
    assert found[1]["elbo"] == found[2]["elbo"] == found[3]["elbo"]
    assert not {name for name in found[3] if name.startswith("mi_")}
    assert found[3]["collapsed_latents"] == found[2]["collapsed_latents"]


def test_predicted_frames_have_no_samples(model):
    found = _evaluate(model, num_frames=3, num_predicted=2)
    assert "mse" in found
    assert not {*MI, "elbo", "collapsed_latents"} & set(found)


def test_an_entangled_model_is_cut_into_as_many_groups():
    found = _evaluate(tiny_dvip.tiny(entangled=True))
    assert found["mi_shape"] == [FACTORS, DIM]
    assert found["mi_partitions"] == 20
    assert found["mi_same"] - found["mi_cross"] > 0


@pytest.mark.parametrize(
    ("num_factors", "entangled", "expected"),
    [(2, False, None), (2, True, 2), (1, True, None), (1, False, None)],
)
def test_only_an_entangled_model_of_more_factors_is_cut(
    num_factors, entangled, expected
):
    model = DVIP(image_size=64, num_factors=num_factors, entangled=entangled)
    assert latents_lib.num_groups(model) == expected


def test_a_model_without_latents_is_not_cut():
    assert latents_lib.num_groups(object()) is None
