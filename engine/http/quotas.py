"""Quotas and their availability (spec/quotas.txt; spec/facts.md, Quota numbers)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from msgspec import UnsetType

from engine.domain.catalogue import Event, Quota
from engine.domain.errors import Invalid, NotFound
from engine.http import shapes
from engine.http.call import NO_CONTENT, Call, Reply, reply
from engine.http.field_kinds import Boolean, Integer, Text
from engine.http.fields import ListOf, Schema
from engine.http.kept import Pk, no_such, refuse, with_unknown
from engine.http.paging import page_body, page_of
from engine.http.terms import Shown, flags, lists_of, numbers, ordered_by, terms
from engine.ledger.values import Counts
from persistence import quotas
from persistence.database import Row, Session
from persistence.resources import ITEMS, SUBEVENTS, VARIATIONS

_SCHEMA = Schema(
    name=Text(max_length=200),
    size=Integer(minimum=0, null=True, default=None),
    items=ListOf(Pk(), default=list),
    variations=ListOf(Pk(), default=list),
    subevent=Pk(null=True, default=None),
    close_when_sold_out=Boolean(default=False),
    closed=Boolean(default=False),
    release_after_exit=Boolean(default=False),
)
_READ_ONLY = {"id": int, "available": bool | UnsetType, "available_number": int | None | UnsetType}
_SHAPE = Shown("Quota", _SCHEMA, _READ_ONLY)
_ORDERINGS = ("id", "position", "size")
_QUERY = flags("with_availability")
_NO_CHOICE = "Select a valid choice. That choice is not one of the available choices."


@terms(lists=_SHAPE, query=_QUERY | numbers("subevent") | lists_of("subevent__in") | ordered_by(_ORDERINGS))
async def list_quotas(call: Call) -> Reply:
    """List the quotas of an event."""
    event = await _current(call)
    page = page_of(call)
    found = _ordered(_filtered(call, event), call.query.get("ordering", ""))
    shown = page.of(found)
    counts = await call.house.catalogue.counts(event, [quota.id for quota in shown])
    bodies = [_body(call, quota, counts.get(quota.id)) for quota in shown]
    return reply(page_body(call, page, len(found), bodies))


@terms(shows=_SHAPE, query=_QUERY)
async def quota_detail(call: Call) -> Reply:
    """Show a quota."""
    event = await _current(call)
    return reply(await _shown(call, event, _quota(call, event)))


@terms(_SCHEMA, makes=_SHAPE, query=_QUERY)
async def create_quota(call: Call) -> Reply:
    """Create a quota."""
    event = await _current(call)
    sent = await call.body()
    async with call.house.catalogue.changing(event.id) as session:
        quota_id = await keep(session, event, sent)
    return await _written(call, event, quota_id, 201)


@terms(_SCHEMA, shows=_SHAPE, query=_QUERY)
async def patch_quota(call: Call) -> Reply:
    """Change some fields of a quota; what is held and sold stays so."""
    return await _update(call, partial=True)


@terms(_SCHEMA, shows=_SHAPE, query=_QUERY)
async def put_quota(call: Call) -> Reply:
    """Change all fields of a quota; what is held and sold stays so."""
    return await _update(call, partial=False)


@terms()
async def delete_quota(call: Call) -> Reply:
    """Delete a quota."""
    event = await _current(call)
    quota_id = call.number("id")
    if quota_id is None:
        raise NotFound
    async with call.house.catalogue.changing(event.id) as session:
        if not await quotas.remove(session, event.id, quota_id):
            raise NotFound
    return NO_CONTENT


@terms(shows=shapes.Availability)
async def quota_availability(call: Call) -> Reply:
    """Show the counts of a quota as Redis has them now: complete and true for every quota.

    (spec/disagreements.md)
    """
    assert call.event is not None
    quota = _quota(call, call.event)
    return _told(await call.house.ledger.availability_of(call.event, quota.id), quota.release_after_exit)


@lru_cache(maxsize=1000)
def _told(counts: Counts, release_after_exit: bool) -> Reply:
    """Return the reply to all who ask about a quota at the same time, or again before anything has changed."""
    return reply(availability(counts, release_after_exit))


def availability(counts: Counts, release_after_exit: bool) -> dict[str, Any]:
    """Return the answer about one quota's availability; who has left only counts where that gives places back."""
    return {
        **_free(counts),
        "total_size": counts.size,
        "pending_orders": counts.pending,
        "paid_orders": counts.paid,
        "exited_orders": counts.exited if release_after_exit else 0,
        "cart_positions": counts.held,
        "blocking_vouchers": counts.blocked,
        "waiting_list": counts.waiting,
    }


async def keep(session: Session, event: Event, sent: Any, quota_id: int | None = None) -> int:
    """Keep a new quota, or one that is there anew, by the rules of POST and PUT; return its id. Raises Invalid."""
    values = await _read(session, event, sent, partial=False)
    await _check(session, event, values)
    if quota_id is None:
        return await quotas.add(session, event.id, values)
    await quotas.replace(session, event.id, quota_id, values)
    await quotas.set_closed(session, event.id, quota_id, values["closed"])
    return quota_id


