"""A server from its first request to its last."""

import contextlib
import functools
import os
import signal
import sys
import threading

from tfdecomp.serving import app as app_lib
from tfdecomp.serving import core, ports, served

_KEEP_ALIVE_S = 15
_MOST_CONNECTIONS = 512
_MOST_HEADERS = 32 * 1024  # bytes of the head of a request


def run(names, settings, taken, say=None) -> int:
    """Serves until SIGTERM or Ctrl-C, and ends what runs.

    Args:
        names: Names or folders of the models, the default first.
        settings: The `Settings`.
        taken: The socket to listen on, from `ports.bind`.
        say: Called with a line once requests are taken, and in the end; by
            default they are printed.

    Returns:
        The exit status.

    Raises:
        ValueError: If a model is not there.
    """
    say = say or functools.partial(print, flush=True)
    with contextlib.closing(taken):
        server = core.Server(served.load(names), settings)
        try:
            _until_told(server, settings, taken, say)
        finally:
            is_done = server.close()
    if not is_done:
        # A call of TensorFlow cannot be cut off, and the interpreter would
        # wait for it, or fall over it.
        sys.stdout.flush()
        os._exit(0)
    say("stopped")
    return 0


def _until_told(server, settings, taken, say):
    import uvicorn

    config = uvicorn.Config(
        app_lib.build(server),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=max(1, round(settings.drain_s)),
        h11_max_incomplete_event_size=_MOST_HEADERS,
        http="h11",
        ws="none",
    )
    asgi = uvicorn.Server(config)
    asgi.capture_signals = lambda: _heeding(server, asgi)
    names = ", ".join(model.name for model in server.models)
    threading.Thread(
        target=_announce,
        args=(asgi, f"{names} at {ports.url_of(taken)} (Ctrl-C stops)", say),
        daemon=True,
    ).start()
    asgi.run(sockets=[taken])


def _announce(asgi, line, say):
    """Says where the server is once it takes requests."""
    pause = threading.Event()
    while not asgi.started:
        if asgi.should_exit:
            return
        pause.wait(0.05)
    say(line)


@contextlib.contextmanager
def _heeding(server, asgi):
    """Signals end the server in order; by itself uvicorn would die of them."""

    def heed(number, frame):
        server.drain()
        asgi.handle_exit(number, frame)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, heed) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
