"""Declarative checks of request bodies, with pretix's texts (spec/facts.md, Conventions).

A `Schema` names its fields once; `clean` checks a decoded JSON body against all of them, collects every error and
returns only known fields, converted. Unknown fields are ignored. Fields look things up in the event that they are given
(that of the request), so a schema is made once, at import. What fields there are: field_kinds.py.

    QUOTA = Schema(name=Text(max_length=200), size=Integer(null=True, minimum=0))
    values = QUOTA.clean(body, event)      # raises Invalid({"size": ["A valid integer is required."]})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from operator import not_
from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import replace

from engine.domain.catalogue import Event
from engine.domain.errors import Invalid

MISSING: Any = object()
"""Stands for "no default": a field that is missing stays missing."""

Form = dict[str, Any]
"""A JSON schema."""


def nullable(form: Form) -> Form:
    """Return a JSON schema that lets null through too."""
    if not form:
        return form
    if "enum" in form:
        form = {**form, "enum": [*form["enum"], None]}
    if isinstance(form.get("type"), str):
        return {**form, "type": [form["type"], "null"]}
    return {"anyOf": [*form.get("anyOf", [form]), {"type": "null"}]}


def json_type(value: Any) -> str:
    """Return the name that pretix calls a decoded value's type by."""
    return "float" if isinstance(value, Decimal) else type(value).__name__


class FieldError(Exception):
    """One field's complaint: a list of texts, or the nested errors of a list or an object."""

    def __init__(self, detail: str | list[Any] | dict[str, Any]) -> None:
        super().__init__(detail)
        self.detail: list[Any] | dict[str, Any] = [detail] if isinstance(detail, str) else detail


class Usual(Struct, frozen=True):
    """The type that values of a field nearly always have in JSON, as msgspec knows it.

    With `final` the field returns all values of this type as they are, with `fits` those of which that is true.
    """

    type: Any = Any
    final: bool = False
    fits: Callable[[Any], object] | None = None


class Field:
    """One field of a body. `required` unless it has a default or says otherwise; `null` lets null through."""

    blank = False
    """Is an empty text a value of its own?"""

    def __init__(self, *, required: bool | None = None, null: bool = False, default: Any = MISSING) -> None:
        self.required = (default is MISSING) if required is None else required
        self.null = null
        self.default = default

    def clean(self, value: Any, event: Event | None) -> Any:
        """Return the converted value. Raises FieldError."""
        raise NotImplementedError

    def accept(self, value: Any, event: Event | None) -> Any:
        """Like `clean`, after the question whether null will do."""
        if value is None:
            if self.null:
                return None
            raise FieldError("This field may not be null.")
        return self.clean(value, event)

    def usual(self) -> Usual:
        """Return what values nearly always are, null aside. Holds for this very class's `clean` and `accept`."""
        return Usual()

    def usually(self) -> Usual:
        """Return what values nearly always are, null with them if it will do."""
        for kind in type(self).__mro__:
            if "usual" in vars(kind):
                usual = self.usual()
                return replace(usual, type=usual.type | None) if self.null and usual.type is not Any else usual
            if "clean" in vars(kind) or "accept" in vars(kind):
                break
        return Usual()

    def form(self) -> Form:
        """Return the JSON schema of a value, null aside: how it is best sent, and how answers show it."""
        return {}

    def asked(self) -> Form:
        """Return the JSON schema of the field in a request."""
        form = nullable(self.form()) if self.null else self.form()
        default = self.default() if callable(self.default) else self.default
        if default is not MISSING and (default is not None or self.null):
            form = {**form, "default": default}
        return form

    def shown(self) -> Form:
        """Return the JSON schema of the field in an answer."""
        return nullable(self.form()) if self.null or self.default is None else self.form()


class SentForm(dict[str, Any]):
    """The fields of a form by name, each the last of its values; a list field gets them all."""

    def __init__(self, sent: list[tuple[str, str]]) -> None:
        super().__init__(sent)
        self._sent = sent

    def as_json(self, fields: Mapping[str, Field]) -> dict[str, Any]:
        """Return the fields as they would stand in JSON, where there are lists, and null is not just empty."""
        found: dict[str, Any] = {}
        for name, value in self._sent:
            field = fields.get(name)
            if isinstance(field, ListOf) and not isinstance(field.row, Schema):
                found.setdefault(name, []).append(value)
            else:
                found[name] = None if value == "" and field and field.null and not field.blank else value
        return found


