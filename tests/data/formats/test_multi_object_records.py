"""Multi-object files: what is read from good ones."""

import dataclasses
import json
import pickle

import numpy as np
import pytest
import tensorflow as tf

from tests.data.formats import multi_object_files as files
from tfdecomp.data import sampling
from tfdecomp.data.formats.multi_object import multi_object_factors, wire


@pytest.mark.parametrize("variant", files.READERS)
def test_records_are_read_as_the_published_readers_do(variant):
    layout = files.LAYOUTS[variant]
    _, record = files.make_record(layout)
    expected = files.parse_as_published(record, layout)
    scene = files.make_decoder(variant).scene(record, 0)
    np.testing.assert_array_equal(scene["image"], expected["image"])
    owner = expected["mask"][..., 0].argmax(0)
    np.testing.assert_array_equal(scene["owner"], owner)
    for name in (*layout.codes, *layout.floats):
        np.testing.assert_array_equal(scene[name], expected[name])


@pytest.mark.parametrize("variant", files.READERS)
def test_every_scene_becomes_the_example_that_it_shows(variant):
    layout = files.LAYOUTS[variant]
    decoder = files.make_decoder(variant, **files.native_size(variant))
    for index in range(4):
        scene, record = files.make_record(layout, index)
        ((number, example),) = decoder.block("test", 10, 10 + index, [record])
        assert number == example["index"] == index
        assert example["example_id"] == f"test/{index:06d}"
        np.testing.assert_array_equal(example["video"][0], scene["image"])
        owner = scene["mask"].argmax(0)
        ids = np.maximum(owner - layout.background + 1, 0)
        np.testing.assert_array_equal(example["segmentation"][0, ..., 0], ids)
        count = ids.max()
        assert example["num_objects"] == count
        if "visibility" in scene:
            assert count == scene["visibility"][1:].sum()
        slots = np.arange(decoder.config.max_objects)
        np.testing.assert_array_equal(
            example["object_ids"], np.where(slots < count, slots + 1, 0)
        )
        np.testing.assert_array_equal(example["visibility"][0], slots < count)
        for slot in range(count):
            rows, columns = np.nonzero(ids == slot + 1)
            box = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
            np.testing.assert_array_equal(example["boxes"][0, slot], box)


def test_masks_of_sprites_have_the_entities_third():
    layout = files.LAYOUTS["multi_dsprites_binarized"]
    arrays = files.SCRIPT.scene_features(
        files.SCRIPT.make_scene(layout, 1), layout
    )
    mask = np.zeros((64, 64, 4, 1), np.uint8)
    mask[:, :, 0] = 255
    mask[3, 5, :3, 0] = (0, 0, 255)
    arrays["mask"] = mask.ravel()
    scene = files.make_decoder(layout.name).scene(
        files.SCRIPT.serialize(arrays), 0
    )
    assert np.argwhere(scene["owner"] == 2).tolist() == [[3, 5]]
    assert (scene["owner"] == 0).sum() == 64 * 64 - 1


def test_factors_of_clevr_are_those_of_the_file():
    variant = "clevr_with_masks"
    scene, record = files.make_record(files.LAYOUTS[variant], 4)
    ((_, example),) = files.make_decoder(
        variant, **files.native_size(variant)
    ).block("test", 0, 0, [record])
    factors, real = example["factors"], slice(1, 6)
    assert (
        factors.keys()
        == multi_object_factors.declared(files.LAYOUTS[variant]).keys()
    )
    for name in ("shape", "size", "material", "color", "rotation"):
        values = np.ravel(scene[name])[real]
        np.testing.assert_array_equal(factors[name][:5], values)
        assert not factors[name][5:].any()
    place = np.concatenate([scene[name] for name in "xyz"], -1)[real]
    np.testing.assert_array_equal(factors["location_3d"][0, :5], place)
    x, y, depth = scene["pixel_coords"][real].T
    np.testing.assert_allclose(factors["position"][0, :5, 0], y)
    np.testing.assert_allclose(factors["position"][0, :5, 1], x)
    np.testing.assert_array_equal(factors["depth"][0, :5], depth)
    # The rectangles' middles are where pixel_coords says.
    boxes = example["boxes"][0, :5]
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    np.testing.assert_allclose(factors["position"][0, :5], middles, atol=1e-3)


