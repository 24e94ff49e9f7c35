"""Frames too large to be seen at once, in tiles that overlap."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfdecomp.prediction.stream import Stream

SIDE = 512  # pixels of a tile, about
MOST_BYTES = 2**31  # of the masks of a frame that is seen at once
_COPIES = 24  # bytes for each pixel of each mask: several floats


@dataclasses.dataclass(frozen=True)
class Tiling:
    """Where tiles lie along both axes, all of one size.

    Args:
        size: `(h, w)` of the frame.
        tile: `(h, w)` of a tile.
        corners: `(y, x)` of each.
        cores: `(ymin, xmin, ymax, xmax)` of each, the part of the frame that
            is its own: cores cover the frame and do not overlap.
    """

    size: tuple
    tile: tuple
    corners: tuple
    cores: tuple


def tiling(size, overlap, side=SIDE) -> Tiling:
    """Tiles for a frame.

    Args:
        size: `(h, w)`.
        overlap: Least pixels that neighbours share; what is smaller is whole
            in one of them.
        side: Largest side of a tile, about.
    """
    tile = tuple(min(length, max(side, 2 * overlap)) for length in size)
    starts, edges = [], []
    for length, own in zip(size, tile):
        count = 1
        if length > own:
            count = 1 + -(-(length - own) // (own - overlap))
        start = np.linspace(0, length - own, count).round().astype(int)
        middle = (start[:-1] + own + start[1:]) // 2
        starts.append(start.tolist())
        edges.append([0, *middle.tolist(), length])
    corners, cores = [], []
    for i, y in enumerate(starts[0]):
        for j, x in enumerate(starts[1]):
            corners.append((y, x))
            cores.append(
                (edges[0][i], edges[1][j], edges[0][i + 1], edges[1][j + 1])
            )
    return Tiling(tuple(size), tile, tuple(corners), tuple(cores))


def side_for(num_slots):
    """Side of a tile whose masks are not too much to hold at once."""
    return min(SIDE, int((MOST_BYTES / (_COPIES * num_slots)) ** 0.5))


def needs_tiles(size, num_slots):
    """Whether the masks of one frame are too much to hold at once."""
    return _COPIES * num_slots * int(np.prod(size)) > MOST_BYTES


class TiledStream(Stream):
    """A `Stream` that sees every tile by itself and joins what it finds.

    An object belongs to the tile in whose core its middle lies. Slots of all
    tiles stand one after the other, so there are `n (K - 1) + 1` of them.
    Tiles are seen in turn: the masks of all would be more than those of the
    frame.

    Args:
        model: A model with `any_size` and a background in slot 0.
        tiles: `Tiling`.
        num_slots: `K` of each tile.
        **rest: See `Stream`; each tile reads its part of what is `given`,
            `[1, h, w, ...]`.
    """

    def __init__(self, model, tiles, num_slots, **rest):
        super().__init__(model, num_slots, **rest)
        self.tiles = tiles
        self._own = self.slots_at_once = num_slots
        self.num_slots = 1 + len(tiles.corners) * (num_slots - 1)

    def __call__(self, pictures) -> dict:
        """As `Stream`; `owner`, `boxes` and `recon` are of the whole frame."""
        rows, columns = self.tiles.tile
        before, found = self._state, []
        self._state = []
        for n, (y, x) in enumerate(self.tiles.corners):
            cut = np.s_[y : y + rows, x : x + columns]
            inputs = {
                "video": tf.constant(pictures[None, :, *cut]),
                "seed": tf.stack([self._seed[0, 0], n])[None],
                "first_frame": tf.constant(self._count, tf.int32),
                **{k: v[:, *cut] for k, v in self._given.items()},
            }
            if before is not None and before[n] is not None:
                inputs["state"] = before[n]
            outputs = self._function(inputs)(inputs)
            self._state.append(outputs.pop("state", None))
            found.append({k: v[0].numpy() for k, v in outputs.items()})
        self._count += len(pictures)
        names = found[0]
        return self._joined({k: np.stack([f[k] for f in found]) for k in names})

    def _joined(self, outputs):
        corners = np.array(self.tiles.corners, np.float32)
        cores = np.array(self.tiles.cores, np.float32)
        # What is cut to the frame may end on its very edge.
        last = cores[:, 2:] == self.tiles.size
        cores[:, 2:][last] = np.inf
        boxes = outputs["boxes"][:, :, 1:] + np.tile(corners, 2)[:, None, None]
        centres = 0.5 * (boxes[..., :2] + boxes[..., 2:])
        low, high = cores[:, None, None, :2], cores[:, None, None, 2:]
        mine = ((centres >= low) & (centres < high)).all(-1)  # [n, T, K - 1]
        count = len(corners)
        numbers = outputs["track_ids"][:, :, 1:]
        # Different tiles must not give the same number.
        numbers = (numbers - 1) * count + np.arange(count)[:, None, None] + 1
        numbers = np.where(outputs["track_ids"][:, :, 1:] > 0, numbers, 0)
        presence = outputs["presence"][:, :, 1:] * mine
        parts = {
            "boxes": boxes * (presence > 0)[..., None],
            "presence": presence,
            "track_ids": numbers * mine,
        }
        if "slots" in outputs:
            parts["slots"] = outputs["slots"][:, :, 1:]
        joined = {name: _with_background(v) for name, v in parts.items()}
        joined["presence"][:, 0] = 1.0
        if "owner" in outputs:
            joined["owner"] = self._owners(outputs["owner"], mine)
        if "recon" in outputs:
            joined["recon"] = self._placed(outputs["recon"])
        return joined

    def _owners(self, owner, mine):
        """Slots of all tiles; an object reaches over the core of its tile."""
        num_frames = owner.shape[1]
        rows, columns = self.tiles.tile
        joined = np.zeros((num_frames, *self.tiles.size), np.int32)
        for n, (y, x) in enumerate(self.tiles.corners):
            table = np.zeros((num_frames, self._own), np.int32)
            own = 1 + n * (self._own - 1) + np.arange(self._own - 1)
            table[:, 1:] = np.where(mine[n], own, 0)
            slots = table[np.arange(num_frames)[:, None, None], owner[n]]
            part = joined[:, y : y + rows, x : x + columns]
            np.copyto(part, slots, where=slots > 0)
        return joined

    def _placed(self, recon):
        joined = np.zeros(
            (recon.shape[1], *self.tiles.size, recon.shape[-1]), recon.dtype
        )
        for n, (y, x) in enumerate(self.tiles.corners):
            top, left, bottom, right = self.tiles.cores[n]
            joined[:, top:bottom, left:right] = recon[
                n, :, top - y : bottom - y, left - x : right - x
            ]
        return joined


def _with_background(values):
    """`[n, T, K - 1, ...]` -> `[T, 1 + n (K - 1), ...]`, zeros in front."""
    values = np.moveaxis(values, 0, 1)
    flat = values.reshape(len(values), -1, *values.shape[3:])
    widths = [(0, 0), (1, 0)] + [(0, 0)] * (flat.ndim - 2)
    return np.pad(flat, widths)
