"""The one contract that models, metrics, pictures and export share.

Axis letters, in this order everywhere: `S` samples, `B` batch, `T` frames,
`R` refinements, `K` slots, `L` true objects, `H W C` pixels, `D` latents.
"""

import os
from collections.abc import Callable
from typing import TypeAlias, TypedDict

import numpy as np
import tensorflow as tf

Array: TypeAlias = np.ndarray | tf.Tensor
Path: TypeAlias = str | os.PathLike[str]
Source: TypeAlias = Path | Array  # what `prediction.footage.Footage` takes

# Called with the numbers done and of all; with a stage in front of them; and
# to ask whether to stop.
Progress: TypeAlias = Callable[[int, int], object]
StageProgress: TypeAlias = Callable[[str, int, int], object]
ShouldStop: TypeAlias = Callable[[], object]

IGNORE_ID = 255  # label of pixels that no metric counts
BACKGROUND_ID = 0  # label of background pixels


# What models read besides the video and the seed, where a set has it.
GIVEN = ("crop_offset", "background")


class Batch(TypedDict, total=False):
    """What a model reads.

    Keys:
        video: `[B, T, H, W, C]` uint8, or floating point in `[0, 1]`.
        seed: `[B, 2]` int32, one stateless seed per clip.
        first_frame: `[]` int32, number of the first frame in the whole
            video; 0 unless a long video is run in chunks.
        state: what an earlier chunk returned under `state`.
        crop_offset: `[B, 2]` `(y, x)` in pixels of the frame's corner in
            the scene that it was cut from; zeros where it is not given.
        background: What is behind the objects, `[B, H, W, C]` or
            `[B, T, H, W, C]`, as the video; for models that are told.
    """

    video: Array
    seed: Array
    first_frame: Array
    state: dict
    crop_offset: Array
    background: Array


class Decomposition(TypedDict, total=False):
    """What every model returns; what a system cannot give is absent.

    Keys:
        recon: `[B, T, H, W, C]` float32.
        masks: `[B, T, K, H, W, 1]` float32, sum over `K` is one.
        components: `[B, T, K, H, W, C]` float32.
        slots: `[B, T, K, D]` posterior means.
        samples: `[B, T, K, D]` posterior samples.
        latent_kl: `[B, T, K, D]` nats, KL of each latent from its prior.
        presence: `[B, T, K]` probability that the slot is in use.
        boxes: `[B, T, K, 4]` `(ymin, xmin, ymax, xmax)`, pixel edges.
        locations: `[B, T, K, 2]` `(y, x)`; pixel `(r, c)` has its centre at
            `(r + 0.5, c + 0.5)`; zeros where nothing is.
        track_ids: `[B, T, K]` int32 from 1; 0 where presence is at most 0.5.
        loss, nll, kl, ...: `[B]` nats per clip.
        elbo: `[B]` nats per frame.
        state: what the next chunk of a long video continues from.
    """

    recon: Array
    masks: Array
    components: Array
    slots: Array
    samples: Array
    latent_kl: Array
    presence: Array
    boxes: Array
    locations: Array
    track_ids: Array
    loss: Array
    nll: Array
    kl: Array
    elbo: Array
    state: dict
