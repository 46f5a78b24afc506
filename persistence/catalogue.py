"""Events, and the whole catalogue of one event as the rules see it (engine/domain/catalogue.py)."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from engine.domain.catalogue import (
    Event,
    Item,
    Question,
    QuestionOption,
    Quota,
    Seats,
    Subevent,
    TaxRule,
    Variation,
    Voucher,
    covered,
    covering,
)
from engine.domain.errors import StaleCatalogue
from engine.domain.event_settings import effective
from persistence import seating
from persistence.database import Database, Row, Session
from persistence.queries import Queries
from persistence.resources import jsonb

_SQL = Queries("events")
_VOUCHERS = Queries("vouchers")
_DATES = ("date_from", "date_to", "date_admission", "presale_start", "presale_end")
_SETTINGS_SHOWN = ("timezone", "locales", "ticket_download_addons", "ticket_download_nonadm")
_DATE_SHOWN = ("name", "location", "date_from", "date_to", "date_admission")
SLUG = re.compile(r"[A-Za-z0-9.\-]{1,50}")
"""What an event's slug may be; nothing else is ever looked up."""


async def load_event(
    source: Session | Database, organizer_id: int, slug: str, known: Event | None = None
) -> Event | None:
    """Return an event with everything below it as of one moment, or None if the organizer has no such event.

    `known` is an older copy, if there is one: the seats that it has are not read again.
    """
    if not SLUG.fullmatch(slug):
        return None
    return await _load(source, {"id": None, "organizer_id": organizer_id, "slug": slug}, known)


async def load_event_by_id(source: Session | Database, event_id: int, known: Event | None = None) -> Event:
    """Return the event with this id, which must exist."""
    event = await _load(source, {"id": event_id, "organizer_id": None, "slug": None}, known)
    assert event is not None
    return event


async def _load(source: Session | Database, which: dict[str, Any], known: Event | None) -> Event | None:
    seats = known.seats if known else Seats()
    while True:
        row = await source.row(_SQL["whole"], which)
        if row is None:
            return None
        if row["seats_version"] != seats.version:
            seats = await seating.load(source, row["id"], seats)
        # else they were changed in between, and are of another moment
        if row["seats_version"] == seats.version:
            return _event(row, seats)


async def bump(session: Session, event_id: int) -> int:
    """Count one more change to an event and keep others from changing it until the transaction ends."""
    row = await session.row(_SQL["bump"], {"id": event_id})
    assert row is not None
    return int(row["version"])


async def pass_version(session: Session, event_id: int, live: int) -> None:
    """Wait for whoever is changing an event; if its version is older than `live` then, give it the one after that."""
    await session.run(_SQL["pass_version"], {"id": event_id, "live": live})


async def add_event(
    session: Session, organizer_id: int, slug: str, body: dict[str, Any], settings: dict[str, Any]
) -> int | None:
    """Keep a new event and return its id; None if the organizer has the slug already."""
    row = await session.row(
        _SQL["add"],
        {"organizer_id": organizer_id, "slug": slug, "body": jsonb(body), "settings": jsonb(settings)},
    )
    return None if row is None else int(row["id"])


async def events(source: Session | Database, organizer_id: int) -> list[Row]:
    """Return all events of an organizer (id, slug, body, settings) by slug."""
    return await source.rows(_SQL["all"], {"organizer_id": organizer_id})


async def event_row(source: Session | Database, event_id: int) -> Row:
    row = await source.row(_SQL["one"], {"id": event_id})
    assert row is not None
    return row


async def replace_event(session: Session, event_id: int, body: dict[str, Any], settings: dict[str, Any]) -> None:
    await session.run(_SQL["replace"], {"id": event_id, "body": jsonb(body), "settings": jsonb(settings)})


def _event(row: Row, seats: Seats) -> Event:
    settings = effective(row["settings"])
    locale = settings["locales"][0]
    variations: dict[int, dict[int, Variation]] = defaultdict(dict)
    for variation_id, item_id, body in row["variations"]:
        variations[item_id][variation_id] = Variation(
            id=variation_id,
            name=in_locale(body["value"], locale),
            default_price=_decimal(body["default_price"]),
            active=body["active"],
        )
    addons: dict[int, set[int]] = defaultdict(set)
    for item_id, category in row["addons"]:
        addons[item_id].add(category)
    bundles: dict[int, set[tuple[int, int]]] = defaultdict(set)
    for item_id, bundled, variation_id in row["bundles"]:
        bundles[item_id].add((bundled, variation_id or 0))
    items = {
        item_id: _item(
            item_id,
            body,
            locale,
            variations=variations[item_id],
            is_addon=body["category"] in row["addon_categories"],
            addon_categories=frozenset(addons[item_id]),
            bundles=frozenset(bundles[item_id]),
        )
        for item_id, body in row["items"]
    }
    options: dict[int, dict[int, QuestionOption]] = defaultdict(dict)
    for option_id, question_id, body in row["options"]:
        options[question_id][option_id] = QuestionOption(
            id=option_id, identifier=body["identifier"], answer=in_locale(body["answer"], locale)
        )
    quotas = {quota.id: quota for quota in map(_quota, row["quotas"])}
    products = covered(quotas.values(), items)
    body = row["body"]
    return Event(
        id=row["id"],
        organizer_id=row["organizer_id"],
        organizer=row["organizer"],
        slug=row["slug"],
        version=row["version"],
        currency=body["currency"],
        timezone=settings["timezone"],
        testmode=body["testmode"],
        has_subevents=body["has_subevents"],
        plugins=tuple(body["plugins"]),
        settings=settings,
        items=items,
        tax_rules={rule_id: _tax_rule(rule_id, rule, locale) for rule_id, rule in row["tax_rules"]},
        questions={
            question_id: Question(
                id=question_id,
                identifier=question["identifier"],
                type=question["type"],
                required=question["required"],
                items=frozenset(question["items"]),
                options=options[question_id],
            )
            for question_id, question in row["questions"]
        },
        subevents={date_id: _subevent(date_id, date, locale) for date_id, date in row["subevents"]},
        quotas=quotas,
        products=products,
        quotas_by_product=covering(products),
        reserving=tuple(voucher(voucher_id, kept) for voucher_id, kept in row["reserving"]),
        waiting={(item, variation or 0, date or 0): count for item, variation, date, count in row["waiting"]},
        seats=seats,
        seated=frozenset(
            (item, date)
            for date, plan in [(0, body), *row["subevents"]]
            if plan["seating_plan"] is not None
            for item in plan["seat_category_mapping"].values()
        ),
        dates={name: moment for name in _DATES if (moment := _moment(body.get(name))) is not None},
        look=_look(row),
    )


