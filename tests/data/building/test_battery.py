"""What must hold of every dataset: the table is in `battery.py`."""

import dataclasses
import json
import pickle
import re

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tests.data.building import battery
from tfdecomp import builders
from tfdecomp.data import errors, schema
from tfdecomp.data.building import builder_base

for _case in battery.STORED:
    _class = _case.test_class()
    globals()[_class.__name__] = (
        pytest.mark.slow(_class) if _case.slow else _class
    )
del _case, _class
GENERATED = pytest.mark.parametrize("made", battery.GENERATED, ids=str)


def test_every_set_has_a_line_that_is_built_every_day():
    found = {case.dataset for case in battery.STORED if not case.slow}
    assert found == set(builders.names()), "a line in battery.STORED"


@GENERATED
def test_ids_are_those_of_objects_and_seen_ones_are_visible(made):
    for example in made.examples:
        ids, count = example["segmentation"], example["num_objects"]
        known = set(range(count + 1))
        if made.builder.info.metadata["has_ignore"]:
            known.add(schema.IGNORE_ID)
        assert set(np.unique(ids)) <= known
        for k in range(made.config.max_objects):
            seen = (ids == k + 1).any((1, 2, 3))
            np.testing.assert_array_equal(example["visibility"][:, k], seen)
        if "visible_fraction" in example:
            fraction = example["visible_fraction"]
            assert fraction.min() >= 0 and fraction.max() <= 1
            np.testing.assert_array_equal(fraction > 0, example["visibility"])


@GENERATED
def test_boxes_hold_what_is_seen_and_lie_in_the_frame(made):
    for example in made.examples:
        ids, boxes = example["segmentation"][..., 0], example["boxes"]
        assert (boxes >= 0).all() and (boxes <= ids.shape[1:] * 2).all()
        for t, k in np.argwhere(example["visibility"]):
            rows, columns = np.nonzero(ids[t] == k + 1)
            top, left, bottom, right = boxes[t, k]
            assert top <= rows.min() and rows.max() + 1 <= bottom
            assert left <= columns.min() and columns.max() + 1 <= right


@GENERATED
def test_slots_without_an_object_are_zero_and_others_are_finite(made):
    for example in made.examples:
        count = example["num_objects"]
        labels = [
            (name, np.swapaxes(example[name], 0, 1))
            for name in ("boxes", "visibility", "visible_fraction")
            if name in example
        ]
        for name, values in (*labels, *made.factors(example)):
            assert len(values) == made.config.max_objects, name
            assert not values[count:].any(), name
            assert np.isfinite(values).all(), name


def _flat(tree):
    return {**tree, **tree["factors"]}


@GENERATED
def test_what_is_stored_is_what_was_made_and_as_the_features_say(made):
    features = made.builder.info.features
    specs = _flat(dict(features.items()))
    for example in made.examples[:1]:
        written = features.serialize_example(example)
        stored = _flat(features.deserialize_example_np(written))
        stored["example_id"] = stored["example_id"].decode()
        assert stored.keys() == specs.keys() == _flat(example).keys()
        for name, value in _flat(example).items():
            if name != "factors":
                np.testing.assert_array_equal(stored[name], value, name)
            if isinstance(value, np.ndarray):
                assert value.shape == specs[name].shape, name
                assert value.dtype == specs[name].np_dtype, name


@GENERATED
def test_content_does_not_depend_on_the_block(made):
    count = 3 * made.few // 2
    whole = [battery.digest([example]) for example in made.make(0, count)]
    blocks = [*made.first[made.splits[0]], *made.second]
    alone = [made.make(index, index + 1)[0] for index in range(count)]
    for examples in (blocks[:count], alone):
        assert [battery.digest([example]) for example in examples] == whole


@GENERATED
def test_seed_split_stream_freshness_and_number_all_change_the_content(made):
    few = made.few
    splits = {"train", "validation", "test", *made.splits[:4]}
    digests = [
        battery.digest(made.make(0, few, seed=1)),
        battery.digest(made.make(0, few, stream="other")),
        battery.digest(made.make(0, few, fresh=True)),
        battery.digest(made.second),
        *map(battery.digest, made.first.values()),
        *(battery.digest(made.make(0, few, s)) for s in splits - {*made.first}),
    ]
    assert len(set(digests)) == len(digests)


