"""Folders of videos become datasets; what cannot be used is named."""

import dataclasses
import fractions

import numpy as np
import pytest

from tests.data import video_files as files
from tfdecomp.data import errors
from tfdecomp.data.video import (
    streaming,
    video_folders,
    video_frames,
    video_io,
    video_sampling,
)
from tfdecomp.prediction.footage import Footage


def _settings(rate=None, source_rate=None, look=None, **fields):
    return video_folders.Settings(
        video_sampling.Sampling(rate, source_rate),
        look or video_sampling.Look(12, 16),
        **{"clip_length": 4, "skip": True, **fields},
    )


def _clips(folder, workers=1, splits=("train", "test"), **fields):
    """All clips by split, and the folder."""
    found = video_folders.VideoFolder(folder, _settings(**fields))
    clips = {split: list(found.clips(split, workers)) for split in splits}
    found.close()
    return clips, found


def _kept(path, rate=None, source_rate=None):
    """Numbers of the frames kept of a video."""
    sampling = video_sampling.Sampling(rate, source_rate)
    known = video_frames.probe(path)
    timed = video_frames.decode(path, known)
    kept = list(sampling.pick(path, known, timed))
    look = video_sampling.Look(12, 16)
    for number, frame in kept:
        assert files.number_of(look.picture(frame)) == number
    assert len(kept) == sampling.count(path, known)
    return [number for number, _ in kept]


KINDS = {
    "mp4": {},
    "mov": {},
    "mkv": {},
    "avi": {"codec": "mpeg4"},
    "webm": {"codec": "libvpx-vp9"},
    "m4v": {"codec": "mpeg4"},
}


@pytest.mark.parametrize("suffix", KINDS)
def test_every_kind_of_file_is_decoded_to_its_end(suffix, tmp_path):
    path = tmp_path / f"Straße – été 100%.{suffix}"
    files.write(path, 12, **KINDS[suffix])
    known = video_frames.probe(path)
    assert (known.frames, known.rate) == (12, 10)
    assert _kept(path) == list(range(12))


def test_gif_is_a_video(tmp_path):
    video_io.write_video(tmp_path / "a.gif", files.frames(12))
    assert video_frames.probe(tmp_path / "a.gif").rate == 10
    assert _kept(tmp_path / "a.gif") == list(range(12))


@pytest.mark.parametrize("rate", [2, 3, 4, 7.5, 25, 29.97, 30])
def test_frames_kept_are_those_of_the_formula(rate, tmp_path):
    path = files.write(tmp_path / "a.mp4", 40, rate=30)
    step = 30 / fractions.Fraction(rate).limit_denominator(1000)
    if rate == 29.97:  # as good as all
        step = 1
    numbers = [int(n * step + fractions.Fraction(1, 2)) for n in range(41)]
    assert _kept(path, rate) == [n for n in numbers if n < 40]


def test_variable_rates_go_by_time_stamps(tmp_path):
    # Ten frames a second, then a still of one second, then ten again.
    times = [0, 100, 200, 300, 400, 1400, 1500, 1600, 1700, 1800]
    for suffix in ("mp4", "mkv"):
        path = files.write(tmp_path / f"a.{suffix}", 10, times=times)
        known = video_frames.probe(path)
        assert known.rate is None
        np.testing.assert_allclose(known.times, np.divide(times, 1000))
        assert _kept(path) == list(range(10))
        # Seconds 0, 1/5, ... 9/5; halfway the later one.
        assert _kept(path, 5) == [0, 2, 4, 4, 4, 5, 5, 5, 7, 9]


def test_stamps_in_whole_milliseconds_are_a_constant_rate(tmp_path):
    times = [round(1000 * n / 30) for n in range(20)]
    path = files.write(tmp_path / "a.mkv", 20, rate=30, times=times)
    assert float(video_frames.probe(path).rate) == pytest.approx(30, rel=0.01)


def test_a_rate_above_that_of_the_video_is_refused(tmp_path):
    path = files.write(tmp_path / "a.mp4")
    with pytest.raises(errors.LayoutError, match="10 frames a second, fewer"):
        _kept(path, 20)


