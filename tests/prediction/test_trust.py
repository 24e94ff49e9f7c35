"""How far to trust a prediction."""

import json
import types

import numpy as np
import pytest

import tfdecomp
from tests.models.tiny import tiny_lavae
from tfdecomp import builders
from tfdecomp.motion.detections import FILLED, Linked
from tfdecomp.prediction import runner, trust
from tfdecomp.prediction.finding import Found
from tfdecomp.prediction.fit import Fit
from tfdecomp.prediction.tracking import Tracked
from tfdecomp.sharing import hub

REFERENCE = {
    "clips": 200,
    "drawn": 0.6,
    "explained": 0.5,
    "empty": 0.02,
    "error": 0.2,
    "blank": 0.0,
}


def square(side=20, value=200, ground=0):
    """A picture `[side, side, 3]` with a square of a quarter of its area."""
    picture = np.full((side, side, 3), ground, np.uint8)
    picture[: side // 2, : side // 2] = value
    return picture


def gauge(picture, *frames, background=0):
    """A `Gauge` after frames with these outputs."""
    size = picture.shape[:2]
    fit = Fit(size, size, picture.shape[-1])
    result = trust.Gauge(fit, background)
    for outputs in frames:
        result.add(picture, outputs)
    return result


def masks(*parts):
    """`[K, h, w, 1]` of slots; the background is what they leave."""
    parts = np.stack(parts).astype(np.float32)
    return np.concatenate([1 - parts.sum(0)[None], parts])[..., None]


def test_a_perfect_drawing_is_all_drawn_and_one_of_the_mean_is_nothing():
    picture = square()
    seen = picture / 255
    perfect = gauge(picture, {"recon": seen}).measures()
    assert perfect == pytest.approx({"drawn": 1, "error": 0}, abs=1e-6)
    flat = np.broadcast_to(seen.mean((0, 1)), seen.shape)
    assert gauge(picture, {"recon": flat}).measures()["drawn"] == pytest.approx(
        0, abs=0.01
    )
    # A black drawing misses the mean, too.
    black = gauge(picture, {"recon": 0 * seen}).measures()
    assert black["drawn"] < -0.3
    # And all of what is there: the square differs by 200 of 255.
    assert black["error"] == pytest.approx(200 / 255, abs=1e-6)


def test_a_drawing_of_one_colour_matches_a_picture_of_one_colour():
    black = np.zeros((8, 8, 3), np.uint8)
    right = gauge(black, {"recon": np.zeros((8, 8, 3))}).measures()
    assert right == {"drawn": 1.0}
    wrong = gauge(black, {"recon": np.full((8, 8, 3), 0.5)}).measures()
    assert wrong["drawn"] < -100


def test_what_objects_own_is_counted_over_frames():
    picture = square()
    own = (picture > 0).all(-1)
    half, corner = own.copy(), np.zeros_like(own)
    half[:, 5:] = False
    corner[15:, 15:] = True
    measured = gauge(
        picture, {"masks": masks(own)}, {"masks": masks(half, corner)}
    ).measures()
    # 100 of 100 pixels, then 50; three objects, of which one is on nothing.
    assert measured == {
        "explained": pytest.approx(0.75),
        "empty": pytest.approx(1 / 3),
    }


def test_bars_are_no_part_of_the_picture():
    fit = Fit((20, 40), (20, 20), 3)
    picture = fit.picture(np.full((20, 40, 3), 90, np.uint8))
    result = trust.Gauge(fit)
    result.add(picture, {"recon": picture / 255})
    # With the bars it would show a bright band on black.
    assert result.blank == 1


def test_slots_are_full_where_every_one_but_the_background_is_taken():
    picture = square()
    frames = [
        {"presence": np.array([1, *rest])} for rest in ([1, 0.9], [1, 0.2])
    ]
    assert gauge(picture, *frames).measures() == {"full": 0.5}


@pytest.mark.parametrize(
    ("figures", "level"),
    [
        ({"drawn": 0.9, "error": 0.7, "explained": 0.8}, "good"),
        ({"drawn": 0.59}, "doubtful"),
        ({"drawn": 0.29}, "bad"),
        ({"drawn": -4.0}, "bad"),
        ({"drawn": float("nan")}, "bad"),
        ({"error": 1.5}, "doubtful"),
        ({"error": 2.5}, "bad"),
        ({"error": float("nan")}, "bad"),
        ({"explained": 0.4}, "doubtful"),
        ({"explained": 0.2}, "bad"),
        ({"empty": 0.04}, "good"),
        ({"empty": 0.2}, "doubtful"),
        ({"empty": 0.3}, "bad"),
        ({"blank": 1.0}, "bad"),
        ({"drawn": 0.9, "error": 1.5, "explained": 0.1}, "bad"),
    ],
)
def test_a_level_is_that_of_the_worst_figure(figures, level):
    found = trust.judge(figures, limits=trust.limits_of(REFERENCE))
    assert found["level"] == level
    assert found["alarm"] == (level == "bad")
    assert ("tfdecomp fit" in found["sentence"]) == (level == "bad")


def test_the_sentence_names_the_worst_figure_first():
    figures = {"drawn": -0.3, "error": 1.5, "explained": 0.9}
    found = trust.judge(figures, limits=trust.limits_of(REFERENCE))
    assert found["sentence"] == (
        "do not trust it: 0.0 % of what the pictures show is in the model's "
        "drawing of them; 1.50 times the error of the model's own data; train "
        "it on this scene with 'tfdecomp fit'"
    )
    names = [name for name, _, _ in found["figures"]]
    assert names == ["drawn", "explained", "error"]


def test_tracks_that_leave_half_of_what_moves_are_not_trusted():
    good = {"explained": 0.9, "empty": 0.0, "objects": 3.0}
    assert trust.judge(good)["level"] == "good"
    assert trust.judge({**good, "explained": 0.7})["level"] == "doubtful"
    assert trust.judge({**good, "explained": 0.4})["level"] == "bad"
    assert trust.judge({**good, "filled": 0.5})["level"] == "bad"
    found = trust.judge({**good, "objects": 0.0})
    assert found["level"] == "bad" and "no object" in found["sentence"]


def test_a_reference_is_what_one_clip_in_a_hundred_is_beyond():
    gauges = []
    picture = square()
    for n in range(101):  # errors of 0 to 100 of 200 grey levels
        drawing = np.where(picture > 0, picture - float(n), 0) / 255
        gauges.append(gauge(picture, {"recon": drawing}))
    reference = trust.reference_of(gauges)
    assert reference["clips"] == 101 and reference["blank"] == 0
    assert reference["error"] == pytest.approx(99 / 255, abs=1e-4)
    # Deviation of a quarter of the pixels: 200^2 (1/4) (3/4).
    missed = 99**2 / 4 / (200**2 * 3 / 16)
    assert reference["drawn"] == pytest.approx(1 - missed, abs=1e-3)
    alarms = [g.verdict(reference)["alarm"] for g in gauges]
    assert sum(alarms) == 0
    doubtful = [g.verdict(reference)["level"] != "good" for g in gauges]
    assert sum(doubtful) == 1


def test_blank_pictures_are_an_alarm_unless_the_models_data_have_as_many():
    black = np.zeros((8, 8, 1), np.uint8)
    outputs = {"recon": np.zeros((8, 8, 1))}
    one, many = gauge(black, outputs), gauge(black, *[outputs] * 16)
    some = {**REFERENCE, "blank": 0.2}
    assert one.verdict(REFERENCE)["alarm"]
    assert not one.verdict(some)["alarm"]
    # Sixteen in a row would be rare even there.
    assert many.verdict(some)["alarm"]
    assert "show nothing" in many.verdict(some)["sentence"]


def test_nothing_cannot_be_judged():
    with pytest.raises(ValueError, match="no frame was read"):
        gauge(square()).verdict()
    with pytest.raises(ValueError, match="needs clips"):
        trust.reference_of([])


def test_a_prediction_says_how_far_to_trust_it(tmp_path, caplog):
    loaded = hub.Loaded(tiny_lavae.tiny(), {"reference": REFERENCE})
    noise = np.random.default_rng(0).integers(0, 256, (5, 30, 30, 3), np.uint8)
    record = loaded.predict(noise, tmp_path / "out")
    stored = json.loads((tmp_path / "out" / "prediction.json").read_text())
    assert record["trust"]["level"] == stored["trust"]["level"] == "bad"
    assert "tfdecomp fit" in stored["trust"]["sentence"]
    assert "tfdecomp fit" in caplog.text
    parts = loaded.decompose(noise)
    assert parts["trust"] == record["trust"]


def test_the_part_of_an_interrupted_video_is_judged(tmp_path):
    loaded = hub.Loaded(tiny_lavae.tiny(), {})
    black = np.zeros((5, 12, 12, 3), np.uint8)
    record = loaded.predict(black, tmp_path / "out", should_stop=lambda: True)
    assert record["num_frames"] == 1 and record["state"] == "interrupted"
    assert record["trust"]["numbers"]["blank"] == 1


def texture(height, width, frames=4):
    """A still with the spectrum of photographs, 1 / f."""
    rng = np.random.default_rng(5)
    down, across = np.fft.fftfreq(height), np.fft.fftfreq(width)
    frequency = np.hypot(*np.meshgrid(down, across, indexing="ij"))
    frequency[0, 0] = 1
    noise = rng.normal(size=(3, height, width))
    picture = np.fft.ifft2(np.fft.fft2(noise) / frequency).real
    picture /= picture.std(axis=(1, 2), keepdims=True)
    picture = np.clip(115 + 50 * picture, 0, 255).astype(np.uint8)
    return np.repeat(picture.transpose(1, 2, 0)[None], frames, axis=0)


ONE_PASS = [
    name
    for name, info in tfdecomp.list_models().items()
    if info.get("sees", "frames") == "frames"
]


@pytest.mark.parametrize("name", ONE_PASS)
def test_every_shipped_model_knows_the_figures_of_its_own_data(name):
    reference = tfdecomp.list_models()[name]["reference"]
    assert reference["clips"] >= 100
    draws = tfdecomp.list_models()[name]["model"] != "ConnectedComponents"
    assert ("drawn" in reference) == draws
    for key in trust.limits_of(reference):
        low, high = sorted(trust.limits_of(reference)[key])
        assert low < high, key
    if draws:  # one colour must never pass for a drawing
        assert 0.1 < reference["drawn"] < 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("iodine_tetrominoes_quick", "tetrominoes/quick14"),
        ("lavae_digits_quick", "multi_digits/digits_quick"),
        ("connected_components", "scattered_shapes/quick"),
    ],
)
def test_a_shipped_model_warns_of_what_it_does_not_know(name, data):
    loaded = tfdecomp.load(name)

    def alarm(video):
        return loaded.decompose(video, chunk=8)["trust"]["alarm"]

    rng = np.random.default_rng(3)
    assert alarm(np.zeros((8, 40, 50, 3), np.uint8))
    assert alarm(np.full((8, 40, 50, 3), 255, np.uint8))
    assert alarm(rng.integers(0, 256, (4, 60, 80, 3), np.uint8))
    assert alarm(texture(120, 160))
    split = "test_n03" if data.startswith("scattered") else "test"
    clips = builders.fresh_clips(data, split, seed=13, num_clips=24)
    alarms = [alarm(clip["video"]) for clip in clips]
    # Of one in a hundred, two among 24 are a chance of one in forty.
    assert sum(alarms) <= 1


