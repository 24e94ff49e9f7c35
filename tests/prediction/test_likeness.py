"""Learning what tells animals apart, from nothing but who was beside whom."""

import numpy as np
import pytest

from tfdecomp.motion.detections import Detections
from tfdecomp.prediction import finding, likeness
from tfdecomp.prediction.likeness import Likeness, contrast
from tfdecomp.prediction.memory import FrameMaps

COUNT = 3


def portraits(frames=120, seed=0, differ=True):
    """Bars of different widths and greys, noisy; who; and when."""
    random = np.random.default_rng(seed)
    who = np.tile(np.arange(COUNT), frames)
    times = np.repeat(np.arange(frames), COUNT)
    pictures = random.normal(0, 4, (len(who), 16, 12, 3))
    for picture, animal in zip(pictures, who):
        wide = 1 + animal if differ else 2
        start = random.integers(2, 5)
        picture[start : start + 10, 6 - wide : 6 + wide] -= 50.0
    return np.clip(pictures, -127, 127).astype(np.int8), who, times


def test_the_contrast_is_that_of_a_loop():
    random = np.random.default_rng(0)
    one, two = random.normal(size=(2, 5, 3)).astype(np.float32)
    moment = np.array([0, 0, 1, 1, 1], np.int32)
    losses = []
    for here, there in ((one, two), (two, one)):
        for i in range(5):
            rivals = np.flatnonzero(moment == moment[i])
            gap = ((here[i] - there[rivals]) ** 2).sum(-1)
            own = ((here[i] - there[i]) ** 2).sum()
            losses.append(own + np.log(np.exp(-gap).sum()))
    result = float(contrast(one, two, moment))
    assert result == pytest.approx(np.mean(losses), rel=1e-5)


def test_portraits_of_one_animal_come_near_each_other(monkeypatch):
    monkeypatch.setattr(likeness, "STEPS", 150)
    pictures, who, times = portraits()
    # Tracks end halfway: nobody says who goes on as whom.
    stretch = who + COUNT * (times >= 60)
    features = Likeness(pictures, times).describe(stretch)
    means = np.array([features[stretch == s].mean(0) for s in range(2 * COUNT)])
    gap = np.linalg.norm(means[:COUNT, None] - means[None, COUNT:], axis=-1)
    assert (gap.argmin(1) == np.arange(COUNT)).all()
    own, others = np.diag(gap), gap[~np.eye(COUNT, dtype=bool)]
    assert own.max() < 0.5 * others.min()


def test_what_was_learned_is_the_same_twice(monkeypatch):
    monkeypatch.setattr(likeness, "STEPS", 5)
    pictures, who, times = portraits(40)
    one, two = (Likeness(pictures, times, 3).describe(who) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    other = Likeness(pictures, times, 4).describe(who)
    assert np.abs(one - other).max() > 1e-3


def test_nothing_is_learned_of_those_never_seen_together():
    pictures, who, times = portraits(40)
    assert Likeness(pictures, times).describe(np.full(len(who), -1)) is None
    assert Likeness(pictures, np.arange(len(who))).describe(who) is None
    short = np.where(times < 5, who, -1)
    assert Likeness(pictures, times).describe(short) is None


def test_a_stop_ends_the_learning():
    pictures, who, times = portraits(40)
    asked = []

    def stop():
        asked.append(1)
        return len(asked) > 3

    assert Likeness(pictures, times, should_stop=stop).describe(who) is None
    assert len(asked) == 4


def test_pictures_without_anything_in_them_are_borne(monkeypatch):
    monkeypatch.setattr(likeness, "STEPS", 2)
    pictures, who, times = portraits(40)
    features = Likeness(np.zeros_like(pictures), times).describe(who)
    assert np.isfinite(features).all()


def test_an_album_numbers_portraits_and_leaves_out_frames_of_too_many(
    tmp_path, monkeypatch
):
    found = finding.Found(
        [], [], [], [], FrameMaps(tmp_path), [], [], [], [], num_slots=3
    )
    assert likeness.album(found) is None
    nothing = Detections(*(np.zeros((0, n)) for n in (4, 0, 0, 0, 0)))
    for number, chosen in enumerate([[0, 2], [], [1]]):
        found.numbers.append(number)
        found.detections.append(nothing)
        shape = (len(chosen), 48, 32, 3)
        pictures = np.full(shape, number, np.int8)
        found.maps.add(
            portraits=pictures,
            portrayed=np.array(chosen),
            clear=np.ones(len(chosen), bool),
        )
    album = likeness.album(found)
    assert album.rows == [{0: 0, 2: 1}, {}, {1: 2}]
    monkeypatch.setattr(likeness, "MOST", 2)  # every second frame
    assert likeness.album(found).rows == [{0: 0, 2: 1}, {}, {1: 2}]
    monkeypatch.setattr(likeness, "MOST", 1)  # every third frame
    assert likeness.album(found).rows == [{0: 0, 2: 1}, {}, {}]
    found.maps.close()


@pytest.mark.parametrize(
    "clear, rows",
    [
        ([True, False, True, True], [{3: 0}, {3: 1, 5: 2}]),
        ([True, False, False, True], [{3: 0, 5: 1}, {3: 2, 5: 3}]),
    ],
)
def test_portraits_with_neighbours_are_used_where_there_are_few_others(
    clear, rows
):
    found = finding.Found(
        [0, 1], [], [], [], FrameMaps(), [], [], [], [], num_slots=3
    )
    for number in range(2):
        found.maps.add(
            portraits=np.full((2, 48, 32, 3), number, np.int8),
            portrayed=np.array([3, 5]),
            clear=np.array(clear[2 * number : 2 * number + 2]),
        )
    assert likeness.album(found).rows == rows
    found.maps.close()
