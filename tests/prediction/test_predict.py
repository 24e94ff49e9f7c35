"""A shipped model on videos of other lengths and sizes than its own."""

import csv
import json

import numpy as np
import PIL.Image
import pytest

import tfdecomp
from tests.data import video_files as files
from tests.models.tiny import tiny_dvip, tiny_lavae
from tfdecomp.data import errors
from tfdecomp.data.video import video_frames, video_io
from tfdecomp.prediction import footage as footage_lib
from tfdecomp.prediction import runner
from tfdecomp.prediction.files import folder as folder_lib
from tfdecomp.sharing import hub
from tfdecomp.visualization import palette

OUTPUTS = [
    "frames.csv",
    "latents.npz",
    "masks",
    "overlay.mp4",
    "prediction.json",
    "slots.mp4",
    "tracks.csv",
    "tracks.json",
]


@pytest.fixture(scope="module")
def provide():
    return tfdecomp.load("provide_balls_quick")


@pytest.fixture(scope="module")
def lavae():
    return hub.Loaded(tiny_lavae.tiny(), {})


@pytest.fixture(scope="module")
def dvip():
    return hub.Loaded(tiny_dvip.tiny(), {})


def balls(num_frames, height=20, width=20, seed=0):
    """Three discs that move straight on and leave."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(0.2, 0.8, (3, 2))
    speed = rng.uniform(-0.02, 0.02, (3, 2))
    rows, columns = np.mgrid[:height, :width] + 0.5
    video = np.zeros((num_frames, height, width, 3), np.uint8)
    for t in range(num_frames):
        for place, color in zip(start + t * speed, np.eye(3) * 230):
            y, x = place * (height, width)
            inside = np.hypot(rows - y, columns - x) < 0.15 * min(height, width)
            video[t][inside] = color
    return video


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def ids_of(path):
    with PIL.Image.open(path) as picture:
        assert picture.mode == "P"
        return np.array(picture)


@pytest.mark.parametrize("chunk", [7, 64])
def test_the_result_does_not_depend_on_the_chunks(chunk, provide):
    video = balls(71)
    whole = provide.decompose(video, chunk=71)  # in one piece
    pieces = provide.decompose(video, chunk=chunk)
    for name in ("masks", "recon", "components", "slots"):
        np.testing.assert_allclose(
            pieces[name], whole[name], atol=1e-5, err_msg=name
        )


@pytest.mark.parametrize("name", ["dvip", "lavae"])
def test_nor_for_other_models(name, request):
    loaded = request.getfixturevalue(name)
    model = loaded.model
    shape = (11, *model.image_size, model.channels)
    video = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    whole = loaded.decompose(video, chunk=11)
    pieces = loaded.decompose(video, chunk=4)
    checked = [name for name in runner.PER_FRAME if name in pieces]
    assert "recon" in checked
    for name in checked:
        np.testing.assert_allclose(
            pieces[name], whole[name], atol=1e-5, err_msg=name
        )


def test_files_say_what_decompose_says(provide, tmp_path):
    video = balls(9, 61, 90)
    parts = provide.decompose(video, chunk=5)
    assert parts["ids"].shape == (9, 61, 90)
    assert parts["masks"].shape == (9, 4, 20, 20, 1)
    seen = []
    record = provide.predict(
        video,
        tmp_path / "out",
        chunk=4,
        progress=lambda *numbers: seen.append(numbers),
    )
    assert names(tmp_path / "out") == OUTPUTS
    assert seen == [(n + 1, 9) for n in range(9)]
    assert record["state"] == "finished" and record["num_frames"] == 9
    assert record["model"]["name"] == "provide_balls_quick"
    for t, ids in enumerate(parts["ids"]):
        found = ids_of(tmp_path / "out" / "masks" / f"{t:06d}.png")
        np.testing.assert_array_equal(found, ids)
    with np.load(tmp_path / "out" / "latents.npz") as latents:
        np.testing.assert_allclose(latents["slots"], parts["slots"], atol=1e-5)
        np.testing.assert_allclose(latents["time"], np.arange(9) / 10)
    content = json.loads((tmp_path / "out" / "tracks.json").read_text())
    assert content["info"]["source"]["width"] == 90
    for entry in content["annotations"]:
        ids = parts["ids"][entry["frame"]]
        rows, columns = np.nonzero(ids == entry["track_id"])
        box = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
        assert entry["box"] == box and entry["area"] == len(rows)
    per_frame = [len(objects) for objects in parts["tracks"]]
    assert len(content["annotations"]) == sum(per_frame)
    marked, fps = video_io.read_video(tmp_path / "out" / "overlay.mp4", 9)
    assert marked.shape == (9, 62, 90, 3)  # encoders want even sides
    assert fps == 10
    video_io.read_video(tmp_path / "out" / "slots.mp4", 9)


def test_masks_show_the_colours_of_the_slots(provide, tmp_path):
    provide.predict(balls(3, 40, 40), tmp_path / "out")
    with PIL.Image.open(tmp_path / "out" / "masks" / "000002.png") as picture:
        ids, shown = np.array(picture), np.array(picture.convert("RGB"))
    colors = palette.slot_colors(4)
    assert (ids == 0).any() and (ids > 0).any()
    for track in np.unique(ids):
        color = colors[track - 1] if track else palette.GREY
        assert (shown[ids == track] == color).all()


def test_a_frame_that_is_enlarged_gets_enlarged_masks(provide):
    small = balls(6)
    large = small.repeat(6, 1).repeat(6, 2)
    own = provide.decompose(small, chunk=6)
    fitted = provide.decompose(large)
    np.testing.assert_allclose(fitted["masks"], own["masks"], atol=1e-4)
    background = palette.background_slot(own["masks"])
    slots = own["masks"][..., 0].argmax(1)
    ids = np.where(slots == background, 0, slots + 1)
    centres = fitted["ids"][:, 3::6, 3::6]
    assert np.mean(centres == ids) > 0.97


def test_a_path_and_its_array_are_the_same(provide, tmp_path):
    video = balls(4)
    files.write_folder(tmp_path / "frames", video)
    np.save(tmp_path / "a.npy", video)
    whole = provide.decompose(video, seed=3)
    for path in (tmp_path / "frames", str(tmp_path / "a.npy")):
        parts = provide.decompose(path, seed=3)
        np.testing.assert_allclose(parts["masks"], whole["masks"], atol=1e-5)


def test_one_picture_is_a_video_of_one_frame(provide, tmp_path):
    video_io.write_png(tmp_path / "a.png", balls(1, 33, 47)[0])
    provide.predict(tmp_path / "a.png", tmp_path / "out")
    assert names(tmp_path / "out" / "masks") == ["000000.png"]
    assert ids_of(tmp_path / "out" / "masks" / "000000.png").shape == (33, 47)


def test_what_a_crop_leaves_out_is_not_seen(provide):
    parts = provide.decompose(balls(2, 20, 40), fit="crop")
    unseen = parts["ids"] == 255
    assert unseen[:, :, :9].all() and unseen[:, :, -9:].all()
    assert not unseen[:, :, 11:29].any()


def test_models_trained_on_crops_see_crops(provide):
    config = "data.make_dataset.crop = (29, 80, 192, 192)\n"
    cropped = hub.Loaded(provide.model, {}, config)
    assert cropped._options().fit == "crop"
    assert provide._options().fit == "letterbox"
    assert cropped._options(fit="stretch").fit == "stretch"


def test_fewer_frames_a_second_keep_their_numbers(provide, tmp_path):
    path = files.write(tmp_path / "a.mp4", 12, rate=30, video=balls(12, 32, 32))
    provide.predict(path, tmp_path / "out", fps=10)
    found = names(tmp_path / "out" / "masks")
    assert found == [f"{n:06d}.png" for n in (0, 3, 6, 9)]
    _, fps = video_io.read_video(tmp_path / "out" / "overlay.mp4", 4)
    assert fps == 10
    with open(tmp_path / "out" / "tracks.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["frame"], row["time"]) for row in rows} <= {
        ("0", "0.0"),
        ("3", "0.1"),
        ("6", "0.2"),
        ("9", "0.3"),
    }


def test_a_variable_rate_is_kept(provide, tmp_path):
    times = [0, 100, 900, 1000]
    path = files.write(
        tmp_path / "a.mp4", 4, times=times, video=balls(4, 32, 32)
    )
    provide.predict(path, tmp_path / "out")
    for name in ("overlay.mp4", "slots.mp4"):
        found = video_frames.probe(tmp_path / "out" / name)
        np.testing.assert_allclose(
            found.times, np.array(times) / 1e3, atol=2e-3
        )


def test_the_future_follows_what_was_seen(provide, tmp_path):
    video = balls(6)
    expected = provide.decompose(video, chunk=6, num_future=3)["future"]
    provide.predict(video, tmp_path / "out", chunk=4, num_future=3)
    with np.load(tmp_path / "out" / "future.npz") as future:
        assert future["masks"].shape == (3, 4, 20, 20, 1)
        np.testing.assert_allclose(
            future["recon"], expected["recon"], atol=1e-5
        )
    video_io.read_video(tmp_path / "out" / "future.mp4", 9)


def test_a_model_without_a_future_says_so(lavae):
    size = (1, *lavae.model.image_size, 1)
    with pytest.raises(ValueError, match="does not predict"):
        lavae.decompose(np.zeros(size, np.uint8), num_future=2)
    with pytest.raises(ValueError, match="no choice of num_slots"):
        lavae.decompose(np.zeros(size, np.uint8), chunk=2, num_slots=9)


def test_what_a_model_does_not_give_has_no_file(dvip, tmp_path):
    video = balls(3, 24, 24)
    dvip.predict(video, tmp_path / "out")
    assert names(tmp_path / "out") == [
        "frames.csv",
        "latents.npz",
        "prediction.json",
        "slots.mp4",
    ]
    assert "ids" not in dvip.decompose(video)


def test_presence_and_boxes_of_the_model_reach_the_files(lavae, tmp_path):
    frames = tiny_lavae.pictures()[:, 0].repeat(3, 1).repeat(3, 2)
    side = frames.shape[1]
    video = np.pad(frames, [(0, 0), (0, 0), (side // 2, side // 2), (0, 0)])
    parts = lavae.decompose(video, fit="crop")
    lavae.predict(video, tmp_path / "out", fit="crop")
    content = json.loads((tmp_path / "out" / "tracks.json").read_text())
    found = {(e["frame"], e["slot"]): e for e in content["annotations"]}
    there = np.argwhere(parts["presence"] > 0.5)
    there = [tuple(place) for place in there.tolist() if place[1]]
    assert len(there) == 0 + 1 + 2 + 3  # squares
    for t, k in there:
        entry = found[t, k]
        assert entry["presence"] > 0.5
        # The model sees the middle, at a third of the size.
        ymin, xmin, ymax, xmax = 3 * parts["boxes"][t, k]
        own = [ymin, xmin + side / 2, ymax, xmax + side / 2]
        np.testing.assert_allclose(entry["box"], own, atol=2e-3)


def test_stopping_halfway_leaves_complete_files(provide, tmp_path):
    done = []
    record = provide.predict(
        balls(12, 32, 32),
        tmp_path / "out",
        progress=lambda *numbers: done.append(numbers),
        should_stop=lambda: len(done) == 5,
        chunk=4,
    )
    assert record["state"] == "interrupted" and record["num_frames"] == 5
    assert names(tmp_path / "out") == OUTPUTS
    assert len(names(tmp_path / "out" / "masks")) == 5
    video_io.read_video(tmp_path / "out" / "overlay.mp4", 5)
    video_io.read_video(tmp_path / "out" / "slots.mp4", 5)
    content = json.loads((tmp_path / "out" / "tracks.json").read_text())
    assert len(content["images"]) == 5
    with np.load(tmp_path / "out" / "latents.npz") as latents:
        assert len(latents["slots"]) == 5


def test_ctrl_c_leaves_complete_files(provide, tmp_path):
    def progress(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        provide.predict(balls(9), tmp_path / "out", progress=progress)
    assert names(tmp_path / "out") == OUTPUTS
    video_io.read_video(tmp_path / "out" / "overlay.mp4", 3)
    record = json.loads((tmp_path / "out" / "prediction.json").read_text())
    assert record["state"] == "interrupted" and record["num_frames"] == 3


def test_a_fault_halfway_keeps_what_came_before(provide, tmp_path):
    for number in range(503):
        size = (9, 8) if number == 11 else (8, 8)
        video_io.write_png(
            tmp_path / "in" / f"{number}.png", np.zeros((*size, 3), np.uint8)
        )
    footage = footage_lib.Footage(tmp_path / "in")
    with pytest.raises(runner.PredictionError, match="first 11 of 503 frames"):
        provide.predict(footage, tmp_path / "out", chunk=8)
    record = json.loads((tmp_path / "out" / "prediction.json").read_text())
    assert record["state"] == "failed" and "8x9" in record["error"]
    assert len(names(tmp_path / "out" / "masks")) == 11
    video_io.read_video(tmp_path / "out" / "overlay.mp4", 11)


def test_a_good_prediction_is_replaced_by_a_complete_one_only(
    provide, tmp_path
):
    output = tmp_path / "out"
    provide.predict(balls(2), output)
    with pytest.raises(folder_lib.OutputError, match="not empty"):
        provide.predict(balls(3), output)
    record = provide.predict(
        balls(9), output, overwrite=True, should_stop=lambda: True
    )
    assert record["output"] == str(tmp_path / "out.new")
    assert len(names(output / "masks")) == 2
    provide.predict(balls(3), output, overwrite=True)
    assert len(names(output / "masks")) == 3
    assert names(tmp_path) == ["out"]


def test_an_unreadable_video_leaves_no_folder(provide, tmp_path):
    files.write_sound(tmp_path / "a.mp4")
    with pytest.raises(errors.LayoutError, match="only sound"):
        provide.predict(tmp_path / "a.mp4", tmp_path / "out")
    assert names(tmp_path) == ["a.mp4"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chunk": 0}, "chunk must be a positive number without"),
        ({"num_future": -1}, "num_future must be a number from 0"),
        ({"fit": "zoom"}, "letterbox, crop, stretch"),
        ({"num_slots": 1}, "num_slots must be at least 2"),
    ],
)
def test_options_are_checked_before_anything_is_written(
    options, message, provide, tmp_path
):
    with pytest.raises(ValueError, match=message):
        provide.predict(balls(2), tmp_path / "out", **options)
    assert not names(tmp_path)
