"""The server below the door: how many connections it takes, how long they may take, and what it says to junk.

What arrives is bounded before any of it is understood: the parser limits lines, fields and their number, a connection
on which no whole request arrives is closed, and of requests sent ahead of their answers only a few are read.
"""

from __future__ import annotations

import logging
from asyncio import Transport
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from engine.http.routing import Route
from engine.settings import Settings

log = logging.getLogger("holdfast.listener")

_LINE_BYTES_MAX = 8190
"""Of the line with the URL, and of each header."""
_HEADERS_MAX = 64
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    b'Connection: close\r\nContent-Length: 33\r\n\r\n{"detail":"Too many connections."}'
)


class Incoming(web.BaseRequest):
    """A request on its way in; the door notes here which `routes` its path has, by method."""

    routes: dict[str, Route] | None = None


class Listener(web.Server):
    """Takes connections for one process and hands their requests to `door`."""

    def __init__(
        self, door: Callable[[Incoming], Awaitable[web.StreamResponse]], settings: Settings, closing: Callable[[], None]
    ) -> None:
        limit = settings.body_bytes_max

        def make_request(message, payload, protocol, writer, task):  # type: ignore[no-untyped-def]
            return Incoming(message, payload, protocol, writer, task, protocol._loop, client_max_size=limit)

        super().__init__(
            door,  # type: ignore[arg-type]
            request_factory=make_request,
            access_log=None,
            keepalive_timeout=settings.idle_timeout_s,
            max_line_size=_LINE_BYTES_MAX,
            max_field_size=_LINE_BYTES_MAX,
            max_headers=_HEADERS_MAX,
            # as in pretix nobody unpacks bodies: a small one could swell to anything
            auto_decompress=False,
        )
        self._connections_max = settings.connections_max
        self._closing = closing

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)

    def pre_shutdown(self) -> None:
        """Close connections that only stay open, and end answers that would go on."""
        self._closing()
        super().pre_shutdown()

    def connection_made(self, handler: RequestHandler, transport: Transport) -> None:
        """Take a connection, or answer it 503 at once when there are as many as there may be."""
        super().connection_made(handler, transport)
        if len(self._connections) > self._connections_max:
            transport.write(_FULL)
            handler.force_close()


class _Connection(RequestHandler):
    """One client. What is not HTTP is answered in JSON like everything else, and not worth a traceback."""

    __slots__ = ()

    def log_exception(self, *args: Any, **options: Any) -> None:
        # a body that breaks off, or is none, is no failure of ours, and whoever likes could fill the log with it
        if not isinstance(options.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **options)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        if status >= 500 or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        if isinstance(exc, LineTooLong):
            status = 431
        log.debug("not HTTP: %s", exc)
        answer = web.json_response({"detail": _WORDS.get(status, "This is not a request.")}, status=status)
        answer.force_close()
        return answer


_WORDS: dict[int, Any] = {431: "The URL or a header is too large."}
