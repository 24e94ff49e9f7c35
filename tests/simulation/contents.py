"""What the content of every simulated set depends on, and what it does not."""

import hashlib

import numpy as np


def digest(examples, keys=None):
    """Fingerprint of the content in the order of the keys; of some or all."""
    total = hashlib.sha256()
    for example in examples:
        flat = {**example, **example.get("factors", {})}
        flat.pop("factors", None)
        for key in keys or sorted(flat):
            total.update(np.ascontiguousarray(flat[key]).tobytes())
    return total.hexdigest()


def check_blocks(make, stop, sizes=(1, 5), whole=None):
    """Examples are the same in blocks of any size; `make(start, stop)`."""
    whole = digest(make(0, stop) if whole is None else whole)
    for size in sizes:
        blocks = [
            make(begin, min(begin + size, stop))
            for begin in range(0, stop, size)
        ]
        assert digest(sum(blocks, [])) == whole


def check_keys(make, stop, splits):
    """The same again, and others by seed, split, stream, freshness, index."""
    digests = [
        digest(make(0, stop)),
        digest(make(0, stop, seed=1)),
        digest(make(0, stop, stream="other")),
        digest(make(0, stop, fresh=True)),
        digest(make(stop, 2 * stop)),
        *(digest(make(0, stop, split=split)) for split in splits),
    ]
    assert len(set(digests)) == len(digests)
    assert digest(make(0, stop)) == digests[0]
