"""What may be asked of a decomposition, and what arrays may be given."""

import dataclasses
import fractions
import json

import keras
import numpy as np
import pytest

from tfdecomp.models.provide import PROVIDE
from tfdecomp.prediction import options as options_lib
from tfdecomp.prediction.options import Options
from tfdecomp.sharing import hub
from tfdecomp.storage import saving

SIDE = 16
NOT_WHOLE = (True, 1.5, "a", "3", [3], float("nan"), 2 + 0j, np.array([3]))
WHOLE = ("num_slots", "num_refinements", "seed", "chunk", "objects")


@pytest.fixture(scope="module")
def loaded():
    keras.utils.set_random_seed(0)
    model = PROVIDE(
        image_size=SIDE, num_slots=3, num_refinements=2, latent_dim=4, units=8
    )
    return hub.Loaded(saving.build(model), {})


def video(*shape, side=SIDE, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (*shape, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, "auto"),
        ("full", "full"),
        ("0,4095", (0.0, 4095.0)),
        ([0, 9], (0.0, 9.0)),
        (np.array([0, 9]), (0.0, 9.0)),
    ],
)
def test_a_range_is_a_word_or_two_values(given, kept):
    options = Options(range=given)
    assert options.range == kept
    json.dumps(dataclasses.asdict(options))


@pytest.mark.parametrize(
    "given", ["dark", "3,2", "1,2,3", 5, [1], [1, "a"], [0, 10**400], b"x", {}]
)
def test_other_ranges_are_refused(given):
    with pytest.raises(ValueError, match="range"):
        Options(range=given)


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("value", NOT_WHOLE, ids=repr)
def test_counts_are_whole_numbers(name, value):
    with pytest.raises(ValueError, match=f"{name} must be .* without fraction"):
        Options(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", None),
        ("seed", -1),
        ("seed", 2**31),  # an int32 would make another seed of it
        ("seed", 2**32),
        ("chunk", None),
        ("chunk", 0),
        ("num_slots", 0),
        ("num_slots", 10**400),
        ("num_slots", 10**5000),
        ("num_refinements", 10**6),
        ("num_future", -1),
        ("source_fps", None),
        ("source_fps", 0),
        ("fps", "a"),
        ("fps", float("inf")),
        ("fps", 1e-300),
        ("min_area", float("nan")),
        ("object_size", fractions.Fraction(10**400)),
        ("fit", 3),
        ("fit", ["crop"]),
        ("fit", np.array(["crop", "stretch"])),
        ("link", []),
        ("size", np.array([[1, 2]])),
        ("region", 5),
        ("region", {"ymin": 0}),
    ],
    ids=lambda v: (
        str(v)[:20]
        if not isinstance(v, int)
        else f"{v:.0e}"
        if abs(v) < 10**300
        else "huge"
    ),
)
def test_options_that_cannot_be_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"^{name} must be"):
        Options(**{name: value})


def test_numbers_of_numpy_are_those_of_python():
    options = Options(
        num_slots=np.int64(3),
        fps=np.float32(2.5),
        objects=8.0,
        size=np.array([40, 50]),
        region=np.array([0, 0, 8, 8]),
    )
    text = json.dumps(dataclasses.asdict(options))  # refuses NumPy's
    assert '"num_slots": 3' in text and '"objects": 8,' in text
    assert Options(size=np.array(3)).size == 3
    assert options.size == (40, 50) and options.region == [0, 0, 8, 8]


def test_areas_are_in_order():
    assert Options(min_area=5, max_area=5).max_area == 5
    with pytest.raises(ValueError, match="min_area is 6 and max_area 5"):
        Options(min_area=6, max_area=5)


def test_an_option_that_there_is_not_names_the_nearest(loaded, tmp_path):
    for call in (
        lambda: loaded.decompose(video(2), num_slot=3),
        lambda: loaded.predict(video(2), tmp_path / "out", num_slot=3),
        lambda: loaded.gauge(video(2), num_slot=3),
    ):
        with pytest.raises(ValueError, match="did you mean 'num_slots'"):
            call()


@pytest.mark.parametrize("side", [SIDE, SIDE + 4])
def test_options_are_the_same_for_videos_of_any_size(side, loaded):
    clip = video(2, side=side)
    for options in ({"seed": 2**32}, {"seed": None}, {"num_slots": "a"}):
        with pytest.raises(ValueError, match="without fraction"):
            loaded.decompose(clip, **options)


