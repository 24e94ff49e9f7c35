"""Layers as NumPy, in the conventions of the published code."""

import numpy as np
from scipy import special

import tfdecomp
from tfdecomp.importing import folders

TOLERANCE = {"rtol": 1e-4, "atol": 2e-5}  # sums of up to 16,384 float32


def elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0.0)))


def sigmoid(x):
    return special.expit(x)


def torch_dense(x, arrays, name):
    return x @ arrays[f"{name}.weight"].T + arrays[f"{name}.bias"]


def torch_conv(x, arrays, name, stride=1, padding=1):
    """`[C, H, W]` -> `[O, h, w]`, a correlation."""
    kernel = arrays[f"{name}.weight"].astype(float)
    side = kernel.shape[-1]
    x = np.pad(x, [(0, 0), (padding,) * 2, (padding,) * 2])
    views = np.lib.stride_tricks.sliding_window_view(x, (side, side), (1, 2))
    views = views[:, ::stride, ::stride]
    out = np.einsum("chwij,ocij->ohw", views, kernel, optimize=True)
    return out + arrays[f"{name}.bias"][:, None, None]


def sonnet_conv(x, kernel, bias, stride=1):
    """`[H, W, C]` -> `[h, w, O]` with TensorFlow's SAME padding."""
    side = kernel.shape[0]
    out = [-(-n // stride) for n in x.shape[:2]]
    total = [
        max((o - 1) * stride + side - n, 0) for o, n in zip(out, x.shape[:2])
    ]
    x = np.pad(x, [(t // 2, t - t // 2) for t in total] + [(0, 0)])
    views = np.lib.stride_tricks.sliding_window_view(x, (side, side), (0, 1))
    views = views[::stride, ::stride]
    return np.einsum("hwcij,ijco->hwo", views, kernel, optimize=True) + bias


def imported(system, path, tmp_path, **options):
    """The model and its facts, from the folder that was written of it."""
    output = tmp_path / "made"
    output.mkdir()
    info = folders.write(folders.read(system, path, **options), output, "made")
    return tfdecomp.load(output), info
