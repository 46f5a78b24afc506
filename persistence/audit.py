"""Questions about the books as Postgres has them, over all rows: for the audit, never for a sale."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from engine.domain.catalogue import Event
from engine.domain.order import Order, decode
from persistence import catalogue
from persistence.database import Database, Row, Session
from persistence.queries import Queries

_SQL = Queries("audit")


async def events(database: Database) -> AsyncIterator[Event]:
    """Yield every event, whole."""
    after = 0
    while rows := await database.rows(_SQL["events"], {"after": after}):
        for row in rows:
            after = row["id"]
            event = await catalogue.load_event(database, row["organizer_id"], row["slug"])
            if event is not None:
                yield event


async def reload(database: Database, event: Event) -> Event:
    """Return an event as it is by now; events are never deleted while they have been sold."""
    return await catalogue.load_event(database, event.organizer_id, event.slug) or event


async def voucher_limits(database: Database | Session, event_id: int) -> dict[int, int]:
    """Return by id how often each voucher of an event may be used."""
    rows = await database.rows(_SQL["voucher_limits"], {"event_id": event_id})
    return {row["id"]: row["max_usages"] for row in rows}


async def order_count(database: Database) -> int:
    """Return how many orders there are."""
    row = await database.row(_SQL["order_count"])
    return int(row["orders"]) if row else 0


async def orders(database: Database | Session, ids: Sequence[int]) -> dict[int, Order]:
    """Return orders by id."""
    rows = await database.rows(_SQL["versions"], {"ids": list(ids)})
    return {row["id"]: decode(row["doc"]) for row in rows}


async def torn(database: Database) -> list[Row]:
    """Return orders (code) whose columns or rows differ from their document."""
    return await database.rows(_SQL["torn"])


async def wrong_totals(database: Database) -> list[Row]:
    """Return orders (code, total, expected) whose total is not the sum of its parts."""
    return await database.rows(_SQL["wrong_totals"])


async def unpaid(database: Database) -> list[Row]:
    """Return paid orders (code, total, received) whose payments do not cover the total."""
    return await database.rows(_SQL["unpaid"])


async def not_refunded(database: Database) -> list[Row]:
    """Return refunded payments (code, local_id, amount, back) whose refunds do not make up all of them."""
    return await database.rows(_SQL["not_refunded"])


async def invoice_gaps(database: Database) -> list[Row]:
    """Return series of invoices (prefix, last, issued) that lack a number."""
    return await database.rows(_SQL["invoice_gaps"])


async def uncanceled(database: Database) -> list[Row]:
    """Return invoices (number, billed, taken_back) that are not canceled as they say."""
    return await database.rows(_SQL["uncanceled"])
