"""When each track was seen: a row of spans for each."""

import dataclasses

import numpy as np

from tfdecomp.visualization.report import report_tables, report_text

MAX_ROWS = 1000
MAX_SPANS = 40_000  # about a megabyte of markup
DOUBT = 0.5  # from here on a row of the table counts as doubtful
# Height of a row in pixels, by how many rows there are.
_HEIGHTS = ((12, 20), (40, 14), (MAX_ROWS, 9))
_LABEL_HEIGHT = 12
_ZOOMS = (1, 4, 16)  # the style names them


@dataclasses.dataclass
class Row:
    """One track over time; all spans are half-open.

    Attributes:
        id: Number of the track.
        seen: `[m, 2]` where it has a place, filled in or not.
        filled: `[m, 2]` where its place was filled in.
        doubtful: `[m, 2]` where its identity or place is in doubt.
    """

    id: int
    seen: np.ndarray
    filled: np.ndarray
    doubtful: np.ndarray

    def __len__(self):
        return len(self.seen) + len(self.filled) + len(self.doubtful)


def rows(table, doubtful) -> list[Row]:
    """The tracks as spans.

    Doubtful is where a row's doubt is at least `DOUBT`, and where the track
    has a place within an episode that names it.

    Args:
        table: `TrackTable`.
        doubtful: `Doubtful` episodes.
    """
    episodes = {}
    for episode in doubtful:
        for track in episode.ids:
            stretch = (episode.first, episode.last)
            episodes.setdefault(int(track), []).append(stretch)
    found = []
    for track, chosen in report_tables.by_track(table).items():
        frames = table.frames[chosen]
        doubts = table.doubts[chosen] >= DOUBT
        for first, last in episodes.get(track, ()):
            start, end = np.searchsorted(frames, [first, last + 1])
            doubts[start:end] = True
        found.append(
            Row(
                track,
                report_tables.spans(frames),
                report_tables.spans(frames[table.filled[chosen]]),
                report_tables.spans(frames[doubts]),
            )
        )
    return found


def coarsen(found, most=MAX_SPANS) -> tuple[list[Row], int]:
    """Joins spans over short gaps until there are few enough to draw.

    Args:
        found: `Row`s.
        most: Spans that may be left; as many as there are rows always are.

    Returns:
        The rows, and the longest gap in frames that no longer shows.
    """
    bridge, drawn = 0, found
    while sum(map(len, drawn)) > max(most, 3 * len(found)):
        bridge = 2 * bridge or 1
        drawn = [
            Row(
                row.id,
                *(
                    report_tables.bridged(kind, bridge)
                    for kind in (row.seen, row.filled, row.doubtful)
                ),
            )
            for row in found
        ]
    return drawn, bridge


def draw(table, doubtful, num_frames, rate) -> str:
    """The timeline of all tracks, as markup.

    Args:
        table: `TrackTable`.
        doubtful: `Doubtful` episodes.
        num_frames: Frames of the video.
        rate: Frames per second, or None.
    """
    found = rows(table, doubtful)
    if not found:
        return '<p class="empty">No object was found, so there is no track.</p>'
    left_out = len(found) - MAX_ROWS
    if left_out > 0:
        longest = sorted(found, key=lambda r: np.ptp(r.seen))[left_out:]
        found = sorted(longest, key=lambda r: r.id)
    drawn, bridge = coarsen(found)
    height = next(h for most, h in _HEIGHTS if len(drawn) <= most)
    body = (
        _controls()
        + '<div class="scroll" tabindex="0" role="region" '
        + 'aria-label="Timeline of tracks"><div class="lanes" data-at="1">'
        + _labels(drawn, height)
        + f'<div class="plot" data-frames="{num_frames}" '
        + f'data-rate="{rate or 0:g}" data-kind="tracks" '
        + f'data-height="{height}" '
        + f'data-ids="{",".join(str(row.id) for row in drawn)}">'
        + _picture(drawn, height, num_frames, rate)
        + '<div class="cursor"></div>'
        + report_text.time_axis(num_frames, rate, _ZOOMS)
        + "</div></div></div>"
        + '<p class="readout" aria-hidden="true">&nbsp;</p>'
    )
    return report_text.figure(body, _caption(rate, left_out, bridge))


