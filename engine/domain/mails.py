"""Which mails a change of an order asks for. Writing and sending them is work for later (workers/mail.py)."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from engine.domain.catalogue import Event
from engine.domain.errors import Invalid
from engine.domain.next import Next, Rule
from engine.domain.order import Mail, MailKind, Order, OrderStatus

NO_ADDRESS = "There is no email address associated with this order."
CHANNELS = frozenset({"web"})
"""Where new orders are confirmed by mail when the client leaves it to us, as in pretix's own settings."""

_PAID, _OF_PAYMENT = OrderStatus.PAID, MailKind.PAID
"""Members of an enum are looked up by a function of Python's each time."""
_COMMENT_LENGTH_MAX = 5000


def telling(rule: Rule, kind: MailKind, *, wanted: bool = True, comment: str = "") -> Rule:
    """Return `rule`, and the buyer is told if it changes the order: of a payment only if the order is paid by it."""
    if not wanted:
        return rule

    def rule_with_mail(order: Order, event: Event, now: datetime) -> Next:
        following = rule(order, event, now)
        after = following.order
        paid = after.status is _PAID and order.status is not _PAID
        if after == order or not after.email or (kind is _OF_PAYMENT and not paid):
            return following
        mail = Mail(order.version + 1, kind, comment[:_COMMENT_LENGTH_MAX])
        return replace(following, order=replace(after, mails=(*after.mails, mail)))

    return rule_with_mail


def announced(order: Order, wanted: bool | None) -> Order:
    """Return a new order whose buyer is told of it; None leaves it to the sales channel."""
    if not order.email or not (order.sales_channel in CHANNELS if wanted is None else wanted):
        return order
    kind = MailKind.PAID if order.status is OrderStatus.PAID else MailKind.PLACED
    return replace(order, mails=(Mail(order.version, kind),))


def refuse_without_address(order: Order) -> None:
    """Raise Invalid if there is nobody to write to."""
    if not order.email:
        raise Invalid.detail(NO_ADDRESS)
