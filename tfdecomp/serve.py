"""Serves trained models over HTTP, with a page to drop a video on.

    tfdecomp serve --model=silot_motion
    python -m tfdecomp.serve --model=provide_balls_quick --port=8080
    tfdecomp serve --model=silot_motion --model=~/runs/balls --max_batch=16

Then http://127.0.0.1:8000 is a page for people, and

    curl -F file=@clip.mp4 http://127.0.0.1:8000/v1/decompose
    curl -F file=@fish.mp4 http://127.0.0.1:8000/v1/jobs

answer programs; http://127.0.0.1:8000/docs says what may be asked. It needs
`pip install 'tfdecomp[serve]'`.

Requests name one of the models that the server was started with, the first by
default. Frames of the model's own size are answered together with others of
their shape, everything else one by one, and jobs beside them. What is too
large, too much or of another kind is refused with one sentence.

There is no password: by default only this machine is listened to. For others,
put a server with TLS and passwords in front.

Ctrl-C or SIGTERM: no more requests are taken, those that run are answered.
"""

import sys

from absl import app, flags

from tfdecomp.console import commands

_MODEL = flags.DEFINE_multi_string(
    "model",
    None,
    "Name of a shipped model ('tfdecomp models' lists them), its folder, the "
    "work directory of a run, or a Hugging Face repository; may be given "
    "several times. Requests call a folder by its last part.",
    required=True,
)
_HOST = flags.DEFINE_string(
    "host",
    "127.0.0.1",
    "Address to listen on; 0.0.0.0 for every one that the machine has.",
)
_PORT = flags.DEFINE_integer(
    "port", 8000, "Port to listen on; 0 for any that is free."
)
_MAX_BATCH = flags.DEFINE_integer(
    "max_batch", 8, "Requests of one shape that are answered at once, at most."
)
_MAX_WAIT_MS = flags.DEFINE_float(
    "max_wait_ms", 5.0, "Milliseconds that a request waits for others like it."
)
_MAX_QUEUE = flags.DEFINE_integer(
    "max_queue", 64, "Requests under way, at most; others are sent away."
)
_MAX_UPLOAD = flags.DEFINE_float(
    "max_upload", 512.0, "MiB of a video or a picture, at most."
)
_MAX_ARRAY = flags.DEFINE_float(
    "max_array", 64.0, "MiB of an array, and of one written as JSON, at most."
)
_MAX_FRAMES = flags.DEFINE_integer(
    "max_frames", 1000, "Frames of what is answered at once, at most."
)
_MAX_JOB_FRAMES = flags.DEFINE_integer(
    "max_job_frames", 20_000, "Frames of a job, at most."
)
_MAX_PIXELS = flags.DEFINE_integer(
    "max_pixels", 2**23, "Pixels of a frame, at most."
)
_MAX_JOBS = flags.DEFINE_integer(
    "max_jobs", 16, "Jobs that are kept with their files, at most."
)
_JOB_LIFETIME = flags.DEFINE_float(
    "job_lifetime", 3600.0, "Seconds that the files of a job are kept."
)
_TIMEOUT = flags.DEFINE_float(
    "timeout", 120.0, "Seconds after which a request is given up."
)
_DRAIN = flags.DEFINE_float(
    "drain", 30.0, "Seconds that what runs has left after Ctrl-C or SIGTERM."
)


def main(argv):
    commands.refuse_words(argv)
    try:
        return commands.finish(_serve)
    except KeyboardInterrupt:  # while loading
        print("interrupted", file=sys.stderr)
        return 130


def _serve():
    from tfdecomp.serving import ports
    from tfdecomp.serving.settings import Settings
    from tfdecomp.storage import catalogue

    settings = Settings(
        host=_HOST.value,
        port=_PORT.value,
        max_batch=_MAX_BATCH.value,
        max_wait_ms=_MAX_WAIT_MS.value,
        max_queue=_MAX_QUEUE.value,
        max_upload=round(_MAX_UPLOAD.value * 2**20),
        max_array=round(_MAX_ARRAY.value * 2**20),
        max_frames=_MAX_FRAMES.value,
        max_job_frames=_MAX_JOB_FRAMES.value,
        max_pixels=_MAX_PIXELS.value,
        timeout_s=_TIMEOUT.value,
        max_jobs=_MAX_JOBS.value,
        job_lifetime_s=_JOB_LIFETIME.value,
        drain_s=_DRAIN.value,
    )
    # What is wrong shows before TensorFlow is loaded.
    ports.check_installed()
    for name in _MODEL.value:
        catalogue.resolve(name)
    taken = ports.bind(settings.host, settings.port)

    from tfdecomp.serving import running

    return running.run(_MODEL.value, settings, taken)


if __name__ == "__main__":
    app.run(main)
