"""What is printed on a ticket, by the names that layouts of pretix use (`pdf_data=true`)."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

from engine.domain import names
from engine.domain.catalogue import Event
from engine.domain.order import Order, Position


def printed(event: Event, order: Order, position: Position) -> dict[str, Any]:
    """Return the texts for one ticket; what is unknown is an empty text."""
    item = event.items.get(position.item)
    variation = item.variations.get(position.variation or 0) if item else None
    date = event.subevents.get(position.subevent or 0)
    address = order.invoice_address
    rule = event.tax_rules.get(position.tax_rule or 0)
    addons = [other for other in order.positions if other.addon_to == position.id and not other.canceled]
    base = next((other for other in order.positions if other.id == position.addon_to), position)
    seat = position.seat or base.seat
    return {
        "secret": position.secret,
        "order": order.code,
        "positionid": str(position.positionid),
        "order_positionid": f"{order.code}-{position.positionid}",
        "pseudonymization_id": position.pseudonymization_id,
        "event_slug": event.slug,
        "item": item.name if item else "",
        "variation": variation.name if variation else "",
        "itemvar": _product(position, event),
        "subevent": date.name if date else "",
        "event_begin": _moment(date.date_from if date else event.dates.get("date_from"), event),
        "event_end": _moment(date.date_to if date else event.dates.get("date_to"), event),
        "price": f"{position.price} {event.currency}",
        "price_with_addons": f"{sum((addon.price for addon in addons), position.price)} {event.currency}",
        "tax_rate": str(position.tax_rate),
        "tax_name": rule.name if rule else "",
        "addons": "\n".join(_product(addon, event) for addon in addons),
        "attendee_name": position.attendee_name or base.attendee_name or "",
        "attendee_email": position.attendee_email or base.attendee_email or "",
        "attendee_company": position.company or "",
        "attendee_street": position.street or "",
        "attendee_zipcode": position.zipcode or "",
        "attendee_city": position.city or "",
        "attendee_state": position.state or "",
        "attendee_country": position.country or "",
        "invoice_name": names.full_name(address.name_parts, event) if address else "",
        "invoice_company": address.company if address else "",
        "invoice_street": address.street if address else "",
        "invoice_zipcode": address.zipcode if address else "",
        "invoice_city": address.city if address else "",
        "invoice_country": address.country if address else "",
        "order_email": order.email or "",
        "purchase_date": _moment(order.datetime, event),
        "valid_from": _moment(position.valid_from, event),
        "valid_until": _moment(position.valid_until, event),
        "seat": seat.name if seat else "",
        "seat_zone": seat.zone_name if seat else "",
        "seat_row": seat.row_name if seat else "",
        "seat_number": seat.seat_number if seat else "",
        **{f"question_{answer.question_identifier}": answer.answer for answer in position.answers},
    }


def _product(position: Position, event: Event) -> str:
    item = event.items.get(position.item)
    variation = item.variations.get(position.variation or 0) if item else None
    name = item.name if item else ""
    return f"{name} - {variation.name}" if variation else name


def _moment(moment: dt.datetime | None, event: Event) -> str:
    return f"{moment.astimezone(ZoneInfo(event.timezone)):%Y-%m-%d %H:%M}" if moment else ""
