"""Makes the catalogue of an event out of rows: out of all of them, or of those that have changed and an older copy."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from engine.domain.catalogue import (
    Event,
    Item,
    Product,
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
from engine.domain.event_settings import effective
from persistence.database import Row

_DATES = ("date_from", "date_to", "date_admission", "presale_start", "presale_end")
_SETTINGS_SHOWN = ("timezone", "locales", "ticket_download_addons", "ticket_download_nonadm")
_DATE_SHOWN = ("name", "location", "date_from", "date_to", "date_admission")


_VOUCHER = msgspec.json.Decoder(Voucher)

_Key = TypeVar("_Key", int, tuple[str, int])
_Value = TypeVar("_Value")


def language(settings: Mapping[str, Any]) -> str:
    """Return the language that an event's names are resolved to."""
    return str(settings["locales"][0])


def assemble(row: Row, seats: Seats, known: Event | None = None) -> Event:
    """Return an event from what sql/events.sql has found: `whole`, or `since` the version that is `known`."""
    settings, body = effective(row["settings"]), row["body"]
    changed: dict[str, set[int]] = defaultdict(set)
    for kind, row_id in row["changed"] if known else ():
        changed[kind].add(row_id)
    items = _items(row, language(settings), known.items if known else {}, changed["item"])
    quotas = _merged(known.quotas if known else {}, changed["quota"], {q.id: q for q in map(_quota, row["quotas"])})
    products, by_product = _coverage(known, items, quotas, changed)
    shown = _merged(
        known.shown if known else {},
        {(kind, row_id) for kind in ("item", "subevent") for row_id in changed[kind]} | {("event", 0)},
        _shown(row),
    )
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
        tax_rules=_merged(
            known.tax_rules if known else {},
            changed["tax_rule"],
            {rule_id: _tax_rule(rule_id, rule, language(settings)) for rule_id, rule in row["tax_rules"]},
        ),
        questions=_merged(known.questions if known else {}, changed["question"], _questions(row, language(settings))),
        subevents=_merged(
            known.subevents if known else {},
            changed["subevent"],
            {date_id: _subevent(date_id, date, language(settings)) for date_id, date in row["subevents"]},
        ),
        quotas=quotas,
        products=products,
        quotas_by_product=by_product,
        reserving=tuple(
            _merged(
                {one.id: one for one in known.reserving} if known else {},
                changed["voucher"],
                {voucher_id: voucher(voucher_id, kept) for voucher_id, kept in row["reserving"]},
            ).values()
        ),
        waiting=known.waiting
        if known and row["waiting"] is None
        else {(item, variation or 0, date or 0): count for item, variation, date, count in row["waiting"]},
        seats=seats,
        seated=_seated(row, known.seated if known else (), changed["subevent"]),
        dates={name: moment for name in _DATES if (moment := _moment(body.get(name))) is not None},
        shown=shown,
        look=f"{sum(shown.values()) % 2**96:024x}",
    )


def _merged(known: dict[_Key, _Value], changed: Set[_Key], fresh: dict[_Key, _Value]) -> dict[_Key, _Value]:
    """Return what is known with what has changed as it is now, by id; what has changed and is not there is gone."""
    if not changed:
        return known or fresh
    return dict(sorted(({key: value for key, value in known.items() if key not in changed} | fresh).items()))


def _items(row: Row, locale: str, known: dict[int, Item], changed: set[int]) -> dict[int, Item]:
    variations: dict[int, dict[int, Variation]] = defaultdict(dict)
    for variation_id, item_id, body in row["variations"]:
        variations[item_id][variation_id] = Variation(
            id=variation_id,
            name=in_locale(body["value"], locale),
            default_price=_decimal(body["default_price"]),
            active=body["active"],
        )
    addons: dict[int, set[int]] = defaultdict(set)
    free_addons: dict[int, set[int]] = defaultdict(set)
    for item_id, category, price_included in row["addons"]:
        addons[item_id].add(category)
        if price_included:
            free_addons[item_id].add(category)
    bundles: dict[int, set[tuple[int, int]]] = defaultdict(set)
    for item_id, bundled, variation_id in row["bundles"]:
        bundles[item_id].add((bundled, variation_id or 0))
    fresh = {
        item_id: _item(
            item_id,
            body,
            locale,
            variations=variations[item_id],
            addon_categories=frozenset(addons[item_id]),
            free_addon_categories=frozenset(free_addons[item_id]),
            bundles=frozenset(bundles[item_id]),
        )
        for item_id, body in row["items"]
    }
    items = _merged(known, changed, fresh)
    # these come of categories, of which all are read
    addon = set(row["addon_categories"])
    moved = {
        one.id: replace(one, is_addon=not one.is_addon)
        for one in items.values()
        if one.is_addon != (one.category in addon)
    }
    return items | moved if moved else items


