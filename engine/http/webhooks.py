"""Webhooks of an organizer: who is told when something happens to an order (docs/webhooks.md)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from engine.domain.catalogue import Event
from engine.domain.errors import Invalid, NotFound
from engine.domain.order_actions import ACTION_TYPES
from engine.http.call import NO_CONTENT, Call, Reply, reply
from engine.http.field_kinds import Boolean, Text
from engine.http.fields import Field, FieldError, Form, ListOf, Schema
from engine.http.kept import refuse
from engine.http.paging import page_body, page_of
from engine.http.terms import Shown, terms
from persistence import access, webhooks
from persistence.database import Row, Session


class _Url(Text):
    """An http or https URL with a host; it may have a user and a password."""

    def clean(self, value: Any, event: Event | None) -> str:
        text = super().clean(value, event)
        try:
            parts = urlsplit(text)
            well_formed = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            well_formed = False
        if not well_formed or not text.isprintable() or any(sign in text for sign in ' "<>\\^`{|}'):
            raise FieldError("Enter a valid URL.")
        return text

    def form(self) -> Form:
        return {**super().form(), "format": "uri", "pattern": "^https?://"}


class _ActionType(Field):
    def clean(self, value: Any, event: Event | None) -> str:
        if not isinstance(value, str) or value not in ACTION_TYPES:
            raise FieldError(f'Invalid action type "{value}".')
        return value

    def form(self) -> Form:
        return {"type": "string", "enum": sorted(ACTION_TYPES)}


_WEBHOOK = Schema(
    enabled=Boolean(default=True),
    target_url=_Url(max_length=1024),
    all_events=Boolean(default=False),
    limit_events=ListOf(Text(max_length=50), default=list),
    action_types=ListOf(_ActionType(), max_length=1000),
    comment=Text(max_length=255, blank=True, null=True, default=None),
)
_SHAPE = Shown("Webhook", _WEBHOOK, {"id": int})


@terms(lists=_SHAPE)
async def index(call: Call) -> Reply:
    """List the webhooks of an organizer."""
    page = page_of(call)
    rows = await webhooks.all_of(call.house.database, call.principal.organizer_id)
    return reply(page_body(call, page, len(rows), page.of(rows)))


@terms(shows=_SHAPE)
async def detail(call: Call) -> Reply:
    """Show a webhook."""
    async with call.house.database.transaction() as session:
        return reply(await _webhook(session, call))


@terms(_WEBHOOK, makes=_SHAPE)
async def create(call: Call) -> Reply:
    """Create a webhook."""
    sent = await call.body()
    async with call.house.database.transaction() as session:
        values = await _read(session, call, sent, None)
        webhook_id = await webhooks.add(session, call.principal.organizer_id, values)
    return reply({"id": webhook_id, **values}, 201)


@terms(_WEBHOOK, shows=_SHAPE)
async def patch(call: Call) -> Reply:
    """Change some fields of a webhook."""
    return await _update(call, partial=True)


@terms(_WEBHOOK, shows=_SHAPE)
async def put(call: Call) -> Reply:
    """Change all fields of a webhook."""
    return await _update(call, partial=False)


@terms()
async def delete(call: Call) -> Reply:
    """Disable a webhook; it stays listed, as documented."""
    async with call.house.database.transaction() as session:
        await webhooks.disable(session, (await _webhook(session, call))["id"])
    return NO_CONTENT


async def _update(call: Call, *, partial: bool) -> Reply:
    sent = await call.body()
    async with call.house.database.transaction() as session:
        before = await _webhook(session, call)
        values = await _read(session, call, sent, before if partial else None)
        await webhooks.replace(session, before, values)
    return reply({"id": before["id"], **values})


async def _webhook(session: Session, call: Call) -> Row:
    webhook_id = call.number("id")
    found = None if webhook_id is None else await webhooks.one(session, call.principal.organizer_id, webhook_id)
    if found is None:
        raise NotFound
    return found


async def _read(session: Session, call: Call, sent: Any, before: Row | None) -> Row:
    """Return a webhook's values to be kept; with `before`, fields that were not sent stay. Raises Invalid."""
    values, errors = _WEBHOOK.collect(sent, None, partial=before is not None)
    for name in ("limit_events", "action_types"):
        if name in values:
            values[name] = list(dict.fromkeys(values[name]))
    unknown = await access.unknown_events(session, call.principal.organizer_id, values.get("limit_events", []))
    if unknown:
        errors["limit_events"] = [f"Object with slug={unknown[0]} does not exist."]
    if errors:
        raise Invalid(errors)
    values = {name: values[name] if name in values else (before or {})[name] for name in _WEBHOOK.fields}
    if values["all_events"] and values["limit_events"]:
        raise refuse("You can set either limit_events or all_events.")
    return values
