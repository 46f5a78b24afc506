"""Money going back: refunds of payments, refunds made elsewhere, and what they do to the order.

(spec/facts.md, States, payments, refunds; spec/orders.txt, Order refund endpoints)
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from engine.domain import order_changes, payments, states
from engine.domain.catalogue import Event
from engine.domain.errors import Invalid, NotFound
from engine.domain.next import Next, Rule
from engine.domain.order import Order, OrderStatus, Payment, PaymentState, Refund, RefundState

WRONG_STATE = "Invalid state of refund"

_IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")


def find(order: Order, local_id: int) -> Refund:
    """Return one refund. Raises NotFound."""
    for refund in order.refunds:
        if refund.local_id == local_id:
            return refund
    raise NotFound


def with_refund(order: Order, refund: Refund) -> Order:
    """Return the order with `refund` in place of the one with its number, or added."""
    others = [r for r in order.refunds if r.local_id != refund.local_id]
    return replace(order, refunds=tuple(sorted([*others, refund], key=lambda r: r.local_id)))


def add(*, mark_canceled: bool, mark_pending: bool, payment: int | None, **fields: Any) -> Rule:
    """Return the rule that books a refund as it is told; amounts are not compared with payments, as documented.

    `fields` are those of Refund besides its number and its creation.
    """

    def rule(order: Order, event: Event, now: datetime) -> Next:
        if payment is not None and all(p.local_id != payment for p in order.payments):
            raise Invalid(["Unknown payment ID."])
        refund = Refund(local_id=_number(order), created=now, payment=payment, **fields)
        if refund.state is RefundState.DONE:
            refund = replace(refund, execution_date=refund.execution_date or now)
        booked = with_refund(order, refund)
        if mark_canceled:
            return Next(_canceled_if_possible(booked))
        return Next(_pending_if_owed(booked, event, now) if mark_pending else booked)

    return rule


def refund_payment(local_id: int, amount: Decimal | None, *, mark_canceled: bool) -> Rule:
    """Return the rule that gives a payment back, whole unless `amount` says less, where its provider can do that.

    The refund stays `created` until somebody transfers the money. As soon as anything is owed then, the order is
    pending again or, with `mark_canceled`, canceled.
    """

    def rule(order: Order, event: Event, now: datetime) -> Next:
        payment = payments.find(order, local_id)
        states.guard(states.PAYMENT, "payments/refund", payment.state, payments.WRONG_STATE)
        value = payment.amount if amount is None else amount
        _check_amount(order, payment, value)
        refund = Refund(
            local_id=_number(order),
            state=RefundState.CREATED,
            source="admin",
            amount=value,
            created=now,
            provider=payment.provider,
            payment=local_id,
        )
        booked = with_refund(order, refund)
        if payments.owed(booked) <= 0:
            return Next(booked)
        return Next(_canceled_if_possible(booked) if mark_canceled else _pending_if_owed(booked, event, now))

    return rule


def done(local_id: int) -> Rule:
    """Return the rule for a refund whose money has gone out; the order is left alone."""

    def rule(order: Order, event: Event, now: datetime) -> Next:
        refund = find(order, local_id)
        states.guard(states.REFUND, "refunds/done", refund.state, WRONG_STATE)
        return Next(_done(order, refund, now))

    return rule


def process(local_id: int, *, mark_canceled: bool) -> Rule:
    """Return the rule that accepts a refund made elsewhere: the order is canceled, or pending if it owes again."""

    def rule(order: Order, event: Event, now: datetime) -> Next:
        refund = find(order, local_id)
        states.guard(states.REFUND, "refunds/process", refund.state, WRONG_STATE)
        booked = _done(order, refund, now)
        return Next(_canceled_if_possible(booked) if mark_canceled else _pending_if_owed(booked, event, now))

    return rule


def cancel(local_id: int) -> Rule:
    """Return the rule that gives up a refund that has not been made; the order is left alone."""

    def rule(order: Order, event: Event, now: datetime) -> Next:
        refund = find(order, local_id)
        states.guard(states.REFUND, "refunds/cancel", refund.state, WRONG_STATE)
        return Next(with_refund(order, replace(refund, state=RefundState.CANCELED)))

    return rule


def refundable_by_provider(payment: Payment) -> bool:
    """Tell if the payment's provider can give money back: only bank transfers that say from which account they came."""
    if payment.provider != "banktransfer":
        return False
    return bool(payment.info.get("payer")) and _is_iban(payment.info.get("iban"))


def _check_amount(order: Order, payment: Payment, amount: Decimal) -> None:
    if amount <= 0:
        raise Invalid({"amount": ["Invalid refund amount."]})
    available = payment.amount - payments.refunded(order, payment)
    if amount > available:
        raise Invalid({"amount": [f"Invalid refund amount, only {available} are available to refund."]})
    if not refundable_by_provider(payment):
        share = "Full" if amount == payment.amount else "Partial"
        raise Invalid({"amount": [f"{share} refund not available for this payment method."]})


def _number(order: Order) -> int:
    return max((r.local_id for r in order.refunds), default=0) + 1


def _done(order: Order, refund: Refund, now: datetime) -> Order:
    """Return the order with `refund` done, and its payment refunded once nothing is left of it."""
    booked = with_refund(order, replace(refund, state=RefundState.DONE, execution_date=refund.execution_date or now))
    payment = next((p for p in order.payments if p.local_id == refund.payment), None)
    if (
        payment is None
        or payment.state is not PaymentState.CONFIRMED
        or payments.refunded(booked, payment) < payment.amount
    ):
        return booked
    return payments.with_payment(booked, replace(payment, state=PaymentState.REFUNDED))


def _canceled_if_possible(order: Order) -> Order:
    return order_changes.canceled(order) if order_changes.cancelable(order) else order


def _pending_if_owed(order: Order, event: Event, now: datetime) -> Order:
    if order.status is not OrderStatus.PAID or payments.owed(order) <= 0:
        return order
    return order_changes.pending_again(order, event, now)


def _is_iban(text: Any) -> bool:
    """Tell if `text` is an account number with the right check digits (ISO 13616)."""
    if not isinstance(text, str):
        return False
    iban = re.sub(r"\s", "", text).upper()
    if not _IBAN.fullmatch(iban):
        return False
    return int("".join(str(int(sign, 36)) for sign in iban[4:] + iban[:4])) % 97 == 1
