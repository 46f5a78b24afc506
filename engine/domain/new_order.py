"""How an order comes to be: its positions priced and taxed, its fees, its sum, its first payment.

It is drafted without ids first, which is what a simulation shows; a real one gets ids, secrets and a code after that
(spec/orders.txt, Creating orders; spec/facts.md, Creating orders).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from engine.domain import codes, tax
from engine.domain.catalogue import Event, Item, Product, Seat, Subevent, TaxRule, Variation, Voucher
from engine.domain.errors import Invalid
from engine.domain.fees import FeeLine, fees_of
from engine.domain.money import AMOUNT_MAX, ZERO
from engine.domain.names import attendee_name
from engine.domain.order import (
    Answer,
    Fee,
    InvoiceAddress,
    Order,
    OrderStatus,
    Payment,
    PaymentState,
    Position,
)
from engine.domain.pricing import list_price, sold_on
from engine.domain.validity import validity_of
from engine.domain.vouchers import price_with

PREVIEW = "PREVIEW"
FREE = "free"
_PAID = OrderStatus.PAID
_CREATED, _CONFIRMED = PaymentState.CREATED, PaymentState.CONFIRMED
"""Members of an enum are looked up by a function of Python's each time."""

_ANY_TIME = dt.datetime.min.replace(tzinfo=dt.UTC)


class Line(Struct, gc=False):
    """One position that a client asks for. `price` None means the catalogue's, `validity` None the item's.

    `addon_to` is the positionid of the base position, which comes earlier; `secret` None asks for a new one. It gets
    its own `positionid` once all of its order are known, if the client gave it none.
    """

    positionid: int
    item: Item
    variation: Variation | None = None
    subevent: Subevent | None = None
    price: Decimal | None = None
    addon_to: int | None = None
    voucher: Voucher | None = None
    discount_max: Decimal | None = None
    secret: str | None = None
    validity: tuple[dt.datetime | None, dt.datetime | None] | None = None
    requested_valid_from: dt.datetime | None = None
    attendee: dict[str, Any] = {}
    """The other fields of Position, by their names there: name in parts, e-mail, address."""
    answers: tuple[Answer, ...] = ()
    seat: Seat | None = None
    seat_misfit: str | None = None
    """What is wrong with the seat that was asked for, or with there being none."""
    foreseen: Position | None = None
    """What it becomes, if that is known."""

    @property
    def product(self) -> Product:
        return (
            self.item.id,
            self.variation.id if self.variation else 0,
            self.subevent.id if self.subevent else 0,
        )


def foreseen(line: Line, event: Event) -> Position | None:
    """Return what a line that has nothing of its own becomes if it is sold, and the catalogue alone decides on it."""
    rule = event.tax_rules.get(line.item.tax_rule) if line.item.tax_rule else None
    if line.item.validity_mode is not None or (rule and rule.eu_reverse_charge) or unsellable(line, event):
        return None
    return position_of(line, event, None, _ANY_TIME)


def unsellable(line: Line, event: Event) -> str | None:
    """Say why no date or no quota lets a position be sold, if so."""
    if line.voucher and line.voucher.skips_quota:
        return None
    if not sold_on(line.item, line.variation, line.subevent):
        return f'The product "{line.item.name}" is not available on this date.'
    if not event.quotas_of(line.product):
        return f'The product "{line.item.name}" is not assigned to a quota.'
    return None


def within_budgets(lines: Sequence[Line], left: dict[int, Decimal], event: Event) -> list[Line]:
    """Return the lines with no more taken off their prices than is `left` of vouchers' budgets, by id.

    Raises Invalid, with a row for each position, where a given price would need more, or nothing is left.
    """
    left = dict(left)
    rows: list[dict[str, list[str]]] = [{} for _ in lines]
    bounded = list(lines)
    for index, line in enumerate(lines):
        if line.voucher is None or line.voucher.id not in left:
            continue
        full_price = list_price(line.item, line.variation, line.subevent)
        price = price_with(line.voucher, full_price, event.currency) if line.price is None else line.price
        discount = max(ZERO, full_price - price)
        budget = max(ZERO, left[line.voucher.id])
        if discount > budget:
            if not budget or line.price is not None:
                rest = f"therefore a discount of {discount} can not be given."
                rows[index] = {"voucher": [f"The voucher has a remaining budget of {budget}, {rest}"]}
                continue
            bounded[index] = replace(line, discount_max=budget)
            discount = budget
        left[line.voucher.id] = budget - discount
    if any(rows):
        raise Invalid({"positions": rows})
    return bounded


def priced(
    lines: Sequence[Line], fees: Iterable[FeeLine], event: Event, address: InvoiceAddress | None, now: dt.datetime
) -> tuple[tuple[Position, ...], tuple[Fee, ...], Decimal]:
    """Return positions, fees and total of a new order, without ids and secrets. Raises Invalid."""
    positions: list[Position] = []
    total = ZERO
    for line in lines:
        position = line.foreseen
        if position is None:
            base = next((one.item for one in lines if one.positionid == line.addon_to), None) if line.addon_to else None
            position = position_of(line, event, address, now, base)
        positions.append(position)
        total += position.price
    charged = tuple(fees_of(fees, positions, event, address)) if fees else ()
    for fee in charged:
        total += fee.value
    if abs(total) > AMOUNT_MAX or (charged and any(abs(fee.value) > AMOUNT_MAX for fee in charged)):
        raise Invalid(["The amounts of this order are too large."])
    return tuple(positions), charged, total


