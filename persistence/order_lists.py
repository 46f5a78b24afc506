"""Lists of orders, as Postgres has them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from engine.domain.order import Order, decode
from persistence.cards import BEGINNING, PARTING, among, escaped, exact, fold, within
from persistence.database import Database, Session
from persistence.horizon import horizon
from persistence.queries import Queries

_SQL = Queries("order_lists")

Dates = tuple[list[int] | None, list[int] | None]
"""Subevents that are after what is asked for, and before: their ids in order; None where nothing is asked for."""

ORDERINGS = frozenset(sign + field for sign in ("", "-") for field in ("datetime", "code", "last_modified", "status"))
"""Ties are broken by id, backwards where a `-` says so, and those of the status always."""


class Wanted(Struct, frozen=True, kw_only=True):
    """Which orders to list: all conditions that are not None must hold (spec/orders.txt, List of all orders).

    `events` are the slugs that may be seen, None for all. `search` looks for a part of names, e-mail addresses,
    companies and comments, `search_code` for a part of a code, in the event `search_event` alone if that is given.
    `then` orders those that `ordering` leaves equal.
    """

    organizer_id: int
    event_id: int | None = None
    events: list[str] | None = None
    code: str | None = None
    status: str | None = None
    email: str | None = None
    testmode: bool | None = None
    require_approval: bool | None = None
    created_since: datetime | None = None
    created_before: datetime | None = None
    modified_since: datetime | None = None
    locale: str | None = None
    sales_channel: str | None = None
    customer: str | None = None
    payment_provider: str | None = None
    item: int | None = None
    variation: int | None = None
    subevent: int | None = None
    subevent_after: datetime | None = None
    subevent_before: datetime | None = None
    search: str | None = None
    search_code: str | None = None
    search_event: str | None = None
    ordering: str = "datetime"
    then: str | None = None


WALKED_MAX = 100_000
"""How many orders are read one by one to find a page; beyond that, it is quicker to read all and sort few."""
_WORDS = {
    "l": "locale",
    "w": "sales_channel",
    "c": "customer",
    "p": "payment_provider",
    "i": "item",
    "v": "variation",
}
"""What is compared with the words of an order, by the letter that they begin with (persistence/cards.py)."""
_CONDITIONS = frozenset(Wanted.__struct_fields__) - {"organizer_id", "event_id", "events", "ordering", "then"}


async def page(
    database: Database, wanted: Wanted, offset: int, size: int
) -> tuple[datetime, int, list[tuple[str, Order]]]:
    """Return (horizon, count of all that match, one page of them); each order comes with the slug of its event.

    Whoever asks for what was modified since the horizon next time misses nothing.
    """
    async with database.transaction() as session:
        await session.run(_SQL["plan_each_call"])
        events = [wanted.event_id] if wanted.event_id is not None else await _events(session, wanted)
        dates = await _dates(session, wanted, events)
        since = await horizon(session)
        rows = await session.rows(_SQL["page"], values(wanted, events, dates, offset, size))
    return since, rows[0]["count"], [(row["event"], decode(row["doc"])) for row in rows if row["doc"] is not None]


async def _events(session: Session, wanted: Wanted) -> list[int]:
    values = {"organizer_id": wanted.organizer_id, "events": wanted.events}
    return [row["id"] for row in await session.rows(_SQL["events"], values)]


async def _dates(session: Session, wanted: Wanted, events: list[int]) -> Dates:
    if wanted.subevent_after is None and wanted.subevent_before is None:
        return None, None
    values = {"event_ids": events, "after": wanted.subevent_after, "before": wanted.subevent_before}
    [row] = await session.rows(_SQL["dates"], values)
    return (
        None if wanted.subevent_after is None else row["after"],
        None if wanted.subevent_before is None else row["before"],
    )


def values(wanted: Wanted, events: list[int], dates: Dates, offset: int, size: int) -> dict[str, Any]:
    """Return the parameters of the list's query, for orders of the events with these ids."""
    asked = asdict(wanted)
    conditions = any(asked[name] is not None for name in _CONDITIONS)
    by_index = wanted.then is None and (
        wanted.ordering in ("datetime", "-datetime")
        or (wanted.ordering in ("code", "-code") and len(events) == 1 and not conditions)
    )
    parts = [within(among(kind, asked[name])) for kind, name in _WORDS.items() if asked[name] is not None]
    search = None if wanted.search is None else fold(wanted.search)
    # the code is in the text too, as it is
    own_code = wanted.search_code is not None and (wanted.search_event or fold(wanted.search_code) != search)
    after, before = dates
    return {
        **asked,
        "offset": offset,
        "size": size,
        "conditions": conditions,
        "walk": by_index and (offset + size) * len(events) <= WALKED_MAX,
        **_order(wanted),
        "event_ids": events,
        "email": None if wanted.email is None else fold(wanted.email),
        "parts": parts,
        "part": parts[0] if parts else None,
        "more_parts": parts[1:] or None,
        "subevent_word": None if wanted.subevent is None else within(among("s", wanted.subevent)),
        "after": after,
        "after_words": None if after is None else [exact("s", str(number)) for number in after],
        "before": before,
        "before_words": None if before is None else [exact("s", str(number)) for number in before],
        "search": within(search),
        "search_code": wanted.search_code if own_code else None,
        "secret_beginning": None if search is None else within(f"{PARTING}{search[:BEGINNING]}"),
        "secret_short": search is not None and len(search) <= BEGINNING,
        "secret_pattern": None if search is None else f"{escaped(search)}%",
    }


def _order(wanted: Wanted) -> dict[str, Any]:
    """Return how to sort: by the number of the status, by a time or the code, then by `tie`, then by id.

    All of it upwards, times a sign, and backwards if it is `down`. `bound` says what tells one place from another.
    """
    (first, first_sign), (then, then_sign) = _field(wanted.ordering), _field(wanted.then)
    id_sign = -1 if first == "status" else first_sign
    if first == "status":
        by, by_sign = (None, id_sign) if then in (None, "status") else (then, then_sign)
        tie = None
        bound = "place" if by is None else "number, moment, word"
    else:
        by, by_sign = first, first_sign
        tie = None if first in (then, "code") else then
        bound = "word" if first == "code" else "moment"
    return {
        "by": by,
        "bound": bound,
        "down": by_sign < 0,
        "status_sign": first_sign * by_sign if first == "status" else 0,
        "tie": tie,
        "tie_sign": then_sign * by_sign,
        "id_sign": id_sign * by_sign,
    }


def _field(ordering: str | None) -> tuple[str | None, int]:
    if ordering is None:
        return None, 1
    return ordering.removeprefix("-"), -1 if ordering[0] == "-" else 1
