"""Changing and splitting orders: prices, taxes, statuses, numbers, and no cent lost whatever is done."""

import datetime as dt
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_orders import EVENT, NOW, fee, order, position

from engine.domain import payments
from engine.domain.catalogue import Item, Quota, TaxRule
from engine.domain.errors import Invalid, NotFound, Refused
from engine.domain.new_order import Line
from engine.domain.next import FULL
from engine.domain.order import InvoiceAddress, OrderStatus, decode, encode
from engine.domain.order_contents import (
    EMPTIED,
    NEEDS_BASE,
    NOT_CHANGEABLE,
    WRONG_BASE,
    Changes,
    PositionPatch,
    changed,
)
from engine.domain.splitting import ADDON_STAYS, SplitOff


def item(number, price="23.00", **fields):
    return Item(
        id=number,
        name=f"Item {number}",
        default_price=Decimal(price),
        active=True,
        admission=True,
        category=fields.pop("category", None),
        tax_rule=fields.pop("tax_rule", None),
        variations={},
        **fields,
    )


def tax_rule(number, rate, **fields):
    return TaxRule(number, "VAT", Decimal(rate), True, fields.get("reverse", False), fields.get("home", "DE"))


TICKET, TAXED, WORKSHOP, UNSOLD = 7, 8, 9, 10
CATALOGUE = msgspec.structs.replace(
    EVENT,
    items={
        TICKET: item(TICKET, addon_categories=frozenset({3})),
        TAXED: item(TAXED, "119.00", tax_rule=1),
        WORKSHOP: item(WORKSHOP, "5.00", category=3, is_addon=True),
        UNSOLD: item(UNSOLD),
    },
    tax_rules={1: tax_rule(1, "19.00", reverse=True), 2: tax_rule(2, "7.00")},
    quotas={4: Quota(4, "Tickets", 10, (TICKET,), (), None, False, False, 1, False)},
    quotas_by_product={(number, 0, 0): (4,) for number in (TICKET, TAXED, WORKSHOP)},
)
OFF = SplitOff(77, "SPLIT")
ABROAD = InvoiceAddress(NOW, is_business=True, country="AT", vat_id="ATU1", vat_id_validated=True)


def after(current, **changes):
    return changed(Changes(**changes))(current, CATALOGUE, NOW)


def line(number=TICKET, price=None, **fields):
    return Line(positionid=0, item=CATALOGUE.items[number], price=Decimal(price) if price else None, **fields)


def two(status="n", **fields):
    return order(status, total="46.00", positions=(position(1), position(2)), **fields)


def refused(text, current, **changes):
    with pytest.raises(Invalid) as error:
        after(current, **changes)
    assert error.value.body == [text]


def test_nothing_asked_changes_nothing():
    current = two(paid=[("created", "46.00")])
    assert after(current).order == current


def test_a_cheaper_pending_order_has_its_open_payment_canceled():
    done = after(two(paid=[("created", "46.00")]), cancel=(101,)).order
    assert (done.total, done.status) == (Decimal("23.00"), "n")
    assert [p.state for p in done.payments] == ["canceled"]
    assert [p.canceled for p in done.positions] == [True, False]


def test_a_pending_order_is_paid_once_what_came_in_covers_it():
    done = after(two(paid=[("confirmed", "30.00"), ("created", "16.00")]), cancel=(101,)).order
    assert done.status is OrderStatus.PAID
    assert [p.state for p in done.payments] == ["confirmed", "created"]


def test_a_pending_order_that_becomes_free_is_paid_by_nothing():
    done = after(order(), patch=(PositionPatch(101, {"price": Decimal("0.00")}),)).order
    assert done.status is OrderStatus.PAID
    assert [(p.provider, p.amount, p.state) for p in done.payments] == [("free", Decimal("0.00"), "confirmed")]


def test_an_order_awaiting_approval_is_not_paid_by_becoming_free():
    done = after(order(require_approval=True), patch=(PositionPatch(101, {"price": Decimal("0.00")}),)).order
    assert done.status is OrderStatus.PENDING


def test_a_paid_order_that_becomes_dearer_is_pending_until_a_new_day():
    current = order("p", paid=[("confirmed", "23.00")], expires=NOW - dt.timedelta(days=1))
    done = after(current, create=(line(),), first_id=500).order
    assert (done.status, done.total) == ("n", Decimal("46.00"))
    assert done.expires > NOW


def test_a_paid_order_that_is_covered_anyway_stays_paid():
    current = order("p", paid=[("confirmed", "50.00")])
    assert after(current, create=(line(),), first_id=500).order.status is OrderStatus.PAID


def test_an_expired_order_that_is_covered_now_is_paid_if_there_is_room():
    found = after(two("e", paid=[("confirmed", "23.00")]), cancel=(101,))
    assert found.order.status is OrderStatus.PAID
    assert found.if_sold_out is not None
    assert found.if_sold_out.status is OrderStatus.EXPIRED
    assert found.sold_out_is_fine


