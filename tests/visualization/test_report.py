"""The report of tracks: one page that is true, whole, and obeys nobody."""

import base64
import csv
import hashlib
import io
import re
import struct

import numpy as np
import pytest

from tests.visualization import report_pages
from tfdecomp.visualization import palette, report
from tfdecomp.visualization.report import (
    report_counts,
    report_doubtful,
    report_images,
    report_paths,
    report_tables,
    report_text,
    report_timeline,
)


def test_a_page_with_all_its_parts_parses_and_has_them_in_order():
    words = report_pages.Page(report_pages.full()).words
    parts = [
        "clip.mp4",
        "Doubtful. Look at the crossings.",
        "What was chosen",
        "Tracks over time",
        "Objects in each frame",
        "Doubtful frames",
        "They met.",
        "It jumped.",
        "Paths",
        "Beside background subtraction",
        "Columns of tracks.csv",
        "How to cite",
    ]
    places = [words.index(part) for part in parts]
    assert places == sorted(places)


def test_the_page_fetches_nothing():
    text = report_pages.full()
    page = report_pages.Page(text)
    assert "://" not in re.sub(r"base64,[\w+/=]*", "", text)
    assert page.addresses
    for address in page.addresses:
        assert address.startswith(("#", "data:image/png;base64,"))
    assert not {"link", "iframe", "object", "embed", "base"} & set(page.tags)
    assert "@import" not in text and "url(" not in text


def test_what_is_referred_to_is_there_and_named_once():
    page = report_pages.Page(report_pages.full())
    used = {a[1:] for a in page.addresses if a.startswith("#")}
    assert used <= set(page.names)
    assert len(set(page.names)) == len(page.names)


def test_the_browser_runs_no_script_but_the_pages_own():
    text = report_pages.full()
    (script,) = re.findall("<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest())
    (policy,) = re.findall('Content-Security-Policy" content="(.*?)"', text)
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest.decode()}'" in policy


@pytest.mark.parametrize(
    "evil",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "</title></style></svg><b>",
        "' onmouseover='alert(1)",
    ],
)
def test_names_from_strangers_are_shown_and_never_obeyed(evil):
    episode = report.Doubtful(3, 4, 0.1, (1,), evil, 0.5, evil)
    verdict = {"level": "bad", "sentence": evil, "figures": [(evil,) * 3]}
    changes = dict(
        facts=[(evil, evil, evil)],
        doubtful=[episode],
        verdict=verdict,
        columns=[(evil, evil)],
        num_frames=50,
        rate=25,
    )
    text = report.render(
        evil,
        table=report_pages.grid(50, 1),
        thumbnails={},
        background=None,
        **changes,
    )
    page = report_pages.Page(text)
    assert page.tags.count("script") == 1
    assert not page.events and "img" not in page.tags
    assert page.tags.count("b") == 1  # the verdict's own
    assert " ".join(evil.split()) in page.words


def _brute_spans(frames):
    """Runs found by walking over every frame."""
    present, found, start = set(frames), [], None
    for frame in range(max(present) + 2 if present else 0):
        if frame in present and start is None:
            start = frame
        if frame not in present and start is not None:
            found.append((start, frame))
            start = None
    return found


@pytest.mark.parametrize("seed", range(8))
def test_spans_are_the_runs_of_frames(seed):
    rng = np.random.default_rng(seed)
    frames = np.flatnonzero(rng.random(60) < rng.random())
    found = [tuple(run) for run in report_tables.spans(frames).tolist()]
    assert found == _brute_spans(frames.tolist())


@pytest.mark.parametrize("seed", range(8))
def test_bridged_spans_are_those_of_the_frames_with_short_gaps_filled(seed):
    rng = np.random.default_rng(seed)
    frames = np.flatnonzero(rng.random(80) < 0.4)
    bridge = int(rng.integers(1, 5))
    closed = set(frames.tolist())
    for before, after in zip(frames[:-1], frames[1:]):
        if after - before - 1 <= bridge:
            closed.update(range(before, after))
    expected = _brute_spans(closed)
    runs = report_tables.spans(frames)
    for found in (
        report_tables.bridged(runs, bridge),
        report_tables.spans(frames, bridge),
    ):
        assert [tuple(run) for run in found.tolist()] == expected


