"""Organizers as a token sees them, events and their settings (spec/catalogue.md)."""

from __future__ import annotations

from collections.abc import Set
from typing import Any
from zoneinfo import available_timezones

from engine.domain import clock
from engine.domain.catalogue import Event
from engine.domain.errors import Invalid
from engine.domain.event_settings import DEFAULTS, MAIL_TEMPLATES, effective
from engine.domain.invoicing import AUTOMATIC
from engine.domain.mail_texts import ADDRESS
from engine.domain.tickets import parse_start
from engine.http import shapes
from engine.http.call import Call, Reply, reply
from engine.http.catalogue import Body, check_order, yes_or_no
from engine.http.field_kinds import Boolean, Choice, DateTime, Integer, Json, Text
from engine.http.fields import Field, FieldError, Form, ListOf, Schema
from engine.http.kept import Kept, Matching, Pk, Words, in_order, refuse, with_unknown
from engine.http.paging import page_body, page_of
from engine.http.seatingplans import CategoryMapping, plan_of
from engine.http.terms import Shown, flags, one_of, terms
from engine.sales import seating
from persistence import access, catalogue, invoices
from persistence.database import Row

_TIMEZONES = sorted(available_timezones())
_EVENT = Schema(
    name=Words(),
    slug=Matching(
        catalogue.SLUG.pattern, "The slug may only contain letters, numbers, dots and dashes.", max_length=50
    ),
    live=Boolean(default=False),
    testmode=Boolean(default=False),
    currency=Matching("[A-Z]{3}", '"{}" is not a valid choice.', default="EUR"),
    date_from=DateTime(),
    date_to=DateTime(null=True, default=None),
    date_admission=DateTime(null=True, default=None),
    is_public=Boolean(default=True),
    presale_start=DateTime(null=True, default=None),
    presale_end=DateTime(null=True, default=None),
    location=Words(blank=True, null=True, default=None),
    geo_lat=Kept(),
    geo_lon=Kept(),
    has_subevents=Boolean(default=False),
    meta_data=Json(default=dict),
    seating_plan=Pk(null=True, default=None),
    seat_category_mapping=CategoryMapping(default=dict),
    timezone=Choice(*_TIMEZONES, default="UTC"),
    plugins=ListOf(Text(max_length=200), null=True, default=list),
    item_meta_properties=Json(default=dict),
    valid_keys=Kept(default=dict),
    sales_channels=Kept(default=lambda: ["web"]),
)
_READ_ONLY = frozenset({"public_url", "best_availability_state", "last_modified"})
_LOCALE = Matching("[a-z]{2,3}(-[a-z0-9]{2,10})*", '"{}" is not a valid choice.', max_length=20)
_PREFIX = Matching(
    "[A-Za-z0-9_%./,&:# -]*",
    "Please only use the characters A-Z, a-z, 0-9 and -./:#_,& in this field.",
    blank=True,
    max_length=155,
    trim=False,
    default=None,
)
_SENDER = Matching(ADDRESS, "Enter a valid email address.", blank=True, max_length=254, default=None)
_MAIL_WORDS = Words(blank=True, default=None)
_FILTERS = ("live", "is_public", "has_subevents", "testmode")
_ORDERINGS = ("date_from", "-date_from", "slug", "-slug")
_SHAPE = Shown("Event", _EVENT)


class _Start(Field):
    """A moment, or so long before another one as pretix says it: RELDATE/days/time/date_from/ and the like."""

    def clean(self, value: Any, event: Event | None) -> Any:
        try:
            parse_start(value)
        except ValueError:
            raise FieldError("Datetime has wrong format. Use ISO 8601 or RELDATE/days/hh:mm:ss/date_from/.") from None
        return value

    def form(self) -> Form:
        return {"type": "string"}


def _setting(name: str) -> Field:
    """Return the check of one setting, by the kind of its default."""
    match DEFAULTS[name]:
        case bool():
            return Boolean(default=None)
        case int():
            return Integer(minimum=0, maximum=1_000_000, default=None)
    return Kept()


