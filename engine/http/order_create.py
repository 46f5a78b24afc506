"""Creating orders (spec/orders.txt, Creating orders; spec/facts.md, Creating orders)."""

from __future__ import annotations

from typing import Any

from engine.domain import clock, mails, new_order
from engine.domain.catalogue import Event
from engine.domain.deadlines import payment_deadline
from engine.domain.errors import Invalid
from engine.domain.new_order import Line
from engine.domain.order import InvoiceAddress, Order
from engine.http import order_lines, shapes
from engine.http.call import Call, Reply, reply, unconfirmed
from engine.http.fields import FieldError
from engine.http.order_bodies import ORDER, STATUSES
from engine.http.products import read
from engine.http.resources import order_body, preview_body
from engine.http.terms import flags, terms
from engine.http.voucher_use import bounded, know_codes, know_vouchers
from engine.sales import orders
from engine.sales.refusals import refused

_EXAMPLE = {
    "code": "HAPPY",
    "email": "me@example.org",
    "locale": "en",
    "payment_provider": "manual",
    "consume_carts": ["me@api"],
    "positions": [{"item": 1, "price": "49.00", "attendee_name_parts": {"given_name": "Peter"}}],
}


@terms(ORDER, makes=shapes.Order, waits=True, query=flags("pdf_data"), example=_EXAMPLE)
async def create(call: Call) -> Reply:
    """Create an order, from carts or out of nothing."""
    values = await _sent(call)
    event = call.event
    assert event is not None
    lines: list[Line] = values.positions
    force: bool = values.force
    carts: list[str] = values.consume_carts or []
    wrong = order_lines.wrong_with(lines, event, force=force)
    if event.vouchers and [line for line in lines if line.voucher]:
        try:
            lines = await bounded(call, lines, event)
        except Invalid as overspent:
            wrong = order_lines.with_more(wrong, overspent)
    draft = _drafted(values, lines, event)
    if any(wrong):
        raise await refused(call.house, event, draft, wrong, consume_carts=carts, force=force)
    if values.simulate:
        await orders.simulate(
            call.house,
            event,
            draft,
            consume_carts=carts,
            force=force,
            own_code=values.code,
            own_secrets=[line.secret for line in lines],
        )
        return reply(preview_body(call, event, draft), 201)
    try:
        payment = new_order.first_payment(
            draft, values.payment_provider, values.payment_date, values.payment_info or {}
        )
    except Invalid:
        # a lack of units is told first, as it is in pretix
        await orders.simulate(call.house, event, draft, consume_carts=carts, force=force)
        raise
    ids, count = call.house.ids, len(lines)
    order_id, code, position_id = ids.at_hand(count) or (*await ids.order(), await ids.positions(count))
    fee_id = await ids.fees(len(draft.fees)) if draft.fees else 0
    order = new_order.numbered(
        draft,
        lines,
        payment,
        order_id=order_id,
        code=values.code or code,
        first_position_id=position_id,
        first_fee_id=fee_id,
    )
    order = mails.announced(order, values.send_email)
    done = reply(order_body(call, event, order), 201)
    outcome = await orders.create(
        call.house,
        event,
        order,
        consume_carts=carts,
        force=force,
        own_code=values.code is not None,
        own_secrets=_own_secrets(lines),
        kept=call.kept(done),
    )
    return done if outcome.durable else unconfirmed(done)


async def _sent(call: Call) -> Any:
    """Return the cleaned body. Raises Invalid."""
    raw = call.at_hand
    if raw is None:
        raw = await call.raw_body()
    usual = ORDER.decode(raw) if call.is_json else None
    if usual is not None:
        for row in usual.positions:
            if row.voucher:
                await know_codes(call, [row.voucher for row in usual.positions if row.voucher])
                break
        try:
            return ORDER.settle(usual, call.event)
        except FieldError:
            pass  # nothing else that is wrong has been looked for
    sent = await call.body()
    if isinstance(sent, dict) and isinstance(sent.get("positions"), list):
        await know_vouchers(call, sent["positions"])
    return await read(call, ORDER, sent)


def _own_secrets(lines: list[Line]) -> frozenset[str]:
    for line in lines:
        if line.secret:
            return frozenset([line.secret for line in lines if line.secret])
    return frozenset()


def _drafted(values: Any, lines: list[Line], event: Event) -> Order:
    now = clock.now()
    sent = values.invoice_address
    address = None if sent is None else InvoiceAddress(last_modified=now, **sent)
    positions, fees, total = new_order.priced(lines, values.fees or [], event, address, now)
    return new_order.drafted(
        event,
        now,
        positions,
        fees,
        total,
        address,
        STATUSES[values.status],
        values.expires or payment_deadline(event, now),
        values.testmode,
        values.email,
        values.phone,
        values.customer,
        values.locale or str(event.settings.get("locale") or "en"),
        values.sales_channel,
        values.comment or "",
        values.api_meta,
        values.custom_followup_at,
        values.checkin_attention,
        values.checkin_text,
        values.require_approval,
        values.valid_if_pending,
    )
