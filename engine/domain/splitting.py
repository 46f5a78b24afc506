"""Splitting an order: positions leave for a new order of the same buyer, and money that is no longer needed follows.

Both orders together cost and have received what the one did before (spec/facts.md, States, payments, refunds).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from msgspec import Struct
from msgspec.structs import replace

from engine.domain import codes, payments
from engine.domain.catalogue import Event
from engine.domain.errors import Invalid
from engine.domain.money import ZERO
from engine.domain.order import Order, OrderStatus, Payment, PaymentState, Refund, RefundState
from engine.domain.order_changes import pending_again

ADDON_STAYS = "An add-on can only be split off together with the position it belongs to."

_OFFSETTING = "offsetting"


class SplitOff(Struct, frozen=True):
    """The names that the new order gets."""

    id: int
    code: str


def split(order: Order, leaving: Collection[int], off: SplitOff, event: Event, now: dt.datetime) -> tuple[Order, Order]:
    """Return (what stays, the new order). Add-ons go with their base; fees stay. Raises Invalid for an add-on alone."""
    live = [position for position in order.positions if not position.canceled]
    moving = {position.id for position in live if position.id in leaving or position.addon_to in leaving}
    if any(p.addon_to is not None and p.addon_to not in moving for p in live if p.id in moving):
        raise Invalid([ADDON_STAYS])
    moved = tuple(replace(p, secret=codes.ticket_secret()) for p in order.positions if p.id in moving)
    price = sum((p.price for p in moved), ZERO)
    staying = replace(
        order,
        positions=tuple(p for p in order.positions if p.id not in moving),
        positionid_gone=max(order.positionid_gone, *(p.positionid for p in moved)),
        total=order.total - price,
    )
    new = replace(
        order,
        id=off.id,
        code=off.code,
        version=1,
        secret=codes.order_secret(),
        datetime=now,
        last_modified=now,
        positions=moved,
        positionid_gone=0,
        fees=(),
        payments=(),
        refunds=(),
        blocked_secrets=(),
        mails=(),
        invoice_from=0,
        split_from=order.id,
        total=price,
    )
    if order.status is OrderStatus.PAID:
        new = pending_again(new, event, now)
    staying, new = _with_money_moved(staying, new, now)
    return payments.settled_in_time(staying, now), payments.settled_in_time(new, now)


def _with_money_moved(staying: Order, new: Order, now: dt.datetime) -> tuple[Order, Order]:
    spare = min(payments.received(staying) - staying.total, new.total)
    if spare <= 0:
        return staying, new
    refund = Refund(
        local_id=max((r.local_id for r in staying.refunds), default=0) + 1,
        state=RefundState.DONE,
        source="admin",
        amount=spare,
        created=now,
        provider=_OFFSETTING,
        execution_date=now,
        info={"orders": [new.code]},
    )
    payment = Payment(
        local_id=1,
        state=PaymentState.CONFIRMED,
        amount=spare,
        created=now,
        provider=_OFFSETTING,
        payment_date=now,
        info={"orders": [staying.code]},
    )
    return replace(staying, refunds=(*staying.refunds, refund)), replace(new, payments=(payment,))
