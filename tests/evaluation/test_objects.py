"""The runner on models that count, place and bound."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tfdecomp import builders
from tfdecomp.evaluation import clips
from tfdecomp.evaluation.protocol import Protocol
from tfdecomp.evaluation.runner import Evaluator, evaluate

SIZE, FRAMES, CLIPS, SLOTS, OBJECTS = 16, 3, 7, 5, 4
LABELS = ("num_objects", "visibility", "position", "boxes")


def _scenes(seed=0, count=None):
    """Random labels and, as tables, what a model says of each clip."""
    rng = np.random.default_rng(seed)
    count = rng.integers(0, 4, CLIPS) if count is None else count
    count = np.broadcast_to(count, CLIPS).astype(np.int32)
    count[2:3] = 0  # one clip without any object
    exists = np.arange(OBJECTS) < count[:, None]
    corner = rng.integers(0, SIZE - 4, (CLIPS, FRAMES, OBJECTS, 2))
    boxes = np.concatenate([corner, corner + 4], -1)
    shown = np.broadcast_to(exists[:, None], boxes.shape[:3])
    boxes = np.where(shown[..., None], boxes, 0).astype(np.float32)
    noise = rng.integers(-2, 3, (CLIPS, FRAMES, OBJECTS, 2))
    found = boxes + np.tile(noise, 2)
    presence = np.where(rng.random(boxes.shape[:3]) < 0.2, ~shown, shown)

    def slots(values):
        return np.concatenate([np.zeros_like(values[:, :, :1]), values], 2)

    return {
        "labels": {
            "video": rng.integers(
                0, 255, (CLIPS, FRAMES, SIZE, SIZE, 1), np.uint8
            ),
            "num_objects": count,
            "visibility": shown.astype(np.uint8),
            "position": (boxes[..., :2] + boxes[..., 2:]) / 2,
            "boxes": boxes,
        },
        "says": {
            "presence": np.concatenate(
                [
                    np.ones((CLIPS, FRAMES, 1)),
                    np.where(presence, 0.9, 0.3),
                ],
                2,
            ).astype(np.float32),
            "boxes": slots(found),
            "locations": slots((found[..., :2] + found[..., 2:]) / 2),
        },
    }


class Finder:
    """Says of each clip what a table holds; bounds it by its number."""

    channels = 1
    looks_ahead = False

    def __init__(self, says, first=0):
        self.says = says
        self.first = first
        self.traced = []
        self.bounded = []

    def __call__(self, inputs, training=False):
        self.traced.append(training)
        return self._outputs(inputs["seed"], 0, tf.shape(inputs["video"])[1])

    def rollout(self, inputs, num_frames):
        start = tf.shape(inputs["video"])[1]
        return self._outputs(inputs["seed"], start, start + num_frames)

    def _outputs(self, seed, start, stop):
        number = tf.minimum(seed[:, 1], CLIPS - 1)
        outputs = {
            name: tf.gather(values, number)[:, start:stop]
            for name, values in self.says.items()
        }
        return {**outputs, "nll": tf.cast(seed[:, 1], tf.float32)}

    def log_likelihood_bound(self, inputs, num_samples=100):
        self.bounded.append(num_samples)
        video = tf.cast(inputs["video"], tf.float32) / 255.0
        total = tf.reduce_sum(video, axis=[1, 2, 3, 4])
        return -total - 1 / num_samples


def _opened(scenes, labels=LABELS, opened=None):
    """As `clips.open_stored`, from arrays; `scenes` by split."""

    def open_clips(condition, model, batch_size):
        if condition.split not in scenes:
            raise ValueError(f"no split {condition.split!r}")
        if opened is not None:
            opened.append(condition.split)
        stored = scenes[condition.split]["labels"]
        return batches(stored, condition, batch_size)

    def batches(stored, condition, batch_size):
        end = condition.num_frames
        if end is not None:
            end += condition.num_predicted
        for start in range(0, CLIPS, batch_size):
            index = np.arange(start, start + batch_size)
            valid = index < CLIPS
            batch = {name: stored[name] for name in ("video", *labels)}
            for name, value in batch.items():
                kept = value[np.where(valid, index, 0)]
                kept[~valid] = 0  # as the pipeline pads
                batch[name] = kept if kept.ndim == 1 else kept[:, :end]
            yield {**batch, "clip_index": index, "valid": valid}

    return open_clips


def _evaluate(scenes, protocol=None, labels=LABELS, batch_size=4, says=None):
    return evaluate(
        Finder(says or scenes["says"]),
        protocol or Protocol(),
        trained_on="a_set",
        batch_size=batch_size,
        open_clips=_opened({"test": scenes}, labels),
    )


def _loop(scenes, first=0, last=FRAMES):
    """All scores of each clip, one frame and object after the other."""
    labels, says = scenes["labels"], scenes["says"]
    scores = {"count_accuracy": [], "count_error": [], "location_accuracy": []}
    for b in range(CLIPS):
        difference, close = [], []
        for t in range(first, last):
            used = [
                k for k in range(1, SLOTS) if says["presence"][b, t, k] > 0.5
            ]
            n = int(labels["num_objects"][b])
            difference.append(abs(len(used) - n))
            for centre in labels["position"][b, t, :n]:
                distances = [
                    np.hypot(*(says["locations"][b, t, k] - centre))
                    for k in used
                ]
                close.append(min(distances, default=np.inf) <= 2)
        scores["count_accuracy"].append(np.mean(np.equal(difference, 0)))
        scores["count_error"].append(np.mean(difference))
        scores["location_accuracy"].append(np.mean(close) if close else None)
    return scores


def _mean(values):
    return np.mean([v for v in values if v is not None])


def test_counts_and_places_agree_with_a_loop():
    scenes = _scenes()
    result = _evaluate(scenes)
    for name, expected in _loop(scenes).items():
        found = result["per_clip"][name]
        assert [v is None for v in found] == [v is None for v in expected]
        known = [i for i, v in enumerate(expected) if v is not None]
        np.testing.assert_allclose(
            [found[i] for i in known], [expected[i] for i in known], atol=1e-6
        )
        assert result[name] == pytest.approx(_mean(expected)), name
    assert 0 < result["box_miou"] < 1
    assert len(result["per_frame"]["count_error"]) == FRAMES
    json.dumps(result, allow_nan=False)


def test_a_clip_without_objects_has_no_share_of_centres():
    result = _evaluate(_scenes())
    for name in ("location_accuracy", "box_miou"):
        assert result["per_clip"][name][2] is None
        assert result[name] == pytest.approx(
            _mean(result["per_clip"][name]), abs=1e-6
        )


def test_without_any_object_there_is_no_share_but_a_count():
    scenes = _scenes(count=0)
    result = _evaluate(scenes)
    assert result["location_accuracy"] is None
    assert result["box_miou"] is None
    assert result["count_accuracy"] == pytest.approx(
        _mean(_loop(scenes)["count_accuracy"])
    )


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 16])
def test_padded_batches_change_no_score(batch_size):
    scenes = _scenes()
    protocol = Protocol(bound_samples=5)
    result = _evaluate(scenes, protocol, batch_size=batch_size)
    whole = _evaluate(scenes, protocol, batch_size=CLIPS)
    assert result["per_clip"] == whole["per_clip"]
    assert result["num_clips"] == CLIPS


def test_a_perfect_model_is_perfect():
    scenes = _scenes()
    labels = scenes["labels"]
    pad = [(0, 0), (0, 0), (1, 0)]
    says = {
        "presence": np.pad(labels["visibility"], pad, constant_values=1).astype(
            np.float32
        ),
        "boxes": np.pad(labels["boxes"], [*pad, (0, 0)]),
    }
    result = _evaluate(scenes, says=says)
    # Without locations the centres of the boxes are the places.
    for name in ("count_accuracy", "location_accuracy", "box_miou"):
        assert result[name] == 1.0
    assert result["count_error"] == 0.0


def test_locations_go_before_the_centres_of_boxes():
    scenes = _scenes()
    says = {**scenes["says"], "boxes": scenes["says"]["boxes"] + 100}
    result = _evaluate(scenes, says=says)
    assert result["location_accuracy"] == pytest.approx(
        _mean(_loop(scenes)["location_accuracy"])
    )
    assert result["box_miou"] == 0.0


@pytest.mark.parametrize(
    "labels, absent",
    [
        ((), ("count_accuracy", "location_accuracy", "box_miou")),
        (("num_objects",), ("location_accuracy", "box_miou")),
        (("num_objects", "position"), ("box_miou",)),
        (("visibility", "boxes"), ("location_accuracy",)),
        (("num_objects", "position", "boxes"), ()),
    ],
)
def test_labels_that_a_set_lacks_leave_out_what_needs_them(labels, absent):
    scenes = _scenes()
    result, whole = _evaluate(scenes, labels=labels), _evaluate(scenes)
    for name in ("count_accuracy", "location_accuracy", "box_miou"):
        if name in absent:
            assert name not in result
        else:
            assert result["per_clip"][name] == whole["per_clip"][name]


def test_a_model_without_presence_gets_no_counts():
    scenes = _scenes()
    result = _evaluate(scenes, says={"boxes": scenes["says"]["boxes"]})
    assert not {"count_accuracy", "box_miou"} & set(result)
    assert "nll" in result


def test_hidden_objects_need_not_be_found():
    scenes = _scenes(count=3)
    scenes["labels"]["visibility"][:, :, 0] = 0
    hidden = _evaluate(scenes)
    found = scenes["says"]["presence"][:, :, 1:] > 0.5
    right = found.sum(2) == scenes["labels"]["visibility"].sum(2)
    assert hidden["count_accuracy"] == pytest.approx(right.mean())


def test_skipped_frames_are_not_counted():
    scenes = _scenes()
    result = _evaluate(scenes, Protocol(skip_frames=2))
    for name, expected in _loop(scenes, first=2).items():
        assert result[name] == pytest.approx(_mean(expected)), name


def test_objects_of_predicted_frames_are_scored_against_their_own_labels():
    scenes = _scenes()
    result = _evaluate(scenes, Protocol(num_frames=1, num_predicted=2))
    for name, expected in _loop(scenes, first=1).items():
        assert result[name] == pytest.approx(_mean(expected)), name
    for name, expected in _loop(scenes, last=1).items():
        assert result["observed"][name] == pytest.approx(_mean(expected))


def test_presence_that_is_not_finite_names_the_clip():
    scenes = _scenes()
    scenes["says"]["presence"][4, 1, 2] = np.nan
    with pytest.raises(ValueError, match="presence of clip 4 is not finite"):
        _evaluate(scenes)


# ---- the bound --------------------------------------------------------------


def test_the_bound_is_reported_in_nats_per_clip():
    scenes = _scenes()
    result = _evaluate(scenes, Protocol(bound_samples=5))
    video = scenes["labels"]["video"] / 255.0
    expected = video.sum((1, 2, 3, 4)) + 1 / 5
    np.testing.assert_allclose(
        result["per_clip"]["nll_bound"], expected, rtol=1e-5
    )
    assert result["nll_bound"] == pytest.approx(expected.mean(), rel=1e-6)
    assert result["bound_samples"] == 5
    assert result["protocol"]["bound_samples"] == 5


@pytest.mark.parametrize("samples", [None, 0])
def test_no_samples_mean_no_bound(samples):
    result = _evaluate(_scenes(), Protocol(bound_samples=samples))
    assert not {"nll_bound", "bound_samples"} & set(result)


def test_a_model_without_a_bound_is_refused_before_anything_is_read():
    class Boundless(Finder):
        log_likelihood_bound = property()

    scenes, opened = _scenes(), []
    with pytest.raises(ValueError, match="Boundless has no log_likelihood_b"):
        Evaluator(
            Boundless(scenes["says"]),
            Protocol(conditions=[{}, {"bound_samples": 9}]),
            trained_on="a_set",
            open_clips=_opened({"test": scenes}, opened=opened),
        )
    assert not opened


def test_a_bound_that_is_not_finite_names_the_clip():
    class Broken(Finder):
        def log_likelihood_bound(self, inputs, num_samples=100):
            bound = super().log_likelihood_bound(inputs, num_samples)
            return tf.where(inputs["seed"][:, 1] == 3, np.inf, bound)

    scenes = _scenes()
    with pytest.raises(ValueError, match="nll_bound of clip 3 is not finite"):
        evaluate(
            Broken(scenes["says"]),
            Protocol(bound_samples=2),
            trained_on="a_set",
            open_clips=_opened({"test": scenes}),
        )


def test_each_length_has_a_bound_of_its_own():
    scenes = _scenes()
    result = _evaluate(
        scenes,
        Protocol(
            bound_samples=5, conditions=[{"num_frames": 1}, {"num_frames": 3}]
        ),
    )
    video = scenes["labels"]["video"] / 255.0
    for condition in result["conditions"]:
        frames = video[:, : condition["num_frames"]]
        assert condition["nll_bound"] == pytest.approx(
            frames.sum() / CLIPS + 1 / 5, rel=1e-6
        )


# ---- conditions of other splits ---------------------------------------------

LAVAE = Protocol(
    name="lavae",
    bound_samples=100,
    conditions=[{"split": "test"}, {"split": "test7", "bound_samples": 0}],
)


def _on_two_splits(scenes, opened=None):
    model = Finder(scenes["test"]["says"])
    evaluator = Evaluator(
        model,
        LAVAE,
        trained_on="a_set",
        batch_size=4,
        open_clips=_opened(scenes, opened=opened),
    )
    return model, evaluator


def test_the_own_split_is_the_headline_and_others_stand_among_conditions():
    scenes = {"test": _scenes(0), "test7": _scenes(1, count=OBJECTS)}
    model, evaluator = _on_two_splits(scenes)
    result = evaluator.run()
    own, crowd = result["conditions"]
    assert [c["split"] for c in (own, crowd)] == ["test", "test7"]
    assert "nll_bound" in own and "nll_bound" not in crowd
    assert result["split"] == "test"
    for name in ("nll_bound", "count_accuracy", "location_accuracy"):
        assert result[name] == own[name]
    assert crowd["count_accuracy"] != own["count_accuracy"]
    assert set(model.bounded) == {100}


def test_both_splits_share_the_compiled_model_and_none_compiles_again():
    scenes = {"test": _scenes(0), "test7": _scenes(1, count=OBJECTS)}
    model, evaluator = _on_two_splits(scenes)
    first = evaluator.run()
    traces = len(model.traced), len(model.bounded)
    again = evaluator.run()
    assert (len(model.traced), len(model.bounded)) == traces == (1, 1)
    assert again["conditions"] == first["conditions"]


def test_a_missing_split_shows_before_the_first_one_is_scored():
    model, evaluator = _on_two_splits({"test": _scenes()})
    with pytest.raises(ValueError, match="no split 'test7'"):
        evaluator.run()
    assert not model.traced


# ---- a stored set -----------------------------------------------------------


class Two:
    """Sees two objects in every picture, in the middle of its halves."""

    channels = 3

    def __call__(self, inputs, training=False):
        shape = tf.shape(inputs["video"])[:2]
        size = inputs["video"].shape[2]
        places = [[0, 0], [size / 2, size / 4], [size / 2, 3 * size / 4]]
        places = tf.constant(places, tf.float32)
        return {
            "presence": tf.ones([*tf.unstack(shape), 3]),
            "locations": tf.broadcast_to(places, [*tf.unstack(shape), 3, 2]),
        }


def test_the_lavae_protocol_counts_on_both_splits_of_a_stored_set(tmp_path):
    name = "multi_dsprites/lavae_tiny"
    builders.prepare(name, tmp_path, progress=False)
    protocol = Protocol(conditions=[{"split": "test"}, {"split": "test7"}])
    result = evaluate(
        Two(),
        protocol,
        trained_on=name,
        batch_size=5,
        open_clips=clips.opener(tmp_path),
    )
    own, crowd = result["conditions"]
    # As many pictures of 0 as of 1, 2 and 3 objects, and seven in each.
    assert own["count_accuracy"] == 0.25
    assert own["count_error"] == 1.0
    assert crowd["count_accuracy"] == 0.0
    assert crowd["count_error"] == 5.0
    assert own["per_clip"]["location_accuracy"].count(None) == (
        own["num_clips"] // 4
    )
    assert None not in crowd["per_clip"]["location_accuracy"]
