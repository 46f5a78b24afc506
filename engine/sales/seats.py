"""The seats that orders have, and how they change hands."""

from __future__ import annotations

from engine.domain.catalogue import SeatName
from engine.domain.order import Order, OrderStatus, Position
from engine.ledger.values import SeatMove

_SIMULATED = -1
"""Stands for the id of an order that is only simulated: it has none."""


def seat_of(position: Position) -> SeatName | None:
    """Return the name of a position's seat, None if it has none."""
    return (position.subevent or 0, position.seat.seat_guid) if position.seat else None


def seats(order: Order | None) -> dict[SeatName, Position]:
    """Return the positions that take seats, by seat: those that are not canceled, of a pending or paid order."""
    if order is None or order.status not in (OrderStatus.PENDING, OrderStatus.PAID):
        return {}
    return {seat: position for position in order.positions if not position.canceled and (seat := seat_of(position))}


def seat_moves(old: Order | None, new: Order | None, off: Order | None = None) -> list[SeatMove]:
    """Return the seats that change hands from one version of an order to the next and to an order that is split off."""
    if not [order for order in (old, new, off) if order and [True for position in order.positions if position.seat]]:
        return []
    before = dict.fromkeys(seats(old), old.id if old else 0)
    after: dict[SeatName, tuple[int, Position]] = {}
    for order in (new, off):
        for seat, position in seats(order).items():
            after[seat] = (order.id or _SIMULATED if order else 0, position)
    moves = [SeatMove(seat, owner, 0) for seat, owner in before.items() if seat not in after]
    for seat, (owner, position) in after.items():
        if before.get(seat) != owner:
            moves.append(SeatMove(seat, before.get(seat, 0), owner, position.voucher or 0))
    return moves
