"""Money coming in (spec/facts.md, States, payments, refunds)."""

import datetime as dt
from decimal import Decimal

import pytest
from sample_orders import EVENT, NOW, order

from engine.domain import payments
from engine.domain.errors import Invalid, NotFound
from engine.domain.order import OrderStatus, PaymentState


def listed(done):
    return [(p.local_id, p.provider, str(p.state), str(p.amount)) for p in done.payments]


@pytest.mark.parametrize(
    ("status", "paid", "given_back", "owed"),
    [
        ("n", [], [], "23.00"),
        ("n", [("created", "23.00"), ("pending", "23.00"), ("failed", "23.00"), ("canceled", "23.00")], [], "23.00"),
        ("p", [("confirmed", "23.00")], [], "0.00"),
        ("p", [("confirmed", "30.00")], [], "-7.00"),
        ("p", [("confirmed", "23.00")], [("created", "1.00", 1)], "1.00"),
        ("p", [("confirmed", "23.00")], [("transit", "1.00", 1)], "1.00"),
        ("p", [("refunded", "23.00")], [("done", "23.00", 1)], "23.00"),
        ("p", [("confirmed", "23.00")], [("external", "5.00", 1)], "0.00"),
        ("p", [("confirmed", "23.00")], [("canceled", "5.00", 1), ("failed", "5.00", 1)], "0.00"),
        ("c", [("confirmed", "23.00")], [], "-23.00"),
        ("c", [], [], "0.00"),
    ],
)
def test_what_is_owed(status, paid, given_back, owed):
    assert payments.owed(order(status, paid=paid, given_back=given_back)) == Decimal(owed)


def test_mark_paid_uses_an_open_manual_payment_of_just_that_sum():
    done = payments.mark_paid(order(paid=[("created", "5.00"), ("pending", "23.00")]), EVENT, NOW).order
    assert done.status is OrderStatus.PAID
    assert listed(done) == [(1, "manual", "created", "5.00"), (2, "manual", "confirmed", "23.00")]
    assert done.payments[1].payment_date == NOW


def test_mark_paid_cancels_other_open_payments_and_adds_one():
    done = payments.mark_paid(order(paid=[("created", "23.00", "banktransfer"), ("confirmed", "3.00")]), EVENT, NOW)
    assert listed(done.order) == [
        (1, "banktransfer", "canceled", "23.00"),
        (2, "manual", "confirmed", "3.00"),
        (3, "manual", "confirmed", "20.00"),
    ]


def test_mark_paid_of_an_order_that_owes_nothing_books_nothing_worth():
    done = payments.mark_paid(order(paid=[("confirmed", "30.00")]), EVENT, NOW).order
    assert listed(done)[1:] == [(2, "manual", "confirmed", "0.00")]
    assert done.status is OrderStatus.PAID


def test_mark_paid_of_an_expired_order_keeps_the_money_if_it_is_sold_out():
    done = payments.mark_paid(order("e"), EVENT, NOW)
    assert done.order.status is OrderStatus.PAID
    assert done.if_sold_out.status is OrderStatus.EXPIRED
    assert listed(done.if_sold_out) == [(1, "manual", "confirmed", "23.00")]
    again = payments.mark_paid(done.if_sold_out, EVENT, NOW)
    assert again.if_sold_out == done.if_sold_out
    assert listed(again.order)[1:] == [(2, "manual", "confirmed", "0.00")]


def test_mark_paid_of_an_order_without_approval_keeps_the_money_and_says_so():
    done = payments.mark_paid(order(require_approval=True, paid=[("created", "23.00")]), EVENT, NOW).order
    assert (done.status, listed(done)) == (OrderStatus.PENDING, [(1, "manual", "confirmed", "23.00")])
    with pytest.raises(Invalid) as refusal:
        payments.refuse_unapproved(done)
    assert refusal.value.body == {"detail": "This order is not yet approved by the event organizer."}
    assert payments.mark_paid(done, EVENT, NOW).order == done


def test_the_second_of_two_mark_paid_is_told_that_the_order_is_paid():
    first = payments.mark_paid(order(), EVENT, NOW).order
    with pytest.raises(Invalid) as refusal:
        payments.mark_paid(first, EVENT, NOW)
    assert refusal.value.body == {"detail": "The order is not pending or expired."}


def add(value, state="confirmed", **fields):
    return payments.add(state=PaymentState(state), provider="manual", amount=Decimal(value), info={}, **fields)


def test_the_order_is_paid_once_the_confirmed_payments_cover_the_total():
    current = order()
    for value, status in (("10.00", "n"), ("12.99", "n"), ("0.01", "p"), ("5.00", "p")):
        current = add(value)(current, EVENT, NOW).order
        assert current.status == status
    assert [p.local_id for p in current.payments] == [1, 2, 3, 4]


def test_a_payment_of_a_canceled_order_is_booked_and_changes_nothing_else():
    done = add("23.00")(order("c"), EVENT, NOW)
    assert done.order.status is OrderStatus.CANCELED
    assert listed(done.order) == [(1, "manual", "confirmed", "23.00")]


def test_a_confirmed_payment_of_a_sold_out_expired_order_is_accepted_all_the_same():
    done = add("23.00")(order("e"), EVENT, NOW)
    assert done.sold_out_is_fine
    assert done.if_sold_out.status is OrderStatus.EXPIRED


def test_a_given_payment_date_is_kept():
    date = dt.datetime(2017, 12, 4, 12, 13, 12, tzinfo=dt.UTC)
    assert add("23.00", payment_date=date)(order(), EVENT, NOW).order.payments[0].payment_date == date
    assert add("23.00")(order(), EVENT, NOW).order.payments[0].payment_date == NOW
    assert add("23.00", "created")(order(), EVENT, NOW).order.payments[0].payment_date is None


def test_confirm_can_be_forced():
    before = order("e", paid=[("pending", "23.00")])
    assert payments.confirm(1, force=True)(before, EVENT, NOW).force
    assert not payments.confirm(1, force=False)(before, EVENT, NOW).force


def test_a_partial_payment_of_an_unapproved_order_is_no_reason_to_refuse():
    done = payments.confirm(1, force=False)(order(require_approval=True, paid=[("created", "5.00")]), EVENT, NOW).order
    payments.refuse_unapproved(done)


@pytest.mark.parametrize("rule", [payments.confirm(2, force=False), payments.cancel(2)])
def test_an_unknown_payment_is_not_found(rule):
    with pytest.raises(NotFound):
        rule(order(paid=[("created", "23.00")]), EVENT, NOW)
