"""Ticket secrets that are or were blocked; persistence/outbox.py writes them with their orders."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from persistence.database import Database
from persistence.horizon import horizon
from persistence.queries import Queries

_SQL = Queries("blocked_secrets")


async def page(
    database: Database,
    event_id: int,
    offset: int,
    size: int,
    *,
    updated_since: datetime | None,
    blocked: bool | None,
) -> tuple[datetime, int, list[dict[str, Any]]]:
    """Return (horizon, count of all that match, one page of them), each with id, secret, blocked and updated."""
    values = {
        "event_id": event_id,
        "updated_since": updated_since,
        "blocked": blocked,
        "offset": offset,
        "size": size,
    }
    async with database.transaction() as session:
        since = await horizon(session)
        rows = await session.rows(_SQL["page"], values)
    fields = ("id", "secret", "blocked", "updated")
    found = [{name: row[name] for name in fields} for row in rows if row["id"] is not None]
    return since, rows[0]["count"], found
