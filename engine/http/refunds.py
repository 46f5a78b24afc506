"""Refunds of an order (spec/orders.txt, Order refund endpoints)."""

from __future__ import annotations

from decimal import Decimal

from engine.domain import refunds
from engine.domain.next import Rule
from engine.domain.order import RefundState
from engine.http import shapes
from engine.http.call import Call, Reply, reply
from engine.http.field_kinds import Boolean, Choice, DateTime, Integer, Json, Money, Text
from engine.http.fields import Schema
from engine.http.orders import NOTHING, change, code_of, event_of, known_first
from engine.http.paging import page_body, page_of
from engine.http.payments import local_id_of
from engine.http.resources import refund_body
from engine.http.terms import terms
from engine.sales import orders

REFUND = Schema(
    state=Choice(*RefundState),
    source=Choice("buyer", "admin", "external"),
    provider=Text(max_length=255),
    amount=Money(minimum=Decimal(0)),
    payment=Integer(null=True, default=None),
    execution_date=DateTime(null=True, default=None),
    comment=Text(null=True, blank=True, default=None),
    info=Json(null=True, default=None),
    mark_canceled=Boolean(null=True, default=False),
    mark_pending=Boolean(null=True, default=False),
)
PROCESS = Schema(mark_canceled=Boolean(null=True, default=False))

_EXAMPLE = {"state": "done", "source": "admin", "provider": "manual", "amount": "5.00", "payment": 1}


@terms(lists=shapes.Refund)
async def index(call: Call) -> Reply:
    """List the refunds of an order."""
    page = page_of(call)
    order = await orders.get(call.house, event_of(call), code_of(call))
    rows = page.of(order.refunds)
    return reply(page_body(call, page, len(order.refunds), [refund_body(refund) for refund in rows]))


@terms(shows=shapes.Refund)
async def detail(call: Call) -> Reply:
    """Show a refund."""
    order = await orders.get(call.house, event_of(call), code_of(call))
    return reply(refund_body(refunds.find(order, local_id_of(call))))


@terms(REFUND, makes=shapes.Refund, waits=True, example=_EXAMPLE)
@known_first()
async def create(call: Call) -> Reply:
    """Note a refund, done or to be done."""
    values = REFUND.read(await call.body(), event_of(call))
    rule = refunds.add(
        mark_canceled=bool(values["mark_canceled"]),
        mark_pending=bool(values["mark_pending"]),
        payment=values["payment"],
        state=RefundState(values["state"]),
        source=values["source"],
        amount=values["amount"],
        provider=values["provider"],
        comment=values["comment"],
        execution_date=values["execution_date"],
        info=values["info"] or {},
    )
    return await change(call, rule, lambda order: refund_body(order.refunds[-1]), 201)


@terms(NOTHING, shows=shapes.Refund, waits=True)
async def done(call: Call) -> Reply:
    """Mark a refund as done."""
    NOTHING.read(await call.body(), call.event)
    return await _act(call, refunds.done(local_id_of(call)))


@terms(PROCESS, shows=shapes.Refund, waits=True)
@known_first(refunds.find)
async def process(call: Call) -> Reply:
    """Process a refund that came from outside."""
    values = PROCESS.read(await call.body(), call.event)
    return await _act(call, refunds.process(local_id_of(call), mark_canceled=bool(values["mark_canceled"])))


@terms(NOTHING, shows=shapes.Refund, waits=True)
async def cancel(call: Call) -> Reply:
    """Cancel a refund that is not done."""
    NOTHING.read(await call.body(), call.event)
    return await _act(call, refunds.cancel(local_id_of(call)))


async def _act(call: Call, rule: Rule) -> Reply:
    return await change(call, rule, lambda order: refund_body(refunds.find(order, local_id_of(call))))
