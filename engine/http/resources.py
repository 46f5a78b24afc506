"""Orders and what belongs to them as the API shows them (spec/orders.txt, Order resource ff.)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from engine.domain import names
from engine.domain.catalogue import Event
from engine.domain.order import (
    Checkin,
    Fee,
    InvoiceAddress,
    Order,
    Payment,
    PaymentState,
    Position,
    Refund,
)
from engine.domain.tickets import has_tickets, is_ticket
from engine.http import shapes
from engine.http.call import Call
from engine.http.pdf_data import printed

_CREATED = PaymentState.CREATED
Body = dict[str, Any]
"""A resource with what another server said besides; any other is one of the shapes."""


def order_body(
    call: Call,
    event: Event,
    order: Order,
    *,
    include_canceled_positions: bool = False,
    include_canceled_fees: bool = False,
    pdf_data: bool | None = None,
) -> shapes.Order | Body:
    """Return the order resource; with `pdf_data` its positions say what is printed on tickets.

    Unless told, that is what the query asks for.
    """
    if pdf_data is None:
        pdf_data = call.asked("pdf_data")
    page = _page_url(call, event, order)
    provider = paid_at = None
    payments: list[shapes.Payment] = []
    for payment in order.payments:
        provider = payment.provider
        paid_at = payment.payment_date or paid_at
        payments.append(_payment_body(payment, page))
    downloads = has_tickets(event, order)
    positions: list[Any] = []
    for position in order.positions:
        if include_canceled_positions or not position.canceled:
            positions.append(position_body(call, event, order, position, pdf_data=pdf_data, downloads=downloads))
    # here and below all in the order of the fields: naming them costs four times as much as the rest
    body = shapes.Order(
        order.code,
        event.slug,
        order.status,
        order.testmode,
        order.secret,
        order.email,
        order.phone,
        order.customer,
        order.locale,
        order.sales_channel,
        order.datetime,
        order.expires,
        paid_at.date() if paid_at else None,
        provider,
        order.total,
        order.comment,
        order.api_meta,
        order.custom_followup_at,
        order.checkin_attention,
        order.checkin_text,
        _address_body(order.invoice_address, event) if order.invoice_address else None,
        positions,
        [_fee_body(fee) for fee in order.fees if include_canceled_fees or not fee.canceled] if order.fees else [],
        _downloads(call, f"{_api_path(event)}orders/{order.code}/") if downloads else [],
        order.require_approval,
        order.valid_if_pending,
        page,
        payments,
        [refund_body(refund) for refund in order.refunds] if order.refunds else [],
        order.last_modified,
    )
    return order.elsewhere.get("order", {}) | as_dict(body) if order.elsewhere else body


def position_body(
    call: Call,
    event: Event,
    order: Order,
    position: Position,
    *,
    pdf_data: bool | None = None,
    downloads: bool | None = None,
) -> shapes.OrderPosition | Body:
    """Return the order position resource; `downloads` tells whether its order has any, if that is known.

    Unless told, `pdf_data` is what the query asks for.
    """
    if pdf_data is None:
        pdf_data = call.asked("pdf_data")
    if downloads is None:
        downloads = has_tickets(event, order)
    ticket = downloads and is_ticket(event, position)
    body = shapes.OrderPosition(
        position.id,
        order.code,
        position.positionid,
        position.canceled,
        position.item,
        position.variation,
        position.price,
        names.attendee_name(position.attendee_name_parts, event) if position.attendee_name_parts else None,
        position.attendee_name_parts,
        position.attendee_email,
        position.company,
        position.street,
        position.zipcode,
        position.city,
        position.country,
        position.state,
        position.voucher,
        position.voucher_budget_use,
        position.tax_rate,
        position.tax_value,
        position.tax_rule,
        position.secret,
        position.addon_to,
        position.subevent,
        position.discount,
        position.blocked,
        position.valid_from,
        position.valid_until,
        position.pseudonymization_id,
    )
    # what few have comes after that: a call with more than thirty values goes through a list, and costs twice as much
    if position.checkins:
        body.checkins = [_checkin_body(checkin) for checkin in position.checkins]
    if ticket:
        body.downloads = _downloads(call, f"{_api_path(event)}orderpositions/{position.id}/")
    if position.answers:
        body.answers = position.answers
    if position.seat is not None:
        body.seat = position.seat
    if pdf_data:
        body.pdf_data = printed(event, order, position)
    return order.elsewhere.get(f"positions/{position.positionid}", {}) | as_dict(body) if order.elsewhere else body


def as_dict(body: Struct | Body) -> Body:
    """Return a resource as JSON has it."""
    found: Body = msgspec.to_builtins(body)
    return found


def _fee_body(fee: Fee) -> shapes.Fee:
    return shapes.Fee(
        fee.id,
        fee.fee_type,
        fee.value,
        fee.description,
        fee.internal_type,
        fee.tax_rate,
        fee.tax_value,
        fee.tax_rule,
        fee.canceled,
    )


def payment_body(call: Call, event: Event, order: Order, payment: Payment) -> shapes.Payment:
    """Return the order payment resource."""
    return _payment_body(payment, _page_url(call, event, order))


def _payment_body(payment: Payment, page: str) -> shapes.Payment:
    """Only a payment that was not begun has a page to go on with, below that of its order."""
    payable = payment.state is _CREATED
    return shapes.Payment(
        payment.local_id,
        payment.state,
        payment.amount,
        payment.created,
        payment.payment_date,
        payment.provider,
        f"{page}pay/{payment.local_id}/" if payable else None,
        {},
    )


def refund_body(refund: Refund) -> shapes.Refund:
    """Return the order refund resource; `payment` is the local_id of what is given back."""
    return shapes.Refund(
        refund.local_id,
        refund.state,
        refund.source,
        refund.amount,
        refund.payment,
        refund.created,
        refund.execution_date,
        refund.comment,
        refund.provider,
        {},
    )


def preview_body(call: Call, event: Event, order: Order) -> shapes.Order:
    """Return the order resource of a simulation: nothing was made, so it has no time and its positions no order."""
    body = order_body(call, event, order, pdf_data=False)
    assert isinstance(body, shapes.Order)
    body.datetime = None
    for position in body.positions:
        position.order = ""
    return body


def _address_body(address: InvoiceAddress, event: Event) -> shapes.InvoiceAddress:
    return shapes.InvoiceAddress(
        address.last_modified,
        address.is_business,
        address.company,
        names.full_name(address.name_parts, event) if address.name_parts else "",
        address.name_parts,
        address.street,
        address.zipcode,
        address.city,
        address.country,
        address.state,
        address.internal_reference,
        address.custom_field,
        address.vat_id,
        address.vat_id_validated,
    )


def _checkin_body(checkin: Checkin) -> shapes.Checkin:
    return shapes.Checkin(
        checkin.id,
        checkin.list,
        checkin.datetime,
        checkin.type,
        gate=None,
        device=None,
        device_id=None,
        auto_checked_in=False,
    )


def _downloads(call: Call, path: str) -> list[shapes.Download]:
    return [shapes.Download("pdf", call.url(f"{path}download/pdf/"))]


def _api_path(event: Event) -> str:
    return f"/api/v1/organizers/{event.organizer}/events/{event.slug}/"


def _page_url(call: Call, event: Event, order: Order) -> str:
    return call.url(f"/{event.organizer}/{event.slug}/order/{order.code}/{order.secret}/")
