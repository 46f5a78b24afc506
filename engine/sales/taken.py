"""What orders take, units and uses of vouchers, and what moves from one version to the next; seats.py has the seats."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from engine.domain.catalogue import Event, Product
from engine.domain.order import Order, OrderStatus, Position
from engine.ledger.values import Move, VoucherMove

_COUNTED = {OrderStatus.PENDING: "n", OrderStatus.PAID: "p"}
"""The order states whose positions take units, and the state of those units."""

_PLAIN_MAX = 10
"""Positions of orders for which is remembered what moves."""

Units = dict[tuple[Product, str], int]
"""Units by product and state."""

VoucherTotals = dict[int, tuple[int, int]]
"""By voucher's id: how often it is used, and what comes off prices for it, in hundredths."""


def units(*orders: Order | None) -> Units:
    """Return the units that orders take, by product and state; those that have left again (x) beside them."""
    taken: Units = {}
    for order in orders:
        state = _COUNTED.get(order.status) if order else None
        if order is None or state is None:
            continue
        for position in order.positions:
            if not position.canceled:
                key = ((position.item, position.variation or 0, position.subevent or 0), state)
                taken[key] = taken.get(key, 0) + 1
                if position.has_left:
                    gone = (key[0], "x")
                    taken[gone] = taken.get(gone, 0) + 1
    return taken


def unit_moves(old: Units, new: Units) -> list[Move]:
    """Return the differences."""
    if not old:
        return [Move(product, state, count) for (product, state), count in new.items()]
    return [Move(*key, delta) for key in {**old, **new} if (delta := new.get(key, 0) - old.get(key, 0))]


def uses(*orders: Order | None) -> VoucherTotals:
    """Return by voucher how often orders use it, and what they get off their prices, in hundredths.

    An order that has only expired keeps its uses, but gets nothing.
    """
    found: VoucherTotals = {}
    for order in orders:
        if order is not None and order.status is not OrderStatus.CANCELED:
            spends = order.status is not OrderStatus.EXPIRED
            for position in order.positions:
                if position.voucher is not None and not position.canceled:
                    count, amount = found.get(position.voucher, (0, 0))
                    discount = int((position.voucher_budget_use or 0) * 100) if spends else 0
                    found[position.voucher] = (count + 1, amount + discount)
    return found


def voucher_moves(event: Event, old: VoucherTotals, new: VoucherTotals) -> list[VoucherMove]:
    """Return the differences; `event` must know the vouchers that are used more, or for more."""
    if not old and not new:
        return []
    known = {voucher.id: voucher for voucher in event.vouchers.values()}
    moves = []
    for number in {**old, **new}:
        before, after = old.get(number, (0, 0)), new.get(number, (0, 0))
        if after != before:
            voucher = known.get(number)
            budget = int(voucher.budget * 100) if voucher and voucher.budget is not None else None
            usages = voucher.max_usages if voucher else 0
            moves.append(VoucherMove(number, after[0] - before[0], usages, after[1] - before[1], budget))
    return moves


def entering(old: Units, new: Units) -> list[Product]:
    """Return the products of which more is taken than before, each as often as that: these need room."""
    more: dict[Product, int] = {}
    for taken, sign in ((new, 1), (old, -1)):
        for (product, state), count in taken.items():
            if state != "x":
                more[product] = more.get(product, 0) + sign * count
    return [product for product, count in more.items() for _ in range(count)]


def plain_products(order: Order) -> tuple[Product, ...] | None:
    """Return the products of an order of which each position takes a unit and nothing else; None of any other order.

    Nearly all orders are like that, and the few that are as large as a plane are not.
    """
    positions = order.positions
    if len(positions) > _PLAIN_MAX:
        return None
    products = []
    for one in positions:
        if one.canceled or one.has_left or one.voucher is not None or one.seat is not None:
            return None
        products.append((one.item, one.variation or 0, one.subevent or 0))
    return tuple(products)


@lru_cache(maxsize=1000)
def plain_moves(
    products: tuple[Product, ...], before: OrderStatus | None, after: OrderStatus
) -> tuple[tuple[Move, ...], tuple[Product, ...]]:
    """Return the moves of units when an order of `plain_products` changes its status, and what of it needs room."""
    old, new = _counted(products, before), _counted(products, after)
    return tuple(unit_moves(old, new)), tuple(entering(old, new))


def _counted(products: tuple[Product, ...], status: OrderStatus | None) -> Units:
    state = _COUNTED.get(status) if status else None
    return Counter((product, state) for product in products) if state else {}


def product_of(position: Position) -> Product:
    """Return the product of which a position takes a unit."""
    return (position.item, position.variation or 0, position.subevent or 0)
