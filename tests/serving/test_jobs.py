"""Jobs: bounded, kept for a while, and closed to whoever has no id."""

import json
import pathlib
import threading
import time
import types
import zipfile

import pytest

from tfdecomp.serving import jobs as jobs_lib
from tfdecomp.serving.refusals import Refused
from tfdecomp.serving.settings import Settings
from tfdecomp.serving.uploads import Upload

MODEL = types.SimpleNamespace(name="balls")


def write(job):
    """A result of two files."""
    folder = jobs_lib.output_of(job)
    (folder / "masks").mkdir(parents=True)
    (folder / "tracks.csv").write_text("frame,id\n0,1\n")
    (folder / "masks" / "000000.png").write_bytes(b"png")
    return {"state": "finished", "trust": {"level": "good"}}


def start(jobs, name="fish.mp4"):
    job = jobs.begin()
    path = job.folder / "input.mp4"
    path.write_bytes(b"video")
    jobs.start(job, MODEL, Upload(path, name), {})
    return job


def wait(job, *states):
    until = time.monotonic() + 20
    while job.state not in (states or jobs_lib.ENDED) or job.ended is None:
        assert time.monotonic() < until, job.state
        time.sleep(0.01)
    return job


def test_a_job_lists_its_files_and_an_archive_of_them(tmp_path):
    jobs = jobs_lib.Jobs(tmp_path, write, Settings())
    job = wait(start(jobs))
    report = job.report(3600)
    names = ["masks/000000.png", "tracks.csv", "all.zip"]
    assert report["state"] == "done" and report["files"] == names
    assert report["trust"] == {"level": "good"}
    assert 3590 < report["expires_s"] <= 3600
    json.dumps(report)
    assert jobs.file(job.id, "tracks.csv").read_text() == "frame,id\n0,1\n"
    with zipfile.ZipFile(jobs.file(job.id, "all.zip")) as archive:
        assert archive.namelist() == names[:-1]
        assert archive.read("masks/000000.png") == b"png"
    assert not (job.folder / "input.mp4").exists()


def test_equal_results_make_equal_archives(tmp_path):
    jobs = jobs_lib.Jobs(tmp_path, write, Settings())
    first, second = (
        jobs.file(wait(start(jobs)).id, "all.zip").read_bytes()
        for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize(
    "name",
    [
        "../input.mp4",
        "/etc/passwd",
        "masks",
        "masks/../tracks.csv",
        "prediction.json",
        "",
    ],
)
def test_only_files_of_the_list_are_given_out(tmp_path, name):
    jobs = jobs_lib.Jobs(tmp_path, write, Settings())
    job = wait(start(jobs))
    with pytest.raises(Refused, match="has no file") as caught:
        jobs.file(job.id, name)
    assert caught.value.status == 404


def test_ids_are_random_and_others_are_unknown(tmp_path):
    jobs = jobs_lib.Jobs(tmp_path, write, Settings())
    ids = {jobs.begin().id for _ in range(16)}
    assert len(ids) == 16 and all(len(name) >= 22 for name in ids)
    with pytest.raises(Refused, match="no such job"):
        jobs.get("../" + ids.pop())


def test_there_are_no_more_jobs_than_allowed_and_dropping_makes_room(tmp_path):
    jobs = jobs_lib.Jobs(tmp_path, write, Settings(max_jobs=2))
    first, _ = wait(start(jobs)), jobs.begin()
    with pytest.raises(Refused, match="2 jobs are kept") as caught:
        jobs.begin()
    assert caught.value.status == 429 and caught.value.retry_s
    jobs.drop(first.id)
    assert not first.folder.exists()
    jobs.begin()


def test_jobs_expire_with_their_files(tmp_path):
    jobs = jobs_lib.Jobs(tmp_path, write, Settings(job_lifetime_s=0.05))
    job = wait(start(jobs))
    time.sleep(0.1)
    with pytest.raises(Refused, match="expired"):
        jobs.get(job.id)
    assert not list(pathlib.Path(tmp_path).iterdir())


def test_a_job_that_is_dropped_while_it_runs_stops_and_leaves_nothing(
    tmp_path,
):
    runs = threading.Event()

    def work(job):
        jobs_lib.output_of(job).mkdir()
        runs.set()
        assert job.stop.wait(10)
        return {"state": "interrupted"}

    jobs = jobs_lib.Jobs(tmp_path, work, Settings())
    job = start(jobs)
    assert runs.wait(10)
    jobs.drop(job.id)
    wait(job, "stopped")
    jobs.close()
    assert jobs.join(10)
    assert not job.folder.exists() and not len(jobs)


def test_what_goes_wrong_is_one_sentence_without_a_path_of_the_server(
    tmp_path,
):
    def fail(job):
        raise ValueError(f"{job.upload.path} is cut off; fetch it again")

    jobs = jobs_lib.Jobs(tmp_path, fail, Settings())
    job = wait(start(jobs))
    assert job.state == "failed"
    assert job.error == "fish.mp4 is cut off; fetch it again"

    def crash(job):
        raise KeyError("secret")

    jobs = jobs_lib.Jobs(tmp_path, crash, Settings())
    job = wait(start(jobs))
    assert job.state == "failed" and "secret" not in job.error


def test_a_closed_server_begins_no_job_and_ends_the_one_that_runs(tmp_path):
    begun = threading.Event()

    def work(job):
        begun.set()
        assert job.stop.wait(10)
        return write(job) | {"state": "interrupted"}

    jobs = jobs_lib.Jobs(tmp_path, work, Settings())
    running, waiting = start(jobs), start(jobs)
    assert begun.wait(10)
    jobs.close()
    with pytest.raises(Refused, match="about to stop"):
        jobs.begin()
    assert not jobs.join(0.01)
    jobs.stop()
    assert jobs.join(10)
    assert running.state == "stopped" and "tracks.csv" in running.files
    assert waiting.state == "waiting"
