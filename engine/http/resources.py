"""Orders and what belongs to them as the API shows them (spec/orders.txt, Order resource ff.)."""

from __future__ import annotations

from typing import Any

from engine.domain import names
from engine.domain.catalogue import Event
from engine.domain.order import (
    Answer,
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
from engine.http.call import Call
from engine.http.pdf_data import printed

Body = dict[str, Any]


def order_body(
    call: Call,
    event: Event,
    order: Order,
    *,
    include_canceled_positions: bool = False,
    include_canceled_fees: bool = False,
    pdf_data: bool | None = None,
) -> Body:
    """Return the order resource; with `pdf_data` its positions say what is printed on tickets.

    Unless told, that is what the query asks for.
    """
    if pdf_data is None:
        pdf_data = call.asked("pdf_data")
    provider = paid_at = None
    for payment in order.payments:
        provider = payment.provider
        paid_at = payment.payment_date or paid_at
    api = _api_path(event)
    downloads = has_tickets(event, order)
    body = {
        "code": order.code,
        "event": event.slug,
        "status": order.status,
        "testmode": order.testmode,
        "secret": order.secret,
        "email": order.email,
        "phone": order.phone,
        "customer": order.customer,
        "locale": order.locale,
        "sales_channel": order.sales_channel,
        "datetime": order.datetime,
        "expires": order.expires,
        "payment_date": paid_at.date() if paid_at else None,
        "payment_provider": provider,
        "total": order.total,
        "comment": order.comment,
        "api_meta": order.api_meta,
        "custom_followup_at": order.custom_followup_at,
        "checkin_attention": order.checkin_attention,
        "checkin_text": order.checkin_text,
        "invoice_address": _address_body(order.invoice_address, event) if order.invoice_address else None,
        "positions": [
            position_body(call, event, order, position, pdf_data=pdf_data, downloads=downloads)
            for position in order.positions
            if include_canceled_positions or not position.canceled
        ],
        "fees": [fee_body(fee) for fee in order.fees if include_canceled_fees or not fee.canceled],
        "downloads": _downloads(call, f"{api}orders/{order.code}/") if downloads else [],
        "require_approval": order.require_approval,
        "valid_if_pending": order.valid_if_pending,
        "url": _page_url(call, event, order),
        "payments": [payment_body(call, event, order, payment) for payment in order.payments],
        "refunds": [refund_body(refund) for refund in order.refunds],
        "last_modified": order.last_modified,
    }
    return order.elsewhere.get("order", {}) | body if order.elsewhere else body


def position_body(
    call: Call,
    event: Event,
    order: Order,
    position: Position,
    *,
    pdf_data: bool | None = None,
    downloads: bool | None = None,
) -> Body:
    """Return the order position resource; `downloads` tells whether its order has any, if that is known.

    Unless told, `pdf_data` is what the query asks for.
    """
    if downloads is None:
        downloads = has_tickets(event, order)
    ticket = downloads and is_ticket(event, position)
    body = {
        "id": position.id,
        "order": order.code,
        "positionid": position.positionid,
        "canceled": position.canceled,
        "item": position.item,
        "variation": position.variation,
        "price": position.price,
        "attendee_name": names.attendee_name(position.attendee_name_parts, event),
        "attendee_name_parts": position.attendee_name_parts,
        "attendee_email": position.attendee_email,
        "company": position.company,
        "street": position.street,
        "zipcode": position.zipcode,
        "city": position.city,
        "country": position.country,
        "state": position.state,
        "voucher": position.voucher,
        "voucher_budget_use": position.voucher_budget_use,
        "tax_rate": position.tax_rate,
        "tax_value": position.tax_value,
        "tax_rule": position.tax_rule,
        "secret": position.secret,
        "addon_to": position.addon_to,
        "subevent": position.subevent,
        "discount": position.discount,
        "blocked": position.blocked,
        "valid_from": position.valid_from,
        "valid_until": position.valid_until,
        "pseudonymization_id": position.pseudonymization_id,
        "checkins": [_checkin_body(checkin) for checkin in position.checkins],
        "downloads": _downloads(call, f"{_api_path(event)}orderpositions/{position.id}/") if ticket else [],
        "answers": [_answer_body(answer) for answer in position.answers],
        "seat": position.seat,
    }
    if call.asked("pdf_data") if pdf_data is None else pdf_data:
        body["pdf_data"] = printed(event, order, position)
    return order.elsewhere.get(f"positions/{position.positionid}", {}) | body if order.elsewhere else body


def fee_body(fee: Fee) -> Body:
    return {
        "id": fee.id,
        "fee_type": fee.fee_type,
        "value": fee.value,
        "description": fee.description,
        "internal_type": fee.internal_type,
        "tax_rate": fee.tax_rate,
        "tax_value": fee.tax_value,
        "tax_rule": fee.tax_rule,
        "canceled": fee.canceled,
    }


def payment_body(call: Call, event: Event, order: Order, payment: Payment) -> Body:
    """Return the order payment resource. Only a payment that was not begun has a page to go on with."""
    payable = payment.state is PaymentState.CREATED
    return {
        "local_id": payment.local_id,
        "state": payment.state,
        "amount": payment.amount,
        "created": payment.created,
        "payment_date": payment.payment_date,
        "provider": payment.provider,
        "payment_url": f"{_page_url(call, event, order)}pay/{payment.local_id}/" if payable else None,
        "details": {},
    }


def refund_body(refund: Refund) -> Body:
    """Return the order refund resource; `payment` is the local_id of what is given back."""
    return {
        "local_id": refund.local_id,
        "state": refund.state,
        "source": refund.source,
        "amount": refund.amount,
        "payment": refund.payment,
        "created": refund.created,
        "execution_date": refund.execution_date,
        "comment": refund.comment,
        "provider": refund.provider,
        "details": {},
    }


def preview_body(call: Call, event: Event, order: Order) -> Body:
    """Return the order resource of a simulation: nothing was made, so it has no time and its positions no order."""
    body = order_body(call, event, order, pdf_data=False)
    body["datetime"] = None
    for position in body["positions"]:
        position["order"] = ""
    return body


def _address_body(address: InvoiceAddress, event: Event) -> Body:
    return {
        "last_modified": address.last_modified,
        "is_business": address.is_business,
        "company": address.company,
        "name": names.full_name(address.name_parts, event) if address.name_parts else "",
        "name_parts": address.name_parts,
        "street": address.street,
        "zipcode": address.zipcode,
        "city": address.city,
        "country": address.country,
        "state": address.state,
        "internal_reference": address.internal_reference,
        "custom_field": address.custom_field,
        "vat_id": address.vat_id,
        "vat_id_validated": address.vat_id_validated,
    }


def _checkin_body(checkin: Checkin) -> Body:
    return {
        "id": checkin.id,
        "list": checkin.list,
        "datetime": checkin.datetime,
        "type": checkin.type,
        "gate": None,
        "device": None,
        "device_id": None,
        "auto_checked_in": False,
    }


def _answer_body(answer: Answer) -> Body:
    return {
        "question": answer.question,
        "answer": answer.answer,
        "question_identifier": answer.question_identifier,
        "options": answer.options,
        "option_identifiers": answer.option_identifiers,
    }


def _downloads(call: Call, path: str) -> list[Body]:
    return [{"output": "pdf", "url": call.url(f"{path}download/pdf/")}]


def _api_path(event: Event) -> str:
    return f"/api/v1/organizers/{event.organizer}/events/{event.slug}/"


def _page_url(call: Call, event: Event, order: Order) -> str:
    return call.url(f"/{event.organizer}/{event.slug}/order/{order.code}/{order.secret}/")
