"""The server below the door: how many connections it takes, how long they may take, and what it says to junk.

What arrives is bounded before any of it is understood: the parser limits lines, fields and their number, a connection
on which no whole request arrives is closed, and of requests sent ahead of their answers only a few are read.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import Transport
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http import RawRequestMessage, StreamWriter
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from engine.http.routing import Route
from engine.http.wire import Written
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
        self,
        door: Callable[[Incoming], Awaitable[web.StreamResponse | Written]],
        settings: Settings,
        closing: Callable[[], None],
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
        self.parting = False
        """From now on each answer is the last one on its connection, and says so."""

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

    async def start(self) -> None:
        """Answer requests one after the other. Whoever sends what is not HTTP, or too much ahead, is left to aiohttp.

        aiohttp's own loop makes a task for each request, which is a fifth of what an availability read costs.
        """
        task = asyncio.current_task()
        assert task is not None
        try:
            while not self._force_close:
                if not self._messages:
                    await self._arrival()
                elif self._buffer_paused or not isinstance(self._messages[0][0], RawRequestMessage):
                    await super().start()
                elif not await self._answer_next(task):
                    break
        finally:
            self.force_close()

    async def _arrival(self) -> None:
        """Wait for the next request."""
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def _answer_next(self, task: asyncio.Task[None]) -> bool:
        """Answer the next request; False if none shall follow it."""
        message, payload = self._messages.popleft()
        assert isinstance(message, RawRequestMessage)
        assert self._parser is not None
        assert self._request_factory is not None
        assert self._request_handler is not None
        assert isinstance(self._manager, Listener)
        if self._manager.parting:
            message = message._replace(should_close=True)
        self._parser.message_consumed()
        self._manager.requests_count += 1
        request = self._request_factory(message, payload, self, StreamWriter(self, self._loop), task)
        try:
            answer, gone = await self._handle_request(request, None, self._request_handler)
        except ConnectionError:
            return False
        if not payload.is_eof():
            await self._hear_out(payload)
        if gone or self._close or not answer.keep_alive:
            return False
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)
        return True

    async def _hear_out(self, payload: StreamReader) -> None:
        """Read what is left of a body that was refused: a client that still sends would not see the answer."""
        try:
            async with asyncio.timeout(self._lingering_time):
                while not payload.is_eof():
                    await payload.readany()
        except (TimeoutError, web.RequestPayloadError, ConnectionError):
            self.close()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse | Written, start_time: float | None
    ) -> tuple[Any, bool]:
        """Send an answer; True with it if nobody is there any more."""
        if not isinstance(resp, Written):
            return await super().finish_response(request, resp, start_time)
        if self.transport is None:
            return resp, True
        self.transport.write(resp.sent)
        if self._paused:
            await self._drain_helper()
        return resp, False

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
