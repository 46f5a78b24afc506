"""Invoices: issued for an order, listed, downloaded, issued anew (spec/orders.txt, Generating invoices)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import fields

from engine.domain.errors import Invalid, NotFound, NotReady
from engine.domain.invoice import Invoice
from engine.http.call import NO_CONTENT, Call, Reply, reply
from engine.http.fields import FieldError
from engine.http.order_query import flag_of, text_of
from engine.http.orders import NOTHING, code_of, event_of
from engine.http.paging import page_body, page_of
from engine.http.terms import flags, one_of, terms, texts
from engine.sales import invoices
from persistence import invoices as stored

_ON_PAPER = frozenset({"organizer_name", "event_name", "currency", "testmode"})
_FIELDS = tuple(name for name in Invoice.__struct_fields__ if name not in _ON_PAPER)
_TEXTS = ("order", "number", "refers", "locale")
_QUERY = texts(*_TEXTS) | flags("is_cancellation") | one_of("ordering", stored.ORDERINGS)
_Invoice = msgspec.defstruct(
    "Invoice", [("number", str), *((field.name, field.type) for field in fields(Invoice) if field.name in _FIELDS)]
)
_NO_SUCH = "No Invoice matches the given query."


@terms(NOTHING, makes=_Invoice)
async def create(call: Call) -> Reply:
    """Issue an invoice for an order that has none."""
    NOTHING.read(await call.body(), call.event)
    number, invoice = await invoices.create(call.house, event_of(call), code_of(call))
    return reply(invoice_body(number, invoice), 201)


@terms(lists=_Invoice, query=_QUERY)
async def index(call: Call) -> Reply:
    """List the invoices of an event."""
    return await _list(call, event_id=event_of(call).id)


@terms(lists=_Invoice, query=_QUERY)
async def index_organizer(call: Call) -> Reply:
    """List the invoices of all events that the token may see."""
    return await _list(call, events=None if call.principal.all_events else sorted(call.principal.limit_events))


async def _list(call: Call, **where: Any) -> Reply:
    page = page_of(call)
    values: dict[str, Any] = {name: _text(call, name) for name in _TEXTS if call.query.get(name, "").strip()}
    ordering = call.query.get("ordering", "")
    wanted = stored.Wanted(
        organizer_id=call.principal.organizer_id,
        is_cancellation=flag_of(call.query.get("is_cancellation", ""), None),
        ordering=ordering if ordering in stored.ORDERINGS else "nr",
        **where,
        **values,
    )
    count, rows = await stored.page(call.house.database, wanted, page.offset, page.size)
    return reply(page_body(call, page, count, [invoice_body(number, invoice) for number, invoice in rows]))


def _text(call: Call, name: str) -> str:
    try:
        return text_of(call.query[name].strip(), None)
    except FieldError as error:
        raise Invalid({name: error.detail}) from None


@terms(shows=_Invoice)
async def detail(call: Call) -> Reply:
    """Show an invoice."""
    issued = await stored.one(call.house.database, event_of(call).id, _number(call))
    if issued is None:
        raise NotFound(_NO_SUCH)
    return reply(invoice_body(issued.number, issued.content))


@terms(files="application/pdf")
async def download(call: Call) -> Reply:
    """Download an invoice."""
    number = _number(call)
    there, pdf = await stored.file(call.house.database, event_of(call).id, number)
    if not there:
        raise NotFound(_NO_SUCH)
    if pdf is None:
        raise NotReady
    name = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "-_.") else "_" for sign in number)
    headers = {"Content-Type": "application/pdf", "Content-Disposition": f'attachment; filename="{name}.pdf"'}
    return Reply(200, pdf, headers)


@terms(NOTHING)
async def reissue(call: Call) -> Reply:
    """Cancel an invoice and issue another one of the order as it is now."""
    NOTHING.read(await call.body(), call.event)
    await invoices.reissue(call.house, event_of(call), _number(call))
    return NO_CONTENT


@terms(NOTHING)
async def regenerate(call: Call) -> Reply:
    """Write an invoice anew under its number, where the event allows it."""
    NOTHING.read(await call.body(), call.event)
    await invoices.regenerate(call.house, event_of(call), _number(call))
    return NO_CONTENT


def _number(call: Call) -> str:
    """Return the number in the path. Raises NotFound for what can be none."""
    number = call.params["number"]
    if not number.isascii() or "\x00" in number:
        raise NotFound(_NO_SUCH)
    return number


def invoice_body(number: str, invoice: Invoice) -> dict[str, Any]:
    """Return the invoice resource."""
    return {"number": number, **{name: getattr(invoice, name) for name in _FIELDS}}
