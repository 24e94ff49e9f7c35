"""A convolution of a picture that is constant but for its coordinates.

The first convolution of a spatial broadcast decoder reads `[row, column, v]`
at every pixel, where only the coordinates depend on the pixel. For a kernel
`W` with taps `(a, b)` and zero padding, the output at `(h, w)` is

    sum over taps inside the picture of
        W_v[a, b] v + W_r[a, b] (row(h) + a s_r) + W_c[a, b] (col(w) + b s_c)

with `s` the step of the coordinates. Which taps are inside depends only on
the distance to the border: `k` cases along each side for a `k x k` kernel, so
9 cases for 3x3 and 25 for 5x5. In each case the output is affine in
`(1, row, col)`; a product with a constant `[H * W, 3 k^2]` matrix spreads the
cases over the picture. The `[N, H, W, D + 2]` input is never built.

Without padding all taps are inside everywhere: one case, on the inner pixels.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from tfdecomp.ops import coords


@dataclasses.dataclass(frozen=True)
class Plan:
    """Constants of `broadcast_convolution` for one grid and kernel.

    Attributes:
        spread: `[H * W, 3 k^2]`: case indicators, times 1, row and column;
            `[h * w, 3]` without padding.
        inside: `[k, k]`: whether a tap is inside in a case, per side; `[1,
            k]` without padding.
        offsets: `[k]`: position of each tap relative to the pixel.
        steps: `(s_r, s_c)`, distance of neighbouring coordinates.
        grid_size: `(H, W)` of the output.

    Examples:
        >>> from tfdecomp.ops.first_layer import Plan, plan
        >>> constants = plan(height=16, width=24, kernel_size=3)  # a Plan
        >>> constants.spread.shape  # of nine cases
        (384, 27)
    """

    spread: np.ndarray
    inside: np.ndarray
    offsets: np.ndarray
    steps: tuple[float, float]
    grid_size: tuple[int, int]


def plan(
    height: int, width: int, kernel_size: int, padding: str = "same"
) -> Plan:
    """Prepares `broadcast_convolution`.

    Args:
        height: `H`.
        width: `W`.
        kernel_size: Odd side `k` of the kernel.
        padding: `"same"`, or `"valid"` for the inner pixels alone.

    Raises:
        ValueError: If the kernel's side is even or larger than the picture.

    Examples:
        >>> from tfdecomp.ops.first_layer import plan
        >>> plan(height=16, width=24, kernel_size=3).grid_size
        (16, 24)
    """
    if kernel_size % 2 == 0 or kernel_size > min(height, width):
        raise ValueError(
            "the kernel's side must be odd and at most the picture's, got "
            f"{kernel_size} for {height}x{width}"
        )
    reach = kernel_size // 2
    offsets = np.arange(-reach, reach + 1)
    steps = (2.0 / max(height - 1, 1), 2.0 / max(width - 1, 1))
    if padding == "valid":
        return _inner_plan(height, width, offsets, steps)
    case = np.arange(kernel_size)
    # Case i < reach is the i-th row from the top, i > reach the
    # (k - 1 - i)-th from the bottom, i = reach the interior.
    first = np.where(case < reach, -case, -reach)
    last = np.where(case > reach, kernel_size - 1 - case, reach)
    inside = (offsets >= first[:, None]) & (offsets <= last[:, None])
    rows = np.eye(kernel_size)[_cases(height, reach)]
    columns = np.eye(kernel_size)[_cases(width, reach)]
    indicator = np.einsum("hi,wj->hwij", rows, columns)
    indicator = indicator.reshape(height * width, kernel_size**2)
    grid = coords.pixel_grid(height, width).reshape(-1, 2)
    spread = np.concatenate(
        [indicator, indicator * grid[:, :1], indicator * grid[:, 1:]], axis=1
    )
    return Plan(
        spread.astype(np.float32),
        inside.astype(np.float32),
        offsets.astype(np.float32),
        steps,
        (height, width),
    )


def _inner_plan(height, width, offsets, steps):
    """`plan` of pixels that are as far from the border as the taps reach."""
    reach = len(offsets) // 2
    grid = coords.pixel_grid(height, width)
    grid = grid[reach : height - reach, reach : width - reach]
    size = grid.shape[:2]
    grid = grid.reshape(-1, 2)
    return Plan(
        np.concatenate([np.ones_like(grid[:, :1]), grid], axis=1),
        np.ones((1, len(offsets)), np.float32),
        offsets.astype(np.float32),
        steps,
        size,
    )


def _cases(size, reach):
    index = np.arange(size)
    from_end = 2 * reach - (size - 1 - index)
    return np.where(index < reach, index, np.maximum(from_end, reach))


def broadcast_convolution(vectors, kernel, bias, plan: Plan) -> tf.Tensor:
    """Convolves `[row, column, vector]` without building it.

    Args:
        vectors: `[N, D]`.
        kernel: `[k, k, 2 + D, F]`; channels: row, column, vector.
        bias: `[F]`.
        plan: What `plan(H, W, k)` returned.

    Returns:
        `[N, H, W, F]`, equal to the convolution of the broadcast vectors plus
        the bias; `(H, W)` is the plan's `grid_size`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.first_layer import broadcast_convolution, plan
        >>> kernel, bias = tf.zeros([3, 3, 2 + 8, 4]), tf.zeros([4])
        >>> vectors, of_grid = tf.zeros([5, 8]), plan(16, 24, kernel_size=3)
        >>> broadcast_convolution(vectors, kernel, bias, of_grid).shape
        TensorShape([5, 16, 24, 4])
    """
    count_cases, width = len(plan.inside) ** 2, kernel.shape[-1]
    dtype = kernel.dtype
    if kernel.shape[0] == 1:
        return _pixelwise(vectors, kernel[0, 0], bias, plan)
    inside = tf.constant(plan.inside, dtype)
    shifted = tf.constant(plan.inside * plan.offsets, dtype)

    def cases(weights, down, across):  # [k, k, I, F] -> [k * k, I, F]
        sums = tf.einsum("ia,jb,abdf->ijdf", down, across, weights)
        return tf.reshape(sums, [count_cases, -1, width])

    slopes = cases(kernel[:, :, :2], inside, inside)  # [k^2, 2, F]
    constant = (
        plan.steps[0] * cases(kernel[:, :, :1], shifted, inside)
        + plan.steps[1] * cases(kernel[:, :, 1:2], inside, shifted)
    )[:, 0] + bias  # [k^2, F]
    weights = cases(kernel[:, :, 2:], inside, inside)  # [k^2, D, F]
    weights = tf.reshape(
        tf.transpose(weights, [1, 0, 2]), [-1, count_cases * width]
    )
    count = tf.shape(vectors)[0]
    values = tf.matmul(vectors, weights)
    values = tf.reshape(values, [-1, count_cases, width])
    slopes = tf.reshape(tf.transpose(slopes, [1, 0, 2]), [1, -1, width])
    table = tf.concat(
        [values + constant, tf.tile(slopes, [count, 1, 1])], axis=1
    )  # [N, 3 k^2, F]
    outputs = tf.matmul(tf.constant(plan.spread, dtype), table)
    return tf.reshape(outputs, [-1, *plan.grid_size, width])


def _pixelwise(vectors, kernel, bias, plan):
    """`broadcast_convolution` by a 1x1 kernel `[2 + D, F]`: one case."""
    slopes, weights = tf.split(kernel, [2, kernel.shape[0] - 2])
    grid = tf.constant(plan.spread[:, 1:], kernel.dtype)
    values = tf.nn.bias_add(tf.matmul(vectors, weights), bias)
    outputs = values[:, None] + tf.matmul(grid, slopes)
    return tf.reshape(outputs, [-1, *plan.grid_size, kernel.shape[-1]])
