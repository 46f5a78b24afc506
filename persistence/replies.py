"""Replies to requests with an idempotency key that made or changed an order: for when Redis has lost its own."""

from __future__ import annotations

from msgspec import Struct

from persistence.database import Database
from persistence.queries import Queries

_SQL = Queries("replies")


class StoredReply(Struct, frozen=True):
    """What was replied, and the fingerprint of the request."""

    request: str
    reply: bytes


async def find(database: Database, name: str) -> StoredReply | None:
    """Return the reply that was kept by a name, None if it was not or is too old."""
    row = await database.row(_SQL["find"], {"name": name})
    return StoredReply(row["request"], bytes(row["reply"])) if row else None


async def forget(database: Database) -> int:
    """Delete replies that have been kept long enough, some at a time; return how many."""
    return await database.run(_SQL["forget"])
