"""Lists of orders, as Postgres has them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from engine.domain.order import Order, decode
from persistence.database import Database
from persistence.horizon import horizon
from persistence.patterns import beginning, part
from persistence.queries import Queries

_SQL = Queries("order_lists")

_WORD_MAX = 64
"""How much of a word is kept among the facets of an order."""

ORDERINGS = frozenset(sign + field for sign in ("", "-") for field in ("datetime", "code", "last_modified", "status"))
"""Ties are broken by id, those of the status by time first; all of it backwards where a `-` says so, but for codes."""


class Wanted(Struct, frozen=True, kw_only=True):
    """Which orders to list: all conditions that are not None must hold (spec/orders.txt, List of all orders).

    `events` are the slugs that may be seen, None for all. `search` looks for a part of names, e-mail addresses,
    companies and comments, `search_code` for a part of a code, in the event `search_event` alone if that is given.
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


async def page(
    database: Database, wanted: Wanted, offset: int, size: int
) -> tuple[datetime, int, list[tuple[str, Order]]]:
    """Return (horizon, count of all that match, one page of them); each order comes with the slug of its event.

    Whoever asks for what was modified since the horizon next time misses nothing.
    """
    async with database.transaction() as session:
        await session.run(_SQL["plan_each_call"])
        since = await horizon(session)
        rows = await session.rows(_SQL["page"], {**values(wanted), "offset": offset, "size": size})
    return since, rows[0]["count"], [(row["event"], decode(row["doc"])) for row in rows if row["doc"] is not None]


def values(wanted: Wanted) -> dict[str, Any]:
    """Return the parameters of the list's query."""
    words = {"l": wanted.locale, "w": wanted.sales_channel, "c": wanted.customer}
    facets = [letter + word[:_WORD_MAX] for letter, word in words.items() if word is not None]
    return {
        **asdict(wanted),
        "facets": facets or None,
        "search_like": part(wanted.search),
        "code_like": part(wanted.search_code),
        "secret_like": beginning(wanted.search),
    }