def test_contents_of_a_canceled_order_stay_but_details_of_attendees_may_change():
    refused(NOT_CHANGEABLE, two("c"), cancel=(101,))
    done = after(two("c"), patch=(PositionPatch(101, {"company": "Acme"}),)).order
    assert done.positions[0].company == "Acme"


def test_the_last_positions_cannot_leave():
    refused(EMPTIED, two(), cancel=(101, 102))
    refused(EMPTIED, two(), leaving=(101, 102), split_off=OFF)
    refused(EMPTIED, two(), cancel=(101,), leaving=(102,), split_off=OFF)


def test_canceling_makes_room_for_creating_and_numbers_go_on():
    done = after(two(), cancel=(101, 102), create=(line(price="10.00"),), first_id=500).order
    assert [(p.positionid, p.canceled) for p in done.positions] == [(1, True), (2, True), (3, False)]
    assert done.total == Decimal("10.00")


def test_add_ons_need_a_fitting_base_and_go_with_it():
    done = after(order(), create=(line(WORKSHOP, addon_to=1), line(WORKSHOP, addon_to=1)), first_id=500).order
    assert [(p.id, p.addon_to) for p in done.positions] == [(101, None), (500, 101), (501, 101)]
    assert done.total == Decimal("33.00")
    gone = after(done, cancel=(101,), create=(line(),), first_id=600).order
    assert [p.canceled for p in gone.positions] == [True, True, True, False]
    refused(NEEDS_BASE, order(), create=(line(WORKSHOP),), first_id=500)
    refused(WRONG_BASE, order(), create=(line(TICKET, addon_to=1),), first_id=500)
    with pytest.raises(NotFound):
        after(order(), create=(line(WORKSHOP, addon_to=9),), first_id=500)


def test_another_item_keeps_the_price_and_brings_its_tax():
    done = after(order(), patch=(PositionPatch(101, {"item": TAXED}),)).order
    [changed_position] = done.positions
    assert (changed_position.price, changed_position.tax_rate) == (Decimal("23.00"), Decimal("19.00"))
    assert (changed_position.tax_value, changed_position.tax_rule) == (Decimal("3.67"), 1)


def test_a_tax_rule_may_be_chosen():
    done = after(order(), patch=(PositionPatch(101, {"price": Decimal("107.00"), "tax_rule": 2}),)).order
    assert (done.positions[0].tax_value, done.positions[0].tax_rule) == (Decimal("7.00"), 2)


def test_products_without_quota_are_refused_and_shortages_named_by_quota():
    with pytest.raises(Invalid) as error:
        after(order(), patch=(PositionPatch(101, {"item": UNSOLD}),))
    assert error.value.body == ["There is no quota defined that allows this operation."]
    found = after(order(), create=(line(),), first_id=500)
    assert found.shortage.units(CATALOGUE, (TICKET, 0, 0), 4).body == [
        "The quota Tickets does not have enough capacity left to perform the operation."
    ]
    assert found.shortage is FULL


def test_fees_are_canceled_and_changed():
    current = order(total="26.00", positions=(position(1),), fees=(fee(1, "1.00"), fee(2, "2.00")))
    done = after(current, cancel_fees=(1,), fee_values={2: Decimal("4.00")}).order
    assert [(f.value, f.canceled) for f in done.fees] == [(Decimal("1.00"), True), (Decimal("4.00"), False)]
    assert done.total == Decimal("27.00")
    with pytest.raises(NotFound):
        after(done, cancel_fees=(1,))


@pytest.mark.parametrize(("keep", "price"), [("keep_net", "100.00"), ("keep_gross", "119.00")])
def test_taxes_follow_the_address(keep, price):
    sold = position(1, "119.00", tax_rule=1)
    sold = msgspec.structs.replace(sold, tax_rate=Decimal("19.00"), tax_value=Decimal("19.00"))
    current = order(total="119.00", positions=(sold,), invoice_address=ABROAD)
    [found] = after(current, recalculate=keep).order.positions
    assert (found.price, found.tax_rate, found.tax_value) == (Decimal(price), Decimal("0.00"), Decimal("0.00"))
    assert found.tax_rule == 1


def test_a_split_order_is_paid_by_the_money_that_is_spare():
    current = two("p", paid=[("confirmed", "46.00")], email="a@example.org")
    found = after(current, leaving=(102,), split_off=OFF)
    staying, new = found.order, found.split_off
    assert (staying.status, staying.total, new.status, new.total) == ("p", 23, "p", 23)
    assert [(r.provider, r.amount, r.state) for r in staying.refunds] == [("offsetting", 23, "done")]
    assert [(p.provider, p.amount, p.state) for p in new.payments] == [("offsetting", 23, "confirmed")]
    assert (new.id, new.code, new.version, new.email) == (77, "SPLIT", 1, "a@example.org")
    assert new.secret != current.secret
    [moved] = new.positions
    assert (moved.id, moved.positionid, moved.pseudonymization_id) == (102, 2, "P2")
    assert moved.secret != "s2"


