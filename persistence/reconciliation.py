"""How far the comparison of Redis with Postgres has come, and what it has found."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from persistence.database import Database, Row, Session
from persistence.queries import Queries

_SQL = Queries("reconciliation")


class Difference(Struct, frozen=True):
    """A rule that does not hold between the stores, where, what it asks for, what was found, and why that may be."""

    rule: str
    place: str
    expected: str
    found: str
    cause: str


class Progress(Struct, frozen=True):
    """For metrics: how many comparisons there were of an event, and differences now, by rule."""

    compared: int
    differences: dict[str, int]


async def next_event(database: Database) -> Row | None:
    """Return the event (id, organizer_id, slug) whose turn it is, None when all have had theirs."""
    return await database.row(_SQL["next"])


async def end_round(database: Database) -> None:
    """Begin with the first event again."""
    await database.run(_SQL["round_ended"])


async def note(database: Database, event_id: int, differences: Iterable[Difference] | None) -> None:
    """Keep what an event's comparison found instead of what the last one did; None if it could not be compared."""
    compared = differences is not None
    async with database.transaction() as session:
        await session.run(
            _SQL["passed"], {"event_id": event_id, "compared": int(compared), "passed_over": int(not compared)}
        )
        if differences is None:
            return
        await session.run(_SQL["forget"], {"event_id": event_id})
        for one in differences:
            values = {"rule": one.rule, "place": one.place, "expected": one.expected, "found": one.found}
            await session.run(_SQL["note"], {"event_id": event_id, "cause": one.cause, **values})


async def progress(database: Database | Session) -> Progress:
    """Return how far it has come."""
    row = await database.row(_SQL["progress"])
    assert row is not None
    return Progress(**row)


async def parked(database: Database, shard: int) -> int:
    """Return how many entries of a shard were put aside."""
    row = await database.row(_SQL["parked"], {"shard": shard})
    return int(row["parked"]) if row else 0
