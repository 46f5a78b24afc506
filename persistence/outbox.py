"""The watermark of each shard: how far Postgres has followed Redis, and by whose word."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from msgspec import Struct

from persistence.database import Database, Row, Session
from persistence.queries import Queries

_SQL = Queries("outbox")
_ORDERS = Queries("orders")

EntryId = tuple[int, int]
"""A stream id as numbers: (ms, sequence)."""


class Mark(Struct, frozen=True):
    """Where a shard stands in Postgres: `last` is the outbox entry written last."""

    shard: int
    epoch: int
    last: EntryId


class Step(Struct, frozen=True):
    """One shard's move from the entry last written to a newer one, under the epoch that the drain knows."""

    shard: int
    epoch: int
    old: EntryId
    new: EntryId


def _mark(row: Row) -> Mark:
    return Mark(row["shard"], row["epoch"], (row["last_ms"], row["last_seq"]))


async def marks(database: Database | Session) -> dict[int, Mark]:
    """Return the marks of all shards by shard."""
    return {row["shard"]: _mark(row) for row in await database.rows(_SQL["shards"])}


async def raise_epochs(database: Database | Session, shards: Sequence[int]) -> dict[int, Mark]:
    """Raise the epoch of `shards`, so that no drain can write by the old one; return their new marks."""
    rows = await database.rows(_SQL["raise_epochs"], {"shards": list(shards)})
    return {row["shard"]: _mark(row) for row in rows}


class Moved(Exception):
    """A watermark or an epoch is not where the drain thinks it is: somebody else was at work. Nothing was written."""


class Unwritable(Exception):
    """Postgres refuses a document. Nothing was written."""


async def write(
    database: Database,
    steps: Sequence[Step],
    documents: Sequence[bytes],
    closed: Mapping[int, int],
    allowances: Mapping[int, int],
) -> None:
    """Write a batch in one transaction and one round trip: watermarks, orders, what quotas have learned.

    `documents` has at most one document an order. `closed` maps quotas that closed themselves to the version of the
    client's last word on it, `allowances` maps quotas to the units beyond their size that somebody has allowed.
    Raises Moved, Unwritable, Fenced.
    """
    writes: list[tuple[str, dict[str, Any]]] = []
    if documents:
        writes.append((_ORDERS["upsert"], {"docs": (b"[" + b",".join(documents) + b"]").decode()}))
    if closed:
        writes.append((_SQL["close_quotas"], {"ids": list(closed), "words": list(closed.values())}))
    if allowances:
        writes.append((_SQL["allow"], {"ids": list(allowances), "units": list(allowances.values())}))
    await _transact(database, steps, writes)


async def park(database: Database, step: Step, entry: str, body: str, error: str) -> None:
    """Put an entry aside that cannot be written, and go past it. Raises Moved, Fenced."""
    values = {"shard": step.shard, "entry": entry, "body": body, "error": error}
    await _transact(database, [step], [(_SQL["park"], values)])


async def _transact(database: Database, steps: Sequence[Step], writes: Sequence[tuple[str, dict[str, Any]]]) -> None:
    advance: dict[str, list[int]] = {
        "shards": [step.shard for step in steps],
        "epochs": [step.epoch for step in steps],
        "old_ms": [step.old[0] for step in steps],
        "old_seq": [step.old[1] for step in steps],
        "new_ms": [step.new[0] for step in steps],
        "new_seq": [step.new[1] for step in steps],
    }
    try:
        async with database.session() as session, session.connection.pipeline(), session.connection.transaction():
            for sql, values in [(_SQL["advance"], advance), *writes]:
                await session.connection.execute(sql, values)
    except psycopg.errors.DivisionByZero as error:
        raise Moved from error
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise Unwritable(str(error)) from error


async def parked(database: Database) -> int:
    """Return how many entries were put aside."""
    row = await database.row(_SQL["parked"])
    return int(row["parked"]) if row else 0


async def all_events(database: Database | Session) -> list[Row]:
    """Return organizer_id, organizer (slug) and slug of every event."""
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
