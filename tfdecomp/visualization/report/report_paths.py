"""Where the tracks went: lines over the picture of the background."""

import heapq

import numpy as np

from tfdecomp.visualization.report import report_tables, report_text

MAX_POINTS = 1900  # of one track
_ALL_POINTS = 40_000  # of one panel, about 300 kB of markup
_FEWEST = 8
_TOLERANCE = 0.5  # pixels: a line is thicker than that
_UNITS = 10  # steps to a pixel, so that coordinates are short integers
_MAX_LABELS = 24
_CROWD = 60  # tracks; from here on lines are thin


def runs(frames, filled, bridge=0) -> list[tuple[int, int, bool]]:
    """Stretches of a track that are drawn in one line.

    A stretch ends at a gap and where filling starts or ends. Filled ones
    reach to the found places beside them.

    Args:
        frames: `[n]` int, ascending.
        filled: `[n]` bool.
        bridge: Gaps of at most this many frames do not end a stretch.

    Returns:
        `(first, last, is_filled)`, rows, inclusive.
    """
    joined = np.diff(frames) <= 1 + bridge
    changes = ~joined | (filled[1:] != filled[:-1])
    starts = [0, *(np.flatnonzero(changes) + 1).tolist(), len(frames)]
    found = []
    for start, end in zip(starts[:-1], starts[1:]):
        is_filled = bool(filled[start])
        if is_filled:
            start -= int(start > 0 and joined[start - 1])
            end += int(end < len(frames) and joined[end - 1])
        found.append((start, end - 1, is_filled))
    return found


def simplify(points, pieces, limit, tolerance=_TOLERANCE) -> list[np.ndarray]:
    """Leaves out points that a straight line passes close by.

    The point farthest from the line is put back again and again, over all
    pieces at once (Douglas and Peucker, 1973).

    Args:
        points: `[n, 2]`.
        pieces: `(first, last)` rows of each line, inclusive.
        limit: Points to keep in all; the ends of pieces always stay.
        tolerance: Distance of points that may be left out.

    Returns:
        Rows to keep of each piece, ascending.
    """
    kept = [{first, last} for first, last in pieces]
    waiting = []
    for piece, (first, last) in enumerate(pieces):
        _farthest(points, first, last, piece, waiting)
    left = limit - sum(map(len, kept))
    while waiting and left > 0 and -waiting[0][0] > tolerance:
        _, row, first, last, piece = heapq.heappop(waiting)
        kept[piece].add(row)
        left -= 1
        _farthest(points, first, row, piece, waiting)
        _farthest(points, row, last, piece, waiting)
    return [np.array(sorted(rows)) for rows in kept]


def _farthest(points, first, last, piece, waiting):
    """Puts the point farthest from a line on the heap, farthest first."""
    if last - first < 2:
        return
    inner, start = points[first + 1 : last], points[first]
    chord = points[last] - start
    length = max(float(chord @ chord), 1e-12)
    along = np.clip((inner - start) @ chord / length, 0, 1)
    away = inner - start - along[:, None] * chord
    distance = np.einsum("nd,nd->n", away, away)
    row = int(np.argmax(distance))
    entry = (
        -(float(distance[row]) ** 0.5),
        first + 1 + row,
        first,
        last,
        piece,
    )
    heapq.heappush(waiting, entry)


def track_lines(frames, centres, filled, limit) -> tuple[str, str]:
    """One track as two paths, what was found and what was filled in.

    Args:
        frames: `[n]` int, ascending.
        centres: `[n, 2]` `(y, x)` pixels.
        filled: `[n]` bool.
        limit: Points in all.

    Returns:
        Paths in tenths of a pixel.
    """
    filled = np.asarray(filled, bool)
    pieces, bridge = runs(frames, filled), 0
    while 2 * len(pieces) > limit:
        # So broken a line cannot be drawn as it is.
        if bridge > frames[-1] - frames[0]:
            filled = np.zeros_like(filled)
        bridge = 2 * bridge or 1
        pieces = runs(frames, filled, bridge)
    kept = simplify(centres, [p[:2] for p in pieces], limit)
    units = np.rint(centres[:, ::-1] * _UNITS).astype(int)
    paths = {False: [], True: []}
    for (_, _, is_filled), chosen in zip(pieces, kept):
        paths[is_filled].append(path(units[chosen]))
    return "".join(paths[False]), "".join(paths[True])


