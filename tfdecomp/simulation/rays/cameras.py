"""Pinhole cameras: which rays they cast and where they see points."""

import dataclasses

import numpy as np

from tfdecomp.simulation.rays import solids


@dataclasses.dataclass
class Camera:
    """A pinhole camera on `M` frames.

    Args:
        position: `[M, 3]`.
        axes: `[M, 3, 3]`, rows: to the right, down and ahead, unit vectors.
        focal: Focal length in pixels.
        middle: `(row, column)` that looks straight ahead.
        rows: `[H]` heights in the image, in pixels, of the rays' rows.
        columns: `[W]` the same across.
    """

    position: np.ndarray
    axes: np.ndarray
    focal: float
    middle: tuple
    rows: np.ndarray
    columns: np.ndarray

    def frames(self, part):
        """The camera on some of the frames."""
        return dataclasses.replace(
            self, position=self.position[part], axes=self.axes[part]
        )

    def rays(self):
        """Directions `[3, M, H * W]`; their part straight ahead is 1."""
        across = (self.columns - self.middle[1]) / self.focal
        down = (self.rows - self.middle[0]) / self.focal
        right, below, ahead = np.moveaxis(self.axes, 1, 0)  # [M, 3] each
        line = below[:, :, None] * down + ahead[:, :, None]  # [M, 3, H]
        side = right[:, :, None] * across  # [M, 3, W]
        rays = line[..., :, None] + side[..., None, :]
        rays = np.moveaxis(rays, 1, 0)
        return np.ascontiguousarray(rays).reshape(3, len(rays[0]), -1)

    def finer(self, samples):
        """The camera with `samples` rays for each along both axes."""
        places = []
        for place in (self.rows, self.columns):
            step = place[1] - place[0] if len(place) > 1 else 1.0
            inside = (np.arange(samples) + 0.5) / samples - 0.5
            places.append((place[:, None] + step * inside).reshape(-1))
        return dataclasses.replace(self, rows=places[0], columns=places[1])

    def project(self, points):
        """Where points are seen, as `(row, column)` in pixels, and how deep.

        Args:
            points: `[M, K, 3]`.

        Returns:
            `(pixels [M, K, 2], depth [M, K])`.
        """
        right, down, ahead = self.local(points)
        pixels = [
            self.middle[0] + self.focal * down / ahead,
            self.middle[1] + self.focal * right / ahead,
        ]
        return np.stack(pixels, -1), ahead

    def local(self, points):
        """Points `[M, K, 3]` to the right, below and ahead, `[3, M, K]`."""
        away = np.moveaxis(points - self.position[:, None], -1, 0)
        axes = np.moveaxis(self.axes, 0, -1)[..., None]  # [3, 3, M, 1]
        return np.stack([solids.dot(axis, away) for axis in axes])


def aim(yaw, pitch):
    """Axes of a camera that looks along a heading.

    Args:
        yaw: `[M]` heading in radians, from the first axis to the second.
        pitch: `[M]` radians upwards.

    Returns:
        `[M, 3, 3]`, see `Camera`.
    """
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    zero = np.zeros_like(cy)
    right = np.stack([sy, -cy, zero], -1)
    down = np.stack([sp * cy, sp * sy, -cp], -1)
    ahead = np.stack([cp * cy, cp * sy, sp], -1)
    return np.stack([right, down, ahead], 1)
