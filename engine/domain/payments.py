"""Money coming in: what an order owes, and how a payment changes it (spec/facts.md, States, payments, refunds)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any

from msgspec.structs import replace

from engine.domain import states
from engine.domain.catalogue import Event
from engine.domain.errors import Invalid, NotFound
from engine.domain.next import Next, Rule
from engine.domain.order import Order, OrderStatus, Payment, PaymentState, RefundState

NOTHING = Decimal("0.00")
NOT_APPROVED = "This order is not yet approved by the event organizer."
NOT_PAYABLE = "The order is not pending or expired."
WRONG_STATE = "Invalid state of payment"

# members of an enum are looked up by a function of Python's each time
_PENDING, _PAID, _EXPIRED = OrderStatus.PENDING, OrderStatus.PAID, OrderStatus.EXPIRED
_ORDER_CANCELED = OrderStatus.CANCELED
_CREATED, _CONFIRMED, _CANCELED = PaymentState.CREATED, PaymentState.CONFIRMED, PaymentState.CANCELED
_RECEIVED = (_CONFIRMED, PaymentState.REFUNDED)
_GIVEN_BACK = (RefundState.CREATED, RefundState.TRANSIT, RefundState.DONE)
"""Refunds count from the moment somebody decided on them."""


def received(order: Order) -> Decimal:
    """Return what came in and has not been given back or promised back."""
    balance = NOTHING
    for payment in order.payments:
        if payment.state in _RECEIVED:
            balance += payment.amount
    for refund in order.refunds:
        if refund.state in _GIVEN_BACK:
            balance -= refund.amount
    return balance


def owed(order: Order) -> Decimal:
    """Return what is missing; negative if too much came in. A canceled order owes nothing."""
    total = NOTHING if order.status is _ORDER_CANCELED else order.total
    return total - received(order)


def refunded(order: Order, payment: Payment) -> Decimal:
    """Return how much of one payment has been given back or promised back."""
    return sum((r.amount for r in order.refunds if r.payment == payment.local_id and r.state in _GIVEN_BACK), NOTHING)


def find(order: Order, local_id: int) -> Payment:
    """Return one payment. Raises NotFound."""
    for payment in order.payments:
        if payment.local_id == local_id:
            return payment
    raise NotFound


def with_payment(order: Order, payment: Payment) -> Order:
    """Return the order with `payment` in place of the one with its number, or added."""
    payments = [payment]
    for one in order.payments:
        if one.local_id != payment.local_id:
            payments.append(one)
    if len(payments) > 1:
        payments.sort(key=attrgetter("local_id"))
    return replace(order, payments=tuple(payments))


def new_payment(
    order: Order, now: datetime, *, state: PaymentState, provider: str, amount: Decimal, **more: Any
) -> Payment:
    """Return a payment with the order's next number; not part of the order yet."""
    number = max((p.local_id for p in order.payments), default=0) + 1
    return Payment(local_id=number, state=state, amount=amount, created=now, provider=provider, **more)


def without_open_payments(order: Order) -> Order:
    """Return the order with its open payments canceled."""
    return replace(
        order,
        payments=tuple(replace(p, state=_CANCELED) if p.state in states.OPEN_PAYMENTS else p for p in order.payments),
    )


def awaits_approval(order: Order) -> bool:
    """Tell if only the organizer's approval is missing: the money is there, the order may not be paid by it."""
    return order.require_approval and order.status in (_PENDING, _EXPIRED) and owed(order) <= 0


def settled(order: Order) -> Order:
    """Return the order paid, if it is unpaid, approved and covered by what came in; else unchanged."""
    if order.status not in (_PENDING, _EXPIRED) or order.require_approval or owed(order) > 0:
        return order
    return replace(order, status=_PAID)


def settled_in_time(order: Order, now: datetime) -> Order:
    """Return a pending order paid if it is covered, by a payment of nothing if it is free; an expired one stays so."""
    if order.status is not _PENDING:
        return order
    return settled(order if order.total or order.require_approval else freed(order, now))


def freed(order: Order, now: datetime) -> Order:
    """Return an order that costs nothing with a payment of nothing."""
    payment = new_payment(order, now, state=_CONFIRMED, provider="free", amount=NOTHING, payment_date=now)
    return with_payment(order, payment)


def _confirmed(payment: Payment, now: datetime) -> Payment:
    return replace(payment, state=_CONFIRMED, payment_date=payment.payment_date or now)


def mark_paid(order: Order, event: Event, now: datetime) -> Next:
    """Pay all that is owed by hand: with an open manual payment of just that sum, else with a new one.

    The money is booked even where the order cannot be paid by it: without units (if_sold_out) and without approval
    (`awaits_approval` tells). A payment of nothing is booked only if it pays the order.
    """
    states.guard(states.ORDER, "mark_paid", order.status, NOT_PAYABLE)
    missing = max(owed(order), NOTHING)
    payment = None
    for one in order.payments:
        if one.state in states.OPEN_PAYMENTS and one.provider == "manual" and one.amount == missing:
            payment = one
            break
    booked = order
    if payment is None:
        booked = without_open_payments(order)
        payment = new_payment(order, now, state=_CREATED, provider="manual", amount=missing)
    booked = with_payment(booked, _confirmed(payment, now))
    unpaid = booked if missing else order
    return Next(unpaid if order.require_approval else replace(booked, status=_PAID), if_sold_out=unpaid)


def add(
    *,
    state: PaymentState,
    provider: str,
    amount: Decimal,
    payment_date: datetime | None = None,
    info: dict[str, Any],
) -> Rule:
    """Return the rule that adds a payment. A confirmed one is kept whether or not the order can be paid by it."""

    def rule(order: Order, event: Event, now: datetime) -> Next:
        payment = new_payment(
            order, now, state=state, provider=provider, amount=amount, payment_date=payment_date, info=info
        )
        if state is not _CONFIRMED:
            return Next(with_payment(order, payment))
        booked = with_payment(order, _confirmed(payment, now))
        return Next(settled(booked), if_sold_out=booked, sold_out_is_fine=True)

    return rule


def confirm(local_id: int, *, force: bool) -> Rule:
    """Return the rule that confirms an open payment; `force` pays an expired order without asking for units."""

    def rule(order: Order, event: Event, now: datetime) -> Next:
        payment = find(order, local_id)
        states.guard(states.PAYMENT, "payments/confirm", payment.state, WRONG_STATE)
        booked = with_payment(order, _confirmed(payment, now))
        return Next(settled(booked), if_sold_out=booked, force=force)

    return rule


def cancel(local_id: int) -> Rule:
    """Return the rule that cancels an open payment; the order is left alone."""

    def rule(order: Order, event: Event, now: datetime) -> Next:
        payment = find(order, local_id)
        states.guard(states.PAYMENT, "payments/cancel", payment.state, WRONG_STATE)
        return Next(with_payment(order, replace(payment, state=_CANCELED)))

    return rule


def refuse_unapproved(order: Order) -> None:
    """Raise Invalid if the order just changed could not be paid for want of approval; the money stays booked."""
    if awaits_approval(order):
        raise Invalid.detail(NOT_APPROVED)
