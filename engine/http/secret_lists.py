"""Lists of revoked and of blocked ticket secrets (spec/orders.txt)."""

from __future__ import annotations

import datetime as dt
from typing import Any

from engine.domain import clock
from engine.domain.errors import Invalid
from engine.http import shapes
from engine.http.call import Call, Reply, reply
from engine.http.fields import FieldError
from engine.http.order_query import flag_of, moment_of
from engine.http.orders import event_of
from engine.http.paging import page_body, page_generated, page_of
from engine.http.terms import flags, moments, terms
from persistence import blocked_secrets


@terms(lists=shapes.RevokedSecret, query=moments("created_since"))
async def revoked(call: Call) -> Reply:
    """List revoked secrets: there are none.

    Secrets here are random and looked up, so one that is replaced or canceled needs no list to be refused: there is
    never anything on it (spec/facts.md, Secrets).
    """
    headers = page_generated(clock.now())
    _since(call, "created_since")
    return reply(page_body(call, page_of(call), 0, []), headers=headers)


@terms(lists=shapes.BlockedSecret, query=moments("updated_since") | flags("blocked"))
async def blocked(call: Call) -> Reply:
    """List the secrets of tickets that are or were blocked."""
    page = page_of(call)
    since, count, rows = await blocked_secrets.page(
        call.house.database,
        event_of(call).id,
        page.offset,
        page.size,
        updated_since=_since(call, "updated_since"),
        blocked=flag_of(call.query.get("blocked", ""), call.event),
    )
    return reply(page_body(call, page, count, rows), headers=page_generated(since))


def _since(call: Call, name: str) -> dt.datetime | None:
    text: Any = call.query.get(name, "").strip()
    try:
        return moment_of(text, call.event) if text else None
    except FieldError as error:
        raise Invalid({name: error.detail}) from None
