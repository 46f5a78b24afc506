"""Orders that another server has sold: made true here as they are, whether or not there is room for them."""

from __future__ import annotations

from engine.domain.catalogue import Event
from engine.domain.order import Order, encode
from engine.ledger.values import Committed, VoucherMove
from engine.sales.house import House
from engine.sales.seats import seat_moves
from engine.sales.taken import unit_moves, units, uses

_ANY_NUMBER = 2**31 - 1


async def take_over(house: House, event: Event, before: Order | None, order: Order) -> Committed:
    """Make an order true, as the successor of `before`, by force: what is sold is sold.

    Raises Busy if somebody has changed it meanwhile, SeatsTaken if somebody else has a seat: there force is no help.
    """
    used, using = uses(before), uses(order)
    vouchers = []
    for number in {**used, **using}:
        was, is_now = used.get(number, (0, 0)), using.get(number, (0, 0))
        if was != is_now:
            vouchers.append(VoucherMove(number, is_now[0] - was[0], _ANY_NUMBER, is_now[1] - was[1], None))
    return await house.ledger.order_commit(
        event,
        order,
        encode(order),
        moves=unit_moves(units(before), units(order)),
        vouchers=vouchers,
        seats=seat_moves(before, order),
        mode="force",
    )
