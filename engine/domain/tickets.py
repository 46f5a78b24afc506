"""Which tickets may be downloaded, and from when (spec/orders.txt, Order ticket download ff.)."""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from engine.domain import clock
from engine.domain.catalogue import Event
from engine.domain.order import Order, OrderStatus, Position

PLUGIN = "pretix.plugins.ticketoutputpdf"
PDF = "pdf"
"""The one output; an event has it with the plugin."""

_GONE = "Downloads are not available for canceled or expired orders."
_PENDING = "Downloads are not available for pending orders."
_OFF = "Ticket downloads are not active for this event."
_EARLY = "Downloads are not available yet."
_NO_TICKET = "Downloads are not enabled for this product."

_RELATIVE = re.compile(
    r"RELDATE/(?:(?P<days>\d{1,4})/(?:-|(?P<hour>\d{2}):(?P<minute>\d{2}):(?P<second>\d{2}))"
    r"|minutes/(?P<minutes>\d{1,7}))/(?P<base>date_from|date_to|date_admission|presale_start|presale_end)/?",
    re.ASCII,
)


class Before(Struct, frozen=True):
    """A moment as pretix says it by another one: minutes before `base`, or days before it by the event's calendar.

    `time` is the time of that day, where it is told.
    """

    base: str
    days: int = 0
    minutes: int = 0
    time: dt.time | None = None


def parse_start(value: Any) -> dt.datetime | Before:
    """Return what `ticket_download_date` says. Raises ValueError for what is neither a moment nor a RELDATE."""
    try:
        return _parsed(str(value))
    except ValueError:
        raise ValueError("neither a moment nor a RELDATE") from None


@lru_cache(maxsize=1024)
def _parsed(value: str) -> dt.datetime | Before:
    found = _RELATIVE.fullmatch(value)
    if found is None:
        moment = dt.datetime.fromisoformat(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    if found["minutes"]:
        return Before(found["base"], minutes=int(found["minutes"]))
    time = dt.time(int(found["hour"]), int(found["minute"]), int(found["second"])) if found["hour"] else None
    return Before(found["base"], days=int(found["days"]), time=time)


def starts(event: Event, order: Order) -> dt.datetime | None:
    """Return from when the tickets of an order may be downloaded; None if from its beginning.

    In a series a relative date is relative to the first of the order's dates.
    """
    said = event.settings.get("ticket_download_date")
    if said is None:
        return None
    try:
        start = parse_start(said)
    except ValueError:
        # kept before anybody looked at what was sent
        return None
    if isinstance(start, dt.datetime):
        return start
    moments = [_before(start, dates, event.timezone) for dates in _dates(event, order)]
    return min((moment for moment in moments if moment is not None), default=None)


def _dates(event: Event, order: Order) -> list[dict[str, dt.datetime]]:
    if not event.has_subevents:
        return [event.dates]
    known = [event.subevents[number] for number in {p.subevent or 0 for p in order.positions} & event.subevents.keys()]
    return [{"date_from": date.date_from} | ({"date_to": date.date_to} if date.date_to else {}) for date in known]


def _before(start: Before, dates: dict[str, dt.datetime], timezone: str) -> dt.datetime | None:
    base = dates.get(start.base) or dates.get("date_from")
    if base is None:
        return None
    try:
        if start.minutes:
            return base - dt.timedelta(minutes=start.minutes)
        local = base.astimezone(ZoneInfo(timezone)) - dt.timedelta(days=start.days)
        return local if start.time is None else dt.datetime.combine(local.date(), start.time, local.tzinfo)
    except OverflowError:
        return None


def has_output(event: Event) -> bool:
    """Tell whether an event has tickets as files at all."""
    return PLUGIN in event.plugins


def refusal(event: Event, order: Order) -> str | None:
    """Return why no ticket of an order may be downloaded now; None if they may."""
    if order.status in (OrderStatus.CANCELED, OrderStatus.EXPIRED):
        return _GONE
    if order.status is OrderStatus.PENDING and (
        order.require_approval or not (order.valid_if_pending or event.settings.get("ticket_download_pending"))
    ):
        return _PENDING
    if not event.settings.get("ticket_download"):
        return _OFF
    start = starts(event, order)
    return _EARLY if start is not None and start > clock.now() else None


def has_tickets(event: Event, order: Order) -> bool:
    """Tell whether tickets of an order may be downloaded now."""
    return has_output(event) and refusal(event, order) is None


def is_ticket(event: Event, position: Position) -> bool:
    """Tell whether a position is a ticket of its own: its item says so, or else the event for all that are like it."""
    item = event.items.get(position.item)
    if item is None or position.blocked:
        return False
    if item.generate_tickets is not None:
        return item.generate_tickets
    settings = event.settings
    return (position.addon_to is None or bool(settings.get("ticket_download_addons"))) and (
        item.admission or bool(settings.get("ticket_download_nonadm"))
    )


def tickets(event: Event, order: Order) -> list[Position]:
    """Return the positions of an order that are printed, each on a page of its own."""
    return [position for position in order.positions if not position.canceled and is_ticket(event, position)]


def no_ticket(event: Event, *positions: Position) -> str | None:
    """Return why these positions have no file; None if one of them has."""
    return None if any(is_ticket(event, position) for position in positions) else _NO_TICKET
