"""Stretches that a person should look at: a table, and pictures of each."""

import csv
import dataclasses
import io

import numpy as np

from tfdecomp.visualization.report import (
    report_images,
    report_tables,
    report_text,
)

MAX_EPISODES = 24
# Bytes of all thumbnails together, before base64 adds a third.
_MAX_BYTES = 2_000_000
_NAMES = ("before", "during", "after")


def ranked(doubtful) -> list:
    """Episodes by doubt, the most doubtful first, then by frame."""
    return sorted(doubtful, key=lambda e: (-e.doubt, e.first, e.last))


def doubtful_csv(doubtful) -> str:
    """The text of `doubtful.csv`: a row for each episode, doubtful first.

    Args:
        doubtful: `report_tables.Doubtful` episodes.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = [f.name for f in dataclasses.fields(report_tables.Doubtful)]
    writer.writerow(names)
    for episode in ranked(doubtful):
        row = {name: getattr(episode, name) for name in names}
        row["time"] = f"{episode.time:.3f}"
        row["doubt"] = f"{episode.doubt:.3f}"
        row["ids"] = " ".join(str(int(track)) for track in episode.ids)
        writer.writerow(row.values())
    return stream.getvalue()


def episode_frames(episode, num_frames) -> tuple[int, int, int]:
    """Frames before, during and after an episode, inside the video.

    Those around it are as far away as half of it is long, and at least one
    frame.
    """
    away = 1 + (episode.last - episode.first) // 2
    middle = (episode.first + episode.last) // 2
    chosen = (episode.first - away, middle, episode.last + away)
    return tuple(int(np.clip(f, 0, num_frames - 1)) for f in chosen)


def plan(doubtful, table, num_frames, size) -> list[tuple[int, tuple]]:
    """What thumbnails a report of these episodes shows.

    Args:
        doubtful: `Doubtful` episodes.
        table: `TrackTable`.
        num_frames: Frames of the video.
        size: `(height, width)` of its frames.

    Returns:
        `(frame, region)`, sorted, none twice; the region is
        `(ymin, xmin, ymax, xmax)` in whole pixels.
    """
    places = _Places(table)
    wanted = set()
    for episode in ranked(doubtful)[:MAX_EPISODES]:
        frames = episode_frames(episode, num_frames)
        region = _region(episode, frames, places, size)
        wanted.update((frame, region) for frame in frames)
    return sorted(wanted)


class _Places:
    """Rows of a table by frame."""

    def __init__(self, table):
        self._table = table
        self._order = np.argsort(table.frames, kind="stable")
        self._frames = table.frames[self._order]

    def at(self, frame):
        """`{id: box}` of a frame."""
        start, end = np.searchsorted(self._frames, [frame, frame + 1])
        rows = self._order[start:end]
        return dict(
            zip(self._table.ids[rows].tolist(), self._table.boxes[rows])
        )


def _region(episode, frames, places, size):
    """A square around the episode's tracks, inside the frame."""
    boxes = [
        box
        for frame in frames
        for track, box in places.at(frame).items()
        if track in episode.ids
    ]
    height, width = size
    if not boxes:
        return (0, 0, height, width)
    boxes = np.array(boxes)
    low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    # Half as much on either side as the largest of them is wide.
    side = (high - low).max() + (boxes[:, 2:] - boxes[:, :2]).max()
    side = int(np.ceil(max(side, 8)))
    start = np.rint(0.5 * (low + high - side)).astype(int)
    limits = np.array([height, width])
    start = np.clip(start, 0, np.maximum(limits - side, 0))
    end = np.minimum(start + side, limits)
    return (*start.tolist(), *end.tolist())


def draw(doubtful, table, thumbnails, num_frames, rate, size) -> str:
    """The most doubtful episodes with three pictures each, as markup.

    Args:
        doubtful: `Doubtful` episodes.
        table: `TrackTable`.
        thumbnails: Bytes of PNG or JPEG files: of a region by
            `(frame, region)` as `plan` gives them, or of whole frames by
            `frame`.
        num_frames: Frames of the video.
        rate: Frames per second, or None.
        size: `(height, width)` of its frames.
    """
    if not doubtful:
        return '<p class="empty">No frame was found doubtful.</p>'
    places, spent, cards = _Places(table), 0, []
    pictures = _Pictures(thumbnails)
    for rank, episode in enumerate(ranked(doubtful)[:MAX_EPISODES], 1):
        frames = episode_frames(episode, num_frames)
        region = _region(episode, frames, places, size)
        spent += pictures.cost(frames, region)
        cells = (
            _cells(episode, frames, region, places, pictures, size)
            if spent <= _MAX_BYTES
            else ""
        )
        cards.append(_card(rank, episode, cells, rate))
    note = _note(len(doubtful), spent > _MAX_BYTES)
    return f'{note}<ol class="cards">{"".join(cards)}</ol>'


