"""Fields about people: names in parts, phones, countries, and things known by a name instead of an id."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import phonenumbers
from msgspec.structs import asdict

from engine.domain.catalogue import Event
from engine.domain.names import LEGACY, with_scheme
from engine.domain.places import COUNTRIES, state_error
from engine.http.field_kinds import Boolean, Choice, Email, Text
from engine.http.fields import Field, FieldError, Form, Usual
from engine.http.records import Record

SALES_CHANNELS = frozenset({"web"})

_NAME_PARTS_MAX = 20


class NameParts(Field):
    """{"given_name": "Peter", …}, with `_scheme` if the sender knows it."""

    def clean(self, value: Any, event: Event | None) -> dict[str, Any]:
        if not isinstance(value, dict) or len(value) > _NAME_PARTS_MAX:
            raise FieldError("Invalid data type")
        for key, part in value.items():
            if not isinstance(part, str | None) or len(key) > 255:
                raise FieldError("Invalid data type")
            if "\x00" in key or (part and "\x00" in part):
                raise FieldError("Null characters are not allowed.")
            if part and len(part) > 255:
                raise FieldError("Ensure this field has no more than 255 characters.")
        return value

    def form(self) -> Form:
        words = {"type": ["string", "null"], "maxLength": 255}
        return {"type": "object", "additionalProperties": words, "maxProperties": _NAME_PARTS_MAX}


class Phone(Text):
    """An international phone number, returned as +49…"""

    def clean(self, value: Any, event: Event | None) -> str:
        text = super().clean(value, event)
        if not text:
            return text
        try:
            number = phonenumbers.parse(text)
        except phonenumbers.NumberParseException:
            number = None
        if number is None or not phonenumbers.is_valid_number(number):
            raise FieldError("The phone number entered is not valid.")
        return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


class Country(Choice):
    """A country by its two letters; "" for none."""

    def __init__(self, **options: Any) -> None:
        super().__init__("", *COUNTRIES, **options)


class Named(Field):
    """Something known by a name of its own, of which `known` are all there are."""

    def __init__(self, key: str, known: Collection[str] = (), **options: Any) -> None:
        super().__init__(**options)
        self.key, self.known = key, known

    def clean(self, value: Any, event: Event | None) -> str:
        if not isinstance(value, str):
            raise FieldError("Invalid value.")
        if value not in self.known:
            raise FieldError(f"Object with {self.key}={value} does not exist.")
        return value

    def usual(self) -> Usual:
        return Usual(Literal[tuple(sorted(self.known))], True) if self.known else Usual()

    def form(self) -> Form:
        return {"type": "string", **({"enum": sorted(self.known)} if self.known else {})}


def merged_name(values: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Take `<prefix>name` and `<prefix>name_parts` out of `values` and return the parts that the one of them makes.

    Raises FieldError if both are given.
    """
    return name_parts(values.pop(f"{prefix}name", None), values.pop(f"{prefix}name_parts", None), prefix)


def name_parts(name: str | None, parts: dict[str, Any] | None, prefix: str) -> dict[str, Any]:
    """Return the parts of a name that was sent whole or in parts. Raises FieldError if it was in both forms."""
    if name and parts:
        raise FieldError({f"{prefix}name": [f"Do not specify {prefix}name if you specified {prefix}name_parts."]})
    return {LEGACY: name} if name else parts or {}


def check_state(country: str | None, state: str | None) -> None:
    """Refuse a state that the address' country does not have. Raises FieldError."""
    if state and (error := state_error(country, state)):
        raise FieldError({"state": [error]})


ATTENDEE = {
    "attendee_name": Text(null=True, blank=True, max_length=255, default=None),
    "attendee_name_parts": NameParts(null=True, default=None),
    "attendee_email": Email(null=True, blank=True, default=None),
}
"""What carts and orders ask about attendees."""


def _line(max_length: int = 255) -> Text:
    return Text(blank=True, max_length=max_length, default="")


class _AddressRecord(Record):
    """The invoice address; cleaned into the fields of engine.domain.order.InvoiceAddress."""

    def checked(self, values: Any, event: Event | None) -> dict[str, Any]:
        assert event is not None
        parts = name_parts(values.name, values.name_parts, "")
        check_state(values.country, values.state)
        address = asdict(values)
        del address["name"]
        return {**address, "custom_field": values.custom_field or None, "name_parts": with_scheme(parts, event)}


INVOICE_ADDRESS = _AddressRecord(
    {"null": True, "default": None},
    is_business=Boolean(default=False),
    company=_line(),
    name=Text(null=True, blank=True, max_length=255, default=None),
    name_parts=NameParts(null=True, default=None),
    street=_line(10_000),
    zipcode=_line(30),
    city=_line(),
    country=Country(default=""),
    state=_line(),
    internal_reference=_line(10_000),
    custom_field=Text(null=True, blank=True, max_length=255, default=None),
    vat_id=_line(),
    vat_id_validated=Boolean(default=False),
)