@pytest.mark.parametrize("seed", range(5))
def test_rows_of_the_timeline_say_what_the_table_says(seed):
    rng = np.random.default_rng(seed)
    present = rng.random((3, 40)) < 0.7
    ids, frames = np.nonzero(present)
    order = rng.permutation(len(ids))
    ids, frames = ids[order] + 1, frames[order]
    filled = rng.random(len(ids)) < 0.3
    doubts = rng.random(len(ids)) * 0.7
    episode = report.Doubtful(5, 19, 0.2, (1, 3), "crossing", 0.8, "")
    table = report_pages.table(frames, ids, filled=filled, doubts=doubts)
    rows = report_timeline.rows(table, [episode])
    assert [row.id for row in rows] == [1, 2, 3]
    for row in rows:
        own = [
            (f, is_filled, doubt)
            for f, i, is_filled, doubt in zip(frames, ids, filled, doubts)
            if i == row.id
        ]
        expected = {
            "seen": [f for f, _, _ in own],
            "filled": [f for f, is_filled, _ in own if is_filled],
            "doubtful": [
                f
                for f, _, doubt in own
                if doubt >= report_timeline.DOUBT
                or (row.id in episode.ids and 5 <= f <= 19)
            ],
        }
        for kind, chosen in expected.items():
            found = [tuple(run) for run in getattr(row, kind).tolist()]
            assert found == _brute_spans(chosen), kind


def test_the_drawn_spans_are_those_of_the_table():
    table = report_pages.table([0, 1, 2, 7, 8, 20], [4] * 6)
    text = report_pages.render(table)
    (path,) = re.findall(r'<path id="s4"[^>]* d="(.*?)"', text)
    drawn = re.findall(r"M(\d+) [\d.]+H(\d+)", path)
    assert drawn == [("0", "3"), ("7", "9"), ("20", "21")]
    cuts = re.findall(r'class="cut" d="(.*?)"', text)[0]
    assert re.findall(r"M([\d.]+) ", cuts) == ["5", "14.5"]


def test_a_track_has_the_colour_that_it_has_in_the_video():
    table = report_pages.table([0, 0], [3, 27])
    colors = re.findall(
        r'data-id="\d+" style="--c:(#\w+)"', report_pages.render(table)
    )
    expected = "#" + bytes(palette.id_colors()[3].tolist()).hex()
    assert colors[0] == expected
    assert report_text.color(27) == expected  # they repeat after two dozen


