"""Taxes on one line: which rate applies, and what of a price is tax (spec/facts.md, Prices and taxes)."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from engine.domain.catalogue import TaxRule
from engine.domain.money import ZERO, rounded
from engine.domain.order import InvoiceAddress

_EU = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
EU_COUNTRIES = frozenset(_EU.split())


class Taxed(Struct, frozen=True, gc=False):
    """A price with its tax: gross = net + tax."""

    gross: Decimal
    net: Decimal
    tax: Decimal
    rate: Decimal


def applies(rule: TaxRule, address: InvoiceAddress | None) -> bool:
    """Tell whether a buyer with this address pays the tax at all.

    Only rules with reverse charge ever let one off: businesses of other EU countries with a checked VAT id, and
    everybody outside the EU.
    """
    if not rule.eu_reverse_charge or address is None or not address.country:
        return True
    if address.country not in EU_COUNTRIES:
        return False
    reverse = address.is_business and address.vat_id_validated
    return address.country == rule.home_country or not reverse


def of_gross(gross: Decimal, rate: Decimal, currency: str) -> Taxed:
    """Take the tax out of a price that includes it."""
    net = rounded(gross * 100 / (100 + rate), currency) if rate else gross
    return Taxed(gross, net, gross - net, rate)


def of_net(net: Decimal, rate: Decimal, currency: str) -> Taxed:
    """Put the tax on a price that lacks it."""
    tax = rounded(net * (100 + rate) / 100, currency) - net if rate else ZERO
    return Taxed(net + tax, net, tax, rate)


def of_given(price: Decimal, rule: TaxRule | None, address: InvoiceAddress | None, currency: str) -> Taxed:
    """Tax a price that a client sent: it is what the buyer pays, whatever the rule says."""
    rate = rule.rate if rule is not None and applies(rule, address) else ZERO
    return of_gross(price, rate, currency)


def of_list_price(price: Decimal, rule: TaxRule | None, address: InvoiceAddress | None, currency: str) -> Taxed:
    """Tax a price of the catalogue: with or without tax as its rule says; net for those who pay none."""
    if rule is None:
        return of_gross(price, ZERO, currency)
    taxed = (of_gross if rule.price_includes_tax else of_net)(price, rule.rate, currency)
    return taxed if applies(rule, address) else of_gross(taxed.net, ZERO, currency)
