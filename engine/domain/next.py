"""What a rule answers: the order as it shall be next, and what to do if there is no room for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from msgspec import Struct

from engine.domain.catalogue import Event, Product
from engine.domain.errors import Invalid
from engine.domain.order import Order

Shortage = Callable[[Event, Product, int], Invalid]
"""Words a lack of units: (event, first product that does not fit, id of its quota without room or 0 if it has none)."""


def product_gone(event: Event, product: Product, quota: int) -> Invalid:
    """Say it of the product, as operations on the state of an order do."""
    item = event.items.get(product[0])
    name = item.name if item else str(product[0])
    return Invalid.detail(f'The ordered product "{name}" is no longer available.')


def quota_full(event: Event, product: Product, quota: int) -> Invalid:
    """Say it of the quota, as changes of an order's contents do."""
    found = event.quotas.get(quota)
    if found is None:
        return Invalid(["There is no quota defined that allows this operation."])
    return Invalid([f"The quota {found.name} does not have enough capacity left to perform the operation."])


class Next(Struct, frozen=True):
    """The next content of an order; an order equal to the stored one means that nothing is to be written.

    `split_off` is a new order that takes over what `order` no longer has, made true in the same step. `if_sold_out` is
    committed instead when units are missing, and the request is refused after that in the words of `shortage`; with
    `sold_out_is_fine` it is answered like any success. `force` takes the units although they are missing.
    """

    order: Order
    split_off: Order | None = None
    if_sold_out: Order | None = None
    force: bool = False
    sold_out_is_fine: bool = False
    shortage: Shortage = product_gone


Rule = Callable[[Order, Event, datetime], Next]
"""Pure: (stored order, event, now in UTC) to what comes next. Raises Invalid. May run again on a newer order."""
