"""Finding, building and rebuilding datasets."""

import hashlib
import json
import pathlib
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfdecomp import builders
from tfdecomp.data import errors, naming, reader
from tfdecomp.data.building import builder_base, estimates

NAME = "bouncing_balls/color4_tiny"
SMALL = {
    "name": "few",
    "base": "color4_tiny",
    "num_frames": 6,
    "height": 20,
    "width": 20,
    "num_train": 30,
    "num_validation": 5,
    "num_test": 5,
}


def _few(**fields):
    return json.dumps({**SMALL, **fields})


def _prepare(folder, config=None, **options):
    options = {"progress": False, **options}
    return builders.prepare(
        "bouncing_balls", folder, config=config or _few(), **options
    )


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A folder with the small set, as `_prepare` makes it."""
    folder = tmp_path_factory.mktemp("few")
    _prepare(folder)
    return folder


@pytest.fixture
def own(few, tmp_path):
    """Another one, the test's own to spoil."""
    return shutil.copytree(few, tmp_path / "own")


def _content(builder, split="train"):
    """The decoded examples of a split, by index."""
    examples = tfds.as_numpy(builder.as_dataset(split=split))
    return {int(e["index"]): reader.flatten(e) for e in examples}


def _digest(examples):
    total = hashlib.sha256()
    for index in sorted(examples):
        for key in sorted(examples[index]):
            total.update(np.ascontiguousarray(examples[index][key]).tobytes())
    return total.hexdigest()


def _leftovers(folder):
    return [
        path
        for path in folder.rglob("*")
        if path.name.startswith(("incomplete.", builders.REBUILD_PREFIX))
    ]


def test_no_name_of_ours_is_one_of_tfds():
    for name in builders.names():
        full = naming.full_name(name)
        assert builders.builder_cls(name).name == full
    theirs = set(tfds.list_builders()) - {
        naming.full_name(name) for name in builders.names()
    }
    assert not any(name.startswith(naming.PREFIX) for name in theirs)


def test_every_folder_has_what_tfds_reads():
    for name in builders.names():
        folder = builders.folder() / name
        for file in ("README.md", "CITATIONS.bib", "TAGS.txt"):
            assert (folder / file).stat().st_size > 0
        assert any((folder / "dummy_data").iterdir())


@pytest.mark.parametrize(
    "name, parts",
    [
        ("bouncing_balls/color4", ("bouncing_balls", "color4", None)),
        ("tfdecomp_bouncing_balls", ("bouncing_balls", None, None)),
        (
            "tfdecomp_bouncing_balls/color4:1.0.0",
            ("bouncing_balls", "color4", "1.0.0"),
        ),
    ],
)
def test_names_go_with_and_without_the_prefix(name, parts):
    assert naming.split_name(name) == parts
    assert naming.full_name(name).startswith("tfdecomp_bouncing_balls")
    assert naming.short_name(name).startswith("bouncing_balls")


def test_wrong_names_say_what_there_is():
    with pytest.raises(errors.DatasetInputError, match="bouncing_balls"):
        builders.make("bouncing_bals/color4")
    with pytest.raises(errors.DatasetInputError, match="did you mean color4"):
        builders.make("bouncing_balls/colour4")
    with pytest.raises(ValueError, match="not the name of a dataset"):
        naming.split_name("a/b/c")
    with pytest.raises(errors.DatasetInputError, match="'sped'"):
        builders.make("bouncing_balls", config=_few(sped=1))
    with pytest.raises(errors.DatasetInputError, match="no base config"):
        builders.make("bouncing_balls", config=_few(base="none"))
    with pytest.raises(errors.DatasetInputError, match="at most 60%"):
        builders.make("bouncing_balls", config=_few(radius_light=4.0))


def test_tfds_loads_prepared_data_by_name_and_from_files_alone(data_dir):
    dataset = tfds.load(f"tfdecomp_{NAME}", split="train", data_dir=data_dir)
    assert dataset.cardinality() == 64
    path = data_dir / f"tfdecomp_{NAME}" / "1.0.0"
    builder = tfds.builder_from_directory(path)
    metadata = builder.info.metadata
    assert metadata["schema_version"] == naming.SCHEMA_VERSION
    assert metadata["config"]["num_balls"] == [4]
    assert metadata["seed"] == 0
    assert metadata["box_kind"] == "amodal"
    examples = _content(builder)
    builder = builders.make(NAME)
    fresh = builder.make_block(builder.builder_config)("train", 0, 64)
    for index, example in enumerate(fresh):
        for key, value in reader.flatten(example).items():
            np.testing.assert_array_equal(examples[index][key], value)


def test_prepared_data_are_not_built_again(few):
    (info,) = few.rglob("dataset_info.json")
    stamp = info.stat().st_mtime_ns
    again = _prepare(few)
    assert pathlib.Path(again.data_dir) == info.parent
    assert info.stat().st_mtime_ns == stamp