@pytest.mark.parametrize("num_frames", [1, 7, 480, 1001])
def test_bins_hold_the_smallest_median_and_largest_count(num_frames):
    values = np.random.default_rng(0).integers(0, 9, num_frames)
    bins = report_tables.binned(values, 480)
    assert bins.edges[0] == 0 and bins.edges[-1] == num_frames
    assert len(bins.middle) == min(num_frames, 480)
    for i, (start, end) in enumerate(zip(bins.edges[:-1], bins.edges[1:])):
        inside = sorted(values[start:end].tolist())
        assert bins.low[i] == inside[0] and bins.high[i] == inside[-1]
        assert bins.middle[i] == inside[(len(inside) - 1) // 2]


def test_the_step_line_reads_back_as_the_counts():
    present = np.random.default_rng(1).integers(0, 4, 50)
    frames = np.repeat(np.arange(50), present)
    ids = np.concatenate([np.arange(1, n + 1) for n in present])
    text = report_counts.draw(report_pages.table(frames, ids), None, 50, 25)
    path = re.findall('class="line ours" d="(.*?)"', text)[-1]
    moves = re.findall(r"([MHV])([\d.]+)(?: ([\d.]+))?", path)
    heights, x = np.full(50, np.nan), 0
    for kind, first, second in moves:
        if kind == "M":
            x, y = int(first), float(second)
        elif kind == "H":
            heights[x : int(first)], x = y, int(first)
        else:
            y = float(first)
    # The largest count and zero are known heights: the line between is even.
    scale = (150 - heights.min()) / present.max()
    np.testing.assert_allclose((150 - heights) / scale, present, atol=0.02)


def test_the_summary_counts_tracks_lengths_gaps_and_frames():
    frames = [0, 1, 2, 3, 0, 1, 5, 2]
    table = report_pages.table(
        frames, [1, 1, 1, 1, 2, 2, 2, 9], filled=np.arange(8) < 2
    )
    found = report_tables.summary(table, 6)
    assert (found.num_tracks, found.median_length) == (3, 3)
    assert (found.num_gaps, found.filled) == (1, 0.25)
    # Counts 2 2 2 1 0 1.
    assert (found.common_count, found.common_frames) == (2, 3)
    assert report_tables.summary(table, 6, count=1).common_frames == 2
    assert report_tables.summary(table, 6, count=7).common_frames == 0


def _distance(points, line):
    """Largest distance of points from a polyline, by brute force."""
    worst = 0.0
    for point in points:
        best = np.inf
        for start, end in zip(line[:-1], line[1:]):
            chord = end - start
            along = np.dot(point - start, chord) / max(chord @ chord, 1e-9)
            place = start + np.clip(along, 0, 1) * chord
            best = min(best, np.linalg.norm(point - place))
        worst = max(worst, best)
    return worst


def test_a_simplified_path_stays_close_to_every_point():
    turn = np.linspace(0, 9, 400)
    points = np.stack([40 * np.sin(turn), 60 * np.cos(1.3 * turn)], -1)
    (kept,) = report_paths.simplify(points, [(0, 399)], 1900, tolerance=0.5)
    assert len(kept) < 80
    assert kept[0] == 0 and kept[-1] == 399
    assert _distance(points, points[kept]) <= 0.5 + 1e-9


def test_a_path_has_no_more_points_than_allowed():
    points = np.random.default_rng(0).random((5000, 2)) * 500
    found, filled = report_paths.track_lines(
        np.arange(5000), points, np.zeros(5000, bool), 1900
    )
    numbers = len(re.findall(r"-?\d+", found))
    assert numbers // 2 <= 1900 and not filled


def test_a_broken_path_is_drawn_with_few_points_too():
    frames = np.arange(0, 9000, 3)
    filled = np.arange(3000) % 2 == 0
    points = np.random.default_rng(0).random((3000, 2)) * 500
    pair = report_paths.track_lines(frames, points, filled, 100)
    assert sum(len(re.findall(r"-?\d+", d)) for d in pair) // 2 <= 100


def test_a_path_breaks_at_a_gap_and_is_dotted_where_it_was_filled_in():
    frames = np.array([0, 1, 2, 3, 4, 9, 10])
    filled = np.array([0, 0, 1, 1, 0, 0, 0], bool)
    centres = np.stack([np.full(7, 5.0), frames * 1.0], -1)
    found, dotted = report_paths.track_lines(frames, centres, filled, 99)
    assert found == "M0 50l10 0M40 50l0 0M90 50l10 0"
    assert dotted == "M10 50l30 0"


def test_episodes_are_shown_by_doubt_and_the_rest_is_counted():
    doubts = np.random.default_rng(0).permutation(40) / 40
    episodes = [
        report.Doubtful(i, i, i / 25, (1,), "jump", d, f"Episode {i}.")
        for i, d in enumerate(doubts)
    ]
    words = report_pages.Page(
        report_pages.render(report_pages.grid(50, 1), doubtful=episodes)
    ).words
    order = [int(i) for i in re.findall(r"Episode (\d+)\.", words)]
    assert order == np.argsort(-doubts)[: len(order)].tolist()
    assert len(order) == 24 and "the other 16 are in doubtful.csv" in words
    rows = list(csv.DictReader(io.StringIO(report.doubtful_csv(episodes))))
    assert len(rows) == 40
    assert [int(row["first"]) for row in rows] == np.argsort(-doubts).tolist()


def test_the_table_of_doubtful_frames_reads_back():
    episode = report.Doubtful(
        9, 14, 0.36, (1, 12), "crossing", 0.875, 'They "met", and parted.'
    )
    (row,) = csv.DictReader(io.StringIO(report.doubtful_csv([episode])))
    assert row == {
        "first": "9",
        "last": "14",
        "time": "0.360",
        "ids": "1 12",
        "kind": "crossing",
        "doubt": "0.875",
        "sentence": 'They "met", and parted.',
    }
    assert report.doubtful_csv([]).strip() == ",".join(row)


def test_thumbnails_show_before_during_and_after_around_the_tracks():
    table = report_pages.grid(50, 2)
    episode = report.Doubtful(10, 19, 0.4, (1, 2), "crossing", 0.9, "")
    frames = report_doubtful.episode_frames(episode, 50)
    assert frames[0] < 10 <= frames[1] <= 19 < frames[2]
    wanted = report.thumbnail_plan([episode], table, 50, (60, 90))
    assert [frame for frame, _ in wanted] == list(frames)
    (region,) = {region for _, region in wanted}
    top, left, bottom, right = region
    assert 0 <= top and 0 <= left and bottom <= 60 and right <= 90
    for frame, box in zip(table.frames, table.boxes):
        if frame in frames:
            assert top <= box[0] and left <= box[1]
            assert bottom >= box[2] and right >= box[3]


def test_frames_around_an_episode_stay_in_the_video():
    first = report.Doubtful(0, 0, 0.0, (1,), "jump", 0.9, "")
    last = report.Doubtful(40, 49, 1.6, (1,), "jump", 0.9, "")
    assert report_doubtful.episode_frames(first, 50) == (0, 0, 1)
    assert report_doubtful.episode_frames(last, 50)[2] == 49


def test_whole_frames_serve_as_thumbnails_and_are_written_once():
    episodes = [
        report.Doubtful(9, 11, 0.36, (1,), "jump", d, "") for d in (0.9, 0.8)
    ]
    frames = report_doubtful.episode_frames(episodes[0], 50)
    pictures = {frame: report_pages.png(12, 20 + frame) for frame in frames}
    text = report_pages.render(
        report_pages.grid(50, 1),
        doubtful=episodes,
        thumbnails=pictures,
        size=(60, 90),
    )
    page = report_pages.Page(text)
    assert page.tags.count("image") == 3
    assert text.count('class="thumb"') == 6
    sizes = {
        (a["width"], a["height"])
        for tag, a in page.attributes
        if tag == "image"
    }
    assert sizes == {("90", "60")}


def test_a_picture_is_read_back_from_the_page():
    picture = report_pages.png(60, 90)
    text = report_pages.render(report_pages.grid(50, 1), background=picture)
    (data,) = re.findall('data:image/png;base64,([^"]*)', text)
    assert base64.b64decode(data) == picture
    assert 'viewBox="0 0 90 60"' in text


def test_pictures_that_are_too_large_are_left_out_with_a_word():
    noise = np.random.default_rng(0).bytes(1_100_000)
    large = report_pages.png(60, 90) + noise
    episodes = [
        report.Doubtful(5 * i, 5 * i, 0.0, (1,), "jump", 0.5, "")
        for i in range(9)
    ]
    wanted = report.thumbnail_plan(
        episodes, report_pages.grid(50, 1), 50, (60, 90)
    )
    text = report_pages.render(
        report_pages.grid(50, 1),
        background=large,
        doubtful=episodes,
        thumbnails={key: large for key in wanted},
    )
    words = report_pages.Page(text).words
    assert len(text) < 5e6
    assert "too large to be shown" in words and "left out" in words


def test_the_size_of_pictures_is_read_from_their_headers():
    assert report_images.size(report_pages.png(7, 9)) == (7, 9)
    segment = b"\xff\xe0" + struct.pack(">H", 16) + b"J" * 14
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, 480, 640, 3) + b"\0" * 9
    jpeg = b"\xff\xd8" + segment + b"\xff" + frame
    assert report_images.size(jpeg) == (480, 640)
    assert report_images.data_uri(jpeg).startswith("data:image/jpeg;base64,")
    for broken in (b"", b"GIF89a", b"\xff\xd8\xff", b"\xff\xd8" + b"\0" * 40):
        with pytest.raises(ValueError, match="expected the bytes of a PNG"):
            report_images.size(broken)
    with pytest.raises(ValueError, match="got bytes that start with b'GIF8'"):
        report_images.data_uri(b"GIF89a")


