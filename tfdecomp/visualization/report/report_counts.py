"""How many objects there were, over time."""

import numpy as np

from tfdecomp.visualization.report import report_tables, report_text

_BINS = 480  # about one for every two pixels of a page
_HEIGHT = 150
_MAX_TICKS = 5


def draw(table, baseline, num_frames, rate) -> str:
    """Objects in each frame as a step line, as markup.

    Args:
        table: `TrackTable`.
        baseline: The same of background subtraction, or None.
        num_frames: Frames of the video.
        rate: Frames per second, or None.
    """
    series = [("ours", "this result", table)]
    if baseline is not None:
        series.append(("other", "background subtraction", baseline))
    binned = {
        kind: report_tables.binned(
            report_tables.counts(tracks, num_frames), _BINS
        )
        for kind, _, tracks in series
    }
    top = max(1, *(int(bins.high.max()) for bins in binned.values()))
    # A line at the largest count must not lie on the frame's edge.
    scale = _HEIGHT / (1.1 * top)
    parts = [report_text.grid_lines(num_frames, rate, _HEIGHT)]
    for kind, bins in reversed(binned.items()):
        if np.any(bins.low < bins.high):
            d = _band(bins, scale)
            parts.append(f'<path class="band {kind}" d="{d}"/>')
        d = _steps(bins.edges, bins.middle, scale)
        parts.append(f'<path class="line {kind}" d="{d}"/>')
    label = "Objects in each frame: " + "; ".join(
        f"{name}, {int(binned[kind].low.min())} to "
        f"{int(binned[kind].high.max())}"
        for kind, name, _ in series
    )
    picture = (
        f'<svg class="wide" role="img" aria-label="{label}" '
        f'viewBox="0 0 {num_frames} {_HEIGHT}" preserveAspectRatio="none" '
        f'style="height:{_HEIGHT}px">{"".join(parts)}</svg>'
    )
    body = (
        _legend(series)
        + '<div class="lanes" data-at="1">'
        + _labels(top, scale)
        + f'<div class="plot" data-frames="{num_frames}" '
        + f'data-rate="{rate or 0:g}" data-kind="counts" '
        + _readings(series, binned)
        + f'>{picture}<div class="cursor"></div>'
        + report_text.time_axis(num_frames, rate)
        + '</div></div><p class="readout" aria-hidden="true">&nbsp;</p>'
    )
    return report_text.figure(body, _caption(num_frames, binned["ours"]))


def _steps(edges, values, scale):
    """A line that is level over each bin."""
    heights = [f"{_HEIGHT - value * scale:.4g}" for value in values]
    parts = [f"M{edges[0]} {heights[0]}"]
    for start, end, before, now in zip(
        edges[:-1], edges[1:], [heights[0], *heights], heights
    ):
        if now != before:
            parts.append(f"H{start}V{now}")
        if end == edges[-1]:
            parts.append(f"H{end}")
    return "".join(parts)


def _band(bins, scale):
    """The area between the smallest and the largest count of each bin."""
    over = _steps(bins.edges, bins.high, scale)
    edges, low = bins.edges[::-1], bins.low[::-1]
    under = _steps(edges, low, scale)
    return f"{over}L{under[1:]}Z"


def _legend(series):
    keys = "".join(
        f'<span><svg class="key" viewBox="0 0 28 14" aria-hidden="true">'
        f'<path class="line {kind}" d="M2 7H26"/></svg>{name}</span>'
        for kind, name, _ in series
    )
    return f'<div class="controls"><div class="legend">{keys}</div></div>'


def _labels(top, scale):
    labels = "".join(
        f'<span style="top:{_HEIGHT - value * scale:.1f}px">'
        f"{report_text.number(value)}</span>"
        for value in report_text.count_steps(top, _MAX_TICKS)
    )
    return (
        '<div class="labels" aria-hidden="true">'
        f'<div style="height:{_HEIGHT}px">{labels}</div></div>'
    )


def _readings(series, binned):
    """What the pointer reads: counts of each bin, by series."""
    edges = binned["ours"].edges
    read = [f'data-edges="{",".join(map(str, edges.tolist()))}"']
    for kind, name, _ in series:
        bins = binned[kind]
        values = ",".join(
            f"{middle}" if low == high else f"{middle} ({low} to {high})"
            for low, middle, high in zip(bins.low, bins.middle, bins.high)
        )
        read.append(f'data-{kind}="{values}" data-{kind}-name="{name}"')
    return " ".join(read)


def _caption(num_frames, bins):
    if num_frames == len(bins.low):
        return "Objects in each frame, those that were filled in included."
    length = report_text.number(num_frames / len(bins.low), 1)
    return (
        "Objects in each frame, those that were filled in included: the line "
        f"is the median over bins of about {length} frames, the band reaches "
        "from the smallest to the largest count in each."
    )
