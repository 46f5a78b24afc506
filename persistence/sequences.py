"""Blocks of ids, leased from Postgres' sequences."""

from __future__ import annotations

from persistence.database import Database, Session
from persistence.queries import Queries

_SQL = Queries("sequences")
BLOCK = {"order_ids": 1000, "position_ids": 1000, "fee_ids": 1000, "checkin_ids": 1000, "hold_ids": 10000}
"""Size of a block of each sequence: its INCREMENT in schema.sql."""


async def lease(database: Database | Session, sequence: str) -> int:
    """Return the first id of a fresh block of `sequence`; the block is BLOCK[sequence] long."""
    row = await database.row(_SQL[sequence])
    assert row is not None
    return int(row["first"])


async def skip(session: Session) -> None:
    """Leave out blocks that somebody may have been given already: Postgres has come back as it was some time ago."""
    await session.row(_SQL["skip"])


async def reserved_numbers(database: Database, first: int, last: int) -> frozenset[int]:
    """Return the order ids from `first` to `last` whose codes clients have claimed for themselves."""
    rows = await database.rows(_SQL["reserved"], {"first": first, "last": last})
    return frozenset(int(row["number"]) for row in rows)


async def order_number_leased(database: Database, number: int) -> bool:
    """Tell whether an order id is in a block that some process has been given."""
    row = await database.row(_SQL["order_ids_leased"], {"number": number})
    return bool(row and row["leased"])


async def code_key(database: Database) -> bytes:
    """Return the installation's key for order codes: 16 bytes."""
    row = await database.row(_SQL["code_key"])
    assert row is not None
    return bytes(row["code_key"])
