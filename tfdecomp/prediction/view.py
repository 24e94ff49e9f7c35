"""Frames as a model sees them whose weights know no size, and back."""

import numpy as np
from scipy import ndimage

from tfdecomp.data.video import video_sampling


class View:
    """Maps frames to pictures of a size of one's own, and ids to frames.

    Unlike `Fit` the whole frame is shown, at one scale along both axes, and
    with a scene the picture is how far it differs from what is behind.

    Args:
        frame_size: `(H, W)` of the frames.
        size: `(h, w)` of the pictures.
        channels: 3, or 1: the mean of the three.
        scene: A `motion.scene.Scene` of this size, or None: pictures are the
            frames.
        shows_difference: Whether the model sees the difference from the
            scene's background, or the frame as it is.
        fine: A larger `View` with a scene, in which outlines are found; None:
            this one.
    """

    def __init__(
        self,
        frame_size,
        size,
        channels=3,
        scene=None,
        shows_difference=True,
        fine=None,
    ):
        self.fine = fine or self
        self.frame_size, self.size = tuple(frame_size), tuple(size)
        self.channels, self.scene = channels, scene
        self.shows_difference = shows_difference and scene is not None
        self._scale = np.array(self.frame_size) / self.size
        self._same = self.frame_size == self.size
        self._look = video_sampling.Look(*self.size, 3)

    def small(self, pixels) -> np.ndarray:
        """`[h, w, 3]` uint8 of a frame `[H, W, 3]`, means over areas."""
        if self._same:
            return pixels
        return self._look.picture(video_sampling.frame_of(pixels))

    def see(self, pixels):
        """What the model reads of a frame.

        Args:
            pixels: `[H, W, 3]` uint8.

        Returns:
            `(picture [h, w, C] uint8, moving)`, the latter a
            `motion.blobs.Blobs` of what moves, in pixels of the fine view, or
            None.
        """
        small = self.small(pixels)
        if self.scene is None:
            return self._grey(small), None
        difference = self.scene.difference(small)
        if self.fine is self:
            moving = self.scene.blobs(difference)
        else:
            moving = self.fine.scene.moving(self.fine.small(pixels))
        if self.shows_difference:
            small = self.scene.picture(difference)
        return self._grey(small), moving

    def _grey(self, picture):
        if self.channels == 3:
            return picture
        mean = picture.mean(-1, dtype=np.float32, keepdims=True)
        return np.rint(mean).astype(np.uint8)

    def to_fine(self, owner) -> np.ndarray:
        """A map of slots `[h, w]` in pixels of the fine view.

        Slots reach one pixel of this view further there: what moves ends
        where the fine view sees its end.
        """
        if self.fine is self:
            return owner
        wide = ndimage.maximum_filter(owner, 3)
        return _nearest(np.where(owner > 0, owner, wide), self.fine.size)

    def from_fine(self, mask) -> np.ndarray:
        """A mask of the fine view in pixels of this one."""
        return mask if self.fine is self else _nearest(mask, self.size)

    def fine_boxes(self, boxes) -> np.ndarray:
        """Boxes of this view's pixels in those of the fine view."""
        ratio = np.array(self.fine.size) / self.size
        return np.asarray(boxes, np.float64) * np.tile(ratio, 2)

    def boxes(self, boxes) -> np.ndarray:
        """Boxes `[..., 4]` of a picture in pixels of the frame, cut to it."""
        scale, limit = np.tile(self._scale, 2), np.tile(self.frame_size, 2)
        return np.clip(np.asarray(boxes, np.float64) * scale, 0, limit)

    def small_boxes(self, boxes) -> np.ndarray:
        """The way back: boxes of the frame in pixels of the picture."""
        return np.asarray(boxes, np.float64) / np.tile(self._scale, 2)

    def ids(self, small) -> np.ndarray:
        """A map of ids in pixels of the frame, with smooth outlines.

        Args:
            small: `[h, w]` ids, 0 where there is none.

        Returns:
            `[H, W]` of the same type.
        """
        if self._same:
            return small
        large = np.zeros(self.frame_size, small.dtype)
        best = np.zeros(self.frame_size, np.float32)
        for number, window in enumerate(ndimage.find_objects(small), 1):
            if window is None:
                continue
            mask = np.pad((small[window] == number).astype(np.float32), 1)
            target = self.around(window)
            down, across = (
                _matrix(w, scale, t, side)
                for w, scale, t, side in zip(
                    window, self._scale, target, self.size
                )
            )
            share = down @ mask @ across.T
            wins = (share > 0.5) & (share > best[target])
            large[target][wins] = number
            best[target][wins] = share[wins]
        return large

    def around(self, window):
        """Two slices of the frame that hold what `ids` makes of a window."""
        if self._same:
            return window
        return tuple(
            _span(w, scale, limit)
            for w, scale, limit in zip(window, self._scale, self.frame_size)
        )


def _nearest(values, size):
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for old, new in zip(values.shape, size)
    )
    return values[np.ix_(rows, columns)]


def _span(window, scale, limit):
    """Pixels of the frame that a window of the picture, and a bit, covers."""
    first = int(np.floor((window.start - 1) * scale))
    last = int(np.ceil((window.stop + 1) * scale))
    return slice(max(0, first), min(limit, last))


def _matrix(window, scale, target, side):
    """Linear interpolation `[target, window + 2]` along one axis."""
    centre = (np.arange(target.start, target.stop) + 0.5) / scale
    # Beyond its border the picture goes on as it is there.
    place = np.clip(centre - 0.5, 0, side - 1) - (window.start - 1)
    place = np.clip(place, 0, window.stop - window.start + 1)
    low = np.minimum(place.astype(int), window.stop - window.start)
    share = (place - low).astype(np.float32)
    rows = np.arange(len(centre))
    matrix = np.zeros((len(centre), window.stop - window.start + 2), np.float32)
    matrix[rows, low] = 1 - share
    matrix[rows, low + 1] += share
    return matrix
