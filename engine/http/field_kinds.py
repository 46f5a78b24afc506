"""The kinds of values that a field of a body may have: what is taken for one, and what is said of anything else."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from msgspec import Meta

from engine.domain.catalogue import Event
from engine.http.fields import Field, FieldError, Form, Usual, json_type, nullable

_EMAIL = re.compile(r"\A[^@\s\0\"(),:;<>\[\\\]]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\.[A-Za-z0-9-]{2,63}\Z")
_DATETIME = re.compile(
    r"^\d{4}-\d{1,2}-\d{1,2}[T ]\d{1,2}:\d{1,2}(:\d{1,2}([.,]\d{1,6})?)?\s*(Z|[+-]\d{2}(:?\d{2})?)?$"
)
_PRICE = re.compile(r"[0-9]{1,8}\.[0-9]{2}")
_PRICE_DIGITS = 10
_PRICE_LENGTH_MAX = 11
"""What nearly every amount looks like; nothing about it needs to be counted or rounded."""
_DATE = re.compile(r"^\d{4}-\d{1,2}-\d{1,2}$")
_TRUE = {True, "t", "T", "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", "1"}
_FALSE = {False, "f", "F", "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF", "0"}
_NULL = {"null", "Null", "NULL", "", None}


_LISTED_MAX = 100
"""Choices that the document of the API lists one by one."""


def _as_it_is(text: str) -> bool:
    """Tell whether a text needs no trimming, and has no null characters."""
    return text.strip() == text and "\x00" not in text


class Text(Field):
    """A string, trimmed; numbers are taken as their text, as pretix does."""

    def __init__(
        self, *, blank: bool = False, min_length: int = 0, max_length: int = 10_000, trim: bool = True, **options: Any
    ) -> None:
        super().__init__(**options)
        self.blank, self.min_length, self.max_length, self.trim = blank, min_length, max_length, trim

    def clean(self, value: Any, event: Event | None) -> str:
        if type(value) is not str:
            if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
                raise FieldError("Not a valid string.")
            value = str(value)
        text: str = value.strip() if self.trim else value
        if not text:
            if self.blank:
                return ""
            raise FieldError("This field may not be blank.")
        if "\x00" in text:
            raise FieldError("Null characters are not allowed.")
        if len(text) > self.max_length:
            raise FieldError(f"Ensure this field has no more than {self.max_length} characters.")
        if len(text) < self.min_length:
            raise FieldError(f"Ensure this field has at least {self.min_length} characters.")
        return text

    def usual(self) -> Usual:
        # a pattern of msgspec's costs six times as much as to look at the text afterwards
        bounds = Meta(min_length=max(self.min_length, 0 if self.blank else 1), max_length=self.max_length)
        return Usual(Annotated[str, bounds], fits=_as_it_is if self.trim else None)

    def form(self) -> Form:
        least = 0 if self.blank else max(1, self.min_length)
        return {"type": "string", "maxLength": self.max_length, **({"minLength": least} if least else {})}


class Email(Text):
    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=options.pop("max_length", 254), **options)

    def clean(self, value: Any, event: Event | None) -> str:
        text = super().clean(value, event)
        if text and not _EMAIL.match(text):
            raise FieldError("Enter a valid email address.")
        return text

    def usual(self) -> Usual:
        return Usual(Annotated[str, Meta(max_length=self.max_length)], fits=_EMAIL.match)

    def form(self) -> Form:
        form = super().form()
        return {"anyOf": [{**form, "format": "email"}, {"const": ""}]} if self.blank else {**form, "format": "email"}


class Translated(Field):
    """A text in several languages: {"en": "Ticket"}; a plain string stands for the event's own language."""

    def __init__(self, *, blank: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.blank = blank

    def clean(self, value: Any, event: Event | None) -> dict[str, str | None]:
        if isinstance(value, str):
            value = {"en": value}
        if not isinstance(value, dict) or not all(isinstance(v, str) or v is None for v in value.values()):
            raise FieldError("Invalid data type.")
        if not self.blank and not any(value.values()):
            raise FieldError("This field may not be blank.")
        if any(len(v or "") > 10_000 or "\x00" in (v or "") for v in value.values()) or len(value) > 100:
            raise FieldError("Ensure this field has no more than 10000 characters.")
        return value

    def form(self) -> Form:
        words = {"type": "string", "maxLength": 10_000}
        form = {"type": "object", "additionalProperties": words, "examples": [{"en": "Text"}]}
        if self.blank:
            return form
        return {**form, "minProperties": 1, "additionalProperties": {**words, "minLength": 1}}

    def shown(self) -> Form:
        form: Form = {"type": "object", "additionalProperties": {"type": ["string", "null"]}}
        return nullable(form) if self.null or self.default is None else form


class Integer(Field):
    """A whole number; digits in a string will do. Within 32 bits unless told."""

    def __init__(self, *, minimum: int = -(2**31), maximum: int = 2**31 - 1, **options: Any) -> None:
        super().__init__(**options)
        self.minimum, self.maximum = minimum, maximum

    def clean(self, value: Any, event: Event | None) -> int:
        if isinstance(value, str) and len(value) > 1000:
            raise FieldError("String value too large.")
        if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
            raise FieldError("A valid integer is required.")
        text = re.sub(r"\.0*\s*$", "", str(value).strip())
        if not re.fullmatch(r"[+-]?\d+", text, re.ASCII):
            raise FieldError("A valid integer is required.")
        number = int(text)
        if number < self.minimum:
            raise FieldError(f"Ensure this value is greater than or equal to {self.minimum}.")
        if number > self.maximum:
            raise FieldError(f"Ensure this value is less than or equal to {self.maximum}.")
        return number

    def form(self) -> Form:
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}

    def usual(self) -> Usual:
        return Usual(Annotated[int, Meta(ge=self.minimum, le=self.maximum)], True)


