"""The query parameters of order lists (spec/orders.txt, List of all orders; spec/facts.md, Conventions)."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal, InvalidOperation
from typing import Any

from engine.domain.catalogue import Event
from engine.domain.errors import Invalid
from engine.http.call import Call
from engine.http.field_kinds import Date, DateTime
from engine.http.fields import FieldError
from engine.http.paging import orderings_of
from engine.http.terms import flags, moments, numbers, ordered_by, texts
from persistence.order_lists import ORDERINGS, Wanted

_TEXTS = ("code", "status", "email", "locale", "sales_channel", "customer", "payment_provider", "search")
_FLAGS = ("testmode", "require_approval")
_NUMBERS = ("item", "variation", "subevent")
_MOMENTS = ("created_since", "created_before", "modified_since", "subevent_after", "subevent_before")

PARAMETERS = texts(*_TEXTS) | flags(*_FLAGS) | numbers(*_NUMBERS) | moments(*_MOMENTS) | ordered_by(ORDERINGS)
"""What order lists can be asked, for the API's document."""

_FLAG_WORDS = {"true": True, "1": True, "false": False, "0": False}
_LOOKALIKES = str.maketrans("2456", "ZASG")
"""Digits that generated codes avoid, and the letters they are mistaken for."""

_NOBODY = -1
"""An id that nothing has."""

_DATETIME, _DATE = DateTime(), Date()


def wanted(call: Call, *, event: Event | None = None, events: list[str] | None = None) -> Wanted:
    """Return what the list asks for: orders of `event`, or of the organizer's `events` (slugs; None is all).

    Empty and unknown parameters and unknown orderings are ignored. Raises Invalid, malformed ones all at once.
    """
    values: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    readers = {text_of: _TEXTS, flag_of: _FLAGS, _number: _NUMBERS, moment_of: _MOMENTS}
    for reader, names in readers.items():
        for name in names:
            text = call.query.get(name, "").strip()
            if not text:
                continue
            try:
                values[name] = reader(text, event)
            except FieldError as error:
                errors[name] = [str(line) for line in error.detail]
    if errors:
        raise Invalid(errors)
    return Wanted(
        organizer_id=call.principal.organizer_id,
        event_id=event.id if event else None,
        events=events,
        **orderings_of(call, ORDERINGS, "datetime"),
        **_searched(values.get("search")),
        **values,
    )


def _searched(term: str | None) -> dict[str, Any]:
    """Return how a search looks for codes; EVENT-CODE is a code in that event."""
    if term is None:
        return {}
    slug, dash, code = term.rpartition("-")
    code = code.upper().translate(_LOOKALIKES)
    return {"search_code": code, "search_event": slug} if dash else {"search_code": code}


def text_of(text: str, event: Event | None) -> str:
    """Return a text to look for. Raises FieldError."""
    if "\x00" in text:
        raise FieldError("Null characters are not allowed.")
    # bytes that are no UTF-8 cannot be stored, and are stored nowhere
    return text.encode("utf-8", "replace").decode()


def flag_of(text: str, event: Event | None) -> bool | None:
    """Return what a word says, None for what is neither yes nor no: such a filter is ignored."""
    return _FLAG_WORDS.get(text.lower())


def _number(text: str, event: Event | None) -> int:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise FieldError("Enter a number.") from None
    if not number.is_finite():
        raise FieldError("Enter a number.")
    fits = 0 <= number < 2**63 and number == number.to_integral_value()
    return int(number) if fits else _NOBODY


def moment_of(text: str, event: Event | None) -> dt.datetime:
    """Return an instant; a date is its first moment in the event's timezone. Raises FieldError."""
    try:
        return _DATETIME.clean(text, event)
    except FieldError:
        pass
    try:
        day: dt.date = _DATE.clean(text, event)
        return _DATETIME.clean(f"{day.isoformat()}T00:00", event)
    except FieldError:
        raise FieldError("Enter a valid date/time.") from None