def _look(row: Row) -> str:
    """Return a digest of all that papers show of an event and what it sells."""
    shown = (
        [row["body"].get(name) for name in ("name", "location", "currency", *_DATES)],
        [row["settings"].get(name) for name in _SETTINGS_SHOWN],
        [(item, body["name"], body["admission"], body.get("generate_tickets")) for item, body in row["items"]],
        [(variation, body["value"]) for variation, _, body in row["variations"]],
        [(date, [body.get(name) for name in _DATE_SHOWN]) for date, body in row["subevents"]],
    )
    return hashlib.blake2b(repr(shown).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def voucher(voucher_id: int, body: dict[str, Any]) -> Voucher:
    """Return a voucher as it is kept in `body`."""
    return Voucher(
        id=voucher_id,
        code=body["code"],
        max_usages=body["max_usages"],
        valid_until=_moment(body["valid_until"]),
        block_quota=body["block_quota"],
        allow_ignore_quota=body["allow_ignore_quota"],
        price_mode=body["price_mode"],
        value=_decimal(body["value"]),
        budget=_decimal(body["budget"]),
        item=body["item"],
        variation=body["variation"],
        quota=body["quota"],
        subevent=body["subevent"],
        seat=body["seat"],
    )


async def vouchers(database: Database, event: Event, code_keys: Sequence[str], ids: Sequence[int]) -> list[Voucher]:
    """Return those vouchers of an event that have one of the codes or ids. Raises StaleCatalogue if it has changed."""
    rows = await database.rows(
        _VOUCHERS["named"],
        {"event_id": event.id, "version": event.version, "code_keys": list(code_keys), "ids": list(ids)},
    )
    if not rows:
        raise StaleCatalogue
    return [voucher(row["id"], row["body"]) for row in rows if row["id"] is not None]


def _item(item_id: int, body: dict[str, Any], locale: str, **linked: Any) -> Item:
    return Item(
        id=item_id,
        name=in_locale(body["name"], locale),
        default_price=Decimal(body["default_price"]),
        active=body["active"],
        admission=body["admission"],
        generate_tickets=body.get("generate_tickets"),
        category=body["category"],
        tax_rule=body["tax_rule"],
        validity_mode=body["validity_mode"],
        validity_fixed_from=_moment(body["validity_fixed_from"]),
        validity_fixed_until=_moment(body["validity_fixed_until"]),
        validity_dynamic_duration_minutes=body["validity_dynamic_duration_minutes"],
        validity_dynamic_duration_hours=body["validity_dynamic_duration_hours"],
        validity_dynamic_duration_days=body["validity_dynamic_duration_days"],
        validity_dynamic_duration_months=body["validity_dynamic_duration_months"],
        validity_dynamic_start_choice=body["validity_dynamic_start_choice"],
        **linked,
    )


def _tax_rule(rule_id: int, body: dict[str, Any], locale: str) -> TaxRule:
    return TaxRule(
        id=rule_id,
        name=in_locale(body["name"], locale),
        rate=Decimal(body["rate"]),
        price_includes_tax=body["price_includes_tax"],
        eu_reverse_charge=body["eu_reverse_charge"],
        home_country=body["home_country"] or "",
    )


def _subevent(date_id: int, body: dict[str, Any], locale: str) -> Subevent:
    return Subevent(
        id=date_id,
        name=in_locale(body["name"], locale),
        active=body["active"],
        date_from=datetime.fromisoformat(body["date_from"]),
        date_to=_moment(body["date_to"]),
        item_overrides={row["item"]: (_decimal(row["price"]), row["disabled"]) for row in body["item_price_overrides"]},
        variation_overrides={
            row["variation"]: (_decimal(row["price"]), row["disabled"]) for row in body["variation_price_overrides"]
        },
    )


def _quota(row: dict[str, Any]) -> Quota:
    return Quota(
        id=row["id"],
        name=row["name"],
        size=row["size"],
        items=tuple(row["items"]),
        variations=tuple(row["variations"]),
        subevent=row["subevent_id"],
        close_when_sold_out=row["close_when_sold_out"],
        closed=row["closed"],
        closed_version=row["closed_version"],
        release_after_exit=row["release_after_exit"],
        extra=row["extra"],
        allowance=row["allowance"],
    )


def in_locale(text: dict[str, str | None], locale: str) -> str:
    """Return a translated text in one language: that one, else English, else whichever there is."""
    return text.get(locale) or text.get("en") or next((value for value in text.values() if value), "")


def _decimal(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _moment(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)
