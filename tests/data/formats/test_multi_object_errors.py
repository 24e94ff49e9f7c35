"""Multi-object files: what is said of bad and of missing ones."""

import gzip
import socket
import types

import numpy as np
import pytest
import tensorflow as tf

from tests.data.formats import multi_object_files as files
from tfdecomp import builders
from tfdecomp.data import errors
from tfdecomp.data.formats import downloads
from tfdecomp.data.formats.multi_object import multi_object_layouts


def _without(name):
    return lambda arrays: arrays.pop(name)


def _smaller(arrays):
    arrays["image"] = arrays["image"][: 30 * 30 * 3]


def _as_number(arrays):
    arrays["shape"] = np.arange(4)


BAD_SCHEMAS = {
    "feature missing": (
        _without("mask"),
        errors.LayoutError,
        ["no feature 'mask'", "'image', 'shape'"],
    ),
    "visibility missing": (
        _without("visibility"),
        errors.LayoutError,
        ["no feature 'visibility'"],
    ),
    "image of another size": (
        _smaller,
        errors.ResolutionError,
        ["2,700 values", "expected 3,675", "35 x 35 x 3"],
    ),
    "other type": (
        _as_number,
        errors.LayoutError,
        [
            "'shape'",
            "4 values of type int64",
            "expected 4 values of type float",
        ],
    ),
}


@pytest.mark.parametrize("case", BAD_SCHEMAS)
def test_records_of_another_schema_are_refused_at_once(case, tmp_path):
    change, kind, words = BAD_SCHEMAS[case]
    path = files.write_file(
        tmp_path / "tetrominoes_train.tfrecords", "tetrominoes", [change]
    )
    with pytest.raises(kind) as caught:
        files.open_file(path, "tetrominoes")
    text = str(caught.value)
    for word in [*words, f"record 0 of {path}", "multi_object/tetrominoes"]:
        assert word in text
    assert multi_object_layouts.INSTRUCTIONS in text


@pytest.mark.parametrize("variant", files.READERS)
def test_a_file_of_another_variant_is_recognised(variant, tmp_path):
    path = files.write_file(tmp_path / "some.tfrecords", variant)
    name = "multi_dsprites_gray"
    if files.READERS[variant] == name:
        files.open_file(path, name)
        return
    with pytest.raises(errors.LayoutError, match=r"this looks like") as caught:
        files.open_file(path, name)
    text = str(caught.value).split("this looks like")[1]
    assert variant in text
    assert "multi_dsprites_colored_on_grayscale" not in text.split(";")[0]


def test_pixels_in_one_string_are_not_taken_for_a_list(tmp_path):
    feature = tf.train.Feature(
        bytes_list=tf.train.BytesList(value=[bytes(35 * 35 * 3)])
    )
    features = tf.train.Features(feature={"image": feature})
    example = tf.train.Example(features=features)
    path = tmp_path / "one.tfrecords"
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        writer.write(example.SerializeToString())
    with pytest.raises(errors.ResolutionError, match="has 1 values of type"):
        files.open_file(path, "tetrominoes")


@pytest.mark.parametrize(
    "compression, words", [("", "without compression"), ("ZLIB", "with ZLIB")]
)
def test_another_compression_is_named(compression, words, tmp_path):
    path = files.write_file(
        tmp_path / "a", "tetrominoes", compression=compression
    )
    with pytest.raises(errors.LayoutError, match=words) as caught:
        files.open_file(path, "tetrominoes")
    assert str(path) in str(caught.value)
    assert "is not compressed with GZIP" in str(caught.value)


def test_a_compressed_file_of_another_kind_is_no_tfrecord(tmp_path):
    path = tmp_path / "a.tfrecords"
    path.write_bytes(gzip.compress(b"once upon a time there was a file" * 9))
    with pytest.raises(errors.LayoutError, match="holds no TFRecords"):
        files.open_file(path, "tetrominoes")
    framed = (5).to_bytes(8, "little") + bytes(4) + b"hello" + bytes(4)
    path.write_bytes(gzip.compress(framed))
    with pytest.raises(errors.LayoutError, match="is no tf.train.Example"):
        files.open_file(path, "tetrominoes")
    path.write_bytes(b"")
    with pytest.raises(errors.TruncatedError, match="0 records"):
        files.open_file(path, "tetrominoes")


@pytest.mark.parametrize("whole_compression", [False, True])
def test_a_truncated_file_is_named_and_leaves_nothing(
    whole_compression, tmp_path
):
    path = files.write_file(
        tmp_path / "tetrominoes_train.tfrecords", "tetrominoes", [None] * 40
    )
    data = path.read_bytes()
    if whole_compression:  # the records end too early, not the file
        raw = gzip.decompress(data)
        path.write_bytes(gzip.compress(raw[: len(raw) - 100]))
    else:
        path.write_bytes(data[: int(0.9 * len(data))])
    size = path.stat().st_size
    with pytest.raises(errors.TruncatedError) as caught:
        files.prepare(tmp_path, "tetrominoes", {"num_train": 38})
    text = str(caught.value)
    for word in (str(path), "incomplete or damaged after", f"{size:,} bytes"):
        assert word in text
    assert not files.leftovers(tmp_path)


def test_a_file_with_too_few_records_leaves_nothing(tmp_path):
    with pytest.raises(errors.TruncatedError, match="6 records, expected 9"):
        files.prepare(
            files.DUMMY, "tetrominoes", {"num_train": 9}, folder=tmp_path
        )
    assert not files.leftovers(tmp_path)


