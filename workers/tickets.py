"""Files of tickets: made when a front door asks for them, kept in Postgres for a while."""

from __future__ import annotations

import datetime as dt
import logging
import time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from engine.domain import names, tickets
from engine.domain.catalogue import Event, SeatPlace
from engine.domain.invoice_texts import amount, words_of
from engine.domain.order import Order, Position
from engine.sales.house import House
from persistence import ticket_files
from persistence.assembly import in_locale
from persistence.database import Row
from persistence.ticket_files import WHOLE_ORDER, Due
from workers.papers.sheets import Field, Ticket, Tickets
from workers.papers.words import Words, words
from workers.press import TIMEOUT_S, Press, Unprintable

log = logging.getLogger("holdfast.tickets")

TRIES_MAX = 5
"""After this many a file is given up until somebody asks for it again: a quarter of an hour."""
_TICKET_S = 0.5
"""What each ticket of a file may add to that. Both are less than the claim lasts (persistence/sql/ticket_files.sql)."""
_RUN_S = 20.0
"""A run begins no other file after this."""


async def make_tickets(house: House, press: Press) -> int:
    """Make files that are asked for; return how many were made.

    Safe to run twice and beside others: a file that is claimed is nobody else's for a while, and a file that is made
    twice is the same.
    """
    made = 0
    end = time.monotonic() + _RUN_S
    while time.monotonic() < end and (due := await ticket_files.claim(house.database)):
        made += await _make(house, press, due)
    press.rest()
    await ticket_files.remove_expired(house.database)
    return made


async def _make(house: House, press: Press, due: Due) -> bool:
    known = await house.catalogue.event(due.order.organizer_id, due.event)
    event = await house.catalogue.current(known)
    printed = tickets.tickets(event, due.order)
    if due.position_id != WHOLE_ORDER:
        printed = [position for position in printed if position.id == due.position_id]
    if not printed:
        await ticket_files.failed(house.database, due, "it has no tickets any more", last=True)
        return False
    shown = await ticket_files.shown(house.database, event.id, due.order.positions)
    try:
        paper = _sheet(due.order, event, printed, shown, due.organizer)
        file = await press.draw("tickets", paper, timeout_s=TIMEOUT_S + _TICKET_S * len(printed))
    except Unprintable as error:
        last = due.tries >= TRIES_MAX
        log.error("tickets of order %s cannot be printed%s: %s", due.order.code, ", given up" if last else "", error)
        await ticket_files.failed(house.database, due, str(error), last=last)
        return False
    await ticket_files.store(house.database, due, ticket_files.named(due.order, event.look), file)
    return True


def _sheet(order: Order, event: Event, printed: list[Position], shown: Row, organizer: str) -> str:
    try:
        return msgspec.json.encode(sheet(order, event, printed, shown, organizer)).decode()
    except Exception as error:  # what an organizer or a buyer has put in must not keep others from their tickets
        raise Unprintable(repr(error)) from error


def sheet(order: Order, event: Event, printed: list[Position], shown: Row, organizer: str) -> Tickets:
    """Return what is on the tickets of `printed`, in the language of the order; `shown` is what the catalogue says."""
    said, zone = words(order.locale), ZoneInfo(event.timezone)
    texts = _Texts(shown, order.locale)
    addons: dict[int, list[Position]] = {}
    for position in order.positions:
        if position.addon_to is not None and not position.canceled:
            addons.setdefault(position.addon_to, []).append(position)
    placed = said.order.format(code=order.code, day=said.day(_in_zone(order.datetime, zone)))
    return Tickets(
        event=texts.of(shown["body"]["name"]),
        slug=event.slug,
        footer=" · ".join(filter(None, [organizer, placed])),
        test=said.test if order.testmode else "",
        tickets=[
            _ticket(order, event, position, addons=addons.get(position.id, []), texts=texts, said=said)
            for position in printed
        ],
    )


class _Texts:
    """The texts of one event in one language."""

    def __init__(self, shown: Row, locale: str) -> None:
        self._locale = locale
        self.event: dict[str, Any] = shown["body"]
        self._items = dict(shown["items"])
        self._variations = dict(shown["variations"])
        self.dates: dict[int, dict[str, Any]] = dict(shown["subevents"])

    def of(self, text: dict[str, str | None] | None) -> str:
        if not text:
            return ""
        return in_locale(text, self._locale if text.get(self._locale) else self._locale.partition("-")[0])

    def product(self, position: Position) -> str:
        name = self.of(self._items.get(position.item))
        variation = self.of(self._variations.get(position.variation))
        return f"{name} – {variation}" if variation else name


def _ticket(
    order: Order, event: Event, position: Position, *, addons: list[Position], texts: _Texts, said: Words
) -> Ticket:
    zone = ZoneInfo(event.timezone)

    def moment(value: str | dt.datetime | None) -> dt.datetime | None:
        told = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
        return _in_zone(told, zone) if told else None

    date = texts.dates.get(position.subevent or 0, texts.event)
    begin, end = moment(date.get("date_from")), moment(date.get("date_to"))
    when = said.span(begin, end) if begin else ""
    if date is not texts.event and (name := texts.of(date.get("name"))):
        when = f"{name} · {when}"
    base = next((other for other in order.positions if other.id == position.addon_to), position)
    product = texts.product(position)
    doors = moment(date.get("date_admission"))
    valid_from, valid_until = moment(position.valid_from), moment(position.valid_until)
    fields: list[Field] = [
        (said.attendee, _name(position, event) or _name(base, event)),
        (said.ticket, product),
        (said.doors, doors.strftime(said.time) if doors and begin and doors.date() == begin.date() else ""),
        (said.valid_from, said.moment(valid_from) if valid_from else ""),
        (said.valid_until, said.moment(valid_until) if valid_until else ""),
        (said.addons, ", ".join(texts.product(addon) for addon in addons)),
        (said.price, _amount(position.price, event, order) if position.price else ""),
    ]
    return Ticket(
        secret=position.secret,
        number=f"{order.code}-{position.positionid}",
        product=product,
        when=when,
        where=" · ".join(_lines(texts.of(date.get("location")) or texts.of(texts.event.get("location")))),
        seat=_seat(position.seat, said) if position.seat else [],
        fields=[(label, text) for label, text in fields if text],
    )


def _amount(value: Decimal, event: Event, order: Order) -> str:
    return f"{amount(value, event.currency, words_of(order.locale))}\N{NO-BREAK SPACE}{event.currency}"


def _name(position: Position, event: Event) -> str:
    return names.attendee_name(position.attendee_name_parts, event) or position.company or ""


def _seat(seat: SeatPlace, said: Words) -> list[Field]:
    """Return a seat in parts, or by its name if it has none."""
    parts = [
        (said.zone, seat.zone_name),
        (said.row, seat.row_label or seat.row_name),
        (said.seat, seat.seat_label or seat.seat_number),
    ]
    known = [(label, text) for label, text in parts if text]
    return known if len(known) > 1 else [(said.seat, seat.name)]


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _in_zone(moment: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    try:
        return moment.astimezone(zone)
    except OverflowError:
        # the first and the last day of all have no other side everywhere
        return moment
