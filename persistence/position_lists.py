"""Lists of order positions, as Postgres has them."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from engine.domain.order import Order, Position, decode
from persistence.cards import PARTING, among, fold, within, word
from persistence.database import Database, Session
from persistence.queries import Queries

_SQL = Queries("position_lists")

DEFAULT_ORDERING = "order__datetime,positionid"
ORDERINGS = frozenset(
    sign + field
    for sign in ("", "-")
    for field in ("order__code", "order__datetime", "positionid", "attendee_name", "order__status")
)
"""What clients may ask for besides. Ties are broken by id: ascending by default, else descending."""


_NARROW = ("order", "addon_to", "vouchers", "voucher_code", "secret", "pseudonymization_id")
"""Conditions that are looked up; what they leave is sorted at once."""
_BY_STATUS = ("order__status", "-order__status")
_MANY = 1000
_WEIGHT = 2**32
"""Makes one number count before another that is smaller."""


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
        asked = {**values(wanted, offset, size), "side_by_side": await side_by_side(session, wanted)}
        await session.run(_SQL["plan_each_call"], asked)
        rows = await session.rows(_SQL["page"], asked)
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


async def side_by_side(session: Session, wanted: Wanted) -> bool:
    """Tell whether orders are read beside positions, in the order of time, instead of looked up, for their status.

    That takes half as long. But for an event of which Postgres knows nothing it would read all orders anew for each
    position, so it has to know of many.
    """
    if wanted.statuses is None and {wanted.ordering, wanted.then}.isdisjoint(_BY_STATUS):
        return False
    [expected] = await session.rows("EXPLAIN (FORMAT JSON) " + _SQL["both"], {"event_id": wanted.event_id})
    return all(one["Plan Rows"] >= _MANY for one in expected["QUERY PLAN"][0]["Plan"]["Plans"])


def values(wanted: Wanted, offset: int, size: int) -> dict[str, Any]:
    """Return the parameters of the list's query, but `side_by_side`."""
    search = None if wanted.search is None else fold(wanted.search)
    asked = asdict(wanted)
    return {
        **asked,
        **_order(wanted),
        "offset": offset,
        "size": size,
        "narrow": any(asked[name] is not None for name in _NARROW),
        "customer": within(among("c", wanted.customer)),
        "attendee_name": None
        if wanted.attendee_name is None
        else within(f"{PARTING}{word('n', wanted.attendee_name)}{PARTING}"),
        "search": within(search),
        "beginning": None if search is None else within(f"{PARTING}t{search}"),
    }


def _order(wanted: Wanted) -> dict[str, Any]:
    """Return how to sort: by a number, then by a time or a text, then by `tie`, then by id, which is backwards.

    All of it upwards, times a sign or a weight, and backwards if it is `down`. `bound` says what tells one place from
    another.
    """
    (first, first_sign), (then, then_sign) = _field(wanted.ordering), _field(wanted.then)
    by_number = wanted.ordering == DEFAULT_ORDERING
    by, by_sign, tie = first, first_sign, then
    weights = {"order__status": 0, "positionid": 0}
    if first in weights:
        numbers = then in weights or then is None
        by, by_sign, tie = (None, -1, None) if numbers else (then, then_sign, None)
        if then in weights:
            weights[then] = -then_sign
        weights[first] = first_sign * by_sign * _WEIGHT
    bound = "word, place"
    if any(weights.values()):
        bound = "number, place" if by is None else "number, moment, word"
    return {
        "walk": by_number or by == first == "order__datetime",
        "by_number": by_number,
        "by": by,
        "bound": bound,
        "down": by_sign < 0,
        "status_weight": weights["order__status"],
        "number_weight": weights["positionid"],
        "id_sign": 1 if by_sign < 0 else -1,
        "place_sign": 0 if then not in (None, *weights) or (then and first not in weights) else -by_sign,
        "tie": None if tie == first else tie,
        "tie_sign": then_sign if by_number or first == "order__datetime" else then_sign * by_sign,
    }


def _field(ordering: str | None) -> tuple[str | None, int]:
    if ordering is None:
        return None, 1
    return ordering.removeprefix("-"), -1 if ordering[0] == "-" else 1


async def known(database: Database, event_id: int, ids: list[int]) -> set[int]:
    """Return those of `ids` that are positions of the event."""
    return {row["id"] for row in await database.rows(_SQL["known"], {"event_id": event_id, "ids": ids})}
