"""Pixel coordinates."""

import numpy as np

from tfdecomp.ops.coords import cosine_grid, pixel_grid


def test_rows_come_before_columns():
    grid = pixel_grid(3, 5)
    assert grid.shape == (3, 5, 2) and grid.dtype == np.float32
    np.testing.assert_allclose(grid[:, 2, 0], [-1, 0, 1])
    np.testing.assert_allclose(grid[1, :, 1], [-1, -0.5, 0, 0.5, 1])


def test_cosines_are_products_of_waves_across_and_down():
    height, width = 4, 7
    grid = cosine_grid(height, width)
    assert grid.shape == (height, width, 8) and grid.dtype == np.float32
    frequencies = [
        (0, 1),
        (0, 2),
        (1, 0),
        (1, 1),
        (1, 2),
        (2, 0),
        (2, 1),
        (2, 2),
    ]
    for channel, (across, down) in enumerate(frequencies):
        for row, column in np.ndindex(height, width):
            x, y = column / (width - 1), row / (height - 1)
            expected = np.cos(across * np.pi * x) * np.cos(down * np.pi * y)
            np.testing.assert_allclose(
                grid[row, column, channel], expected, atol=1e-6
            )


def test_no_cosine_is_constant_and_no_two_are_the_same():
    channels = cosine_grid(9, 9).reshape(81, 8)
    assert np.all(channels.std(0) > 0.1)
    assert np.linalg.matrix_rank(channels) == 8
