"""Frames of any size for a model of one size, and its answer back."""

import numpy as np

from tfdecomp.data.video import video_sampling

CROPS = {"letterbox": "pad", "crop": "center", "stretch": "none"}
UNSEEN = -1  # slot of pixels that the model did not see


class Fit:
    """Maps frames to pictures of the model's size, and slots to frames.

    A picture is resized by averaging areas. `"letterbox"` shows the whole
    frame between black bars, `"crop"` its middle, `"stretch"` squashes it.
    On the way back soft masks are interpolated before the largest is taken,
    which keeps outlines smooth.

    Args:
        frame_size: `(H, W)` of the frames.
        image_size: `(h, w)` of the model.
        channels: 3, or 1: the mean of the three.
        how: One of `CROPS`.

    Raises:
        ValueError: If `how` is unknown.
    """

    def __init__(self, frame_size, image_size, channels, how="letterbox"):
        if how not in CROPS:
            raise ValueError(
                f"fit must be one of {', '.join(CROPS)}, got {how!r}"
            )
        crop = CROPS[how]
        self.frame_size = tuple(frame_size)
        self._look = video_sampling.Look(*image_size, channels, crop)
        placement = video_sampling.placement(
            tuple(image_size), self.frame_size, crop
        )
        self._origin = np.array(placement[:2], np.float64)
        self._scale = np.array(placement[2:]) / self.frame_size
        self._matrices, self._seen, self._inside = [], [], []
        for axis in (0, 1):
            self._prepare(axis, placement[2 + axis], image_size[axis])

    def _prepare(self, axis, length, side):
        """Interpolation along one axis, from picture to frame."""
        begin = max(0, int(self._origin[axis]))
        end = min(side, int(self._origin[axis]) + length)
        self._inside.append(slice(begin, end))
        count = self.frame_size[axis]
        centre = (
            self._origin[axis] + (np.arange(count) + 0.5) * (self._scale[axis])
        )
        self._seen.append((centre >= 0) & (centre <= side))
        # Bars are no part of the frame: nothing is taken from them.
        place = np.clip(centre - 0.5, begin, end - 1)
        low = np.minimum(place.astype(int), max(begin, end - 2))
        share = (place - low).astype(np.float32)
        matrix = np.zeros((count, side), np.float32)
        rows = np.arange(count)
        matrix[rows, low] = 1 - share
        matrix[rows, np.minimum(low + 1, end - 1)] += share
        self._matrices.append(matrix)

    def picture(self, pixels) -> np.ndarray:
        """`[h, w, C]` uint8 of a frame `[H, W, 3]`."""
        return self._look.picture(video_sampling.frame_of(pixels))

    def without_bars(self, pictures) -> np.ndarray:
        """The part of `[..., h, w, C]` that shows the frame."""
        rows, columns = self._inside
        return np.asarray(pictures)[..., rows, columns, :]

    def slots(self, masks) -> np.ndarray:
        """The slot with the largest mask, in pixels of the frame.

        Args:
            masks: `[K, h, w, 1]`.

        Returns:
            `[H, W]` int16; ties go to the lower slot; `UNSEEN` where the
            model did not look.
        """
        vertical, horizontal = self._matrices
        found = np.zeros(self.frame_size, np.int16)
        best = None
        for slot, mask in enumerate(np.asarray(masks, np.float32)[..., 0]):
            large = vertical @ mask @ horizontal.T
            if best is None:
                best = large
                continue
            wins = large > best
            found[wins] = slot
            np.copyto(best, large, where=wins)
        found[~self._seen[0]] = UNSEEN
        found[:, ~self._seen[1]] = UNSEEN
        return found

    def boxes(self, boxes) -> np.ndarray:
        """Boxes `[..., 4]` of a picture in pixels of the frame, cut to it."""
        origin, scale = np.tile(self._origin, 2), np.tile(self._scale, 2)
        limit = np.tile(self.frame_size, 2)
        return np.clip((np.asarray(boxes) - origin) / scale, 0, limit)
