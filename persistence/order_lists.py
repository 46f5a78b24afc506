"""Lists of orders, as Postgres has them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from engine.domain.order import Order, decode
from persistence.cards import PARTING, among, fold
from persistence.database import Database, Session
from persistence.horizon import horizon
from persistence.queries import Queries

_SQL = Queries("order_lists")

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


_ESCAPED = str.maketrans({sign: f"\\{sign}" for sign in "\\%_"})
"""Signs that mean something to LIKE."""
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
        since = await horizon(session)
        rows = await session.rows(_SQL["page"], {**values(wanted, events), "offset": offset, "size": size})
    return since, rows[0]["count"], [(row["event"], decode(row["doc"])) for row in rows if row["doc"] is not None]


async def _events(session: Session, wanted: Wanted) -> list[int]:
    values = {"organizer_id": wanted.organizer_id, "events": wanted.events}
    return [row["id"] for row in await session.rows(_SQL["events"], values)]


def values(wanted: Wanted, events: list[int]) -> dict[str, Any]:
    """Return the parameters of the list's query, for orders of the events with these ids."""
    asked = asdict(wanted)
    conditions = any(asked[name] is not None for name in _CONDITIONS)
    search = None if wanted.search is None else fold(wanted.search)
    # the code is in the text too, as it is
    own_code = wanted.search_code is not None and (wanted.search_event or fold(wanted.search_code) != search)
    return {
        **asked,
        "by_time": conditions and wanted.then is None,
        "whole_event": not conditions and len(events) == 1,
        "event_ids": events,
        "email": None if wanted.email is None else fold(wanted.email),
        "locale": among("l", wanted.locale),
        "sales_channel": among("w", wanted.sales_channel),
        "customer": among("c", wanted.customer),
        "payment_provider": among("p", wanted.payment_provider),
        "item": among("i", wanted.item),
        "variation": among("v", wanted.variation),
        "subevent": among("s", wanted.subevent),
        "search": search,
        "search_code": wanted.search_code if own_code else None,
        "secret_pattern": None if search is None else f"{search.translate(_ESCAPED)}%",
        "secret_beginning": None if search is None else f"{PARTING}t{search}",
    }
