"""The server below the door: how many connections it takes, how long they may take, and what it says to junk.

What arrives is bounded before any of it is understood: the parser limits lines, fields and their number, a connection
on which no whole request arrives is closed, and of requests sent ahead of their answers only a few are read.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import Transport
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from engine.http.incoming import UNKNOWN, Incoming, Memory, understood
from engine.http.operating import Answer
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


class Listener(web.Server):
    """Takes connections for one process and hands their requests to `door`, or to one of `operating` by its path."""

    def __init__(
        self,
        door: Callable[[Incoming], Awaitable[web.StreamResponse | Written]],
        operating: Mapping[str, Answer],
        settings: Settings,
        closing: Callable[[], None],
    ) -> None:
        super().__init__(
            self._answer,  # type: ignore[arg-type]
            access_log=None,
            keepalive_timeout=settings.idle_timeout_s,
            max_line_size=_LINE_BYTES_MAX,
            max_field_size=_LINE_BYTES_MAX,
            max_headers=_HEADERS_MAX,
            # as in pretix nobody unpacks bodies: a small one could swell to anything
            auto_decompress=False,
        )
        self.door = door
        self.operating = operating
        self.memory = Memory()
        self._connections_max = settings.connections_max
        self._closing = closing
        self.parting = False
        """From now on each answer is the last one on its connection, and says so."""

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse | Written:
        """Answer a request that aiohttp's own loop has taken."""
        own = self.operating.get(request.path)
        if own is not None:
            return await own(request)
        return await self.door(understood(request._message, request.content, request.protocol))

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

    __slots__ = ("_known", "_listener", "_owed")

    def __init__(self, listener: Listener, **options: Any) -> None:
        super().__init__(listener, **options)
        self._listener = listener
        self._known: Incoming | None = None
        """A request that has arrived without the parser, before any that the parser has read."""
        self._owed = 0
        """Bytes that end the request which the parser has begun; 0 if what comes next begins one, or UNKNOWN."""

    def data_received(self, data: bytes) -> None:
        """Take what has arrived: mostly one whole request with a head that came before, else it is for the parser."""
        if not data:  # aiohttp has the parser go on with what it has kept, and nothing has arrived
            super().data_received(data)
            return
        if self._owed or self._messages or self._known or self._close or self._force_close:
            self._parse(data)
            return
        self._known = self._listener.memory.request(data, self)
        if self._known is None:
            self._parse(data)
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _parse(self, data: bytes) -> None:
        """Have the parser read `data`, and note how much it waits for."""
        before = len(self._messages)
        super().data_received(data)
        if self._owed > 0:
            self._owed = self._owed - len(data) if len(data) <= self._owed else UNKNOWN
        elif self._owed == 0:
            one = len(self._messages) == before + 1
            self._owed = self._listener.memory.learn(data, self._messages[-1][0]) if one else UNKNOWN

    async def start(self) -> None:
        """Answer requests one after the other. Whoever sends what is not HTTP, or too much ahead, is left to aiohttp.

        aiohttp's own loop makes a task for each request, which is a fifth of what an availability read costs.
        """
        listener = self._listener
        try:
            while not self._force_close:
                request = self._known
                if request is not None:
                    self._known = None
                elif not self._messages:
                    await self._arrival()
                    continue
                elif self._buffer_paused or not isinstance(self._messages[0][0], RawRequestMessage):
                    await super().start()
                    continue
                else:
                    request = self._read()
                listener.requests_count += 1
                if listener.parting:
                    request.keep_alive = False
                own = listener.operating.get(request.line.path)
                if not await (self._answered(request) if own is None else self._operated(request, own)):
                    break
                if not request.content.is_eof():
                    await self._hear_out(request.content)
                if self._close:
                    break
                self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
                if self._keepalive_handle is None:
                    self._keepalive_handle = self._loop.call_at(
                        self._next_keepalive_close_time, self._process_keepalive
                    )
        finally:
            self.force_close()

    async def _arrival(self) -> None:
        """Wait for the next request."""
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _read(self) -> Incoming:
        """Return the next request that the parser has read."""
        message, content = self._messages.popleft()
        assert isinstance(message, RawRequestMessage)
        assert self._parser is not None
        self._parser.message_consumed()
        return understood(message, content, self)

    async def _answered(self, request: Incoming) -> bool:
        """Answer a request; False if none shall follow it."""
        self._request_in_progress = True
        self._current_request = request  # type: ignore[assignment]
        try:
            answer = await self._listener.door(request)
            if isinstance(answer, Written):
                if self.transport is None:
                    return False
                self.transport.write(answer.sent)
                if self._paused:
                    await self._drain_helper()
                return True
            _, gone = await super().finish_response(request.plain(), answer, None)
            return not gone and bool(answer.keep_alive)
        except ConnectionError:
            return False
        finally:
            self._current_request = None
            self._request_in_progress = False
            if self._handler_waiter is not None:
                self._handler_waiter.set_result(None)

    async def _operated(self, request: Incoming, answer: Answer) -> bool:
        """Have a request answered that is none of the API's; False if none shall follow it."""
        try:
            done, gone = await self._handle_request(request.plain(), None, answer)
        except ConnectionError:
            return False
        return not gone and bool(done.keep_alive)

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
