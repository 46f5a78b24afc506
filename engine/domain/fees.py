"""Fees of an order (spec/orders.txt, Creating orders; spec/facts.md, Prices and taxes)."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from msgspec import Struct

from engine.domain import tax
from engine.domain.catalogue import Event, TaxRule
from engine.domain.money import ZERO, rounded, split
from engine.domain.order import Fee, InvoiceAddress, Position

FEE_TYPES = ("payment", "shipping", "service", "cancellation", "insurance", "late", "other", "giftcard", "passbook")


class FeeLine(Struct, frozen=True):
    """A fee as a client asks for it: an amount or a percentage of the positions, taxed by its rule or like them."""

    fee_type: str
    value: Decimal
    description: str = ""
    internal_type: str = ""
    tax_rule: TaxRule | None = None
    percentage: bool = False
    taxed_like_products: bool = False


def fees_of(
    lines: Iterable[FeeLine], positions: Iterable[Position], event: Event, address: InvoiceAddress | None
) -> list[Fee]:
    """Return the fees that `lines` ask for, with ids still 0; percentages do not count other fees."""
    sold = list(positions)
    fees: list[Fee] = []
    for line in lines:
        value = line.value
        if line.percentage:
            value = rounded(sum((p.price for p in sold), ZERO) * value / 100, event.currency)
        if line.taxed_like_products and sold:
            fees += _like_products(line, value, sold, event)
        else:
            taxed = tax.of_given(value, line.tax_rule, address, event.currency)
            fees.append(_fee(line, taxed, line.tax_rule.id if line.tax_rule else None))
    return fees


def _like_products(line: FeeLine, value: Decimal, sold: list[Position], event: Event) -> list[Fee]:
    """Share a fee out over the tax rates of the positions, by their net sums."""
    nets: dict[Decimal, Decimal] = {}
    rules: dict[Decimal, int | None] = {}
    for position in sold:
        rate = position.tax_rate
        nets[rate] = nets.get(rate, ZERO) + position.price - position.tax_value
        rules.setdefault(rate, position.tax_rule)
    rates = sorted(nets)
    shares = split(value, [nets[rate] for rate in rates], event.currency)
    return [
        _fee(line, tax.of_gross(share, rate, event.currency), rules[rate])
        for rate, share in zip(rates, shares, strict=True)
    ]


def _fee(line: FeeLine, taxed: tax.Taxed, rule_id: int | None) -> Fee:
    return Fee(
        id=0,
        fee_type=line.fee_type,
        value=taxed.gross,
        description=line.description,
        internal_type=line.internal_type,
        tax_rate=taxed.rate,
        tax_value=taxed.tax,
        tax_rule=rule_id,
    )