def test_content_is_the_same_for_any_shards_blocks_and_processes(few, tmp_path):
    reference = _prepare(few)
    digest = _digest(_content(reference))
    config = tfds.download.DownloadConfig(num_shards=4)
    sharded = _prepare(tmp_path / "b", download_config=config)
    assert sharded.info.splits["train"].num_shards == 4
    assert _digest(_content(sharded)) == digest
    for size in (1, 7):
        blocks = _prepare(tmp_path / f"c{size}", _few(block_size=size))
        assert _digest(_content(blocks)) == digest
    other = _prepare(tmp_path / "d", _few(seed=1))
    assert _digest(_content(other)) != digest


@pytest.mark.slow
def test_content_is_the_same_from_two_processes(tmp_path):
    one = _prepare(tmp_path / "a", _few(block_size=7))
    two = _prepare(tmp_path / "b", _few(block_size=7), workers=2)
    assert _digest(_content(two)) == _digest(_content(one))


@pytest.mark.slow
def test_content_is_the_same_through_beam(tmp_path):
    pytest.importorskip("apache_beam", reason="needs tfdecomp[data]")
    plain = _prepare(tmp_path / "a", _few(block_size=7))
    beam = _prepare(tmp_path / "b", _few(block_size=7, use_beam=True))
    for split in ("train", "validation", "test"):
        assert _digest(_content(beam, split)) == _digest(_content(plain, split))


def test_splits_share_no_example(few):
    builder = _prepare(few)
    digests = [
        _digest({0: {"video": example["video"]}})
        for split in ("train", "validation", "test")
        for example in _content(builder, split).values()
    ]
    assert len(digests) == 40
    assert len(set(digests)) == 40


def test_smaller_configs_of_a_stream_are_its_beginning():
    def first(name, block):
        builder = builders.make(f"bouncing_balls/{name}")
        config = builder.builder_config
        examples = builder.make_block(config)("train", 0, block)[:4]
        return _digest(dict(enumerate(map(reader.flatten, examples))))

    assert first("color4", 8) == first("color4_tiny", 4)


class _Broken(Exception):
    pass


def _break_after(monkeypatch, count, error):
    """Lets the simulator fail behind the given number of examples."""
    real = builder_base.make_complete

    def broken(make, config, split, start, stop):
        if split == "train" and stop > count:
            raise error
        return real(make, config, split, start, stop)

    monkeypatch.setattr(builder_base, "make_complete", broken)


def test_a_failure_in_the_middle_leaves_nothing(tmp_path, monkeypatch):
    _break_after(monkeypatch, 20, _Broken("after 20"))
    with pytest.raises(_Broken):
        _prepare(tmp_path, _few(block_size=5, name="broken"))
    assert not _leftovers(tmp_path)
    folder = tmp_path / "tfdecomp_bouncing_balls" / "broken"
    assert not list(folder.glob("*"))


def test_a_failing_rebuild_leaves_the_old_version(tmp_path, monkeypatch):
    builder = _prepare(tmp_path, _few(block_size=5))
    digest = _digest(_content(builder))
    with monkeypatch.context() as patch:
        _break_after(patch, 20, _Broken("after 20"))
        with pytest.raises(_Broken):
            _prepare(tmp_path, _few(block_size=5, seed=1), overwrite=True)
    assert not _leftovers(tmp_path)
    assert _digest(_content(_prepare(tmp_path, _few(block_size=5)))) == digest


def test_a_rebuild_replaces_the_old_version(own):
    old = _digest(_content(_prepare(own)))
    new = _prepare(own, _few(seed=1), overwrite=True)
    assert _digest(_content(new)) != old
    assert new.info.metadata["seed"] == 1
    assert not _leftovers(own)


def test_data_of_another_config_under_the_same_name_are_refused(few):
    with pytest.raises(errors.DatasetInputError, match="speed = 0.25") as e:
        _prepare(few, _few(speed=0.5))
    assert "--overwrite" in str(e.value)
    _prepare(few, _few(block_size=3))  # does not change the content


def test_data_of_another_schema_are_refused(few, monkeypatch):
    monkeypatch.setattr(naming, "SCHEMA_VERSION", 2)
    with pytest.raises(errors.LayoutError, match="schema version 1"):
        _prepare(few)


def test_original_files_are_never_replaced_by_a_simulation(tmp_path):
    with pytest.raises(errors.MissingFileError) as caught:
        builders.prepare("bouncing_balls/h5_color4", tmp_path)
    assert "python -m tfdecomp.prepare bouncing_balls/h5_color4" in str(
        caught.value
    )
    assert not list(tmp_path.rglob("*.tfrecord*"))