def test_what_is_not_a_number_alarms_and_is_still_json():
    picture = square()
    broken = gauge(picture, {"recon": np.full(picture.shape, np.nan)})
    verdict = broken.verdict(REFERENCE)
    assert verdict["level"] == "bad" and verdict["alarm"]
    json.dumps(verdict, allow_nan=False)
    assert verdict["numbers"]["drawn"] is None


@pytest.mark.parametrize(
    "reference",
    [
        [0.5],
        "good",
        {"error": "small"},
        {"error": float("nan")},
        {"drawn": None},
        {"explained": [1]},
        {"blank": 1e300},
    ],
)
def test_a_strangers_reference_is_numbers_or_refused(reference):
    with pytest.raises(ValueError, match="reference"):
        trust.check_reference(reference)
    with pytest.raises(hub.HubError, match="damaged"):
        hub.Loaded(None, {"reference": reference}).reference  # noqa: B018


def test_a_proper_reference_or_none_is_taken():
    for reference in (None, REFERENCE, {"dataset": "a/b", "clips": 3}):
        trust.check_reference(reference)
        assert hub.Loaded(None, {"reference": reference}).reference == reference
    for info in hub.list_models().values():
        trust.check_reference(info.get("reference"))


def test_a_fitted_model_is_not_advised_to_be_fitted():
    figures = {"explained": 0.1}
    assert "tfdecomp fit" in trust.judge(figures)["sentence"]
    assert "tfdecomp fit" not in trust.judge(figures, False)["sentence"]