def test_folders_of_pictures_need_the_rate_of_their_source(tmp_path):
    folder = files.write_folder(tmp_path / "new york", files.frames(12))
    assert _kept(folder) == list(range(12))
    assert _kept(folder, 5, 10) == [0, 2, 4, 6, 8, 10]
    with pytest.raises(errors.LayoutError, match="set source_rate"):
        _kept(folder, 5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(47, 63), (108, 192), (1080, 1920)])
def test_pictures_are_means_over_areas(size, channels, tmp_path):
    rows, columns = np.mgrid[: size[0], : size[1]] / np.reshape(size, (2, 1, 1))
    pixels = np.stack([rows, columns, (rows + columns) / 2], -1)
    pixels = (255 * pixels).astype(np.uint8)
    files.write_folder(tmp_path, pixels[None])
    ((_, frame),) = video_frames.decode(tmp_path, video_frames.Probe(1))
    look = video_sampling.Look(12, 16, channels)
    edges = [np.linspace(0, n, m + 1) for n, m in zip(size, (12, 16))]
    wanted = np.empty((12, 16, 3))
    for row in range(12):
        for column in range(16):
            top, bottom = edges[0][row : row + 2].round().astype(int)
            left, right = edges[1][column : column + 2].round().astype(int)
            wanted[row, column] = pixels[top:bottom, left:right].mean((0, 1))
    if channels == 1:
        wanted = wanted.mean(-1, keepdims=True)
    # Edges of areas that cut a pixel count for some grey values.
    tolerance = 2 + 255 / min(size)
    for version in (frame, frame.reformat(format="yuv420p")):
        result = look.picture(version)
        assert result.shape == (12, 16, channels)
        np.testing.assert_allclose(result, wanted, atol=tolerance)


def test_the_middle_keeps_its_proportions(tmp_path):
    pixels = np.zeros((1, 40, 120, 3), np.uint8)
    pixels[:, :, 40:80] = (200, 100, 50)
    pixels[:, 10:30, 50:70] = 255
    files.write_folder(tmp_path, pixels)
    ((_, frame),) = video_frames.decode(tmp_path, video_frames.Probe(1))
    middle = video_sampling.Look(20, 20, crop="center").picture(frame)
    np.testing.assert_array_equal(middle, pixels[0, ::2, 40:80:2])
    whole = video_sampling.Look(20, 20).picture(frame)
    assert (whole[:, 0] == 0).all() and (whole[10, 10] == 255).all()


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_transparent_parts_are_black_and_sixteen_bits_eight(
    channels, depth, tmp_path
):
    top = np.iinfo(depth).max
    values = np.full((1, 8, 8, channels), round(0.8 * top), depth)
    if channels in (2, 4):
        values[..., -1] = top
        values[:, :4, :, -1] = round(top / 4)
        values[:, :, 4:, -1] = 0
    files.write_folder(tmp_path, values)
    ((_, frame),) = video_frames.decode(tmp_path, video_frames.Probe(1))
    picture = video_sampling.Look(8, 8).picture(frame)
    wanted = np.full((8, 8, 3), 204)
    if channels in (2, 4):
        wanted[:4] = 51
        wanted[:, 4:] = 0
    np.testing.assert_allclose(picture, wanted, atol=1)


@pytest.mark.parametrize(
    "matrix, turns",
    [((0, 1, -1, 0), 3), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)],
)
def test_turned_recordings_stand_upright(matrix, turns, tmp_path):
    video = np.zeros((6, 32, 48, 3), np.uint8)
    video[:, :16, :24] = 200  # upper left
    path = files.write(tmp_path / "a.mp4", video=video)
    files.turn(path, matrix)
    known = video_frames.probe(path)
    _, frame = next(video_frames.decode(path, known))
    # The matrix takes (x, y) to (a x + c y, b x + d y), y downwards.
    a, b, c, d = matrix
    x, y = a * -1 + c * -1, b * -1 + d * -1
    picture = video_sampling.Look(24, 16).picture(frame)
    quarter = picture[12 * (y > 0) :, 8 * (x > 0) :][2:10, 2:6]
    assert quarter.mean() > 180
    assert picture.mean() == pytest.approx(50, abs=5)
    whole = np.rot90(video[0], turns)
    assert whole[:: whole.shape[0] - 1, :: whole.shape[1] - 1].max() == 200


