"""Payments of an order (spec/orders.txt, Order payment endpoints)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from engine.domain import mails, payments, refunds
from engine.domain.errors import Invalid, NotFound
from engine.domain.order import MailKind, Order, PaymentState
from engine.http import shapes
from engine.http.call import Call, Reply, reply
from engine.http.field_kinds import Boolean, Choice, DateTime, Json, Money, Text
from engine.http.fields import FieldError, Schema
from engine.http.mailing import TOLD, said, telling
from engine.http.orders import FORCE, NOTHING, change, code_of, event_of, known_first
from engine.http.paging import page_body, page_of
from engine.http.resources import payment_body, refund_body
from engine.http.terms import terms
from engine.sales import orders

PAYMENT = Schema(
    state=Choice(*PaymentState),
    provider=Text(max_length=255),
    amount=Money(minimum=Decimal(0)),
    payment_date=DateTime(null=True, default=None),
    info=Json(null=True, default=None),
)
REFUND = Schema(mark_canceled=Boolean(null=True, default=False))

_AMOUNT = Money()
_OF_PAYMENT = MailKind.PAID

# for the document alone: what is said about mails and about the amount is read with words or leniency of its own
_NEW = Schema(**PAYMENT.fields, **TOLD.fields)
_CONFIRM = Schema(**FORCE.fields, **TOLD.fields)
_REFUND = Schema(amount=Money(required=False), **REFUND.fields)
_EXAMPLE = {
    "state": "confirmed",
    "provider": "banktransfer",
    "amount": "49.00",
    "info": {"payer": "Me", "iban": "DE89370400440532013000"},
}


def local_id_of(call: Call) -> int:
    """Return the number of a payment or refund in the path. Raises NotFound for what is no number."""
    number = call.number("local_id")
    if number is None:
        raise NotFound
    return number


@terms(lists=shapes.Payment)
async def index(call: Call) -> Reply:
    """List the payments of an order."""
    event, page = event_of(call), page_of(call)
    order = await orders.get(call.house, event, code_of(call))
    rows = page.of(order.payments)
    bodies = [payment_body(call, event, order, payment) for payment in rows]
    return reply(page_body(call, page, len(order.payments), bodies))


@terms(shows=shapes.Payment)
async def detail(call: Call) -> Reply:
    """Show a payment."""
    event = event_of(call)
    order = await orders.get(call.house, event, code_of(call))
    return reply(payment_body(call, event, order, payments.find(order, local_id_of(call))))


@terms(_NEW, makes=shapes.Payment, waits=True, example=_EXAMPLE)
@known_first()
async def create(call: Call) -> Reply:
    """Add a payment to an order; a confirmed one may pay it."""
    event = event_of(call)
    sent = await call.body()
    values = PAYMENT.read(sent, event)
    rule = payments.add(
        state=PaymentState(values["state"]),
        provider=values["provider"],
        amount=values["amount"],
        payment_date=values["payment_date"],
        info=values["info"] or {},
    )
    paying = telling(rule, _OF_PAYMENT, sent)
    return await change(call, paying, lambda order: payment_body(call, event, order, order.payments[-1]), 201)


@terms(_CONFIRM, shows=shapes.Payment, waits=True, example={})
@known_first(payments.find)
async def confirm(call: Call) -> Reply:
    """Confirm a payment; the order is paid once nothing is due."""
    event, local_id = event_of(call), local_id_of(call)
    asked = await said(call, FORCE)
    rule = payments.confirm(local_id, force=asked.force)

    def body(order: Order) -> shapes.Payment:
        payments.refuse_unapproved(order)
        return payment_body(call, event, order, payments.find(order, local_id))

    return await change(call, mails.telling(rule, _OF_PAYMENT, wanted=asked.wanted, comment=asked.comment), body)


@terms(NOTHING, shows=shapes.Payment, waits=True)
async def cancel(call: Call) -> Reply:
    """Cancel a payment that is not confirmed."""
    event, local_id = event_of(call), local_id_of(call)
    NOTHING.read(await call.body(), event)
    return await change(
        call, payments.cancel(local_id), lambda order: payment_body(call, event, order, payments.find(order, local_id))
    )


@terms(_REFUND, shows=shapes.Refund, waits=True, example={"amount": "10.00"})
@known_first(payments.find)
async def refund(call: Call) -> Reply:
    """Refund a payment, all of it or some; answers the refund."""
    local_id = local_id_of(call)
    body = await call.body()
    values = REFUND.read(body, call.event)
    rule = refunds.refund_payment(local_id, _amount(body), mark_canceled=bool(values["mark_canceled"]))
    return await change(call, rule, lambda order: refund_body(order.refunds[-1]))


def _amount(body: dict[str, Any]) -> Decimal | None:
    """Return the amount to be refunded, None for all; what is wrong with it is a bare list, as in pretix."""
    if "amount" not in body:
        return None
    try:
        return _AMOUNT.clean(body["amount"], None)
    except FieldError as wrong:
        raise Invalid(wrong.detail) from None
