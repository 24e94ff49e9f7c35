"""Pages of the report, from small tables, and what is read off them."""

import html.parser
import struct
import zlib

import numpy as np

from tfdecomp.visualization import report

VOID = {"meta", "br", "img", "input", "hr", "link"}
FETCHES = {"src", "href", "xlink:href", "data", "action", "poster", "srcset"}


class Page(html.parser.HTMLParser):
    """Elements, texts and addresses of a page; tags must be closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.addresses, self.names = [], [], [], []
        self.events, self.texts, self.attributes = [], [], []
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))
        for name, value in attrs:
            if name in FETCHES:
                self.addresses.append(value)
            if name == "id":
                self.names.append(value)
            if name.startswith("on"):
                self.events.append((tag, name))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open[-3:])
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.texts).split())


def png(height, width):
    """A grey picture, written by hand."""

    def chunk(name, data):
        body = name + data
        return (
            struct.pack(">I", len(data))
            + body
            + struct.pack(">I", zlib.crc32(body))
        )

    rows = b"".join(b"\0" + b"\x80" * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def table(frames, ids, centres=None, filled=None, doubts=None, side=10.0):
    frames, ids = np.array(frames, int), np.array(ids, int)
    if centres is None:
        centres = np.stack([20.0 + ids, 30.0 + frames], -1)
    centres = np.reshape(centres, (-1, 2))
    return report.TrackTable(
        frames,
        frames / 25,
        ids,
        np.concatenate([centres - side / 2, centres + side / 2], -1),
        np.zeros(len(frames)) if doubts is None else doubts,
        np.zeros(len(frames)) if filled is None else filled,
    )


def grid(num_frames, num_ids):
    """Every id in every frame."""
    ids, frames = np.divmod(np.arange(num_frames * num_ids), num_frames)
    return table(frames, ids + 1)


def render(tracks, **changes):
    arguments = dict(
        facts=[],
        table=tracks,
        doubtful=[],
        thumbnails={},
        background=None,
        num_frames=50,
        rate=25,
    )
    return report.render("clip.mp4", **(arguments | changes))


def full(**changes):
    """A page with all its parts."""
    tracks = grid(50, 2)
    episodes = [
        report.Doubtful(9, 14, 0.36, (1, 2), "crossing", 0.9, "They met."),
        report.Doubtful(30, 30, 1.2, (2,), "jump", 0.4, "It jumped."),
    ]
    size = (60, 90)
    wanted = report.thumbnail_plan(episodes, tracks, 50, size)
    arguments = dict(
        facts=[("slots", 8, "from the video")],
        doubtful=episodes,
        thumbnails={key: png(12, 12 + i) for i, key in enumerate(wanted)},
        background=png(*size),
        baseline=table(np.r_[:20, 25:50], [1] * 20 + [2] * 25),
        verdict={
            "level": "doubtful",
            "sentence": "Look at the crossings.",
            "figures": [("found", "96 %", "of the foreground")],
        },
    )
    return render(tracks, **(arguments | changes))