class Schema(Field):
    """An object with named fields; also a field itself, for objects in objects."""

    def __init__(self, options: Mapping[str, Any] | None = None, /, **fields: Field) -> None:
        super().__init__(**(options or {}))
        self.fields = fields
        # what most bodies leave out is copied at once instead of being looked at field by field
        optional = [(name, field) for name, field in fields.items() if not field.required]
        self._required = [name for name, field in fields.items() if field.required]
        self._made = [(name, field.default) for name, field in optional if callable(field.default)]
        self._defaults = {
            name: field.default
            for name, field in optional
            if field.default is not MISSING and not callable(field.default)
        }

    def clean(self, value: Any, event: Event | None) -> dict[str, Any]:
        cleaned, errors = self.collect(value, event)
        if errors:
            raise FieldError(errors)
        return cleaned

    def read(self, body: Any, event: Event | None, *, partial: bool = False) -> dict[str, Any]:
        """Return the cleaned body of a request; `partial` (PATCH) asks for nothing that is missing.

        Raises Invalid with the errors of all fields.
        """
        if not self.fields and type(body) is dict:
            return {}
        cleaned, errors = self.collect(body, event, partial=partial)
        if errors:
            raise Invalid(errors)
        return cleaned

    def collect(
        self, body: Any, event: Event | None, *, partial: bool = False
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return (cleaned fields, errors by field); a value stands in one of them."""
        if type(body) is not dict:
            if body is None:
                return {}, {"non_field_errors": ["No data provided"]}
            if not isinstance(body, SentForm):
                kind = json_type(body)
                return {}, {"non_field_errors": [f"Invalid data. Expected a dictionary, but got {kind}."]}
            body = body.as_json(self.fields)
        cleaned: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        if not partial:
            cleaned = self._defaults.copy()
            for name, make in self._made:
                cleaned[name] = make()
            for name in self._required:
                if name not in body:
                    errors[name] = ["This field is required."]
        fields = self.fields
        for name, value in body.items():
            if name not in fields:
                continue
            try:
                cleaned[name] = fields[name].accept(value, event)
            except FieldError as error:
                cleaned.pop(name, None)
                errors[name] = error.detail
        if len(errors) > 1:
            errors = {name: errors[name] for name in fields if name in errors}
        return cleaned, errors

    def form(self, *, partial: bool = False) -> Form:
        form: Form = {"type": "object", "properties": {name: field.asked() for name, field in self.fields.items()}}
        if self._required and not partial:
            form["required"] = self._required
        return form

    def shown(self) -> Form:
        form: Form = {"type": "object", "properties": {name: field.shown() for name, field in self.fields.items()}}
        form["required"] = list(self.fields)
        return nullable(form) if self.null else form


def _all(fits: Callable[[Any], object]) -> Callable[[list[Any]], object]:
    def all_fit(rows: list[Any]) -> bool:
        for row in rows:  # noqa: SIM110 - a generator costs three times as much for the one row that there is
            if not fits(row):
                return False
        return True

    return all_fit


class ListOf(Field):
    """A list of values of one kind. A list of objects reports {} for each row that is fine."""

    def __init__(self, row: Field, *, max_length: int = 10_000, **options: Any) -> None:
        super().__init__(**options)
        self.row, self.max_length = row, max_length

    def usual(self) -> Usual:
        row = self.row.usually()
        rows: Any = Annotated[list[row.type], Meta(max_length=self.max_length)]  # type: ignore[name-defined]
        return Usual(rows, row.final, None if row.final else _all(row.fits) if row.fits else not_)

    def clean(self, value: Any, event: Event | None) -> list[Any]:
        nested = isinstance(self.row, Schema)
        if not isinstance(value, list):
            text = f'Expected a list of items but got type "{json_type(value)}".'
            raise FieldError({"non_field_errors": [text]} if nested else text)
        if len(value) > self.max_length:
            text = f"Ensure this field has no more than {self.max_length} elements."
            raise FieldError({"non_field_errors": [text]} if nested else text)
        accept = self.row.accept
        try:
            return [accept(row, event) for row in value]
        except FieldError:
            if not nested:
                raise
        errors: list[Any] = []
        for row in value:
            try:
                accept(row, event)
                errors.append({})
            except FieldError as error:
                errors.append(error.detail)
        raise FieldError(errors)

    def form(self) -> Form:
        return {"type": "array", "items": self.row.asked(), "maxItems": self.max_length}

    def shown(self) -> Form:
        form = {"type": "array", "items": self.row.shown()}
        return nullable(form) if self.null or self.default is None else form
