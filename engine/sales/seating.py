"""Seats of events and dates: made from a seating plan, kept in step with it, and told of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from engine.domain.catalogue import Event
from engine.domain.errors import Invalid
from engine.domain.seating import seats_of
from engine.ledger.outcomes import SeatOwner
from engine.sales.house import House
from persistence import seating
from persistence.database import Row, Session
from persistence.resources import ITEMS


async def assign(house: House, session: Session, event: Event, subevent: int | None, body: dict[str, Any]) -> None:
    """Give an event or a date the seats of its plan, and each the item that its category is sold as.

    `body` is its resource as it is going to be. Seats that it has keep their ids and their owners. Raises Invalid if
    there is no such plan or item, or if somebody has a seat that the plan has not.
    """
    plan_id: int | None = body["seating_plan"]
    mapping: dict[str, int] = body["seat_category_mapping"]
    layout: dict[str, Any] = {"zones": []}
    if plan_id is not None:
        plan = await seating.plan(session, event.organizer_id, plan_id)
        if plan is None:
            raise Invalid({"seating_plan": [f'Invalid pk "{plan_id}" - object does not exist.']})
        layout = plan["body"]["layout"]
    known = await ITEMS.known(session, event.id, sorted(set(mapping.values())))
    if unknown := sorted(set(mapping.values()) - known):
        raise Invalid({"seat_category_mapping": [f"Item '{unknown[0]}' does not exist."]})
    planned = [msgspec.structs.replace(seat, product=mapping.get(seat.category)) for seat in seats_of(layout)]
    gone = await seating.absent(session, event.id, subevent, planned)
    if gone:
        names = {seat["guid"]: seat["name"] for seat in gone}
        if reserved := [seat["name"] for seat in gone if seat["reserved"]]:
            raise _protected(reserved[0], "is already used in a voucher")
        if taken := await house.ledger.remove_seats(event, [(subevent or 0, guid) for guid in names]):
            raise _protected(names[taken[0][1]], "is already sold")
        await seating.remove(session, event.id, subevent, list(names))
    await seating.put(session, event.id, subevent, planned)


def _protected(name: str, why: str) -> Invalid:
    text = f'You can not change the plan since seat "{name}" is not present in the new plan and {why}.'
    return Invalid({"seating_plan": [text]})


async def owners(house: House, event: Event, rows: Sequence[Row]) -> list[tuple[SeatOwner, int | None]]:
    """Return who has each seat, and which position of an order, as far as Postgres knows it."""
    names = [(row["subevent_id"] or 0, row["guid"]) for row in rows]
    found = await house.ledger.seat_owners(event, names) if names else []
    positions = await seating.positions(house.database, [owner.order for owner in found if owner.order])
    return [(owner, positions.get((owner.order, name))) for owner, name in zip(found, names, strict=True)]
