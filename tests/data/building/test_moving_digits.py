"""Videos of moving digits as they are stored and handed out."""

import dataclasses
import json

import numpy as np
import pytest

from tfdecomp import builders, data

BUILDER = builders.builder_cls("moving_digits")
NAME = "moving_digits/digits_quick_tiny"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("moving")
    builders.prepare(NAME, folder, progress=False)
    return folder


def test_the_pipeline_hands_out_clips_with_their_places(prepared):
    builder = builders.make(NAME, prepared)
    made = builder.make_block(builder.builder_config)("test", 0, 16)
    labels = ("position", "velocity", "label", "boxes", "segmentation", "index")
    batches = data.make_dataset(
        NAME,
        "test",
        data_dir=prepared,
        batch_size=4,
        num_frames=5,
        clip="first",
        labels=labels,
        shuffle=False,
        repeat=False,
    )
    seen = []
    for batch in batches.as_numpy_iterator():
        assert batch["video"].shape == (4, 5, 32, 32, 3)
        for n, index in enumerate(batch["index"]):
            example = made[index]
            for name in ("video", "segmentation", "boxes"):
                np.testing.assert_array_equal(batch[name][n], example[name][:5])
            for name in ("position", "velocity"):
                np.testing.assert_array_equal(
                    batch[name][n], example["factors"][name][:5]
                )
            np.testing.assert_array_equal(
                batch["label"][n], example["factors"]["label"]
            )
            seen.append(index)
    assert sorted(seen) == list(range(16))


def test_published_sizes_and_names():
    configs = BUILDER.builder_configs
    for source in ("mnist", "digits", "strokes"):
        config, disjoint = configs[source], configs[f"{source}_disjoint"]
        for each in (config, disjoint):
            assert each.digit_source == source
            assert each.split_sizes() == {
                "train": 50_000,
                "validation": 512,
                "test": 2_048,
            }
            assert (each.num_frames, each.height, each.cell) == (20, 64, 28)
            assert each.speed == 0.1 and each.speed_range is None
        assert config.pool_split == "shared"
        assert disjoint.pool_split == "disjoint"
        assert disjoint.stream == config.stream
    quick = configs["digits_quick"]
    assert quick.split_sizes() == {
        "train": 4_000,
        "validation": 200,
        "test": 400,
    }
    assert (quick.num_frames, quick.height, quick.cell) == (20, 32, 14)
    assert quick.pool_split == "disjoint"
    assert BUILDER.DEFAULT_BUILDER_CONFIG_NAME == "digits"


@pytest.mark.parametrize(
    "name, source",
    [
        ("digits_gray", "digits"),
        ("strokes_gray", "strokes"),
        ("mnist_gray", "mnist"),
        ("gray_quick", "digits_quick"),
    ],
)
def test_grey_configs_show_the_scenes_of_coloured_ones(name, source):
    grey, coloured = (BUILDER.builder_configs[n] for n in (name, source))
    assert (grey.channels, coloured.channels) == (1, 3)
    assert grey.stream == coloured.stream == source
    assert grey.look() == dataclasses.replace(coloured.look(), channels=1)
    few = BUILDER.builder_configs[f"{name}_tiny"]
    assert (few.channels, few.stream) == (1, source)


def test_three_digits_are_refused():
    with pytest.raises(ValueError, match="max_objects must be 2, not 3"):
        builders.make(
            "moving_digits",
            None,
            json.dumps({"name": "own", "base": "digits", "max_objects": 3}),
        )


def _from_json(tmp_path, **fields):
    fields = {"name": "own", "base": "digits_quick_tiny", **fields}
    return builders.make("moving_digits", tmp_path, json.dumps(fields))


@pytest.mark.slow
def test_a_config_of_ones_own_may_have_other_sizes_and_speeds(tmp_path):
    builder = _from_json(
        tmp_path,
        height=40,
        width=40,
        cell=10,
        num_frames=7,
        speed_range=[0.2, 0.3],
        digit_source="strokes",
        pool_size=40,
        pool_split="heldout",
    )
    make = builder.make_block(builder.builder_config)
    (example,) = make("test", 0, 1)
    assert example["video"].shape == (7, 40, 40, 3)
    speeds = np.linalg.norm(example["factors"]["velocity"], axis=-1)
    assert 6 <= speeds.min() <= speeds.max() <= 9
    assert example["factors"]["source_index"].min() >= 40
