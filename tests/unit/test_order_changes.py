"""Canceling, expiring, extending, approving (spec/facts.md, States, payments, refunds)."""

import datetime as dt
from decimal import Decimal

import msgspec
import pytest
from sample_orders import EARLIER, EVENT, LATER, NOW, fee, order, position

from engine.domain import deadlines, order_changes
from engine.domain.errors import Invalid
from engine.domain.order import OrderStatus, PaymentState


def test_canceling_keeps_the_contents_and_the_money():
    before = order("p", paid=[("confirmed", "23.00"), ("created", "1.00")])
    done = order_changes.mark_canceled(None, 9)(before, EVENT, NOW).order
    assert (done.status, done.total, done.positions) == (OrderStatus.CANCELED, before.total, before.positions)
    assert [p.state for p in done.payments] == [PaymentState.CONFIRMED, PaymentState.CANCELED]


def test_a_cancellation_fee_is_all_that_is_left():
    before = order("p", total="47.00", paid=[("confirmed", "47.00")], fees=(fee(1, "1.00"),))
    done = order_changes.mark_canceled(Decimal("6"), 9)(before, EVENT, NOW).order
    assert (done.status, str(done.total)) == (OrderStatus.PAID, "6.00")
    assert [p.canceled for p in done.positions] == [True]
    assert [(f.id, f.fee_type, str(f.value), f.canceled) for f in done.fees] == [
        (1, "payment", "1.00", True),
        (9, "cancellation", "6.00", False),
    ]
    with pytest.raises(Invalid) as refusal:
        order_changes.mark_canceled(None, 10)(done, EVENT, NOW)
    assert refusal.value.body == {"detail": "The order is not allowed to be canceled."}


def test_a_cancellation_fee_that_is_not_covered_is_owed_with_a_new_deadline():
    done = order_changes.mark_canceled(Decimal("6.00"), 9)(order("e", expires=EARLIER), EVENT, NOW).order
    assert (done.status, str(done.total)) == (OrderStatus.PENDING, "6.00")
    assert done.expires > NOW


@pytest.mark.parametrize("value", [None, Decimal("0.00"), Decimal("-3.00"), Decimal("0.001")])
def test_no_fee_is_no_fee(value):
    done = order_changes.mark_canceled(value, 9)(order("p", paid=[("confirmed", "23.00")]), EVENT, NOW).order
    assert (done.status, done.fees) == (OrderStatus.CANCELED, ())


@pytest.mark.parametrize("value", ["23.01", "700.00", "1e300"])
def test_a_cancellation_fee_above_the_total_is_refused(value):
    with pytest.raises(Invalid) as refusal:
        order_changes.mark_canceled(Decimal(value), 9)(order(), EVENT, NOW)
    assert refusal.value.body == {
        "detail": "The cancellation fee cannot be higher than the total amount of this order."
    }


def test_only_what_is_due_expires():
    assert order_changes.expire(order(expires=EARLIER), EVENT, NOW).order.status is OrderStatus.EXPIRED
    for before in (
        order(expires=NOW),
        order(expires=LATER),
        order(expires=EARLIER, require_approval=True),
        order("p", expires=EARLIER),
        order("c", expires=EARLIER),
    ):
        assert order_changes.expire(before, EVENT, NOW).order is before


def test_reactivating_pays_the_order_if_the_money_is_there():
    done = order_changes.reactivate(order("c", paid=[("confirmed", "23.00")], expires=EARLIER), EVENT, NOW)
    assert (done.order.status, done.if_sold_out) == (OrderStatus.PAID, None)
    done = order_changes.reactivate(order("c", expires=EARLIER), EVENT, NOW).order
    assert (done.status, done.expires > NOW) == (OrderStatus.PENDING, True)


def test_extending_moves_the_deadline_to_the_end_of_the_day_where_the_event_is():
    done = order_changes.extend(dt.date(2031, 6, 12), force=True)(order("e"), EVENT, NOW)
    assert (done.order.status, done.force) == (OrderStatus.PENDING, True)
    assert done.order.expires == dt.datetime(2031, 6, 12, 21, 59, 59, tzinfo=dt.UTC)
    assert order_changes.extend(NOW.date(), force=False)(order(), EVENT, NOW).order.expires > NOW


@pytest.mark.parametrize("day", [dt.date(2031, 3, 4), dt.date.min])
def test_a_deadline_in_the_past_is_refused(day):
    with pytest.raises(Invalid) as refusal:
        order_changes.extend(day, force=False)(order(), EVENT, NOW)
    assert refusal.value.body == {"detail": "The new expiry date needs to be in the future."}


