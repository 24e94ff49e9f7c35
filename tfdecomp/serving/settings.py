"""What a server allows, checked once before it starts."""

import dataclasses

from tfdecomp.prediction import options as options_lib

_MIB = 2**20
# Name -> least and most, whole numbers.
_WHOLE = {
    "port": (0, 65_535),
    "max_batch": (1, 1024),
    "max_queue": (1, 100_000),
    "max_upload": (1, 2**40),
    "max_array": (1, 2**32),
    "max_frames": (1, 10**6),
    "max_job_frames": (1, 10**9),
    "max_pixels": (1, 2**28),
    "max_jobs": (1, 10_000),
}
_SECONDS = "timeout_s", "upload_s", "job_lifetime_s", "drain_s"


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where a server listens, and how much it takes.

    Args:
        host: Address that it listens on; the default is this machine alone.
        port: Port; 0 for one that is free.
        max_batch: Most requests that a model answers at once.
        max_wait_ms: Milliseconds that a request waits for others like it.
        max_queue: Most requests that are under way; those beyond get 429.
        max_upload: Most bytes of a video or a picture.
        max_array: Most bytes of an array, and of one written as JSON.
        max_frames: Most frames of what is answered at once.
        max_job_frames: Most frames of a job.
        max_pixels: Most pixels of a frame.
        timeout_s: Seconds after which a request is given up.
        upload_s: Seconds that an upload may take.
        max_jobs: Most jobs that are kept, with their files.
        job_lifetime_s: Seconds after which the files of a job that has ended
            are removed.
        drain_s: Seconds that what runs has left once the server is told to
            stop.

    Raises:
        ValueError: If a number is none, or out of range.

    Examples:
        >>> from tfdecomp.serving.settings import Settings
        >>> Settings(max_batch=0)
        Traceback (most recent call last):
            ...
        ValueError: max_batch must be a positive number without ..., got 0
    """

    host: str = "127.0.0.1"
    port: int = 8000
    max_batch: int = 8
    max_wait_ms: float = 5.0
    max_queue: int = 64
    max_upload: int = 512 * _MIB
    max_array: int = 64 * _MIB
    max_frames: int = 1000
    max_job_frames: int = 20_000
    max_pixels: int = 2**23
    timeout_s: float = 120.0
    upload_s: float = 300.0
    max_jobs: int = 16
    job_lifetime_s: float = 3600.0
    drain_s: float = 30.0

    def __post_init__(self):
        for name, (low, high) in _WHOLE.items():
            options_lib.whole(name, getattr(self, name), low, high)
        for name in _SECONDS:
            options_lib.real(name, getattr(self, name), 0, 10**7)
        wait = self.max_wait_ms
        if not 0 <= wait <= 10_000:
            raise ValueError(
                f"max_wait_ms must be from 0 to 10000 milliseconds, got {wait}"
            )
