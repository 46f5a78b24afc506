"""Issuing invoices: asked for, or because of what has become of an order.

Whoever issues one holds the organizer's lock in Postgres, looks at the order and at its invoices as they are there, and
takes the number in the transaction that writes the invoice. So numbers have no gaps, whatever dies when, and an order
never has two invoices that stand.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from engine.domain import clock
from engine.domain.catalogue import Event
from engine.domain.errors import Fenced, Forbidden, Invalid, NotFound
from engine.domain.invoice import Invoice, Names, canceling, drafted
from engine.domain.invoicing import (
    CANCELED,
    EXISTS,
    FROZEN,
    NOT_POSSIBLE,
    Issued,
    automatic,
    billable,
    due,
    number,
    series_of,
    stands,
)
from engine.domain.order import Order
from engine.sales import orders
from engine.sales.house import House
from persistence import invoices as stored
from persistence.database import Session
from persistence.horizon import horizon

log = logging.getLogger("holdfast.invoices")

PAGE_MAX = 100
"""Orders looked at in one transaction: others who issue invoices of the same organizer wait for it."""


async def create(house: House, event: Event, code: str) -> tuple[str, Invoice]:
    """Issue the invoice of an order that has none; return its number and what it says.

    Raises NotFound, Invalid, and Fenced if Postgres does not have the order yet.
    """
    event = await house.catalogue.current(event)
    async with house.database.transaction() as session:
        await stored.lock(session, event.organizer_id)
        order = await stored.order(session, event.organizer_id, event.id, code)
        if order is not None and billable(order, event):
            # what is due anyway comes first, or an order of this moment would get two
            await _settle(session, event, [order], await stored.since(session, event.id))
            issued = (await stored.of_orders(session, [order.id]))[order.id]
            if not issued and stands(order):
                await stored.watch(session, event.id)
                return await _issue(session, event, order)
    if order is None:
        await orders.get(house, event, code)
        raise Fenced(reason="the order is not in Postgres yet")
    raise Invalid.detail(EXISTS if billable(order, event) and issued else NOT_POSSIBLE)


async def reissue(house: House, event: Event, invoice_number: str) -> None:
    """Cancel an invoice and issue a new one, if its order still stands. Raises NotFound, Invalid."""
    event = await house.catalogue.current(event)
    async with house.database.transaction() as session:
        await stored.lock(session, event.organizer_id)
        issued, order = await _unchanged(session, event, invoice_number)
        await _cancel(session, event, order, issued)
        if stands(order) and billable(order, event):
            await _issue(session, event, order)


async def regenerate(house: House, event: Event, invoice_number: str) -> None:
    """Write an invoice anew, under its number and date. Raises NotFound, Invalid, Forbidden unless that is allowed."""
    event = await house.catalogue.current(event)
    async with house.database.transaction() as session:
        await stored.lock(session, event.organizer_id)
        issued, order = await _unchanged(session, event, invoice_number)
        if event.settings["invoice_regenerate_allowed"] is not True:
            raise Forbidden(FROZEN)
        known = await stored.names(session, event.id, [order])
        content = replace(drafted(order, event, known, clock.now()), date=issued.date)
        await stored.rewrite(session, issued.id, content, order.version)


async def _unchanged(session: Session, event: Event, invoice_number: str) -> tuple[Issued, Order]:
    """Return an invoice that still stands, with its order. Raises NotFound, Invalid."""
    issued = await stored.one(session, event.id, invoice_number)
    if issued is None:
        raise NotFound("No Invoice matches the given query.")
    if issued.canceled or issued.content.is_cancellation:
        raise Invalid([CANCELED])
    order = await stored.order(session, event.organizer_id, event.id, issued.order_code)
    if order is None:
        raise NotFound("No Order matches the given query.")
    return issued, order


async def follow(house: House, watched: stored.Watched) -> int:
    """Do what is due for the orders of an event that have changed lately; return how many were looked at.

    The mark moves in the same transaction, and stops short of orders that are being written at this moment.
    """
    known = await house.catalogue.event(watched.organizer_id, watched.slug)
    event = await house.catalogue.current(known)
    async with house.database.transaction() as session:
        await stored.lock(session, event.organizer_id)
        mark = await stored.mark(session, event.id)
        until = stored.Mark(await horizon(session), 0)
        page = await stored.changed(session, event.id, mark, PAGE_MAX)
        await _settle(session, event, [order for _, order in page], mark.since)
        seen = max((place for place, _ in page), key=_place, default=until)
        await stored.move(session, event.id, min(seen, until, key=_place))
    return len(page)


def _place(mark: stored.Mark) -> tuple[dt.datetime, int]:
    return mark.seen_at, mark.seen_id


async def _settle(session: Session, event: Event, found: Sequence[Order], since: dt.datetime | None) -> None:
    """Do what is due for some orders of an event, by what Postgres has; they must be locked."""
    issued = await stored.of_orders(session, {order.id for order in found} | _origins(found))
    # most need nothing, and are not read any closer
    concerned = [order for order in found if issued[order.id] or _may_begin(order, event, since, issued)]
    if not concerned:
        return
    known = await stored.names(session, event.id, concerned)
    now = clock.now()
    for order in concerned:
        try:
            draft = drafted(order, event, known, now)
        except Exception:  # whatever it is, it is about this order, and others are waiting
            log.exception("the invoice of order %s cannot be written", order.code)
            continue
        wanted = _may_begin(order, event, since, issued)
        todo = due(order, event, issued[order.id], draft, wanted=wanted)
        if todo.cancel is not None:
            await _cancel(session, event, order, todo.cancel)
        if todo.issue:
            await _issue(session, event, order, known)


def _origins(found: Iterable[Order]) -> set[int]:
    return {order.split_from for order in found if order.split_from is not None}


def _may_begin(order: Order, event: Event, since: dt.datetime | None, issued: Mapping[int, Sequence[Issued]]) -> bool:
    """Tell whether an order gets its first invoice unasked; one that was split off does if it was billed before."""
    billed = issued.get(order.split_from or 0, ())
    return automatic(order, event, since) or any(one.issued_at <= order.datetime for one in billed)


async def _cancel(session: Session, event: Event, order: Order, issued: Issued) -> None:
    content = canceling(issued.content, issued.number, event, clock.now())
    await stored.cancel(session, issued.id)
    await stored.add(session, order, await _number(session, event, order, content), content)


async def _issue(session: Session, event: Event, order: Order, known: Names | None = None) -> tuple[str, Invoice]:
    known = known or await stored.names(session, event.id, [order])
    content = drafted(order, event, known, clock.now())
    taken = await _number(session, event, order, content)
    await stored.add(session, order, taken, content)
    log.info("invoice %s of order %s", taken.text, order.code)
    return taken.text, content


async def _number(session: Session, event: Event, order: Order, content: Invoice) -> stored.Number:
    """Take a number. One that another series has used already is passed over."""
    series = series_of(order, event, content.date, cancellation=content.is_cancellation)
    while True:
        place = await stored.next_number(session, event.organizer_id, series)
        text = number(series, place, event)
        if not await stored.number_used(session, event.organizer_id, text):
            return stored.Number(text, series, place)
