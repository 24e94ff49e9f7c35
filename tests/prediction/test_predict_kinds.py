"""What is written is what was asked for."""

import csv
import json

import numpy as np
import pytest

import tfdecomp
from tfdecomp.prediction.files import kinds
from tfdecomp.prediction.options import Options

ONE_PASS = {
    "masks": ["masks"],
    "overlay": ["overlay.mp4"],
    "slots": ["slots.mp4"],
    "tracks": ["tracks.csv", "tracks.json"],
    "frames": ["frames.csv"],
    "latents": ["latents.npz"],
}
RECORD = "prediction.json"


@pytest.fixture(scope="module")
def provide():
    return tfdecomp.load("provide_balls_quick")


@pytest.fixture(scope="module")
def subtraction():
    return tfdecomp.load("background_subtraction")


def squares(num_frames=9, size=40):
    """Two bright squares that move apart on a dark, noisy ground."""
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 20, (size, size, 3), dtype=np.uint8)
    video = np.tile(ground, (num_frames, 1, 1, 1))
    for t in range(num_frames):
        video[t, 4:12, 2 + t : 10 + t] = 230
        video[t, 24:32, 28 - t : 36 - t] = [40, 220, 60]
    return video


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("all", "all"),
        ("tracks,masks", ("masks", "tracks")),
        (" mot ,tracks", ("tracks", "mot")),
        (["latents", "latents"], ("latents",)),
        (("masks", "all"), "all"),
    ],
)
def test_names_come_in_one_order(given, found):
    assert kinds.chosen(given) == found
    assert Options(write=given).write == found


@pytest.mark.parametrize("given", ["", [], None, 3, "tracks,,masks"])
def test_what_names_nothing_is_refused(given):
    with pytest.raises(ValueError, match="masks, overlay, slots, tracks, mot"):
        kinds.chosen(given)


def test_an_unknown_name_is_answered_by_the_list():
    with pytest.raises(ValueError) as caught:
        Options(write="mask")
    said = str(caught.value)
    assert "did you mean 'masks'?" in said and "\n" not in said
    assert all(name in said for name in kinds.FILES)


@pytest.mark.parametrize("kind", ONE_PASS)
def test_one_kind_alone_is_written(kind, provide, tmp_path):
    record = provide.predict(squares(3), tmp_path / "out", write=kind)
    assert names(tmp_path / "out") == sorted([RECORD, *ONE_PASS[kind]])
    assert record["written"] == [kind]
    text = (tmp_path / "out" / RECORD).read_text()
    assert json.loads(text)["written"] == [kind]
    assert json.loads(text)["options"]["write"] == [kind]


def test_what_is_written_alone_is_as_among_all(provide, tmp_path):
    video = squares()
    record = provide.predict(video, tmp_path / "all")
    assert record["written"] == list(ONE_PASS)
    chosen = "tracks,frames,latents"
    provide.predict(video, tmp_path / "some", write=chosen)
    for name in ("tracks.csv", "frames.csv"):
        alone, among = (
            (tmp_path / folder / name).read_text() for folder in ("some", "all")
        )
        assert alone == among
    with (
        np.load(tmp_path / "some" / "latents.npz") as alone,
        np.load(tmp_path / "all" / "latents.npz") as among,
    ):
        assert set(alone) == set(among)
        for name in alone:
            np.testing.assert_allclose(alone[name], among[name], atol=1e-5)


def test_what_is_not_written_is_not_drawn(provide, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("drawn")

    for name in ("slot_grid.slot_frames", "tracking_video.TrackPainter.paint"):
        monkeypatch.setattr(f"tfdecomp.visualization.{name}", refuse)
    monkeypatch.setattr("tfdecomp.data.video.video_io.write_png", refuse)
    provide.predict(squares(3), tmp_path / "out", write=["tracks"])
    with open(tmp_path / "out" / "tracks.csv") as file:
        assert list(csv.DictReader(file))


def test_predicted_frames_are_written_if_asked_for(provide, tmp_path):
    video = squares(4)
    record = provide.predict(
        video, tmp_path / "a", num_future=2, write="future"
    )
    assert record["written"] == ["future"]
    provide.predict(video, tmp_path / "b", num_future=2, write="tracks")
    assert "future.mp4" not in names(tmp_path / "b")
    with pytest.raises(ValueError, match="how many frames to predict"):
        provide.predict(video, tmp_path / "c", write="future")
    assert not (tmp_path / "c").exists()


def test_what_a_model_never_gives_cannot_be_asked_for(provide, tmp_path):
    with pytest.raises(ValueError, match="gives no mot and no report here"):
        provide.predict(squares(3), tmp_path / "out", write="mot,report")
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def whole(subtraction, tmp_path_factory):
    """All that two passes write."""
    folder = tmp_path_factory.mktemp("whole") / "all"
    record = subtraction.predict(squares(20), folder)
    assert record["written"] == [
        name for name in kinds.FILES if name in kinds.TWO_PASSES
    ]
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", kinds.TWO_PASSES)
def test_in_two_passes_one_kind_alone_is_as_among_all(
    kind, subtraction, whole, tmp_path
):
    subtraction.predict(squares(20), tmp_path / "one", write=kind)
    files = kinds.FILES[kind]
    assert names(tmp_path / "one") == sorted([RECORD, *files])
    for name in files:
        for path in sorted((tmp_path / "one").glob(f"{name}*")):
            if path.suffix in (".csv", ".txt"):
                among = whole / path.name
                assert path.read_bytes() == among.read_bytes(), path


def test_tracks_of_two_passes_decode_the_video_once(
    subtraction, tmp_path, monkeypatch
):
    from tfdecomp.prediction import tracking

    begun, run = [], tracking.ahead
    monkeypatch.setattr(
        tracking, "ahead", lambda *args: begun.append(1) or run(*args)
    )
    subtraction.predict(squares(20), tmp_path / "one", write="tracks,mot")
    assert len(begun) == 1
    subtraction.predict(squares(20), tmp_path / "two", write="overlay")
    assert len(begun) == 3
