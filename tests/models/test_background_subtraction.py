"""Background subtraction: what it finds, and who stays who."""

import time

import numpy as np
import pytest
import tensorflow as tf

import tfdecomp
from tfdecomp.models.background_subtraction import BackgroundSubtraction
from tfdecomp.storage import configs

SIZE = (60, 80)
GREY = 140


def film(paths, radius=4, noise=2.0, size=SIZE, level=60, seed=0):
    """`[T, H, W, 3]` uint8 of disks at `[T, L, 2]`; NaN: not there."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    frames = np.full((len(paths), *size, 3), float(GREY))
    for frame, places in zip(frames, paths):
        for place in places:
            frame[np.hypot(y - place[0], x - place[1]) <= radius] = level
    frames += rng.normal(0, noise, frames.shape) if noise else 0
    return np.clip(np.round(frames), 0, 255).astype(np.uint8)


def lines(number, *ends):
    """`[T, L, 2]` straight ways from one place to another."""
    share = np.linspace(0, 1, number)[:, None, None]
    first, last = np.array(ends, float).transpose(1, 0, 2)
    return first + share * (last - first)


def run(video, state=None, noise=2.0, **options):
    """Outputs for one clip before a grey ground, without the axis `B`."""
    model = BackgroundSubtraction(**{"num_slots": 6, **options})
    size = video.shape[1:3]
    inputs = {
        "video": video[None],
        "background": np.full((1, *size, 3), GREY, np.uint8),
        "background_noise": np.full((1, *size), noise / 255, np.float32),
    }
    if state is not None:
        inputs["state"] = state
    outputs = dict(model(inputs))
    after = outputs.pop("state")
    return {k: v.numpy()[0] for k, v in outputs.items()}, after


def slots_of(found, paths):
    """`[T, L]` slot that owns the pixel in the middle of each disk."""
    rows, columns = paths.astype(int).transpose(2, 0, 1)
    return found["owner"][np.arange(len(paths))[:, None], rows, columns]


def test_each_disk_has_its_box_its_mask_and_its_track():
    paths = lines(12, [(12, 10), (12, 70)], [(45, 70), (30, 12)])
    found, _ = run(film(paths))
    slots = slots_of(found, paths)
    assert (slots == slots[0]).all() and len(set(slots[0])) == 2
    for number, slot in enumerate(slots[0]):
        edges = np.concatenate([paths[:, number] - 4, paths[:, number] + 4], 1)
        np.testing.assert_allclose(found["boxes"][:, slot], edges, atol=1.5)
        assert len(set(found["track_ids"][:, slot])) == 1
        area = found["masks"][:, slot].sum((1, 2, 3))
        np.testing.assert_allclose(area, np.pi * 16, rtol=0.15)


def test_the_contract_is_kept():
    found, _ = run(film(lines(5, [(12, 10), (40, 60)])))
    assert found["masks"].shape == (5, 6, *SIZE, 1)
    np.testing.assert_array_equal(found["masks"].sum(1), 1)
    np.testing.assert_array_equal(
        found["masks"].argmax(1)[..., 0], found["owner"]
    )
    there = found["presence"] > 0.5
    assert there[:, 0].all() and not found["track_ids"][:, 0].any()
    np.testing.assert_array_equal(there[:, 1:], found["track_ids"][:, 1:] > 0)
    assert not found["boxes"][~there].any() and not found["boxes"][:, 0].any()
    assert "recon" not in found


def test_tracks_keep_their_numbers_where_they_pass_close_by():
    # Towards each other, at a distance smaller than the steps.
    paths = lines(20, [(25, 6), (25, 74)], [(35, 74), (35, 6)])
    found, _ = run(film(paths, radius=3))
    slots = slots_of(found, paths)
    assert (slots == slots[0]).all() and (slots[0] > 0).all()


def test_fast_small_objects_are_followed_further_than_their_length():
    paths = lines(9, [(30, 4), (30, 76)])
    found, _ = run(film(paths, radius=6)[:, ::2, ::2])
    assert found["track_ids"].max() == 1


def test_a_track_survives_a_few_frames_unseen_and_no_more():
    paths = lines(24, [(30, 6), (30, 74)])
    for gap, number in ((3, 1), (9, 2)):
        hidden = paths.copy()
        hidden[10 : 10 + gap] = np.nan
        found, _ = run(film(hidden))
        assert found["track_ids"].max() == number
        assert not found["presence"][10 : 10 + gap, 1:].any()


def test_chunks_of_seven_are_as_one():
    rng = np.random.default_rng(4)
    walk = rng.uniform(8, 52, (1, 5, 2)) + rng.normal(0, 2, (23, 5, 2)).cumsum(
        0
    )
    video = film(walk, level=70)
    whole, last = run(video, num_slots=9)
    parts, state = [], None
    for begin in range(0, len(video), 7):
        part, state = run(video[begin : begin + 7], state, num_slots=9)
        parts.append(part)
    for name in whole:
        joined = np.concatenate([part[name] for part in parts])
        np.testing.assert_array_equal(joined, whole[name])
    for name in last:
        np.testing.assert_array_equal(state[name], last[name])


def test_without_a_background_the_clip_gives_it_and_chunks_keep_it():
    paths = lines(30, [(12, 10), (40, 70)])
    video = film(paths)
    model = BackgroundSubtraction(num_slots=4)
    first = model({"video": video[None, :24]})
    assert first["track_ids"].numpy().max() == 1
    ground = first["state"]["background"].numpy()[0]
    assert np.abs(ground - GREY).max() < 5
    second = model({"video": video[None, 24:], "state": first["state"]})
    assert set(second["track_ids"].numpy()[second["track_ids"] > 0]) == {1}
    np.testing.assert_array_equal(second["state"]["background"][0], ground)


def test_a_background_without_noise_gets_that_of_the_first_frame():
    video = film(lines(4, [(12, 10), (40, 70)]), noise=6.0)
    model = BackgroundSubtraction(num_slots=8)
    ground = np.full((1, *SIZE, 3), GREY / 255, np.float32)
    outputs = model({"video": video[None], "background": ground})
    assert (outputs["track_ids"].numpy() > 0).sum() == 4


def test_dimmed_light_is_not_an_object():
    video = film(lines(10, [(12, 10), (40, 70)]))
    video = (video * np.linspace(1, 0.7, 10)[:, None, None, None]).astype(
        np.uint8
    )
    found, _ = run(video)
    assert (found["track_ids"] > 0).sum() == 10
    other, _ = run(video, follows_light=False)
    assert (other["owner"][-1] > 0).mean() > 0.5


def test_the_largest_are_kept_where_slots_are_few():
    paths = np.array([[(12.0, 12.0), (40.0, 20.0)]])
    video = film(paths, radius=3) // 2 + film(paths[:, :1], radius=6) // 2
    found, _ = run(video, num_slots=2, noise=1.5)
    assert found["owner"][0, 12, 12] == 1
    assert found["owner"][0, 40, 20] == 0


def test_areas_and_sensitivity_decide_what_counts():
    paths = np.array([[(15.0, 15.0)]])
    video = film(paths, radius=4)
    assert run(video, min_area=70)[0]["presence"][:, 1:].sum() == 0
    assert run(video, max_area=30)[0]["presence"][:, 1:].sum() == 0
    faint = film(paths, level=GREY - 9, noise=0.5)
    assert run(faint)[0]["presence"][:, 1:].sum() == 0
    assert run(faint, sensitivity=2.0)[0]["presence"][:, 1:].sum() == 1


def test_batches_floats_graphs_and_empty_frames_give_the_same():
    videos = np.stack(
        [
            film(lines(6, [(12, 10), (40, 70)])),
            film(np.zeros((6, 0, 2)), seed=1),
        ]
    )
    model = BackgroundSubtraction(num_slots=5)
    inputs = {
        "background": np.full((2, *SIZE, 3), GREY, np.uint8),
        "background_noise": np.full((2, *SIZE), 2 / 255, np.float32),
    }
    compiled = tf.function(lambda v: model({"video": v, **inputs}))
    outputs = compiled(videos)
    assert outputs["presence"].numpy()[1].sum() == 6  # the background
    single, _ = run(videos[0], num_slots=5)
    floats = compiled(np.float32(videos / 255))
    for name in ("owner", "boxes", "track_ids"):
        np.testing.assert_array_equal(outputs[name][0], single[name])
        np.testing.assert_array_equal(floats[name], outputs[name])


def test_any_size_and_number_of_slots_is_read():
    model = BackgroundSubtraction()
    video = np.zeros((1, 3, 31, 45, 3), np.uint8)
    outputs = model({"video": video}, num_slots=4)
    assert outputs["masks"].shape == (1, 3, 4, 31, 45, 1)
    assert model.any_size


def test_a_hundred_frames_a_second_where_only_owners_are_fetched():
    rng = np.random.default_rng(0)
    starts = rng.uniform(20, 220, (15, 2))
    paths = starts + rng.normal(0, 2, (40, 15, 2)).cumsum(0)
    video = film(paths, radius=7, size=(240, 320))
    model = BackgroundSubtraction(num_slots=17)
    ground = np.full((1, 240, 320, 3), GREY, np.uint8)
    noise = np.full((1, 240, 320), 2 / 255, np.float32)

    @tf.function
    def owners(video):
        inputs = {
            "video": video,
            "background": ground,
            "background_noise": noise,
        }
        return model(inputs)["owner"]

    owners(video[None])
    begin = time.process_time()
    owner = owners(video[None])
    assert time.process_time() - begin < 0.4
    assert owner.numpy().max() > 8


def test_noise_alone_finishes_and_fills_no_more_than_the_slots():
    rng = np.random.default_rng(0)
    video = rng.integers(0, 256, (20, 240, 320, 3), np.uint8)
    begin = time.process_time()
    found, _ = run(video, noise=0.5, num_slots=33)
    assert time.process_time() - begin < 6
    assert found["owner"].max() <= 32


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"sensitivity": 0}, "sensitivity is above 0"),
        ({"min_area": 9, "max_area": 8}, "min_area is at most max_area"),
        ({"num_slots": 1}, "num_slots must be at least 2"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        BackgroundSubtraction(**arguments)


def test_a_gin_file_can_choose_it():
    with configs.parsed([], ["models.BackgroundSubtraction.patience = 9"]):
        import gin

        model = gin.get_configurable("models.BackgroundSubtraction")()
    assert model.patience == 9


def test_it_ships():
    loaded = tfdecomp.load("background_subtraction")
    assert type(loaded.model) is BackgroundSubtraction
    video = film(lines(20, [(12, 10), (40, 70)]))
    outputs = loaded.model({"video": video[None]})
    assert outputs["track_ids"].numpy().max() == 1
