"""The invoice: what an order costs and why, frozen when it is issued.

Its JSON form is what Postgres keeps; field names are those of the API where the API shows them. Money is Decimal,
gross with the tax that it contains. A cancellation repeats the invoice that it takes back, with all amounts negative.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine.domain import names
from engine.domain.catalogue import Event
from engine.domain.invoice_texts import Words, country_name, day, words_of
from engine.domain.money import ZERO
from engine.domain.order import Fee, Order, OrderStatus, Position
from engine.domain.tax import EU_COUNTRIES, applies
from engine.domain.translated import own_words, plain, said

Translated = Mapping[str, str | None]

BREAK = "<br />"
"""What separates the lines of a description, as in pretix."""

_OWN_WORDS_MAX = 20_000
"""Characters of each text of the organizer's own; some pages of small print."""

_LOCAL_CURRENCIES = {
    "BG": "BGN",
    "CZ": "CZK",
    "DK": "DKK",
    "GB": "GBP",
    "HU": "HUF",
    "PL": "PLN",
    "RO": "RON",
    "SE": "SEK",
}


class Line(Struct, frozen=True):
    """One position or fee; `position` counts from 1."""

    position: int
    description: str
    item: int | None
    variation: int | None
    subevent: int | None
    event_date_from: dt.datetime | None
    event_date_to: dt.datetime | None
    event_location: str | None
    attendee_name: str | None
    fee_type: str | None
    fee_internal_type: str | None
    gross_value: Decimal
    tax_value: Decimal
    tax_name: str
    tax_rate: Decimal


class Invoice(Struct, frozen=True):
    """All that an invoice says but its number. `refers` is the number of the invoice that this one cancels."""

    event: str
    order: str
    is_cancellation: bool
    invoice_from_name: str
    invoice_from: str
    invoice_from_zipcode: str
    invoice_from_city: str
    invoice_from_country: str | None
    invoice_from_tax_id: str
    invoice_from_vat_id: str
    invoice_to: str
    invoice_to_company: str | None
    invoice_to_name: str | None
    invoice_to_street: str | None
    invoice_to_zipcode: str | None
    invoice_to_city: str | None
    invoice_to_state: str | None
    invoice_to_country: str | None
    invoice_to_vat_id: str | None
    invoice_to_beneficiary: str | None
    custom_field: str | None
    date: dt.date
    refers: str | None
    locale: str
    introductory_text: str
    additional_text: str
    payment_provider_text: str
    payment_provider_stamp: str | None
    footer_text: str
    lines: tuple[Line, ...]
    foreign_currency_display: str | None
    foreign_currency_rate: Decimal | None
    foreign_currency_rate_date: dt.date | None
    internal_reference: str
    # for the paper alone
    organizer_name: str
    event_name: str
    currency: str
    testmode: bool

    @property
    def total(self) -> Decimal:
        return sum((line.gross_value for line in self.lines), ZERO)

    @property
    def taxes(self) -> dict[tuple[Decimal, str], tuple[Decimal, Decimal]]:
        """Return (gross, tax) by rate and name of the tax, lowest rate first."""
        sums: dict[tuple[Decimal, str], tuple[Decimal, Decimal]] = {}
        for line in sorted(self.lines, key=lambda line: (line.tax_rate, line.tax_name)):
            gross, tax = sums.get((line.tax_rate, line.tax_name), (ZERO, ZERO))
            sums[line.tax_rate, line.tax_name] = gross + line.gross_value, tax + line.tax_value
        return sums


class Happening(Struct, frozen=True):
    """When and where: of an event, or of one date of a series."""

    name: Translated
    location: Translated
    date_from: dt.datetime | None
    date_to: dt.datetime | None


class Names(Struct, frozen=True):
    """What an event and the things in it are called, in all languages, by id."""

    organizer: str
    event: Happening
    items: dict[int, Translated]
    variations: dict[int, Translated]
    tax_rules: dict[int, Translated]
    dates: dict[int, Happening]


_decoder = msgspec.json.Decoder(Invoice)
_encoder = msgspec.json.Encoder()


def encode(invoice: Invoice) -> str:
    """Return the JSON form."""
    return _encoder.encode(invoice).decode()


def decode(data: str) -> Invoice:
    return _decoder.decode(data)


