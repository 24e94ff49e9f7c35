"""The command that builds datasets, through its entry point."""

import json
import os
import random
import subprocess
import sys
import time

import pytest

from tfdecomp import builders, prepare
from tfdecomp.data import errors, pipeline, stored_records

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


def records(folder):
    return sorted(folder.glob("tfdecomp_bouncing_balls/few/*/*.tfrecord*"))


def test_check_names_the_file_whose_record_was_flipped(run, tmp_path):
    run("bouncing_balls", f"--config={FEW}")
    code, out, _ = run("bouncing_balls/few", "--check")
    assert code == 0 and "whole, train 6, validation 2, test 2" in out
    path = records(tmp_path)[-1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    code, _, shown = run("bouncing_balls/few", "--check")
    assert code == 2
    assert f"{path} is damaged" in shown and "--overwrite" in shown
    assert "Traceback" not in shown


def test_check_misses_no_record_and_no_file(run, tmp_path):
    run("bouncing_balls", f"--config={FEW}")
    path = records(tmp_path)[0]
    path.write_bytes(b"")
    assert "has 0 records" in run("bouncing_balls/few", "--check")[2]
    path.unlink()
    assert "is not there" in run("bouncing_balls/few", "--check")[2]


def test_check_of_what_is_not_prepared_says_so(run):
    code, _, shown = run("bouncing_balls/color4_tiny", "--check")
    assert code == 2 and "has not been prepared" in shown


@pytest.mark.slow
@pytest.mark.parametrize("exchange", [True, False])
def test_a_rebuild_killed_at_its_renames_keeps_a_whole_set(exchange, tmp_path):
    def call(*arguments):
        return [
            *(sys.executable, "-c", KILLED_REBUILD, str(exchange)),
            *("bouncing_balls", f"--config={FEW}", f"--data_dir={tmp_path}"),
            *arguments,
        ]

    subprocess.run(call(), check=True, capture_output=True)
    done = subprocess.run(call("--overwrite"), capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    again = subprocess.run(call(), capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "building" not in again.stderr  # a whole set was there
    assert sum(builders.check("bouncing_balls/few", tmp_path).values()) == 10


# Kills itself after the first rename of a rebuild.
KILLED_REBUILD = """
import os, signal, sys
from tfdecomp import builders, prepare
from tfdecomp.data import errors, pipeline, stored_records
can_exchange, replace = sys.argv[1] == "True", os.replace
exchange = builders._exchange

def killed(function):
    def run(*arguments):
        result = function(*arguments)
        if "--overwrite" in sys.argv and ".rebuild-" in str(arguments[1]):
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return run

if can_exchange:
    swap = builders._swap
    builders._swap = lambda *a: (swap(*a), os.kill(os.getpid(), 9))
else:
    builders._exchange = lambda *a: False
    os.replace = killed(replace)
sys.exit(prepare.main(["prepare", *sys.argv[2:]]))
"""


@pytest.mark.slow
def test_two_first_builds_at_once_both_succeed(tmp_path):
    command = [
        *(sys.executable, "-m", "tfdecomp.prepare", "bouncing_balls"),
        *(f"--config={FEW}", f"--data_dir={tmp_path}"),
    ]
    processes = [
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in processes:
        _, shown = process.communicate(timeout=300)
        assert process.returncode == 0, shown
    assert sum(builders.check("bouncing_balls/few", tmp_path).values()) == 10


def test_reading_a_flipped_record_says_how_to_find_it(run, tmp_path):
    run("bouncing_balls", f"--config={FEW}")
    path = records(tmp_path)[-1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    split = path.name.split("-")[1].split(".")[0]
    dataset = pipeline.make_dataset(
        "bouncing_balls/few", split, data_dir=tmp_path, batch_size=1
    )
    with pytest.raises(errors.LayoutError, match="damaged.*--check.*--overw"):
        with stored_records.explained("bouncing_balls/few"):
            list(dataset.take(20))


@pytest.mark.slow
def test_builds_killed_at_any_time_leave_a_set_that_can_be_built(tmp_path):
    command = [
        *(sys.executable, "-m", "tfdecomp.prepare", "bouncing_balls"),
        *(f"--config={FEW}", f"--data_dir={tmp_path}"),
    ]
    rng = random.Random(0)
    for number in range(6):
        more = ["--overwrite"] if number % 2 else []
        process = subprocess.Popen([*command, *more], stderr=subprocess.DEVNULL)
        # Importing takes some seconds, which nothing can harm.
        while process.poll() is None and not list(tmp_path.glob("*")):
            time.sleep(0.05)
        time.sleep(rng.uniform(0.0, 4.0))
        process.kill()
        process.wait()
    subprocess.run(command, check=True, capture_output=True)
    assert sum(builders.check("bouncing_balls/few", tmp_path).values()) == 10
