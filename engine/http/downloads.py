"""Tickets as files (spec/orders.txt, Order ticket download ff.). They are made by workers; here they are asked for."""

from __future__ import annotations

from engine.domain import tickets
from engine.domain.errors import Forbidden, NotFound, NotReady
from engine.domain.order import Order, Position
from engine.http.call import Call, Reply
from engine.http.orders import code_of, event_of
from engine.http.positions import code_of_position
from engine.http.terms import terms
from engine.sales import orders
from persistence import ticket_files

_WAIT_MAX_S = 60


@terms(files="application/pdf")
async def order_file(call: Call) -> Reply:
    """Download the tickets of an order; 409 while they are being printed."""
    await _choose(call)
    order = await orders.get(call.house, event_of(call), code_of(call))
    live = [position for position in order.positions if not position.canceled]
    return await _file(call, order, live, ticket_files.WHOLE_ORDER, order.code)


@terms(files="application/pdf")
async def position_file(call: Call) -> Reply:
    """Download one ticket; 409 while it is being printed."""
    await _choose(call)
    order = await orders.get(call.house, event_of(call), await code_of_position(call))
    for position in order.positions:
        if position.id == call.number("id") and not position.canceled:
            return await _file(call, order, [position], position.id, f"{order.code}-{position.positionid}")
    raise NotFound


async def _choose(call: Call) -> None:
    """Make sure that there is such an output, and that the catalogue is the one that a worker will print.

    Raises NotFound.
    """
    call.event = await call.house.catalogue.current(event_of(call))
    if call.params["output"] != tickets.PDF or not tickets.has_output(call.event):
        raise NotFound("Unknown output provider.")


async def _file(call: Call, order: Order, positions: list[Position], position_id: int, name: str) -> Reply:
    """Reply with a file if there is one. Raises Forbidden, NotReady."""
    event, database = event_of(call), call.house.database
    refused = tickets.refusal(event, order) or tickets.no_ticket(event, *positions)
    if refused:
        raise Forbidden(refused)
    file = await ticket_files.get(database, order, position_id, event.look)
    if file is None:
        wait_s = await ticket_files.ask(database, order, position_id, event.look)
        raise NotReady(min(wait_s, _WAIT_MAX_S), "the tickets are being printed")
    named = f'attachment; filename="{event.slug.upper()}-{name}.pdf"'
    return Reply(200, file, {"Content-Type": "application/pdf", "Content-Disposition": named})
