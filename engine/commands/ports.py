"""Ports that several processes of one Holdfast share, and nobody else."""

from __future__ import annotations

import socket

from engine.settings import SettingsError


def reserve(host: str, port: int) -> socket.socket:
    """Return a socket that keeps a port for processes that `share` it; 0 picks a free one. Raises SettingsError.

    It does not listen, so it gets no connections; it only has to stay open.
    """
    try:
        # Without SO_REUSEPORT first: with it, a second Holdfast of the same user would quietly get half the requests.
        with _bound(host, port, shared=False) as alone:
            port = alone.getsockname()[1]
        return _bound(host, port, shared=True)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host} port {port}: {error.strerror}; --port 0 picks a free one"
        ) from None


def share(host: str, port: int) -> socket.socket:
    """Return a socket to listen on, beside others on the same port. Raises OSError."""
    return _bound(host, port, shared=True)


def address(bound: socket.socket) -> tuple[str, int]:
    """Return the host and port that a socket is bound to."""
    host, port = bound.getsockname()[:2]
    return str(host), int(port)


def base_url(host: str, port: int) -> str:
    """Return the URL under which this machine reaches a server that listens on `host`."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    family, kind, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    bound = socket.socket(family, kind)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(where)
    except BaseException:
        bound.close()
        raise
    return bound