@GENERATED
def test_other_processes_get_a_few_bytes_and_make_the_same(made):
    make = made.builder.make_block(made.config)
    parcel = pickle.dumps(make)
    assert len(parcel) < 2000  # not a bank of digits
    split = made.splits[-1]
    again = pickle.loads(parcel)(split, 3, 4)
    assert battery.digest(again) == battery.digest(make(split, 3, 4))


@pytest.mark.parametrize(
    "name, fields, words",
    [
        (name, *case)
        for name in battery.REFUSED
        for case in battery.REFUSED[name]
    ],
)
def test_configs_that_cannot_be_made_are_refused(name, fields, words):
    dataset, config = name.split("/")
    good = builders.builder_cls(dataset).builder_configs[config]
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(good, name="wrong", **fields)


@pytest.mark.parametrize("name", battery.MISSING)
def test_missing_files_name_the_layout_and_what_is_made_instead(name, tmp_path):
    manual = tfds.download.DownloadConfig(manual_dir=tmp_path / "nowhere")
    with pytest.raises(errors.MissingFileError) as caught:
        builders.prepare(
            name,
            tmp_path / "data",
            progress=False,
            manual=True,
            download_config=manual,
        )
    cls = builders.builder_cls(name.split("/")[0])
    what, other = battery.MISSING[name]
    for words in (what, f"'{other}'", cls.MANUAL_DOWNLOAD_INSTRUCTIONS):
        assert words in str(caught.value)
    assert not list(tmp_path.rglob("*.tfrecord*"))


@pytest.mark.parametrize("name", battery.WITHOUT_FILES)
def test_nothing_is_made_of_files_before_they_are_found(name, tmp_path):
    builder = builders.make(f"{name}_tiny", tmp_path)
    with pytest.raises(errors.MissingFileError, match=re.escape("mnist.npz")):
        builder.make_block(builder.builder_config)


def _readme(dataset):
    return (builders.folder() / dataset / "README.md").read_text()


@pytest.mark.parametrize("dataset", builders.names())
def test_readme_answers_the_four_questions_as_the_metadata_do(
    dataset, tmp_path
):
    table = _readme(dataset).split("## Four questions")[1].split("##")[0]
    rows = {}
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        for name in re.findall(r"`(\w+)`", cells[0]):
            rows[name] = cells[1:]
    for name in builders.builder_cls(dataset).builder_configs:
        answers = rows.get(name) or rows[name.removesuffix("_tiny")]
        metadata = builders.make(f"{dataset}/{name}", tmp_path).info.metadata
        boxes = metadata["box_kind"] if metadata["has_boxes"] else answers[2]
        assert answers == [
            "0",
            "255" if metadata["has_ignore"] else "none",
            boxes,
            str(metadata["max_objects"]),
        ], name
        json.dumps(dict(metadata))


@pytest.mark.parametrize("dataset", builders.names())
def test_every_generated_config_has_a_tiny_sibling_of_the_same_scenes(dataset):
    configs = builders.builder_cls(dataset).builder_configs
    for name, config in configs.items():
        generated = config.source == builder_base.GENERATED
        if generated and not name.endswith("_tiny"):
            tiny = configs[f"{name}_tiny"]
            assert tiny.split_sizes().keys() == config.split_sizes().keys()
            assert tiny.stream == config.stream
            assert max(tiny.split_sizes().values()) <= 64


@pytest.mark.parametrize(
    "name, row",
    [
        ("raycast/clevr_like", r"`{}` \| .* \| {} \|"),
        ("clevrer/slices6_proposals", r"`{}` \| {} \|"),
    ],
)
def test_readme_gives_the_codes_that_the_metadata_give(name, row, tmp_path):
    text = _readme(name.split("/")[0])
    codes = builders.make(name, tmp_path).info.metadata["value_names"]
    for factor, values in codes.items():
        line = ", ".join(f"{code} {value}" for value, code in values.items())
        assert re.search(row.format(factor, line), text), factor


def test_readme_names_the_files_that_messages_name():
    layout = builders.builder_cls("clevrer").MANUAL_DOWNLOAD_INSTRUCTIONS
    for path in re.findall(r"\S+/\S+\.(?:mp4|zip)", layout):
        assert path.split("/")[-1] in _readme("clevrer"), path
