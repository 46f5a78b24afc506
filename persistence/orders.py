"""Orders in Postgres, read whole; persistence/outbox.py writes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from msgspec import Struct

from engine.domain.catalogue import Product
from engine.domain.order import Order, decode
from persistence.database import Database, Row, Session
from persistence.queries import Queries

_SQL = Queries("orders")

_MOST = 50_000
"""Positions counted by one query: about a tenth of a second."""


class Taken(Struct, frozen=True):
    """What the orders of an event take: `units` by product and status, n or p, and x for those of them that have left
    again; by voucher how often orders use it, and for how many hundredths (engine.sales.taken.uses).
    """

    units: dict[tuple[Product, str], int]
    vouchers: dict[int, tuple[int, int]]


async def by_code(database: Database, organizer_id: int, event_id: int, code: str) -> Order | None:
    """Return an order of an event, or None."""
    row = await database.row(_SQL["by_code"], {"organizer_id": organizer_id, "event_id": event_id, "code": code})
    return decode(row["doc"]) if row else None


async def id_of(session: Session, event_id: int, code: str) -> int | None:
    """Return the id of an order of an event, or None."""
    row = await session.row(_SQL["id_of"], {"event_id": event_id, "code": code})
    return row["id"] if row else None


async def version(database: Database, order_id: int) -> int:
    """Return the version of an order, 0 if it is not there."""
    row = await database.row(_SQL["version"], {"id": order_id})
    return int(row["version"]) if row else 0


async def versions(session: Session, ids: Sequence[int]) -> dict[int, int]:
    """Return the versions of orders by id, without those that are not there."""
    return {row["id"]: row["version"] for row in await session.rows(_SQL["versions"], {"ids": list(ids)})}


async def deleted(session: Session, ids: Sequence[int]) -> set[int]:
    """Return which of these orders were deleted."""
    return {row["id"] for row in await session.rows(_SQL["deleted"], {"ids": list(ids)})}


async def position_counts(source: Database | Session, event_ids: Sequence[int]) -> dict[int, int]:
    """Return how many positions events have, canceled ones too; nothing of those that have none."""
    rows = await source.rows(_SQL["position_counts"], {"event_ids": list(event_ids)})
    return {row["event_id"]: row["positions"] for row in rows}


async def taken(
    source: Database | Session, event_id: int, tell: Callable[[int], object] = lambda read: None, *, most: int = _MOST
) -> Taken:
    """Return what the orders of an event take; `tell` is told of positions read, about `most` at a time.

    Not in one go: the answer to one question may not take long (persistence/database.py).
    """
    units: Counter[tuple[Product, str]] = Counter()
    uses: Counter[int] = Counter()
    spent: Counter[int] = Counter()
    since = "-infinity"
    while since != "infinity":
        row = await source.row(_SQL["stretch"], {"event_id": event_id, "since": since, "positions": most})
        until = row["until"] if row else "infinity"
        values = {"event_id": event_id, "since": since, "until": until}
        kinds = await source.rows(_SQL["taken"], values)
        for kind in kinds:
            if kind["canceled"] or kind["status"] == "c":
                continue
            status, voucher, standing = kind["status"], kind["voucher"], kind["status"] != "e"
            if standing:
                product = kind["item"], kind["variation"], kind["subevent"]
                units[product, status] += kind["units"]
                if kind["gone"]:
                    units[product, "x"] += kind["gone"]
            if voucher is not None:
                uses[voucher] += kind["units"]
                spent[voucher] += int(kind["spent"] * 100) if standing else 0
        tell(sum(kind["units"] for kind in kinds))
        since = until
    return Taken(units, {voucher: (count, spent[voucher]) for voucher, count in uses.items()})


async def expired(database: Database, most: int) -> list[Row]:
    """Return pending orders whose time has passed: id, code, event (slug) and organizer_id, oldest first."""
    return await database.rows(_SQL["expired"], {"most": most})


async def claim(database: Database, scope: str, owner_id: int, value: str, order_id: int) -> bool:
    """Claim a code or secret for an order; tell whether it was free."""
    values = {"scope": scope, "owner_id": owner_id, "value": value, "order_id": order_id}
    return await database.row(_SQL["claim"], values) is not None


async def unclaim(database: Database, order_id: int) -> None:
    """Give back what an order claimed that did not come to be."""
    await database.run(_SQL["unclaim"], {"order_id": order_id})


async def code_used(database: Database, organizer_id: int, code: str) -> bool:
    """Tell whether an order of the organizer has this code."""
    return await database.row(_SQL["code_used"], {"organizer_id": organizer_id, "code": code}) is not None


async def secrets_used(database: Database, event_id: int, secrets: Sequence[str]) -> frozenset[str]:
    """Return which of these ticket secrets the event has already."""
    rows = await database.rows(_SQL["secrets_used"], {"event_id": event_id, "secrets": list(secrets)})
    return frozenset(row["secret"] for row in rows)


async def code_of_position(database: Database, event_id: int, position_id: int) -> str | None:
    """Return the code of the order that a position belongs to, or None."""
    row = await database.row(_SQL["code_of_position"], {"event_id": event_id, "id": position_id})
    return row["code"] if row else None
