"""Fields and siblings that the configs of all datasets share."""

import json

import pytest

from tfdecomp.data.building import builder_base


def _config(**fields):
    return builder_base.Config(name="some", **fields)


def test_extra_splits_come_behind_the_usual_ones():
    config = _config(num_train=3, num_test=2, extra_splits={"test7": 5})
    assert list(config.split_sizes().items()) == [
        ("train", 3),
        ("test", 2),
        ("test7", 5),
    ]
    assert _config(extra_splits={"test7": 0}).split_sizes() == {}
    assert _config().split_sizes() == {}


@pytest.mark.parametrize("name", ["train", "validation", "test", "all"])
def test_extra_splits_cannot_take_the_names_of_others(name):
    with pytest.raises(ValueError, match="fields of their own"):
        _config(extra_splits={name: 5})


def test_the_stream_is_the_name_unless_given():
    assert _config().stream == "some"
    assert _config(stream="other").stream == "other"


def test_tiny_siblings_are_the_beginning_of_the_same_splits():
    configs = builder_base.with_tiny(
        builder_base.Config,
        {
            "one": {"num_train": 1000, "extra_splits": {"test7": 500}},
            "two": {"num_test": 300, "stream": "one", "height": 20},
        },
    )
    assert [c.name for c in configs] == ["one", "two", "one_tiny", "two_tiny"]
    one, two, one_tiny, two_tiny = configs
    assert {c.stream for c in configs} == {"one"}
    assert one.split_sizes() == {"train": 1000, "test7": 500}
    assert one_tiny.split_sizes() == {"train": 64, "test7": 16}
    assert two_tiny.split_sizes() == {"test": 16}
    assert two_tiny.height == two.height == 20


def test_fields_of_a_config_fit_into_json():
    fields = _config(extra_splits={"test7": 5}).fields()
    assert json.loads(json.dumps(fields)) == fields
