"""The OpenAPI document: the route table with what was said beside its handlers (engine/http/terms.py).

Made once a process, when somebody first asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from importlib.metadata import version
from operator import or_
from typing import Any, get_args

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import fields

from engine.http.fields import Field, Form, Schema
from engine.http.paging import PAGE_SIZE_MAX
from engine.http.routing import Route
from engine.http.terms import Shape, Shown, Terms, terms_of

_REF = "#/components/schemas/{name}"
_WRITES = frozenset({"POST", "PATCH", "PUT", "DELETE"})

_TAGS = {
    "organizers": ("Organizers", "Who sells, and what a token may see of it."),
    "teams": ("Teams", "Who may do what: teams and their API tokens."),
    "events": ("Events", "Events and their settings."),
    "subevents": ("Dates", "Dates of an event series."),
    "items": ("Items", "What is sold: items with their variations, add-ons and bundles, in categories, with taxes."),
    "questions": ("Questions", "What buyers are asked, and the answers they may choose from."),
    "quotas": ("Quotas", "How many there are, and how many are left."),
    "seats": ("Seats", "Seating plans, and the seats of events."),
    "vouchers": ("Vouchers", "Codes that keep units free, change prices or open what is sold out."),
    "waitinglistentries": ("Waiting list", "Who would like to have what there is none of."),
    "checkinlists": ("Check-in", "Lists of who may come in, and scans of tickets."),
    "cartpositions": ("Cart positions", "Holds: a unit of every quota of a product, until a deadline."),
    "orders": ("Orders", "What was ordered, and what happens to it."),
    "orderpositions": ("Order positions", "Single tickets, their secrets and blocks."),
    "payments": ("Payments", "What buyers pay."),
    "refunds": ("Refunds", "What they get back."),
    "invoices": ("Invoices", "Numbered without gaps, as PDF."),
    "webhooks": ("Webhooks", "Servers that are told of what happens to orders."),
}
"""Subjects by the step of a path that stands for them, in the order they are told."""

_OTHER_STEPS = {
    "seatingplans": "seats",
    "taxrules": "items",
    "categories": "items",
    "quota": "quotas",
    "webhook": "webhooks",
    "revokedsecrets": "orderpositions",
    "blockedsecrets": "orderpositions",
}

_PATH: dict[str, Form] = {
    "organizer": {"type": "string", "description": "The slug of the organizer.", "examples": ["bigevents"]},
    "event": {"type": "string", "description": "The slug of the event.", "examples": ["demo"]},
    "code": {"type": "string", "description": "The code of the order.", "examples": ["HAPPY"]},
    "number": {"type": "string", "description": "The number of the invoice, with its prefix.", "examples": ["DEMO-1"]},
    "output": {"type": "string", "enum": ["pdf"]},
    "position": {"type": "string", "description": "The id of the position, or the secret of its ticket."},
}
"""Parameters of paths that are no ids."""
_ID: Form = {"type": "integer", "minimum": 1, "maximum": 10**18 - 1, "examples": [1]}

_PAGING: dict[str, Form] = {
    "page": {"type": "integer", "minimum": 1, "maximum": 10**9 - 1, "default": 1},
    "page_size": {"type": "integer", "minimum": 1, "maximum": PAGE_SIZE_MAX, "default": PAGE_SIZE_MAX},
}
_CHOICE: Form = {"type": "array", "items": {"type": "string"}, "description": "Fields by dotted names."}

_ABOUT = """\
The REST API of pretix for quotas, carts, orders, payments and refunds, and for the catalogue that they need.