def test_clips_never_cross_chunks_or_videos(tmp_path):
    for number, count in enumerate((23, 9, 3, 4, 12, 14)):
        files.write(tmp_path / f"{number}.mp4", count)
    clips, found = _clips(tmp_path, chunk_frames=10, test_share=0.0)
    starts = {}
    for clip in clips["train"]:
        assert clip.numbers.tolist() == list(range(clip.first, clip.first + 4))
        read = [files.number_of(picture) for picture in clip.pictures]
        assert read == clip.numbers.tolist()
        starts.setdefault(clip.video, []).append(clip.first)
    # 23 frames are chunks of 10, 10 and 3; the last one is too short.
    wanted = {0: [0, 4, 10, 14], 1: [0, 4], 3: [0], 4: [0, 4], 5: [0, 4, 10]}
    assert starts == wanted
    assert [entry["name"] for entry in found.left_out] == ["2.mp4"]
    assert "too short: 3 frames" in found.left_out[0]["reason"]
    assert found.sizes() == {"train": 12}


def test_with_five_files_whole_files_are_test_data(tmp_path):
    for number in range(6):
        files.write(tmp_path / f"{number}.mp4", 12)
    clips, _ = _clips(tmp_path)
    videos = {split: {c.video for c in clips[split]} for split in clips}
    assert len(videos["test"]) == 1 and len(videos["train"]) == 5
    assert not videos["test"] & videos["train"]
    again, _ = _clips(tmp_path)
    assert {c.video for c in again["test"]} == videos["test"]
    others = [
        {c.video for c in _clips(tmp_path, seed=seed)[0]["test"]}
        for seed in range(1, 8)
    ]
    assert any(other != videos["test"] for other in others)