def drafted(order: Order, event: Event, known: Names, now: dt.datetime) -> Invoice:
    """Return the invoice of an order as it is now."""
    chosen = str(event.settings["invoice_language"] or "__user__")
    locale = order.locale if chosen == "__user__" else chosen
    words = words_of(locale)
    return Invoice(
        event=event.slug,
        order=order.code,
        is_cancellation=False,
        **_sender(event),
        **_recipient(order, event, words),
        date=_day_of(now, event),
        refers=None,
        locale=locale,
        introductory_text=_own_words(event, "invoice_introductory_text", locale),
        additional_text=_additional(order, event, locale),
        payment_provider_text=_payment(order, event, words),
        payment_provider_stamp=words.paid if order.status is OrderStatus.PAID else None,
        footer_text=_own_words(event, "invoice_footer_text", locale),
        lines=lines_of(order, event, known, locale),
        foreign_currency_display=_foreign_currency(order, event),
        foreign_currency_rate=None,
        foreign_currency_rate_date=None,
        organizer_name=known.organizer,
        event_name=said(known.event.name, locale) or event.slug,
        currency=event.currency,
        testmode=order.testmode,
    )


def canceling(invoice: Invoice, number: str, event: Event, now: dt.datetime) -> Invoice:
    """Return the invoice that cancels the one with this number."""
    return replace(
        invoice,
        is_cancellation=True,
        refers=number,
        date=_day_of(now, event),
        payment_provider_text="",
        payment_provider_stamp=None,
        lines=tuple(replace(line, gross_value=-line.gross_value, tax_value=-line.tax_value) for line in invoice.lines),
    )


def _day_of(moment: dt.datetime, event: Event) -> dt.date:
    """Return the day that a moment is on where the event is."""
    try:
        return moment.astimezone(ZoneInfo(event.timezone)).date()
    except OverflowError:
        # at the end of time every place has the same day
        return moment.date()


def _sender(event: Event) -> dict[str, Any]:
    said = {
        name: plain(event.settings[f"invoice_address_{name.removeprefix('invoice_')}"])
        for name in (
            "invoice_from_name",
            "invoice_from",
            "invoice_from_zipcode",
            "invoice_from_city",
            "invoice_from_tax_id",
            "invoice_from_vat_id",
        )
    }
    return {**said, "invoice_from_country": plain(event.settings["invoice_address_from_country"]) or None}


def _recipient(order: Order, event: Event, words: Words) -> dict[str, Any]:
    """Return whom the invoice is for; an order without an address has a recipient without a name."""
    address = order.invoice_address
    parts = ("company", "name", "street", "zipcode", "city", "state", "country", "vat_id", "beneficiary")
    if address is None:
        unknown = dict.fromkeys(f"invoice_to_{part}" for part in parts)
        return {"invoice_to": "", **unknown, "custom_field": None, "internal_reference": ""}
    name = names.full_name(address.name_parts, event) if address.name_parts else ""
    lines = [
        address.company,
        name,
        address.street,
        " ".join(part for part in (address.zipcode, address.city, address.state) if part),
        country_name(address.country, words) if address.country else "",
        words.vat_id.format(address.vat_id) if address.vat_id else "",
    ]
    return {
        "invoice_to": "\n".join(line.strip() for line in lines if line.strip()),
        "invoice_to_company": address.company,
        "invoice_to_name": name,
        "invoice_to_street": address.street,
        "invoice_to_zipcode": address.zipcode,
        "invoice_to_city": address.city,
        "invoice_to_state": address.state,
        "invoice_to_country": address.country or None,
        "invoice_to_vat_id": address.vat_id or None,
        "invoice_to_beneficiary": "",
        "custom_field": address.custom_field,
        "internal_reference": address.internal_reference,
    }


def _payment(order: Order, event: Event, words: Words) -> str:
    if order.status is OrderStatus.PAID:
        return words.received
    if order.status is OrderStatus.PENDING and event.settings["invoice_include_expire_date"]:
        return words.pay_until.format(day(_day_of(order.expires, event), words))
    return ""


def _foreign_currency(order: Order, event: Event) -> str | None:
    """Return the currency of the recipient's country where that is another one; no rate is known here."""
    if order.invoice_address is None or not event.settings["invoice_eu_currencies"]:
        return None
    currency = _LOCAL_CURRENCIES.get(order.invoice_address.country)
    return None if currency == event.currency else currency


