"""What is being bought, as bodies of carts and orders name it: item, variation, date of a series.

An id that the event does not have is refused in two ways: unknown, or of another event. Only Postgres knows which, so
such an error is a `Doubt` until `read` has asked; a request without errors asks nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from engine.domain.catalogue import Event, Item, Seat, Subevent, Variation
from engine.domain.errors import Invalid
from engine.http.call import Call
from engine.http.field_kinds import Reference
from engine.http.fields import Field, FieldError, Schema
from persistence import lookups

NEEDS_SUBEVENT = "You need to set a subevent."
SEAT_NEEDED = "The specified product requires to choose a seat."
SEAT_FORBIDDEN = "The specified product does not allow to choose a seat."


class Doubt(str):
    """The text for an unknown id, and what to say instead if another event has it.

    `field` is the key of that other error where it is not that of the field itself.
    """

    kind: lookups.Kind
    number: int
    elsewhere: str
    field: str | None


class EventReference(Reference):
    """The id of something in the event; one that another event has is refused in words of its own."""

    def __init__(
        self,
        kind: lookups.Kind,
        find: Callable[[Event], Mapping[int, Any]],
        elsewhere: str,
        field: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(find, **options)
        self.kind, self.elsewhere, self.field = kind, elsewhere, field

    def missing(self, value: int) -> FieldError:
        return FieldError([doubtful(self.kind, value, self.elsewhere, self.field)])


def doubtful(kind: lookups.Kind, number: int, elsewhere: str, field: str | None = None) -> Doubt:
    """Return the error for an id that the event does not have."""
    doubt = Doubt(f'Invalid pk "{number}" - object does not exist.')
    doubt.kind, doubt.number, doubt.elsewhere, doubt.field = kind, number, elsewhere, field
    return doubt


class ItemField(EventReference):
    """An active item of the event."""

    def __init__(self, **options: Any) -> None:
        text = "The specified item does not belong to this event."
        super().__init__("items", lambda event: event.items, text, **options)

    def clean(self, value: Any, event: Event | None) -> Any:
        item: Item = super().clean(value, event)
        if not item.active:
            raise FieldError("The specified item is not active.")
        return item

    usual = Reference.usual


class VariationField(EventReference):
    """A variation of any item of the event; `check_product` looks whose."""

    def __init__(self, errors_under: str | None = None) -> None:
        super().__init__("variations", _variations, _WRONG_VARIATION, errors_under, null=True, default=None)


class SubeventField(EventReference):
    """A date of the series, None for an event that is none."""

    def __init__(self) -> None:
        text = "The specified subevent does not belong to this event."
        super().__init__("subevents", lambda event: event.subevents, text, null=True, default=None)

    def accept(self, value: Any, event: Event | None) -> Any:
        assert event is not None
        if value is None and event.has_subevents:
            raise FieldError(NEEDS_SUBEVENT)
        try:
            return super().accept(value, event)
        except FieldError as error:
            if not event.has_subevents:
                _reword(error.detail, _NO_SERIES)
            raise

    usual = Reference.usual


class ProductSchema(Schema):
    """Fields among which are `item` and `variation`."""

    def collect(
        self, body: Any, event: Event | None, *, partial: bool = False
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        cleaned, errors = super().collect(body, event, partial=partial)
        if "variation" in errors and "item" in cleaned and not cleaned["item"].variations:
            _reword(errors["variation"], _NO_VARIATIONS)
        return cleaned, errors


def _reword(errors: Any, elsewhere: str) -> None:
    """Have `elsewhere` said where an id turns out to be another event's."""
    for doubt in _doubts(errors):
        doubt.elsewhere = elsewhere


_NO_SERIES = "You cannot set a subevent for this event."
_NO_VARIATIONS = "You cannot specify a variation for this item."
_WRONG_VARIATION = "The specified variation does not belong to the specified item."


def _variations(event: Event) -> dict[int, Variation]:
    return {number: variation for item in event.items.values() for number, variation in item.variations.items()}