@pytest.mark.parametrize("order", [("train", "test"), ("test", "train")])
def test_with_few_files_chunks_are_test_data(order, tmp_path):
    for name in ("a", "b"):
        files.write(tmp_path / f"{name}.mp4", 40)
    clips, found = _clips(tmp_path, splits=order, chunk_frames=8)
    assert found.sizes() == {s: len(clips[s]) for s in ("train", "test")}
    assert [len(clips[split]) for split in ("train", "test")] == [16, 4]
    chunks = {
        split: {(c.video, c.first // 8) for c in clips[split]}
        for split in clips
    }
    assert not chunks["train"] & chunks["test"]
    for clip in clips["train"] + clips["test"]:
        read = [files.number_of(picture) for picture in clip.pictures]
        assert read == clip.numbers.tolist()


def test_one_short_video_still_has_a_test_split(tmp_path):
    files.write(tmp_path / "a.mp4", 40)
    clips, found = _clips(tmp_path, chunk_frames=1000)
    assert found.chunk_frames == 8
    assert [len(clips[split]) for split in ("train", "test")] == [8, 2]


def test_a_single_clip_is_not_divided(tmp_path):
    files.write(tmp_path / "a.mp4", 6)
    with pytest.raises(errors.DatasetInputError, match="set test_share = 0"):
        _clips(tmp_path)
    clips, _ = _clips(tmp_path, test_share=0.0)
    assert len(clips["train"]) == 1 and not clips["test"]
    clips, _ = _clips(tmp_path, test_share=1.0)
    assert len(clips["test"]) == 1 and not clips["train"]


def test_clips_are_the_same_for_any_number_of_workers(tmp_path):
    for number in range(7):
        files.write(tmp_path / f"{number}.mp4", 12 + number)
    one, _ = _clips(tmp_path, workers=1)
    three, _ = _clips(tmp_path, workers=3)
    for split in one:
        few, many = (
            {(c.video, c.first): c for c in clips[split]}
            for clips in (one, three)
        )
        assert few.keys() == many.keys()
        for key in few:
            np.testing.assert_array_equal(few[key].pictures, many[key].pictures)


def test_threads_wait_for_their_reader_and_end_with_it():
    made = []

    def run(job, workers):
        for number in range(1000):
            made.append((job, number))
            yield job, number

    results = streaming.parallel([0, 1, 2], run, 2)
    first = [next(results) for _ in range(10)]
    for job in (0, 1):
        numbers = [n for j, n in first if j == job]
        assert numbers == list(range(len(numbers)))
    assert len(made) < 50
    results.close()
    assert len(made) < 50

    def fail(job, workers):
        yield job
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        list(streaming.parallel([0, 1, 2], fail, 2))


def test_frames_of_other_clips_are_not_held(tmp_path, monkeypatch):
    files.write(tmp_path / "a.mp4", 100)
    shown = []
    whole = video_frames.decode

    def watched(path, known, threads):
        for time, frame in whole(path, known, threads):
            shown.append(time)
            yield time, frame

    monkeypatch.setattr(video_frames, "decode", watched)
    found = video_folders.VideoFolder(tmp_path, _settings(test_share=0.0))
    clips = found.clips("train")
    next(clips)
    assert len(shown) == 4
    next(clips)
    assert len(shown) == 8
    clips.close()


FAST = {"options": {"movflags": "faststart"}}
BAD = {
    "empty": (
        lambda p: p.touch(),
        "a.mp4",
        errors.TruncatedError,
        "is empty: it has 0 bytes",
    ),
    "text": (
        lambda p: p.write_text("no video " * 100),
        "a.mp4",
        errors.LayoutError,
        "cannot be read as a video",
    ),
    "sound": (
        files.write_sound,
        "a.mp4",
        errors.LayoutError,
        "no video in it, only sound",
    ),
    "cut, index in front": (
        lambda p: files.cut(files.write(p, 30, **FAST), 0.7),
        "a.mp4",
        errors.TruncatedError,
        "expected 30 frames, got",
    ),
    "cut, index behind": (
        lambda p: files.cut(files.write(p, 30), 0.7),
        "a.mp4",
        errors.LayoutError,
        "cut off or another kind of file",
    ),
    "cut mkv": (
        lambda p: files.cut(files.write(p, 30), 0.99),
        "a.mkv",
        errors.TruncatedError,
        "bytes, got",
    ),
    "cut webm": (
        lambda p: files.cut(files.write(p, 30, codec="libvpx-vp9"), 0.6),
        "a.webm",
        errors.TruncatedError,
        "bytes, got",
    ),
    "cut avi": (
        lambda p: files.cut(files.write(p, 30, codec="mpeg4"), 0.6),
        "a.avi",
        errors.TruncatedError,
        "expected 30 frames, got",
    ),
    "cut gif": (
        lambda p: (
            video_io.write_video(p, files.frames(30)),
            files.cut(p, 0.6),
        ),
        "a.gif",
        errors.TruncatedError,
        "it has no end mark",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_noticed_before_anything_is_written(case, tmp_path):
    make, name, kind, words = BAD[case]
    make(tmp_path / name)
    with pytest.raises(kind, match=words) as caught:
        video_frames.probe(tmp_path / name)
    assert name in str(caught.value)
    with pytest.raises(errors.DatasetInputError, match="none of the videos"):
        _clips(tmp_path)
    files.write(tmp_path / "good.mp4", 20)
    clips, found = _clips(tmp_path)
    assert len(clips["train"]) == 4
    assert [entry["name"] for entry in found.left_out] == [name]
    assert words.split(",")[0] in found.left_out[0]["reason"]
    with pytest.raises(errors.DatasetInputError, match="unreadable = 'skip'"):
        _clips(tmp_path, skip=False)


def test_damage_within_a_file_ends_it_there(tmp_path, monkeypatch):
    for number in range(5):
        files.write(tmp_path / f"{number}.mp4", 20)
    damaged = tmp_path / "3.mp4"
    whole = video_frames.decode

    def torn(path, known, threads):
        for number, item in enumerate(whole(path, known, threads)):
            if path == damaged and number == 9:
                raise errors.TruncatedError(f"{path} is damaged", hint="x")
            yield item

    monkeypatch.setattr(video_frames, "decode", torn)
    clips, found = _clips(tmp_path, test_share=0.0)
    assert sum(clip.video == 3 for clip in clips["train"]) == 2
    (entry,) = found.left_out
    assert (entry["name"], entry["clips"]) == ("3.mp4", 2)
    with pytest.raises(errors.DatasetInputError, match="3.mp4 is damaged"):
        _clips(tmp_path, test_share=0.0, skip=False)


def test_a_decoder_that_gives_too_few_frames_is_noticed(tmp_path):
    path = files.write(tmp_path / "a.mp4", 20)
    more = dataclasses.replace(video_frames.probe(path), frames=30)
    with pytest.raises(errors.TruncatedError, match="expected 30 frames, got"):
        list(video_frames.decode(path, more))


def test_pictures_of_several_sizes_or_none_are_named(tmp_path):
    video = files.frames(6)
    folder = files.write_folder(tmp_path / "mixed", video)
    (folder / "frame_10.png").write_bytes(files.png(video[0, :40]))
    with pytest.raises(errors.ResolutionError, match="frame_10.png 64x40"):
        video_frames.probe(folder)
    with pytest.raises(errors.ResolutionError, match="frame_10.png 64x40"):
        list(video_frames.decode(folder, video_frames.Probe(6)))
    folder = files.write_folder(tmp_path / "broken", video)
    (folder / "frame_9.png").write_bytes(b"nothing")
    with pytest.raises(errors.LayoutError, match="frame_9.png cannot be read"):
        video_frames.probe(folder)


def test_videos_are_found_in_folders_and_sorted_by_number(tmp_path):
    for name in ("b10.mp4", "b9.MP4", "a²1.mp4", "day 2/b1.mkv"):
        files.write(tmp_path / name, 4)
    files.write_folder(tmp_path / "day 2" / "shots", files.frames(4))
    for name in ("notes.txt", ".hidden.mp4", "cover.jpg"):
        (tmp_path / name).touch()
    found = video_folders.find(tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in found]
    assert names == [
        "a²1.mp4",
        "b9.MP4",
        "b10.mp4",
        "day 2/b1.mkv",
        "day 2/shots",
    ]


@pytest.mark.parametrize("kind", ["grey", "colour", "deep", "real"])
def test_arrays_are_videos(kind, tmp_path):
    """As `predict` reads them."""
    video = files.frames(12, 24, 32)
    if kind == "grey":
        video = video[..., 0]
    elif kind == "deep":
        video = video.astype(np.uint16) * 257
    elif kind == "real":
        video = video / 255
    np.save(tmp_path / "a.npy", video)
    np.save(tmp_path / "labels.npy", np.arange(12))
    np.save(tmp_path / "picture.npy", np.zeros((24, 32, 3), np.uint8))
    assert video_folders.find(tmp_path) == [tmp_path / "a.npy"]
    names = dict(video_folders.left_out(tmp_path, [tmp_path / "a.npy"]))
    assert set(names) == {"labels.npy", "picture.npy"}
    probe = video_frames.probe(tmp_path / "a.npy")
    read = [
        video_sampling.upright(frame)
        for _, frame in video_frames.decode(tmp_path / "a.npy", probe)
    ]
    predicted = Footage(tmp_path / "a.npy").frames()
    for number, (pixels, frame) in enumerate(zip(read, predicted, strict=True)):
        np.testing.assert_array_equal(pixels, frame.pixels)
        if kind != "grey":
            np.testing.assert_array_equal(
                pixels, files.frames(12, 24, 32)[number]
            )


def test_arrays_with_a_range_are_shown_in_it(tmp_path):
    video = np.linspace(0, 4095, 3 * 8 * 8).reshape(3, 8, 8).astype(np.uint16)
    np.save(tmp_path / "a.npy", video)
    shown = np.stack(
        [f.pixels for f in Footage(tmp_path / "a.npy", range="0,4095").frames()]
    )
    expected = np.rint(video.astype(float) * 255 / 4095)
    np.testing.assert_array_equal(shown[..., 0], expected)


def test_folders_without_videos_say_what_is_expected(tmp_path):
    with pytest.raises(errors.MissingFileError, match="does not exist"):
        video_folders.find(tmp_path / "nothing")
    with pytest.raises(errors.MissingFileError, match="found nothing"):
        video_folders.find(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(errors.MissingFileError, match="notes.txt") as caught:
        video_folders.find(tmp_path)
    assert "mp4" in str(caught.value)
    with pytest.raises(errors.MissingFileError, match="is no folder"):
        video_folders.find(tmp_path / "notes.txt")
