"""Connected parts of what differs from the background."""

import dataclasses

import numpy as np
from scipy import ndimage

from tfdecomp.motion.background import grown

_ALL_AROUND = np.ones((3, 3), bool)


@dataclasses.dataclass
class Blobs:
    """Connected parts of one frame, in the order of their first pixels.

    Attributes:
        boxes: `[n, 4]` float64 tight `(ymin, xmin, ymax, xmax)`, pixel edges.
        areas: `[n]` int64 pixels.
        centres: `[n, 2]` float64 means of their pixels' centres, `(y, x)`.
        axes: `[n, 2]` float64 length and width, in pixels, of the ellipse
            with the same second moments; of a filled ellipse its own.
        angles: `[n]` float64 direction of the length in `(-pi/2, pi/2]`, 0
            along x, turning towards larger y.
        levels: `[n]` float64 mean difference of their pixels, 1 for a mask.
        labels: `[H, W]` int32, 1 + the blob of each pixel, or 0.
    """

    boxes: np.ndarray
    areas: np.ndarray
    centres: np.ndarray
    axes: np.ndarray
    angles: np.ndarray
    levels: np.ndarray
    labels: np.ndarray

    def __len__(self):
        return len(self.areas)

    def take(self, chosen):
        """Those of a mask `[n]`, numbered anew."""
        table = np.zeros(len(self) + 1, np.int32)
        table[1:][chosen] = np.arange(1, np.sum(chosen) + 1)
        return Blobs(
            self.boxes[chosen],
            self.areas[chosen],
            self.centres[chosen],
            self.axes[chosen],
            self.angles[chosen],
            self.levels[chosen],
            table[self.labels],
        )


def find(
    difference,
    threshold=None,
    *,
    certain=1.5,
    min_area=1,
    max_area=None,
    width=None,
    region=None,
) -> Blobs:
    """Finds what stands out, as connected parts with eight neighbours.

    Args:
        difference: `[H, W]` difference from the background; or bool, what
            belongs to objects already.
        threshold: `[H, W]` or a number, the difference above which a pixel
            may belong to an object.
        certain: A part counts only if a pixel of it is as many thresholds
            above the background.
        min_area: Least pixels of a blob, once holes and cracks are closed.
        max_area: Most pixels; larger ones are left out.
        width: How narrow a typical object is, in pixels; cracks of up to a
            quarter of it are closed, and then specks and hairs of up to an
            eighth are taken off. By default nothing is.
        region: `[H, W]` bool, where to look.

    Returns:
        `Blobs`.
    """
    mask, seeds = _foreground(difference, threshold, certain)
    if region is not None:
        mask = mask & region
    if width:
        mask = _closed(mask, int(width / 8 + 0.5))
        mask = ~_closed(~mask, int(width / 16 + 0.5), True)
    labels, count = ndimage.label(mask, _ALL_AROUND)
    places = np.flatnonzero(labels)
    numbers = labels.ravel()[places] - 1
    areas = np.bincount(numbers, minlength=count)
    kept = areas >= min_area
    if max_area is not None:
        kept &= areas <= max_area
    if seeds is not None:
        sure = seeds.ravel()[places]
        kept &= np.bincount(numbers[sure], minlength=count) > 0
    if not kept.all():
        table = np.zeros(count + 1, np.int32)
        table[1:][kept] = np.arange(1, kept.sum() + 1)
        labels = table[labels]
        inside = kept[numbers]
        places, numbers = places[inside], table[1:][numbers[inside]] - 1
    return _measure(labels, places, numbers, int(kept.sum()), difference)


def _foreground(difference, threshold, certain):
    """`(mask, seeds)`; no seeds where all of the mask is certain."""
    if difference.dtype == bool:
        return difference, None
    if threshold is None:
        raise ValueError(
            "a threshold is needed to find blobs in differences; leave it "
            "out only for a mask of bool"
        )
    mask = difference > threshold
    if certain <= 1:
        return mask, None
    return mask, difference > np.multiply(threshold, certain)


def _closed(mask, radius, outside=False):
    """Fills cracks of up to twice the radius; `outside` is beyond the edge."""
    if not radius:
        return mask
    # Away from the edge, what is beyond it stays as it is.
    padded = np.pad(mask, radius, constant_values=outside)
    padded = ~grown(~grown(padded, radius), radius)
    return padded[radius:-radius, radius:-radius]


def measured(labels, count, difference):
    """`Blobs` of a map of numbers.

    Args:
        labels: `[H, W]` int32, 0 or one of 1 to `count`, each somewhere.
        count: How many.
        difference: `[H, W]`, as of `find`.
    """
    places = np.flatnonzero(labels)
    numbers = labels.ravel()[places] - 1
    return _measure(labels, places, numbers, count, difference)


def _measure(labels, places, numbers, count, difference):
    """Blobs of these pixels; `numbers` says whose each is, from 0."""
    y, x = np.divmod(places, labels.shape[1])
    areas = np.bincount(numbers, minlength=count)

    def mean(values):
        return np.bincount(numbers, values, count) / areas

    centre_y, centre_x = mean(y), mean(x)
    off_y, off_x = y - centre_y[numbers], x - centre_x[numbers]
    # A pixel is a square, with a second moment of its own.
    yy, xx = mean(off_y**2) + 1 / 12, mean(off_x**2) + 1 / 12
    xy = mean(off_x * off_y)
    half = 0.5 * (yy + xx)
    apart = np.hypot(0.5 * (xx - yy), xy)
    # An ellipse with half axis a has the moment a^2 / 4 along it.
    axes = 4 * np.sqrt(np.stack([half + apart, half - apart], -1))
    boxes = [
        (rows.start, columns.start, rows.stop, columns.stop)
        for rows, columns in ndimage.find_objects(labels)
    ]
    if difference.dtype == bool:
        levels = np.ones(count)
    else:
        levels = mean(difference.ravel()[places])
    return Blobs(
        np.array(boxes, np.float64).reshape(-1, 4),
        areas,
        np.stack([centre_y, centre_x], -1) + 0.5,
        axes,
        0.5 * np.arctan2(2 * xy, xx - yy),
        levels,
        labels,
    )
