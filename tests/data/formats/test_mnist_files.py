"""MNIST's files, whole, damaged and missing; small ones written here."""

import gzip
import json
import socket
import struct

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core import download

from tfdecomp import builders
from tfdecomp.data import errors
from tfdecomp.data.formats import mnist_files
from tfdecomp.simulation.digits import digit_banks

COUNTS = (30, 10)
KEYS = ("x_train", "y_train", "x_test", "y_test")


@pytest.fixture
def arrays():
    """Pictures and labels of both parts, in the order of the files."""
    rng = np.random.default_rng(0)
    made = []
    for count in COUNTS:
        made.append(rng.integers(256, size=(count, 28, 28), dtype=np.uint8))
        made.append(rng.integers(10, size=count, dtype=np.uint8))
    return made


def _idx(array, magic=None):
    """An idx file: magic number, lengths of the axes, bytes."""
    magic = magic or {3: 2051, 1: 2049}[array.ndim]
    head = struct.pack(">I", magic)
    head += b"".join(struct.pack(">I", length) for length in array.shape)
    return head + array.tobytes()


def _write(folder, arrays, packed=True):
    folder.mkdir(exist_ok=True)
    for name, array in zip(mnist_files.FILES, arrays):
        data = _idx(array)
        if packed:
            (folder / name).write_bytes(gzip.compress(data))
        else:
            (folder / name.removesuffix(".gz")).write_bytes(data)
    return folder


def _manager(tmp_path, manual=None):
    return tfds.download.DownloadManager(
        download_dir=tmp_path / "downloads",
        manual_dir=manual,
        manual_dir_instructions=mnist_files.LAYOUT,
        dataset_name="tfdecomp_multi_digits",
    )


def _locate(tmp_path, manual=None):
    return mnist_files.locate(
        _manager(tmp_path, manual),
        dataset="tfdecomp_multi_digits/mnist_1k",
        stand_in="multi_digits/digits_1k",
    )


def _check(bank, arrays):
    images, labels = np.concatenate(arrays[::2]), np.concatenate(arrays[1::2])
    np.testing.assert_array_equal(bank.images, images)
    np.testing.assert_array_equal(bank.labels, labels)
    assert (bank.num_train, bank.white) == (COUNTS[0], 255)


@pytest.fixture
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("Network is unreachable")

    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.mark.parametrize("kind", ["packed", "plain", "mixed", "archive"])
def test_digits_are_read_from_any_form_of_the_files(
    kind, arrays, tmp_path, offline
):
    folder = tmp_path / "manual"
    if kind == "archive":
        folder.mkdir()
        # Keras' file; its labels may have any type of integers.
        saved = [a.astype(np.int64 if a.ndim == 1 else a.dtype) for a in arrays]
        np.savez(folder / "mnist.npz", **dict(zip(KEYS, saved)))
    else:
        _write(folder, arrays, packed=kind != "plain")
    if kind == "mixed":
        packed = folder / "t10k-images-idx3-ubyte.gz"
        (folder / "t10k-images-idx3-ubyte").write_bytes(_idx(arrays[2]))
        packed.unlink()
    files = _locate(tmp_path, folder)
    _check(files(), arrays)
    assert [f["name"] for f in files.describe()] == (
        ["mnist.npz"] if kind == "archive" else list(mnist_files.FILES)
    )


def test_a_miniature_is_read_as_mnist_is(tmp_path, offline):
    (tmp_path / "manual").mkdir()
    mnist_files.write_miniature(tmp_path / "manual", sizes=(7, 3))
    bank = _locate(tmp_path, tmp_path / "manual")()
    drawn = digit_banks.Offline("strokes")()
    np.testing.assert_array_equal(bank.images, drawn.images[:10])
    np.testing.assert_array_equal(bank.labels, drawn.labels[:10])
    assert bank.num_train == 7