@pytest.mark.parametrize("with_baseline", [False, True])
def test_a_video_without_objects_says_so(with_baseline):
    empty = report_pages.table([], [])
    text = report_pages.render(empty, baseline=empty if with_baseline else None)
    words = report_pages.Page(text).words
    assert "No object was found" in words
    assert "No frame was found doubtful" in words
    assert "0 tracks in 50 frames" in words
    assert "nan" not in text and "inf" not in words


@pytest.mark.parametrize("rate", [25, None])
def test_a_single_picture_has_a_report(rate):
    table = report_pages.grid(1, 3)
    episode = report.Doubtful(0, 0, 0.0, (1, 2), "crossing", 0.5, "Close.")
    text = report_pages.render(
        table, doubtful=[episode], baseline=table, num_frames=1, rate=rate
    )
    words = report_pages.Page(text).words
    assert "3 tracks in 1 frame" in words
    assert "nan" not in text


def test_without_a_rate_no_time_is_shown():
    page = report_pages.Page(report_pages.full(rate=None))
    shown = page.words[: page.words.index("Columns of tracks.csv")]
    assert not re.search(r"\d s\b|\d:\d\d", shown)


def _flicker(num_frames, num_ids, seed=0):
    """Tracks that come and go, wander, and are filled in at random."""
    rng = np.random.default_rng(seed)
    present = rng.random((num_ids, num_frames)) < 0.9
    ids, frames = np.nonzero(present)
    steps = rng.normal(0, 3, (num_ids, num_frames, 2)).cumsum(1)
    return report_pages.table(
        frames,
        ids + 1,
        500 + steps[ids, frames],
        filled=rng.random(len(ids)) < 0.1,
        doubts=rng.random(len(ids)),
    )