def tracked(*frames, errors=None, explained=None, blobs=()):
    """What tracking leaves; a frame is a list of `(box, area)`.

    An area of None is a place that was filled in.
    """
    detections, linked = [], []
    for frame in frames:
        boxes = np.array([box for box, _ in frame], float).reshape(-1, 4)
        own = [n for n, (_, area) in enumerate(frame) if area is not None]
        sources = np.full(len(frame), FILLED)
        sources[own] = np.arange(len(own))
        ids = np.arange(1, len(frame) + 1)
        linked.append(Linked(ids, boxes, sources, np.zeros(len(frame))))
        areas = np.array([frame[n][1] for n in own], float)
        detections.append(types.SimpleNamespace(areas=areas))
    count = len(frames)
    found = Found(
        numbers=list(range(count)),
        times=[],
        detections=detections,
        slots=[],
        maps=None,
        baseline=[
            types.SimpleNamespace(boxes=np.array(b, float).reshape(-1, 4))
            for b in blobs
        ],
        errors=[0.1] * count if errors is None else errors,
        explained=[1.0] * count if explained is None else explained,
        full=[False] * count,
        num_slots=5,
    )
    return Tracked(found, linked, [], [])


HERE, NEAR, THERE = (0, 0, 10, 10), (0, 3, 10, 13), (0, 6, 10, 16)