def test_a_number_that_was_split_off_is_not_used_again():
    staying = after(two(), leaving=(102,), split_off=OFF).order
    done = after(staying, create=(line(),), first_id=500).order
    assert [p.positionid for p in done.positions] == [1, 3]


def test_an_unpaid_split_leaves_the_open_payment():
    found = after(two(paid=[("created", "46.00")]), leaving=(102,), split_off=OFF)
    assert [p.state for p in found.order.payments] == ["created"]
    assert (found.split_off.status, found.split_off.payments) == ("n", ())


def test_an_expired_order_is_split_into_expired_ones():
    found = after(two("e", paid=[("confirmed", "46.00")]), leaving=(102,), split_off=OFF)
    assert (found.order.status, found.split_off.status) == ("e", "e")


def test_an_add_on_does_not_leave_its_base():
    current = order(total="28.00", positions=(position(1), position(2, "5.00", addon_to=101)))
    refused(ADDON_STAYS, current, leaving=(102,), split_off=OFF)
    both = msgspec.structs.replace(current, positions=(*current.positions, position(3)), total=Decimal("51.00"))
    found = after(both, leaving=(101,), split_off=OFF)
    assert [p.id for p in found.split_off.positions] == [101, 102]


prices = st.decimals("0.00", "60.00", places=2)
ids = st.sampled_from([101, 102, 103, 104, 105])
some_changes = st.builds(
    lambda **fields: Changes(split_off=OFF, **fields),
    cancel=st.lists(ids, max_size=2, unique=True).map(tuple),
    patch=st.lists(
        st.builds(
            lambda number, price, of, rule: PositionPatch(
                number, {"price": price, "item": of} | ({"tax_rule": rule} if rule is not ... else {})
            ),
            ids,
            prices,
            st.sampled_from([TICKET, TAXED]),
            st.sampled_from([..., None, 1, 2]),
        ),
        max_size=3,
    ).map(tuple),
    leaving=st.lists(ids, max_size=2, unique=True).map(tuple),
    create=st.lists(st.builds(line, st.sampled_from([TICKET, TAXED])), max_size=2).map(tuple),
    first_id=st.just(500),
    cancel_fees=st.sampled_from([(), (1,)]),
    fee_values=st.dictionaries(st.just(2), prices, max_size=1),
    recalculate=st.sampled_from([None, "keep_net", "keep_gross"]),
)
some_orders = st.builds(
    lambda status, came, given, addresses, taxed: order(
        status,
        total=str(sum(given) + 3),
        positions=tuple(position(n, str(price), tax_rule=taxed) for n, price in enumerate(given, 1)),
        fees=(fee(1, "1.00"), fee(2, "2.00")),
        paid=[("confirmed", str(came)), ("created", "5.00")],
        invoice_address=addresses,
    ),
    st.sampled_from(["n", "p", "e"]),
    prices,
    st.lists(prices, min_size=3, max_size=5),
    st.sampled_from([None, ABROAD]),
    st.sampled_from([None, 1, 2]),
)


def worth(current):
    live = sum((p.price for p in current.positions if not p.canceled), Decimal(0))
    return live + sum((f.value for f in current.fees if not f.canceled), Decimal(0))


@given(some_orders, some_changes)
def test_whatever_is_changed_totals_and_money_add_up_to_the_cent(current, changes):
    try:
        found = changed(changes)(current, CATALOGUE, NOW)
    except Refused:
        return
    results = [found.order, *([found.split_off] if found.split_off else [])]
    for result in results:
        assert result.total == worth(result)
        assert result.total.as_tuple().exponent == -2
        assert decode(encode(result)) == result
        numbers = [p.positionid for p in result.positions]
        assert len(set(numbers)) == len(numbers)
        for sold in result.positions:
            if not sold.canceled:
                assert abs(sold.tax_value) <= sold.price
        if result.status is OrderStatus.PAID and current.status is not OrderStatus.PAID:
            assert payments.received(result) >= result.total
    assert sum(payments.received(result) for result in results) == payments.received(current)
    kept = {p.id for result in results for p in result.positions}
    assert kept >= {p.id for p in current.positions}


@given(some_orders, st.lists(ids, min_size=1, max_size=3, unique=True))
def test_a_split_conserves_what_both_orders_cost_and_own(current, leaving):
    try:
        found = after(current, leaving=tuple(leaving), split_off=OFF)
    except Refused:
        return
    new = found.split_off
    assert found.order.total + new.total == current.total
    assert payments.received(found.order) + payments.received(new) == payments.received(current)
    assert sorted(p.id for p in (*found.order.positions, *new.positions)) == [p.id for p in current.positions]
    assert found.order.fees == current.fees
    assert 0 <= payments.received(new) <= max(new.total, Decimal(0))