@lru_cache(maxsize=4096)
def _plain_amount(text: str) -> Decimal | None:
    """Return an amount that looks like most; few different ones are sent, all the time."""
    return Decimal(text) if _PRICE.fullmatch(text) else None


class Money(Field):
    """An amount (13 digits, 2 places); a string or a number on the wire, Decimal inside."""

    def __init__(self, *, digits: int = 13, places: int = 2, minimum: Decimal | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.digits, self.places, self.minimum = digits, places, minimum
        self._plain = places == 2 and digits >= _PRICE_DIGITS and (minimum is None or minimum <= 0)

    def clean(self, value: Any, event: Event | None) -> Decimal:
        if self._plain and type(value) is str and len(value) <= _PRICE_LENGTH_MAX:
            plain = _plain_amount(value)
            if plain is not None:
                return plain
        if isinstance(value, str) and len(value) > 1000:
            raise FieldError("String value too large.")
        if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
            raise FieldError("A valid number is required.")
        try:
            amount = Decimal(value.strip() if isinstance(value, str) else value)
        except InvalidOperation:
            raise FieldError("A valid number is required.") from None
        if not amount.is_finite():
            raise FieldError("A valid number is required.")
        _, digits, exponent = amount.as_tuple()
        assert isinstance(exponent, int)
        decimals = max(0, -exponent)
        whole = max(0, len(digits) + exponent)
        if whole + decimals > self.digits and whole > self.digits - self.places:
            raise FieldError(f"Ensure that there are no more than {self.digits} digits in total.")
        if decimals > self.places:
            raise FieldError(f"Ensure that there are no more than {self.places} decimal places.")
        if whole > self.digits - self.places:
            raise FieldError(
                f"Ensure that there are no more than {self.digits - self.places} digits before the decimal point."
            )
        if self.minimum is not None and amount < self.minimum:
            raise FieldError(f"Ensure this value is greater than or equal to {self.minimum}.")
        return amount.quantize(Decimal(1).scaleb(-self.places))

    def usual(self) -> Usual:
        return Usual(str | int)

    def form(self) -> Form:
        sign = "" if self.minimum is not None and self.minimum >= 0 else "-?"
        pattern = f"^{sign}[0-9]{{1,{self.digits - self.places}}}(\\.[0-9]{{1,{self.places}}})?$"
        return {"type": "string", "format": "decimal", "pattern": pattern, "examples": ["23.00"]}


class Boolean(Field):
    def clean(self, value: Any, event: Event | None) -> bool:
        try:
            if value in _TRUE:
                return True
            if value in _FALSE:
                return False
        except TypeError:
            pass
        raise FieldError("Must be a valid boolean.")

    def accept(self, value: Any, event: Event | None) -> Any:
        if value is True or value is False:
            return value
        try:
            if self.null and value in _NULL:
                return None
        except TypeError:
            pass
        return super().accept(value, event)

    def usual(self) -> Usual:
        return Usual(bool, True)

    def form(self) -> Form:
        return {"type": "boolean"}


class Choice(Field):
    def __init__(self, *choices: str, **options: Any) -> None:
        super().__init__(**options)
        self.choices = frozenset(choices)

    def clean(self, value: Any, event: Event | None) -> str:
        if isinstance(value, str) and value in self.choices:
            return value
        raise FieldError(f'"{value}" is not a valid choice.')

    def usual(self) -> Usual:
        return Usual(Literal[tuple(sorted(map(str, self.choices)))], True)

    def form(self) -> Form:
        if len(self.choices) > _LISTED_MAX:
            return {"type": "string", "maxLength": max(map(len, self.choices))}
        return {"type": "string", "enum": sorted(self.choices)}


class DateTime(Field):
    """An instant; one without a zone is in the event's timezone. Returned in UTC."""

    def clean(self, value: Any, event: Event | None) -> dt.datetime:
        try:
            if not isinstance(value, str) or not _DATETIME.match(value):
                raise ValueError(value)
            moment = dt.datetime.fromisoformat(value.strip().replace(",", "."))
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=ZoneInfo(event.timezone if event else "UTC"))
            return moment.astimezone(dt.UTC)
        except (ValueError, OverflowError):
            raise FieldError(
                "Datetime has wrong format. Use one of these formats instead: "
                "YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
            ) from None

    def form(self) -> Form:
        return {"type": "string", "format": "date-time"}


