"""Makes the picture of the README and the miniature original files.

python datasets/multi_object/make_files.py
"""

import pathlib
import zlib

import numpy as np
import tensorflow as tf

from tfdecomp.data.formats.multi_object import multi_object_layouts
from tfdecomp.data.video import video_io
from tfdecomp.visualization import palette, sheets

FOLDER = pathlib.Path(__file__).resolve().parent
RECORDS, COLUMNS = 6, 6
SHADES = np.array(
    [
        (90, 90, 90),
        (230, 60, 60),
        (60, 200, 80),
        (70, 90, 230),
        (230, 200, 60),
        (200, 70, 200),
        (60, 200, 210),
        (240, 140, 40),
        (150, 90, 40),
        (250, 250, 250),
        (130, 200, 130),
    ],
    np.uint8,
)


def main():
    """Writes `multi_object.png` and the files of `dummy_data/`."""
    rows = {}
    for name, layout in multi_object_layouts.LAYOUTS.items():
        scenes = [make_scene(layout, index) for index in range(RECORDS)]
        path = FOLDER / "dummy_data" / pathlib.PurePath(layout.file).name
        write(path, [scene_features(scene, layout) for scene in scenes])
        if name in ("clevr_with_masks", "tetrominoes") or "grays" in name:
            images = np.stack([scene["image"] for scene in scenes])
            owners = np.stack([scene["mask"].argmax(0) for scene in scenes])
            step = 4 if layout.height > 200 else 1
            label = name.split("_with")[0].split("_colored")[0]
            rows[label] = images[:COLUMNS, ::step, ::step]
            owners = owners[:COLUMNS, ::step, ::step]
            rows[f"{label}: labels"] = palette.paint_ids(owners)
    video_io.write_png(FOLDER / "multi_object.png", sheets.sheet(rows))


def make_scene(layout, index, objects=None):
    """Rectangles of plain colours as a record of a layout.

    Args:
        layout: A `Layout`.
        index: Number of the scene; the same number, the same scene.
        objects: How many there are; None: more with every scene.

    Returns:
        Dictionary of `image` `[H, W, C]` uint8, `mask` `[E, H, W]` bool and
        the other features, by entity.
    """
    seed = [index, zlib.crc32(layout.name.encode())]
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
    count = objects
    if count is None:
        count = min(layout.slots, 1 + index % max(layout.slots, 1))
    owner, corners = _place(rng, layout, count)
    real = np.zeros(layout.entities, bool)
    real[: layout.background + count] = True
    colour = np.where(real[:, None], SHADES[: layout.entities], 0)
    if layout.channels == 1:
        colour = np.where(np.arange(layout.entities)[:, None] > 0, 255, 0)
        colour = (colour * real[:, None]).astype(np.uint8)
    if layout.name == "tetrominoes":
        colour = (colour > 128) * real[:, None] * np.uint8(255)
        colour[0] = 0
    scene = {
        "image": colour[owner].astype(np.uint8),
        "mask": owner == np.arange(layout.entities)[:, None, None],
    }
    for name, width in layout.floats.items():
        values = rng.random((layout.entities, width)).astype(np.float32)
        scene[name] = values * real[:, None]
    for name in layout.codes:
        codes = rng.integers(1, 3, layout.entities)
        scene[name] = (codes * real).astype(np.uint8)
    return _consistent(scene, layout, real, corners, colour)


def _place(rng, layout, count):
    """`[H, W]` owners of pixels, and `[E, 2]` corners of the rectangles."""
    owner = np.zeros((layout.height, layout.width), np.uint8)
    bands = np.arange(layout.width) * layout.background // layout.width
    owner[:] = bands.astype(np.uint8)
    corners = np.zeros((layout.entities, 2))
    # Rectangles stand in cells of their own, so that nothing is covered.
    columns = int(np.ceil(np.sqrt(max(count, 1))))
    cell = np.array([layout.height, layout.width]) // columns
    for n in range(count):
        low = np.array(divmod(n, columns)) * cell
        size = cell // 2
        corner = low + rng.integers(0, cell - size + 1)
        entity = layout.background + n
        top, left = corner
        owner[top : top + size[0], left : left + size[1]] = entity
        corners[entity] = corner
    return owner, corners


def _consistent(scene, layout, real, corners, colour):
    """Positions and colours that belong to the picture."""
    masks = scene["mask"]
    centres = np.zeros((layout.entities, 2), np.float32)
    for entity in np.flatnonzero(masks.any((1, 2))):
        centres[entity] = np.argwhere(masks[entity]).mean(0) + 0.5
    foreground = np.arange(layout.entities) >= layout.background
    present = (foreground & real)[:, None]
    size = np.array([layout.height, layout.width])
    if "visibility" in scene:
        scene["visibility"] = real.astype(np.float32)
    if "pixel_coords" in scene:
        scene["pixel_coords"][:, :2] = centres[:, ::-1] * present
    if "scale" in scene:
        share = np.round(centres / size, 6) * present
        scene["x"], scene["y"] = share[:, 1:], share[:, :1]
        scene["color"] = colour / np.float32(255)
    if layout.name == "tetrominoes":
        scene["x"], scene["y"] = corners[:, :1], corners[:, 1:]
        scene["color"] = (colour > 0).astype(np.float32)
    if "shape" in layout.floats:
        scene["shape"] = np.ceil(3 * scene["shape"]) * present
    return scene


def scene_features(scene, layout):
    """A scene in the published form: bytes one by one, masks in order.

    Returns:
        Feature to a flat array: uint8 becomes a list of one-byte strings.
    """
    mask = np.moveaxis(255 * scene["mask"].astype(np.uint8), 0, -1)
    mask = np.moveaxis(mask[..., None], 2, layout.entity_axis)
    return {
        name: np.ravel(values)
        for name, values in {**scene, "mask": mask}.items()
    }


def write(path, records, compression="GZIP"):
    """Writes a TFRecord file.

    Args:
        path: The file.
        records: Feature to flat array, for each record.
        compression: `"GZIP"`, `"ZLIB"` or `""`.
    """
    options = tf.io.TFRecordOptions(compression, compression_level=9)
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for arrays in records:
            writer.write(serialize(arrays))


def serialize(arrays):
    """A `tf.train.Example` of flat arrays, as bytes."""
    features = {}
    for name, values in arrays.items():
        if values.dtype == np.uint8:
            pixels = [bytes([value]) for value in values.tolist()]
            kind = {"bytes_list": tf.train.BytesList(value=pixels)}
        elif values.dtype.kind == "f":
            kind = {"float_list": tf.train.FloatList(value=values)}
        else:
            kind = {"int64_list": tf.train.Int64List(value=values)}
        features[name] = tf.train.Feature(**kind)
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


if __name__ == "__main__":
    main()
