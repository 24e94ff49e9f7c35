"""Generators that run in threads, and one that several readers share."""

import contextlib
import dataclasses
import os
import queue
import tempfile
import threading

import numpy as np

_AHEAD = 4  # results that wait for their reader


def parallel(jobs, run, workers):
    """Yields what `run(job, workers)` yields, some jobs at the same time.

    FFmpeg decodes outside of Python's lock, so threads will do. They stop when
    the generator is closed, and wait when nobody reads.

    Args:
        jobs: List of jobs.
        run: Makes a generator of a job and of how many run at a time.
        workers: How many run at a time; with one, in this thread.

    Yields:
        What the generators yield, of each in its order.

    Examples:
        >>> from tfdecomp.data.video.streaming import parallel
        >>> def count(job, workers):
        ...     yield from range(job)
        >>> list(parallel([2, 3], count, workers=1))
        [0, 1, 0, 1, 2]
    """
    workers = min(workers, len(jobs))
    if workers <= 1:
        for job in jobs:
            yield from run(job, 1)
        return
    results, todo = queue.Queue(_AHEAD), iter(jobs)
    stop, lock, end = threading.Event(), threading.Lock(), object()

    def put(item):
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                results.put(item, timeout=0.1)
                return

    def work():
        try:
            while not stop.is_set():
                with lock:
                    job = next(todo, end)
                if job is end:
                    break
                for item in run(job, workers):
                    put((item, None))
                    if stop.is_set():
                        return
        except BaseException as error:  # raised where the results are read
            put((None, error))
        put((end, None))

    threads = [
        threading.Thread(target=work, daemon=True) for _ in range(workers)
    ]
    for thread in threads:
        thread.start()
    running = workers
    try:
        while running:
            item, error = results.get()
            if error is not None:
                raise error
            if item is end:
                running -= 1
            else:
                yield item
    finally:
        stop.set()
        for thread in threads:
            thread.join()


class Spool:
    """Hands out clips by split; those of other splits wait in a file.

    Args:
        clips: Generator of objects with the fields of `video_folders.Clip`.
        folder: Where the temporary file is; by default as Python has it.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_folders import Clip
        >>> from tfdecomp.data.video.streaming import Spool
        >>> content = np.zeros([5, 8, 8, 3], np.uint8), np.arange(5)
        >>> clips = [Clip(0, 0, split, *content) for split in ("test", "train")]
        >>> spool = Spool(iter(clips))
        >>> [clip.split for clip in spool.take("train")]
        ['train']
    """

    def __init__(self, clips, folder=None):
        self._clips = clips
        self._file = tempfile.TemporaryFile(dir=folder)
        self._waiting = []  # clips without pictures, and where these are

    def take(self, split):
        """Yields all clips of a split, those that waited first."""
        mine = [entry for entry in self._waiting if entry[0].split == split]
        self._waiting = [e for e in self._waiting if e[0].split != split]
        for clip, place, shape in mine:
            self._file.seek(place)
            data = self._file.read(int(np.prod(shape)))
            pictures = np.frombuffer(data, np.uint8).reshape(shape)
            yield dataclasses.replace(clip, pictures=pictures)
        for clip in self._clips:
            if clip.split == split:
                yield clip
            else:
                place = self._file.seek(0, os.SEEK_END)
                self._file.write(clip.pictures.tobytes())
                bare = dataclasses.replace(clip, pictures=None)
                self._waiting.append((bare, place, clip.pictures.shape))

    def close(self):
        """Ends the generator and removes the file."""
        self._clips.close()
        self._file.close()
