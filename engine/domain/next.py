"""What a rule answers: the order as it shall be next, and what to do if there is no room for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from msgspec import Struct

from engine.domain.catalogue import Event, Product
from engine.domain.errors import Invalid
from engine.domain.order import Order


class Shortage(Struct, frozen=True):
    """How an operation says that something is missing.

    `units` takes the event, the first product that does not fit and the id of its quota without room, or 0 if it has
    none; `seat` takes the name of a seat that somebody else has.
    """

    units: Callable[[Event, Product, int], Invalid]
    seat: Callable[[str], Invalid]


def _product_gone(event: Event, product: Product, quota: int) -> Invalid:
    item = event.items.get(product[0])
    name = item.name if item else str(product[0])
    return Invalid.detail(f'The ordered product "{name}" is no longer available.')


def _seat_gone(name: str) -> Invalid:
    return Invalid.detail(f'The seat "{name}" is no longer available.')


def _quota_full(event: Event, product: Product, quota: int) -> Invalid:
    found = event.quotas.get(quota)
    if found is None:
        return Invalid(["There is no quota defined that allows this operation."])
    return Invalid([f"The quota {found.name} does not have enough capacity left to perform the operation."])


def seat_taken(name: str) -> Invalid:
    """Refuse a seat in a change of an order's contents."""
    return Invalid([f'The selected seat "{name}" is not available.'])


GONE = Shortage(_product_gone, _seat_gone)
"""The words of operations on the state of an order."""

FULL = Shortage(_quota_full, seat_taken)
"""The words of changes of an order's contents."""


class Next(Struct, frozen=True):
    """The next content of an order; an order equal to the stored one means that nothing is to be written.

    `split_off` is a new order that takes over what `order` no longer has, made true in the same step. `if_sold_out` is
    committed instead when units or seats are missing, and the request is refused after that in the words of `shortage`;
    with `sold_out_is_fine` it is answered like any success. `force` takes units that are missing, but no seat.
    """

    order: Order
    split_off: Order | None = None
    if_sold_out: Order | None = None
    force: bool = False
    sold_out_is_fine: bool = False
    shortage: Shortage = GONE


Rule = Callable[[Order, Event, datetime], Next]
"""Pure: (stored order, event, now in UTC) to what comes next. Raises Invalid. May run again on a newer order."""