def path(points) -> str:
    """A line through `[n, 2]` integers `(x, y)`; a dot if there is but one."""
    steps = np.diff(points, axis=0)
    steps = steps[np.any(steps != 0, axis=-1)].reshape(-1).tolist() or [0, 0]
    # A minus sign parts numbers as well as a space does.
    text = " ".join(map(str, steps)).replace(" -", "-")
    x, y = points[0].tolist()
    return f"M{x} {y}l{text}"


def draw(table, size, name, picture, label) -> str:
    """The tracks over the background, as markup.

    Args:
        table: `TrackTable`.
        size: `(height, width)` of the frame.
        name: Prefix for the names of shapes, unique on the page.
        picture: Markup of the background, in pixels of the frame.
        label: What is seen, in words.
    """
    height, width = size
    tracks, all_centres = report_tables.by_track(table), table.centres
    limit = min(MAX_POINTS, max(_FEWEST, _ALL_POINTS // max(len(tracks), 1)))
    # With very many tracks only the longest can have even the fewest points.
    most = _ALL_POINTS // _FEWEST
    longest = sorted(tracks, key=lambda track: -len(tracks[track]))[:most]
    shapes, under, over, labels = [], [], [], []
    for track in sorted(longest):
        rows = tracks[track]
        centres = all_centres[rows]
        found, filled = track_lines(
            table.frames[rows], centres, table.filled[rows], limit
        )
        shape = f"{name}{track}"
        dashes = f'<path class="dashes" d="{filled}"/>' if filled else ""
        shapes.append(
            f'<path id="{shape}" vector-effect="non-scaling-stroke" '
            f'd="{found or "M0 0"}"/>'
        )
        under.append(f'<use href="#{shape}"/>')
        over.append(
            f'<g data-id="{track}" style="--c:{report_text.color(track)}">'
            f"<title>Track {track}</title>"
            f'<use href="#{shape}"/>{dashes}</g>'
        )
        if len(tracks) <= _MAX_LABELS:
            labels.append(_label(track, centres, size))
    kind = " crowd" if len(tracks) > _CROWD else ""
    wash = f'<rect class="wash" width="{width}" height="{height}"/>'
    return (
        f'<svg class="paths{kind}" role="img" '
        f'aria-label="{report_text.escape(label)}" '
        f'viewBox="0 0 {width} {height}"><defs>{"".join(shapes)}</defs>'
        f"{picture}{wash}"
        f'<g transform="scale({1 / _UNITS:g})"><g class="casing">'
        f'{"".join(under)}</g><g class="tracks">{"".join(over)}</g></g>'
        f"{''.join(labels)}</svg>"
    )


def _label(track, centres, size):
    """A ring where the track starts, and its number."""
    (y, x), (height, width) = centres[0], size
    letter = 0.026 * max(height, width)
    # Inside the frame, wherever the track starts.
    side = -1 if x > 0.9 * width else 1
    anchor = "end" if side < 0 else "start"
    level = np.clip(y - 0.3 * letter, letter, height - 0.3 * letter)
    return (
        f'<g class="start" data-id="{track}" '
        f'style="--c:{report_text.color(track)}">'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{0.3 * letter:.2f}"/>'
        f'<text x="{x + side * 0.5 * letter:.1f}" y="{level:.1f}" '
        f'font-size="{letter:.2f}" stroke-width="{0.22 * letter:.2f}" '
        f'text-anchor="{anchor}">{track}</text></g>'
    )
