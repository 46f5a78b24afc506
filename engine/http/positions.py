"""Order positions: lists, details, changes one at a time, secrets and blocks (spec/orders.txt)."""

from __future__ import annotations

import re
from typing import Any

from engine.domain import ticket_secrets
from engine.domain.catalogue import Event
from engine.domain.codes import CODE_LENGTH_MAX
from engine.domain.errors import Invalid, NotFound
from engine.domain.next import Rule
from engine.domain.order import Order
from engine.domain.order_contents import Changes, PositionPatch, changed, find
from engine.http import orders as orders_http
from engine.http import shapes
from engine.http.call import Call, Reply, reply
from engine.http.contents import ADDITION, POSITION_PATCH, UNKNOWN_BASE, has_base, patched
from engine.http.field_kinds import Text
from engine.http.fields import FieldError, Form, Schema
from engine.http.orders import NOTHING, event_of
from engine.http.paging import page_body, page_of
from engine.http.position_query import PARAMETERS, wanted
from engine.http.products import read
from engine.http.resources import position_body
from engine.http.terms import flags, terms
from engine.sales import orders
from persistence import orders as stored
from persistence import position_lists

_BLOCK = re.compile(r"admin|api:[a-zA-Z0-9._]+")


class _BlockName(Text):
    def clean(self, value: Any, event: Event | None) -> str:
        name = super().clean(value, event)
        if not _BLOCK.fullmatch(name):
            raise FieldError("Enter a valid value.")
        return name

    def form(self) -> Form:
        return {**super().form(), "pattern": f"^({_BLOCK.pattern})$"}


BLOCK = Schema(name=_BlockName(max_length=255))
ORDER = Schema(order=Text())


class _NewPosition(Schema):
    """For the document alone: `create` complains about the order and the position each in its own way."""

    def form(self, *, partial: bool = False) -> Form:
        form = ADDITION.form(partial=partial)
        named = super().form(partial=partial)
        return {
            **form,
            "properties": named["properties"] | form["properties"],
            "required": named["required"] + form["required"],
        }


_NEW = _NewPosition(**ORDER.fields)


@terms(lists=shapes.OrderPosition, query=PARAMETERS | flags("pdf_data"))
async def index(call: Call) -> Reply:
    """List the positions of all orders of an event."""
    event, page = event_of(call), page_of(call)
    count, found = await position_lists.page(call.house.database, await wanted(call, event), page.offset, page.size)
    bodies = [position_body(call, event, order, position) for order, position in found]
    return reply(page_body(call, page, count, bodies))


@terms(shows=shapes.OrderPosition, query=flags("pdf_data", "include_canceled_positions"))
async def detail(call: Call) -> Reply:
    """Show a position."""
    event = event_of(call)
    order = await orders.get(call.house, event, await code_of_position(call))
    for position in order.positions:
        if position.id == call.number("id") and (not position.canceled or call.asked("include_canceled_positions")):
            return reply(position_body(call, event, order, position))
    raise NotFound


@terms(POSITION_PATCH, shows=shapes.OrderPosition, waits=True, query=orders_http.PDF_DATA)
async def patch(call: Call) -> Reply:
    """Change a position of an order."""
    event, code = event_of(call), await code_of_position(call)
    position = find(await orders.get(call.house, event, code), _id(call))
    values = await read(call, POSITION_PATCH, await call.body())
    try:
        change = PositionPatch(position.id, patched(values, position, event))
    except FieldError as error:
        raise Invalid(error.detail) from None
    return await _change(call, changed(Changes(patch=(change,))))


@terms(_NEW, makes=shapes.OrderPosition, waits=True, query=orders_http.PDF_DATA)
async def create(call: Call) -> Reply:
    """Add a position to an order."""
    event, body = event_of(call), await call.body()
    named, errors = ORDER.collect(body, event)
    order = await _named(call, named["order"]) if "order" in named else None
    if order is None and not errors:
        errors["order"] = [f"Object with code={named['order']} does not exist."]
    try:
        line = await read(call, ADDITION, body)
    except Invalid as refused:
        raise Invalid({**errors, **refused.body} if isinstance(refused.body, dict) else refused.body) from None
    if order is None:
        raise Invalid(errors)
    if not has_base(line, order):
        raise Invalid({"addon_to": [UNKNOWN_BASE]})
    new_id = await call.house.ids.positions(1)
    rule = changed(Changes(create=(line,), first_id=new_id))
    return await orders_http.change(
        call, rule, lambda after: position_body(call, event, after, find(after, new_id)), 201, order.code
    )


@terms(waits=True)
async def delete(call: Call) -> Reply:
    """Cancel a position of an order."""
    rule = changed(Changes(cancel=(_id(call),)))
    return await orders_http.change(call, rule, lambda after: None, 204, await code_of_position(call))


@terms(NOTHING, shows=shapes.OrderPosition, waits=True, query=orders_http.PDF_DATA)
async def regenerate_secrets(call: Call) -> Reply:
    """Give a ticket a new secret; the old one is no ticket any more."""
    NOTHING.read(await call.body(), call.event)
    return await _change(call, ticket_secrets.regenerate(_id(call)))


@terms(NOTHING, shows=shapes.Order, waits=True, query=orders_http.PDF_DATA)
async def regenerate_order_secrets(call: Call) -> Reply:
    """Give an order and its tickets new secrets."""
    return await orders_http.act(call, ticket_secrets.regenerate_all)


@terms(BLOCK, shows=shapes.OrderPosition, waits=True, query=orders_http.PDF_DATA)
async def add_block(call: Call) -> Reply:
    """Block a ticket for a reason."""
    code = await code_of_position(call)
    name: str = BLOCK.read(await call.body(), call.event)["name"]
    return await _change(call, ticket_secrets.add_block(_id(call), name), code)


@terms(BLOCK, shows=shapes.OrderPosition, waits=True, query=orders_http.PDF_DATA)
async def remove_block(call: Call) -> Reply:
    """Take one reason away for which a ticket is blocked."""
    code = await code_of_position(call)
    name: str = BLOCK.read(await call.body(), call.event)["name"]
    return await _change(call, ticket_secrets.remove_block(_id(call), name), code)


async def _change(call: Call, rule: Rule, code: str | None = None) -> Reply:
    event, position_id = event_of(call), _id(call)

    def body(after: Order) -> Any:
        return position_body(call, event, after, find(after, position_id))

    return await orders_http.change(call, rule, body, code=code or await code_of_position(call))


def _id(call: Call) -> int:
    number = call.number("id")
    if number is None:
        raise NotFound
    return number


async def code_of_position(call: Call) -> str:
    """Return the code of the order that the position in the path belongs to. Raises NotFound."""
    code = await stored.code_of_position(call.house.database, event_of(call).id, _id(call))
    if code is None:
        raise NotFound
    return code


async def _named(call: Call, code: str) -> Order | None:
    if not (code.isascii() and code.isalnum() and len(code) <= CODE_LENGTH_MAX):
        return None
    try:
        return await orders.get(call.house, event_of(call), code)
    except NotFound:
        return None
