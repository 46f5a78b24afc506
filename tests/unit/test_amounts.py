"""Rounding, splitting, taxes and fees: half up, and never a cent lost."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from sample_orders import EVENT, NOW, position

from engine.domain import tax
from engine.domain.catalogue import TaxRule
from engine.domain.fees import FeeLine, fees_of
from engine.domain.money import rounded, split
from engine.domain.order import InvoiceAddress

amounts = st.decimals("-99999999999", "99999999999", places=2)
prices = st.decimals("0", "99999999", places=2)
rates = st.decimals("0", "100", places=2)
RULE = TaxRule(5, "VAT", Decimal("19.00"), True, False, "DE")
REVERSE = replace(RULE, eu_reverse_charge=True)


def address(**fields: object) -> InvoiceAddress:
    return InvoiceAddress(last_modified=NOW, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        ("0.005", "EUR", "0.01"),
        ("0.0049", "EUR", "0.00"),
        ("2.345", "EUR", "2.35"),
        ("-2.345", "EUR", "-2.35"),
        ("11.725", "EUR", "11.73"),
        ("1000.50", "JPY", "1001.00"),
        ("1000.49", "JPY", "1000.00"),
    ],
)
def test_amounts_are_rounded_half_up_to_what_the_currency_has(amount: str, currency: str, expected: str) -> None:
    assert str(rounded(Decimal(amount), currency)) == expected


@given(amounts, st.lists(prices, min_size=1, max_size=6), st.sampled_from(["EUR", "JPY"]))
def test_shares_sum_up_to_what_was_split(amount: Decimal, weights: list[Decimal], currency: str) -> None:
    assert sum(split(amount, weights, currency)) == amount


@pytest.mark.parametrize(
    ("amount", "weights", "shares"),
    [
        ("10.00", ["1", "1", "1"], ["3.33", "3.33", "3.34"]),  # a missing cent goes onto the last
        ("0.05", ["1", "1"], ["0.02", "0.03"]),  # a cent too much comes off the first
        ("5.00", ["0", "0"], ["0.00", "5.00"]),
        ("5.00", ["0"], ["5.00"]),
    ],
)
def test_a_split_leans_to_the_last(amount: str, weights: list[str], shares: list[str]) -> None:
    assert [str(share) for share in split(Decimal(amount), [Decimal(w) for w in weights], "EUR")] == shares


@given(prices, rates, st.sampled_from(["EUR", "JPY"]))
def test_net_and_tax_make_gross(price: Decimal, rate: Decimal, currency: str) -> None:
    for taxed in (tax.of_gross(price, rate, currency), tax.of_net(price, rate, currency)):
        assert taxed.net + taxed.tax == taxed.gross
        assert taxed.tax >= 0 or currency == "JPY"  # a price in fractions of a yen is the client's own


@given(prices, rates)
def test_the_tax_on_a_net_price_is_found_again_in_its_gross_price(price: Decimal, rate: Decimal) -> None:
    gross = tax.of_net(price, rate, "EUR").gross
    assert abs(tax.of_gross(gross, rate, "EUR").net - price) <= Decimal("0.01")


@pytest.mark.parametrize(
    ("gross", "rate", "net", "of_it_tax"),
    [("23.00", "19.00", "19.33", "3.67"), ("2.30", "19.00", "1.93", "0.37"), ("-10.00", "19.00", "-8.40", "-1.60")],
)
def test_tax_comes_out_of_a_gross_price(gross: str, rate: str, net: str, of_it_tax: str) -> None:
    taxed = tax.of_gross(Decimal(gross), Decimal(rate), "EUR")
    assert (str(taxed.net), str(taxed.tax)) == (net, of_it_tax)


@pytest.mark.parametrize(
    ("rule", "gross", "net"),
    [
        (None, "23.00", "23.00"),
        (RULE, "23.00", "19.33"),
        (replace(RULE, price_includes_tax=False), "27.37", "23.00"),
    ],
)
def test_a_list_price_has_its_tax_inside_or_on_top(rule: TaxRule | None, gross: str, net: str) -> None:
    taxed = tax.of_list_price(Decimal("23.00"), rule, None, "EUR")
    assert (str(taxed.gross), str(taxed.net)) == (gross, net)


BUSINESS = {"is_business": True, "vat_id": "AT1", "vat_id_validated": True}


@pytest.mark.parametrize(
    ("buyer", "pays"),
    [
        (None, True),
        (address(), True),
        (address(country="DE", **BUSINESS), True),
        (address(country="AT", **BUSINESS), False),
        (address(country="AT", is_business=True), True),
        (address(country="AT", vat_id_validated=True), True),
        (address(country="US"), False),
    ],
)
def test_reverse_charge_lets_checked_businesses_and_foreigners_off(buyer: InvoiceAddress | None, pays: bool) -> None:
    assert tax.applies(REVERSE, buyer) is pays
    assert tax.applies(RULE, buyer)


def test_without_tax_the_list_price_is_net_but_a_given_price_stays() -> None:
    buyer = address(country="AT", **BUSINESS)
    listed = tax.of_list_price(Decimal("23.00"), REVERSE, buyer, "EUR")
    believed = tax.of_given(Decimal("23.00"), REVERSE, buyer, "EUR")
    assert [str(amount) for amount in (listed.gross, listed.rate, believed.gross, believed.tax)] == [
        "19.33",
        "0.00",
        "23.00",
        "0.00",
    ]


def sold(price: str, rate: str, rule: int | None) -> object:
    taxed = tax.of_gross(Decimal(price), Decimal(rate), "EUR")
    return replace(position(1, price), tax_rate=taxed.rate, tax_value=taxed.tax, tax_rule=rule)


def test_a_fee_like_the_products_is_split_by_their_rates() -> None:
    line = FeeLine("payment", Decimal("10.00"), percentage=True, taxed_like_products=True, tax_rule=RULE)
    fees = fees_of([line], [sold("119.00", "19.00", 5), sold("10.70", "7.00", 6)], EVENT, None)  # type: ignore[list-item]
    assert [(str(f.value), str(f.tax_rate), f.tax_rule) for f in fees] == [
        ("1.18", "7.00", 6),
        ("11.79", "19.00", 5),
    ]


@given(st.lists(st.tuples(prices, st.sampled_from(["0.00", "7.00", "19.00"])), min_size=1, max_size=5), amounts)
def test_split_fees_sum_up_to_the_fee(tickets: list[tuple[Decimal, str]], value: Decimal) -> None:
    positions = [sold(str(price), rate, None) for price, rate in tickets]
    fees = fees_of([FeeLine("service", value, taxed_like_products=True)], positions, EVENT, None)  # type: ignore[arg-type]
    assert sum(fee.value for fee in fees) == value
    assert len({fee.tax_rate for fee in fees}) == len(fees)


def test_percentages_count_positions_and_no_other_fees() -> None:
    percent = {"percentage": True}
    lines = [
        FeeLine("payment", Decimal("5.00")),
        FeeLine("payment", Decimal("10.00"), **percent),
        FeeLine("payment", Decimal("50.00"), **percent),
    ]
    fees = fees_of(lines, [position(1, "23.00"), position(2, "0.45")], EVENT, None)
    assert [str(fee.value) for fee in fees] == ["5.00", "2.35", "11.73"]
