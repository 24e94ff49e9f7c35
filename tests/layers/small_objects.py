"""Sizes and records of a few small objects, for the layers of SILOT."""

import numpy as np
import tensorflow as tf

from tfdecomp.ops import object_record

A, D, F, G, C = 4, 5, 6, 5, 3
SIZES = {
    "what_dim": A,
    "units": D,
    "features": F,
    "glimpse_size": G,
    "glimpse_hidden": (7,),
    "glimpse_units": 5,
}
GEOMETRY = {"cell": tf.fill([2], 12.0), "anchor": tf.fill([2], 16.0)}


def geometry(batch):
    return {**GEOMETRY, "offset": tf.zeros([batch, 2])}


def objects(batch, count, seed=0):
    """A plausible set of objects."""
    rng = np.random.default_rng(seed)
    widths = object_record.widths(A, D)
    record = {
        n: rng.standard_normal((batch, count, w)) for n, w in widths.items()
    }
    record["box"] = rng.uniform(0.2, 0.9, (batch, count, 4))
    for name in ("depth", "presence"):
        record[name] = rng.uniform(0.1, 0.9, (batch, count, 1))
    record["used"] = np.ones((batch, count, 1))
    return {n: tf.constant(v, tf.float32) for n, v in record.items()}