def _controls():
    buttons = "".join(
        f'<button type="button" data-zoom="{zoom}" '
        f'aria-pressed="{"true" if zoom == 1 else "false"}">{zoom}×</button>'
        for zoom in _ZOOMS
    )
    legend = "".join(
        f'<span><svg class="key" viewBox="0 0 28 14" aria-hidden="true">{key}'
        f"</svg>{words}</span>"
        for key, words in (
            ('<path class="span sample" d="M2 6H26"/>', "found"),
            (
                '<path class="span sample faint" d="M2 6H26"/>'
                '<path class="hatch sample" d="M2 6H26"/>',
                "filled in",
            ),
            (
                '<path class="span sample" d="M2 6H10M18 6H26"/>',
                "gap",
            ),
            (
                '<path class="span sample" d="M2 6H26"/>'
                '<path class="doubt" d="M8 12.5H20"/>',
                "doubtful",
            ),
        )
    )
    return (
        f'<div class="controls"><div class="legend">{legend}</div>'
        '<div class="zoom" role="group" aria-label="Zoom in time">'
        f"<span>zoom</span>{buttons}</div></div>"
    )


def _labels(drawn, height):
    """Numbers beside the rows; every second or fifth where rows are thin."""
    step = next(s for s in (1, 2, 5) if s * height >= _LABEL_HEIGHT)
    labels = "".join(
        f'<span style="top:{(i + 0.5) * height:g}px">{row.id}</span>'
        for i, row in enumerate(drawn)
        if i % step == 0
    )
    return (
        '<div class="labels" aria-hidden="true">'
        f'<div style="height:{len(drawn) * height}px">{labels}</div>'
        '<div class="corner"></div></div>'
    )


def _picture(drawn, height, num_frames, rate):
    total = len(drawn) * height
    body = "".join(
        _row(row, (i + 0.5) * height - 1, height) for i, row in enumerate(drawn)
    )
    label = (
        f"{report_text.plural(len(drawn), 'track')} over {num_frames} frames"
    )
    return (
        f'<svg class="wide" role="img" aria-label="{label}" '
        f'viewBox="0 0 {num_frames} {total}" preserveAspectRatio="none" '
        f'style="height:{total}px">'
        f"{report_text.grid_lines(num_frames, rate, total, _ZOOMS)}{body}</svg>"
    )


def _row(row, y, height):
    """Bars, hatching over what was filled in, and doubts under them."""
    thick = height - 6 if height > 10 else height - 4
    where = f"{row.seen[0, 0]} to {row.seen[-1, 1] - 1}"
    words = (
        f"Track {row.id}: frames {where}, "
        f"{report_text.plural(len(row.seen) - 1, 'gap')}, "
        f"{report_text.plural(int(np.diff(row.filled).sum()), 'frame')} "
        "filled in"
    )
    shape = f"s{row.id}"
    breaks = report_tables.gaps(row.seen)
    parts = [
        f'<g data-id="{row.id}" style="--c:{report_text.color(row.id)}">',
        f"<title>{words}</title>",
        f'<defs><path id="{shape}" vector-effect="non-scaling-stroke" '
        f'd="{lines(row.seen, y)}"/></defs>',
        f'<use href="#{shape}" class="edge" stroke-width="{thick + 1}"/>',
        f'<use href="#{shape}" class="span" stroke-width="{thick}"/>',
    ]
    if len(breaks):
        cuts = "".join(
            f"M{0.5 * (start + end):g} {y - thick / 2 - 0.5:g}v{thick + 1}"
            for start, end in breaks
        )
        parts.append(f'<path class="cut" d="{cuts}"/>')
    if len(row.filled):
        d = lines(row.filled, y)
        parts.append(f'<path class="veil" stroke-width="{thick}" d="{d}"/>')
        parts.append(f'<path class="hatch" stroke-width="{thick}" d="{d}"/>')
    if len(row.doubtful):
        d = lines(row.doubtful, y + thick / 2 + 1.75)
        parts.append(f'<path class="doubt" d="{d}"/>')
    return "".join([*parts, "</g>"])


def lines(runs, y) -> str:
    """Level lines over half-open runs `[m, 2]`, as a path."""
    return "".join(f"M{a} {y:g}H{b}" for a, b in runs.tolist())


def _caption(rate, left_out, bridge):
    under = "time and, below it, frame" if rate else "frame"
    words = [
        f"One row for each track; across, {under}. Filled in: nothing was "
        "found there, the place comes from before and after. Doubtful: "
        "another identity or place came close to being chosen. Point at a "
        "row to read it."
    ]
    if left_out > 0:
        words.append(
            f"The {MAX_ROWS} longest tracks; {report_text.number(left_out)} "
            "shorter ones are in tracks.csv."
        )
    if bridge:
        words.append(
            f"Gaps of up to {report_text.plural(bridge, 'frame')} are not "
            "shown: there are too many to draw."
        )
    return " ".join(words)
