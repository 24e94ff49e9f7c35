"""Frames with their objects marked: outline, box, number, trail."""

import collections
import functools

import numpy as np

from tfdecomp.visualization import canvas, overlays, palette

_TRAIL = 24  # frames
_OPACITY = 0.35
_DASH = (6, 4)  # pixels on and off


class TrackPainter:
    """Marks objects frame by frame; remembers where they have been.

    Colours are those of `palette.slot_colors` by track, the same as in all
    other pictures. Lines and letters grow with the frame. Without outlines
    the box is the mark, and thicker.

    Args:
        opacity: Share of the object's colour inside its outline.
        trail: Frames that a trail reaches back.
        dash_new: Whether the box is dashed where a track appears first.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.visualization.tracking_video import TrackPainter
        >>> painter = TrackPainter()
        >>> frame = np.zeros([32, 48, 3], np.uint8)
        >>> painter.paint(frame, {1: (8, 8, 24, 24)}).shape
        (32, 48, 3)
    """

    def __init__(self, opacity=_OPACITY, trail=_TRAIL, dash_new=False):
        self.opacity = opacity
        self.dash_new = dash_new
        self._known = set()
        self._places = {}
        # A way of n steps has n + 1 places.
        self._trails = collections.deque(maxlen=trail + 1)

    def paint(self, frame, boxes, ids=None) -> np.ndarray:
        """Marks the next frame.

        Args:
            frame: `[H, W, 3]` uint8.
            boxes: Track -> `(ymin, xmin, ymax, xmax)` in pixels of the frame.
            ids: `[H, W]` integers, 0 where there is no object and 255 where
                nothing is known; None marks no pixels but boxes alone.

        Returns:
            `[H, W, 3]` uint8.
        """
        picture = frame.copy()
        line = max(1, round(min(frame.shape[:2]) / 240))
        thin = max(1, line // 2)
        if ids is None:
            thin = line = max(2, line)
        else:
            self._paint_masks(picture, ids, line)
        self._extend_trails(ids, boxes, line, frame.shape)
        self._paint_trails(picture)
        colors = {track: track_color(track) for track in boxes}
        for track, box in boxes.items():
            dashed = self.dash_new and track not in self._known
            _paint_box(picture, box, colors[track], thin, dashed)
        for track, box in boxes.items():
            _paint_label(picture, box, str(track), colors[track])
        self._known |= set(boxes)
        return picture

    def _paint_masks(self, picture, ids, line):
        """Mixes the colours of objects into them, and outlines them."""
        inside = (ids > 0) & (ids < 255)
        flat, values = picture.reshape(-1, 3), ids.reshape(-1)
        (places,) = np.nonzero(inside.reshape(-1))
        rows = 256 * values[places].astype(np.int32)
        for channel, mixed in zip(flat.T, self._mixed):
            channel[places] = mixed.take(rows + channel[places])
        edge = _thick(overlays.edges(ids[None])[0], line) & inside
        (places,) = np.nonzero(edge.reshape(-1))
        for channel, colors in zip(flat.T, palette.id_colors().T):
            channel[places] = colors[values[places]]

    @functools.cached_property
    def _mixed(self):
        """`[3, 256 * 256]` what an id makes of a channel's grey value."""
        paint = palette.id_colors().T[..., None]  # [3, 256, 1]
        shade = np.arange(256, dtype=np.uint8)
        mixed = (1 - self.opacity) * shade + self.opacity * paint
        return np.rint(mixed).astype(np.uint8).reshape(3, -1)

    def _extend_trails(self, ids, boxes, line, shape):
        """Keeps the steps that tracks took to this frame, as pixels."""
        places = {key: _centre(ids, key, box) for key, box in boxes.items()}
        pixels, colors = [np.zeros(0, np.int64)], [np.zeros((0, 3), np.uint8)]
        for track, end in places.items():
            start = self._places.get(track)
            if start is not None:
                pixels.append(_line(start, end, line, shape))
                color = np.array(track_color(track), np.uint8)
                colors.append(np.tile(color, (len(pixels[-1]), 1)))
        self._places = places
        self._trails.append((np.concatenate(pixels), np.concatenate(colors)))

    def _paint_trails(self, picture):
        """Draws the way of every centre; what is long ago is faint."""
        steps = list(self._trails)[1:]
        if not steps:
            return
        pixels, colors = (np.concatenate(part) for part in zip(*steps))
        ages = np.linspace(0.2, 1.0, len(steps) + 1)[1:]
        strength = np.repeat(ages, [len(step[0]) for step in steps])[:, None]
        flat = picture.reshape(-1, 3)
        mixed = (1 - strength) * flat[pixels] + strength * colors
        flat[pixels] = np.rint(mixed).astype(np.uint8)


def _centre(ids, track, box):
    """`(y, x)` of the middle of a mask; of the box if no pixel is known.

    One pixel that strays moves a box, and hardly a mean. Only the box, and as
    much around it, is looked at.
    """
    corner = np.zeros(2, int)
    mask = None
    if ids is not None:
        low, high = np.array(box[:2]), np.array(box[2:])
        reach = high - low + 2
        corner = np.maximum(np.floor(low - reach), 0).astype(int)
        stop = np.ceil(high + reach).astype(int)
        part = ids[corner[0] : stop[0], corner[1] : stop[1]]
        mask = part == id_value(track)
    count = 0 if mask is None else np.count_nonzero(mask)
    if not count:
        return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return tuple(
        corner[axis] + np.arange(mask.shape[axis]) @ mask.sum(1 - axis) / count
        for axis in (0, 1)
    )


def _line(start, end, line, shape):
    """Flat places of the pixels of a line between two points `(y, x)`."""
    start, end = np.array(start), np.array(end)
    count = 1 + int(np.ceil(np.abs(end - start).max()))
    share = np.linspace(0, 1, count)[:, None]
    points = (start + share * (end - start)).astype(int)  # [N, 2]
    around = np.stack(np.mgrid[:line, :line], -1).reshape(-1, 2) - line // 2
    points = (points[:, None] + around).reshape(-1, 2)
    inside = ((points >= 0) & (points < shape[:2])).all(1)
    rows, columns = points[inside].T
    return np.unique(rows * shape[1] + columns)


def id_value(track):
    """Value of a track, from 1 on, in a picture of ids: 255 is 1 again."""
    return 1 + (track - 1) % 254


def track_color(track):
    """Colour of a track, from 1 on: that of the slot before it."""
    return tuple(palette.id_colors()[id_value(track)].tolist())


def _thick(edge, line):
    """`[H, W]` bool, each true pixel grown to `line` pixels."""
    grown = edge.copy()
    for step in range(1, line):
        grown[step:] |= edge[:-step]
        grown[:, step:] |= edge[:, :-step]
    return grown


def _paint_box(picture, box, color, width, dashed):
    """The edge of a box, drawn inwards, as far as it is in the picture."""
    low = np.rint(box[:2]).astype(int)
    high = np.maximum(np.rint(box[2:]).astype(int), low + 1)
    for axis in (0, 1):  # across the edge
        across = min(width, high[axis] - low[axis])
        for start in (low[axis], high[axis] - across):
            along = np.arange(low[1 - axis], high[1 - axis])
            if dashed:
                along = along[(along - along[0]) % sum(_DASH) < _DASH[0]]
            pair = [np.arange(start, start + across), along]
            pair = pair if axis == 0 else pair[::-1]
            inside = [
                p[(p >= 0) & (p < n)] for p, n in zip(pair, picture.shape)
            ]
            picture[np.ix_(*inside)] = color


def _paint_label(picture, box, words, color):
    """The track's number on a chip at the box's upper left corner."""
    height, width = picture.shape[:2]
    size = int(np.clip(min(height, width) / 26, 12, 40))
    if height < 2 * size or width < 2 * size:
        return
    wide = round(size * (0.5 + 0.55 * len(words)))
    bright = np.dot(color, (0.299, 0.587, 0.114)) > 140
    ink = canvas.text(words, wide, size).astype(np.float32) / 255  # 1 is paper
    ink = ink if bright else 1 - ink
    paper = np.array(color, np.float32)
    letters = 0.0 if bright else 255.0
    share = ink if bright else 1 - ink
    chip = np.rint(share * paper + (1 - share) * letters).astype(np.uint8)
    top, left = np.rint(box[:2]).astype(int)
    top = min(max(0, top - size), height - size)
    left = min(max(0, left), width - wide)
    picture[top : top + size, left : left + wide] = chip