Every request has the header `Authorization: Token …`. Amounts are strings with two decimals, times are ISO 8601 in UTC.
Lists come in pages. A write with the header `X-Idempotency-Key` that is sent again gets the reply it got before.
`201` to an order means that Postgres has committed it; `202` that Redis has it and Postgres has not confirmed it yet.
Other methods of a path than those listed here are answered 405."""


class _Error(Struct, frozen=True, eq=False):
    """An answer that is none of those that were hoped for; `meets` tells whether an operation can have it.

    `later` says in a header when to come again.
    """

    status: int
    name: str
    text: str
    meets: Callable[[Route, Terms], bool]
    later: bool = False


def _always(route: Route, terms: Terms) -> bool:
    return True


def _writing(route: Route, terms: Terms) -> bool:
    return route.method in _WRITES


def _taking(route: Route, terms: Terms) -> bool:
    return terms.body is not None


_ERRORS = (
    _Error(400, "Invalid", "What was sent is wrong.", lambda r, t: bool(t.query) or r.method in _WRITES),
    _Error(401, "Unauthenticated", "There is no token, or not such a one.", _always),
    _Error(403, "Forbidden", "The token has no right to this, or nobody has now.", _always),
    _Error(404, "NotFound", "There is no such thing, or no such page.", lambda r, t: t.listed or "{" in r.path),
    _Error(405, "MethodNotAllowed", "The path does not know this method.", lambda r, t: False),
    _Error(406, "NotAcceptable", "The client takes no JSON.", _always),
    _Error(408, "TooSlow", "The body did not arrive in time.", _taking),
    _Error(
        409,
        "Conflict",
        "Others were faster, or the file is being made, or the idempotency key is in use.",
        lambda r, t: bool(t.files) or r.method in _WRITES,
        later=True,
    ),
    _Error(413, "TooLarge", "The body is too large.", _taking),
    _Error(415, "UnsupportedMedia", "The body is neither JSON nor a form.", _taking),
    _Error(429, "Throttled", "This token, or a client without a valid one, asks too often.", _always, later=True),
    _Error(503, "Unavailable", "A store is away or being verified; nothing was confirmed.", _always, later=True),
)
_REFUSALS: dict[str, Form] = {
    "Error": {"type": "object", "properties": {"detail": {"type": "string"}}, "required": ["detail"]},
    "Refusal": {
        "description": "Complaints by field, or `detail`, or a bare list of complaints.",
        "anyOf": [{"type": "object"}, {"type": "array"}],
        "examples": [{"name": ["This field is required."]}, {"detail": "…"}],
    },
}
_PART: Form = {"type": "object", "description": "With `include` or `exclude`: what was chosen of it."}


def document(routes: Iterable[Route]) -> bytes:
    """Return the document as JSON."""
    return msgspec.json.encode(built(routes))


def built(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the document of a route table."""
    said = [(route, terms_of(route.handler)) for route in routes]
    paths: dict[str, Any] = {}
    for route, terms in said:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, terms)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Holdfast",
            "version": version("holdfast"),
            "description": _ABOUT,
        },
        "servers": [{"url": "/"}],
        "security": [{"Token": []}],
        "tags": [{"name": name, "description": about} for name, about in _TAGS.values()],
        "paths": paths,
        "components": {
            "schemas": _schemas([terms for _, terms in said]),
            "responses": {error.name: _error(error) for error in _ERRORS},
            "parameters": {
                "IdempotencyKey": {
                    "name": "X-Idempotency-Key",
                    "in": "header",
                    "description": "Any text that names this very request; sent again, it gets the same reply.",
                    "schema": {"type": "string", "maxLength": 255},
                }
            },
            "securitySchemes": {
                "Token": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "The word `Token`, a space, and the token.",
                }
            },
        },
    }


def _operation(route: Route, terms: Terms) -> dict[str, Any]:
    summary = (terms.summary or route.handler.__doc__ or "").partition("\n")[0]
    steps = [step for step in route.path.strip("/").split("/")[2:] if step]
    right = f"Takes the right `{route.permission}`." if route.permission else "Any token of the organizer will do."
    body: dict[str, Any] = {}
    if terms.body is not None:
        body["requestBody"] = _body(route, terms, terms.body)
    return {
        "operationId": "_".join([route.method.lower(), *(re.sub(r"\W", "", step) for step in steps)]),
        "summary": summary.removesuffix("."),
        "description": right,
        "tags": [_TAGS[_subject(route.path)][0]],
        "parameters": list(_parameters(route, terms)),
        **body,
        "responses": _responses(route, terms),
    }


def _subject(path: str) -> str:
    """Return what a path is about: the last of its steps that stands for a subject."""
    steps = [_OTHER_STEPS.get(step, step) for step in path.split("/")]
    return next(step for step in reversed(steps) if step in _TAGS)


def _parameters(route: Route, terms: Terms) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)\}", route.path):
        yield _parameter(name, "path", _PATH.get(name, _ID)) | {"required": True}
    query = (_PAGING if terms.listed else {}) | dict(terms.query)
    if terms.partly:
        query |= {"include": _CHOICE, "exclude": _CHOICE}
    for name, form in query.items():
        yield _parameter(name, "query", form)
    if route.method in _WRITES:
        yield {"$ref": "#/components/parameters/IdempotencyKey"}


def _parameter(name: str, place: str, form: Form) -> dict[str, Any]:
    schema = {key: value for key, value in form.items() if key not in ("description", "examples")}
    about = {"description": form["description"]} if "description" in form else {}
    example = {"example": form["examples"][0]} if "examples" in form else {}
    return {"name": name, "in": place, "schema": schema, **about, **example}


def _body(route: Route, terms: Terms, body: Field) -> dict[str, Any]:
    partial = route.method == "PATCH" and isinstance(body, Schema)
    form = body.form(partial=True) if partial and isinstance(body, Schema) else body.form()
    content: dict[str, Any] = {"schema": form}
    if terms.example is not None:
        content["example"] = terms.example
    # an empty body is an empty object
    return {"required": "required" in form or form["type"] != "object", "content": {"application/json": content}}