def test_damage_in_the_middle_is_noticed(tmp_path):
    path = files.write_file(
        tmp_path / "tetrominoes_train.tfrecords", "tetrominoes", [None] * 9
    )
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    with pytest.raises(errors.DatasetInputError) as caught:
        files.prepare(tmp_path, "tetrominoes", {"full": True})
    assert str(path) in str(caught.value)
    assert not files.leftovers(tmp_path)


def test_fewer_slots_than_objects_name_the_record_and_the_remedy(tmp_path):
    with pytest.raises(errors.LayoutError) as caught:
        files.prepare(
            files.DUMMY, "tetrominoes", {"max_objects": 2}, folder=tmp_path
        )
    text = str(caught.value)
    for word in ("record 2 of", "3 objects", "max_objects is 2", "to 3"):
        assert word in text
    assert not files.leftovers(tmp_path)


def _grey_mask(arrays):
    arrays["mask"][:7] = 128


def _two_owners(arrays):
    arrays["mask"].reshape(4, -1)[1, :50] = 255


def _hidden_owner(arrays):
    arrays["visibility"][1] = 0


def _half_visible(arrays):
    arrays["visibility"][1] = 0.5


BAD_LABELS = {
    "mask between 0 and 255": (_grey_mask, "7 values of mask"),
    "several entities": (_two_owners, "pixels that do not belong to exactly"),
    "invisible entity": (_hidden_owner, "pixels that do not belong to exactly"),
    "visibility": (_half_visible, "visibility [1.0, 0.5, 1.0, 1.0]"),
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_contradicting_labels_are_named_with_the_record(case):
    change, words = BAD_LABELS[case]
    _, record = files.make_record(
        files.LAYOUTS["tetrominoes"], 2, change=change
    )
    with pytest.raises(errors.AnnotationError) as caught:
        files.make_decoder("tetrominoes").block("train", 0, 17, [record])
    assert words in str(caught.value)
    assert "record 17 of the file" in str(caught.value)


class _Manager:
    """What of a download manager is needed."""

    def __init__(self, folder=None):
        self.folder, self.asked = folder, None

    @property
    def manual_dir(self):
        if self.folder is None:
            raise AssertionError("does not exist or is empty")
        return self.folder

    def download(self, urls):
        self.asked = urls
        return {name: f"/downloads/{name}" for name in urls}


def _locate(manager, *names):
    return downloads.locate(
        manager,
        {name: multi_object_layouts.BASE_URL + name for name in names},
        dataset="tfdecomp_multi_object/tetrominoes",
        layout=multi_object_layouts.INSTRUCTIONS,
        stand_in="tetrominoes/all19",
    )


@pytest.fixture
def offline(monkeypatch):
    def refuse(address, timeout):
        assert timeout <= 3
        raise OSError("Network is unreachable")

    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "create_connection", refuse)


def test_files_of_the_user_come_first_with_or_without_their_folder(
    offline, tmp_path
):
    (tmp_path / "tetrominoes").mkdir()
    nested = tmp_path / "tetrominoes" / "tetrominoes_train.tfrecords"
    flat = tmp_path / "objects_room_train.tfrecords"
    nested.touch()
    flat.touch()
    manager = _Manager(tmp_path)
    names = (
        "tetrominoes/tetrominoes_train.tfrecords",
        "objects_room/objects_room_train.tfrecords",
    )
    assert list(_locate(manager, *names).values()) == [nested, flat]
    assert manager.asked is None


@pytest.mark.parametrize("folder", [False, True])
def test_without_file_and_network_the_stand_in_is_named(
    folder, offline, tmp_path
):
    manager = _Manager(tmp_path if folder else None)
    with pytest.raises(errors.MissingFileError) as caught:
        _locate(manager, "tetrominoes/tetrominoes_train.tfrecords")
    text = str(caught.value)
    for word in (
        "tetrominoes/tetrominoes_train.tfrecords is not in the manual folder",
        "no connection to storage.googleapis.com (Network is unreachable)",
        "'tetrominoes/all19'",
        "--manual_dir",
        multi_object_layouts.INSTRUCTIONS,
    ):
        assert word in text
    assert isinstance(caught.value, FileNotFoundError)


@pytest.mark.parametrize("name", files.CONFIGS)
def test_every_config_names_a_generated_set_that_stands_in(
    name, offline, tmp_path
):
    with pytest.raises(errors.MissingFileError) as caught:
        files.prepare(tmp_path / "nowhere", name, folder=tmp_path / "data")
    stand_in = files.CONFIGS[name].stand_in
    assert repr(stand_in) in str(caught.value)
    dataset, config = stand_in.split("/")
    assert config in builders.builder_cls(dataset).builder_configs
    assert not files.leftovers(tmp_path)


def test_what_is_missing_is_downloaded_from_the_published_place(monkeypatch):
    reached = []

    def connect(address, timeout):
        reached.append(address)
        return types.SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(downloads.urllib.request, "getproxies", dict)
    manager = _Manager()
    name = "tetrominoes/tetrominoes_train.tfrecords"
    assert _locate(manager, name) == {name: f"/downloads/{name}"}
    assert manager.asked == {name: multi_object_layouts.BASE_URL + name}
    assert reached == [("storage.googleapis.com", 443)]
    monkeypatch.setattr(
        downloads.urllib.request,
        "getproxies",
        lambda: {"https": "http://a.proxy:3128"},
    )
    monkeypatch.setattr(
        downloads.urllib.request, "proxy_bypass", lambda host: False
    )
    _locate(manager, name)
    assert reached[1:] == [("a.proxy", 3128)]


def test_downloaded_sets_are_never_built_without_being_asked_for(tmp_path):
    with pytest.raises(errors.MissingFileError, match="is downloaded") as e:
        builders.prepare("multi_object/tetrominoes", tmp_path)
    assert "tfdecomp.prepare multi_object/tetrominoes" in str(e.value)
