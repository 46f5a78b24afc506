"""How far Postgres has followed, and who waits for it.

A drain announces each transaction in one message: `shard=id@epoch` for every shard it moved. Whoever committed an
order waits here until the announced id has reached his entry. If no word comes, the watermark is read from Postgres.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from hiredis import pack_command
from msgspec import Struct
from redis.asyncio.connection import Connection, ConnectionPool
from redis.exceptions import RedisError

from engine.domain.errors import HoldfastError
from engine.ledger import keys
from engine.ledger.values import Committed
from engine.ledger.wire import Wire, close
from persistence import outbox
from persistence.database import Database

log = logging.getLogger("holdfast.watermark")

_SILENCE_S = 0.25
"""A waiter older than this makes us look at Postgres; an announcement takes a few milliseconds when all is well."""

_WORDS: tuple[Any, ...] = ("SUBSCRIBE", keys.DRAINED_CHANNEL)
_SUBSCRIBE = pack_command(_WORDS)


class _Waiter(Struct):
    committed: Committed
    future: asyncio.Future[bool]
    since: float
    deadline: float


class Watermark:
    """The waiting room of one process."""

    def __init__(self, url: Callable[[], str], database: Database) -> None:
        self._url = url
        self._database = database
        self._waiters: dict[int, deque[_Waiter]] = {}
        self._heard_last: dict[int, tuple[tuple[int, int], int]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._wanted = asyncio.Event()
        """Set once somebody has use for the word of the drain: who hears it pays for each transaction."""

    async def open(self, *, listen: bool) -> None:
        """Begin: `listen` at once, or when the first one waits, who may then wait a little longer."""
        self._loop = asyncio.get_running_loop()
        if listen:
            self._wanted.set()
        self._tasks = [asyncio.create_task(work()) for work in (self._listen, self._look, self._time_out)]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def wait(self, committed: Committed, timeout_s: float) -> bool:
        """Wait until Postgres has passed the entry.

        Return True when it is certain that the entry is written, False when the epoch changed meanwhile, or an entry of
        the shard was parked: then only the order itself can tell. Raises TimeoutError.
        """
        entry, epoch = self._heard_last.get(committed.shard, ((0, 0), 0))
        if entry >= committed.entry:
            # the word came before its waiter: a drain can be quicker than one turn of this loop
            return epoch == committed.epoch
        if not self._wanted.is_set():
            self._wanted.set()
        now = self._loop.time()
        waiter = _Waiter(committed, self._loop.create_future(), now, now + timeout_s)
        self._waiters.setdefault(committed.shard, deque()).append(waiter)
        return await waiter.future

    def reached(self, shard: int, entry: tuple[int, int], epoch: int) -> None:
        """Wake all who wait for entries of `shard` up to `entry`."""
        self._heard_last[shard] = max((entry, epoch), self._heard_last.get(shard, ((0, 0), 0)))
        waiters = self._waiters.get(shard)
        while waiters and waiters[0].committed.entry <= entry:
            waiter = waiters.popleft()
            if not waiter.future.done():
                waiter.future.set_result(waiter.committed.epoch == epoch)
        # after a change of epoch ids may have begun anew further on: nobody waits for an entry that is gone
        if waiters and waiters[0].committed.epoch < epoch:
            for waiter in waiters:
                if waiter.committed.epoch < epoch and not waiter.future.done():
                    waiter.future.set_result(False)
            self._waiters[shard] = deque(w for w in waiters if w.committed.epoch >= epoch)

    async def _listen(self) -> None:
        await self._wanted.wait()
        while True:
            # which node of a cluster carries it does not matter, but it has to be there
            connection: Connection = ConnectionPool.from_url(self._url()).make_connection()  # type: ignore[no-untyped-call]
            lost = self._loop.create_future()
            try:
                await connection.connect()  # type: ignore[no-untyped-call]
                wire = Wire(connection, self._told, lost.set_result)
                try:
                    wire.write(_SUBSCRIBE)
                    log.debug("not listening: %s", await lost)
                finally:
                    wire.close()
            except (RedisError, OSError) as error:
                log.debug("not listening: %s", error)
            finally:
                close(connection)
            await asyncio.sleep(_SILENCE_S)

    def _told(self, message: Any) -> None:
        if isinstance(message, list) and message[0] == b"message":
            self._heard(message[2])

    def _heard(self, data: bytes) -> None:
        for word in data.split():
            shard, _, rest = word.partition(b"=")
            entry, _, epoch = rest.partition(b"@")
            ms, _, sequence = entry.partition(b"-")
            self.reached(int(shard), (int(ms), int(sequence)), int(epoch))

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_SILENCE_S)
            old = self._loop.time() - _SILENCE_S
            if not any(waiters and waiters[0].since < old for waiters in self._waiters.values()):
                continue
            try:
                for mark in (await outbox.marks(self._database)).values():
                    self.reached(mark.shard, mark.last, mark.told_epoch)
            except HoldfastError as error:
                log.debug("cannot look at the watermark: %s", error)

    async def _time_out(self) -> None:
        """Tell those whose time is over. One timer for all of them costs less than one each."""
        while True:
            await asyncio.sleep(_SILENCE_S)
            self._give_up(self._loop.time())

    def _give_up(self, now: float) -> None:
        for shard, waiters in self._waiters.items():
            if waiters and waiters[0].deadline < now:
                for waiter in waiters:
                    if waiter.deadline < now and not waiter.future.done():
                        waiter.future.set_exception(TimeoutError())
                self._waiters[shard] = deque(waiter for waiter in waiters if not waiter.future.done())