def test_factors_of_tetrominoes_are_rows_and_columns_of_boxes():
    variant = "tetrominoes"
    scene, record = files.make_record(files.LAYOUTS[variant], 2)
    ((_, example),) = files.make_decoder(variant).block("test", 0, 0, [record])
    factors, boxes = example["factors"], example["boxes"][0]
    np.testing.assert_array_equal(factors["corner"], boxes[:, :2])
    np.testing.assert_array_equal(
        factors["position"][0], (boxes[:, :2] + boxes[:, 2:]) / 2
    )
    np.testing.assert_array_equal(factors["shape"], scene["shape"][1:, 0])
    np.testing.assert_array_equal(factors["color"], scene["color"][1:])


@pytest.mark.parametrize("scale, offset", [(1.0, 0.0), (64.0, 0.0), (32, 16)])
@pytest.mark.parametrize("axes", [("x", "y"), ("y", "x")])
def test_positions_of_sprites_are_read_off_the_masks(scale, offset, axes):
    layout = files.LAYOUTS["multi_dsprites_colored_on_grayscale"]
    decoder, scenes = files.make_decoder(layout.name), []
    for index in range(12):
        scene = decoder.scene(files.make_record(layout, index)[1], index)
        middles = np.zeros((layout.entities, 2))
        for entity in scene["objects"]:
            middles[entity] = np.argwhere(scene["owner"] == entity).mean(0)
        for name, values in zip(axes, middles.T + 0.5):
            scene[name] = ((values - offset) / scale).astype(np.float32)
        # One in ten is covered and has its middle elsewhere.
        if index == 3:
            scene["x"] += 10 / scale
        scenes.append(scene)
    scales = multi_object_factors.probe(scenes, layout)
    decoder = dataclasses.replace(decoder, scales=scales)
    for number in (1, 7):
        example = decoder.example(scenes[number], number)
        boxes = example["boxes"][0]
        np.testing.assert_allclose(
            example["factors"]["position"][0],
            (boxes[:, :2] + boxes[:, 2:]) / 2,
            atol=0.05,
        )
    json.dumps(scales)


def test_positions_that_fit_no_sprite_are_not_handed_out(tmp_path):
    name = "multi_dsprites_colored"
    rng = np.random.default_rng(0)

    def scatter(arrays):
        arrays["x"], arrays["y"] = rng.random((2, 5), np.float32)

    files.write_file(
        tmp_path / "multi_dsprites_colored_on_colored.tfrecords",
        files.CONFIGS[name].variant,
        [scatter] * 8,
    )
    builder = files.prepare(tmp_path, name, {"num_train": 6, "num_test": 1})
    metadata = builder.info.metadata
    assert metadata["scales"]["position"] is None
    assert "position" not in metadata["factor_names"]
    assert "color" in metadata["factor_names"]


def test_colours_of_sprites_lie_between_0_and_1_whatever_the_file_has():
    layout = files.LAYOUTS["multi_dsprites_colored_on_colored"]
    decoder = files.make_decoder(layout.name)
    for factor in (1.0, 255.0):
        _, record = files.make_record(
            layout, 2, change=lambda a, f=factor: a.update(color=a["color"] * f)
        )
        scene = decoder.scene(record, 0)
        scales = multi_object_factors.probe([scene], layout)
        found = dataclasses.replace(decoder, scales=scales).example(scene, 0)
        shown = [
            found["video"][found["segmentation"][..., 0] == slot + 1][0]
            for slot in range(3)
        ]
        np.testing.assert_allclose(
            found["factors"]["color"][:3], np.array(shown) / 255, atol=1e-6
        )


def test_in_a_room_the_first_four_entities_are_background():
    variant = "objects_room_test_six_objects"
    scene, record = files.make_record(files.LAYOUTS[variant], 5)
    ((_, example),) = files.make_decoder(variant).block(
        "six_objects", 0, 0, [record]
    )
    owner = scene["mask"].argmax(0)
    np.testing.assert_array_equal(example["entities"][0, ..., 0], owner)
    ids = example["segmentation"][0, ..., 0]
    assert not ids[owner < 4].any()
    np.testing.assert_array_equal(ids[owner >= 4], owner[owner >= 4] - 3)
    assert example["num_objects"] == 6


