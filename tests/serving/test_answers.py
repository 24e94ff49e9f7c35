"""A decomposition as JSON and as arrays: nothing is lost on the way."""

import io
import json

import numpy as np
import pytest

from tfdecomp.prediction.files.tracks import Object
from tfdecomp.serving import answers
from tfdecomp.serving.refusals import Refused

RNG = np.random.default_rng(0)
OUTPUTS = {
    "slots": RNG.normal(size=(2, 3, 4)).astype(np.float32),
    "masks": RNG.random((2, 3, 5, 5, 1)).astype(np.float32),
    "loss": np.float32(1 / 3),
    "state": {"hidden": np.zeros(3)},
}
BOX = np.array([1.0, 2.0, 3.5, 4.0])
FOUND = Object(7, 1, BOX, 6, np.ones([5, 5], bool), 0.75)
TRACKED = OUTPUTS | {
    "tracks": [[FOUND], []],
    "trust": {"level": "good", "numbers": {"drawn": np.float64(0.5)}},
}


def test_numbers_of_json_are_those_of_the_model_to_the_bit():
    answer = json.loads(answers.of(OUTPUTS, "balls", "json"))
    assert answer["model"] == "balls"
    assert set(answer["outputs"]) == {"slots", "loss"}
    slots = np.float32(answer["outputs"]["slots"])
    assert slots.tobytes() == OUTPUTS["slots"].tobytes()
    assert np.float32(answer["outputs"]["loss"]) == OUTPUTS["loss"]


def test_json_has_what_is_asked_for():
    answer = json.loads(answers.of(OUTPUTS, "a", "json", ["masks"]))
    assert list(answer["outputs"]) == ["masks"]
    np.testing.assert_array_equal(
        np.float32(answer["outputs"]["masks"]), OUTPUTS["masks"]
    )


def test_what_is_no_number_is_null_and_the_json_is_valid():
    odd = {"loss": np.array([0.5, np.nan, np.inf])}
    text = answers.of(odd, "a", "json")
    assert b"NaN" not in text and b"Infinity" not in text
    assert json.loads(text)["outputs"]["loss"] == [0.5, None, None]


def test_objects_come_frame_by_frame_without_their_masks():
    answer = json.loads(answers.of(TRACKED, "a", "json"))
    assert answer["tracks"] == [
        [
            {
                "id": 7,
                "slot": 1,
                "box": [1.0, 2.0, 3.5, 4.0],
                "area": 6,
                "presence": 0.75,
                "filled": False,
                "doubt": None,
            }
        ],
        [],
    ]
    assert answer["trust"] == {"level": "good", "numbers": {"drawn": 0.5}}


def test_arrays_are_read_without_pickle_and_are_all_there():
    body = answers.of(TRACKED, "balls", "npz")
    with np.load(io.BytesIO(body), allow_pickle=False) as stored:
        assert stored["masks"].tobytes() == OUTPUTS["masks"].tobytes()
        assert stored["tracks_frame"].tolist() == [0]
        np.testing.assert_array_equal(stored["tracks_box"], [BOX])
        about = json.loads(str(stored["about"]))
    assert about["model"] == "balls" and about["trust"]["level"] == "good"


def test_a_key_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(Refused, match="no 'boxs'; keys may be loss, masks"):
        answers.of(OUTPUTS, "a", "json", ["boxs"])


def test_json_of_millions_of_numbers_is_refused_and_arrays_are_not():
    large = {"recon": np.zeros([1, 2001, 2000], np.float32)}
    with pytest.raises(Refused, match="ask for format=npz") as caught:
        answers.of(large, "a", "json", ["recon"])
    assert caught.value.status == 413
    assert len(answers.of(large, "a", "npz")) > 4 * 4_000_000


@pytest.mark.parametrize(
    ("wanted", "accepts", "kind"),
    [
        (None, "", "json"),
        (None, "*/*", "json"),
        (None, "application/x-npz;q=0.9, text/html", "npz"),
        ("json", "application/x-npz", "json"),
        ("npz", "application/json", "npz"),
    ],
)
def test_the_format_is_the_one_named_or_else_the_one_accepted(
    wanted, accepts, kind
):
    assert answers.format_of(wanted, accepts) == kind