def test_what_is_called_is_a_function(loaded, tmp_path):
    with pytest.raises(ValueError, match="progress must be a function"):
        loaded.predict(video(2), tmp_path / "out", progress=3)
    with pytest.raises(ValueError, match="the output is the path"):
        loaded.predict(video(2), 3)


def test_too_many_slots_say_what_memory_they_would_need(loaded):
    for side in (SIDE, SIDE + 4):
        with pytest.raises(ValueError, match="num_slots.* GiB.*lower"):
            loaded.decompose(video(2, side=side), num_slots=10**7)
    # 16 x 16 pixels of 200 bytes and 2 x 32 more are 68 kB a slot.
    options_lib.check_slots(20_000, (SIDE, SIDE), num_frames=2)
    with pytest.raises(ValueError, match="2.1 GiB"):
        options_lib.check_slots(33_000, (SIDE, SIDE), num_frames=2)


def test_too_many_predicted_frames_say_so_before_any_work(loaded):
    with pytest.raises(ValueError, match="num_future.* GiB"):
        loaded.decompose(video(2), num_future=10**6)


def test_clips_of_any_length_share_one_graph(loaded):
    for shape in ((1,), (5,), (3, 2)):
        loaded.decompose(video(*shape))
    (compiled,) = loaded._of_clips(Options())._compiled.values()
    assert compiled.experimental_get_tracing_count() == 1


@pytest.mark.slow
def test_the_graph_for_any_length_says_what_the_model_says(loaded):
    batch = video(2, 3)
    seeds = np.array([[0, 0], [0, 1]], np.int32)
    right = loaded.model({"video": batch, "seed": seeds})
    found = loaded.decompose(batch)
    np.testing.assert_allclose(found["masks"], right["masks"], atol=1e-5)
    longer = loaded.decompose(np.concatenate([batch, batch], axis=1))
    np.testing.assert_allclose(
        longer["masks"][:, :3], found["masks"], atol=1e-5
    )


def test_what_is_compiled_for_many_options_does_not_pile_up(loaded):
    for count in range(1, 12):
        options = Options(num_slots=2, num_refinements=count)
        loaded._of_clips(options)
        loaded._stream(options)
    assert len(loaded._clips) <= 4 and len(loaded._streams) <= 4
    assert loaded._stream(options) is loaded._stream(options)


@pytest.mark.slow
@pytest.mark.parametrize("side", [SIDE, SIDE + 4])
def test_integers_have_the_range_of_their_kind_at_every_size(side, loaded):
    clip = video(2, side=side)
    right = loaded.decompose(clip, fit="stretch")["masks"]
    wide = loaded.decompose(clip.astype(np.uint16) * 257, fit="stretch")
    np.testing.assert_allclose(wide["masks"], right, atol=1e-5)
    black_and_white = loaded.decompose(clip > 127)
    eight_bits = loaded.decompose((clip > 127) * np.uint8(255))
    np.testing.assert_allclose(
        black_and_white["masks"], eight_bits["masks"], atol=1e-5
    )


@pytest.mark.parametrize("side", [SIDE, SIDE + 4])
@pytest.mark.parametrize("kind", ["int8", "int32", "int64", "uint32", "uint64"])
def test_integers_of_no_known_range_are_refused(kind, side, loaded):
    for clip in (video(2, side=side), video(1, 2)):
        with pytest.raises(ValueError, match=r"uint8 \(0 to 255\).*astype"):
            loaded.decompose(clip.astype(kind))


@pytest.mark.parametrize(
    "given",
    [
        None,
        {},
        5,
        b"clip.mp4",
        ["a", "b"],
        [[1, 2], [3]],
        [np.zeros((8, 8, 3)), np.zeros((9, 8, 3))],
        np.zeros((2, SIDE, SIDE, 3), object),
        np.zeros((2, SIDE, SIDE, 3), complex),
    ],
    ids=lambda given: type(given).__name__,
)
def test_what_is_no_video_is_one_sentence(given, loaded, tmp_path):
    for call in (
        lambda: loaded.decompose(given),
        lambda: loaded.gauge(given),
        lambda: loaded.predict(given, tmp_path / "out"),
    ):
        with pytest.raises(ValueError, match="video"):
            call()
    assert not (tmp_path / "out").exists()
