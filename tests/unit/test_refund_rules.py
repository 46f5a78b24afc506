"""Money going back (spec/facts.md, States, payments, refunds)."""

from decimal import Decimal

import pytest
from msgspec.structs import replace
from sample_orders import BANK, EVENT, NOW, fee, order, position

from engine.domain import refunds
from engine.domain.errors import Invalid, NotFound
from engine.domain.order import OrderStatus, PaymentState, RefundState

BANK_PAID = [("confirmed", "23.00", "banktransfer")]


def add(value="23.00", **fields):
    told = {"mark_canceled": False, "mark_pending": False, "payment": 1, "state": RefundState.CREATED}
    return refunds.add(**{**told, "source": "admin", "provider": "manual", "amount": Decimal(value), **fields})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.00", "Invalid refund amount."),
        ("-1.00", "Invalid refund amount."),
        ("25.00", "Invalid refund amount, only 23.00 are available to refund."),
        ("23.00", "Full refund not available for this payment method."),
        ("20.00", "Partial refund not available for this payment method."),
    ],
)
def test_manual_payments_cannot_be_refunded_by_the_provider(value, text):
    with pytest.raises(Invalid) as refusal:
        refunds.refund_payment(1, Decimal(value), mark_canceled=False)(
            order("p", paid=[("confirmed", "23.00")]), EVENT, NOW
        )
    assert refusal.value.body == {"amount": [text]}


@pytest.mark.parametrize(
    ("info", "possible"),
    [
        (BANK, True),
        ({**BANK, "iban": "de02 1203 0000 0000 2020 51"}, True),
        ({**BANK, "iban": "DE03120300000000202051"}, False),
        ({**BANK, "iban": "DE02"}, False),
        ({**BANK, "iban": 5}, False),
        ({**BANK, "payer": ""}, False),
        ({"payer": "Peter"}, False),
        ({}, False),
    ],
)
def test_a_bank_transfer_can_be_refunded_if_it_says_from_where_it_came(info, possible):
    payment = replace(order(paid=BANK_PAID).payments[0], info=info)
    assert refunds.refundable_by_provider(payment) is possible


def test_a_refund_of_a_payment_makes_a_paid_order_owe_again():
    before = order("p", paid=BANK_PAID)
    done = refunds.refund_payment(1, Decimal("5.00"), mark_canceled=False)(before, EVENT, NOW).order
    assert (done.status, done.payments) == (OrderStatus.PENDING, before.payments)
    refund = done.refunds[0]
    assert (refund.local_id, refund.state, refund.source, refund.amount, refund.payment, refund.provider) == (
        1,
        RefundState.CREATED,
        "admin",
        Decimal("5.00"),
        1,
        "banktransfer",
    )
    with pytest.raises(Invalid) as refusal:
        refunds.refund_payment(1, None, mark_canceled=False)(done, EVENT, NOW)
    assert refusal.value.body == {"amount": ["Invalid refund amount, only 18.00 are available to refund."]}


def test_a_refund_of_what_was_overpaid_leaves_the_order_paid():
    before = order("p", paid=[("confirmed", "46.00", "banktransfer")])
    done = refunds.refund_payment(1, Decimal("23.00"), mark_canceled=True)(before, EVENT, NOW).order
    assert done.status is OrderStatus.PAID


def test_a_refund_with_mark_canceled_cancels_the_order():
    done = refunds.refund_payment(1, None, mark_canceled=True)(order("p", paid=BANK_PAID), EVENT, NOW).order
    assert done.status is OrderStatus.CANCELED


def test_a_booked_refund_leaves_the_order_alone_unless_told():
    before = order("p", paid=[("confirmed", "23.00")])
    assert add()(before, EVENT, NOW).order.status is OrderStatus.PAID
    assert add(mark_pending=True)(before, EVENT, NOW).order.status is OrderStatus.PENDING
    assert add(mark_canceled=True)(before, EVENT, NOW).order.status is OrderStatus.CANCELED
    assert add("1.00", payment=None)(before, EVENT, NOW).order.refunds[0].payment is None


def test_a_refund_booked_as_done_was_executed_now_and_leaves_its_payment_alone():
    done = add(state=RefundState.DONE)(order("p", paid=[("confirmed", "23.00")]), EVENT, NOW).order
    assert done.refunds[0].execution_date == NOW
    assert done.payments[0].state is PaymentState.CONFIRMED
    assert add()(order("p", paid=[("confirmed", "23.00")]), EVENT, NOW).order.refunds[0].execution_date is None


def test_a_booked_refund_needs_a_known_payment():
    with pytest.raises(Invalid) as refusal:
        add(payment=7)(order("p", paid=[("confirmed", "23.00")]), EVENT, NOW)
    assert refusal.value.body == ["Unknown payment ID."]


def test_mark_canceled_leaves_alone_what_is_canceled_already_and_what_is_only_a_fee():
    for before in (
        order("c", paid=[("confirmed", "23.00")]),
        order("p", paid=[("confirmed", "23.00")], positions=(position(1, canceled=True),), fees=(fee(1, "23.00"),)),
    ):
        assert add(mark_canceled=True)(before, EVENT, NOW).order.status == before.status


def test_a_payment_is_refunded_once_all_of_it_has_gone_back():
    before = order("p", paid=[("confirmed", "23.00")], given_back=[("created", "3.00", 1), ("created", "20.00", None)])
    done = refunds.done(1)(before, EVENT, NOW).order
    assert done.payments[0].state is PaymentState.CONFIRMED
    whole = order("p", paid=[("confirmed", "23.00")], given_back=[("done", "3.00", 1), ("transit", "20.00", 1)])
    done = refunds.done(2)(whole, EVENT, NOW).order
    assert done.payments[0].state is PaymentState.REFUNDED
    assert done.status is OrderStatus.PAID


def test_an_external_refund_makes_the_order_owe_or_be_canceled_or_is_covered():
    before = order("p", paid=[("confirmed", "23.00")], given_back=[("external", "23.00", 1)])
    pending = refunds.process(1, mark_canceled=False)(before, EVENT, NOW).order
    assert (pending.status, pending.payments[0].state) == (OrderStatus.PENDING, PaymentState.REFUNDED)
    assert refunds.process(1, mark_canceled=True)(before, EVENT, NOW).order.status is OrderStatus.CANCELED
    twice = order("p", paid=[("confirmed", "23.00")] * 2, given_back=[("external", "23.00", 2)])
    assert refunds.process(1, mark_canceled=False)(twice, EVENT, NOW).order.status is OrderStatus.PAID


@pytest.mark.parametrize("rule", [refunds.done(9), refunds.cancel(9), refunds.process(9, mark_canceled=True)])
def test_an_unknown_refund_is_not_found(rule):
    with pytest.raises(NotFound):
        rule(order("p", paid=[("confirmed", "23.00")]), EVENT, NOW)
