"""The seats of an event, or of one date of a series: listed, looked at, blocked."""

from __future__ import annotations

from typing import Any

from engine.domain.catalogue import Event
from engine.domain.errors import NotFound
from engine.http import shapes
from engine.http.call import Call, Reply, reply
from engine.http.catalogue import yes_or_no
from engine.http.field_kinds import Boolean
from engine.http.fields import Schema
from engine.http.paging import page_body, page_of
from engine.http.terms import flags, terms, texts
from engine.ledger.outcomes import SeatOwner
from engine.sales.seating import owners
from persistence import seating
from persistence.database import Row

_SEAT = Schema(blocked=Boolean(required=False))
_FILTERS = ("zone_name", "row_name", "row_label", "seat_number", "seat_label", "seat_guid")


@terms(lists=shapes.Seat, query=texts(*_FILTERS) | flags("blocked"))
async def index(call: Call) -> Reply:
    """List seats, and who has them."""
    event, subevent = _whose(call)
    page = page_of(call)
    filters: seating.Filters = {
        name: value.replace("\x00", "") if (value := call.query.get(name)) else None for name in _FILTERS
    }
    filters["blocked"] = yes_or_no(call.query.get("blocked", ""))
    async with call.house.database.session() as session:
        count, rows = await seating.page(session, event.id, subevent, filters, offset=page.offset, size=page.size)
    return reply(page_body(call, page, count, await _bodies(call, event, rows)))


@terms(shows=shapes.Seat)
async def detail(call: Call) -> Reply:
    """Show a seat, and who has it."""
    event, subevent = _whose(call)
    return reply(await _body(call, event, subevent))


@terms(_SEAT, shows=shapes.Seat)
async def patch(call: Call) -> Reply:
    """Block a seat or open it again; whoever has it keeps it."""
    event, subevent = _whose(call)
    values = _SEAT.read(await call.body(), event, partial=True)
    row = await _row(call, event, subevent)
    if values.get("blocked", row["blocked"]) != row["blocked"]:
        async with call.house.catalogue.changing(event.id) as session:
            await seating.block(session, event.id, row["id"], blocked=values["blocked"])
    return reply(await _body(call, event, subevent))


def _whose(call: Call) -> tuple[Event, int | None]:
    """Return the event and the date that the path names. Raises NotFound for a path that this event does not have."""
    event = call.event
    assert event is not None
    date = call.number("subevent") if "subevent" in call.params else None
    if (event.has_subevents and date not in event.subevents) or (not event.has_subevents and "subevent" in call.params):
        raise NotFound
    return event, date


async def _row(call: Call, event: Event, subevent: int | None) -> Row:
    seat_id = call.number("id")
    row = None if seat_id is None else await seating.one(call.house.database, event.id, subevent, seat_id)
    if row is None:
        raise NotFound
    return row


async def _body(call: Call, event: Event, subevent: int | None) -> dict[str, Any]:
    [body] = await _bodies(call, event, [await _row(call, event, subevent)])
    return body


async def _bodies(call: Call, event: Event, rows: list[Row]) -> list[dict[str, Any]]:
    found = await owners(call.house, event, rows)
    return [_shown(event, row, owner, position) for row, (owner, position) in zip(rows, found, strict=True)]


def _shown(event: Event, row: Row, owner: SeatOwner, position: int | None) -> dict[str, Any]:
    seat = event.seats.by_name.get((row["subevent_id"] or 0, row["guid"]))
    return {
        "id": row["id"],
        "subevent": row["subevent_id"],
        "zone_name": row["zone_name"],
        "row_name": row["row_name"],
        "row_label": row["row_label"],
        "seat_number": row["seat_number"],
        "seat_label": row["seat_label"],
        "seat_guid": row["guid"],
        "product": row["product"],
        "blocked": row["blocked"],
        "orderposition": position,
        "cartposition": owner.hold or None,
        "voucher": (seat.voucher or None) if seat else None,
    }
