"""What a handler takes and answers, said beside it: the source of the API's document (engine/http/document.py).

    @terms(ORDER, makes=shapes.Order, waits=True)
    async def create(call: Call) -> Reply:
        \"\"\"Create an order.\"\"\"

The first line of its docstring is its summary, unless one is given. Requests never come here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeVar, get_type_hints

from msgspec import Struct

from engine.http.fields import Field, Form, Schema
from engine.http.routing import Handler


class Shown(Struct, frozen=True, eq=False):
    """An answer that shows what was sent: the fields of a schema, and `others` by their type.

    `fields` may be others than the schema has: those that hold things of their own.
    """

    name: str
    schema: Schema
    others: Mapping[str, Any] = {}
    fields: Mapping[str, Shown] = {}


Shape = type[Any] | Shown
"""What an answer looks like: a Struct, or what was sent."""


class Terms(Struct, frozen=True, eq=False):
    """`shape` is None where there is nothing to show; `listed` shows a page of it, `many` a list without pages.

    `waits` adds the 202 of Postgres being away, `files` is the media type of answers that are no JSON, `odd` has other
    shapes of errors by status, `example` a body that works on a fresh demo.
    """

    body: Field | None
    status: int
    shape: Shape | None
    listed: bool
    many: bool
    partly: bool
    waits: bool
    files: str
    query: Mapping[str, Form]
    odd: Mapping[int, Shape]
    example: Any
    summary: str


_H = TypeVar("_H", bound=Handler)
_TERMS: dict[Handler, Terms] = {}


def terms(
    body: Field | None = None,
    *,
    shows: Shape | None = None,
    makes: Shape | None = None,
    lists: Shape | None = None,
    many: bool = False,
    partly: bool = False,
    waits: bool = False,
    files: str = "",
    query: Mapping[str, Form] | None = None,
    odd: Mapping[int, Shape] | None = None,
    example: Any = None,
    summary: str = "",
) -> Callable[[_H], _H]:
    """Say what a handler takes, and what it shows (200), makes (201) or lists a page of; else it answers 204.

    `partly` lets clients choose fields by `include` and `exclude`.
    """
    shape = shows or makes or lists
    said = Terms(
        body=body,
        status=201 if makes else 200 if shape or files else 204,
        shape=shape,
        listed=lists is not None,
        many=many,
        partly=partly,
        waits=waits,
        files=files,
        query=query or {},
        odd=odd or {},
        example=example,
        summary=summary,
    )

    def note(handler: _H) -> _H:
        _TERMS[handler] = said
        return handler

    return note


def terms_of(handler: Handler) -> Terms:
    """Return what was said of a handler. Raises KeyError."""
    return _TERMS[handler]


def texts(*names: str) -> dict[str, Form]:
    return {name: {"type": "string"} for name in names}


def flags(*names: str) -> dict[str, Form]:
    return {name: {"type": "boolean"} for name in names}


def numbers(*names: str) -> dict[str, Form]:
    return {name: {"type": "integer"} for name in names}


def moments(*names: str) -> dict[str, Form]:
    return {name: {"type": "string", "format": "date-time"} for name in names}


def lists_of(*names: str) -> dict[str, Form]:
    """Return parameters that take several values with commas between them."""
    return {name: {"type": "string", "description": "Several, with commas between them."} for name in names}


def one_of(name: str, choices: Iterable[str]) -> dict[str, Form]:
    return {name: {"type": "string", "enum": sorted(choices)}}


def ordered_by(names: Iterable[str]) -> dict[str, Form]:
    """Return the parameter `ordering` where lists go by several fields."""
    known = "|".join(sorted({name.removeprefix("-") for name in names}))
    about = f"Fields with commas between them, and `-` before those that go down: {known.replace('|', ', ')}."
    return {"ordering": {"type": "string", "pattern": f"^-?({known})(,-?({known}))*$", "description": about}}


_KINDS: dict[Any, Form] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    Decimal: {"type": "string", "format": "decimal"},
    dt.datetime: {"type": "string", "format": "date-time"},
}


def read_by(readers: Mapping[str, Callable[[str], Any]]) -> dict[str, Form]:
    """Return parameters by the functions that read them: what these return says what is meant."""
    found: dict[str, Form] = {}
    for name, reader in readers.items():
        hint = str if reader is str else get_type_hints(reader)["return"]
        kinds = [_KINDS[kind] for kind in _KINDS if kind in getattr(hint, "__args__", (hint,))]
        found[name] = kinds[0] if kinds else {"type": "string"}
    return found
