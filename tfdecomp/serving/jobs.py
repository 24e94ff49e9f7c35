"""Videos that take longer than a request: done one by one, kept for a while.

The files are those of `python -m tfdecomp.predict`, made by the same code.
"""

import contextlib
import dataclasses
import pathlib
import queue
import secrets
import shutil
import threading
import time
import zipfile

from absl import logging

from tfdecomp.data import errors
from tfdecomp.prediction.files import folder as folder_lib
from tfdecomp.serving import refusals
from tfdecomp.serving.footage import Abandoned
from tfdecomp.serving.refusals import Refused

WAITING, RUNNING, DONE = "waiting", "running", "done"
STOPPED, FAILED = "stopped", "failed"
ENDED = DONE, STOPPED, FAILED
ARCHIVE = "all.zip"
_OUTPUT = "output"
_SWEEP_S = 5.0  # between two looks for what has expired
# A file in an archive, so that equal results make equal archives.
_DATE = (1980, 1, 1, 0, 0, 0)


@dataclasses.dataclass
class Job:
    """One video and what comes of it.

    Attributes:
        id: Its number, which nobody can guess.
        folder: Its folder, with the upload.
        state: `"waiting"`, `"running"`, `"done"`, `"stopped"` or `"failed"`.
        model: The `ServedModel`.
        upload: The `Upload`.
        options: Options of the prediction.
        done: Frames that are done.
        total: All of them; 0 while that is not known.
        trust: How far to trust the result, as `prediction.json` has it.
        error: Why it failed, in one sentence.
        files: Name -> path of what may be fetched.
        ended: When it ended, on the clock of `time.monotonic`.
        stop: Set to end it.
    """

    id: str
    folder: pathlib.Path
    state: str = WAITING
    model: object = None
    upload: object = None
    options: dict = dataclasses.field(default_factory=dict)
    done: int = 0
    total: int = 0
    trust: dict | None = None
    error: str | None = None
    files: dict = dataclasses.field(default_factory=dict)
    ended: float | None = None
    stop: threading.Event = dataclasses.field(default_factory=threading.Event)

    def report(self, lifetime_s) -> dict:
        """What `/v1/jobs/ID` says.

        Args:
            lifetime_s: Seconds that its files are kept after its end.
        """
        left = None
        if self.ended is not None:
            left = max(0, round(self.ended + lifetime_s - time.monotonic()))
        return {
            "id": self.id,
            "state": self.state,
            "model": self.model and self.model.name,
            "name": self.upload and self.upload.name,
            "done": self.done,
            "total": self.total,
            "trust": self.trust,
            "error": self.error,
            "files": list(self.files),
            "expires_s": left,
        }


