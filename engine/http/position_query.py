"""The query parameters of position lists (spec/orders.txt, List of all order positions)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.domain.catalogue import Event
from engine.domain.errors import Invalid
from engine.domain.order import OrderStatus
from engine.http.call import Call
from engine.http.catalogue import yes_or_no
from engine.http.fields import FieldError
from engine.http.order_query import text_of
from engine.http.paging import orderings_of
from engine.http.terms import flags, lists_of, numbers, one_of, ordered_by, texts
from persistence import lookups, position_lists
from persistence.position_lists import DEFAULT_ORDERING, ORDERINGS, Wanted

UNKNOWN = "Select a valid choice. That choice is not one of the available choices."

_TEXTS = ("order", "search", "customer", "attendee_name", "secret", "pseudonymization_id")
_CHOICES = {
    "item": "items",
    "variation": "variations",
    "subevent": "subevents",
    "addon_to": "addon_to",
    "voucher": "vouchers",
    "order__status": "statuses",
}
"""Parameters that name one of several things, and their fields in Wanted; <name>__in takes any of a list."""

PARAMETERS = (
    texts(*_TEXTS, "voucher__code")
    | numbers(*(name for name in _CHOICES if name != "order__status"))
    | one_of("order__status", OrderStatus)
    | lists_of(*(f"{name}__in" for name in _CHOICES))
    | flags("has_checkin", "include_canceled_positions")
    | ordered_by(ORDERINGS)
)
"""What position lists can be asked, for the API's document."""

_YES = ("true", "1")
_VALUES_MAX = 1000
_STATUSES = frozenset(OrderStatus)


async def wanted(call: Call, event: Event) -> Wanted:
    """Return what the list asks for. Empty and unknown parameters and unknown orderings are ignored.

    Raises Invalid, for all that is malformed or names something that does not exist, at once.
    """
    values: dict[str, Any] = {}
    errors: dict[str, list[Any]] = {}
    for name in _TEXTS:
        if text := call.query.get(name, "").strip():
            try:
                values[name] = text_of(text, event)
            except FieldError as error:
                errors[name] = list(error.detail)
    for name, field in _CHOICES.items():
        for parameter in (name, f"{name}__in"):
            if text := call.query.get(parameter, "").strip():
                try:
                    chosen = await _chosen(call, event, field, text.split(",") if parameter != name else [text])
                except FieldError as error:
                    errors[parameter] = list(error.detail)
                else:
                    values[field] = [value for value in chosen if value in values.get(field, chosen)]
    if errors:
        raise Invalid(errors)
    if text := call.query.get("voucher__code", "").strip():
        values["voucher_code"] = text_of(text, event)
    return Wanted(
        organizer_id=call.principal.organizer_id,
        event_id=event.id,
        canceled=_yes(call, "include_canceled_positions"),
        has_checkin=yes_or_no(call.query.get("has_checkin", "")),
        **({} if call.query.get("ordering") == DEFAULT_ORDERING else orderings_of(call, ORDERINGS, DEFAULT_ORDERING)),
        **values,
    )


def _yes(call: Call, name: str) -> bool:
    return call.query.get(name, "").lower() in _YES


async def _chosen(call: Call, event: Event, field: str, texts: list[str]) -> list[Any]:
    """Return what `texts` name. Raises FieldError for what is unknown to the whole organizer."""
    if len(texts) > _VALUES_MAX:
        raise FieldError(UNKNOWN)
    read: Callable[[str], Any] = _status if field == "statuses" else _id
    chosen = [read(text.strip()) for text in texts]
    if field == "addon_to":
        known = await position_lists.known(call.house.database, event.id, chosen)
    elif field == "statuses":
        known = set(chosen)
    else:
        kind: Any = field
        known = await lookups.known(call.house.database, call.principal.organizer_id, kind, chosen)
    if not known.issuperset(chosen):
        raise FieldError(UNKNOWN)
    return chosen


def _id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise FieldError(UNKNOWN)
    return int(text)


def _status(text: str) -> str:
    if text not in _STATUSES:
        raise FieldError(f"Select a valid choice. {text} is not one of the available choices.")
    return text
