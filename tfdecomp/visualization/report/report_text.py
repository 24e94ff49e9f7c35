"""Words, numbers and small pieces of markup that the report's parts share."""

import html

import numpy as np

from tfdecomp.visualization import palette

# Colours of later tracks are lighter and lighter; these many stay apart.
NUM_COLORS = 24
_TIME_STEPS = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 20, 30),
    *(60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 14400, 21600, 43200),
)
_MAX_TICKS = 7


def escape(value) -> str:
    """Any value as text that a page shows and never obeys."""
    return html.escape(str(value), quote=True)


def color(track) -> str:
    """Colour of a track, `#rrggbb`; after two dozen they repeat."""
    chosen = palette.slot_colors(NUM_COLORS)[(int(track) - 1) % NUM_COLORS]
    return "#" + "".join(f"{part:02x}" for part in chosen)


def number(value, digits=0) -> str:
    """A number with thousands apart, such as `12,345`."""
    return f"{value:,.{digits}f}"


def plural(count, word) -> str:
    """`1 frame`, `2 frames`."""
    return f"{number(count)} {word}{'' if count == 1 else 's'}"


def percent(share) -> str:
    """A share as `98.3 %`; never rounded to all or none."""
    shown = f"{100 * share:.1f}"
    if shown == "100.0" and share < 1:
        return "> 99.9 %"
    if shown == "0.0" and share > 0:
        return "< 0.1 %"
    return f"{shown} %"


def clock(seconds, digits=1) -> str:
    """A time as `41.1 s`, `2:05` or `1:02:05`."""
    if seconds < 60:
        return f"{seconds:.{digits}f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest:02d}"
    return f"{minutes}:{rest:02d}"


def moment(frame, rate) -> str:
    """A frame, and its time where the video has a rate."""
    shown = f"frame {number(frame)}"
    return f"{shown} ({clock(frame / rate)})" if rate else shown


def count_steps(largest, most) -> list[int]:
    """Round numbers from 0 to at most `largest`, about `most` of them."""
    if largest < 1:
        return [0]
    step = _round_step(largest / most)
    return list(range(0, int(largest) + 1, step))


def _round_step(least):
    power = 10 ** max(int(np.floor(np.log10(max(least, 1)))), 0)
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least)


def time_axis(num_frames, rate, zooms=(1,)) -> str:
    """Ticks below a picture that is `num_frames` wide, as markup.

    Args:
        num_frames: Frames of the video.
        rate: Frames per second, or None.
        zooms: How much wider than the page the picture may be; each has its
            own ticks, and the page shows those of one.
    """
    layers = "".join(
        f'<div class="z z{zoom}">{_ticks(num_frames, rate, zoom)}</div>'
        for zoom in zooms
    )
    return f'<div class="axis" aria-hidden="true">{layers}</div>'


def _ticks(num_frames, rate, zoom):
    ticks = []
    for frame in tick_frames(num_frames, rate, zoom):
        share = frame / num_frames
        side = "mid"
        if zoom * share < 0.03:
            side = "start"
        elif zoom * (1 - share) < 0.05:
            side = "end"
        label = f"<small>{number(frame)}</small>"
        if rate:
            seconds = round(frame / rate, 2)
            label = f"{clock(seconds, 0 if seconds % 1 == 0 else 2)}{label}"
        ticks.append(
            f'<span class="tick {side}" style="left:{100 * share:.3f}%">'
            f"{label}</span>"
        )
    return "".join(ticks)


def tick_frames(num_frames, rate, zoom=1) -> list[int]:
    """Frames at round times, or round frames where there is no rate."""
    most = _MAX_TICKS * zoom
    if not rate:
        return count_steps(num_frames - 1, most)
    seconds = num_frames / rate
    step = next(
        (s for s in _TIME_STEPS if seconds / s <= most),
        _round_step(seconds / most),
    )
    frames = np.rint(np.arange(0, seconds, step) * rate).astype(int)
    return sorted(set(frames[frames < num_frames].tolist()))


def grid_lines(num_frames, rate, height, zooms=(1,)) -> str:
    """Upright lines at the ticks of `time_axis`."""
    parts = []
    for zoom in zooms:
        frames = tick_frames(num_frames, rate, zoom)
        lines = "".join(f"M{frame} 0V{height:g}" for frame in frames)
        parts.append(f'<path class="grid z z{zoom}" d="{lines}"/>')
    return "".join(parts)


def table(head, rows, kind="") -> str:
    """A table of texts that are escaped; the first column heads its row."""
    heads = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = []
    for first, *rest in rows:
        cells = "".join(
            f'<td data-head="{escape(name)}">{escape(cell)}</td>'
            for name, cell in zip(head[1:], rest)
        )
        body.append(f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>')
    return (
        f'<table class="{kind}"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table>"
    )


def figure(body, caption) -> str:
    """A picture, as markup, and the text under it, which is markup too."""
    return f"<figure>{body}<figcaption>{caption}</figcaption></figure>"


def section(title, body) -> str:
    """A part of the page with its heading; `body` is markup."""
    return f"<section><h2>{escape(title)}</h2>{body}</section>"
