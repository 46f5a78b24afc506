"""Names, prices, validity and first payments of new orders."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from sample_orders import EVENT, LATER, NOW

from engine.domain import names
from engine.domain.catalogue import Item, Subevent, Variation
from engine.domain.errors import Invalid
from engine.domain.fees import FeeLine
from engine.domain.new_order import Line, drafted, first_payment, numbered, priced, unsellable
from engine.domain.order import Order, OrderStatus, Payment, PaymentState
from engine.domain.places import state_error
from engine.domain.pricing import list_price, sold_on
from engine.domain.validity import validity_of

RED = Variation(21, "Red", Decimal("5.00"), True)
BLUE = Variation(22, "Blue", None, True)
ITEM = Item(7, "Ticket", Decimal("23.00"), True, True, None, None, {})
SHIRT = Item(8, "Shirt", Decimal("10.00"), True, False, None, None, {21: RED, 22: BLUE})


def date(items: dict[int, Any] | None = None, variations: dict[int, Any] | None = None) -> Subevent:
    return Subevent(3, "Day", True, NOW, None, items or {}, variations or {})


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ({}, None),
        ({"_legacy": "Peter"}, "Peter"),
        ({"full_name": "Peter"}, ""),  # read by the event's scheme, which has no such part
        ({"_scheme": "full", "full_name": "Peter"}, "Peter"),
        ({"given_name": "Peter", "family_name": "Miller"}, "Peter Miller"),
        ({"_scheme": "given_family", "family_name": "Miller"}, "Miller"),
        ({"_scheme": "family_comma_given", "given_name": "Peter", "family_name": "Miller"}, "Miller, Peter"),
        ({"_scheme": "family_nospace_given", "given_name": "明", "family_name": "王"}, "王明"),
        ({"_scheme": "no such", "given_name": "Peter", "family_name": None}, "Peter"),
    ],
)
def test_name_parts_make_a_name(parts: dict[str, Any], name: str | None) -> None:
    assert names.attendee_name(parts, EVENT) == name


@pytest.mark.parametrize("parts", [{}, {"_legacy": "P"}, {"_scheme": "full", "full_name": "P"}])
def test_parts_that_say_their_scheme_are_kept(parts: dict[str, Any]) -> None:
    assert names.with_scheme(parts, EVENT) == parts


def test_parts_get_the_scheme_of_the_event() -> None:
    assert names.with_scheme({"given_name": "P"}, EVENT) == {"_scheme": "given_family", "given_name": "P"}


@pytest.mark.parametrize(
    ("country", "state", "error"),
    [
        ("US", "CA", None),
        ("DE", None, None),
        ("DE", "", None),
        ("DE", "BW", 'States are not supported in country "DE".'),
        ("US", "QQ", '"QQ" is not a known subdivision of the country "US".'),
        (None, "CA", 'States are not supported in country "".'),
    ],
)
def test_states_belong_to_seven_countries(country: str | None, state: str | None, error: str | None) -> None:
    assert state_error(country, state) == error


@pytest.mark.parametrize(
    ("item", "variation", "subevent", "price"),
    [
        (ITEM, None, None, "23.00"),
        (SHIRT, RED, None, "5.00"),
        (SHIRT, BLUE, None, "10.00"),
        (ITEM, None, date({7: (Decimal("9.00"), False)}), "9.00"),
        (ITEM, None, date({7: (None, False)}), "23.00"),
        (SHIRT, BLUE, date({8: (Decimal("9.00"), False)}), "9.00"),
        (SHIRT, RED, date({8: (Decimal("9.00"), False)}), "5.00"),
        (SHIRT, RED, date({8: (Decimal("9.00"), False)}, {21: (Decimal("4.00"), False)}), "4.00"),
    ],
)
def test_the_most_special_price_counts(item: Item, variation: Variation, subevent: Subevent, price: str) -> None:
    assert str(list_price(item, variation, subevent)) == price


def test_a_date_can_refuse_an_item_or_a_variation() -> None:
    assert not sold_on(ITEM, None, date({7: (None, True)}))
    assert not sold_on(SHIRT, RED, date({}, {21: (None, True)}))
    assert sold_on(SHIRT, BLUE, date({}, {21: (None, True)}))


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("fields", "requested", "expected"),
    [
        ({}, None, (None, None)),
        ({"validity_mode": "fixed", "validity_fixed_from": NOW}, None, (NOW, None)),
        (
            {"validity_mode": "dynamic", "validity_dynamic_duration_minutes": 30},
            LATER,
            (NOW, NOW + dt.timedelta(minutes=30)),
        ),
        (
            {
                "validity_mode": "dynamic",
                "validity_dynamic_duration_minutes": 30,
                "validity_dynamic_start_choice": True,
            },
            LATER,
            (LATER, LATER + dt.timedelta(minutes=30)),
        ),
        (
            {"validity_mode": "dynamic", "validity_dynamic_duration_days": 1},
            None,
            (NOW, utc(2031, 3, 5, 22, 59, 59)),
        ),
        (
            {"validity_mode": "dynamic", "validity_dynamic_duration_months": 1},
            None,
            (NOW, utc(2031, 4, 4, 21, 59, 59)),  # summer time has come to Berlin
        ),
    ],
)
def test_validity_follows_the_item(fields: dict[str, Any], requested: dt.datetime | None, expected: Any) -> None:
    assert validity_of(replace(ITEM, **fields), requested, NOW, "Europe/Berlin") == expected


def draft(*lines: Line, status: str = "n", fees: tuple[FeeLine, ...] = (), **fields: Any) -> Order:
    return drafted(EVENT, NOW, *priced(lines, fees, EVENT, None, NOW), None, OrderStatus(status), LATER, **fields)


def real(draft: Order, lines: Sequence[Line], payment: Payment | None = None) -> Order:
    return numbered(draft, lines, payment, order_id=9, code="ABCDE", first_position_id=100, first_fee_id=0)


def test_a_draft_has_a_sum_and_no_ids() -> None:
    order = draft(Line(1, ITEM), Line(2, SHIRT, RED, addon_to=1), fees=(FeeLine("payment", Decimal("0.25")),))
    assert (str(order.total), order.code, order.id) == ("28.25", "PREVIEW", 0)
    assert [(p.id, p.secret, p.addon_to) for p in order.positions] == [(0, "", None), (0, "", 1)]


def test_numbering_gives_ids_and_secrets_and_keeps_chosen_ones() -> None:
    lines = [Line(1, ITEM, secret="mine"), Line(2, ITEM, addon_to=1)]
    order = real(draft(*lines), lines)
    assert (order.id, order.code, order.payments) == (9, "ABCDE", ())
    assert [(p.id, p.addon_to) for p in order.positions] == [(100, None), (101, 100)]
    assert order.positions[0].secret == "mine"
    assert len(order.positions[1].secret) == 32


def test_sums_that_no_store_can_hold_are_refused() -> None:
    dear = Line(1, ITEM, price=Decimal("99999999999.99"))
    with pytest.raises(Invalid):
        draft(dear, replace(dear, positionid=2))


def test_products_without_quota_are_not_sold() -> None:
    event = replace(EVENT, quotas_by_product={(7, 0, 0): (1,)})
    assert unsellable(Line(1, ITEM), event) is None
    assert unsellable(Line(2, SHIRT, RED), event) == 'The product "Shirt" is not assigned to a quota.'


FREE = Line(1, ITEM, price=Decimal("0.00"))
DEAR = Line(1, ITEM)


@pytest.mark.parametrize(
    ("line", "fields", "provider", "status", "payments"),
    [
        (DEAR, {}, None, "n", []),
        (DEAR, {}, "manual", "n", [("manual", "created")]),
        (DEAR, {"status": "p"}, "manual", "p", [("manual", "confirmed")]),
        (FREE, {}, "manual", "p", [("free", "confirmed")]),
        (FREE, {"status": "p"}, None, "p", [("free", "confirmed")]),
        (FREE, {"require_approval": True}, None, "n", []),
    ],
)
def test_the_first_payment(
    line: Line, fields: dict[str, Any], provider: str | None, status: str, payments: list[tuple[str, str]]
) -> None:
    drawn = draft(line, **fields)
    order = real(drawn, [line], first_payment(drawn, provider, None, {}))
    assert order.status == status
    assert [(p.provider, p.state) for p in order.payments] == payments
    assert all((p.payment_date is not None) == (p.state is PaymentState.CONFIRMED) for p in order.payments)


@pytest.mark.parametrize(
    ("status", "provider", "text"),
    [
        ("p", None, "You cannot create a paid order without a payment provider."),
        ("n", "free", 'You cannot use the "free" payment provider for non-free orders.'),
    ],
)
def test_payments_that_cannot_be(status: str, provider: str | None, text: str) -> None:
    with pytest.raises(Invalid) as refused:
        first_payment(draft(DEAR, status=status), provider, None, {})
    assert refused.value.body == [text]