def test_objects_in_the_place_of_another_are_doubled():
    both = [(HERE, 50), (NEAR, 50), (THERE, 50)]
    figures = trust.figures_of(tracked(both, [(HERE, 50)]))
    # NEAR shares 70 of 130 pixels with HERE and with THERE, these 40 of 160.
    assert figures["doubled"] == 2 / 4
    filled = [(HERE, 50), (NEAR, None)]
    assert trust.figures_of(tracked(filled))["doubled"] == 0
    assert trust.figures_of(tracked([(HERE, 50)]))["doubled"] == 0
    options = runner.Options()
    verdict = trust.verdict(tracked(both, both), options)
    assert verdict["alarm"] and "66.7 % of the objects" in verdict["sentence"]


def test_a_place_inside_of_a_blob_was_not_filled_in_where_nothing_is():
    frames = [(HERE, 50), (NEAR, None)], [(HERE, None), (THERE, 50)]
    blobs = [HERE], [(0, 30, 10, 40)]
    figures = trust.figures_of(tracked(*frames, blobs=blobs))
    assert figures["shared"] == figures["filled"] == 1 / 4
    options = runner.Options()
    most = tracked(*3 * [[(HERE, None), (NEAR, None)]], blobs=3 * [[HERE]])
    verdict = trust.verdict(most, options)
    assert verdict["level"] == "doubtful" and not verdict["alarm"]
    assert "told apart inside of a blob" in verdict["sentence"]


def test_the_figures_of_tracks_are_shares_of_all_places():
    frames = [(HERE, 0), (THERE, 9)], [(HERE, None), (THERE, 9)], []
    figures = trust.figures_of(
        tracked(*frames, errors=[0.1, 0.3, np.nan], explained=[1, 0.5, np.nan]),
        {"error": 0.4},
    )
    assert figures == {
        "explained": 0.75,
        "error": pytest.approx(0.5),
        "empty": 0.25,
        "filled": 0.25,
        "doubled": 0,
        "full": 0,
        "objects": pytest.approx(4 / 3),
    }


def test_a_video_has_figures_that_a_hundredth_of_it_is_beyond():
    errors = np.linspace(0.1, 0.2, 300)
    found = tracked(*[[(HERE, 50)]] * 299, [(HERE, 0)], errors=errors.tolist())
    own = trust.reference_of_tracks(found)
    assert own["clips"] == 12  # of 25 frames
    means = errors.reshape(12, 25).mean(1)
    assert own["error"] == pytest.approx(np.quantile(means, 0.99), abs=1e-5)
    assert 0.03 < own["tracks"]["empty"] < 0.04  # in a stretch of 25
    assert own["tracks"]["explained"] == 1 and own["tracks"]["doubled"] == 0
    assert trust.reference_of_tracks(tracked([]))["clips"] == 1
    worse = {**own, "error": 9.0, "tracks": {"explained": 0.5, "empty": 0.0}}
    both = trust.joined_reference([own, worse])
    assert both["clips"] == 24 and both["error"] == 9.0
    assert both["tracks"]["explained"] == 0.5
    assert both["tracks"]["empty"] == own["tracks"]["empty"]
    assert trust.joined_reference([]) is None
    trust.check_reference(json.loads(json.dumps(both)))


def test_another_video_is_compared_with_the_one_that_was_fitted():
    own = {"clips": 9, "error": 0.1, "tracks": {"explained": 0.99}}
    options = runner.Options()
    frames = [[(HERE, 50)]] * 50

    def level(**changes):
        found = tracked(*frames, **changes)
        return trust.verdict(found, options, own)["level"]

    assert level() == "good"
    assert level(errors=[0.12] * 50) == "good"
    assert level(errors=[0.15] * 50) == "doubtful"
    assert level(errors=[0.25] * 50) == "bad"
    assert level(explained=[0.985] * 50) == "good"
    assert level(explained=[0.9] * 50) == "doubtful"


@pytest.mark.parametrize("name", ["explained", "empty", "doubled", "filled"])
def test_a_bad_fit_does_not_excuse_a_bad_prediction(name):
    own = {"clips": 9, "tracks": {name: 0.4}}
    doubtful, bad = trust.limits_of_tracks(own)[name]
    assert (doubtful, bad) == trust.LIMITS[name]


@pytest.mark.parametrize(
    "own", [7, {"explained": "all"}, {"empty": -1}, {"doubled": float("inf")}]
)
def test_a_strangers_figures_of_tracks_are_shares_or_refused(own):
    with pytest.raises(ValueError, match="of the reference is"):
        trust.check_reference({"tracks": own})