def position_of(
    line: Line, event: Event, address: InvoiceAddress | None, now: dt.datetime, base: Item | None = None
) -> Position:
    """Return the position that `line` asks for, priced and taxed, without id and secrets.

    With `base`, an add-on whose price that item's includes is free.
    """
    item = line.item
    rule = event.tax_rules.get(item.tax_rule) if item.tax_rule else None
    taxed, budget_use = _priced(line, rule, address, event, base)
    valid_from, valid_until = line.validity or _validity(line, now, event)
    # all in the order of the fields: naming them costs twice as much as the rest
    position = Position(
        0,
        line.positionid,
        item.id,
        taxed.gross,
        taxed.rate,
        taxed.tax,
        "",
        PREVIEW,
        False,
        line.variation.id if line.variation else None,
        rule.id if rule else None,
        {},
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        line.voucher.id if line.voucher else None,
        budget_use,
        line.addon_to,
        False,
        line.subevent.id if line.subevent else None,
        None,
        None,
        valid_from,
        valid_until,
        line.answers,
        (),
        False,
        line.seat.place if line.seat else None,
    )
    if not line.attendee:
        return position
    name = attendee_name(line.attendee.get("attendee_name_parts", {}), event)
    return replace(position, attendee_name=name, **line.attendee)


def _priced(
    line: Line, rule: TaxRule | None, address: InvoiceAddress | None, event: Event, base: Item | None
) -> tuple[tax.Taxed, Decimal | None]:
    """Return what a position costs, and what comes off its price for its voucher, if it has one."""
    voucher, currency = line.voucher, event.currency
    if voucher is None and line.price is not None:
        return tax.of_given(line.price, rule, address, currency), None
    included = base is not None and line.item.category in base.free_addon_categories
    price = full_price = ZERO if included else list_price(line.item, line.variation, line.subevent)
    if voucher is not None:
        price = price_with(voucher, full_price, currency)
        if line.discount_max is not None:
            price = max(price, full_price - line.discount_max)
    if line.price is None:
        taxed = tax.of_list_price(price, rule, address, currency)
    else:
        taxed = tax.of_given(line.price, rule, address, currency)
        # who pays more than the voucher asks for has had less of it
        price = max(price, taxed.gross if rule is None or rule.price_includes_tax else taxed.net)
    return taxed, max(ZERO, full_price - price) if voucher else None


def _validity(line: Line, now: dt.datetime, event: Event) -> tuple[dt.datetime | None, dt.datetime | None]:
    if line.item.validity_mode is None:
        return None, None
    try:
        return validity_of(line.item, line.requested_valid_from, now, event.timezone)
    except OverflowError:
        raise Invalid(["The requested validity ends too far in the future."]) from None


def numbered(
    draft: Order,
    lines: Sequence[Line],
    payment: Payment | None,
    *,
    order_id: int,
    code: str,
    first_position_id: int,
    first_fee_id: int,
) -> Order:
    """Return the draft as a real order: with ids, code, secrets and its `first_payment`; it is paid if that is.

    Its positions are numbered from 1.
    """
    positions: list[Position] = []
    for position in draft.positions:
        own_secret = lines[len(positions)].secret
        real = replace(
            position,
            id=first_position_id - 1 + position.positionid,
            secret=own_secret or codes.ticket_secret(),
            pseudonymization_id=codes.pseudonymization_id(),
        )
        if position.addon_to:
            real = replace(real, addon_to=first_position_id - 1 + position.addon_to)
        positions.append(real)
    fees = draft.fees and tuple([replace(fee, id=first_fee_id + n) for n, fee in enumerate(draft.fees)])
    return replace(
        draft,
        id=order_id,
        code=code,
        status=_PAID if payment is not None and payment.state is _CONFIRMED else draft.status,
        positions=tuple(positions),
        fees=fees,
        payments=() if payment is None else (payment,),
    )


def first_payment(
    draft: Order, provider: str | None, payment_date: dt.datetime | None, info: dict[str, Any]
) -> Payment | None:
    """Return the first payment of an order, if it gets one: free orders are paid at once. Raises Invalid."""
    if not draft.total and not draft.require_approval:
        return Payment(1, _CONFIRMED, ZERO, draft.datetime, FREE, payment_date=draft.datetime)
    if provider == FREE and draft.total:
        raise Invalid(['You cannot use the "free" payment provider for non-free orders.'])
    paid = draft.status is _PAID
    if provider is None:
        if paid:
            raise Invalid(["You cannot create a paid order without a payment provider."])
        return None
    return Payment(
        1,
        _CONFIRMED if paid else _CREATED,
        draft.total,
        draft.datetime,
        provider,
        (payment_date or draft.datetime) if paid else None,
        info,
    )


def drafted(  # noqa: PLR0917 - more than fifteen names in a call go through a dict
    event: Event,
    now: dt.datetime,
    positions: tuple[Position, ...],
    fees: tuple[Fee, ...],
    total: Decimal,
    address: InvoiceAddress | None,
    status: OrderStatus,
    expires: dt.datetime,
    testmode: bool = False,
    email: str | None = None,
    phone: str | None = None,
    customer: str | None = None,
    locale: str = "en",
    sales_channel: str = "web",
    comment: str = "",
    api_meta: dict[str, Any] | None = None,
    custom_followup_at: dt.date | None = None,
    checkin_attention: bool = False,
    checkin_text: str | None = None,
    require_approval: bool = False,
    valid_if_pending: bool = False,
) -> Order:
    """Return an order of `event` made now, of what is `priced`, without ids."""
    # all in the order of the fields: naming them costs four times as much as the rest
    return Order(
        0,
        event.organizer_id,
        event.id,
        1,
        PREVIEW,
        status,
        codes.order_secret(),
        now,
        expires,
        now,
        total,
        testmode,
        email,
        phone,
        customer,
        locale,
        sales_channel,
        comment,
        api_meta or {},
        custom_followup_at,
        checkin_attention,
        checkin_text,
        require_approval,
        valid_if_pending,
        address,
        positions,
        fees,
    )