def test_gaps_between_visible_entities_fill_the_slots_from_the_first_one():
    variant = "tetrominoes"

    def hide_second(arrays):
        mask = arrays["mask"].reshape(4, -1)
        mask[0] |= mask[2]
        mask[2] = 0
        arrays["mask"] = mask.ravel()
        arrays["visibility"] = np.float32([1, 1, 0, 1])

    scene, record = files.make_record(
        files.LAYOUTS[variant], 2, change=hide_second
    )
    ((_, example),) = files.make_decoder(variant).block("test", 0, 0, [record])
    assert example["num_objects"] == 2
    third = example["segmentation"][0, ..., 0] == 2
    np.testing.assert_array_equal(third, scene["mask"][3])
    np.testing.assert_array_equal(
        example["factors"]["color"][:2], scene["color"][[1, 3]]
    )


def test_a_few_pixels_without_an_entity_become_ignore():
    variant = "tetrominoes"

    def hole(arrays):
        arrays["mask"].reshape(4, 35, 35)[:, 7, 9] = 0

    _, record = files.make_record(files.LAYOUTS[variant], change=hole)
    ((_, example),) = files.make_decoder(variant).block("test", 0, 0, [record])
    assert np.argwhere(example["segmentation"][0, ..., 0] == 255).tolist() == [
        [7, 9]
    ]


@pytest.mark.parametrize("crop, top", [("reference", 29), ("center", 24)])
def test_the_window_of_clevr_is_cut_and_scaled(crop, top):
    variant = "clevr_with_masks"
    scene, record = files.make_record(files.LAYOUTS[variant], 5)
    ((_, example),) = files.make_decoder(variant, crop=crop).block(
        "test", 0, 0, [record]
    )
    window = slice(top, top + 192), slice(64, 256)
    image = tf.image.resize(scene["image"][window], (128, 128))
    away = example["video"][0].astype(int) - np.rint(image)
    assert np.abs(away).max() <= 1 and (away != 0).mean() < 1e-3
    owner = scene["mask"].argmax(0).astype(np.uint8)[window]
    ids = tf.image.resize(owner[..., None], (128, 128), "nearest")
    np.testing.assert_array_equal(example["segmentation"][0], ids)
    assert set(np.unique(ids)) <= set(np.unique(owner))
    middles = scene["pixel_coords"][1:7, 1::-1]
    np.testing.assert_allclose(
        example["factors"]["position"][0, :6],
        (middles - [top, 64]) * 128 / 192,
        rtol=1e-5,
    )
    assert example["num_objects"] == 6
    assert not example["factors"]["position"][0, 6:].any()


def test_objects_outside_the_window_count_but_are_not_seen():
    variant = "clevr_with_masks"

    def left(arrays):
        mask = arrays["mask"].reshape(11, 240, 320)
        mask[:] = 0
        mask[0] = 255
        mask[:2, 100:110, 10:30] = np.array([0, 255])[:, None, None]

    _, record = files.make_record(files.LAYOUTS[variant], 0, change=left)
    ((_, example),) = files.make_decoder(variant).block("test", 0, 0, [record])
    assert example["num_objects"] == 1
    assert not example["visibility"].any()
    assert not example["boxes"].any()


@pytest.mark.parametrize("size", [(5, 12), (16, 3), (8, 10)])
def test_resampling_is_that_of_tensorflow_without_antialiasing(size):
    image = np.random.default_rng(1).integers(0, 256, (8, 10, 3), np.uint8)
    expected = tf.image.resize(image, size).numpy()
    away = sampling.resize_bilinear(image, *size) - expected
    assert np.abs(away).max() <= 0.5 + 1e-4
    labels = sampling.resize_nearest(image[..., 0], *size)
    expected = tf.image.resize(image[..., :1], size, "nearest")[..., 0]
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("count", range(1, 9))
def test_clevr6_trains_on_three_to_six_objects_of_the_foreground(count):
    variant = "clevr_with_masks"
    _, record = files.make_record(files.LAYOUTS[variant], 0, objects=count)
    decoder = files.make_decoder(variant, train_objects=(3, 6))
    kept = decoder.block("train", 0, 0, [record])
    assert len(kept) == (3 <= count <= 6)
    for split in ("test", "validation", "rest"):
        ((_, example),) = decoder.block(split, 0, 0, [record])
        assert example["num_objects"] == count


