"""A report of tracks: one page that needs nothing but itself.

It says how far to trust the tracks, what was chosen and why, shows when and
where each object was, what a person should look at, and how background
subtraction does on the same video.
"""

import base64
import hashlib

import numpy as np

from tfdecomp.version import __version__
from tfdecomp.visualization.report import (
    report_counts,
    report_doubtful,
    report_images,
    report_paths,
    report_style,
    report_tables,
    report_text,
    report_timeline,
)

Doubtful = report_tables.Doubtful
TrackTable = report_tables.TrackTable
doubtful_csv = report_doubtful.doubtful_csv
thumbnail_plan = report_doubtful.plan

LEVELS = {"good": "Good", "doubtful": "Doubtful", "bad": "Bad"}
COLUMNS = (
    ("frame", "number of the frame in the input, from 0"),
    ("time", "seconds from the start of the input"),
    ("id", "number of the track, from 1, the same in all frames"),
    (
        "slot",
        "the model's slot; -1 where none explains what moves, or the place "
        "was filled in",
    ),
    (
        "ymin, xmin, ymax, xmax",
        "edges of the box in pixels of the input, from the upper left corner; "
        "the centre is ((ymin + ymax) / 2, (xmin + xmax) / 2)",
    ),
    ("area", "pixels of the object that differ from the background"),
    ("presence", "how sure it is that something is there, from 0 to 1"),
    ("filled", "1 where nothing was found and the place was filled in"),
    (
        "doubt",
        "how close another identity or place came to being chosen, from 0 "
        "(certain) to 1",
    ),
)
_BASELINE = "background subtraction"
_MAX_BACKGROUND = 1_000_000  # bytes; more would make the page slow to open


def render(
    title,
    *,
    facts,
    table,
    doubtful,
    thumbnails,
    background,
    baseline=None,
    verdict=None,
    num_frames,
    rate,
    size=None,
    count=None,
    columns=COLUMNS,
) -> str:
    """The report as the text of an HTML file.

    Nothing on the page comes from elsewhere, and names from strangers are
    shown, never obeyed. Times are frames over the rate.

    Args:
        title: Heading, such as the name of the video.
        facts: `(name, value, how it was found)` of what was chosen.
        table: `TrackTable`.
        doubtful: `Doubtful` episodes, in any order.
        thumbnails: Bytes of PNG or JPEG files: by `(frame, region)` for the
            regions that `thumbnail_plan` names, or by `frame` for whole
            frames of any size. What is missing is left out.
        background: Bytes of a PNG or JPEG file of the empty scene, or None;
            left out above a megabyte.
        baseline: `TrackTable` of background subtraction on the same video.
        verdict: `level` ("good", "doubtful" or "bad"), `sentence`, and
            `figures`: `(name, value, sentence)`.
        num_frames: Frames of the video.
        rate: Frames per second; None or 0 if there is none.
        size: `(height, width)` of the video's frames; by default that of the
            background, else what the boxes cover.
        count: How many objects there are, if it is known.
        columns: `(name, meaning)` of the columns of tracks.csv.

    Raises:
        ValueError: If a frame is outside the video, the level unknown, or a
            picture neither PNG nor JPEG.
    """
    if num_frames < 1:
        raise ValueError(f"expected num_frames of at least 1, got {num_frames}")
    table.check("table", num_frames)
    if baseline is not None:
        baseline.check("baseline", num_frames)
    size = size or _size(background, table, baseline)
    body = "".join(
        [
            _heading(title, table, num_frames, rate),
            _verdict(verdict),
            _facts(facts),
            report_text.section(
                "Tracks over time",
                report_timeline.draw(table, doubtful, num_frames, rate),
            ),
            report_text.section(
                "Objects in each frame",
                report_counts.draw(table, baseline, num_frames, rate),
            ),
            report_text.section(
                "Doubtful frames",
                report_doubtful.draw(
                    doubtful, table, thumbnails, num_frames, rate, size
                ),
            ),
            _paths(table, baseline, background, size),
            _comparison(table, baseline, num_frames, rate, count),
            _about(columns),
        ]
    )
    return _page(title, body)


def _page(title, body):
    digest = hashlib.sha256(report_style.SCRIPT.encode()).digest()
    # The browser refuses to fetch anything, and to run any other script.
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{base64.b64encode(digest).decode()}'"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, '
        'initial-scale=1">\n'
        f"<title>{report_text.escape(title)}</title>\n"
        f"<style>{report_style.STYLE}</style>\n</head>\n<body>\n"
        f"<main>{body}</main>\n<script>{report_style.SCRIPT}</script>\n"
        "</body>\n</html>\n"
    )


def _size(background, table, baseline):
    """`(height, width)` of the frame; at least a pixel."""
    if background is not None:
        return report_images.size(background)
    tables = [t for t in (table, baseline) if t is not None and len(t)]
    if not tables:
        return 1, 1
    ends = np.max([t.boxes[:, 2:].max(0) for t in tables], 0)
    return tuple(int(np.ceil(max(end, 1))) for end in ends)


