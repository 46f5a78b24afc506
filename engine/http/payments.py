"""Payments of an order (spec/orders.txt, Order payment endpoints)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from engine.domain import payments, refunds
from engine.domain.errors import Invalid, NotFound
from engine.domain.order import PaymentState
from engine.http.call import Call, Reply, reply
from engine.http.fields import Boolean, Choice, DateTime, FieldError, Json, Money, Schema, Text
from engine.http.orders import FORCE, NOTHING, code_of, event_of
from engine.http.paging import page_body, page_of
from engine.http.resources import payment_body, refund_body
from engine.sales import orders
from engine.sales.orders import Outcome

PAYMENT = Schema(
    state=Choice(*PaymentState),
    provider=Text(max_length=255),
    amount=Money(minimum=Decimal(0)),
    payment_date=DateTime(null=True, default=None),
    info=Json(null=True, default=None),
)
REFUND = Schema(mark_canceled=Boolean(null=True, default=False))

_AMOUNT = Money()


def local_id_of(call: Call) -> int:
    """Return the number of a payment or refund in the path. Raises NotFound for what is no number."""
    number = call.number("local_id")
    if number is None:
        raise NotFound
    return number


def answer(outcome: Outcome, body: dict[str, Any], status: int = 200) -> Reply:
    """Answer with a part of an order; 202 and `durable: false` if Postgres has not confirmed it in time."""
    return reply(body, status) if outcome.durable else reply({**body, "durable": False}, 202)


async def index(call: Call) -> Reply:
    """GET orders/(code)/payments/"""
    event, page = event_of(call), page_of(call)
    order = await orders.get(call.house, event, code_of(call))
    rows = order.payments[page.offset : page.offset + page.size]
    bodies = [payment_body(call, event, order, payment) for payment in rows]
    return reply(page_body(call, page, len(order.payments), bodies))


async def detail(call: Call) -> Reply:
    """GET orders/(code)/payments/(local_id)/"""
    event = event_of(call)
    order = await orders.get(call.house, event, code_of(call))
    return reply(payment_body(call, event, order, payments.find(order, local_id_of(call))))


async def create(call: Call) -> Reply:
    """POST orders/(code)/payments/"""
    event = event_of(call)
    values = PAYMENT.read(await call.body(), event)
    rule = payments.add(
        state=PaymentState(values["state"]),
        provider=values["provider"],
        amount=values["amount"],
        payment_date=values["payment_date"],
        info=values["info"] or {},
    )
    outcome = await orders.change(call.house, event, code_of(call), rule)
    return answer(outcome, payment_body(call, event, outcome.order, outcome.order.payments[-1]), 201)


async def confirm(call: Call) -> Reply:
    """POST orders/(code)/payments/(local_id)/confirm/"""
    event, local_id = event_of(call), local_id_of(call)
    force: bool = FORCE.read(await call.body(), event)["force"]
    outcome = await orders.change(call.house, event, code_of(call), payments.confirm(local_id, force=force))
    payments.refuse_unapproved(outcome.order)
    return answer(outcome, payment_body(call, event, outcome.order, payments.find(outcome.order, local_id)))


async def cancel(call: Call) -> Reply:
    """POST orders/(code)/payments/(local_id)/cancel/"""
    event, local_id = event_of(call), local_id_of(call)
    NOTHING.read(await call.body(), event)
    outcome = await orders.change(call.house, event, code_of(call), payments.cancel(local_id))
    return answer(outcome, payment_body(call, event, outcome.order, payments.find(outcome.order, local_id)))


async def refund(call: Call) -> Reply:
    """POST orders/(code)/payments/(local_id)/refund/; answers with a refund."""
    event, local_id = event_of(call), local_id_of(call)
    body = await call.body()
    values = REFUND.read(body, event)
    rule = refunds.refund_payment(local_id, _amount(body), mark_canceled=bool(values["mark_canceled"]))
    outcome = await orders.change(call.house, event, code_of(call), rule)
    return answer(outcome, refund_body(outcome.order.refunds[-1]))


def _amount(body: dict[str, Any]) -> Decimal | None:
    """Return the amount to be refunded, None for all; what is wrong with it is a bare list, as in pretix."""
    if "amount" not in body:
        return None
    try:
        return _AMOUNT.clean(body["amount"], None)
    except FieldError as wrong:
        raise Invalid(wrong.detail) from None
