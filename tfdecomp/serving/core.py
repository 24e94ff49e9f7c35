"""What a server does with requests, whatever brings them."""

import asyncio
import concurrent.futures
import contextlib
import pathlib
import shutil
import tempfile
import threading
import time

from absl import logging

from tfdecomp.data import errors
from tfdecomp.data.video import array_files
from tfdecomp.serving import batcher, examples, jobs, refusals, served
from tfdecomp.serving.footage import Abandoned, check_count, check_size
from tfdecomp.serving.refusals import GONE, Refused
from tfdecomp.version import __version__

_LAST_S = 3.0  # that a job has for its last frame
_THREADS = 4  # that read uploads and write answers


class Server:
    """What answers, whatever asks it.

    Args:
        models: A `served.ServedModels`.
        settings: The `Settings`.

    Attributes:
        jobs: The `Jobs`.
        is_draining: Whether it is about to stop.
    """

    def __init__(self, models, settings):
        self.models, self.settings = models, settings
        self.is_draining, self._until = False, 0.0
        self._under_way = 0
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="tfdecomp_serve_"))
        self._pool = concurrent.futures.ThreadPoolExecutor(
            _THREADS, thread_name_prefix="io"
        )
        self._clips = batcher.Batcher(
            self._of_clips,
            self._most_of,
            settings.max_wait_ms / 1000,
            name="clips",
        )
        self._videos = batcher.Batcher(self._of_video, name="videos")
        self.jobs = jobs.Jobs(self._folder, self._do, settings)
        self._examples, self._making = {}, threading.Lock()

    def health(self) -> dict:
        """What `/healthz` says."""
        return {
            "status": "draining" if self.is_draining else "ok",
            "version": __version__,
            "requests": self._under_way,
            "waiting": len(self._clips) + len(self._videos),
            "largest_batch": self._clips.largest,
            "jobs": len(self.jobs),
        }

    @contextlib.contextmanager
    def place(self):
        """A place for one request, from its first byte to its answer.

        Yields:
            A folder of its own, removed in the end.

        Raises:
            Refused: If all are taken, or the server is about to stop.
        """
        if self.is_draining:
            raise refusals.draining()
        if self._under_way >= self.settings.max_queue:
            raise Refused(
                429,
                f"{self._under_way} requests are under way, the most that this "
                "server takes; ask again in a second",
                retry_s=1,
            )
        self._under_way += 1
        folder = tempfile.mkdtemp(prefix="request_", dir=self._folder)
        try:
            yield pathlib.Path(folder)
        finally:
            self._under_way -= 1
            shutil.rmtree(folder, ignore_errors=True)

    async def work(self, function, *args):
        """Calls a function that may take a while, beside everything else."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, function, *args)

    def submit(self, model, upload, seed, options) -> batcher.Item:
        """Puts an upload into the line that it belongs to.

        Args:
            model: A `ServedModel`.
            upload: An `Upload`.
            seed: Seed of the samples.
            options: `fps`, `source_fps`, `fit` and `objects`, what of them is
                said; without any, frames of the model's own size are answered
                together with others of their shape.

        Raises:
            Refused: If it is too large.
            DatasetInputError: If it is no video.
        """
        if upload.is_array and not options:
            array = array_files.read(upload.path)
            most = self.settings.max_frames
            check_count(len(array), upload.name, most)
            check_size(array.shape[1:3], upload.name, self.settings.max_pixels)
            if model.takes(array):
                clip = served.clip_of(array)
                return self._clips.submit(model.key(clip), (clip, seed))
        return self._videos.submit(model.name, (upload, seed, options))

    def _most_of(self, key):
        """How many clips are answered at once: memory has room for these."""
        if not isinstance(key, served.Key):
            return 1
        frames = max(1, self.settings.max_frames // key.shape[0])
        return min(self.settings.max_batch, frames)

    def _of_clips(self, key, items):
        clips, seeds = zip(*[item.value for item in items])
        return self.models.get(key.model).of_clips(clips, seeds)

    def _of_video(self, name, items):
        """Answers one; videos are read piece by piece, so never together."""
        (item,) = items
        upload, seed, options = item.value
        footage = served.footage_of(
            upload,
            self.settings,
            self.settings.max_frames,
            item.abandoned.is_set,
            options,
        )
        model = self.models.get(name)
        return [model.of_footage(footage, seed=seed, **options)]

    def _do(self, job):
        """Does a job; see `Jobs`."""
        footage = served.footage_of(
            job.upload,
            self.settings,
            self.settings.max_job_frames,
            job.stop.is_set,
            job.options,
        )

        def progress(done, total):
            job.done, job.total = done, total

        progress(0, footage.num_frames)
        return job.model.for_jobs.predict(
            footage,
            jobs.output_of(job),
            progress=progress,
            should_stop=job.stop.is_set,
            **job.options,
        )

    def example(self, model) -> pathlib.Path:
        """A clip of the kind that a model knows, made once.

        Args:
            model: A `ServedModel`.

        Raises:
            Refused: If none can be made.
        """
        with self._making:
            if model.name not in self._examples:
                self._examples[model.name] = self._make_example(model)
        path = self._examples[model.name]
        if path is None:
            raise Refused(
                404,
                f"no clip can be made of what {model.name} was trained on; "
                "upload one of your own",
            )
        return path

    def _make_example(self, model):
        about = model.describe()
        video = examples.make(about["trained_on"], about["follows"])
        if video is None:
            return None
        path = self._folder / f"example_{len(self._examples)}.mp4"
        examples.write(path, video)
        return path

    def drain(self):
        """Takes no more; what runs goes on, within the time that it has."""
        if not self.is_draining:
            self._until = time.monotonic() + self.settings.drain_s
        self.is_draining = True

    def close(self) -> bool:
        """Ends what is left, and removes all files.

        Returns:
            Whether everything has ended.
        """
        self.drain()
        lines = self._clips, self._videos, self.jobs
        for line in lines:
            line.close()
        is_done = self.jobs.join(max(0.0, self._until - time.monotonic()))
        self.jobs.stop()
        for line in lines:
            left = max(_LAST_S, self._until - time.monotonic())
            is_done = line.join(left) and is_done
        self._pool.shutdown(wait=False, cancel_futures=True)
        shutil.rmtree(self._folder, ignore_errors=True)
        return is_done


async def outcome(request, item, timeout_s):
    """Waits for an answer, as long as somebody wants it.

    Args:
        request: The `fastapi.Request`, whose body has been read.
        item: The `batcher.Item`.
        timeout_s: How long, in seconds.

    Raises:
        Refused: If it takes longer, or the client has hung up.
    """
    waiting = asyncio.wrap_future(item.future)
    gone = asyncio.ensure_future(_hung_up(request))
    try:
        done, _ = await asyncio.wait(
            {waiting, gone},
            timeout=timeout_s,
            return_when=asyncio.FIRST_COMPLETED,
        )
    except asyncio.CancelledError:  # the server has no time left
        item.abandon()
        raise refusals.draining() from None
    finally:
        gone.cancel()
    if waiting in done:
        return waiting.result()
    has_begun = item.future.running()
    item.abandon()
    if gone in done:
        raise Refused(GONE, "the client hung up before the answer")
    if has_begun:
        raise Refused(
            504,
            f"the answer took longer than {timeout_s:g} seconds; send fewer "
            "frames, or a job to /v1/jobs",
        )
    raise Refused(
        503,
        f"the request waited longer than {timeout_s:g} seconds for its turn; "
        "ask again later",
        retry_s=10,
    )


async def _hung_up(request):
    while (await request.receive())["type"] != "http.disconnect":
        pass


def explained(error, upload) -> Refused:
    """What is wrong with an upload, or with the server.

    Args:
        error: What was raised.
        upload: The `Upload`.
    """
    if isinstance(error, (Refused, asyncio.CancelledError)):
        return error
    if isinstance(error, Abandoned):
        return Refused(GONE, "nobody waits for the answer")
    if isinstance(error, batcher.Closed):
        return refusals.draining()
    if isinstance(error, MemoryError):
        return Refused(
            503, "there is no memory left for this; send fewer frames"
        )
    if isinstance(error, (errors.DatasetInputError, ValueError, OSError)):
        return refusals.unusable(error, upload.path, upload.name)
    logging.error("a request failed", exc_info=error)
    name = type(error).__name__
    return Refused(500, f"the server failed ({name}); its log says why")