def check_product(
    item: Item, variation: Variation | None, subevent: Subevent | None, event: Event, errors_under: str
) -> None:
    """Check item, variation and subevent against one another. Raises FieldError.

    `errors_under` is the field that gets complaints about the variation: carts and orders differ.
    """
    if item.variations and variation is None:
        raise FieldError({errors_under: ["You should specify a variation for this item."]})
    if not item.variations and variation is not None:
        raise FieldError({errors_under: [_NO_VARIATIONS]})
    if variation is not None and variation.id not in item.variations:
        raise FieldError({errors_under: [_WRONG_VARIATION]})
    if event.has_subevents and subevent is None:
        raise FieldError({"subevent": [NEEDS_SUBEVENT]})
    if not event.has_subevents and subevent is not None:
        raise FieldError({"subevent": [_NO_SERIES]})


def seat_asked_for(
    guid: str | None, item: Item, subevent: Subevent | None, event: Event
) -> tuple[Seat | None, str | None]:
    """Return the seat with the guid that was sent, and what is wrong: there is one exactly if the product needs one."""
    date = subevent.id if subevent else 0
    seated = (item.id, date) in event.seated
    if not guid:
        return None, SEAT_NEEDED if seated else None
    if not seated:
        return None, SEAT_FORBIDDEN
    seat = event.seats.by_name.get((date, guid))
    return seat, None if seat else "The specified seat does not exist."


def fitting_seat(values: dict[str, Any], event: Event) -> Seat | None:
    """Return the seat that was asked for. Raises FieldError if it does not fit."""
    seat, misfit = seat_asked_for(values.get("seat"), values["item"], values["subevent"], event)
    if misfit:
        raise FieldError({"seat": [misfit]})
    return seat


def without_quota(item: Item) -> str:
    return f'The product "{item.name}" is not assigned to a quota.'


def short_of(event: Event, quota_id: int) -> str:
    quota = event.quotas.get(quota_id)
    name = quota.name if quota else ""
    return f'There is not enough quota available on quota "{name}" to perform the operation.'


async def read(call: Call, field: Field, body: Any) -> Any:
    """Return a cleaned body. Raises Invalid with all its errors in their final words."""
    try:
        return field.clean(body, call.event)
    except FieldError as error:
        raise Invalid(await settled(call, error.detail)) from None


async def settled(call: Call, errors: Any) -> Any:
    """Return errors with each `Doubt` resolved; asks Postgres once for each kind of id in doubt."""
    doubts = list(_doubts(errors))
    elsewhere: set[tuple[str, int]] = set()
    for kind in {doubt.kind for doubt in doubts}:
        numbers = {doubt.number for doubt in doubts if doubt.kind == kind}
        found = await lookups.known(call.house.database, call.principal.organizer_id, kind, numbers)
        elsewhere |= {(kind, number) for number in found}
    return _resolved(errors, elsewhere) if doubts else errors


def _doubts(errors: Any) -> Iterator[Doubt]:
    if isinstance(errors, Doubt):
        yield errors
    elif isinstance(errors, dict | list):
        for inner in errors.values() if isinstance(errors, dict) else errors:
            yield from _doubts(inner)


def _resolved(errors: Any, elsewhere: set[tuple[str, int]]) -> Any:
    if isinstance(errors, list):
        return [_resolved(error, elsewhere) for error in errors]
    if isinstance(errors, Doubt):
        return errors.elsewhere if (errors.kind, errors.number) in elsewhere else str(errors)
    if not isinstance(errors, dict):
        return errors
    renamed: dict[str, Any] = {}
    for key, inner in errors.items():
        first = inner[0] if isinstance(inner, list) and inner else None
        moves = isinstance(first, Doubt) and first.field and (first.kind, first.number) in elsewhere
        renamed[first.field if moves else key] = _resolved(inner, elsewhere)  # type: ignore[union-attr]
    return renamed
