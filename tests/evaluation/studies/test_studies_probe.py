"""The linear probe, beside scikit-learn and on factors known to be linear."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

from tfdecomp.evaluation.studies.latents import factors as study
from tfdecomp.metrics import factors


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def _targets(train, test, kind=factors.NUMBER):
    return factors.Targets(kind, train, test)


def test_a_linear_number_is_read_perfectly(rng):
    inputs = rng.normal(size=(80, 5))
    values = inputs @ rng.normal(size=(5, 2)) + [3.0, -100.0]
    target = factors.targets("position", values[:50], values[50:])
    found = factors.probe(inputs[:50], inputs[50:], target)
    assert found["kind"] == factors.NUMBER
    assert found["score"] == pytest.approx(1.0, abs=1e-9)
    assert found["chance"] == 0.0


def test_regression_is_that_of_scikit_learn(rng):
    inputs, new = rng.normal(size=(60, 4)), rng.normal(size=(30, 4))
    values = rng.normal(size=(60, 3)) + inputs[:, :1]
    expected = LinearRegression().fit(inputs, values).predict(new)
    found = factors.regress(inputs, values, new, ridge=0.0)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    np.testing.assert_allclose(
        factors.regress(inputs, values, new), expected, atol=1e-5
    )


def test_a_constant_input_does_no_harm(rng):
    inputs = np.concatenate([rng.normal(size=(40, 2)), np.ones((40, 1))], 1)
    values = inputs[:, :1] - 2.0
    found = factors.regress(inputs, values, inputs)
    np.testing.assert_allclose(found, values, atol=1e-4)


def test_r_squared_of_one_column_is_that_of_scikit_learn(rng):
    true, guess = rng.normal(size=(2, 20, 1))
    assert factors.r_squared(true, guess) == pytest.approx(
        r2_score(true, guess)
    )


def test_r_squared_of_the_mean_is_zero_and_of_a_constant_is_defined():
    values = np.array([[1.0], [2.0], [6.0]])
    assert factors.r_squared(values, np.full((3, 1), 3.0)) == 0.0
    ones = np.ones((3, 1))
    assert factors.r_squared(ones, ones) == 1.0
    assert factors.r_squared(ones, 2 * ones) == 0.0


def test_classification_is_that_of_scikit_learn(rng):
    inputs, new = 3 * rng.normal(size=(90, 4)), 3 * rng.normal(size=(40, 4))
    classes = (inputs[:, 0] > 0) + 2 * (inputs[:, 1] > 1)
    scaler = StandardScaler().fit(inputs)
    model = LogisticRegression(max_iter=500)
    model.fit(scaler.transform(inputs), classes)
    np.testing.assert_array_equal(
        factors.classify(inputs, classes, new),
        model.predict(scaler.transform(new)),
    )


def test_a_single_class_needs_no_map(rng):
    inputs = rng.normal(size=(5, 2))
    np.testing.assert_array_equal(
        factors.classify(inputs, np.full(5, 3), inputs), 3
    )


def test_separable_classes_are_read_and_chance_is_the_most_frequent(rng):
    classes = rng.integers(0, 3, 120)
    inputs = np.eye(3)[classes] + 0.01 * rng.normal(size=(120, 3))
    target = factors.targets("shape", 5 + classes[:80], 5 + classes[80:])
    found = factors.probe(inputs[:80], inputs[80:], target)
    assert found["kind"] == factors.CLASS
    assert found["score"] == 1.0
    most = np.bincount(classes[:80]).argmax()
    assert found["chance"] == np.mean(classes[80:] == most)


def test_an_angle_has_no_seam():
    degrees = np.arange(0.0, 360.0, 7.5)
    radians = np.deg2rad(degrees)
    circle = np.stack([np.cos(radians), np.sin(radians)], 1)
    target = factors.targets("rotation", degrees, degrees)
    assert target.kind == factors.ANGLE
    assert factors.probe(circle, circle, target)["score"] > 1 - 1e-9
    turned = factors.targets("rotation", degrees, degrees + 360.0)
    np.testing.assert_allclose(turned.test, target.test, atol=1e-9)
    same = factors.targets("orientation", radians, radians)
    np.testing.assert_allclose(same.train, target.train, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("shape", np.array([1, 2, 2]), factors.CLASS),
        ("color", np.eye(3, dtype=np.float32), factors.CLASS),
        ("color", np.random.default_rng(0).random((50, 3)), factors.NUMBER),
        ("scale", np.array([0.5, 1.0, 0.5]), factors.NUMBER),
    ],
)
def test_a_factor_s_kind_follows_from_its_values(name, values, kind):
    assert factors.targets(name, values, values).kind == kind


def test_a_class_that_training_lacks_is_never_right():
    target = factors.targets("shape", np.array([1, 4, 4]), np.array([4, 9]))
    np.testing.assert_array_equal(target.test, [1, -1])


def test_numbers_are_standardised_by_the_training_part(rng):
    train = 7.0 + 3.0 * rng.normal(size=(40, 2))
    target = factors.targets("position", train, train[:3])
    np.testing.assert_allclose(target.train.mean(0), 0.0, atol=1e-12)
    np.testing.assert_allclose(target.train.std(0), 1.0)
    np.testing.assert_allclose(target.test, target.train[:3])


def test_each_group_has_a_map_of_its_own(rng):
    inputs = rng.normal(size=(60, 3))
    groups = np.arange(60) % 2
    values = np.where(groups == 0, inputs[:, 0], -inputs[:, 0])[:, None]
    target = _targets(values, values)
    one = factors.probe(inputs, inputs, target)["score"]
    two = factors.probe(inputs, inputs, target, groups, groups)["score"]
    assert one < 0.3 and two > 1 - 1e-9


def test_an_unknown_group_is_predicted_by_the_constant():
    target = _targets(np.array([[1.0], [3.0]]), np.array([[2.0], [2.0]]))
    inputs = np.zeros((2, 1))
    found = factors.probe(
        inputs, inputs, target, np.zeros(2, int), np.ones(2, int)
    )
    assert found["score"] == 1.0


def test_an_object_gets_the_slot_that_overlaps_it_most():
    ids = np.array([[[1, 1, 0], [2, 2, 0]]])
    masks = np.zeros((1, 3, 2, 3))
    masks[0, 2, 0] = 0.6  # object 1 is split .6 to .4
    masks[0, 1, 0] = 0.4
    masks[0, 2, 1] = [0.3, 0.8, 0.1]  # object 2: 1.1 to .9
    masks[0, 1, 1] = [0.7, 0.2, 0.9]
    slots = factors.assign_slots(ids, masks, 3)
    np.testing.assert_array_equal(slots, [[2, 2, 0]])


def _batch(rng, count=6, objects=3, slots=4):
    """Images with labels, of which the last object is hidden in some."""
    visible = np.ones((count, 1, objects), np.uint8)
    visible[::2, :, -1] = 0
    ids = rng.integers(0, objects + 1, (count, 1, 5, 5, 1))
    ids[::2] = np.where(ids[::2] == objects, 0, ids[::2])
    masks = rng.random((count, 1, slots, 5, 5, 1))
    batch = {
        "segmentation": ids,
        "visibility": visible,
        "valid": np.arange(count) < count - 1,
        "factors/shape": rng.integers(0, 2, (count, objects)),
        "factors/position": rng.random((count, 1, objects, 2)),
    }
    outputs = {
        "slots": rng.normal(size=(count, 1, slots, 4)),
        "masks": masks / masks.sum(2, keepdims=True),
    }
    return batch, outputs


@pytest.mark.parametrize("has_masks", [True, False])
def test_invisible_entities_do_not_influence_what_is_probed(rng, has_masks):
    batch, outputs = _batch(rng)
    if not has_masks:
        del outputs["masks"]
    expected = study.entities(batch, outputs)
    hidden = batch["visibility"][:, 0] == 0
    spoiled = {name: value.copy() for name, value in batch.items()}
    spoiled["factors/shape"][hidden] = 99
    spoiled["factors/position"][:, 0][hidden] = 1e6
    found = study.entities(spoiled, outputs)
    assert len(found["inputs"]) == 12  # 3 objects each, 2 in three images
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_padding_is_no_entity(rng):
    batch, outputs = _batch(rng)
    outputs["slots"][-1] = np.nan
    assert np.all(np.isfinite(study.entities(batch, outputs)["inputs"]))


def test_every_entity_comes_with_its_slot_and_its_factors(rng):
    batch, outputs = _batch(rng)
    found = study.entities(batch, outputs)
    ids, masks = batch["segmentation"][1, 0], outputs["masks"][1, 0]
    overlap = [np.sum((ids == 2) * masks[k]) for k in range(4)]
    slot = int(np.argmax(overlap))
    row = 2 + 1  # image 0 has two visible objects; then the second of image 1
    assert found["slots"][row] == slot
    np.testing.assert_array_equal(
        found["inputs"][row], outputs["slots"][1, 0, slot]
    )
    np.testing.assert_array_equal(
        found["position"][row], batch["factors/position"][1, 0, 1]
    )


def test_without_slots_objects_are_ranked_by_size_then_shape_then_place():
    factors_of = {
        "shape": np.array([[2, 1, 1, 1]]),
        "size": np.array([[1, 2, 2, 1]]),
        "position": np.array([[[0, 0], [5, 1], [5, 0], [9, 9]]]),
    }
    visible = np.array([[True, True, True, True]])
    ranks = study.canonical_ranks(factors_of, visible)
    np.testing.assert_array_equal(ranks, [[1, 3, 2, 0]])
    visible = np.array([[True, True, True, False]])
    ranks = study.canonical_ranks(factors_of, visible)
    np.testing.assert_array_equal(ranks, [[0, 2, 1, 3]])
