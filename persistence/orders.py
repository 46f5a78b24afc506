"""Orders in Postgres, read whole; persistence/outbox.py writes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from engine.domain.catalogue import Product
from engine.domain.order import Order, decode
from persistence.database import Database, Row, Session
from persistence.queries import Queries

_SQL = Queries("orders")


async def by_code(database: Database, organizer_id: int, event_id: int, code: str) -> Order | None:
    """Return an order of an event, or None."""
    row = await database.row(_SQL["by_code"], {"organizer_id": organizer_id, "event_id": event_id, "code": code})
    return decode(row["doc"]) if row else None


async def version(database: Database, order_id: int) -> int:
    """Return the version of an order, 0 if it is not there."""
    row = await database.row(_SQL["version"], {"id": order_id})
    return int(row["version"]) if row else 0


async def counts(database: Database | Session, event_id: int) -> dict[tuple[Product, str], int]:
    """Return the units of an event by product and status: n or p, and x for those of them that have left again."""
    found: Counter[tuple[Product, str]] = Counter()
    for row in await database.rows(_SQL["counts"], {"event_id": event_id}):
        product = row["item"], row["variation"], row["subevent"]
        found[product, row["status"]] += row["units"]
        if row["gone"]:
            found[product, "x"] += row["gone"]
    return found


async def voucher_uses(database: Database | Session, event_id: int) -> dict[int, tuple[int, int]]:
    """Return by voucher how often an event's orders use it, and for how many hundredths (engine.sales.orders.uses)."""
    rows = await database.rows(_SQL["voucher_uses"], {"event_id": event_id})
    return {row["voucher"]: (row["uses"], int(row["spent"] * 100)) for row in rows}


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
