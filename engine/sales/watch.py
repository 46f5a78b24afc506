"""What both stores say about the state of the installation, asked seldom, for all who want to know."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from msgspec import Struct
from redis.exceptions import RedisError

from engine.domain import clock
from engine.domain.errors import HoldfastError
from engine.ledger import keys
from engine.ledger.ledger import Ledger
from persistence import operating
from persistence.database import Database

log = logging.getLogger("holdfast.watch")

_PATIENCE_S = 1.0
"""How long anybody waits for a store here; then it counts as away."""
_HEALTH_FRESH_S = 0.5
_LEDGER_FRESH_S = 1.0
_BOOKS_FRESH_S = 5.0

T = TypeVar("T")


class Lag(Struct, frozen=True):
    """What waits in an outbox for Postgres: how many entries, and for how long the oldest has."""

    entries: int = 0
    seconds: float = 0.0


class LedgerState(Struct, frozen=True):
    """`lags` of the shards in which something waits; holds that take units, and expired ones that are still listed."""

    lags: dict[int, Lag]
    holds: int
    expired: int

    @property
    def lag(self) -> Lag:
        """All shards as one: entries in all, seconds of the oldest."""
        waiting = self.lags.values()
        return Lag(sum(lag.entries for lag in waiting), max((lag.seconds for lag in waiting), default=0.0))


class Health(Struct, frozen=True):
    """Whether each store can be used: `servers` are those of Redis, each ok, away or verifying."""

    postgres: bool
    servers: dict[str, str]
    shards_fenced: int

    @property
    def ready(self) -> bool:
        return self.postgres and all(state == "ok" for state in self.servers.values())


class Watch:
    """Asks the stores for one process, once for all who want to know at about the same time."""

    def __init__(self, ledger: Ledger, database: Database) -> None:
        self._ledger = ledger
        self._database = database
        self._postgres: _Shared[bool] = _Shared(self._here, _HEALTH_FRESH_S)
        self._servers: _Shared[dict[str, str]] = _Shared(self._ask_servers, _HEALTH_FRESH_S)
        self.ledger: _Shared[LedgerState] = _Shared(self._ledger_state, _LEDGER_FRESH_S)
        self.books: _Shared[operating.State] = _Shared(lambda: operating.state(database), _BOOKS_FRESH_S)

    async def health(self) -> Health:
        """Return whether this process can serve."""
        postgres, servers = await asyncio.gather(self._postgres.get(), self._servers.get())
        closed = self._ledger.fence.closed()
        told = {name: "away" if servers is None else servers.get(name, "away") for name in closed}
        nodes = self._ledger.nodes
        fenced = sum(len(nodes.shards(pipe)) for pipe in nodes.all() if told.get(pipe.name) != "ok")
        return Health(bool(postgres), told, fenced)

    async def lag(self, shard: int) -> Lag:
        """Return what waits in one shard. Raises Fenced."""
        return (await self._lags([shard])).get(shard, Lag())

    async def _here(self) -> bool:
        await operating.here(self._database)
        return True

    async def _ask_servers(self) -> dict[str, str]:
        pipes = self._ledger.nodes.all()
        answers = await asyncio.gather(
            *(asyncio.wait_for(p.call("PING"), _PATIENCE_S) for p in pipes), return_exceptions=True
        )
        closed = self._ledger.fence.closed()
        return {
            pipe.name: "away"
            if isinstance(answer, BaseException) or pipe.away
            else "verifying"
            if closed.get(pipe.name)
            else "ok"
            for pipe, answer in zip(pipes, answers, strict=True)
        }

    async def _ledger_state(self) -> LedgerState:
        nodes = self._ledger.nodes
        shards = [shard for pipe in nodes.all() if not pipe.away for shard in nodes.shards(pipe)]
        counts = await asyncio.gather(
            *(nodes.pipe(shard).call("ZCARD", key(shard)) for key in (keys.due, keys.purge) for shard in shards)
        )
        return LedgerState(await self._lags(shards), sum(counts[: len(shards)]), sum(counts[len(shards) :]))

    async def _lags(self, shards: list[int]) -> dict[int, Lag]:
        """Return what waits in those of some shards where anything does."""
        nodes = self._ledger.nodes
        lengths = await asyncio.gather(*(nodes.pipe(shard).call("XLEN", keys.outbox(shard)) for shard in shards))
        waiting = {shard: length for shard, length in zip(shards, lengths, strict=True) if length}
        oldest = await asyncio.gather(
            *(nodes.pipe(shard).call("XRANGE", keys.outbox(shard), "-", "+", "COUNT", 1) for shard in waiting)
        )
        now = clock.now().timestamp()
        return {
            shard: Lag(length, max(0.0, now - int(rows[0][0].partition(b"-")[0]) / 1000))
            for (shard, length), rows in zip(waiting.items(), oldest, strict=True)
            if rows
        }


class _Shared(Generic[T]):
    """An answer that is asked for once for all who want it, and again when it is older than `fresh_s`.

    A question is never cut off: it costs a store less to answer than to be interrupted.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]], fresh_s: float) -> None:
        self._ask = ask
        self._fresh_s = fresh_s
        self._answer: T | None = None
        self._at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def get(self) -> T | None:
        """Return the answer, None if there is no fresh one to be had."""
        if time.monotonic() - self._at > self._fresh_s:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._work())
            await asyncio.wait({self._asking}, timeout=_PATIENCE_S)
        return self._answer if time.monotonic() - self._at <= self._fresh_s + _PATIENCE_S else None

    async def _work(self) -> None:
        try:
            self._answer = await self._ask()
            self._at = time.monotonic()
        except (HoldfastError, RedisError, OSError) as error:
            self._answer = None
            log.debug("no answer: %s", error)
        except Exception:
            self._answer = None
            log.exception("no answer")
