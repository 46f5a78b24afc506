"""Quotas as Postgres keeps them. Whether one is closed is known first to Redis; here is a client's last word on it."""

from __future__ import annotations

from typing import Any

from persistence.database import Row, Session
from persistence.queries import Queries
from persistence.resources import jsonb

_SQL = Queries("quotas")


async def add(session: Session, event_id: int, values: dict[str, Any]) -> int:
    """Keep a new quota (all fields by name) and return its id."""
    row = await session.row(_SQL["add"], {**values, "extra": jsonb(values["extra"]), "event_id": event_id})
    assert row is not None
    return int(row["id"])


async def one(session: Session, event_id: int, quota_id: int) -> Row | None:
    return await session.row(_SQL["one"], {"event_id": event_id, "id": quota_id})


async def replace(session: Session, event_id: int, quota_id: int, values: dict[str, Any]) -> None:
    """Change a quota's fields, all but `closed`."""
    await session.run(
        _SQL["replace"], {**values, "extra": jsonb(values["extra"]), "event_id": event_id, "id": quota_id}
    )


async def set_closed(session: Session, event_id: int, quota_id: int, closed: bool) -> None:
    """Keep a client's word on `closed`, with the event version that this transaction has made."""
    await session.run(_SQL["set_closed"], {"closed": closed, "event_id": event_id, "id": quota_id})


async def remove(session: Session, event_id: int, quota_id: int) -> bool:
    """Delete a quota; return whether there was one."""
    return await session.run(_SQL["remove"], {"event_id": event_id, "id": quota_id}) > 0
