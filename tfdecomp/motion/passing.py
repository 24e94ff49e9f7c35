"""Noise of the ground where so much passes that it hides the noise.

On a busy road a pixel differs from the ground for a third of the time or more,
and a deviation of all that it showed is that of the traffic: dark cars would be
found nowhere but in quiet lanes. What passes is told from noise by its
neighbours: it differs together with those around it, in the same frame.
"""

import numpy as np
from scipy import ndimage

MARGIN = 5  # rows around a pixel that decide whether something passes

_CALM = 1.3  # times the usual relation of all noise to that most of the time
_TEXTURES = 12  # groups of pixels after how much the ground varies there
_FEWEST = 20  # calm pixels of a group
_FAR = 3.5  # deviations from the ground of what passes
_RIM = 2.0  # the same of its rim
_TOGETHER = 0.6  # share of the pixels around that differ too
_MOST = 0.45  # share of the time; beyond it the ground is not known


def expected_noise(picture, noise, low):
    """What the noise would be if as little passed as over calm pixels.

    Compression leaves more noise where the ground has texture, leaves and
    water move where it has; so pixels are compared with those alike.

    Args:
        picture: `[H, W, C]` the ground.
        noise: `[H, W]` deviations measured from all samples.
        low: `[H, W]` what differences stay below for some of the time, so
            little of it that nothing passes then.

    Returns:
        `[H, W]` medians over calm pixels with a ground of similar texture.
    """
    relation = noise / low
    calm = relation < _CALM * np.median(relation)
    bright = picture.max(-1)
    mean = ndimage.uniform_filter(bright, 5)
    texture = ndimage.uniform_filter(bright**2, 5) - mean**2
    shares = np.linspace(0, 1, _TEXTURES + 1)[1:-1]
    group = np.searchsorted(np.quantile(texture, shares), texture)
    usual = np.median(noise[calm])
    result = np.full(noise.shape, usual, np.float32)
    for number in range(_TEXTURES):
        here = group == number
        if (here & calm).sum() >= _FEWEST:
            result[here] = np.median(noise[here & calm])
    return result


def passes(difference, expected):
    """Where something passes, and not noise.

    Args:
        difference: `[N, H, W]` of sampled frames from the ground.
        expected: `[H, W]`, see `expected_noise`.

    Returns:
        `[N, H, W]` bool; of pixels that differ nearly half of the time or
        more, none: what is the ground there is not known well enough.
    """
    far = (difference > _FAR * expected).astype(np.float32)
    core = ndimage.uniform_filter(far, (1, 5, 5)) > _TOGETHER
    around = ndimage.maximum_filter(core, (1, 7, 7))
    result = around & (difference > _RIM * expected)
    return result & (result.mean(0) <= _MOST)
