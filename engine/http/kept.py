"""Fields that rules do not look into, and fields that name another thing of the event.

A body's links are looked up together, once its fields are known to be well formed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from decimal import Decimal
from typing import Any

from engine.domain.catalogue import Event
from engine.domain.errors import Invalid
from engine.http.field_kinds import Money, Text, Translated, plain
from engine.http.fields import Field, FieldError, Form, ListOf, Schema, json_type
from persistence.database import Session
from persistence.resources import Table


class Kept(Field):
    """Anything at all, kept as it is."""

    def __init__(self, default: Any = None) -> None:
        super().__init__(null=True, default=default)

    def clean(self, value: Any, event: Event | None) -> Any:
        return plain(value)


class Words(Translated):
    """A text in several languages that can be kept."""

    def clean(self, value: Any, event: Event | None) -> dict[str, str | None]:
        words = super().clean(value, event)
        plain(words)
        return words


class Percentage(Money):
    """A rate from 0 to 100 with two places."""

    def __init__(self, **options: Any) -> None:
        super().__init__(digits=10, minimum=Decimal("0.00"), **options)

    def clean(self, value: Any, event: Event | None) -> Decimal:
        rate = super().clean(value, event)
        if rate > 100:
            raise FieldError("Ensure this value is less than or equal to 100.00.")
        return rate

    def form(self) -> Form:
        pattern = r"^([0-9]{1,2}(\.[0-9]{1,2})?|100(\.00?)?)$"
        return {"type": "string", "format": "decimal", "pattern": pattern, "examples": ["19.00"]}


class Matching(Text):
    """A text of a given form."""

    def __init__(self, pattern: str, complaint: str, **options: Any) -> None:
        super().__init__(**options)
        self.pattern, self.complaint = re.compile(pattern), complaint

    def clean(self, value: Any, event: Event | None) -> str:
        text = super().clean(value, event)
        if text and not self.pattern.fullmatch(text):
            raise FieldError(self.complaint.replace("{}", text))
        return text

    def form(self) -> Form:
        return {**super().form(), "pattern": f"^({self.pattern.pattern}){'?' if self.blank else ''}$"}


class Pk(Field):
    """An id of something; whether there is such a thing is for others to find out."""

    def clean(self, value: Any, event: Event | None) -> int:
        if isinstance(value, str) and re.fullmatch(r"\s*-?\d+\s*", value, re.ASCII) and len(value) < 1000:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise FieldError(f"Incorrect type. Expected pk value, received {json_type(value)}.")
        if not 0 < value < 2**63:
            raise FieldError(no_such(value))
        return value

    def form(self) -> Form:
        return {"type": "integer", "minimum": 1}


class Link(Pk):
    """The id of another thing of the same event, kept in `table`; `missing_links` finds those that are not there."""

    def __init__(self, table: Table, **options: Any) -> None:
        super().__init__(**options)
        self.table = table


def no_such(pk: int) -> str:
    return f'Invalid pk "{pk}" - object does not exist.'


async def missing_links(
    session: Session, event_id: int, schema: Schema, values: dict[str, Any]
) -> dict[str, list[Any] | dict[str, Any]]:
    """Return the errors of all links in `values` that lead nowhere, by field."""
    wanted: dict[Table, set[int]] = {}
    for table, pk in _links(schema, values):
        wanted.setdefault(table, set()).add(pk)
    known = {table: await table.known(session, event_id, sorted(pks)) for table, pks in wanted.items()}
    errors = _broken(schema, values, known)
    assert isinstance(errors, dict)
    return errors


def _links(field: Field, value: Any) -> Iterator[tuple[Table, int]]:
    match field:
        case Link(table=table) if value is not None:
            yield table, value
        case ListOf(row=row):
            for part in value or ():
                yield from _links(row, part)
        case Schema(fields=fields):
            for name, part in (value or {}).items():
                if name in fields:
                    yield from _links(fields[name], part)


def _broken(field: Field, value: Any, known: dict[Table, set[int]]) -> list[Any] | dict[str, Any]:
    match field:
        case Link(table=table) if value is not None and value not in known[table]:
            return [no_such(value)]
        case ListOf(row=row):
            errors = [_broken(row, part, known) for part in value or ()]
            if not any(errors):
                return []
            return errors if isinstance(row, Schema) else next(list(e) for e in errors if e)
        case Schema(fields=fields):
            parts = {name: _broken(fields[name], part, known) for name, part in (value or {}).items() if name in fields}
            return {name: error for name, error in parts.items() if error}
    return []


def with_unknown(
    schema: Schema, read_only: Set[str], sent: Any, event: Event | None, *, partial: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Check a body like `Schema.collect`, and keep the fields that `schema` does not know, but for `read_only`."""
    values, errors = schema.collect(sent, event, partial=partial)
    if isinstance(sent, dict):
        for name in sent.keys() - schema.fields.keys() - read_only:
            try:
                values[plain(name)] = plain(sent[name])
            except FieldError as error:
                errors[name.replace("\x00", "")] = error.detail
    return values, errors


def in_order(schema: Schema, body: dict[str, Any]) -> dict[str, Any]:
    """Return what was kept with the fields of `schema` first, which Postgres does not remember, then the others."""
    return {name: body[name] for name in schema.fields if name in body} | body


def refuse(text: str, field: str = "non_field_errors") -> Invalid:
    """Return the refusal of a body for one reason."""
    return Invalid({field: [text]})
