"""The watermark of each shard: how far Postgres has followed Redis, and by whose word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import psycopg
from msgspec import Struct

from engine.domain.errors import Fenced
from persistence.database import Database, Row, Session
from persistence.queries import Queries

_SQL = Queries("outbox")

DRAIN_LOCK = "holdfast drain"
"""The advisory lock that elects the drain."""
SILENCE_S = 10
"""A drain, or who verifies, asks something each second. Who is silent for this long has stopped, and must keep nobody
waiting."""

EntryId = tuple[int, int]
"""A stream id as numbers: (ms, sequence)."""

NO_EPOCH = 0
"""Told where an entry was parked: who waits there sees an epoch that is not his own, and looks for himself."""


class Mark(Struct, frozen=True):
    """Where a shard stands in Postgres: `last` is the outbox entry written last.

    `parked` if one of those before it was put aside lately, and is not written at all.
    """

    shard: int
    epoch: int
    last: EntryId
    parked: bool = False

    @property
    def told_epoch(self) -> int:
        """The epoch to tell those who wait: NO_EPOCH if not all of them have got what they wait for."""
        return NO_EPOCH if self.parked else self.epoch


def _mark(row: Row) -> Mark:
    return Mark(row["shard"], row["epoch"], (row["last_ms"], row["last_seq"]), row.get("parked", False))


async def marks(database: Database | Session) -> dict[int, Mark]:
    """Return the marks of all shards by shard."""
    return {row["shard"]: _mark(row) for row in await database.rows(_SQL["shards"])}


async def raise_epochs(database: Database | Session, shards: Sequence[int]) -> dict[int, Mark]:
    """Raise the epoch of `shards`, so that no drain can write by the old one; return their new marks."""
    rows = await database.rows(_SQL["raise_epochs"], {"shards": list(shards)})
    return {row["shard"]: _mark(row) for row in rows}


async def require(session: Session) -> None:
    """Raise Fenced unless Postgres still knows the session, and with it the locks that it holds."""
    await session.row(_SQL["require"])


async def depose(database: Database | Session, name: str) -> None:
    """End the session of whoever has a lock and has stopped: a drain, or who verifies."""
    await database.rows(_SQL["depose"], {"name": name, "silence_s": SILENCE_S})


@asynccontextmanager
async def beating(session: Session) -> AsyncIterator[None]:
    """Ask something now and then as long as the block lasts, so that nobody takes the session for one that stopped."""
    done = asyncio.Event()
    beat = asyncio.create_task(_beat(session, done))
    try:
        yield
    finally:
        done.set()
        await beat


async def _beat(session: Session, done: asyncio.Event) -> None:
    while not done.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), SILENCE_S / 10)
            return
        # whoever works with the session finds out himself that it is lost
        with suppress(Fenced, psycopg.Error):
            await require(session)


async def parked(database: Database) -> int:
    """Return how many entries were put aside."""
    row = await database.row(_SQL["parked"])
    return int(row["parked"]) if row else 0


async def all_events(database: Database | Session) -> list[Row]:
    """Return id, organizer_id, organizer (slug) and slug of every event."""
    return await database.rows(_SQL["all_events"])


async def fix_shards(database: Database, shards: int) -> int:
    """Record the installation's number of shards the first time; return the recorded one."""
    row = await database.row(_SQL["fix_shards"], {"shards": shards})
    assert row is not None
    return int(row["shards"])


@asynccontextmanager
async def try_lock(database: Database, name: str) -> AsyncIterator[Session | None]:
    """Yield a session that holds the advisory lock `name`, or None if another process has it."""
    async with database.session() as session:
        row = await session.row(_SQL["lock_try"], {"name": name})
        if not (row and row["got"]):
            yield None
            return
        try:
            yield session
        finally:
            if not session.connection.closed:
                await session.run(_SQL["unlock"], {"name": name})
