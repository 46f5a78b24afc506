"""When an order gets an invoice, when that is canceled, and which number it has.

All rules look at the order as it is and at the invoices that it has, so that whoever looks later, or twice, comes to
the same end. Only who changes an order knows whether its invoice is to follow, and notes so in the order
(`reissuing`). (spec/orders.txt, Generating invoices and Changing order contents)
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from engine.domain.catalogue import Event
from engine.domain.invoice import Invoice
from engine.domain.next import Next, Rule
from engine.domain.order import Order, OrderStatus

EXISTS = "An invoice for this order already exists."
NOT_POSSIBLE = "You cannot generate an invoice for this order."
CANCELED = "The invoice has already been canceled."
FROZEN = "Invoices cannot be changed after they have been issued."

AUTOMATIC = frozenset({"True", "paid"})
"""Values of `invoice_generate` by which invoices are made without being asked for."""
_ON_REQUEST = frozenset({"admin", "user", "user_paid", "paid", "True"})
DIGITS = 5
"""How long the counting part of a number is at least, unless the event says otherwise."""
_PREFIX_LENGTH_MAX = 155


class Issued(Struct, frozen=True):
    """An invoice that has been issued. `content` was made from `order_version` of its order."""

    id: int
    order_id: int
    order_code: str
    order_version: int
    number: str
    canceled: bool
    date: dt.date
    issued_at: dt.datetime
    content: Invoice


class Due(Struct, frozen=True):
    """What has to be done about an order's invoices: cancel one, issue a new one, or both, in this order."""

    cancel: Issued | None = None
    issue: bool = False


def reissuing(rule: Rule, *, wanted: bool = True) -> Rule:
    """Return `rule`, and an invoice of the order is canceled and issued anew if it says anything else afterwards."""
    if not wanted:
        return rule

    def rule_with_invoice(order: Order, event: Event, now: dt.datetime) -> Next:
        following = rule(order, event, now)
        if following.order == order:
            return following
        version = order.version + 1
        return replace(
            following,
            order=replace(following.order, invoice_from=version),
            if_sold_out=following.if_sold_out and replace(following.if_sold_out, invoice_from=version),
        )

    return rule_with_invoice


def billable(order: Order, event: Event) -> bool:
    """Tell whether an order may have an invoice: one that costs something, is accepted, and came by such a channel."""
    channels = event.settings["invoice_generate_sales_channels"]
    return (
        bool(order.total)
        and not order.require_approval
        and isinstance(channels, list)
        and order.sales_channel in channels
        and event.settings["invoice_generate"] in _ON_REQUEST
    )


def stands(order: Order) -> bool:
    """Tell whether an order is or may be paid: any other keeps no invoice."""
    return order.status in (OrderStatus.PENDING, OrderStatus.PAID)


def automatic(order: Order, event: Event, since: dt.datetime | None) -> bool:
    """Tell whether an order without an invoice gets one without being asked for.

    `since` is when that began: what was placed and paid before is left alone, and so is what came from another server,
    which has or has not billed it.
    """
    wanted = event.settings["invoice_generate"]
    if order.imported:
        return False
    if since is None or wanted not in AUTOMATIC or (wanted == "paid" and order.status is not OrderStatus.PAID):
        return False
    payments = [payment.payment_date for payment in order.payments if payment.payment_date]
    return max(order.datetime, *payments) >= since if payments else order.datetime >= since


def due(order: Order, event: Event, issued: Sequence[Issued], draft: Invoice, *, wanted: bool) -> Due:
    """Return what has to be done; `issued` are all invoices of the order, `draft` is what a new one would say.

    `wanted` tells whether an order that never had one gets one now.
    """
    standing = standing_of(issued)
    if standing is None:
        # one whose invoice was canceled with it, and that has come back
        return Due(issue=stands(order) and billable(order, event) and (wanted or bool(issued)))
    if not stands(order):
        return Due(cancel=standing)
    if order.invoice_from > standing.order_version and draft.lines != standing.content.lines:
        return Due(cancel=standing, issue=billable(order, event))
    return Due()


def standing_of(issued: Sequence[Issued]) -> Issued | None:
    """Return the invoice that stands: there is one at most."""
    return next((one for one in issued if not one.content.is_cancellation and not one.canceled), None)


def series_of(order: Order, event: Event, date: dt.date, *, cancellation: bool) -> str:
    """Return what the number begins with. Orders in test mode have series of their own.

    %Y, %y, %m and %d in the setting stand for parts of the date.
    """
    own = event.settings["invoice_numbers_prefix"]
    if cancellation:
        own = event.settings["invoice_numbers_prefix_cancellations"] or own
    text = own if isinstance(own, str) and own else f"{event.slug.upper()}-"
    for sign in "Yymd":
        text = text.replace(f"%{sign}", date.strftime(f"%{sign}"))
    text = text[:_PREFIX_LENGTH_MAX] + ("TEST-" if order.testmode else "")
    return text if event.settings["invoice_numbers_consecutive"] else f"{text}{order.code}-"


def number(series: str, count: int, event: Event) -> str:
    """Return the number that is the `count`th of a series."""
    if not event.settings["invoice_numbers_consecutive"]:
        return f"{series}{count}"
    digits = event.settings["invoice_numbers_counter_length"]
    return series + str(count).zfill(digits if isinstance(digits, int) else DIGITS)
