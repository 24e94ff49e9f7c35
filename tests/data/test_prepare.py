"""The command that builds datasets, through its entry point."""

import json
import os
import time

import pytest

from tfdecomp import builders, prepare

FEW = json.dumps(
    {
        "name": "few",
        "base": "color4_tiny",
        "num_frames": 4,
        "height": 16,
        "width": 16,
        "num_train": 6,
        "num_validation": 2,
        "num_test": 2,
    }
)


@pytest.fixture
def run(tmp_path, capsys):
    """Runs the command; returns `(exit code, output, errors)`."""

    def call(*arguments, where=tmp_path):
        code = prepare.main(["prepare", *arguments, f"--data_dir={where}"])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


@pytest.mark.parametrize(
    "name",
    [
        "bouncing_balls",
        "tfdecomp_bouncing_balls",
        str(builders.folder() / "bouncing_balls"),
    ],
)
def test_a_set_is_built_by_any_of_its_names(name, run, tmp_path):
    code, out, err = run(name, f"--config={FEW}")
    assert code == 0
    path = tmp_path / "tfdecomp_bouncing_balls" / "few" / "1.0.0"
    assert f"{path}: train 6, validation 2, test 2" in out
    assert "building 10 examples" in err


def test_flags_of_tfds_do_what_they_do_there(run, tmp_path):
    code, out, _ = run(
        "bouncing_balls",
        f"--config={FEW}",
        "--max_examples_per_split=2",
        "--num_shards=2",
    )
    assert code == 0
    assert "train 2, validation 2, test 2" in out
    assert list(tmp_path.rglob("*train.tfrecord-00001-of-00002"))
    code, _, err = run("bouncing_balls", f"--config={FEW}", "--fail_if_exists")
    assert code == 2 and "--overwrite" in err
    code, out, _ = run("bouncing_balls", f"--config={FEW}", "--overwrite")
    assert code == 0 and "train 6" in out


def test_a_config_without_a_name_in_the_argument_means_all_generated_ones():
    args = prepare._parse(["prepare", "bouncing_balls"])
    (name,) = prepare._asked(args)
    configs = [config for _, config in prepare._configs(name, args)]
    assert "color4" in configs and "color4_tiny" in configs
    assert not any(config.startswith("h5_") for config in configs)
    args = prepare._parse(["prepare", "bouncing_balls", "--config_idx=1"])
    assert prepare._configs(name, args) == [("bouncing_balls", "color4")]


def test_the_published_copy_is_complete(run, tmp_path):
    target = tmp_path / "published"
    code, _, _ = run(
        "bouncing_balls", f"--config={FEW}", f"--publish_dir={target}"
    )
    assert code == 0
    folder = target / "tfdecomp_bouncing_balls" / "few" / "1.0.0"
    assert (folder / "dataset_info.json").is_file()
    code, _, err = run(
        "bouncing_balls", f"--config={FEW}", f"--publish_dir={target}"
    )
    assert code == 2 and "--skip_if_published" in err


BAD = {
    "no name": ([], ["which dataset?", "bouncing_balls"]),
    "unknown set": (["nope"], ["there is no dataset 'nope'"]),
    "unknown config": (["bouncing_balls/x"], ["no config 'x'", "color4"]),
    "two configs": (
        ["bouncing_balls/color4", "--config=color4"],
        ["name one config"],
    ),
    "index too large": (["bouncing_balls", "--config_idx=99"], ["99", "0.."]),
    "bad JSON": (["bouncing_balls", "--config={x"], ["cannot use the config"]),
    "no file": (
        ["bouncing_balls/h5_color4"],
        ["balls4mass64.h5 is missing", "Expected files"],
    ),
    "nothing to download": (
        ["bouncing_balls/color4_tiny", "--download_only"],
        ["--download_only"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_one_message_and_exit_code_two(case, run):
    arguments, words = BAD[case]
    code, _, err = run(*arguments)
    assert code == 2
    assert err.splitlines()[0].startswith("error: ")
    assert "Traceback" not in err
    for word in words:
        assert word in err


def test_list_and_info_show_what_there_is(run):
    code, out, _ = run("list")
    assert code == 0
    assert "bouncing_balls/color4 " in out
    assert "bouncing_balls/h5_color4 " in out
    run("bouncing_balls", f"--config={FEW}")
    code, out, _ = run("info", "bouncing_balls/color4_tiny")
    assert code == 0
    assert "not prepared" in out
    assert '"box_kind": "amodal"' in out
    code, out, _ = run("info", "bouncing_balls/h5_color4")
    assert "balls4mass64.h5" in out


def test_clean_removes_what_a_killed_build_left_behind(run, tmp_path):
    run("bouncing_balls", f"--config={FEW}")
    config = tmp_path / "tfdecomp_bouncing_balls" / "few"
    old = config / "incomplete.ABC_1.0.0"
    old.mkdir()
    (old / "part").touch()
    rebuild = tmp_path / f"{builders.REBUILD_PREFIX}x"
    rebuild.mkdir()
    for path in (old / "part", old, rebuild):
        os.utime(path, (time.time() - 7200,) * 2)
    new = config / "incomplete.DEF_1.0.0"
    new.mkdir()
    code, out, _ = run("clean")
    assert code == 0
    assert not old.exists() and not rebuild.exists()
    assert new.exists() and "--force" in out
    run("clean", "--force")
    assert not new.exists()
    assert (config / "1.0.0" / "dataset_info.json").is_file()
    assert "nothing to remove" in run("clean")[1]
