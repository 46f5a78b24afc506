"""What whoever looks after an installation wants to know of Postgres."""

from __future__ import annotations

from msgspec import Struct

from persistence import outbox, reconciliation
from persistence.database import Database
from persistence.outbox import Mark
from persistence.queries import Queries

_SQL = Queries("operating")


class State(Struct, frozen=True):
    """`parked` counts entries, `differences` what differs between the stores, by rule, `compared` events so far.

    `dead` counts by kind (mail, webhook) and organizer, `marks` are the shards' watermarks."""

    parked: int
    differences: dict[str, int]
    compared: int
    dead: dict[tuple[str, int], int]
    marks: dict[int, Mark]


async def here(database: Database) -> None:
    """Return if Postgres answers. Raises Fenced."""
    await database.row(_SQL["here"])


async def state(database: Database) -> State:
    """Return what there is to look at."""
    async with database.session() as session:
        found = await session.row(_SQL["parked"])
        progress = await reconciliation.progress(session)
        dead = await session.rows(_SQL["dead"])
        return State(
            parked=found["parked"] if found else 0,
            differences=progress.differences,
            compared=progress.compared,
            dead={(row["kind"], row["organizer_id"]): row["dead"] for row in dead},
            marks=await outbox.marks(session),
        )