def _note(count, is_full):
    more = count - MAX_EPISODES
    words = [
        f"{report_text.plural(count, 'episode')}, the most doubtful first."
        if more <= 0
        else f"The {MAX_EPISODES} most doubtful of "
        f"{report_text.number(count)} episodes; the other "
        f"{report_text.number(more)} are in doubtful.csv.",
        "Boxes have the colour of their track; thin boxes are other tracks.",
    ]
    if is_full:
        words.append("Pictures of the later ones were left out: too large.")
    return f'<p class="note">{" ".join(words)}</p>'


class _Pictures:
    """Thumbnails as markup; each file is written once to the page."""

    def __init__(self, thumbnails):
        self._thumbnails = thumbnails
        self._names = {}

    def _key(self, frame, region):
        key = (frame, tuple(region))
        if key in self._thumbnails:
            return key
        return frame if frame in self._thumbnails else None

    def cost(self, frames, region):
        """Bytes that these would add to the page."""
        keys = {self._key(frame, region) for frame in frames}
        new = keys - {None} - self._names.keys()
        return sum(len(self._thumbnails[key]) for key in new)

    def markup(self, frame, region, size):
        """The picture, or None if it was not given."""
        key = self._key(frame, region)
        if key is None:
            return None
        if key in self._names:
            return f'<use href="#{self._names[key]}"/>'
        name = self._names[key] = f"thumb{len(self._names)}"
        y, x, y2, x2 = (0, 0, *size) if key == frame else region
        return (
            f'<image id="{name}" x="{x}" y="{y}" width="{x2 - x}" '
            f'height="{y2 - y}" preserveAspectRatio="none" '
            f'href="{report_images.data_uri(self._thumbnails[key])}"/>'
        )


def _cells(episode, frames, region, places, pictures, size):
    """Pictures of an episode side by side; empty if none was given."""
    y, x, y2, x2 = region
    order = {int(track): place for place, track in enumerate(episode.ids)}
    cells = []
    for name, frame in zip(_NAMES, frames):
        picture = pictures.markup(frame, region, size)
        if picture is None:
            continue
        boxes = [
            _box(track, box, region, order.get(track))
            for track, box in places.at(frame).items()
        ]
        cells.append(
            '<figure class="thumb">'
            f'<svg role="img" aria-label="{name}, frame {frame}" '
            f'viewBox="{x} {y} {x2 - x} {y2 - y}">{picture}{"".join(boxes)}'
            f"</svg><figcaption>{name}<br>frame {report_text.number(frame)}"
            "</figcaption></figure>"
        )
    return f'<div class="thumbs">{"".join(cells)}</div>' if cells else ""


def _box(track, box, region, order):
    """A box, with its number if the episode names it.

    Numbers stand above and below in turn: boxes of a crossing overlap.
    """
    top, left, bottom, right = box
    if min(bottom, region[2]) <= max(top, region[0]) or min(
        right, region[3]
    ) <= max(left, region[1]):
        return ""
    style = f"--c:{report_text.color(track)}"
    shape = (
        f'x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
        f'height="{bottom - top:.1f}"'
    )
    if order is None:
        return f'<rect class="box" style="{style}" {shape}/>'
    letter = 0.085 * max(region[2] - region[0], region[3] - region[1])
    level = top - 0.25 * letter
    if order % 2 or level - letter < region[0]:
        level = min(bottom + letter, region[2] - 0.2 * letter)
    place = np.clip(left, region[1], region[3] - letter)
    return (
        f'<rect class="box back" {shape}/>'
        f'<rect class="box named" style="{style}" {shape}/>'
        f'<text class="number" style="{style}" x="{place:.1f}" '
        f'y="{level:.1f}" font-size="{letter:.2f}" '
        f'stroke-width="{0.25 * letter:.2f}">{track}</text>'
    )


def _card(rank, episode, cells, rate):
    chips = "".join(
        f'<span class="chip"><i style="--c:{report_text.color(track)}"></i>'
        f"{int(track)}</span>"
        for track in episode.ids
    )
    first, last = (report_text.number(f) for f in (episode.first, episode.last))
    when = f"frame {first}" if first == last else f"frames {first}–{last}"
    kind = episode.kind[:1].upper() + episode.kind[1:]
    if rate:
        when += f", at {report_text.clock(episode.time)}"
    return (
        f'<li class="card"><h3><span class="rank">{rank}</span> '
        f"{report_text.escape(kind)}"
        f'<span class="chips">{chips}</span></h3>'
        f'<p class="when">{when}; doubt {episode.doubt:.2f}</p>'
        f"<p>{report_text.escape(episode.sentence)}</p>{cells}</li>"
    )
