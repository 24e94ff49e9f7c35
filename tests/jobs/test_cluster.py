"""Work on a real cluster of Dask: two processes that may be killed."""

import csv
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import distributed
import pytest
import test_pool
import test_videos

from tfdecomp.jobs import cluster as cluster_lib
from tfdecomp.jobs import lease, seeds

WORK = (
    test_pool.WORK
    + """
def die_by(argument, should_stop):
    os.kill(os.getpid(), signal.SIGKILL)
"""
)


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    """A scheduler and two worker processes of one thread."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "cluster_work.py").write_text(WORK)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)  # of spawned processes, too
        patch.setenv("TF_NUM_INTRAOP_THREADS", "1")
        with distributed.LocalCluster(
            2, threads_per_worker=1, dashboard_address=None
        ) as made:
            yield made


@pytest.fixture
def workers(dask, tmp_path):
    """The cluster with as many workers as in the beginning."""
    with distributed.Client(dask, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
    return lambda name, **options: cluster_lib.Cluster(
        f"cluster_work:{name}", dask.scheduler_address, tmp_path, **options
    )


def pids(dask):
    with distributed.Client(dask, set_as_default=False) as client:
        return set(client.run(os.getpid).values())


@pytest.mark.slow
def test_each_task_is_done_once_by_the_workers(workers, dask, tmp_path):
    outcomes = list(workers("double").run(range(20)))
    assert sorted(o.argument for o in outcomes) == list(range(20))
    assert all(o.value[0] == 2 * o.argument for o in outcomes)
    assert {o.value[1] for o in outcomes} == pids(dask)
    assert {o.attempts for o in outcomes} == {1}
    assert not any(tmp_path.iterdir()), "the lease is taken back"


@pytest.mark.slow
def test_a_task_whose_worker_is_killed_is_done_by_another(workers, tmp_path):
    paths = [str(tmp_path / name) for name in "ab"]
    outcomes = list(workers("die_at_first").run(paths))
    assert sorted(o.value for o in outcomes) == ["a", "b"]
    assert {o.attempts for o in outcomes} == {2}


@pytest.mark.slow
def test_a_task_that_kills_every_worker_is_given_up(workers):
    (outcome,) = workers("die_by", attempts=2).run(["x"])
    assert outcome.error.startswith("2 workers died of it, the last one at tcp")


@pytest.mark.slow
def test_an_error_is_one_line_and_the_others_go_on(workers):
    outcomes = list(workers("refuse").run(["a", "b"]))
    assert sorted(o.error for o in outcomes) == [
        "expected a video, got a",
        "expected a video, got b",
    ]


@pytest.mark.slow
def test_stopping_ends_what_runs_and_begins_nothing_more(workers, tmp_path):
    paths = [tmp_path / str(number) for number in range(5)]
    running = lambda: sum(path.exists() for path in paths) == 2  # noqa: E731
    outcomes = list(workers("wait").run(map(str, paths), should_stop=running))
    assert {o.value for o in outcomes} == {"stopped"}
    assert sum(path.exists() for path in paths) == 2


@pytest.mark.slow
def test_work_is_left_when_the_caller_leaves(workers, tmp_path):
    outcomes = workers("wait").run([str(tmp_path / "a")])
    with pytest.raises(KeyboardInterrupt):
        for _ in outcomes:
            pass  # never reached
    assert list(workers("double").run([1, 2])), "the workers are free again"


@pytest.fixture(autouse=True)
def interrupted(request, tmp_path, monkeypatch):
    """Ctrl-C once the work has begun, for the test that asks for it."""
    if "caller_leaves" not in request.node.name:
        return
    sleep = time.sleep

    def interrupt(seconds):
        sleep(seconds)
        if (tmp_path / "a").exists():
            monkeypatch.undo()
            raise KeyboardInterrupt

    monkeypatch.setattr(cluster_lib.time, "sleep", interrupt)


@pytest.mark.slow
def test_what_the_workers_do_not_see_is_said(workers):
    gone = cluster_lib.Cluster.run(
        workers("double", paths=lambda number: ["/nowhere/a.mp4"]), [1]
    )
    with pytest.raises(ValueError, match="does not see /nowhere/a.mp4; give"):
        list(gone)


@pytest.mark.slow
def test_workers_of_another_version_are_refused(workers, monkeypatch):
    monkeypatch.setattr(cluster_lib, "__version__", "9.9")
    with pytest.raises(ValueError, match=r"has tfdecomp .*, expected 9\.9"):
        list(workers("double").run([1]))


@pytest.mark.slow
def test_work_that_the_workers_do_not_know_is_an_error(workers):
    (outcome,) = workers("nothing").run([1])
    assert outcome.error.startswith("AttributeError: ")


@pytest.mark.slow
def test_a_cluster_without_workers_is_waited_for_and_then_said(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(cluster_lib, "_LONELY", 1.0)
    with distributed.LocalCluster(
        1, processes=False, dashboard_address=None
    ) as empty:
        empty.scale(0)
        test_videos.wait(lambda: not empty.scheduler.workers)
        jobs = cluster_lib.Cluster(
            "m:f", address := empty.scheduler_address, tmp_path
        )
        with pytest.raises(OSError, match=f"start some: dask worker {address}"):
            list(jobs.run([1]))


@pytest.mark.slow
def test_a_scheduler_that_is_lost_is_said(tmp_path):
    made = distributed.LocalCluster(
        1, threads_per_worker=1, dashboard_address=None
    )
    jobs = cluster_lib.Cluster(
        "tfdecomp.jobs.pool:echo", made.scheduler_address, tmp_path
    )

    def close_after_one():
        outcomes = jobs.run(range(10**6))
        next(outcomes)
        made.close()
        yield from outcomes

    with pytest.raises(OSError, match="was lost; .* the same command goes on"):
        for _ in close_after_one():
            pass


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("localhost:1", "no Dask scheduler answers at localhost:1"),
        ("here", "--scheduler is an address .* got 'here'"),
        ("ftp://x:1", "got 'ftp://x:1'"),
    ],
)
def test_a_scheduler_that_is_away_is_one_sentence_in_seconds(
    address, said, tmp_path, monkeypatch
):
    monkeypatch.setattr(cluster_lib, "_PATIENCE", 0.5)
    with pytest.raises((OSError, ValueError), match=said):
        list(cluster_lib.Cluster("m:f", address, tmp_path).run([1]))
    assert not any(tmp_path.iterdir())


def test_without_work_no_scheduler_is_asked(tmp_path):
    assert not list(cluster_lib.Cluster("m:f", "nowhere:1", tmp_path).run([]))


def test_without_dask_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(RuntimeError, match=r"tfdecomp\[cluster\]"):
        list(cluster_lib.Cluster("m:f", "localhost:1", tmp_path).run([1]))


def test_paths_are_told_whole():
    assert cluster_lib.portable("a/b") == str(pathlib.Path.cwd() / "a" / "b")
    assert cluster_lib.portable("~/a") == str(pathlib.Path.home() / "a")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--scheduler=x:1", "--workers=2"], "give one of them"),
        (["--scheduler=x:1", "--input=a.npy"], "--scheduler shares many"),
    ],
)
def test_flags_of_predict_that_make_no_sense_are_refused(flags, said, tmp_path):
    process = test_videos.predict(tmp_path, *flags)
    assert process.returncode == 1
    assert said in process.stderr
    assert process.stderr.count("\n") == 1


def test_a_sweep_has_workers_or_a_scheduler(tmp_path):
    process = sweep(tmp_path, "--scheduler=x:1", "--workers=2")
    assert process.returncode == 1
    assert process.stderr == f"error: {cluster_lib.NOT_BOTH}\n"


def sweep(folder, *flags):
    """As typed, in a folder that is not that of the configs."""
    command = [sys.executable, "-m", "tfdecomp.sweep", "--seeds=0:2"]
    command += ["--gin_file=smoke/provide", "--output=out", "--data_dir=data"]
    command += ["--gin_param=NUM_STEPS = 2", "--num_clips=2", *flags]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


@pytest.mark.slow
def test_the_videos_of_a_cluster_are_those_of_one_process(
    dask, workers, tmp_path
):
    """And a worker that is killed in the middle costs none of them."""
    for number in range(4):
        test_videos.write(tmp_path / "in" / f"{number}.mp4", 40)
    address = f"--scheduler={dask.scheduler_address}"
    command = test_videos.command(tmp_path, address)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        test_videos.wait(lambda: any((tmp_path / "out").glob(".*.part-*")))
        os.kill(min(pids(dask)), signal.SIGKILL)
        printed, said = process.communicate(timeout=300)
    assert (process.returncode, said) == (0, "")
    assert "wrote 4 videos" in printed
    assert len(re.findall(r"^\d\.mp4 +finished +40 ", printed, re.M)) == 4
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"0", "1", "2", "3", "summary.csv"}
    subprocess.run(
        [*command[:4], f"--input={tmp_path}/in/3.mp4"]
        + [f"--output={tmp_path}/alone"],
        check=True,
        capture_output=True,
    )
    for name in ("tracks.csv", "frames.csv", "mot.txt"):
        alone = (tmp_path / "alone" / name).read_bytes()
        assert (tmp_path / "out" / "3" / name).read_bytes() == alone, name
    before = (tmp_path / "out" / "0" / "tracks.csv").stat()
    again = test_videos.predict(tmp_path, address)
    assert again.stdout.count("done before") == 4
    assert (tmp_path / "out" / "0" / "tracks.csv").stat() == before


@pytest.mark.slow
def test_after_ctrl_c_the_same_command_goes_on_with_the_videos(
    dask, workers, tmp_path
):
    for number in range(4):
        test_videos.write(tmp_path / "in" / f"{number}.mp4", 60)
    address = f"--scheduler={dask.scheduler_address}"
    with subprocess.Popen(
        test_videos.command(tmp_path, address),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        test_videos.wait(lambda: any((tmp_path / "out").glob(".*.part-*")))
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate(timeout=120)
    assert (process.returncode, said) == (130, "")
    assert "the same command goes on" in printed
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert lease.NAME not in left
    assert not [name for name in left if ".part-" in name]
    rows = list(csv.DictReader((tmp_path / "out" / "summary.csv").open()))
    assert len(rows) == 4
    again = test_videos.predict(tmp_path, address)
    assert again.returncode == 0, again.stderr
    assert "wrote 4 videos" in again.stdout


@pytest.mark.slow
def test_the_workers_of_a_cluster_do_the_runs_of_a_sweep(
    dask, workers, tmp_path
):
    address = f"--scheduler={dask.scheduler_address}"
    process = sweep(tmp_path, address)
    assert process.returncode == 0, process.stderr
    assert "| as it is | 2 |" in process.stdout
    rows = json.loads((tmp_path / "out" / seeds.RECORD_NAME).read_text())
    assert [row["state"] for row in rows] == ["finished"] * 2
    assert (tmp_path / "data").is_dir(), "relative to the caller, not to them"
