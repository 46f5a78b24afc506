"""From when on a client has to ask for what a list does not show yet (docs/decisions/0004-lists-and-sync.md)."""

from __future__ import annotations

from datetime import datetime

from persistence.database import Session
from persistence.queries import Queries

_SQL = Queries("horizon")


async def horizon(session: Session) -> datetime:
    """Return a moment not after the `stored_at` of anything that the session's next statement does not see.

    By the clock of Postgres, and now unless orders are being written at this moment.
    """
    row = await session.row(_SQL["horizon"])
    assert row is not None
    moment: datetime = row["horizon"]
    return moment
