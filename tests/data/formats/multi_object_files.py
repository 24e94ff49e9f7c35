"""Multi-object files for tests, and what reads them."""

import dataclasses
import json
import pathlib

import tensorflow as tf
import tensorflow_datasets as tfds

from tests.data import dataset_scripts
from tfdecomp import builders
from tfdecomp.data.building import builder_base
from tfdecomp.data.formats.multi_object import (
    multi_object_layouts,
    multi_object_records,
)

FOLDER = builders.folder() / "multi_object"
DUMMY = FOLDER / "dummy_data"
LAYOUTS = multi_object_layouts.LAYOUTS
CONFIGS = builders.builder_cls("multi_object").builder_configs


SCRIPT = dataset_scripts.load("multi_object")
# Each layout with a config that reads it.
READERS = {
    "clevr_with_masks": "clevr",
    "multi_dsprites_binarized": "multi_dsprites_bin",
    "multi_dsprites_colored_on_grayscale": "multi_dsprites_gray",
    "multi_dsprites_colored_on_colored": "multi_dsprites_colored",
    "tetrominoes": "tetrominoes",
    "objects_room_train": "objects_room",
    "objects_room_test_six_objects": "objects_room",
}


def make_record(layout, index=2, objects=None, change=None):
    """`(scene, serialized)` with `change` made to the flat features."""
    scene = SCRIPT.make_scene(layout, index, objects)
    arrays = SCRIPT.scene_features(scene, layout)
    if change is not None:
        change(arrays)
    return scene, SCRIPT.serialize(arrays)


def make_decoder(variant, path="the file", **fields):
    config = CONFIGS[READERS[variant]]
    config = dataclasses.replace(config, name="test", **fields)
    label = f"tfdecomp_multi_object/{config.name}"
    plain = builder_base.plain(config)
    return multi_object_records.Decoder(str(path), label, variant, plain)


def native_size(variant):
    layout = LAYOUTS[variant]
    return {"crop": "none", "height": layout.height, "width": layout.width}


def write_file(
    path, variant, changes=(None,), compression="GZIP", objects=None
):
    layout = LAYOUTS[variant]
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for index, change in enumerate(changes):
            writer.write(make_record(layout, index, objects, change)[1])
    return path


def open_file(path, name):
    config = CONFIGS[name]
    return multi_object_records.open_source(
        path,
        f"tfdecomp_multi_object/{name}",
        config.variant,
        builder_base.plain(config),
    )


def parse_as_published(record, layout):
    """A record as the readers that were published with the files parse it."""
    features = {
        "image": tf.io.FixedLenFeature(layout.image_shape, tf.string),
        "mask": tf.io.FixedLenFeature(layout.mask_shape, tf.string),
    }
    for name in layout.codes:
        features[name] = tf.io.FixedLenFeature([layout.entities], tf.string)
    for name, width in layout.floats.items():
        shape = [layout.entities] + [width] * (width > 1)
        features[name] = tf.io.FixedLenFeature(shape, tf.float32)
    parsed = tf.io.parse_single_example(record, features)
    for name in ("image", "mask", *layout.codes):
        parsed[name] = tf.io.decode_raw(parsed[name], tf.uint8)[..., 0]
    if layout.entity_axis:
        parsed["mask"] = tf.transpose(parsed["mask"], [2, 0, 1, 3])
    return {name: value.numpy() for name, value in parsed.items()}


def prepare(manual, name, fields=(), folder=None, **options):
    sizes = {"num_train": 3, "num_test": 1, "num_validation": 1}
    config = {"name": "few", "base": name, **sizes, **dict(fields)}
    return builders.prepare(
        "multi_object",
        folder or pathlib.Path(manual) / "data",
        progress=False,
        manual=True,
        config=json.dumps(config),
        download_config=tfds.download.DownloadConfig(manual_dir=manual),
        **options,
    )


def content(builder, split):
    examples = tfds.as_numpy(builder.as_dataset(split=split))
    return {int(e["index"]): e for e in examples}


def leftovers(folder):
    return [
        path
        for path in folder.rglob("*")
        if path.name.startswith(("incomplete.", builders.REBUILD_PREFIX))
        or path.name == "1.0.0"
    ]
