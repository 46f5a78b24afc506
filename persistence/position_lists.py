"""Lists of order positions, as Postgres has them."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from engine.domain.order import Order, Position, decode
from persistence.cards import PARTING, among, fold, within, word
from persistence.database import Database
from persistence.queries import Queries

_SQL = Queries("position_lists")

DEFAULT_ORDERING = "order__datetime,positionid"
ORDERINGS = frozenset(
    sign + field
    for sign in ("", "-")
    for field in ("order__code", "order__datetime", "positionid", "attendee_name", "order__status")
)
"""What clients may ask for besides. Ties are broken by id: ascending by default, else descending."""


class Wanted(Struct, frozen=True, kw_only=True):
    """Which positions of an event to list: all conditions that are not None must hold, lists mean any of them.

    `canceled` lets canceled positions in as well, `then` orders those that `ordering` leaves equal.
    (spec/orders.txt, List of all order positions)
    """

    organizer_id: int
    event_id: int
    canceled: bool = False
    order: str | None = None
    search: str | None = None
    customer: str | None = None
    items: list[int] | None = None
    variations: list[int] | None = None
    subevents: list[int] | None = None
    addon_to: list[int] | None = None
    vouchers: list[int] | None = None
    voucher_code: str | None = None
    has_checkin: bool | None = None
    attendee_name: str | None = None
    secret: str | None = None
    pseudonymization_id: str | None = None
    statuses: list[str] | None = None
    ordering: str = DEFAULT_ORDERING
    then: str | None = None


async def page(database: Database, wanted: Wanted, offset: int, size: int) -> tuple[int, list[tuple[Order, Position]]]:
    """Return (count of all that match, one page of them with their orders)."""
    async with database.transaction() as session:
        await session.run(_SQL["plan_each_call"])
        rows = await session.rows(_SQL["page"], {**values(wanted), "offset": offset, "size": size})
    orders: dict[str, Order] = {}
    found = []
    for row in rows:
        if row["doc"] is None:
            continue
        order = orders.get(row["doc"])
        if order is None:
            order = orders[row["doc"]] = decode(row["doc"])
        found.append((order, next(position for position in order.positions if position.id == row["id"])))
    return rows[0]["count"], found


def values(wanted: Wanted) -> dict[str, Any]:
    """Return the parameters of the list's query."""
    search = None if wanted.search is None else fold(wanted.search)
    return {
        **asdict(wanted),
        "customer": within(among("c", wanted.customer)),
        "attendee_name": None
        if wanted.attendee_name is None
        else within(f"{PARTING}{word('n', wanted.attendee_name)}{PARTING}"),
        "search": within(search),
        "beginning": None if search is None else within(f"{PARTING}t{search}"),
    }


async def known(database: Database, event_id: int, ids: list[int]) -> set[int]:
    """Return those of `ids` that are positions of the event."""
    return {row["id"] for row in await database.rows(_SQL["known"], {"event_id": event_id, "ids": ids})}