def test_earlier_downloads_need_no_network(arrays, tmp_path, offline):
    def keep(name, data, checksum):
        """Puts a file where TFDS looks for one of its downloads."""
        url = mnist_files.BASE_URL + name
        resource = tfds.download.Resource(url=url)
        path = _manager(tmp_path)._get_dl_path(resource, checksum)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        download.resource.write_info_file(
            url=url,
            path=path,
            dataset_name="tfdecomp_multi_digits",
            original_fname=name,
            url_info=download.checksums.compute_url_info(path),
        )

    for name, array in zip(mnist_files.FILES, arrays):
        keep(name, gzip.compress(_idx(array)), mnist_files.FILES[name][1])
    _check(_locate(tmp_path)(), arrays)


def test_without_files_and_network_the_message_says_what_to_do(
    tmp_path, offline
):
    (tmp_path / "manual").mkdir()
    (tmp_path / "manual" / "train-images.idx3-ubyte").touch()
    for manual in (None, tmp_path / "nowhere", tmp_path / "manual"):
        with pytest.raises(errors.MissingFileError) as caught:
            _locate(tmp_path, manual)
        text = str(caught.value)
        for word in (
            *mnist_files.FILES,
            "no connection to storage.googleapis.com",
            "multi_digits/digits_1k",
            "--manual_dir",
            "mnist.npz with x_train",
        ):
            assert word in text
    assert "train-images.idx3-ubyte'" in text  # what is there instead


def test_checksums_are_those_that_tfds_has_for_its_own_mnist():
    from tensorflow_datasets.core.download import checksums

    path = builders.folder() / "multi_digits" / "checksums.tsv"
    ours = checksums.load_url_infos(tfds.core.Path(path))
    theirs = checksums.get_all_url_infos()
    assert len(ours) == len(mnist_files.FILES)
    for name, (size, checksum) in mnist_files.FILES.items():
        url = mnist_files.BASE_URL + name
        assert ours[url] == theirs[url]
        assert (ours[url].size, ours[url].checksum) == (size, checksum)


FAULTS = {
    "labels for pictures": (
        lambda a: (0, _idx(a[1])),
        errors.LayoutError,
        ["magic number 2051 (images)", "found 2049 (labels)"],
    ),
    "another magic number": (
        lambda a: (1, _idx(a[1], 7)),
        errors.LayoutError,
        ["magic number 2049 (labels)", "found 7"],
    ),
    "no file at all": (
        lambda a: (0, b""),
        errors.TruncatedError,
        ["expected a header", "0 B"],
    ),
    "an early end": (
        lambda a: (0, _idx(a[0])[:-100]),
        errors.TruncatedError,
        ["23,536 bytes for 30 digits", "23,436"],
    ),
    "more than it says": (
        lambda a: (2, _idx(a[2]) + b"12345"),
        errors.LayoutError,
        ["7,856 bytes for 10 digits", "7,861"],
    ),
    "damaged packing": (
        lambda a: (0, gzip.compress(_idx(a[0]))[:-2000]),
        errors.TruncatedError,
        ["a whole gzip file", "end early or are damaged"],
    ),
    "smaller pictures": (
        lambda a: (0, _idx(a[0][:, 1:])),
        errors.ResolutionError,
        ["pictures of 28x28", "27x28"],
    ),
    "too few labels": (
        lambda a: (3, _idx(a[3][:-1])),
        errors.LayoutError,
        ["a label for each of the 10 pictures", "found 9"],
    ),
    "letters": (
        lambda a: (1, _idx(a[1] + np.uint8(10))),
        errors.LayoutError,
        ["labels from 0 to 9"],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_damaged_files_are_refused_with_name_and_reason(
    fault, arrays, tmp_path
):
    make, kind, words = FAULTS[fault]
    number, data = make(arrays)
    folder = _write(tmp_path / "manual", arrays)
    path = folder / list(mnist_files.FILES)[number]
    path.write_bytes(data)
    files = _locate(tmp_path, folder)
    with pytest.raises(kind) as caught:
        files()
    for word in (*words, path.name, mnist_files.LAYOUT):
        assert word in str(caught.value)


def _with(arrays, **changes):
    return {**dict(zip(KEYS, arrays)), **changes}


ARCHIVES = {
    "pickled labels": (
        lambda a: _with(a, y_train=np.array(list(a[1]), object)),
        errors.LayoutError,
        "nothing is unpickled",
    ),
    "a missing array": (
        lambda a: dict(zip(KEYS[:3], a)),
        errors.LayoutError,
        "arrays x_train, y_train, x_test, y_test, found x_train, y_train",
    ),
    "fractions": (
        lambda a: _with(a, x_test=a[2] / 255),
        errors.LayoutError,
        "x_test of whole numbers",
    ),
    "flat pictures": (
        lambda a: _with(a, x_train=a[0].reshape(30, -1)),
        errors.LayoutError,
        "axes: 3, found uint8 with axes: 2",
    ),
    "large values": (
        lambda a: _with(a, x_train=a[0].astype(int) + 1),
        errors.LayoutError,
        "x_train from 0 to 255",
    ),
    "small pictures": (
        lambda a: _with(a, x_train=a[0][:, :14, :14]),
        errors.ResolutionError,
        "14x14",
    ),
}


@pytest.mark.parametrize("fault", ARCHIVES)
def test_archives_of_another_layout_are_refused(fault, arrays, tmp_path):
    make, kind, words = ARCHIVES[fault]
    np.savez(tmp_path / "mnist.npz", **make(arrays))
    with pytest.raises(kind, match="mnist.npz") as caught:
        _locate(tmp_path, tmp_path)()
    assert words in str(caught.value)


@pytest.mark.parametrize("kind", ["cut", "array", "text"])
def test_what_is_no_archive_is_refused(kind, arrays, tmp_path):
    path = tmp_path / "mnist.npz"
    np.savez(path, **_with(arrays))
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:-1000])
    elif kind == "array":
        with open(path, "wb") as file:
            np.save(file, arrays[0])
    else:
        path.write_text("not found")
    with pytest.raises(errors.DatasetInputError, match="mnist.npz"):
        _locate(tmp_path, tmp_path)()


