"""Orders: lists, details, own fields and state operations (spec/orders.txt; creation is in order_create.py)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import wraps
from typing import Any

from engine.domain import clock, invoicing, mails, order_changes, payments
from engine.domain.catalogue import Event
from engine.domain.codes import CODE_LENGTH_MAX
from engine.domain.errors import Fenced, Invalid, NotFound
from engine.domain.next import Rule
from engine.domain.order import InvoiceAddress, MailKind, Order
from engine.http import shapes
from engine.http.call import NO_CONTENT, Call, Reply, reply, unconfirmed
from engine.http.errors import answer
from engine.http.field_kinds import Boolean, Date, DateTime, Email, Json, Money, Text
from engine.http.fields import FieldError, Schema
from engine.http.mailing import TOLD, said, telling
from engine.http.order_query import PARAMETERS, wanted
from engine.http.paging import page_body, page_generated, page_of
from engine.http.people import INVOICE_ADDRESS, Phone
from engine.http.resources import order_body
from engine.http.routing import Handler
from engine.http.selection import Selection
from engine.http.terms import flags, terms
from engine.ledger.replies import Kept
from engine.sales import orders
from persistence import mails as stored_mails
from persistence import order_lists


class _Locale(Text):
    def clean(self, value: Any, event: Event | None) -> str:
        assert event is not None
        locale = super().clean(value, event)
        if locale not in (event.settings.get("locales") or ()):
            raise FieldError(f'"{locale}" is not a supported locale for this event.')
        return locale


PATCH = Schema(
    email=Email(null=True, blank=True),
    phone=Phone(null=True, blank=True, max_length=128),
    locale=_Locale(max_length=32),
    comment=Text(blank=True),
    api_meta=Json(),
    custom_followup_at=Date(null=True),
    checkin_attention=Boolean(),
    checkin_text=Text(null=True, blank=True),
    valid_if_pending=Boolean(),
    expires=DateTime(),
    invoice_address=INVOICE_ADDRESS,
)
NOTHING = Schema()
"""For operations whose body need be no more than an object."""

FORCE = Schema(force=Boolean(default=False))

# for the document alone: what these operations read besides, they read with words or leniency of their own
_EXTEND = Schema(expires=Date(), **FORCE.fields)
_CANCEL = Schema(cancellation_fee=Money(null=True, default=None), **TOLD.fields)

_INCLUSIONS = ("include_canceled_positions", "include_canceled_fees")
PDF_DATA = flags("pdf_data")

_FEE_DIGITS_MAX = 50
_OF_PAYMENT = MailKind.PAID


def event_of(call: Call) -> Event:
    """Return the event that the path names; the door has made sure that there is one."""
    assert call.event is not None
    return call.event


def code_of(call: Call) -> str:
    """Return the order code in the path. Raises NotFound for what can be none."""
    code = call.params["code"]
    if not (code.isascii() and code.isalnum() and len(code) <= CODE_LENGTH_MAX):
        raise NotFound("No Order matches the given query.")
    return code


def known_first(find: Callable[[Order, int], Any] | None = None) -> Callable[[Handler], Handler]:
    """Have a handler say first that there is no such order, or that it has not the part that `find` looks for.

    It is looked for only when something is wrong with a request: what is right costs nothing more.
    """

    def asking(handler: Handler) -> Handler:
        @wraps(handler)
        async def handle(call: Call) -> Reply:
            try:
                return await handler(call)
            except Invalid:
                order = await orders.get(call.house, event_of(call), code_of(call))
                if find is not None:
                    find(order, call.number("local_id") or 0)
                raise

        return handle

    return asking


@terms(lists=shapes.Order, partly=True, query=PARAMETERS | flags(*_INCLUSIONS) | PDF_DATA)
async def index(call: Call) -> Reply:
    """List the orders of an event."""
    return await _list(call, wanted(call, event=event_of(call)))


@terms(lists=shapes.Order, partly=True, query=PARAMETERS | flags(*_INCLUSIONS))
async def index_organizer(call: Call) -> Reply:
    """List the orders of all events that the token may see."""
    seen = None if call.principal.all_events else sorted(call.principal.limit_events)
    return await _list(call, wanted(call, events=seen), pdf_data=False)


async def _list(call: Call, which: order_lists.Wanted, *, pdf_data: bool | None = None) -> Reply:
    page, options = page_of(call), _options(call)
    since, count, rows = await order_lists.page(call.house.database, which, page.offset, page.size)
    selection = _selection(call)
    bodies = []
    for slug, order in rows:
        event = call.event or await call.house.catalogue.event(call.principal.organizer_id, slug)
        bodies.append(selection.apply(order_body(call, event, order, pdf_data=pdf_data, **options)))
    return reply(page_body(call, page, count, bodies), headers=page_generated(since))


@terms(shows=shapes.Order, partly=True, query=flags(*_INCLUSIONS) | PDF_DATA)
async def detail(call: Call) -> Reply:
    """Show an order."""
    event = event_of(call)
    order = await orders.get(call.house, event, code_of(call))
    return reply(_selection(call).apply(order_body(call, event, order, **_options(call))))


def _selection(call: Call) -> Selection:
    return Selection(call.query_all("include"), call.query_all("exclude"))


def _options(call: Call) -> dict[str, bool]:
    """Return what the query says about the parts of orders."""
    return {name: call.asked(name) for name in _INCLUSIONS}


@terms(PATCH, shows=shapes.Order, waits=True, query=PDF_DATA)
@known_first()
async def patch(call: Call) -> Reply:
    """Change fields of an order that are about it as a whole."""
    values = PATCH.read(await call.body(), event_of(call), partial=True)
    if values.get("invoice_address") is not None:
        address = InvoiceAddress(last_modified=clock.now(), **values["invoice_address"])
        values["invoice_address"] = address
    return await _change(call, order_changes.set_fields(values))


@terms(waits=True)
async def delete(call: Call) -> Reply:
    """Delete an order that was made in test mode."""
    durable = await orders.delete(call.house, event_of(call), code_of(call), call.kept(NO_CONTENT))
    return NO_CONTENT if durable else unconfirmed(NO_CONTENT)


@terms(TOLD, shows=shapes.Order, waits=True, query=PDF_DATA)
async def mark_paid(call: Call) -> Reply:
    """Mark an order as paid, whatever is still due."""
    event = event_of(call)
    asked = await said(call, NOTHING)
    rule = mails.telling(payments.mark_paid, _OF_PAYMENT, wanted=asked.wanted, comment=asked.comment)

    def body(order: Order) -> Any:
        payments.refuse_unapproved(order)
        return order_body(call, event, order)

    return await change(call, rule, body)


@terms(_CANCEL, shows=shapes.Order, waits=True, query=PDF_DATA)
async def mark_canceled(call: Call) -> Reply:
    """Cancel an order, or all of it but a cancellation fee."""
    body = await call.body()
    NOTHING.read(body, call.event)
    fee = _fee(body.get("cancellation_fee"))
    rule = invoicing.reissuing(order_changes.mark_canceled(fee, await call.house.ids.fees(1) if fee else 0))
    return await _change(call, telling(rule, MailKind.CANCELED, body))


def _fee(value: Any) -> Decimal | None:
    """Return a cancellation fee; rubbish is no fee, as in pretix."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        text = str(value)
        fee = Decimal(text) if len(text) <= _FEE_DIGITS_MAX else Decimal("NaN")
    except (InvalidOperation, ValueError):
        return None
    return fee if fee.is_finite() else None