def _responses(route: Route, terms: Terms) -> dict[str, Any]:
    found: dict[str, Any] = {str(terms.status): _answer(terms)}
    if terms.waits:
        unsure = {"type": "object", "properties": {"durable": {"const": False}}, "required": ["durable"]}
        form = {"allOf": [_form(terms), unsure]} if terms.shape else unsure
        text = "Accepted; Postgres has not confirmed it yet."
        found["202"] = {"description": text, "content": {"application/json": {"schema": form}}}
    for error in _ERRORS:
        if error.meets(route, terms):
            found[str(error.status)] = {"$ref": f"#/components/responses/{error.name}"}
    for status, shape in terms.odd.items():
        both = {"anyOf": [_ref(shape), *(_error_form(error) for error in _ERRORS if error.status == status)]}
        text = next(error.text for error in _ERRORS if error.status == status)
        found[str(status)] = {"description": text, "content": {"application/json": {"schema": both}}}
    return dict(sorted(found.items()))


def _answer(terms: Terms) -> dict[str, Any]:
    if terms.files:
        form = {"type": "string", "format": "binary"}
        return {"description": "The file.", "content": {terms.files: {"schema": form}}}
    if terms.shape is None:
        return {"description": "Done."}
    text = {200: "OK.", 201: "Made."}[terms.status]
    return {"description": text, "content": {"application/json": {"schema": _form(terms)}}}


def _form(terms: Terms) -> Form:
    """Return the JSON schema of what an operation answers."""
    assert terms.shape is not None
    form = _ref(terms.shape)
    if terms.partly:
        form = {"anyOf": [form, _PART]}
    if terms.many:
        return {"type": "array", "items": form}
    if terms.listed:
        link: Form = {"type": ["string", "null"], "format": "uri"}
        page: Form = {"count": {"type": "integer"}, "next": link, "previous": link}
        page["results"] = {"type": "array", "items": form}
        return {"type": "object", "properties": page, "required": list(page)}
    return form


def _error(error: _Error) -> dict[str, Any]:
    found = {"description": error.text, "content": {"application/json": {"schema": _error_form(error)}}}
    if error.later:
        found["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return found


def _error_form(error: _Error) -> Form:
    return {"$ref": _REF.format(name="Refusal" if error.status == 400 else "Error")}


def _ref(shape: Shape) -> Form:
    return {"$ref": _REF.format(name=_name(shape))}


def _name(shape: Shape) -> str:
    return shape.name if isinstance(shape, Shown) else _plain_name(shape.__name__)


def _plain_name(name: str) -> str:
    return name.removesuffix("Body")


def _schemas(said: Iterable[Terms]) -> dict[str, Form]:
    """Return the schemas of all answers by name."""
    found: dict[str, Form] = dict(_REFUSALS)
    shapes = [shape for terms in said for shape in (terms.shape, *terms.odd.values()) if shape is not None]
    structs = {shape for shape in shapes if not isinstance(shape, Shown)}
    _, components = msgspec.json.schema_components(structs, ref_template=_REF)
    required = {struct.__name__: _required(struct) for struct in _all_structs(structs)}
    for name, form in components.items():
        found[_plain_name(name)] = _renamed(
            {key: value for key, value in form.items() if key != "title"}
            | ({"required": required[name]} if name in required else {})
        )
    for shape in shapes:
        if isinstance(shape, Shown):
            _show(shape, found)
    return dict(sorted(found.items()))


def _show(shape: Shown, found: dict[str, Form]) -> None:
    """Add the schema of an answer that shows what was sent, and of what is in it."""
    form = shape.schema.shown()
    properties = dict(form["properties"])
    required = list(form["required"])
    for name, kind in shape.others.items():
        kinds = get_args(kind) or (kind,)
        shown = tuple(one for one in kinds if one is not UnsetType)
        if shown:
            [properties[name]], _ = msgspec.json.schema_components([reduce(or_, shown)])
        if UnsetType not in kinds:
            required.append(name)
    for name, child in shape.fields.items():
        _show(child, found)
        properties[name] = {"type": "array", "items": _ref(child)}
        required.append(name)
    first = {name: properties[name] for name in ("id",) if name in properties}
    # what clients sent besides is shown as well
    found[shape.name] = {
        "type": "object",
        "properties": first | properties,
        "required": required,
        "additionalProperties": True,
    }


def _all_structs(structs: Iterable[type[Struct]]) -> set[type[Struct]]:
    """Return some Structs with those in their fields."""
    found: set[type[Struct]] = set()
    waiting: list[Any] = list(structs)
    while waiting:
        kind = waiting.pop()
        waiting += get_args(kind)
        if isinstance(kind, type) and issubclass(kind, Struct) and kind not in found:
            found.add(kind)
            waiting += [field.type for field in fields(kind)]
    return found


def _required(struct: type[Struct]) -> list[str]:
    """Return the fields that an answer always has: defaults are written too."""
    return [field.encode_name for field in fields(struct) if field.default is not UNSET]


def _renamed(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _plain_name(inner) if key == "$ref" and isinstance(inner, str) else _renamed(inner)
            for key, inner in value.items()
        }
    return [_renamed(inner) for inner in value] if isinstance(value, list) else value