def test_a_bad_original_is_refused_before_anything_is_written(tmp_path):
    manual = tmp_path / "manual"
    manual.mkdir()
    (manual / "balls4mass64.h5").write_bytes(b"not HDF5")
    config = tfds.download.DownloadConfig(manual_dir=manual)
    with pytest.raises(errors.TruncatedError, match="8 bytes"):
        builders.prepare(
            "bouncing_balls/h5_color4",
            tmp_path / "data",
            progress=False,
            manual=True,
            download_config=config,
        )
    assert not _leftovers(tmp_path)
    assert not list((tmp_path / "data").rglob("1.0.0"))


def test_the_original_file_becomes_a_prepared_set(tmp_path):
    manual = builders.folder() / "bouncing_balls" / "dummy_data"
    builder = builders.prepare(
        "bouncing_balls/h5_color678_pal4",
        tmp_path,
        progress=False,
        manual=True,
        download_config=tfds.download.DownloadConfig(manual_dir=manual),
    )
    source = reader.open_source("bouncing_balls/h5_color678_pal4", tmp_path)
    assert "factors/position" in source.labels
    assert "visible_fraction" not in source.labels
    (file,) = builder.info.metadata["source_files"]
    assert file["name"] == "balls678mass64.h5"
    assert len(file["sha256"]) == 64


def test_the_estimate_is_near_the_truth(tmp_path, capsys):
    builder = _prepare(tmp_path, progress=True)
    size = estimates.estimate(builder).size
    assert 0.7 < size / int(builder.info.dataset_size) < 1.4
    shown = capsys.readouterr().err
    assert "building 40 examples, about" in shown
    assert str(tmp_path) in shown


def test_too_little_disk_is_said_before_the_start(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(estimates.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(errors.DatasetInputError, match="1 kB are free"):
        _prepare(tmp_path)
    assert not list(tmp_path.rglob("*.tfrecord*"))


def test_a_disk_that_becomes_full_is_explained(tmp_path, monkeypatch):
    _break_after(monkeypatch, 20, OSError(28, "No space left on device"))
    with pytest.raises(errors.DatasetInputError, match="became full") as e:
        _prepare(tmp_path, _few(block_size=5))
    assert "--data_dir" in str(e.value)
    assert not _leftovers(tmp_path)


_LIMITED = """
import resource, signal, sys
from tfdecomp import builders
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    builders.prepare(
        "bouncing_balls", sys.argv[1], config=sys.argv[2], progress=False
    )
except builders.errors.DatasetInputError as error:
    assert "became full" in str(error), error
    sys.exit(7)
"""


@pytest.mark.slow
def test_a_write_that_the_system_refuses_leaves_nothing(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(tmp_path), _few(num_train=2000)]
    )
    assert run.returncode == 7
    assert not _leftovers(tmp_path)
    assert not list(tmp_path.rglob("1.0.0"))


def test_generated_sets_need_no_network(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    builder = _prepare(tmp_path)
    assert builder.info.splits["train"].num_examples == 30


def test_fresh_clips_have_the_schema_and_are_in_no_stored_split(data_dir):
    fresh = list(builders.fresh_clips(NAME, seed=0, num_clips=16))
    stored = _content(builders.make(NAME, data_dir), "test")
    assert reader.flatten(fresh[0]).keys() == stored[0].keys()
    seen = {e["video"].tobytes() for e in stored.values()}
    assert not seen & {e["video"].tobytes() for e in fresh}
    for key, value in reader.flatten(fresh[0]).items():
        if isinstance(value, np.ndarray):
            assert value.shape == stored[0][key].shape
            assert value.dtype == stored[0][key].dtype


def test_fresh_clips_are_a_function_of_seed_and_number():
    def videos(**arguments):
        clips = builders.fresh_clips(NAME, **arguments)
        return [clip["video"].tobytes() for clip in clips]

    assert videos(seed=3, num_clips=4)[:2] == videos(seed=3, num_clips=2)
    assert not set(videos(seed=3, num_clips=4)) & set(
        videos(seed=4, num_clips=4)
    )
    with pytest.raises(ValueError, match="num_clips"):
        builders.fresh_clips(NAME, seed=0, num_clips=0)
    with pytest.raises(errors.DatasetInputError, match="manual"):
        builders.fresh_clips("bouncing_balls/h5_color4", seed=0, num_clips=1)
    with pytest.raises(ValueError, match="unknown split"):
        list(builders.fresh_clips(NAME, "tset", seed=0, num_clips=1))


def test_fresh_clips_take_a_config_of_one_s_own():
    config = json.dumps(
        {"base": "color3_quick", "name": "film", "num_frames": 3, "height": 44}
        | {"width": 44}
    )
    (clip,) = builders.fresh_clips(
        "bouncing_balls", seed=1, num_clips=1, config=config
    )
    assert clip["video"].shape == (3, 44, 44, 3)
    assert clip["num_objects"] == 3