@terms(NOTHING, shows=shapes.Order, waits=True, query=PDF_DATA)
async def mark_pending(call: Call) -> Reply:
    """Mark a paid order as pending again."""
    return await act(call, order_changes.mark_pending)


@terms(NOTHING, shows=shapes.Order, waits=True, query=PDF_DATA)
async def mark_expired(call: Call) -> Reply:
    """Mark a pending order as expired."""
    return await act(call, order_changes.mark_expired)


@terms(NOTHING, shows=shapes.Order, waits=True, query=PDF_DATA)
async def reactivate(call: Call) -> Reply:
    """Bring a canceled order back, if there is room."""
    return await act(call, order_changes.reactivate)


@terms(TOLD, shows=shapes.Order, waits=True, query=PDF_DATA)
async def approve(call: Call) -> Reply:
    """Approve an order that needs it."""
    return await _act_and_tell(call, order_changes.approve, MailKind.APPROVED)


@terms(TOLD, shows=shapes.Order, waits=True, query=PDF_DATA)
async def deny(call: Call) -> Reply:
    """Deny an order that needs approval."""
    return await _act_and_tell(call, order_changes.deny, MailKind.DENIED)


async def _act_and_tell(call: Call, rule: Rule, kind: MailKind) -> Reply:
    body = await call.body()
    NOTHING.read(body, call.event)
    return await _change(call, telling(rule, kind, body))


@terms(NOTHING)
async def resend_link(call: Call) -> Reply:
    """Send the buyer a mail with the link to the order."""
    NOTHING.read(await call.body(), call.event)
    order = await orders.get(call.house, event_of(call), code_of(call))
    mails.refuse_without_address(order)
    if not await stored_mails.ask(call.house.database, order.id, MailKind.LINK):
        raise Fenced(reason="the order is not in Postgres yet")
    return NO_CONTENT


@terms(_EXTEND, shows=shapes.Order, waits=True, query=PDF_DATA)
@known_first()
async def extend(call: Call) -> Reply:
    """Give a pending or expired order until the end of another day."""
    body = await call.body()
    force: bool = FORCE.read(body, call.event)["force"]
    if not body.get("expires"):
        raise Invalid.detail("New date is missing.")
    try:
        day = Date().clean(body["expires"], call.event)
    except FieldError:
        raise Invalid.detail("New date is invalid.") from None
    return await _change(call, order_changes.extend(day, force=force))


async def act(call: Call, rule: Rule) -> Reply:
    """Apply a rule that needs nothing from the body, and reply with the order."""
    NOTHING.read(await call.body(), call.event)
    return await _change(call, rule)


async def _change(call: Call, rule: Rule) -> Reply:
    event = event_of(call)
    return await change(call, rule, lambda order: order_body(call, event, order))


async def change(
    call: Call, rule: Rule, body: Callable[[Order], Any], status: int = 200, code: str | None = None
) -> Reply:
    """Apply a rule to an order, the one in the path unless told, and reply with `body` of it.

    `body` may raise Invalid: then the change stands, and that is the reply. 202 if Postgres is away too long. There is
    no body with status 204.
    """

    def told(result: Order | Invalid) -> Reply:
        try:
            if isinstance(result, Invalid):
                return answer(result)
            return NO_CONTENT if status == NO_CONTENT.status else reply(body(result), status)
        except Invalid as refused:
            return answer(refused)

    def kept(result: Order | Invalid) -> Kept | None:
        return call.kept(told(result)) if call.claim else None

    outcome = await orders.change(call.house, event_of(call), code or code_of(call), rule, kept)
    done = told(outcome.order)
    return done if outcome.durable or done.status >= 400 else unconfirmed(done)