async def _update(call: Call, *, partial: bool) -> Reply:
    event = await _current(call)
    quota_id = call.number("id")
    sent = await call.body()
    async with call.house.catalogue.changing(event.id) as session:
        before = None if quota_id is None else await quotas.one(session, event.id, quota_id)
        if quota_id is None or before is None:
            raise NotFound
        values = await _read(session, event, sent, partial=partial)
        if partial:
            extra = before["extra"] | values["extra"]
            checked = values.keys() & {"items", "variations", "subevent"}
            closed = values.get("closed")
            values = before | values | {"extra": extra}
        else:
            checked, closed = set(values), values["closed"]
        if checked:
            await _check(session, event, values)
        await quotas.replace(session, event.id, quota_id, values)
        if closed is not None:
            await quotas.set_closed(session, event.id, quota_id, closed)
    return await _written(call, event, quota_id, 200)


async def _read(session: Session, event: Event, sent: Any, *, partial: bool) -> Row:
    """Return the checked fields, with unknown ones under `extra`. Raises Invalid with the errors of all fields.

    A thing of another event is there, as far as its field goes; `_check` refuses it for the event's sake.
    """
    values, errors = with_unknown(_SCHEMA, _READ_ONLY.keys(), sent, event, partial=partial)
    organizer_id = event.organizer_id
    for name, table in (("items", ITEMS), ("variations", VARIATIONS)):
        if name in values:
            values[name] = list(dict.fromkeys(values[name]))
            placed = await table.placed(session, organizer_id, values[name])
            if missing := [pk for pk in values[name] if pk not in placed]:
                errors[name] = [no_such(missing[0])]
    date = values.get("subevent")
    if date is not None and date not in await SUBEVENTS.placed(session, organizer_id, [date]):
        errors["subevent"] = [no_such(date)]
    if errors:
        raise Invalid(errors)
    extra = {name: values.pop(name) for name in values.keys() - _SCHEMA.fields.keys()}
    return values | {"extra": extra}


async def _check(session: Session, event: Event, values: Row) -> None:
    """Refuse items, variations and a date that do not fit together or are not the event's."""
    items = await ITEMS.placed(session, event.organizer_id, values["items"])
    variations = await VARIATIONS.placed(session, event.organizer_id, values["variations"])
    chosen = {row["item_id"] for row in variations.values()}
    if not chosen <= items.keys():
        raise refuse("All variations must belong to an item contained in the items list.")
    if any(row["event_id"] != event.id for row in items.values()):
        raise refuse("One or more items do not belong to this event.")
    if any(row["variations"] and row["id"] not in chosen for row in items.values()):
        raise refuse("One or more items has variations but none of these are in the variations list.")
    date = values["subevent"]
    if event.has_subevents and date is None:
        raise refuse("Subevent cannot be null for event series.")
    if date is not None:
        dates = await SUBEVENTS.placed(session, event.organizer_id, [date])
        if not event.has_subevents or date not in dates or dates[date]["event_id"] != event.id:
            raise refuse("The subevent does not belong to this event.")


async def _written(call: Call, event: Event, quota_id: int, status: int) -> Reply:
    """Answer a quota as this request has left it; if it is already gone again, it was there for an instant."""
    event = await call.house.catalogue.event(event.organizer_id, event.slug)
    quota = event.quotas.get(quota_id)
    if quota is None:
        raise NotFound
    return reply(await _shown(call, event, quota), status)


async def _current(call: Call) -> Event:
    assert call.event is not None
    return await call.house.catalogue.current(call.event)


def _quota(call: Call, event: Event) -> Quota:
    quota = event.quotas.get(call.number("id") or 0)
    if quota is None:
        raise NotFound
    return quota


async def _shown(call: Call, event: Event, quota: Quota) -> dict[str, Any]:
    counts = await call.house.catalogue.counts(event, [quota.id])
    return _body(call, quota, counts.get(quota.id))


def _body(call: Call, quota: Quota, counts: Counts | None) -> dict[str, Any]:
    """Return the quota resource; whether it is closed is for Redis to say, since selling out may have closed it."""
    body = {
        **quota.extra,
        "id": quota.id,
        "name": quota.name,
        "size": quota.size,
        "items": quota.items,
        "variations": quota.variations,
        "subevent": quota.subevent,
        "close_when_sold_out": quota.close_when_sold_out,
        "closed": counts.closed if counts else quota.closed,
        "release_after_exit": quota.release_after_exit,
    }
    if counts and call.query.get("with_availability") == "true":
        body |= _free(counts)
    return body


def _free(counts: Counts) -> dict[str, Any]:
    free = counts.free
    return {"available": free is None or free > 0, "available_number": free}


def _filtered(call: Call, event: Event) -> list[Quota]:
    """Return the event's quotas of the dates asked for, in order of creation. Raises Invalid for unknown dates."""
    found = list(event.quotas.values())
    for name in ("subevent", "subevent__in"):
        text = call.query.get(name, "").strip()
        if not text:
            continue
        wanted = set()
        for part in text.split(",") if name == "subevent__in" else [text]:
            number = part.strip()
            if not (number.isascii() and number.isdigit() and int(number[:19]) in event.subevents):
                raise Invalid({name: [_NO_CHOICE]})
            wanted.add(int(number))
        found = [quota for quota in found if quota.subevent in wanted]
    return found


def _ordered(found: list[Quota], wanted: str) -> list[Quota]:
    """Return quotas by the known fields of `wanted`; position is the order of creation, unlimited is the largest."""
    terms = [term for term in wanted.split(",") if term.removeprefix("-") in _ORDERINGS]
    for term in reversed(terms):
        by_size = term.removeprefix("-") == "size"
        found = sorted(
            found,
            key=lambda quota: (quota.size is None, quota.size or 0) if by_size else (False, quota.id),
            reverse=term.startswith("-"),
        )
    return found
