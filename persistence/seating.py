"""Seating plans of organizers, and the seats that events have got from them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from engine.domain.catalogue import Event, Seat, SeatName, SeatPlace, Seats
from engine.domain.seating import PlannedSeat
from persistence.database import Database, Row, Session
from persistence.queries import Queries
from persistence.resources import jsonb

_PLANS = Queries("seating_plans")
_SEATS = Queries("seats")

Filters = dict[str, str | bool | None]
"""What a list of seats must be like: zone_name, row_name, row_label, seat_number, seat_label, seat_guid, blocked."""


# ---------------------------------------------------------------------------------------------------------------- plans


async def plans(source: Session | Database, organizer_id: int) -> list[Row]:
    """Return all plans of an organizer (id, body), by name."""
    return await source.rows(_PLANS["all"], {"organizer_id": organizer_id})


async def plan(source: Session | Database, organizer_id: int, plan_id: int) -> Row | None:
    return await source.row(_PLANS["one"], {"organizer_id": organizer_id, "id": plan_id})


async def add_plan(session: Session, organizer_id: int, body: dict[str, Any]) -> int:
    """Keep a new plan and return its id."""
    row = await session.row(_PLANS["add"], {"organizer_id": organizer_id, "body": jsonb(body)})
    assert row is not None
    return int(row["id"])


async def replace_plan(session: Session, organizer_id: int, plan_id: int, body: dict[str, Any]) -> None:
    await session.run(_PLANS["replace"], {"organizer_id": organizer_id, "id": plan_id, "body": jsonb(body)})


async def remove_plan(session: Session, organizer_id: int, plan_id: int) -> None:
    await session.run(_PLANS["remove"], {"organizer_id": organizer_id, "id": plan_id})


async def plan_used(session: Session, organizer_id: int, plan_id: int) -> bool:
    """Tell whether an event or a date has its seats from this plan."""
    row = await session.row(_PLANS["used"], {"organizer_id": organizer_id, "id": plan_id})
    return row is not None and bool(row["used"])


# ---------------------------------------------------------------------------------------------------------------- seats


async def load(source: Session | Database, event_id: int, known: Seats) -> Seats:
    """Return the seats of an event as they are now; of those that are known only what has changed is read."""
    # as rows: a hall of 12,000 seats made into one value of JSON took Postgres eight times as long
    rows = await source.tuples(_SEATS["changed"], {"event_id": event_id, "after": known.version})
    seats_version, count, *_ = rows[0]
    by_name = known.by_name | dict([_named(seat) for _, _, *seat in rows if seat[0] is not None])
    if len(by_name) == count:
        return Seats(seats_version, by_name)
    # some of those that are known are gone
    return await load(source, event_id, Seats())


async def put(session: Session, event_id: int, subevent_id: int | None, seats: Sequence[PlannedSeat]) -> None:
    """Give an event or a date these seats; those that it has keep their ids."""
    rows = [msgspec.structs.asdict(seat) for seat in seats]
    await session.run(_SEATS["put"], {"event_id": event_id, "subevent_id": subevent_id, "seats": jsonb(rows)})
    await session.run(_SEATS["touch"], {"event_id": event_id})


async def absent(session: Session, event_id: int, subevent_id: int | None, seats: Sequence[PlannedSeat]) -> list[Row]:
    """Return the seats (guid, name, reserved by a voucher) that an event or a date has and that are not among these."""
    guids = [seat.guid for seat in seats]
    return await session.rows(_SEATS["absent"], {"event_id": event_id, "subevent_id": subevent_id, "guids": guids})


async def remove(session: Session, event_id: int, subevent_id: int | None, guids: Sequence[str]) -> None:
    await session.run(_SEATS["remove"], {"event_id": event_id, "subevent_id": subevent_id, "guids": list(guids)})
    await session.run(_SEATS["touch"], {"event_id": event_id})


async def block(session: Session, event_id: int, seat_id: int, *, blocked: bool) -> None:
    await session.run(_SEATS["block"], {"event_id": event_id, "id": seat_id, "blocked": blocked})
    await session.run(_SEATS["touch"], {"event_id": event_id})


async def reserve(session: Session, event_id: int, guids: Sequence[str]) -> None:
    """Note that vouchers for seats have come, gone or changed."""
    await session.run(_SEATS["mark"], {"event_id": event_id, "guids": list(guids)})
    await session.run(_SEATS["touch"], {"event_id": event_id})


async def page(
    session: Session, event_id: int, subevent_id: int | None, filters: Filters, *, offset: int, size: int
) -> tuple[int, list[Row]]:
    """Return (number of all that are like that, one page of them) in the order of their places."""
    values = {"event_id": event_id, "subevent_id": subevent_id, **filters}
    counted = await session.row(_SEATS["count"], values)
    assert counted is not None
    return int(counted["seats"]), await session.rows(_SEATS["page"], {**values, "offset": offset, "size": size})


async def one(source: Session | Database, event_id: int, subevent_id: int | None, seat_id: int) -> Row | None:
    return await source.row(_SEATS["one"], {"event_id": event_id, "subevent_id": subevent_id, "id": seat_id})


async def sold(source: Session | Database, event: Event) -> dict[SeatName, list[int]]:
    """Return the ids of the orders that have each seat that is sold: one, if the books are right."""
    found: dict[SeatName, list[int]] = {}
    for row in await source.rows(_SEATS["sold"], {"event_id": event.id}):
        found.setdefault((row["subevent"], row["guid"]), []).append(row["order_id"])
    return found


async def positions(source: Session | Database, order_ids: Sequence[int]) -> dict[tuple[int, SeatName], int]:
    """Return the ids of the positions that have seats, by order and seat."""
    rows = await source.rows(_SEATS["positions"], {"order_ids": list(order_ids)})
    return {(row["order_id"], (row["subevent"], row["guid"])): row["id"] for row in rows}


def _named(row: list[Any]) -> tuple[SeatName, Seat]:
    """Return a seat and its name, from the columns of `changed`."""
    number, guid, name, zone, row_name, row_label, seat_number, label, subevent, product, blocked, version, *kept = row
    voucher, till = kept
    place = SeatPlace(number, name, zone, row_name, row_label, seat_number, label, guid)
    until = datetime.fromisoformat(till) if till else None
    return (subevent, guid), Seat(place, subevent, product, blocked, version, voucher, until)