def _coverage(
    known: Event | None, items: dict[int, Item], quotas: dict[int, Quota], changed: Mapping[str, Set[int]]
) -> tuple[dict[int, tuple[Product, ...]], dict[Product, tuple[int, ...]]]:
    """Return which products each quota covers, and which quotas cover each product."""
    if known is None:
        products = covered(quotas.values(), items)
        return products, covering(products)
    # an item that has come, gone or got other variations may be covered otherwise
    touched: set[int] = set()
    for item_id in changed["item"]:
        before, after = known.items.get(item_id), items.get(item_id)
        if before is None or after is None or before.variations.keys() != after.variations.keys():
            touched |= {item_id}.union(*(one.variations for one in (before, after) if one))
    affected = changed["quota"] | {
        quota.id
        for quota in quotas.values()
        if touched and not (touched.isdisjoint(quota.items) and touched.isdisjoint(quota.variations))
    }
    if not affected:
        return known.products, known.quotas_by_product
    fresh = covered((quotas[quota_id] for quota_id in affected if quota_id in quotas), items)
    by_product = dict(known.quotas_by_product)
    for quota_id in affected:
        old, new = set(known.products.get(quota_id, ())), set(fresh.get(quota_id, ()))
        for product in old - new:
            by_product[product] = tuple(one for one in by_product[product] if one != quota_id)
            if not by_product[product]:
                del by_product[product]
        for product in new - old:
            by_product[product] = tuple(sorted((*by_product.get(product, ()), quota_id)))
    return _merged(known.products, affected, fresh), by_product


def _seated(row: Row, known: Iterable[tuple[int, int]], changed: Set[int]) -> frozenset[tuple[int, int]]:
    kept = {(item, date) for item, date in known if date and date not in changed}
    return frozenset(kept).union(
        (item, date)
        for date, plan in [(0, row["body"]), *row["subevents"]]
        if plan["seating_plan"] is not None
        for item in plan["seat_category_mapping"].values()
    )


def _shown(row: Row) -> dict[tuple[str, int], int]:
    """Return digests of all that papers show of an event and what it sells."""
    body, settings = row["body"], row["settings"]
    variations: dict[int, list[Any]] = defaultdict(list)
    for variation_id, item_id, variation in row["variations"]:
        variations[item_id].append((variation_id, variation["value"]))
    found = {
        ("event", 0): _digest(
            [body.get(name) for name in ("name", "location", "currency", *_DATES)],
            [settings.get(name) for name in _SETTINGS_SHOWN],
        )
    }
    for item_id, item in row["items"]:
        told = (item["name"], item["admission"], item.get("generate_tickets"), variations[item_id])
        found["item", item_id] = _digest(item_id, *told)
    for date_id, date in row["subevents"]:
        found["subevent", date_id] = _digest(-date_id, [date.get(name) for name in _DATE_SHOWN])
    return found


def _digest(*shown: Any) -> int:
    text = repr(shown).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=12).digest())


def _questions(row: Row, locale: str) -> dict[int, Question]:
    options: dict[int, dict[int, QuestionOption]] = defaultdict(dict)
    for option_id, question_id, body in row["options"]:
        options[question_id][option_id] = QuestionOption(
            id=option_id, identifier=body["identifier"], answer=in_locale(body["answer"], locale)
        )
    return {
        question_id: Question(
            id=question_id,
            identifier=question["identifier"],
            type=question["type"],
            required=question["required"],
            items=frozenset(question["items"]),
            options=options[question_id],
        )
        for question_id, question in row["questions"]
    }


def voucher(voucher_id: int, body: dict[str, Any]) -> Voucher:
    """Return a voucher as it is kept in `body`."""
    return msgspec.convert({**body, "id": voucher_id}, Voucher)


def kept_voucher(voucher_id: int, body: str) -> Voucher:
    """Return a voucher from the text of what is kept; a rush reads thousands of them."""
    return _VOUCHER.decode(f'{{"id":{voucher_id},{body[1:]}')


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