# --------------------------------------------------------------------------------------------------------------- lines


def lines_of(order: Order, event: Event, known: Names, locale: str) -> tuple[Line, ...]:
    """Return what is billed: live positions by their numbers, add-ons after their base, then live fees."""
    live = [position for position in order.positions if not position.canceled]
    numbers = {position.id: position.positionid for position in live}
    bases = {position.addon_to for position in live}
    free = event.settings["invoice_include_free"]
    billed: list[Line] = []

    def after_its_base(position: Position) -> tuple[int, bool, int]:
        return numbers.get(position.addon_to or 0, position.positionid), bool(position.addon_to), position.positionid

    for position in sorted(live, key=after_its_base):
        if free or position.price or position.id in bases:
            billed.append(_of_position(len(billed) + 1, position, event, known, locale))
    for fee in order.fees:
        if not fee.canceled:
            billed.append(_of_fee(len(billed) + 1, fee, event, known, locale))
    return tuple(billed)


def _of_position(number: int, position: Position, event: Event, known: Names, locale: str) -> Line:
    words = words_of(locale)
    date = known.dates.get(position.subevent or 0)
    happening = date or known.event
    description = said(known.items.get(position.item, {}), locale) or str(position.item)
    if position.variation is not None:
        description += f" – {said(known.variations.get(position.variation, {}), locale)}"
    if position.addon_to is not None:
        description = f"+ {description}"
    more = []
    if event.settings["invoice_attendee_name"] and position.attendee_name:
        more.append(words.attendee.format(position.attendee_name))
    if date is not None:
        begin = day(_day_of(date.date_from, event), words) if date.date_from else ""
        more.append(words.date.format(" – ".join(part for part in (said(date.name, locale), begin) if part)))
    if position.seat is not None:
        more.append(words.seat.format(position.seat.name))
    return Line(
        position=number,
        description=BREAK.join([description, *more]),
        item=position.item,
        variation=position.variation,
        subevent=position.subevent,
        **_when_and_where(happening, locale),
        attendee_name=position.attendee_name or None,
        fee_type=None,
        fee_internal_type=None,
        gross_value=position.price,
        tax_value=position.tax_value,
        tax_name=said(known.tax_rules.get(position.tax_rule or 0, {}), locale),
        tax_rate=position.tax_rate,
    )


def _of_fee(number: int, fee: Fee, event: Event, known: Names, locale: str) -> Line:
    fees = words_of(locale).fees
    title = fees.get(fee.fee_type, fees["other"])
    if fee.description:
        title = fee.description if fee.fee_type == "other" else f"{title} – {fee.description}"
    return Line(
        position=number,
        description=title,
        item=None,
        variation=None,
        subevent=None,
        **_when_and_where(known.event, locale),
        attendee_name=None,
        fee_type=fee.fee_type,
        fee_internal_type=fee.internal_type or None,
        gross_value=fee.value,
        tax_value=fee.tax_value,
        tax_name=said(known.tax_rules.get(fee.tax_rule or 0, {}), locale),
        tax_rate=fee.tax_rate,
    )


def _when_and_where(happening: Happening, locale: str) -> dict[str, Any]:
    return {
        "event_date_from": happening.date_from,
        "event_date_to": happening.date_to,
        "event_location": said(happening.location, locale) or None,
    }


# --------------------------------------------------------------------------------------------------------------- texts


def _additional(order: Order, event: Event, locale: str) -> str:
    """Return what is printed below the lines: the organizer's words, and why a business pays no tax."""
    own = _own_words(event, "invoice_additional_text", locale)
    address = order.invoice_address
    sold: list[Position | Fee] = [
        *(p for p in order.positions if not p.canceled),
        *(f for f in order.fees if not f.canceled),
    ]
    rules = [event.tax_rules.get(one.tax_rule or 0) for one in sold if not one.tax_rate]
    if address is None or address.country not in EU_COUNTRIES:
        return own
    if not any(rule is not None and rule.rate and not applies(rule, address) for rule in rules):
        return own
    return "\n".join(text for text in (own, words_of(locale).reverse_charge) if text)


def _own_words(event: Event, name: str, locale: str) -> str:
    """Return what the organizer wants to be said, as long as it may be."""
    return own_words(event, name, locale)[:_OWN_WORDS_MAX]
