"""One connection to Redis for a whole process, with everything that waits written in one go.

A call costs no round trip of its own: all calls made in one turn of the event loop go out in one write, answers come
back in order. redis-py's own Connection does the rest (address, authentication, TLS). Measured: 2.5 times the
throughput of one awaited call a request.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from hiredis import pack_command
from redis.asyncio.connection import Connection, ConnectionPool
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from engine.domain.errors import Fenced
from engine.ledger.wire import Wire, close
from engine.meters import METERS

log = logging.getLogger("holdfast.pipe")

WAITING_MAX = 20_000
"""Calls that may wait for an answer; more means Redis is not keeping up, and the front door says so (503)."""
UNSENT_BYTES_MAX = 64 * 1024 * 1024
"""And so many bytes of calls that it has not taken yet: calls are as large as the bodies of requests."""
ANSWER_TIMEOUT_S = 5.0
"""A server that is silent for this long is taken for dead; whether its last calls were done is then not known."""
_RECONNECT_S = 0.2


class Pipe:
    """Calls to one Redis server. Raises Fenced while it is away, or while it is a replica of another.

    `history` is the id that Redis gives to all that one master has written; whoever is promoted begins another.
    `name` is where it is, without user and password. `connections` counts those that there have been.
    `replaced` is called when a connection finds another history than the one before it.
    """

    def __init__(self, url: str, replaced: Callable[[Pipe], object] = lambda pipe: None) -> None:
        self.history = b""
        self.connections = 0
        self.name = _name(url)
        self._replaced = replaced
        self._pool = ConnectionPool.from_url(url)
        self._wire: Wire | None = None
        self._outgoing: list[bytes] = []
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._tasks: list[asyncio.Task[None]] = []
        self._cut = asyncio.Event()
        self._cut.set()
        self._closing = False
        self._clogged = False

    @property
    def away(self) -> bool:
        """Whether there is no connection now."""
        return self._wire is None

    async def open(self, *, wait: bool = True) -> None:
        """Connect. Raises Fenced if the server is not there, unless nobody waits for it: then it is tried on."""
        self._loop = asyncio.get_running_loop()
        try:
            await self._connect()
        except Fenced:
            if wait:
                raise
        self._tasks = [asyncio.create_task(self._reconnect()), asyncio.create_task(self._watch())]

    async def close(self) -> None:
        self._closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._drop("closing")

    def call(self, *args: Any) -> asyncio.Future[Any]:
        """Send one command; the future gets its answer, or ResponseError, or Fenced if the connection is lost."""
        loop = self._loop
        future: asyncio.Future[Any] = loop.create_future()
        if self._wire is None or len(self._waiting) >= WAITING_MAX or (self._clogged and self._unsent()):
            future.set_exception(Fenced(reason="Redis is away" if self._wire is None else "Redis is slow"))
            return future
        if not self._outgoing:
            loop.call_soon(self._flush)
        # redis-py's own asks Python for every argument, which costs six times as much
        self._outgoing.append(pack_command(args))
        self._waiting.append((future, loop.time()))
        return future

    def _flush(self) -> None:
        data, self._outgoing = self._outgoing, []
        if self._wire is not None and data:
            METERS.batch("redis", len(data))
            self._wire.write(b"".join(data))
            self._clogged = self._unsent()

    def _unsent(self) -> bool:
        """Tell whether Redis has too much to take already."""
        return self._wire is not None and self._wire.unsent_bytes() > UNSENT_BYTES_MAX

    async def _connect(self) -> None:
        connection: Connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await connection.connect()  # type: ignore[no-untyped-call]
                history = await _history(connection)
        except (RedisError, OSError, asyncio.IncompleteReadError) as error:
            close(connection)
            raise Fenced(reason=f"Redis: {error}") from error
        except Fenced:
            close(connection)
            raise
        self._outgoing = []
        self._clogged = False
        self._wire = Wire(connection, self._answered, self._drop)
        self._cut.clear()
        self.connections += 1
        before, self.history = self.history, history
        if before not in (b"", history):
            self._replaced(self)

    async def _reconnect(self) -> None:
        while True:
            await self._cut.wait()
            await asyncio.sleep(_RECONNECT_S)
            try:
                await self._connect()
                log.warning("connected to Redis again")
            except Fenced:
                pass

    def _answered(self, answer: Any) -> None:
        if isinstance(answer, RedisError) and not isinstance(answer, ResponseError):
            self._drop(str(answer) or type(answer).__name__)
        elif isinstance(answer, ReadOnlyError):
            # the name in our URL may lead to the new master by now; this connection never will
            self._drop("the server has become a replica")
        elif self._waiting:
            future, _ = self._waiting.popleft()
            if future.done():
                return
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(ANSWER_TIMEOUT_S / 5)
            if self._waiting and loop.time() - self._waiting[0][1] > ANSWER_TIMEOUT_S:
                self._drop(f"no answer for {ANSWER_TIMEOUT_S:g} s")

    def _drop(self, reason: str) -> None:
        """Give up the connection and tell everybody who waits. Their calls may or may not have been done."""
        wire, self._wire = self._wire, None
        if wire is not None:
            if not self._closing:
                log.warning("lost the connection to Redis: %s", reason)
            wire.close()
        self._cut.set()
        waiting, self._waiting = self._waiting, deque()
        for future, _ in waiting:
            if not future.done():
                future.set_exception(Fenced(reason=f"Redis: {reason}"))


class Pinned(Pipe):
    """A pipe for as long as its connection lasts: once that was cut, nothing is sent any more, connected again or not.

    What a process that has stood still goes on with when it wakes up then never gets anywhere.
    """

    def __init__(self, pipe: Pipe) -> None:
        self.name, self.history = pipe.name, pipe.history
        self._pipe = pipe
        self._number = pipe.connections

    @property
    def away(self) -> bool:
        """Whether its connection is gone."""
        return self._pipe.away or self._pipe.connections != self._number

    def call(self, *args: Any) -> asyncio.Future[Any]:
        """Send one command. The future gets Fenced once the connection is gone."""
        if not self.away:
            return self._pipe.call(*args)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.set_exception(Fenced(reason="the connection to Redis was cut"))
        return future


def _name(url: str) -> str:
    """Return what a server can be called where anybody may see it: host and port, or the name of its socket."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or unquote(parts.path).rpartition("/")[2]


async def _history(connection: Connection) -> bytes:
    """Return the id of a master's history. Raises Fenced if the server is a replica, and redis-py's errors."""
    await connection.send_command("INFO", "replication")
    told: bytes = await connection.read_response()
    facts = dict(line.split(b":", 1) for line in told.splitlines() if b":" in line)
    if facts.get(b"role") != b"master":
        raise Fenced(reason="Redis: the server is a replica")
    return facts[b"master_replid"]
