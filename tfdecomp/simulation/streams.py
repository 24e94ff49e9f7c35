"""One random stream per example.

Every example of a generated dataset is a function of
`(seed, dataset, stream, split, index)` and of nothing else: not of the number
of shards, of the block size, of the process that draws it, nor of the examples
drawn before it.
"""

import zlib

import numpy as np

SPLIT_IDS = {"train": 0, "validation": 1, "test": 2}
# Clips made for one evaluation only. They share no stream with a stored
# split, whatever the seed.
FRESH_OFFSET = 1000


def split_id(split, extra=(), fresh=False):
    """Number of a split in the key of its streams.

    Args:
        split: Name of the split.
        extra: Further splits of the dataset, in a fixed order; they come
            after train, validation and test.
        fresh: Whether the streams must differ from those of the stored split.
    """
    ids = {**SPLIT_IDS, **{name: 3 + i for i, name in enumerate(extra)}}
    if split not in ids:
        raise ValueError(f"unknown split {split!r}; there are {sorted(ids)}")
    return ids[split] + (FRESH_OFFSET if fresh else 0)


def example_rng(seed, dataset, stream, split, index):
    """Random generator of one example.

    Args:
        seed: Seed of the dataset.
        dataset: Name of the dataset.
        stream: Name of the stream; configs that must show the same scenes
            share it.
        split: Number of the split, see `split_id`.
        index: Number of the example within the split.

    Returns:
        A `np.random.Generator` that no other example shares.
    """
    key = [seed, _crc(dataset), _crc(stream), split, index]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def _crc(name):
    return zlib.crc32(name.encode())