def _heading(title, table, num_frames, rate):
    tracks = len(np.unique(table.ids))
    words = [
        report_text.plural(tracks, "track"),
        f"in {report_text.plural(num_frames, 'frame')}",
    ]
    if rate:
        length = report_text.clock(num_frames / rate)
        words.append(f"({length} at {rate:g} frames per second)")
    return (
        f"<header><h1>{report_text.escape(title)}</h1>"
        f'<p class="under">{" ".join(words)}</p></header>'
    )


def _verdict(verdict):
    if not verdict:
        return ""
    level = verdict["level"]
    if level not in LEVELS:
        raise ValueError(
            f"expected a level of {sorted(LEVELS)}, got {level!r}; choose one"
        )
    figures = "".join(
        f"<dt>{report_text.escape(name)}</dt>"
        f'<dd class="value">{report_text.escape(value)}</dd>'
        f'<dd class="words">{report_text.escape(sentence)}</dd>'
        for name, value, sentence in verdict.get("figures", ())
    )
    figures = f"<dl>{figures}</dl>" if figures else ""
    return (
        f'<div class="verdict {level}" role="note" '
        f'aria-label="How far to trust this"><p><b>{LEVELS[level]}.</b> '
        f"{report_text.escape(verdict['sentence'])}</p>{figures}</div>"
    )


def _facts(facts):
    if not facts:
        return ""
    head = ("what", "value", "how it was found")
    return report_text.section(
        "What was chosen", report_text.table(head, facts, "facts")
    )


def _paths(table, baseline, background, size):
    if background is None and not len(table) and not len(baseline or ()):
        return ""
    height, width = size
    picture, again, note = "", "", ""
    if background is not None and len(background) <= _MAX_BACKGROUND:
        picture = (
            f'<image id="background" width="{width}" height="{height}" '
            'preserveAspectRatio="none" '
            f'href="{report_images.data_uri(background)}"/>'
        )
        # Both panels show it; the page holds it once.
        again = '<use href="#background"/>'
    elif background is not None:
        note = " The picture of the background was too large to be shown."
    panels = [_panel("This result", table, size, "a", picture)]
    if baseline is not None:
        panels.append(
            _panel(_BASELINE.capitalize(), baseline, size, "b", again)
        )
    caption = (
        "Centres of boxes over the background. A dot marks where a track "
        "starts; dotted lines were filled in; a line ends at a gap. Colours "
        f"repeat after {report_text.NUM_COLORS} tracks; one colour in both "
        f"panels need not be one object.{note}"
    )
    kind = "panels" if baseline is not None else "panels one"
    body = f'<div class="{kind}">{"".join(panels)}</div>'
    return report_text.section("Paths", report_text.figure(body, caption))


def _panel(name, table, size, prefix, picture):
    tracks = report_text.plural(len(np.unique(table.ids)), "track")
    drawn = report_paths.draw(
        table, size, prefix, picture, f"Paths of {tracks}: {name}"
    )
    return f"<div><h3>{name}: {tracks}</h3>{drawn}</div>"


def _comparison(table, baseline, num_frames, rate, count):
    if baseline is None:
        return ""
    pair = [
        report_tables.summary(t, num_frames, count) for t in (table, baseline)
    ]

    def length(one):
        if not one.num_tracks:
            return "–"
        frames = report_text.plural(round(one.median_length), "frame")
        if not rate:
            return frames
        return f"{frames} ({report_text.clock(one.median_length / rate)})"

    def common(one):
        share = report_text.percent(one.common_frames / num_frames)
        return f"{share} ({report_text.plural(one.common_count, 'object')})"

    right = "its most common" if count is None else "the right"
    lines = {
        "tracks": lambda one: report_text.number(one.num_tracks),
        "median length of a track": length,
        "gaps inside tracks": lambda one: report_text.number(one.num_gaps),
        f"frames with {right} count": common,
        "places that were filled in": lambda one: report_text.percent(
            one.filled
        ),
    }
    rows = [(name, *map(show, pair)) for name, show in lines.items()]
    table_text = report_text.table(
        ("", "this result", _BASELINE), rows, "numbers"
    )
    note = (
        '<p class="note">Background subtraction joins what differs from the '
        "background from frame to frame. Few, long and unbroken tracks are "
        "better only if identities are right; the doubtful frames show where "
        "to look.</p>"
    )
    return report_text.section(f"Beside {_BASELINE}", table_text + note)


def _about(columns):
    cite = (
        "The tfdecomp authors. <i>tfdecomp: unsupervised decomposition of "
        f"images and videos into objects</i>, version {__version__}; with "
        "the paper of the model (CITATION.cff)."
    )
    return report_text.section(
        "Columns of tracks.csv",
        report_text.table(("column", "meaning"), columns, "columns")
        + '<p class="note">doubtful.csv lists all doubtful stretches: first '
        "and last frame, time in seconds, tracks, kind, doubt, and what "
        "happened.</p>",
    ) + report_text.section("How to cite", f"<p>{cite}</p>")