def test_the_last_day_of_all_is_a_deadline():
    assert order_changes.extend(dt.date.max, force=False)(order(), EVENT, NOW).order.expires.year == 9999


@pytest.mark.parametrize("status", ["p", "c"])
def test_paid_and_canceled_orders_are_not_extended(status):
    with pytest.raises(Invalid):
        order_changes.extend(dt.date(2031, 6, 12), force=True)(order(status), EVENT, NOW)


def test_approval_makes_the_order_payable_and_a_free_one_paid():
    done = order_changes.approve(order(require_approval=True, expires=EARLIER), EVENT, NOW).order
    assert (done.status, done.require_approval, done.expires > NOW) == (OrderStatus.PENDING, False, True)
    done = order_changes.approve(order(total="0.00", require_approval=True), EVENT, NOW).order
    assert done.status is OrderStatus.PAID
    assert [(p.provider, p.state, str(p.amount)) for p in done.payments] == [("free", "confirmed", "0.00")]
    done = order_changes.approve(order(require_approval=True, paid=[("confirmed", "23.00")]), EVENT, NOW).order
    assert (done.status, len(done.payments)) == (OrderStatus.PAID, 1)


def test_denial_cancels_and_leaves_mark_and_payments():
    done = order_changes.deny(order(require_approval=True, paid=[("created", "23.00")]), EVENT, NOW).order
    assert (done.status, done.require_approval) == (OrderStatus.CANCELED, True)
    assert done.payments[0].state is PaymentState.CREATED


@pytest.mark.parametrize("rule", [order_changes.approve, order_changes.deny])
def test_only_what_waits_for_approval_is_approved_or_denied(rule):
    for before in (order(), order("c", require_approval=True), order("p", require_approval=True)):
        with pytest.raises(Invalid) as refusal:
            rule(before, EVENT, NOW)
        assert refusal.value.body == {"detail": "This order is not pending approval."}


def test_an_order_without_live_positions_has_nothing_to_cancel():
    assert not order_changes.cancelable(order("p", positions=(position(1, canceled=True),)))
    assert order_changes.cancelable(order("e"))
    assert not order_changes.cancelable(order("c"))


@pytest.mark.parametrize(
    ("now", "deadline"),
    [
        (dt.datetime(2031, 3, 5, 12, tzinfo=dt.UTC), dt.datetime(2031, 3, 19, 22, 59, 59, tzinfo=dt.UTC)),
        (dt.datetime(2031, 3, 7, 12, tzinfo=dt.UTC), dt.datetime(2031, 3, 21, 22, 59, 59, tzinfo=dt.UTC)),
        (dt.datetime(2031, 3, 8, 12, tzinfo=dt.UTC), dt.datetime(2031, 3, 24, 22, 59, 59, tzinfo=dt.UTC)),
        (dt.datetime(2031, 3, 9, 12, tzinfo=dt.UTC), dt.datetime(2031, 3, 24, 22, 59, 59, tzinfo=dt.UTC)),
        # already Saturday in Berlin, and summer time when the term ends
        (dt.datetime(2031, 3, 21, 23, 30, tzinfo=dt.UTC), dt.datetime(2031, 4, 7, 21, 59, 59, tzinfo=dt.UTC)),
    ],
)
def test_the_deadline_is_fourteen_days_ahead_and_never_on_a_weekend(now, deadline):
    assert deadlines.payment_deadline(EVENT, now) == deadline


@pytest.mark.parametrize(
    ("settings", "deadline"),
    [
        ({"payment_term_days": 2}, dt.datetime(2031, 3, 7, 22, 59, 59, tzinfo=dt.UTC)),
        ({"payment_term_days": 3}, dt.datetime(2031, 3, 10, 22, 59, 59, tzinfo=dt.UTC)),
        (
            {"payment_term_days": 3, "payment_term_weekdays": False},
            dt.datetime(2031, 3, 8, 22, 59, 59, tzinfo=dt.UTC),
        ),
        ({"payment_term_days": "soon"}, dt.datetime(2031, 3, 19, 22, 59, 59, tzinfo=dt.UTC)),
        ({"payment_term_mode": "minutes"}, dt.datetime(2031, 3, 5, 12, 30, tzinfo=dt.UTC)),
        (
            {"payment_term_mode": "minutes", "payment_term_minutes": 5},
            dt.datetime(2031, 3, 5, 12, 5, tzinfo=dt.UTC),
        ),
    ],
)
def test_an_event_may_set_its_own_term(settings, deadline):
    event = msgspec.structs.replace(EVENT, settings=EVENT.settings | settings)
    assert deadlines.payment_deadline(event, dt.datetime(2031, 3, 5, 12, tzinfo=dt.UTC)) == deadline
