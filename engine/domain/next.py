"""What a rule answers: the order as it shall be next, and what to do if there is no room for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from msgspec import Struct

from engine.domain.catalogue import Event
from engine.domain.order import Order


class Next(Struct, frozen=True):
    """The next content of an order; an order equal to the stored one means that nothing is to be written.

    `if_sold_out` is committed instead when units are missing, and the request is refused after that; with
    `sold_out_is_fine` it is answered like any success. `force` takes the units although they are missing.
    """

    order: Order
    if_sold_out: Order | None = None
    force: bool = False
    sold_out_is_fine: bool = False


Rule = Callable[[Order, Event, datetime], Next]
"""Pure: (stored order, event, now in UTC) to what comes next. Raises Invalid. May run again on a newer order."""