_SETTINGS = Schema(
    **{name: _setting(name) for name in DEFAULTS}
    | {
        "locales": ListOf(_LOCALE, default=None),
        "locale": _LOCALE,
        "timezone": Choice(*_TIMEZONES, default=None),
        "ticket_download_date": _Start(default=None),
        "name_scheme": Text(max_length=100, default=None),
        "mail_from": _SENDER,
        "mail_from_name": Text(max_length=100, blank=True, default=None),
        "mail_text_signature": _MAIL_WORDS,
        **{f"mail_{part}_{name}": _MAIL_WORDS for name in MAIL_TEMPLATES for part in ("subject", "text")},
        "invoice_generate": Choice("False", "admin", "user", "user_paid", "True", "paid", default=None),
        "invoice_generate_sales_channels": ListOf(Text(max_length=64), default=None),
        "invoice_numbers_prefix": _PREFIX,
        "invoice_numbers_prefix_cancellations": _PREFIX,
        "invoice_numbers_counter_length": Integer(minimum=1, maximum=10, default=None),
    }
)
_SETTINGS_SHAPE = Shown("EventSettings", _SETTINGS)


@terms(lists=shapes.Organizer)
async def list_organizers(call: Call) -> Reply:
    """List the organizers that the token sees: its own."""
    return reply(page_body(call, page_of(call), 1, [await _organizer(call)]))


@terms(shows=shapes.Organizer)
async def organizer_detail(call: Call) -> Reply:
    """Show the organizer."""
    return reply(await _organizer(call))


async def _organizer(call: Call) -> Body:
    found = await access.organizer_by_slug(call.house.database, call.principal.organizer)
    assert found is not None
    return {"name": found["name"], "slug": found["slug"]}


@terms(lists=_SHAPE, query=flags(*_FILTERS) | one_of("ordering", _ORDERINGS))
async def list_events(call: Call) -> Reply:
    """List the events that the token sees."""
    page = page_of(call)
    rows = await catalogue.events(call.house.database, call.principal.organizer_id)
    bodies = [_shown(row) for row in rows if call.principal.sees(row["slug"])]
    for name in _FILTERS:
        wanted = yes_or_no(call.query.get(name, ""))
        bodies = [body for body in bodies if wanted is None or body[name] == wanted]
    ordering = call.query.get("ordering", "")
    if ordering in _ORDERINGS:
        bodies.sort(key=lambda body: body[ordering.removeprefix("-")], reverse=ordering.startswith("-"))
    return reply(page_body(call, page, len(bodies), page.of(bodies)))


@terms(shows=_SHAPE)
async def event_detail(call: Call) -> Reply:
    """Show an event."""
    return reply(_shown(await catalogue.event_row(call.house.database, _event(call).id)))


@terms(_EVENT, makes=_SHAPE)
async def create_event(call: Call) -> Reply:
    """Create an event."""
    values = _read(await call.body(), None, partial=False)
    slug, timezone = values.pop("slug"), values.pop("timezone")
    if values["seat_category_mapping"]:
        # it names items, and a new event has none
        raise refuse("You cannot specify seat category mappings on event creation.", "seat_category_mapping")
    _check(values)
    organizer_id = call.principal.organizer_id
    async with call.house.database.transaction() as session:
        event_id = await catalogue.add_event(session, organizer_id, slug, values, {"timezone": timezone})
        if event_id is None:
            raise refuse("This slug has already been used for a different event.", "slug")
        if values["seating_plan"] is not None:
            event = await catalogue.load_event_by_id(session, event_id)
            await seating.assign(call.house, session, event, None, values)
        row = await catalogue.event_row(session, event_id)
    await call.house.catalogue.event(organizer_id, slug)
    return reply(_shown(row), 201)


@terms(_EVENT, shows=_SHAPE)
async def patch_event(call: Call) -> Reply:
    """Change some fields of an event."""
    return await _update(call, partial=True)


@terms(_EVENT, shows=_SHAPE)
async def put_event(call: Call) -> Reply:
    """Change all fields of an event."""
    return await _update(call, partial=False)


