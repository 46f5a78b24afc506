"""Check-in lists as scans need them, and how many tickets they have seen."""

from __future__ import annotations

from collections.abc import Sequence

from engine.domain.checkins import CheckinList
from persistence.database import Database, Session
from persistence.queries import Queries

_SQL = Queries("checkin_lists")


async def one(database: Database, event_id: int, list_id: int) -> CheckinList | None:
    """Return a check-in list of an event, or None."""
    row = await database.row(_SQL["one"], {"event_id": event_id, "id": list_id})
    if row is None:
        return None
    body = row["body"]
    return CheckinList(
        id=row["id"],
        name=body["name"],
        all_products=body["all_products"],
        limit_products=frozenset(body["limit_products"]),
        subevent=body["subevent"],
        include_pending=body["include_pending"],
        allow_multiple_entries=body["allow_multiple_entries"],
        allow_entry_after_exit=body["allow_entry_after_exit"],
    )


async def place_of(database: Database, event_id: int, position_id: int | None, secret: str) -> tuple[str, int] | None:
    """Return (code of its order, id) of the position with an id or else a secret, or None."""
    row = await database.row(_SQL["place"], {"event_id": event_id, "id": position_id, "secret": secret})
    return (row["code"], row["id"]) if row else None


async def counts(session: Session, event_id: int, list_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """Return by list `position_count`, of tickets that it is for, and `checkin_count`, of those that came in."""
    rows = await session.rows(_SQL["counts"], {"event_id": event_id, "ids": list(list_ids)})
    return {row["id"]: {"position_count": row["position_count"], "checkin_count": row["checkin_count"]} for row in rows}
