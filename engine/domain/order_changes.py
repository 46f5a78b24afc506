"""What happens to an order besides money: cancel, expire, extend, reactivate, approve, deny, and its own fields.

Which units an order takes follows from its status and its positions that are not canceled, so no rule here counts any.
(spec/facts.md, States, payments, refunds; spec/orders.txt, Order state operations)
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from msgspec.structs import replace

from engine.domain import payments, states
from engine.domain.catalogue import Event
from engine.domain.deadlines import end_of_day, payment_deadline
from engine.domain.errors import Invalid
from engine.domain.next import Next, Rule
from engine.domain.order import Fee, Order, OrderStatus

FEE_TOO_HIGH = "The cancellation fee cannot be higher than the total amount of this order."
NOT_CANCELABLE = "The order is not allowed to be canceled."
NOT_PAID = "The order is not paid."
NOT_PENDING = "The order is not pending."
NOT_REACTIVATABLE = "The order is not allowed to be reactivated."
NOT_AWAITING_APPROVAL = "This order is not pending approval."
DEADLINE_PAST = "The new expiry date needs to be in the future."

_CENT = Decimal("0.01")


def cancelable(order: Order) -> bool:
    """Tell if there is anything left to cancel; an order of which only a cancellation fee is left is done with."""
    return order.status in states.ORDER["mark_canceled"] and any(not p.canceled for p in order.positions)


def canceled(order: Order) -> Order:
    """Return the order canceled as a whole: its positions stay readable, what came in stays booked."""
    return replace(payments.without_open_payments(order), status=OrderStatus.CANCELED)


def pending_again(order: Order, event: Event, now: dt.datetime) -> Order:
    """Return the order waiting for money anew, with a new deadline."""
    return replace(order, status=OrderStatus.PENDING, expires=payment_deadline(event, now))


def mark_canceled(fee: Decimal | None, fee_id: int) -> Rule:
    """Return the rule that cancels the order or, with a fee, cancels its contents and leaves the fee to be paid.

    `fee` None or nothing is no fee; `fee_id` is the id the fee gets.
    """

    def rule(order: Order, event: Event, now: dt.datetime) -> Next:
        states.guard(states.ORDER, "mark_canceled", order.status, NOT_CANCELABLE)
        if not cancelable(order):
            raise Invalid.detail(NOT_CANCELABLE)
        if fee is not None and fee > order.total:
            raise Invalid.detail(FEE_TOO_HIGH)
        value = (fee or payments.NOTHING).quantize(_CENT, ROUND_HALF_UP)
        if value <= 0:
            return Next(canceled(order))
        left = Fee(
            id=fee_id,
            fee_type="cancellation",
            value=value,
            description="",
            internal_type="",
            tax_rate=payments.NOTHING,
            tax_value=payments.NOTHING,
        )
        emptied = replace(
            payments.without_open_payments(order),
            positions=tuple(replace(p, canceled=True) for p in order.positions),
            fees=(*(replace(f, canceled=True) for f in order.fees), left),
            total=value,
        )
        if payments.received(emptied) >= value:
            return Next(replace(emptied, status=OrderStatus.PAID))
        return Next(pending_again(emptied, event, now))

    return rule


def mark_pending(order: Order, event: Event, now: dt.datetime) -> Next:
    """Take a paid order back to pending; its payments stay booked."""
    states.guard(states.ORDER, "mark_pending", order.status, NOT_PAID)
    return Next(replace(order, status=OrderStatus.PENDING))


def mark_expired(order: Order, event: Event, now: dt.datetime) -> Next:
    """Expire a pending order before its time."""
    states.guard(states.ORDER, "mark_expired", order.status, NOT_PENDING)
    return Next(replace(order, status=OrderStatus.EXPIRED))


def expire(order: Order, event: Event, now: dt.datetime) -> Next:
    """Expire an order whose time is over; one that was paid, extended or awaits approval meanwhile stays as it is."""
    if order.status not in states.ORDER["expire"] or order.require_approval or order.expires >= now:
        return Next(order)
    return Next(replace(order, status=OrderStatus.EXPIRED))


def reactivate(order: Order, event: Event, now: dt.datetime) -> Next:
    """Bring a canceled order back, paid if what came in covers it; needs units."""
    states.guard(states.ORDER, "reactivate", order.status, NOT_REACTIVATABLE)
    pending = pending_again(order, event, now)
    return Next(replace(pending, status=OrderStatus.PAID) if payments.owed(pending) <= 0 else pending)


def extend(day: dt.date, *, force: bool) -> Rule:
    """Return the rule that moves the deadline to the end of `day`; an expired order needs units again.

    Paid and canceled orders are refused, as documented (spec/disagreements.md).
    """

    def rule(order: Order, event: Event, now: dt.datetime) -> Next:
        try:
            expires = end_of_day(day, event)
        except OverflowError:
            raise Invalid.detail(DEADLINE_PAST) from None
        if expires < now:
            raise Invalid.detail(DEADLINE_PAST)
        states.guard(states.ORDER, "extend", order.status, payments.NOT_PAYABLE)
        return Next(replace(order, status=OrderStatus.PENDING, expires=expires), force=force)

    return rule


def approve(order: Order, event: Event, now: dt.datetime) -> Next:
    """Let an order go on that waited for approval: payable from now, or paid if nothing is owed."""
    _guard_approval("approve", order)
    approved = replace(order, require_approval=False, expires=payment_deadline(event, now))
    if not approved.total:
        approved = payments.freed(approved, now)
    return Next(payments.settled(approved))


def deny(order: Order, event: Event, now: dt.datetime) -> Next:
    """Cancel an order that waits for approval; it stays marked, and so do its payments."""
    _guard_approval("deny", order)
    return Next(replace(order, status=OrderStatus.CANCELED))


def _guard_approval(operation: str, order: Order) -> None:
    states.guard(states.ORDER, operation, order.status, NOT_AWAITING_APPROVAL)
    if not order.require_approval:
        raise Invalid.detail(NOT_AWAITING_APPROVAL)


def set_fields(values: Mapping[str, Any]) -> Rule:
    """Return the rule that gives the order's own fields new values."""

    def rule(order: Order, event: Event, now: dt.datetime) -> Next:
        return Next(replace(order, **values))

    return rule
