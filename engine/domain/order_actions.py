"""What has happened to an order, in the words of pretix's webhooks, told from two versions of it.

The documents say which actions there are (docs/webhooks.md); one version of an order may be several of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from engine.domain.order import Fee, MailKind, Order, OrderStatus, PaymentState, Position, Refund, RefundState
from engine.domain.states import OPEN_PAYMENTS

_ORDER = "pretix.event.order."
_CHANGED = f"{_ORDER}changed."

ACTION_TYPES: tuple[str, ...] = (
    *(
        _ORDER + name
        for name in (
            "placed",
            "placed.require_approval",
            "paid",
            "canceled",
            "reactivated",
            "expired",
            "expirychanged",
            "modified",
            "contact.changed",
            "changed.*",
            "deleted",
            "refund.created",
            "refund.created.externally",
            "refund.requested",
            "refund.done",
            "refund.canceled",
            "refund.failed",
            "payment.confirmed",
            "approved",
            "denied",
        )
    ),
    "pretix.event.orders.waitinglist.added",
    "pretix.event.orders.waitinglist.changed",
    "pretix.event.orders.waitinglist.deleted",
    "pretix.event.orders.waitinglist.voucher_assigned",
    "pretix.event.checkin",
    "pretix.event.checkin.reverted",
    "pretix.event.added",
    "pretix.event.changed",
    "pretix.event.deleted",
    "pretix.subevent.added",
    "pretix.subevent.changed",
    "pretix.subevent.deleted",
    "pretix.event.item.*",
    "pretix.event.live.activated",
    "pretix.event.live.deactivated",
    "pretix.event.testmode.activated",
    "pretix.event.testmode.deactivated",
    "pretix.customer.created",
    "pretix.customer.changed",
    "pretix.customer.anonymized",
)
"""What a webhook may ask for, as documented. Only those of orders and check-ins are ever told."""

_REFUND_ENDS = {RefundState.DONE: "done", RefundState.CANCELED: "canceled", RefundState.FAILED: "failed"}
_CHANGES = {
    "item": "item",
    "variation": "item",
    "subevent": "subevent",
    "seat": "seat",
    "price": "price",
    "tax_rule": "tax_rule",
    "secret": "secret",
    "valid_from": "valid_from",
    "valid_until": "valid_until",
}
"""Fields of a position, and what a change of one is called."""
_FILLED_IN = (
    "attendee_name_parts",
    "attendee_email",
    "company",
    "street",
    "zipcode",
    "city",
    "country",
    "state",
    "answers",
)


class Action(Struct, frozen=True):
    """One thing that happened; `type` is what a webhook asks for to hear of it, `details` go into its notification."""

    name: str
    details: dict[str, Any] = {}

    @property
    def type(self) -> str:
        return f"{_CHANGED}*" if self.name.startswith(_CHANGED) else self.name


def actions(before: Order | None, after: Order | None, *, split: bool = False) -> list[Action]:
    """Return what led from one version to the other, each thing once, in the order in which it happened.

    None is an order that is not there; `split` says that a new one came off another.
    """
    if after is None:
        return [Action(f"{_ORDER}deleted")] if before else []
    if before is None and split:
        return [Action(f"{_CHANGED}split_from")]
    first = before or replace(after, status=OrderStatus.PENDING, payments=(), refunds=())
    names = [] if before else _placed(after)
    for name in _happened(first, after):
        if name not in names:
            names.append(name)
    return [Action(_ORDER + name) for name in names] + list(_checked_in(first, after))


def _placed(order: Order) -> list[str]:
    return ["placed", "placed.require_approval"] if order.require_approval else ["placed"]


def _happened(before: Order, after: Order) -> Iterator[str]:
    approved = before.require_approval and not after.require_approval
    emptied = _emptied(before, after)
    if approved:
        yield "approved"
    if before.status is OrderStatus.CANCELED is not after.status:
        yield "reactivated"
    if (before.email, before.phone) != (after.email, after.phone):
        yield "contact.changed"
    if _filled_in(before, after):
        yield "modified"
    if _extended(before, after) and not approved and not emptied:
        yield "expirychanged"
    if not emptied:
        yield from (f"changed.{name}" for name in _contents_changed(before, after))
    confirmed = {payment.local_id for payment in before.payments if payment.state in _PAID}
    if any(payment.state in _PAID and payment.local_id not in confirmed for payment in after.payments):
        yield "payment.confirmed"
    yield from _refunded(before, after)
    if emptied:
        yield "canceled"
    if after.status is not before.status:
        yield from _reached(before, after)


_PAID = (PaymentState.CONFIRMED, PaymentState.REFUNDED)


def _reached(before: Order, after: Order) -> Iterator[str]:
    match after.status:
        case OrderStatus.PAID:
            yield "paid"
        case OrderStatus.EXPIRED:
            yield "expired"
        case OrderStatus.CANCELED:
            yield "denied" if _denied(before, after) else "canceled"


def _denied(before: Order, after: Order) -> bool:
    """Tell a denial from a cancellation: only the latter takes open payments along, or says so to the buyer."""
    if not after.require_approval:
        return False
    if any(mail.kind is MailKind.CANCELED for mail in after.mails[len(before.mails) :]):
        return False
    still = {payment.local_id: payment.state for payment in after.payments}
    return all(
        still[payment.local_id] is payment.state for payment in before.payments if payment.state in OPEN_PAYMENTS
    )


def _emptied(before: Order, after: Order) -> bool:
    """Tell whether all of an order was canceled but for a fee."""
    known = {fee.id for fee in before.fees}
    fee = any(fee.fee_type == "cancellation" and fee.id not in known for fee in after.fees)
    return fee and all(position.canceled for position in after.positions)


def _extended(before: Order, after: Order) -> bool:
    """Tell whether somebody has moved the deadline, rather than a change of the order."""
    unpaid = before.status in (OrderStatus.PENDING, OrderStatus.EXPIRED) and after.status is OrderStatus.PENDING
    return unpaid and before.expires != after.expires


def _filled_in(before: Order, after: Order) -> bool:
    if before.invoice_address != after.invoice_address:
        return True
    known = {position.id: position for position in before.positions}
    return any(
        position.id in known and getattr(position, name) != getattr(known[position.id], name)
        for position in after.positions
        for name in _FILLED_IN
    )


def _contents_changed(before: Order, after: Order) -> Iterator[str]:
    old = {position.id: position for position in before.positions}
    for position in after.positions:
        if position.id in old:
            yield from _position_changed(old[position.id], position)
        else:
            yield "add"
    if old.keys() - {position.id for position in after.positions}:
        yield "split"
    fees = {fee.id: fee for fee in before.fees}
    for fee in after.fees:
        yield from _fee_changed(fees.get(fee.id), fee)


def _position_changed(old: Position, new: Position) -> Iterator[str]:
    if new.canceled and not old.canceled:
        yield "cancel"
    yield from (name for field, name in _CHANGES.items() if getattr(old, field) != getattr(new, field))
    before, after = set(old.blocked or ()), set(new.blocked or ())
    if after - before:
        yield "add_block"
    if before - after:
        yield "remove_block"


def _fee_changed(old: Fee | None, new: Fee) -> Iterator[str]:
    if old is None:
        yield "addfee"
    elif new.canceled and not old.canceled:
        yield "cancelfee"
    elif new.value != old.value:
        yield "feevalue"


def _refunded(before: Order, after: Order) -> Iterator[str]:
    old: dict[int, Refund] = {refund.local_id: refund for refund in before.refunds}
    for refund in after.refunds:
        known = old.get(refund.local_id)
        if known is None:
            yield "refund.created.externally" if refund.state is RefundState.EXTERNAL else "refund.created"
        if refund.state in _REFUND_ENDS and (known is None or known.state is not refund.state):
            yield f"refund.{_REFUND_ENDS[refund.state]}"


def _checked_in(before: Order, after: Order) -> Iterator[Action]:
    """Yield scans of tickets, the earliest first."""
    known = {checkin.id for position in before.positions for checkin in position.checkins}
    for position in after.positions:
        for checkin in reversed(position.checkins):
            if checkin.id not in known:
                details = {
                    "orderposition_id": position.id,
                    "orderposition_positionid": position.positionid,
                    "checkin_list": checkin.list,
                }
                yield Action("pretix.event.checkin", details)