def _prepare(tmp_path, manual, **fields):
    config = {
        "name": "few",
        "base": "mnist_1k_tiny",
        "num_train": 12,
        "num_test": 4,
        "extra_splits": {"test7": 3},
        "pool_size": 20,
        **fields,
    }
    return builders.prepare(
        "multi_digits",
        tmp_path / "data",
        progress=False,
        manual=True,
        config=json.dumps(config),
        download_config=tfds.download.DownloadConfig(manual_dir=manual),
    )


def test_scenes_show_the_first_digits_of_the_files(arrays, tmp_path, offline):
    manual = _write(tmp_path / "manual", arrays)
    builder = _prepare(tmp_path, manual, pool_split="heldout")
    shown = {}
    for split in ("train", "test7"):
        shown[split] = set()
        for example in tfds.as_numpy(builder.as_dataset(split=split)):
            count = example["num_objects"]
            sources = example["factors"]["source_index"][:count]
            labels = np.concatenate(arrays[1::2])[sources]
            found = example["factors"]["label"][:count]
            np.testing.assert_array_equal(found, labels)
            shown[split].update(sources.tolist())
    assert shown["train"] <= set(range(20))
    assert shown["test7"] <= set(range(20, 40))
    stored = builder.info.metadata["source_files"]
    assert [f["name"] for f in stored] == list(mnist_files.FILES)
    assert all(len(f["sha256"]) == 64 for f in stored)


def test_a_pool_larger_than_the_files_is_refused_before_writing(
    arrays, tmp_path
):
    manual = _write(tmp_path / "manual", arrays)
    with pytest.raises(
        errors.LayoutError, match="31 digits asked, 'mnist' has 30"
    ):
        _prepare(tmp_path, manual, pool_size=31)
    assert not list((tmp_path / "data").rglob("*.tfrecord*"))
    assert not list((tmp_path / "data").rglob("incomplete.*"))


def test_mnist_is_never_built_unasked_nor_replaced(tmp_path, offline):
    with pytest.raises(errors.MissingFileError, match="not generated"):
        builders.prepare("multi_digits/mnist_1k_tiny", tmp_path)
    with pytest.raises(errors.MissingFileError, match="'multi_digits/digits_1"):
        builders.prepare("multi_digits/mnist_1k_tiny", tmp_path, manual=True)
    assert not list(tmp_path.rglob("*.tfrecord*"))