def test_splits_follow_the_order_of_the_file():
    ranges = files.CONFIGS["clevr"].ranges()
    file = "clevr_with_masks"
    assert ranges == {
        "train": (file, 0, 70_000),
        "test": (file, 70_000, 70_320),
        "validation": (file, 70_320, 75_000),
        "rest": (file, 75_000, None),
    }
    ranges = files.CONFIGS["tetrominoes"].ranges()
    assert [r[1:] for r in ranges.values()] == [
        (0, 60_000),
        (60_000, 60_320),
        (60_320, 65_000),
    ]
    full = dataclasses.replace(
        files.CONFIGS["objects_room"], name="f", full=True
    )
    assert list(full.ranges()) == [
        "train_full",
        "empty_room",
        "six_objects",
        "identical_color",
    ]
    assert files.CONFIGS["clevr"].split_sizes()["train"] == 70_000
    assert "train" not in files.CONFIGS["clevr6"].split_sizes()


def test_the_prepared_set_holds_the_scenes_of_the_file(tmp_path):
    builder = files.prepare(files.DUMMY, "tetrominoes", folder=tmp_path)
    metadata = builder.info.metadata
    (file,) = metadata["source_files"]
    assert file["name"] == "tetrominoes_train.tfrecords"
    assert metadata["value_names"]["color"]["green"] == [0, 1, 0]
    layout = files.LAYOUTS["tetrominoes"]
    for split, numbers in (
        ("train", [0, 1, 2]),
        ("test", [3]),
        ("validation", [4]),
    ):
        examples = files.content(builder, split)
        assert sorted(examples) == list(range(len(numbers)))
        for index, number in enumerate(numbers):
            image = files.SCRIPT.make_scene(layout, number)["image"]
            np.testing.assert_array_equal(examples[index]["video"][0], image)


def test_processes_and_blocks_do_not_change_the_content(tmp_path):
    one = files.prepare(files.DUMMY, "tetrominoes", folder=tmp_path / "1")
    two = files.prepare(
        files.DUMMY,
        "tetrominoes",
        {"block_size": 2},
        folder=tmp_path / "2",
        workers=2,
    )
    for split in ("train", "test"):
        a, b = files.content(one, split), files.content(two, split)
        assert a.keys() == b.keys()
        for index in a:
            tf.nest.map_structure(
                np.testing.assert_array_equal, a[index], b[index]
            )


def test_decoders_can_be_sent_to_other_processes():
    decoder = files.make_decoder("tetrominoes")
    assert pickle.loads(pickle.dumps(decoder)) == decoder


def test_messages_are_read_as_protocol_buffers_do():
    features = {
        "many": tf.train.Feature(
            bytes_list=tf.train.BytesList(value=[b"ab", b"", b"c"])
        ),
        "numbers": tf.train.Feature(
            int64_list=tf.train.Int64List(value=[1, -5, 300])
        ),
        "floats": tf.train.Feature(
            float_list=tf.train.FloatList(value=[0.5, -3.25])
        ),
        "none": tf.train.Feature(),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    found = wire.parse_example(example.SerializeToString())
    assert {name: kind for name, (kind, _) in found.items()} == {
        "many": "bytes",
        "numbers": "int64",
        "floats": "float",
    }
    assert wire.byte_values(found["many"][1]) is None
    assert {name: wire.count_values(*found[name]) for name in found} == {
        "many": 3,
        "numbers": 3,
        "floats": 2,
    }
    np.testing.assert_array_equal(
        wire.float_values(found["floats"][1]), [0.5, -3.25]
    )
    unpacked = b"".join(b"\x0d" + np.float32(v).tobytes() for v in (1, 2))
    np.testing.assert_array_equal(wire.float_values(unpacked), [1, 2])
