"""Where a server listens, taken before anything slow is loaded."""

import errno
import importlib.util
import socket

_BACKLOG = 128
_PACKAGES = "fastapi", "python_multipart", "uvicorn"


def check_installed():
    """Raises `ValueError` unless the extra `serve` is installed."""
    for name in _PACKAGES:
        if importlib.util.find_spec(name) is None:
            raise ValueError(
                f"the server needs {name}; pip install 'tfdecomp[serve]'"
            )


def bind(host, port) -> socket.socket:
    """Takes a port.

    Args:
        host: Address or name to listen on.
        port: The port; 0 for any that is free.

    Raises:
        ValueError: If it is taken, or not to be had.
    """
    try:
        kind, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        taken = socket.socket(kind, socket.SOCK_STREAM)
    except OSError as error:
        raise _no_port(host, port, error) from error
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
        # Two servers may bind one port, but only one may listen.
        taken.listen(_BACKLOG)
    except OSError as error:
        taken.close()
        raise _no_port(host, port, error) from error
    return taken


def _no_port(host, port, error):
    if error.errno == errno.EADDRINUSE:
        return ValueError(
            f"port {port} of {host} is in use; stop what uses it, or choose "
            "another with --port (0 takes a free one)"
        )
    reason = error.strerror or error
    return ValueError(
        f"{host}, port {port} cannot be listened on ({reason}); choose "
        "others with --host and --port"
    )


def url_of(taken) -> str:
    """Where a socket is found with a browser."""
    host, port = taken.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