async def _update(call: Call, *, partial: bool) -> Reply:
    event = _event(call)
    values = _read(await call.body(), event, partial=partial)
    if values.pop("slug", event.slug) != event.slug:
        raise refuse("The event slug cannot be changed.", "slug")
    async with call.house.catalogue.changing(event.id) as session:
        row = await catalogue.event_row(session, event.id)
        settings = dict(row["settings"])
        if "timezone" in values:
            settings["timezone"] = values.pop("timezone")
        if values.get("has_subevents", row["body"]["has_subevents"]) != row["body"]["has_subevents"]:
            raise refuse("Once created an event cannot change between an series and a single event.", "has_subevents")
        before = plan_of(row["body"])
        if partial:
            values = row["body"] | values
        _check(values)
        await catalogue.replace_event(session, event.id, values, settings)
        if plan_of(values) != before:
            await seating.assign(call.house, session, event, None, values)
        row = await catalogue.event_row(session, event.id)
    return reply(_shown(row))


@terms(shows=_SETTINGS_SHAPE)
async def read_settings(call: Call) -> Reply:
    """Show the settings of an event, defaults included."""
    row = await catalogue.event_row(call.house.database, _event(call).id)
    return reply(effective(row["settings"]))


@terms(_SETTINGS, shows=_SETTINGS_SHAPE)
async def patch_settings(call: Call) -> Reply:
    """Change settings; null takes a known one back to its default."""
    event, now = _event(call), clock.now()
    sent = await call.body()
    known, resets = sent, set()
    if isinstance(sent, dict):
        resets = {name for name, value in sent.items() if value is None and name in DEFAULTS}
        known = {name: value for name, value in sent.items() if name not in resets}
    values = _clean(_SETTINGS, frozenset(), known, event, partial=True)
    if "locales" in values and not values["locales"]:
        raise refuse("This list may not be empty.", "locales")
    async with call.house.catalogue.changing(event.id) as session:
        row = await catalogue.event_row(session, event.id)
        settings = {name: value for name, value in row["settings"].items() if name not in resets} | values
        await catalogue.replace_event(session, event.id, row["body"], settings)
        generate = effective(settings)["invoice_generate"]
        if generate in AUTOMATIC and generate != effective(row["settings"])["invoice_generate"]:
            await invoices.begin(session, event.id, now)
    return reply(effective(settings))


def _event(call: Call) -> Event:
    assert call.event is not None
    return call.event


def _shown(row: Row) -> Body:
    """Return the event resource; its timezone is a setting too, and kept there alone."""
    own = {"slug": row["slug"], "timezone": effective(row["settings"])["timezone"]}
    return in_order(_EVENT, row["body"] | own)


def event_values(sent: Any) -> Body:
    """Return the checked fields of an event, slug and timezone among them. Raises Invalid."""
    return _read(sent, None, partial=False)


def setting_values(sent: Any) -> Body:
    """Return checked settings, with those that nobody knows. Raises Invalid."""
    return _clean(_SETTINGS, frozenset(), sent, None, partial=True)


def _read(sent: Any, event: Event | None, *, partial: bool) -> Body:
    values = _clean(_EVENT, _READ_ONLY, sent, event, partial=partial)
    if values.get("plugins", ()) is None:
        values["plugins"] = []
    return values


def _clean(schema: Schema, read_only: Set[str], sent: Any, event: Event | None, *, partial: bool) -> Body:
    values, errors = with_unknown(schema, read_only, sent, event, partial=partial)
    if errors:
        raise Invalid(errors)
    return values


def _check(values: Body) -> None:
    if values["seating_plan"] is None:
        values["seat_category_mapping"] = {}
    elif values["has_subevents"]:
        raise refuse("Event series should not directly be assigned a seating plan.", "seating_plan")
    check_order(values, "date_from", "date_to", "The event cannot end before it starts.")
    check_order(values, "presale_start", "presale_end", "The event's presale cannot end before it starts.")