def test_two_hundred_broken_tracks_make_a_page_of_bounded_size():
    table = _flicker(500, 200)
    text = report_pages.render(table, num_frames=500, size=(1000, 1000))
    report_pages.Page(text)
    assert len(text) < 5e6
    assert text.count('class="span" stroke-width') == 200
    assert "are not shown: there are too many to draw" in text


@pytest.mark.slow
def test_a_long_video_with_two_hundred_tracks_fits_in_five_megabytes():
    table = _flicker(20_000, 200)
    text = report_pages.render(
        table, num_frames=20_000, baseline=table, size=(1000, 1000)
    )
    assert len(text) < 5e6


def test_more_tracks_than_rows_leave_the_shortest_out_and_say_so():
    num = report_timeline.MAX_ROWS + 7
    table = report_pages.table(
        np.r_[np.zeros(num), np.ones(num - 7)],
        np.r_[np.arange(1, num + 1), np.arange(8, num + 1)],
    )
    text = report_pages.render(table)
    assert "7 shorter ones are in tracks.csv" in text
    assert '<path id="s7"' not in text and '<path id="s8"' in text


def test_spans_are_joined_only_as_far_as_it_takes():
    table = report_pages.table(np.r_[0:100:2, 200:205], np.ones(55))
    rows = report_timeline.rows(table, [])
    same, bridge = report_timeline.coarsen(rows, most=60)
    assert bridge == 0 and len(same[0].seen) == 51
    joined, bridge = report_timeline.coarsen(rows, most=10)
    assert bridge == 1
    assert joined[0].seen.tolist() == [[0, 99], [200, 205]]


@pytest.mark.parametrize(
    ("num_frames", "rate"), [(1, 25), (3000, 30), (20_000, 29.97), (9, 0.001)]
)
def test_ticks_are_few_and_in_the_video(num_frames, rate):
    for one in (rate, None):
        frames = report_text.tick_frames(num_frames, one)
        assert frames[0] == 0 and frames[-1] < num_frames
        assert len(frames) <= 8 and frames == sorted(set(frames))


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0.0 %"),
        (1e-6, "< 0.1 %"),
        (0.5, "50.0 %"),
        (1 - 1e-6, "> 99.9 %"),
        (1, "100.0 %"),
    ],
)
def test_a_share_is_never_rounded_to_all_or_none(share, text):
    assert report_text.percent(share) == text


def test_other_arguments_are_refused():
    with pytest.raises(ValueError, match="expected columns of one length"):
        report.TrackTable([0], [0.0], [1], np.zeros((2, 4)), [0], [0])
    with pytest.raises(ValueError, match="frames of table from 0 to 4, got 0"):
        report_pages.render(report_pages.grid(50, 1), num_frames=5)
    with pytest.raises(ValueError, match="frames of baseline"):
        report_pages.render(
            report_pages.grid(5, 1),
            baseline=report_pages.grid(50, 1),
            num_frames=5,
        )
    with pytest.raises(ValueError, match="num_frames of at least 1"):
        report_pages.render(report_pages.table([], []), num_frames=0)
    with pytest.raises(ValueError, match="expected a level of"):
        report_pages.render(
            report_pages.grid(5, 1), verdict={"level": "fine", "sentence": ""}
        )
