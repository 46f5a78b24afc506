"""Invoices in Postgres: issued under one lock an organizer, numbered as they are written, drawn later."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from engine.domain import order as orders
from engine.domain.invoice import Happening, Invoice, Names, decode, encode
from engine.domain.invoicing import Issued
from engine.domain.order import Order
from persistence.database import Database, Row, Session
from persistence.queries import Queries

_SQL = Queries("invoices")
_LISTS = Queries("order_lists")

ORDERINGS = frozenset(sign + field for sign in ("", "-") for field in ("nr", "date"))


class Wanted(Struct, frozen=True, kw_only=True):
    """Which invoices to list: all conditions that are not None must hold. `events` are slugs that may be seen."""

    organizer_id: int
    event_id: int | None = None
    events: list[str] | None = None
    order: str | None = None
    number: str | None = None
    refers: str | None = None
    locale: str | None = None
    is_cancellation: bool | None = None
    ordering: str = "nr"


class Watched(Struct, frozen=True):
    """An event of which some orders have not been looked at yet."""

    id: int
    slug: str
    organizer_id: int


class Mark(Struct, frozen=True):
    """The last order of an event that was looked at; `since` is when making invoices unasked began, if it did."""

    seen_at: dt.datetime
    seen_id: int
    since: dt.datetime | None = None


class Number(Struct, frozen=True):
    """A number: its place in a series, as it is written."""

    text: str
    series: str
    place: int


class Undrawn(Struct, frozen=True):
    id: int
    number: str
    body: str


# -------------------------------------------------------------------------------------------------------------- reading


async def page(database: Database, wanted: Wanted, offset: int, size: int) -> tuple[int, list[tuple[str, Invoice]]]:
    """Return (count of all that match, one page of them with their numbers)."""
    async with database.transaction() as session:
        await session.run(_LISTS["plan_each_call"])
        rows = await session.rows(_SQL["page"], {**asdict(wanted), "offset": offset, "size": size})
    return rows[0]["count"], [(row["number"], decode(row["body"])) for row in rows if row["body"] is not None]


async def one(source: Database | Session, event_id: int, number: str) -> Issued | None:
    row = await source.row(_SQL["one"], {"event_id": event_id, "number": number})
    return _issued(row) if row else None


async def of_orders(session: Session, order_ids: Iterable[int]) -> dict[int, list[Issued]]:
    """Return the invoices of each order, in the order they were issued."""
    found: dict[int, list[Issued]] = {order_id: [] for order_id in order_ids}
    for row in await session.rows(_SQL["of_orders"], {"order_ids": list(found)}):
        found[row["order_id"]].append(_issued(row))
    return found


async def file(database: Database, event_id: int, number: str) -> tuple[bool, bytes | None]:
    """Return whether there is such an invoice, and its file, None if it has not been drawn yet."""
    row = await database.row(_SQL["file"], {"event_id": event_id, "number": number})
    return row is not None, row["pdf"] if row else None


async def names(source: Database | Session, event_id: int, sold: Sequence[Order]) -> Names:
    """Return what the things in some orders of an event are called now."""
    positions = [position for order in sold for position in order.positions]
    rules = {position.tax_rule for position in positions} | {fee.tax_rule for order in sold for fee in order.fees}
    row = await source.row(
        _SQL["names"],
        {
            "event_id": event_id,
            "items": list({position.item for position in positions}),
            "variations": _known(position.variation for position in positions),
            "subevents": _known(position.subevent for position in positions),
            "tax_rules": _known(rules),
        },
    )
    assert row is not None
    return Names(
        organizer=row["organizer"],
        event=_happening(row["body"]),
        items=_by_id(row["items"]),
        variations=_by_id(row["variations"]),
        tax_rules=_by_id(row["tax_rules"]),
        dates={int(key): _happening(body) for key, body in row["subevents"].items()},
    )


def _known(ids: Iterable[int | None]) -> list[int]:
    return list({one for one in ids if one is not None})


def _by_id(rows: dict[str, dict[str, str | None] | None]) -> dict[int, Any]:
    return {int(key): text or {} for key, text in rows.items()}


def _happening(body: dict[str, Any]) -> Happening:
    return Happening(body["name"], body["location"] or {}, _moment(body["date_from"]), _moment(body["date_to"]))


def _moment(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None


def _issued(row: Row) -> Issued:
    return Issued(
        id=row["id"],
        order_id=row["order_id"],
        order_code=row["order_code"],
        order_version=row["order_version"],
        number=row["number"],
        canceled=row["canceled"],
        date=row["date"],
        issued_at=row["issued_at"],
        content=decode(row["body"]),
    )


# -------------------------------------------------------------------------------------------------------------- issuing


async def lock(session: Session, organizer_id: int) -> None:
    """Keep others from issuing invoices of an organizer until the transaction ends."""
    await session.run(_SQL["lock"], {"organizer_id": organizer_id})


async def order(session: Session, organizer_id: int, event_id: int, code: str) -> Order | None:
    """Return an order as Postgres has it, or None."""
    values = {"organizer_id": organizer_id, "event_id": event_id, "code": code}
    row = await session.row(_SQL["order"], values)
    return orders.decode(row["doc"]) if row else None


async def next_number(session: Session, organizer_id: int, series: str) -> int:
    """Take the next number of a series; it is free again if the transaction fails."""
    row = await session.row(_SQL["next_number"], {"organizer_id": organizer_id, "prefix": series})
    assert row is not None
    return int(row["last"])


async def number_used(session: Session, organizer_id: int, number: str) -> bool:
    return await session.row(_SQL["number_used"], {"organizer_id": organizer_id, "number": number}) is not None


async def add(session: Session, source: Order, number: Number, content: Invoice) -> None:
    """Keep a new invoice of an order, and ask for its file."""
    await session.run(
        _SQL["add"],
        {
            "organizer_id": source.organizer_id,
            "event_id": source.event_id,
            "order_id": source.id,
            "order_code": source.code,
            "order_version": source.version,
            "number": number.text,
            "series": number.series,
            "place": number.place,
            "is_cancellation": content.is_cancellation,
            "refers": content.refers,
            "date": content.date,
            "locale": content.locale,
            "body": encode(content),
        },
    )


async def cancel(session: Session, invoice_id: int) -> None:
    """Note that an invoice has been canceled; the one that cancels it is added besides."""
    await session.run(_SQL["cancel"], {"id": invoice_id})


async def rewrite(session: Session, invoice_id: int, content: Invoice, version: int) -> None:
    """Replace what an invoice says, and ask for its file again."""
    values = {"id": invoice_id, "body": encode(content), "locale": content.locale, "order_version": version}
    await session.run(_SQL["rewrite"], values)


# ------------------------------------------------------------------------------------------------------------ following


async def begin(session: Session, event_id: int, since: dt.datetime) -> None:
    """Make invoices of an event without being asked, for what is placed or paid from `since` on."""
    await session.run(_SQL["begin"], {"event_id": event_id, "since": since})


async def watch(session: Session, event_id: int) -> None:
    """Look at what happens to the orders of an event from now on, if nobody does yet."""
    await session.run(_SQL["watch"], {"event_id": event_id})


async def watched(database: Database) -> list[Watched]:
    """Return the events of which orders have changed since they were looked at."""
    return [Watched(row["id"], row["slug"], row["organizer_id"]) for row in await database.rows(_SQL["watched"])]


async def mark(session: Session, event_id: int) -> Mark:
    """Return how far an event has been looked at, and keep others from looking until the transaction ends."""
    row = await session.row(_SQL["mark"], {"event_id": event_id})
    assert row is not None
    return Mark(row["seen_at"], row["seen_id"], row["since"])


async def since(session: Session, event_id: int) -> dt.datetime | None:
    """Return since when invoices of an event have been made without being asked for, None if never."""
    row = await session.row(_SQL["since"], {"event_id": event_id})
    return row["since"] if row else None


async def changed(session: Session, event_id: int, after: Mark, most: int) -> list[tuple[Mark, Order]]:
    """Return orders of an event after a mark, oldest first, each with the mark that it is at."""
    values = {"event_id": event_id, "seen_at": after.seen_at, "seen_id": after.seen_id, "most": most}
    rows = await session.rows(_SQL["changed"], values)
    return [(Mark(row["stored_at"], row["id"]), orders.decode(row["doc"])) for row in rows]


async def move(session: Session, event_id: int, to: Mark) -> None:
    """Move the mark of an event forward."""
    await session.run(_SQL["move"], {"event_id": event_id, "seen_at": to.seen_at, "seen_id": to.seen_id})


# ---------------------------------------------------------------------------------------------------------------- files


async def undrawn(database: Database, most: int) -> list[Undrawn]:
    """Return invoices whose files are to be drawn. They come again after a while unless `drawn`."""
    rows = await database.rows(_SQL["files_due"], {"most": most})
    return [Undrawn(row["id"], row["number"], row["body"]) for row in rows]


async def drawn(database: Database, invoice: Undrawn, pdf: bytes) -> None:
    """Keep a file, unless its invoice says something else by now."""
    await database.run(_SQL["file_drawn"], {"id": invoice.id, "body": invoice.body, "pdf": pdf})


async def not_drawn(database: Database, invoice: Undrawn, error: str) -> None:
    await database.run(_SQL["file_failed"], {"id": invoice.id, "error": error})