class Jobs:
    """The jobs of a server.

    Args:
        folder: Where their files go.
        work: `work(job)` does one; it returns the content of
            `prediction.json`.
        settings: The `Settings`.
    """

    def __init__(self, folder, work, settings):
        self._folder, self._work = pathlib.Path(folder), work
        self._settings = settings
        self._jobs, self._lock = {}, threading.Lock()
        self._line, self._is_closed = queue.SimpleQueue(), False
        self._running = None
        self._thread = threading.Thread(
            target=self._run, name="jobs", daemon=True
        )
        self._thread.start()

    def __len__(self):
        return len(self._jobs)

    def begin(self) -> Job:
        """A job without a video, which has its place.

        Raises:
            Refused: If there is no place, or the server is about to stop.
        """
        self.sweep()
        with self._lock:
            if self._is_closed:
                raise refusals.draining()
            if len(self._jobs) >= self._settings.max_jobs:
                raise Refused(
                    429,
                    f"{len(self._jobs)} jobs are kept, the most that this "
                    "server keeps; delete one, or wait until one expires",
                    retry_s=30,
                )
            name = secrets.token_urlsafe(16)
            job = self._jobs[name] = Job(name, self._folder / f"job_{name}")
        job.folder.mkdir()
        return job

    def start(self, job, model, upload, options):
        """Puts a job into the line.

        Args:
            job: From `begin`.
            model: The `ServedModel`.
            upload: The `Upload`, in the job's folder.
            options: Options of `hub.Loaded.predict`.
        """
        job.model, job.upload, job.options = model, upload, options
        self._line.put(job)

    def get(self, name) -> Job:
        """A job by its id.

        Raises:
            Refused: If there is none.
        """
        self.sweep()
        job = self._jobs.get(name)
        if job is None:
            raise Refused(
                404, "there is no such job; it may have expired: start another"
            )
        return job

    def file(self, name, file) -> pathlib.Path:
        """A file of a job, of those in its list.

        Args:
            name: Id of the job.
            file: Name of the file.

        Raises:
            Refused: If it is not in the list.
        """
        found = self.get(name).files.get(file)
        if found is None:
            raise Refused(
                404,
                f"the job has no file {file!r}; its list is under 'files' of "
                "/v1/jobs/ID",
            )
        return found

    def drop(self, name):
        """Stops a job and removes its files.

        Raises:
            Refused: If there is none.
        """
        job = self.get(name)
        job.stop.set()
        with self._lock:
            self._jobs.pop(name, None)
            is_running = job is self._running
        if not is_running:  # else removed by who writes into it
            shutil.rmtree(job.folder, ignore_errors=True)

    def sweep(self):
        """Removes what has expired."""
        before = time.monotonic() - self._settings.job_lifetime_s
        with self._lock:
            old = [
                job
                for job in self._jobs.values()
                if job.ended is not None and job.ended < before
            ]
            for job in old:
                del self._jobs[job.id]
        for job in old:
            shutil.rmtree(job.folder, ignore_errors=True)

    def close(self):
        """Takes no more; those that wait are not begun."""
        with self._lock:
            self._is_closed = True
        self._line.put(None)

    def stop(self):
        """Ends the running job after this frame."""
        for job in list(self._jobs.values()):
            job.stop.set()

    def join(self, timeout_s) -> bool:
        """Waits for the end of the running job, once closed.

        Args:
            timeout_s: How long, in seconds.
        """
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self):
        while not self._is_closed:
            with contextlib.suppress(queue.Empty):
                job = self._line.get(timeout=_SWEEP_S)
                if job is not None and not self._is_closed:
                    self._do(job)
                del job  # not to be kept until the next one comes
            self.sweep()

    def _do(self, job):
        with self._lock:
            if job.stop.is_set():
                return
            self._running, job.state = job, RUNNING
        try:
            record = self._work(job)
            job.trust = record.get("trust")
            job.files = _listed(job.folder / _OUTPUT)
            is_whole = record["state"] == folder_lib.FINISHED
            job.state = DONE if is_whole else STOPPED
        except Abandoned:
            job.state = STOPPED
        except Exception as error:  # whatever it is, the server goes on
            job.error, job.state = _sentence(error, job.upload), FAILED
        finally:
            self._finish(job)

    def _finish(self, job):
        job.ended = time.monotonic()
        with contextlib.suppress(OSError):
            job.upload.path.unlink()
        with self._lock:
            self._running = None
            is_dropped = job.id not in self._jobs
        if is_dropped:
            shutil.rmtree(job.folder, ignore_errors=True)


def output_of(job) -> pathlib.Path:
    """The folder that the prediction of a job fills."""
    return job.folder / _OUTPUT


def _listed(folder):
    """Name -> path of the files of a result, and an archive of them."""
    files = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
    archive = folder.with_name(ARCHIVE)
    with zipfile.ZipFile(archive, "w") as writing:
        for name, path in files.items():
            with (
                writing.open(zipfile.ZipInfo(name, _DATE), "w") as target,
                open(path, "rb") as source,
            ):
                shutil.copyfileobj(source, target)
    return files | {ARCHIVE: archive}


def _sentence(error, upload):
    """Why a job failed, without where its files lie."""
    if isinstance(error, Refused):
        return error.sentence
    if isinstance(error, (errors.DatasetInputError, ValueError, OSError)):
        return refusals.unusable(error, upload.path, upload.name).sentence
    logging.error("a job failed", exc_info=error)
    return f"the server failed ({type(error).__name__}); its log says why"