class Date(Field):
    def clean(self, value: Any, event: Event | None) -> dt.date:
        try:
            if not isinstance(value, str) or not _DATE.match(value):
                raise ValueError(value)
            return dt.date(*(int(part) for part in value.split("-")))
        except ValueError:
            raise FieldError("Date has wrong format. Use one of these formats instead: YYYY-MM-DD.") from None

    def form(self) -> Form:
        return {"type": "string", "format": "date"}


class Json(Field):
    """Any JSON object that Postgres can keep as well; numbers with decimals are floats again."""

    def clean(self, value: Any, event: Event | None) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise FieldError(f'Expected a dictionary of items but got type "{json_type(value)}".')
        return {plain(key, 0): plain(inner, 0) for key, inner in value.items()}

    def form(self) -> Form:
        return {"type": "object"}


_JSON_DEPTH_MAX = 50
"""More than anybody means, and less than any parser on the way minds."""


def plain(value: Any, depth: int = 0) -> Any:
    """Return a decoded JSON value in a form that Postgres and every client can hold. Raises FieldError."""
    if depth > _JSON_DEPTH_MAX:
        raise FieldError("This value is nested too deeply.")
    if isinstance(value, str):
        if "\x00" in value:
            raise FieldError("Null characters are not allowed.")
        return value
    if isinstance(value, dict):
        return {plain(key, depth): plain(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner, depth + 1) for inner in value]
    if isinstance(value, Decimal) or (isinstance(value, int) and abs(value) >= 2**63):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isinf(number):
            raise FieldError("A valid number is required.")
        return number
    return value


class Reference(Field):
    """The id of something in the event; the thing itself is returned. `find` gives the candidates by id."""

    def __init__(self, find: Callable[[Event], Mapping[int, Any]], **options: Any) -> None:
        super().__init__(**options)
        self.find = find

    def clean(self, value: Any, event: Event | None) -> Any:
        assert event is not None
        if type(value) is int and (known := self.find(event).get(value)) is not None:
            return known
        if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value, re.ASCII):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise FieldError(f"Incorrect type. Expected pk value, received {json_type(value)}.")
        found = self.find(event).get(value)
        if found is None:
            raise self.missing(value)
        return found

    def usual(self) -> Usual:
        return Usual(int)

    def missing(self, value: int) -> FieldError:
        """Return the error for an id that the event does not have."""
        return FieldError(f'Invalid pk "{value}" - object does not exist.')

    def form(self) -> Form:
        return {"type": "integer"}
