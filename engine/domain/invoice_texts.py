"""What invoices say of their own accord, in English and German."""

from __future__ import annotations

import datetime as dt
import gettext
from collections.abc import Mapping
from decimal import Decimal
from functools import cache

import pycountry
from msgspec import Struct

from engine.domain.money import places

GERMAN = "de"


class Words(Struct, frozen=True):
    """One language. Names in braces stand for what they say."""

    language: str
    fees: Mapping[str, str]
    attendee: str
    date: str
    seat: str
    pay_until: str
    received: str
    paid: str
    vat_id: str
    tax_id: str
    reverse_charge: str
    invoice: str
    cancellation: str
    number: str
    order: str
    issued: str
    original: str
    event: str
    product: str
    rate: str
    net: str
    tax: str
    gross: str
    total: str
    taxes: str
    reference: str
    page: str
    test: str
    day: str
    decimal: str
    thousands: str


_EN = Words(
    language="en",
    fees={
        "payment": "Payment fee",
        "shipping": "Shipping fee",
        "service": "Service fee",
        "cancellation": "Cancellation fee",
        "insurance": "Insurance fee",
        "late": "Late fee",
        "giftcard": "Gift card",
        "other": "Other fees",
    },
    attendee="Attendee: {}",
    date="Date: {}",
    seat="Seat: {}",
    pay_until="Please complete your payment before {}.",
    received="The payment for this invoice has already been received.",
    paid="paid",
    vat_id="VAT-ID: {}",
    tax_id="Tax ID: {}",
    reverse_charge="Reverse charge: the recipient of the service is liable for VAT (Council Directive 2006/112/EC).",
    invoice="Invoice",
    cancellation="Cancellation",
    number="Number",
    order="Order",
    issued="Date",
    original="Cancels invoice",
    event="Event",
    product="Description",
    rate="Tax rate",
    net="Net",
    tax="Tax",
    gross="Gross",
    total="Total",
    taxes="Included taxes",
    reference="Your reference",
    page="Page {} of {}",
    test="TEST – this is no invoice",
    day="%Y-%m-%d",
    decimal=".",
    thousands=",",
)
_DE = Words(
    language=GERMAN,
    fees={
        "payment": "Zahlungsgebühr",
        "shipping": "Versandkosten",
        "service": "Servicegebühr",
        "cancellation": "Stornierungsgebühr",
        "insurance": "Versicherungsgebühr",
        "late": "Verspätungsgebühr",
        "giftcard": "Geschenkgutschein",
        "other": "Sonstige Gebühren",
    },
    attendee="Teilnehmer: {}",
    date="Datum: {}",
    seat="Platz: {}",
    pay_until="Bitte bezahlen Sie vor dem {}.",
    received="Die Zahlung für diese Rechnung ist bereits eingegangen.",
    paid="bezahlt",
    vat_id="USt-ID: {}",
    tax_id="Steuernummer: {}",
    reverse_charge="Reverse Charge: Steuerschuldnerschaft des Leistungsempfängers (Richtlinie 2006/112/EG).",
    invoice="Rechnung",
    cancellation="Stornorechnung",
    number="Nummer",
    order="Bestellung",
    issued="Datum",
    original="Storniert Rechnung",
    event="Veranstaltung",
    product="Beschreibung",
    rate="Steuersatz",
    net="Netto",
    tax="Steuer",
    gross="Brutto",
    total="Gesamtbetrag",
    taxes="Enthaltene Steuern",
    reference="Ihre Referenz",
    page="Seite {} von {}",
    test="TEST – dies ist keine Rechnung",
    day="%d.%m.%Y",
    decimal=",",
    thousands=".",
)


def words_of(locale: str) -> Words:
    """Return the words of a locale; whoever reads neither language reads English."""
    return _DE if locale == GERMAN or locale.startswith(("de-", "de_")) else _EN


def country_name(code: str, words: Words) -> str:
    """Return what a country is called; what is no country's code is its own name."""
    country = pycountry.countries.get(alpha_2=code)
    if country is None:
        return code
    name: str = getattr(country, "common_name", country.name)
    return _countries(words.language).gettext(name)


@cache
def _countries(language: str) -> gettext.NullTranslations:
    return gettext.translation("iso3166-1", pycountry.LOCALES_DIR, [language], fallback=True)


def day(date: dt.date, words: Words) -> str:
    return date.strftime(words.day)


def amount(value: Decimal, currency: str, words: Words) -> str:
    """Return an amount as people write it, without its currency."""
    digits = f"{value:,.{2 if value % 1 else places(currency)}f}"
    return digits.translate({ord(","): words.thousands, ord("."): words.decimal, ord("-"): "\N{MINUS SIGN}"})


def rate(value: Decimal, words: Words) -> str:
    """Return a tax rate: 19 %, 7.7 %."""
    text = f"{value.normalize():f}".replace(".", words.decimal)
    return f"{text}\N{NO-BREAK SPACE}%"
